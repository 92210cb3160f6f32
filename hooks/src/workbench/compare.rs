//! What was expected beside what was found.

use serde_json::Value;

/// A member that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its path, such as `deliveries[0].target`.
    pub member: String,
    /// What was expected; null if nothing was.
    pub expected: Value,
    /// What was found; null if there is nothing.
    pub found: Value,
}

/// Where `found` is not as `expected`. Null expects nothing in particular. An error is expected by a part of its text, and is a
/// difference where none is expected.
pub(super) fn differences(expected: &Value, found: &Value) -> Vec<Difference> {
    let difference = |expected: &Value, found: &Value| Difference {
        member: "error".to_owned(),
        expected: expected.clone(),
        found: found.clone(),
    };
    let member = |of: &Value| of.get("error").cloned().unwrap_or_default();
    match (member(expected), member(found)) {
        (Value::Null, Value::Null) => {
            let mut all = Vec::new();
            compare("", expected, found, &mut all);
            all
        }
        (Value::String(part), Value::String(text)) if text.contains(&part) => Vec::new(),
        (part, text) => vec![difference(&part, &text)],
    }
}

fn compare(path: &str, expected: &Value, found: &Value, all: &mut Vec<Difference>) {
    match (expected, found) {
        (Value::Null, _) => {}
        (Value::Object(members), Value::Object(_)) => {
            for (name, expected) in members {
                let path = match path {
                    "" => name.clone(),
                    path => format!("{path}.{name}"),
                };
                let found = found.get(name).unwrap_or(&Value::Null);
                compare(&path, expected, found, all);
            }
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            for (at, (expected, found)) in expected.iter().zip(found).enumerate() {
                compare(&format!("{path}[{at}]"), expected, found, all);
            }
        }
        // A document inside of a text.
        (Value::Object(_) | Value::Array(_), Value::String(text)) => {
            match serde_json::from_str::<Value>(text) {
                Ok(document) if document.is_object() || document.is_array() => {
                    compare(path, expected, &document, all);
                }
                _ => all.push(apart(path, expected, found)),
            }
        }
        _ if expected == found => {}
        _ => all.push(apart(path, expected, found)),
    }
}

/// Where `found` is another value than `recorded`, in any way.
pub(crate) fn exactly(recorded: &Value, found: &Value) -> Vec<Difference> {
    let mut all = Vec::new();
    same("", recorded, found, &mut all);
    all
}

fn same(path: &str, recorded: &Value, found: &Value, all: &mut Vec<Difference>) {
    match (recorded, found) {
        (Value::Object(before), Value::Object(now)) => {
            let new = now.keys().filter(|name| !before.contains_key(*name));
            for name in before.keys().chain(new) {
                let path = match path {
                    "" => name.clone(),
                    path => format!("{path}.{name}"),
                };
                let of = |value: &Value| value.get(name).cloned().unwrap_or_default();
                match (before.get(name), now.get(name)) {
                    (Some(before), Some(now)) => same(&path, before, now, all),
                    _ => all.push(apart(&path, &of(recorded), &of(found))),
                }
            }
        }
        (Value::Array(before), Value::Array(now)) if before.len() == now.len() => {
            for (at, (before, now)) in before.iter().zip(now).enumerate() {
                same(&format!("{path}[{at}]"), before, now, all);
            }
        }
        _ if recorded == found => {}
        _ => all.push(apart(path, recorded, found)),
    }
}

fn apart(path: &str, expected: &Value, found: &Value) -> Difference {
    Difference {
        member: path.to_owned(),
        expected: expected.clone(),
        found: found.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn members(expected: &Value, found: &Value) -> Vec<String> {
        let differences = differences(expected, found).into_iter();
        differences.map(|difference| difference.member).collect()
    }

    #[test]
    fn only_what_is_named_is_compared() {
        let found = json!({ "a": 1, "b": [{ "c": "x", "d": 2 }], "e": null });
        for (expected, told) in [
            (json!({}), vec![]),
            (json!({ "a": 1, "b": [{ "d": 2 }] }), vec![]),
            (json!({ "a": null, "e": null }), vec![]),
            (json!({ "a": 2, "b": [{ "c": "y" }] }), vec!["a", "b[0].c"]),
            (json!({ "b": [] }), vec!["b"]),
            (json!({ "e": 1, "f": 1 }), vec!["e", "f"]),
        ] {
            assert_eq!(members(&expected, &found), told, "{expected}");
        }
    }

    #[test]
    fn a_document_in_a_text_is_compared_as_such() {
        let found = json!({ "body": "{\"n\": 1, \"m\": 2}" });
        assert!(members(&json!({ "body": { "n": 1 } }), &found).is_empty());
        assert_eq!(members(&json!({ "body": { "n": 2 } }), &found), ["body.n"]);
        let text = json!({ "body": "plain" });
        assert_eq!(members(&json!({ "body": { "n": 2 } }), &text), ["body"]);
    }

    #[test]
    fn a_replay_compares_everything() {
        let recorded = json!({ "a": null, "b": [{ "c": 1 }], "d": "x" });
        assert!(exactly(&recorded, &recorded).is_empty());
        let found = json!({ "a": 1, "b": [{ "c": 2 }], "e": null });
        let members = exactly(&recorded, &found).into_iter();
        let members: Vec<_> = members.map(|apart| apart.member).collect();
        assert_eq!(members, ["a", "b[0].c", "d", "e"]);
        assert_eq!(exactly(&json!([1]), &json!([1, 2])).len(), 1);
    }

    #[test]
    fn an_error_is_expected_by_a_part_of_it() {
        let found = json!({ "error": "config.words: too many" });
        assert!(members(&json!({ "error": "config.words" }), &found).is_empty());
        assert_eq!(members(&json!({ "error": "other" }), &found), ["error"]);
        assert_eq!(members(&json!({}), &found), ["error"]);
        assert_eq!(members(&json!({ "error": "x" }), &json!({})), ["error"]);
    }
}
