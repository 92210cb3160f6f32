//! Documents as bytes, read leniently: what others wrote need not be what the driver would decode.
//!
//! Go's driver writes strings without looking at them, so that they may hold any bytes; and whoever wrote
//! without a struct tag wrote another name for the same member.

use mongodb::bson::{RawBson, RawBsonRef, RawDocument};

/// The first member whose name is `name` but for case and underscores: `jobName` is `jobname` and
/// `job_name` too. Strings are read lossily. `None` if there is none that can be read.
pub(crate) fn member(document: &RawDocument, name: &str) -> Option<RawBson> {
    let plain = |name: &str| -> String {
        let letters = name.chars().filter(|c| *c != '_');
        letters.map(|c| c.to_ascii_lowercase()).collect()
    };
    let wanted = plain(name);
    document
        .iter_elements()
        .map_while(Result::ok)
        .find(|element| plain(element.key().as_str()) == wanted)
        .and_then(|element| element.value_utf8_lossy().ok())
}

/// The document in a member of exactly this name.
pub(crate) fn document<'a>(document: &'a RawDocument, name: &str) -> Option<&'a RawDocument> {
    document
        .iter_elements()
        .map_while(Result::ok)
        .find(|element| element.key().as_str() == name)
        .and_then(|element| element.value().ok())
        .and_then(RawBsonRef::as_document)
}

/// A member's text.
pub(crate) fn text(parent: &RawDocument, name: &str) -> Option<String> {
    match member(parent, name)? {
        RawBson::String(text) => Some(text),
        _ => None,
    }
}

/// A member's number, of whatever type: a reader may meet each of them. Dates are Unix milliseconds.
pub(crate) fn number(parent: &RawDocument, name: &str) -> Option<i64> {
    match member(parent, name)? {
        RawBson::Int32(number) => Some(number.into()),
        RawBson::Int64(number) => Some(number),
        RawBson::Double(number) => whole(number),
        RawBson::DateTime(at) => Some(at.timestamp_millis()),
        _ => None,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "it saturates, and what is no number is refused"
)]
fn whole(number: f64) -> Option<i64> {
    number.is_finite().then_some(number as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mongodb::bson::{DateTime, rawdoc};

    #[test]
    fn a_member_is_found_under_each_of_its_names() {
        for (name, found) in [
            ("jobName", true),
            ("jobname", true),
            ("job_name", true),
            ("JobName", true),
            ("job", false),
        ] {
            let mut document = rawdoc! { "before": 1 };
            let name = mongodb::bson::raw::CString::try_from(name).unwrap();
            document.append(name, "nightly");
            assert_eq!(text(&document, "jobName").is_some(), found);
        }
    }

    #[test]
    fn a_number_is_read_whatever_its_type() {
        let document = rawdoc! {
            "a": 7_i32, "b": 7_i64, "c": 7.9, "d": DateTime::from_millis(7),
            "e": f64::NAN, "f": "7", "g": 1e300,
        };
        let read = |name| number(&document, name);
        for name in ["a", "b", "c", "d"] {
            assert_eq!(read(name), Some(7), "{name}");
        }
        assert_eq!((read("e"), read("f"), read("h")), (None, None, None));
        assert_eq!(read("g"), Some(i64::MAX));
    }

    #[test]
    fn text_that_is_no_text_is_read_lossily() {
        let mut bytes = rawdoc! { "err": "x", "after": "y" }.into_bytes();
        let at = bytes.iter().position(|byte| *byte == b'x').unwrap();
        bytes[at] = 0xff;
        let document = RawDocument::from_bytes(&bytes).unwrap();
        assert_eq!(text(document, "err").as_deref(), Some("\u{fffd}"));
        assert_eq!(text(document, "after").as_deref(), Some("y"));
    }
}
