//! `worker.json` and `master.json`, the configuration files of the older Go fleet, as a part of our tree.
//!
//! They are read as that fleet reads them: names of members match in any case, unknown members (comments, usually)
//! are passed over, what is missing, `null`, empty or 0 counts as not set. Copies of that fleet spell some names in
//! other ways, or count in seconds, which is read too. Unlike there, a member of a wrong type is named. Sizes of
//! queues and batches are passed over: nothing is dropped here that they would bound. So is `webroot`: our page needs
//! no files.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::document::{FieldError, WHOLE};

/// What a Go fleet's copies call the shell that runs commands.
const SHELL: [&str; 3] = ["bashPath", "shellLocation", "execute_shell"];

/// What only a master has.
const MASTER: [&str; 4] = ["apiPort", "apiReadTimeout", "apiWriteTimeout", "webroot"];

/// No store answers in fewer milliseconds than this over a network.
const SECONDS: u64 = 100;

/// Which of the Go fleet's files it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoFile {
    /// `master.json`
    Master,
    /// `worker.json`
    Worker,
}

/// Whether a configuration file is the Go fleet's: JSON, where ours is TOML. One that is called so and is not is told
/// of as what it should be.
pub(super) fn is_go(path: &Path, text: &str) -> bool {
    text.trim_start().starts_with('{') || path.extension().is_some_and(|kind| kind == "json")
}

/// The part of our tree that a file of the Go fleet stands for, and which file it is, whatever it is called.
///
/// # Errors
/// Names the member as the file spells it by rule, its value, and what is accepted.
pub(super) fn tree(text: &str) -> Result<(Value, GoFile), FieldError> {
    let members = Members::of(text)?;
    match MASTER.iter().any(|name| members.get(name).is_some()) {
        true => Ok((master(&members)?, GoFile::Master)),
        false => Ok((worker(&members)?, GoFile::Worker)),
    }
}

fn master(members: &Members) -> Result<Value, FieldError> {
    let go_api = [
        ("read_timeout_ms", members.millis("apiReadTimeout")?),
        ("write_timeout_ms", members.millis("apiWriteTimeout")?),
    ];
    Ok(json!({
        "listen": format!("0.0.0.0:{}", members.port()?),
        "go_api": section(go_api),
        "coordination": section(members.coordination()?),
        "run_log": section(members.run_log()?),
    }))
}

fn worker(members: &Members) -> Result<Value, FieldError> {
    let mut shell = None;
    for name in SHELL {
        shell = shell.or(members.text(name)?);
    }
    let of_a_worker = [
        ("register_as", Some(json!("auto"))),
        ("go", shell.map(|shell| json!({ "shell": shell }))),
    ];
    Ok(json!({
        "coordination": section(members.coordination()?.into_iter().chain(of_a_worker)),
        "run_log": section(members.run_log()?),
        "worker": { "pass_env": ["*"], "workdir": "." },
    }))
}

