//! What a Go master's clients send: `application/x-www-form-urlencoded`, read as Go reads it.
//!
//! Unlike browsers' readers, Go's refuses a percent sign without two digits, so that a command which was not
//! escaped is never saved half.

/// An escape that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid URL escape {0:?}")]
pub struct InvalidEscape(pub String);

/// Names and values in the order of the text. What is no UTF-8 is replaced.
///
/// # Errors
/// If a percent sign is not followed by two hexadecimal digits.
pub fn pairs(text: &[u8]) -> Result<Vec<(String, String)>, InvalidEscape> {
    let parts = text.split(|byte| *byte == b'&');
    let pair = |part: &[u8]| {
        let at = part.iter().position(|byte| *byte == b'=');
        let (name, value) = part.split_at(at.unwrap_or(part.len()));
        let value = value.strip_prefix(b"=").unwrap_or(value);
        Ok((unescaped(name)?, unescaped(value)?))
    };
    parts.filter(|part| !part.is_empty()).map(pair).collect()
}

fn unescaped(text: &[u8]) -> Result<String, InvalidEscape> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digit = |at: usize| char::from(*after.get(at)?).to_digit(16);
                let byte = digit(0).zip(digit(1)).map(|(high, low)| high * 16 + low);
                let Some(byte) = byte.and_then(|byte| u8::try_from(byte).ok()) else {
                    let shown = after.get(..2).unwrap_or(after);
                    let shown = format!("%{}", String::from_utf8_lossy(shown));
                    return Err(InvalidEscape(shown));
                };
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => bytes.push(*first),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_names_and_values() {
        let read = |text: &str| pairs(text.as_bytes()).unwrap();
        let own = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            let own = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
            pairs.iter().map(own).collect()
        };
        assert_eq!(read(""), []);
        assert_eq!(
            read("job=%7B%22name%22%3a%22a+b%22%7D&x=&y&&z=1=2"),
            own(&[
                ("job", r#"{"name":"a b"}"#),
                ("x", ""),
                ("y", ""),
                ("z", "1=2")
            ])
        );
        assert_eq!(read("n=%e4%BD%A0%ff"), own(&[("n", "你\u{fffd}")]));
    }

    #[test]
    fn an_escape_that_is_none_is_refused() {
        for (text, shown) in [
            ("name=%zz", "%zz"),
            ("a=1%", "%"),
            ("%4", "%4"),
            ("a=%+1", "%+1"),
        ] {
            let refused = pairs(text.as_bytes()).unwrap_err();
            assert_eq!(refused, InvalidEscape(shown.to_owned()));
        }
        assert_eq!(
            InvalidEscape("%zz".to_owned()).to_string(),
            "invalid URL escape \"%zz\""
        );
    }
}
