//! `cargo xtask plugins`: builds the standard plugins into `examples/plugins/artifacts`, and shows that what is committed there is
//! what the sources say. It also writes what other programs generate for plugins of other languages.
//!
//! The artifacts are committed so that nobody needs a wasm target to build the product. What keeps them honest is a
//! record beside them: the SHA-256 of each artifact and of each file that it is made of. The build takes no path and no time
//! into its output, so the same compiler makes the same bytes anywhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::place::{self, Place};
use crate::process;
use crate::tidy::tree::{self, Finding};

const TARGET: &str = "wasm32-unknown-unknown";
const WORKSPACE: &str = "examples/plugins";
const ARTIFACTS: &str = "examples/plugins/artifacts";
const RECORD: &str = "examples/plugins/artifacts/artifacts.toml";
const SDK: &str = "plugins-sdk";
const REMEDY: &str = "run `cargo xtask plugins` and commit what it writes";

/// What the artifacts are, and what they are made of: SHA-256 by path from the root.
#[derive(Debug, Default, PartialEq, Eq)]
struct Record {
    artifacts: BTreeMap<String, String>,
    inputs: BTreeMap<String, String>,
}

/// Builds every standard plugin and writes the record.
pub(crate) fn build() -> Result<()> {
    let place = Place::find()?;
    let target_dir = place.target.join("plugins");
    let workspace = place.root.join(WORKSPACE);
    let plugins = plugins(&workspace)?;
    let mut cargo = place.cargo(&["build", "--release", "--locked", "--target", TARGET]);
    cargo.args(plugins.iter().flat_map(|plugin| ["--package", plugin]));
    cargo
        .current_dir(&workspace)
        .env("CARGO_TARGET_DIR", &target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(&place.root)?);
    process::run(&mut cargo)
        .with_context(|| format!("if the target is missing: `rustup target add {TARGET}`"))?;
    fs::create_dir_all(place.root.join(ARTIFACTS))?;
    for plugin in plugins {
        let built = target_dir.join(TARGET).join("release");
        let built = built.join(format!("{}.wasm", plugin.replace('-', "_")));
        let bytes = fs::read(&built).with_context(|| format!("reading {}", built.display()))?;
        println!("{plugin}: {} bytes, sha256 {}", bytes.len(), sha256(&bytes));
        fs::write(
            place.root.join(ARTIFACTS).join(format!("{plugin}.wasm")),
            bytes,
        )?;
    }
    fs::write(
        place.root.join(RECORD),
        Record::of_tree(&place.root)?.to_toml(),
    )?;
    generate(&place)
}

/// Writes what the host's tests would otherwise compare with what their generators make: the stand-in for WASI, and the bindings of
/// the examples in other languages.
fn generate(place: &Place) -> Result<()> {
    // The whole workspace, so that nothing is compiled with other features than for the tests.
    let mut command = place.cargo(&["test", "--locked", "--workspace", "--test", "it"]);
    command
        .args(["--", "generated::"])
        .env("SANDCLOCK_GENERATE", "1");
    process::run(&mut command)
}

/// What in the tree at `root` is not as recorded.
pub(crate) fn verify(root: &Path) -> Result<Vec<Finding>> {
    let recorded = match fs::read_to_string(root.join(RECORD)) {
        Ok(text) => Record::parse(&text)?,
        Err(_) => {
            return Ok(vec![Finding::new(
                RECORD,
                0,
                format!("is missing: {REMEDY}"),
            )]);
        }
    };
    Ok(Record::of_tree(root)?.differences(&recorded))
}

/// Flags that keep this machine's folders out of the output.
fn rustflags(root: &Path) -> Result<String> {
    let mut rustc =
        std::process::Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let sysroot = process::output(rustc.args(["--print", "sysroot"]))?;
    let home = std::env::var_os("CARGO_HOME").map(std::path::PathBuf::from);
    let home = home
        .or_else(|| Some(std::env::home_dir()?.join(".cargo")))
        .context("no home folder")?;
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let flags = [
        remap(Path::new(sysroot.trim()), "/rust"),
        remap(&home, "/cargo"),
        remap(root, "/sandclock"),
    ];
    // The separator of CARGO_ENCODED_RUSTFLAGS, which unlike a space may not be part of a path.
    Ok(flags.join("\u{1f}"))
}

/// The names of the plugins: the members of their workspace that become a module.
fn plugins(workspace: &Path) -> Result<Vec<String>> {
    let metadata = place::metadata(workspace)?;
    let packages = metadata
        .get("packages")
        .and_then(serde_json::Value::as_array);
    let module = |package: &&serde_json::Value| {
        let kind = package.pointer("/targets/0/crate_types/0");
        kind.is_some_and(|kind| kind == "cdylib")
    };
    let packages = packages.context("cargo metadata lists packages")?;
    let packages = packages.iter().filter(module);
    let names = packages.map(|package| {
        let name = package.get("name").and_then(serde_json::Value::as_str);
        name.map(str::to_owned).context("a package has a name")
    });
    names.collect()
}

