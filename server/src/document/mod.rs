//! Documents that people write: requests, files, settings.
//!
//! However a document comes (JSON, TOML, YAML, a query, a variable), it becomes one tree, and [`read`] makes a value of
//! it. What is wrong with it is said in one way: the field, what stands there, and what would be accepted. So
//! people never meet the words of a parser or the names of our types, nor lines of a text that they did
//! not write.

mod fault;
mod json;
mod lines;
mod patch;
mod reader;
mod toml;
mod yaml;

use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::json::parse as parse_json;
pub use self::lines::Lines;
pub use self::patch::merge;
pub use self::toml::parse as parse_toml;
pub use self::yaml::{parse as parse_yaml, write as write_yaml};

/// The field of an error about the document as a whole.
pub const WHOLE: &str = "(the document)";

/// A field of a document that cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {value} is not accepted: {accepted}")]
pub struct FieldError {
    /// The path of the field, such as `retry.backoff.factor`.
    pub field: String,
    /// The value as given, shortened.
    pub value: String,
    /// What is wrong with it and what would be accepted.
    pub accepted: String,
}

impl FieldError {
    /// A field with this value is refused because of `accepted`.
    pub fn new(
        field: impl Into<String>,
        value: impl ToString,
        accepted: impl Into<String>,
    ) -> Self {
        let mut value = value.to_string();
        if value.chars().count() > 200 {
            value = value.chars().take(200).chain("…".chars()).collect();
        }
        Self {
            field: field.into(),
            value,
            accepted: accepted.into(),
        }
    }
}

/// Reads a tree.
///
/// # Errors
/// Names the first field that is not accepted.
pub fn read<T: DeserializeOwned>(tree: &Value) -> Result<T, FieldError> {
    let read = reader::Member::whole(tree).read(PhantomData::<T>);
    read.map_err(Into::into)
}

/// Reads names with values that are all text, such as a query's: `"3"` is a number where one is asked for.
///
/// # Errors
/// As [`read`]; also for a name that is there twice.
pub fn read_text<T: DeserializeOwned>(pairs: Vec<(String, String)>) -> Result<T, FieldError> {
    let mut tree = serde_json::Map::new();
    for (name, text) in pairs {
        if let Some(first) = tree.insert(name.clone(), text.into()) {
            return Err(FieldError::new(name, first, "once, not twice"));
        }
    }
    let tree = Value::Object(tree);
    let read = reader::Member::text(&tree).read(PhantomData::<T>);
    read.map_err(Into::into)
}

