//! The Rust SDK as a new plugin gets it: its sources, with the contract, in a folder of the plugin, and the versions of what it
//! needs that this program's own plugins are built with. So a plugin builds with nothing but the public registry. And what stands
//! in for it in other languages: the contract, and the module that bindings of Go import.

use std::collections::BTreeSet;

use anyhow::Context as _;
use toml::{Table, Value};

/// Where it stands in the plugin's folder.
const FOLDER: &str = "vendor/sandclock-plugin-sdk";

macro_rules! sdk {
    ($($path:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../../../../plugins-sdk/", $path)))),+]
    };
}

/// All of the SDK but its manifest and its tests.
const SDK: &[(&str, &str)] = sdk![
    "src/adapter.rs",
    "src/alert.rs",
    "src/bindings.rs",
    "src/clock.rs",
    "src/config.rs",
    "src/host.rs",
    "src/http.rs",
    "src/kv.rs",
    "src/lib.rs",
    "src/log.rs",
    "src/mock/effects.rs",
    "src/mock/host.rs",
    "src/mock/mod.rs",
    "src/mock/schema.rs",
    "src/mock/stream.rs",
    "src/redaction.rs",
    "src/rules/automata.rs",
    "src/rules/begins.rs",
    "src/rules/machine.rs",
    "src/rules/mod.rs",
    "src/rules/pattern.rs",
    "src/rules/prebuild.rs",
    "src/rules/prebuilt.rs",
    "src/rules/scan.rs",
    "src/rules/tests.rs",
    "src/rules/walk.rs",
    "src/timeout.rs",
    "wit/plugin.wit",
];

macro_rules! go {
    ($($path:literal),+ $(,)?) => {
        &[$((
            concat!("vendor/", $path),
            include_str!(concat!("../../../../examples/plugins/languages/go/vendor/", $path)),
        )),+]
    };
}

/// What bindings of Go import, so that a build fetches nothing.
pub(super) const GO: &[(&str, &str)] = go![
    "go.bytecodealliance.org/pkg/LICENSE",
    "go.bytecodealliance.org/pkg/wit/async/async.go",
    "go.bytecodealliance.org/pkg/wit/async/empty.s",
    "go.bytecodealliance.org/pkg/wit/runtime/empty.s",
    "go.bytecodealliance.org/pkg/wit/runtime/runtime.go",
    "go.bytecodealliance.org/pkg/wit/types/future.go",
    "go.bytecodealliance.org/pkg/wit/types/option.go",
    "go.bytecodealliance.org/pkg/wit/types/result.go",
    "go.bytecodealliance.org/pkg/wit/types/stream.go",
    "go.bytecodealliance.org/pkg/wit/types/tuple.go",
    "go.bytecodealliance.org/pkg/wit/types/unit.go",
    "modules.txt",
];

/// The contract, for languages without an SDK.
pub(super) const CONTRACT: &str = include_str!("../../../../plugins-sdk/wit/plugin.wit");
const MANIFEST: &str = include_str!("../../../../plugins-sdk/Cargo.toml");
const WORKSPACE: &str = include_str!("../../../../Cargo.toml");
const LOCK: &str = include_str!("../../../../examples/plugins/Cargo.lock");

/// The SDK's files and the lock file, by their paths in the plugin's folder.
///
/// # Errors
/// If the SDK is not what this expects, which no user can cause.
pub(super) fn files() -> anyhow::Result<Vec<(String, String)>> {
    let own = |(path, text): &(&str, &str)| (format!("{FOLDER}/{path}"), (*text).to_owned());
    let mut files: Vec<_> = SDK.iter().map(own).collect();
    files.push((format!("{FOLDER}/Cargo.toml"), manifest()?));
    files.push(("Cargo.lock".to_owned(), lock()?));
    Ok(files)
}

/// The SDK's manifest outside of its workspace: what it inherits is written out, and what only its tests need is left out.
fn manifest() -> anyhow::Result<String> {
    let mut manifest: Table = MANIFEST.parse()?;
    let workspace: Table = WORKSPACE.parse()?;
    let inherited = workspace["workspace"]["package"].as_table();
    let inherited = inherited.context("the workspace has a [package]")?;
    for table in ["lints", "dev-dependencies"] {
        manifest.remove(table);
    }
    let package = manifest["package"].as_table_mut();
    for (key, value) in package.context("the SDK has a [package]")? {
        if value.get("workspace").is_some() {
            *value = inherited.get(key).context("the workspace has it")?.clone();
        }
    }
    let from = format!("# The SDK of Sandclock {}.\n", crate::VERSION);
    Ok(from + &toml::to_string(&manifest)?)
}

/// The lock file of this program's own plugins, reduced to the SDK and what it needs. Cargo adds the plugin.
fn lock() -> anyhow::Result<String> {
    let mut lock: Table = LOCK.parse()?;
    let packages = lock["package"].as_array_mut();
    let packages = packages.context("the lock file has packages")?;
    let mut wanted = BTreeSet::from(["sandclock-plugin-sdk".to_owned()]);
    loop {
        let before = wanted.len();
        let known = |package: &&Value| wanted.contains(&name(package));
        let needed: Vec<_> = packages.iter().filter(known).flat_map(needs).collect();
        wanted.extend(needed);
        if wanted.len() == before {
            break;
        }
    }
    packages.retain(|package| wanted.contains(&name(package)));
    Ok(toml::to_string(&lock)?)
}

fn name(package: &Value) -> String {
    package["name"].as_str().unwrap_or_default().to_owned()
}

/// What a package of a lock file needs, by name; a version may follow behind the name.
fn needs(package: &Value) -> Vec<String> {
    let needs = package.get("dependencies").and_then(Value::as_array);
    let needs = needs.into_iter().flatten().filter_map(Value::as_str);
    needs
        .filter_map(|need| need.split(' ').next())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn all_that_go_imports_comes_along() {
        let vendor = "../examples/plugins/languages/go/vendor";
        let mut there = Vec::new();
        walk(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join(vendor),
            "vendor/",
            &mut there,
        );
        there.sort();
        let ours: Vec<_> = GO.iter().map(|(path, _)| *path).collect();
        assert_eq!(ours, there, "the table of the vendored files");
        let template = include_str!("templates/go/go.mod.txt");
        let required = wit_bindgen_go::remote_pkg_version();
        assert!(template.contains(&required), "{required}");
    }

    fn walk(folder: &Path, prefix: &str, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                walk(&entry.path(), &format!("{path}/"), found);
            } else {
                found.push(path);
            }
        }
    }

    #[test]
    fn all_of_the_sdk_comes_along() {
        let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins-sdk");
        let mut there = Vec::new();
        for folder in ["src", "wit"] {
            walk(&sdk.join(folder), &format!("{folder}/"), &mut there);
        }
        there.sort();
        let ours: Vec<_> = SDK.iter().map(|(path, _)| *path).collect();
        assert_eq!(ours, there, "the table of the SDK's files");
    }

    #[test]
    fn the_sdk_inherits_nothing_and_its_needs_are_locked() {
        let manifest = manifest().unwrap();
        assert!(manifest.contains("edition = \"2024\""), "{manifest}");
        assert!(!manifest.contains("workspace"), "{manifest}");
        let lock = lock().unwrap();
        for (package, locked) in [
            ("wit-bindgen", true),
            ("serde_json", true),
            ("webhook-alert", false),
        ] {
            let entry = format!("name = \"{package}\"");
            assert_eq!(lock.contains(&entry), locked, "{package}");
        }
    }
}