/// Whether an artifact depends on the file. Tests and the native test harness are not compiled for wasm, and prose is not
/// compiled at all.
fn is_input(path: &str) -> bool {
    let ours = path
        .strip_prefix(WORKSPACE)
        .or_else(|| path.strip_prefix(SDK));
    let Some(path) = ours.and_then(|rest| rest.strip_prefix('/')) else {
        return false;
    };
    let test = path.ends_with("/tests.rs")
        || format!("/{path}").contains("/tests/")
        || path.starts_with("src/mock/");
    let kind = [".rs", ".wit", ".toml", ".lock"]
        .iter()
        .any(|kind| path.ends_with(kind));
    kind && !test && !path.starts_with("artifacts/")
}

impl Record {
    fn of_tree(root: &Path) -> Result<Self> {
        let mut record = Self::default();
        for path in tree::paths(root)? {
            let artifact = path.starts_with(ARTIFACTS) && path.ends_with(".wasm");
            if !artifact && !is_input(&path) {
                continue;
            }
            let bytes = fs::read(root.join(&path)).with_context(|| format!("reading {path}"))?;
            let list = if artifact {
                &mut record.artifacts
            } else {
                &mut record.inputs
            };
            list.insert(path, sha256(&bytes));
        }
        Ok(record)
    }

    fn parse(text: &str) -> Result<Self> {
        let table: toml::Table = text.parse().with_context(|| format!("reading {RECORD}"))?;
        let list = |name: &str| -> Result<BTreeMap<String, String>> {
            let entries = table.get(name).and_then(toml::Value::as_table);
            let entries = entries.with_context(|| format!("{RECORD} has no [{name}]"))?;
            let hash = |value: &toml::Value| value.as_str().unwrap_or_default().to_owned();
            Ok(entries
                .iter()
                .map(|(path, value)| (path.clone(), hash(value)))
                .collect())
        };
        Ok(Self {
            artifacts: list("artifacts")?,
            inputs: list("inputs")?,
        })
    }

    fn to_toml(&self) -> String {
        let mut text = String::from(
            "# SHA-256 of the built plugins and of what they are made of. Written by `cargo xtask plugins`.\n",
        );
        for (name, list) in [("artifacts", &self.artifacts), ("inputs", &self.inputs)] {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "\n[{name}]");
            for (path, hash) in list {
                let _ = writeln!(text, "\"{path}\" = \"{hash}\"");
            }
        }
        text
    }

    fn differences(&self, recorded: &Self) -> Vec<Finding> {
        let lists = [
            (&self.artifacts, &recorded.artifacts),
            (&self.inputs, &recorded.inputs),
        ];
        let mut found = Vec::new();
        for (now, then) in lists {
            let paths = now
                .keys()
                .chain(then.keys().filter(|path| !now.contains_key(*path)));
            for path in paths.filter(|path| now.get(*path) != then.get(*path)) {
                let what = match (now.contains_key(path), then.contains_key(path)) {
                    (true, true) => "differs from the record of the built plugins",
                    (true, false) => "is not in the record of the built plugins",
                    (false, _) => "is recorded for the built plugins, but missing",
                };
                found.push(Finding::new(path, 0, format!("{what}: {REMEDY}")));
            }
        }
        found
    }
}

fn sha256(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(artifact: &str, input: &str) -> Record {
        let one = |path: &str, hash: &str| BTreeMap::from([(path.to_owned(), hash.to_owned())]);
        Record {
            artifacts: one("examples/plugins/artifacts/a.wasm", artifact),
            inputs: one("plugins-sdk/wit/plugin.wit", input),
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() -> Result<()> {
        let written = record("aa", "bb");
        assert_eq!(Record::parse(&written.to_toml())?, written);
        Ok(())
    }

    #[test]
    fn a_changed_added_or_missing_file_is_found() {
        let recorded = record("aa", "bb");
        assert_eq!(record("aa", "bb").differences(&recorded), []);
        assert_eq!(record("a0", "bb").differences(&recorded).len(), 1);
        assert_eq!(record("aa", "b0").differences(&recorded).len(), 1);
        assert_eq!(Record::default().differences(&recorded).len(), 2);
        assert_eq!(recorded.differences(&Record::default()).len(), 2);
    }

    #[test]
    fn inputs_are_what_is_compiled_for_wasm() {
        let inputs = [
            "plugins-sdk/wit/plugin.wit",
            "plugins-sdk/src/rules/mod.rs",
            "examples/plugins/Cargo.lock",
            "examples/plugins/redact-secrets/src/lib.rs",
        ];
        assert!(inputs.iter().all(|path| is_input(path)));
        let others = [
            "plugins-sdk/src/mock/mod.rs",
            "plugins-sdk/tests/it/main.rs",
            "examples/plugins/redact-secrets/src/tests.rs",
            "examples/plugins/redact-secrets/README.md",
            "examples/plugins/artifacts/artifacts.toml",
            "core/src/lib.rs",
            "plugins-sdk-other/src/lib.rs",
        ];
        assert!(!others.iter().any(|path| is_input(path)));
    }
}
