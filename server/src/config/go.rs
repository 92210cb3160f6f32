//! `worker.json`, the configuration file of the older Go fleet's workers, as a part of our tree.
//!
//! It is read as that fleet reads it: names of members match in any case, unknown members (comments, usually) are
//! passed over, what is missing, `null`, empty or 0 counts as not set. Copies of that fleet spell some names in
//! other ways, which are read too. Unlike there, a member of a wrong type is named. Sizes of queues and batches
//! are passed over: nothing is dropped here that they would bound.

use serde_json::{Map, Value, json};

use crate::clock::local_zone;
use crate::document::{FieldError, WHOLE};

/// What a Go fleet's copies call the shell that runs commands.
const SHELL: [&str; 3] = ["bashPath", "shellLocation", "execute_shell"];

/// Whether a configuration file is the Go fleet's: JSON, where ours is TOML.
pub(super) fn is_go(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// The part of our tree that a `worker.json` stands for.
///
/// # Errors
/// Names the member as the file spells it by rule, its value, and what is accepted.
pub(super) fn tree(text: &str) -> Result<Value, FieldError> {
    let members = Members::of(text)?;
    let mut shell = None;
    for name in SHELL {
        shell = shell.or(members.text(name)?);
    }
    let coordination = [
        ("type", Some(json!("etcd"))),
        ("endpoints", Some(members.endpoints()?)),
        ("beside_go", Some(json!(true))),
        ("register_as", Some(json!("auto"))),
        ("call_timeout_ms", members.millis("etcdDialTimeout")?),
        ("go", shell.map(|shell| json!({ "shell": shell }))),
    ];
    let run_log = [
        ("type", Some(json!("mongodb"))),
        ("uri", Some(members.uri()?)),
        (
            "connect_timeout_ms",
            members.millis("mongodbConnectTimeout")?,
        ),
    ];
    Ok(json!({
        "coordination": section(coordination),
        "run_log": section(run_log),
        // Where a Go worker read its schedules.
        "default_time_zone": local_zone(),
        "worker": { "pass_env": ["*"], "workdir": "." },
    }))
}

/// What is set of a section.
fn section<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let set = |(name, value): (&str, Option<Value>)| Some((name.to_owned(), value?));
    Value::Object(members.into_iter().filter_map(set).collect())
}

/// The file's members by their names in lower case; of equal ones the last counts.
struct Members(Map<String, Value>);

impl Members {
    fn of(text: &str) -> Result<Self, FieldError> {
        let members: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
            FieldError::new(WHOLE, "the text", format!("one JSON object is; {error}"))
        })?;
        let lower = |(name, value): (String, Value)| (name.to_lowercase(), value);
        Ok(Self(members.into_iter().map(lower).collect()))
    }

    /// A member that is there and not `null`.
    fn get(&self, name: &str) -> Option<&Value> {
        let value = self.0.get(&name.to_lowercase())?;
        Some(value).filter(|value| !value.is_null())
    }

    fn endpoints(&self) -> Result<Value, FieldError> {
        let name = "etcdEndpoints";
        let value = self.get(name).unwrap_or(&Value::Null);
        let list = value.as_array().filter(|list| !list.is_empty());
        if list.is_some_and(|list| list.iter().all(Value::is_string)) {
            return Ok(value.clone());
        }
        let accepted = "a list of host:port, such as [\"192.0.2.10:2379\"]";
        Err(FieldError::new(name, value, accepted))
    }

    fn uri(&self) -> Result<Value, FieldError> {
        let name = "mongodbUri";
        let accepted = "the server's address, such as \"mongodb://192.0.2.10:27017\"";
        self.text(name)?
            .map(Value::from)
            .ok_or_else(|| FieldError::new(name, "nothing", accepted))
    }

    fn text(&self, name: &str) -> Result<Option<String>, FieldError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(other) => Err(FieldError::new(name, other, "text")),
        }
    }

    fn millis(&self, name: &str) -> Result<Option<Value>, FieldError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(ms) => Ok((ms > 0).then(|| ms.into())),
                None => Err(FieldError::new(
                    name,
                    value,
                    "milliseconds, a whole number from 0",
                )),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_all_copies_are_read() {
        let canonical = r#"{"etcd的集群列表": "配置多个, 避免单点故障", "etcdEndpoints": ["192.0.2.10:2379"],
            "etcdDialTimeout": 5000, "mongodbUri": "mongodb://192.0.2.10:27017", "mongodbConnectTimeout": 5000,
            "jobLogBatchSize": 100, "jobLogCommitTimeout": 1000}"#;
        assert!(is_go(canonical));
        let tree_of = |text| tree(text).expect("read");
        let read = tree_of(canonical);
        assert_eq!(
            read["coordination"]["endpoints"],
            json!(["192.0.2.10:2379"])
        );
        assert_eq!(read["coordination"]["call_timeout_ms"], 5000);
        assert_eq!(read["run_log"]["uri"], "mongodb://192.0.2.10:27017");
        assert_eq!(read["run_log"]["connect_timeout_ms"], 5000);
        let other = r#"{"ETCDENDPOINTS": ["a:1"], "etcdDialTimeOut": 0, "mongodbURI": "mongodb://m", "shellLocation": null,
            "BashPath": "/bin/sh", "jogLogCommitTimeout": "later"}"#;
        let read = tree_of(other);
        assert_eq!(read["coordination"]["go"]["shell"], "/bin/sh");
        assert_eq!(read["coordination"]["call_timeout_ms"], Value::Null);
    }

    #[test]
    fn a_member_that_is_not_accepted_is_named() {
        let uri = r#""mongodbUri": "mongodb://m""#;
        let etcd = r#""etcdEndpoints": ["a:1"]"#;
        for (text, field) in [
            (format!("{{{uri}}}"), "etcdEndpoints"),
            (
                format!("{{{uri}, \"etcdEndpoints\": \"a:1\"}}"),
                "etcdEndpoints",
            ),
            (
                format!("{{{uri}, \"etcdEndpoints\": [1]}}"),
                "etcdEndpoints",
            ),
            (format!("{{{etcd}}}"), "mongodbUri"),
            (format!("{{{etcd}, {uri}, \"bashpath\": 3}}"), "bashPath"),
            (
                format!("{{{etcd}, {uri}, \"etcdDialTimeout\": -1}}"),
                "etcdDialTimeout",
            ),
            (format!("{{{etcd}, {uri}"), WHOLE),
        ] {
            assert_eq!(tree(&text).expect_err(&text).field, field);
        }
    }
}
