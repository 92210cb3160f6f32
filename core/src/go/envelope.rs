//! The answer of a Go master: `{"errno": …, "msg": …, "data": …}`, as its JSON encoder writes it.
//!
//! Clients test `errno` alone: 0 or -1. The encoder escapes what could be taken for markup, so that the text is
//! harmless even where somebody puts it into a page.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// What was asked for was done; `data` is what the route answers.
pub fn success(data: Value) -> Vec<u8> {
    text(&json!({ "errno": 0, "msg": "success", "data": data }))
}

/// It was not done, and this is why.
pub fn failure(why: &str) -> Vec<u8> {
    text(&json!({ "errno": -1, "msg": why, "data": null }))
}

/// JSON as Go writes it. The characters that it escapes beyond the rule stand nowhere but inside of strings.
fn text(value: &Value) -> Vec<u8> {
    let plain = value.to_string();
    let mut text = String::with_capacity(plain.len());
    for c in plain.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                // Writing to a string cannot fail.
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            _ => text.push(c),
        }
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_written_as_go_writes_it() {
        let data = json!({ "name": "a", "command": "x <in >out && y\u{2028}\n\u{1}\"ä" });
        let want = concat!(
            r#"{"errno":0,"msg":"success","data":{"name":"a","command":"#,
            r#""x \u003cin \u003eout \u0026\u0026 y\u2028\n\u0001\"ä"}}"#
        );
        assert_eq!(success(data), want.as_bytes());
        let want = br#"{"errno":-1,"msg":"no \u003cb\u003e","data":null}"#;
        assert_eq!(failure("no <b>"), want);
    }
}
