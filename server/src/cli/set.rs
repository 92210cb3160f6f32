//! What `sandclock job set` makes of `MEMBER=VALUE`: a merge patch (RFC 7396).

use serde_json::{Map, Value};

use super::Told;

/// The patch of these changes. A value is JSON if it can be read as such, else text; nothing after `=` takes the member
/// away, so that it has its default. Dots lead into members of members.
///
/// # Errors
/// If one has no `=` or no member, or two of them cannot both be.
pub(super) fn patch(changes: &[String]) -> Result<Value, Told> {
    let mut patch = Map::new();
    for change in changes {
        let (member, value) = change.split_once('=').ok_or_else(|| {
            Told(format!(
                "{change:?} is no change: write MEMBER=VALUE, such as timeout_s=60"
            ))
        })?;
        let value = match value {
            "" => Value::Null,
            text => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        };
        insert(&mut patch, member, value).ok_or_else(|| {
            Told(format!(
                "{change:?}: {member:?} is given twice, or has nothing before or after a dot"
            ))
        })?;
    }
    Ok(Value::Object(patch))
}

/// Puts a value where the member is; `None` if that cannot be.
fn insert(into: &mut Map<String, Value>, member: &str, value: Value) -> Option<()> {
    let (first, rest) = match member.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (member, None),
    };
    if first.is_empty() {
        return None;
    }
    match rest {
        None if into.contains_key(first) => None,
        None => {
            into.insert(first.to_owned(), value);
            Some(())
        }
        Some(rest) => {
            let inner = into
                .entry(first)
                .or_insert_with(|| Value::Object(Map::new()));
            insert(inner.as_object_mut()?, rest, value)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(changes: &[&str]) -> Result<Value, String> {
        let changes: Vec<_> = changes.iter().map(|change| (*change).to_owned()).collect();
        patch(&changes).map_err(|told| told.0)
    }

    #[test]
    fn changes_are_a_merge_patch() {
        let made = patched(&[
            "timeout_s=60",
            "description=every night, at two",
            "owner=",
            "env.LEVEL=\"3\"",
            "env.URL=http://x/?a=b",
            "retry={\"max\": 2}",
        ]);
        let expected = json!({
            "timeout_s": 60,
            "description": "every night, at two",
            "owner": null,
            "env": { "LEVEL": "3", "URL": "http://x/?a=b" },
            "retry": { "max": 2 },
        });
        assert_eq!(made, Ok(expected));
    }

    #[test]
    fn what_is_no_change_is_refused() {
        for (wrong, why) in [
            (&["enabled"][..], "MEMBER=VALUE"),
            (&["=3"], "before or after a dot"),
            (&["env.=3"], "before or after a dot"),
            (&["a=1", "a=2"], "given twice"),
            (&["env=x", "env.A=1"], "given twice"),
        ] {
            let told = patched(wrong).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
    }
}