/// A member of a section, if it is set.
type Set = (&'static str, Option<Value>);

/// What is set of a section.
fn section(members: impl IntoIterator<Item = Set>) -> Value {
    let set = |(name, value): Set| Some((name.to_owned(), value?));
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

    /// What both files say of the cluster.
    fn coordination(&self) -> Result<[Set; 4], FieldError> {
        Ok([
            ("type", Some(json!("etcd"))),
            ("endpoints", Some(self.endpoints()?)),
            ("beside_go", Some(json!(true))),
            ("call_timeout_ms", self.patience("etcdDialTimeout")?),
        ])
    }

    /// What both files say of the run log.
    fn run_log(&self) -> Result<[Set; 3], FieldError> {
        Ok([
            ("type", Some(json!("mongodb"))),
            ("uri", Some(self.uri()?)),
            (
                "connect_timeout_ms",
                self.patience("mongodbConnectTimeout")?,
            ),
        ])
    }

    /// 0 is any free port, as for Go.
    fn port(&self) -> Result<u16, FieldError> {
        let name = "apiPort";
        let value = self.get(name).unwrap_or(&Value::Null);
        let port = value.as_u64().and_then(|port| u16::try_from(port).ok());
        let accepted = "a port to listen on, from 1 to 65535, such as 8070";
        port.ok_or_else(|| FieldError::new(name, value, accepted))
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

    /// How long a store may take to answer, in milliseconds. Copies of that fleet read it in seconds; a number that
    /// is too small for milliseconds is one of those.
    fn patience(&self, name: &str) -> Result<Option<Value>, FieldError> {
        let given = self.millis(name)?;
        Ok(given.map(|given| match given.as_u64() {
            Some(seconds) if seconds < SECONDS => (seconds * 1000).into(),
            _ => given,
        }))
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
        assert!(is_go(Path::new("worker"), canonical));
        assert!(is_go(Path::new("worker.json"), "no JSON at all"));
        assert!(!is_go(Path::new("worker.toml"), "[worker]"));
        let tree_of = |text| {
            let (tree, file) = tree(text).expect("read");
            assert_eq!(file, GoFile::Worker);
            tree
        };
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
    fn every_spelling_of_a_member_is_read() {
        let of = |members: &str| {
            let text = format!(
                "{{\"etcdEndpoints\": [\"a:1\"], \"mongodbUri\": \"mongodb://m\", {members}}}"
            );
            tree(&text).expect(members).0
        };
        for name in ["bashPath", "shellLocation", "execute_shell"] {
            for name in [name.to_owned(), name.to_lowercase(), name.to_uppercase()] {
                let read = of(&format!("\"{name}\": \"/bin/dash\""));
                assert_eq!(read["coordination"]["go"]["shell"], "/bin/dash", "{name}");
            }
        }
        for (name, section, setting) in [
            ("etcdDialTimeout", "coordination", "call_timeout_ms"),
            ("etcdDialTimeOut", "coordination", "call_timeout_ms"),
            ("mongodbConnectTimeout", "run_log", "connect_timeout_ms"),
            ("mongodbConnectTimeOut", "run_log", "connect_timeout_ms"),
        ] {
            for name in [name.to_owned(), name.to_lowercase(), name.to_uppercase()] {
                let read = of(&format!("\"{name}\": 1234"));
                assert_eq!(read[section][setting], 1234, "{name}");
            }
        }
        let read = of("\"etcdDialTimeout\": 5, \"mongodbConnectTimeOut\": 99");
        assert_eq!(read["coordination"]["call_timeout_ms"], 5_000, "seconds");
        assert_eq!(read["run_log"]["connect_timeout_ms"], 99_000, "seconds");
        // Bounds of queues and batches, which need none here, and what some copies add.
        let plain = of("\"日志\": \"comments are members too\"");
        for name in [
            "jobLogBatchSize",
            "jobLogCommitTimeout",
            "jogLogCommitTimeout",
            "memoryCache",
            "jobLogChanSize",
            "jobEventChanSize",
            "LogsProduction",
        ] {
            assert_eq!(of(&format!("\"{name}\": 10")), plain, "{name}");
        }
    }

    #[test]
    fn a_masters_file_is_told_by_its_members() {
        let text = r#"{"API接口服务端口": "提供任务增删改查服务", "APIPORT": 8070, "apireadtimeout": 4000, "apiWriteTimeout": 3000,
            "etcdEndpoints": ["192.0.2.10:2379"], "etcdDialTimeout": 5000, "webroot": "./webroot",
            "mongodbUri": "mongodb://192.0.2.10:27017", "MongodbConnectTimeOut": 2000}"#;
        let (read, file) = tree(text).expect("read");
        assert_eq!(file, GoFile::Master);
        assert_eq!(read["listen"], "0.0.0.0:8070");
        assert_eq!(
            read["go_api"],
            json!({ "read_timeout_ms": 4000, "write_timeout_ms": 3000 })
        );
        assert_eq!(read["coordination"]["beside_go"], true);
        assert_eq!(read["coordination"]["call_timeout_ms"], 5000);
        assert_eq!(read["coordination"]["register_as"], Value::Null);
        assert_eq!(read["run_log"]["connect_timeout_ms"], 2000);
        assert_eq!(read["worker"], Value::Null);
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
            (format!("{{{etcd}, {uri}, \"webroot\": \".\"}}"), "apiPort"),
            (format!("{{{etcd}, {uri}, \"apiPort\": 70000}}"), "apiPort"),
            (format!("{{{etcd}, \"apiPort\": 8070}}"), "mongodbUri"),
            (
                format!("{{{etcd}, {uri}, \"apiPort\": 1, \"apiWriteTimeout\": \"5s\"}}"),
                "apiWriteTimeout",
            ),
        ] {
            assert_eq!(tree(&text).expect_err(&text).field, field);
        }
    }
}