/// The path of a member of what stands at `path`.
fn member(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// The path of an item of the list that stands at `path`.
fn item(path: &str, at: usize) -> String {
    format!("{path}[{at}]")
}

/// Names for people: `a, b and c`.
fn names(names: &[&str]) -> String {
    match names {
        [] => "none".to_owned(),
        [one] => (*one).to_owned(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Document {
        whole: u32,
        signed: i32,
        number: f64,
        truth: bool,
        text: String,
        list: Vec<u8>,
        names: BTreeMap<String, u32>,
        inner: Option<Inner>,
        kind: Option<Kind>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether it can be read counts")]
    struct Inner {
        needed: Vec<Document>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        This,
        That,
    }

    fn refusal(text: &str) -> String {
        let tree = parse_json(text.as_bytes());
        let read = tree.and_then(|tree| read::<Document>(&tree));
        read.unwrap_err().to_string()
    }

    const FIELDS: &str = "whole, signed, number, truth, text, list, names, inner and kind";

    fn check(cases: &[(&str, &str, &str)]) {
        for (text, place, accepted) in cases {
            let told = format!("{place} is not accepted: {accepted}");
            assert_eq!(refusal(text), told);
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_its_value_and_what_is_accepted() {
        let object = &format!("an object with fields out of {FIELDS}");
        let cases = [
            ("[1, 2]", "(the document): [1,2]", object.as_str()),
            ("7", "(the document): 7", object),
            (
                r#"{"whole": -1}"#,
                "whole: -1",
                "a whole number from 0 to 4294967295",
            ),
            (
                r#"{"whole": 1.5}"#,
                "whole: 1.5",
                "a whole number from 0 to 4294967295",
            ),
            (
                r#"{"whole": "3"}"#,
                "whole: \"3\"",
                "a whole number from 0 to 4294967295",
            ),
            (r#"{"number": null}"#, "number: null", "a number"),
            (r#"{"truth": 0}"#, "truth: 0", "true or false"),
            (r#"{"text": {"a": []}}"#, r#"text: {"a":[]}"#, "text"),
            (r#"{"list": "x"}"#, "list: \"x\"", "a list"),
            (
                r#"{"list": [1, 256]}"#,
                "list[1]: 256",
                "a whole number from 0 to 255",
            ),
            (
                r#"{"names": [["a", 1]]}"#,
                r#"names: [["a",1]]"#,
                "an object of names and values",
            ),
            (
                r#"{"names": {"a": {}}}"#,
                "names.a: {}",
                "a whole number from 0 to 4294967295",
            ),
        ];
        check(&cases);
    }

    #[test]
    fn what_is_wrong_inside_is_told_inside() {
        let cases = [
            (
                r#"{"inner": [[]]}"#,
                "inner: [[]]",
                "an object with fields out of needed",
            ),
            (
                r#"{"inner": {}}"#,
                "inner.needed: nothing",
                "needed must be given",
            ),
            (
                r#"{"inner": {"needed": [{}, {"inner": {"needed": [{"kind": "other"}]}}]}}"#,
                "inner.needed[1].inner.needed[0].kind: \"other\"",
                "known are this and that",
            ),
            (
                r#"{"kind": {"this": null}}"#,
                r#"kind: {"this":null}"#,
                "known are this and that",
            ),
            (
                r#"{"inner": {"needed": [{"odd": 3}]}}"#,
                "inner.needed[0].odd: 3",
                &format!("there is no such field; known are {FIELDS}"),
            ),
        ];
        check(&cases);
    }

    #[test]
    fn json_is_one_document_in_which_names_differ() {
        for (text, told) in [
            ("", "nothing is not accepted: one JSON document is; EOF"),
            ("{\n\"whole\": }", "line 2 column 10"),
            ("{} {}", "trailing characters at line 1 column 4"),
            (
                r#"{"names": {"a": 1, "a": 2}}"#,
                "\"a\" is given twice at line 1",
            ),
        ] {
            let refusal = refusal(text);
            assert!(refusal.contains(told), "{refusal}");
        }
    }

    #[test]
    fn where_all_is_text_numbers_are_read_out_of_it() {
        let pairs = |pairs: &[(&str, &str)]| {
            let own = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
            read_text::<Document>(pairs.iter().map(own).collect())
        };
        let document = pairs(&[("whole", "3"), ("truth", "true"), ("text", "5")]).unwrap();
        assert_eq!((document.whole, document.text.as_str()), (3, "5"));
        assert!(document.truth);
        let refusal = |given: &[(&str, &str)]| pairs(given).unwrap_err().to_string();
        assert!(refusal(&[("whole", "x")]).starts_with("whole: \"x\" is not accepted: a whole"));
        assert!(refusal(&[("whole", "1"), ("whole", "2")]).contains("once, not twice"));
    }

    #[test]
    fn toml_has_lines() {
        let text = "a = 1\n[b]\nc = [\n  2,\n  { d = 0x10 },\n]\nat = 2027-01-01T00:00:00Z\nn = nan\n[[e]]\n[[e]]\nf.g = 1.5\n";
        let (tree, lines) = parse_toml(text).unwrap();
        let expected = serde_json::json!({
            "a": 1,
            "b": { "c": [2, { "d": 16 }], "at": "2027-01-01T00:00:00Z", "n": "nan" },
            "e": [{}, { "f": { "g": 1.5 } }],
        });
        assert_eq!(tree, expected);
        for (field, line) in [
            ("a", Some(1)),
            ("b.c", Some(3)),
            ("b.c[1].d", Some(5)),
            ("b.absent", Some(2)),
            ("e[1].f.g", Some(11)),
            ("absent", None),
        ] {
            assert_eq!(lines.of(field), line, "{field}");
        }
        let refusal = parse_toml("a = 1\nb = \n").unwrap_err().to_string();
        assert!(refusal.contains("line 2 is not TOML"), "{refusal}");
    }
}
