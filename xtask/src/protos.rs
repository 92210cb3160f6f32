//! `cargo xtask protos`: writes etcd's protocol code anew into `backends/etcd/protos`, for the release of
//! `etcd-client` that `Cargo.lock` names.
//!
//! It builds that release outside of the workspace, where nothing stands in for the generator, with a `protoc`
//! from crates.io. So it needs a network, and nobody else does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::place::Place;
use crate::process;

/// The crate that holds the generated code.
const STAND_IN: &str = "backends/etcd/protos/src";

/// The crate whose protocol code it is.
const CLIENT: &str = "etcd-client";

/// The protobuf packages that the client includes.
const PACKAGES: &[&str] = &[
    "authpb",
    "etcdserverpb",
    "mvccpb",
    "v3electionpb",
    "v3lockpb",
];

/// Generates the code and says in the stand-in which release it was made for.
pub(crate) fn generate() -> Result<()> {
    let place = Place::find()?;
    let version = locked(&fs::read_to_string(place.root.join("Cargo.lock"))?)?;
    let scratch = place.target.join("protos");
    let protoc = scratch.join("protoc");
    let print =
        "fn main() { println!(\"{}\", protoc_bin_vendored::protoc_bin_path().unwrap().display()) }";
    scratch_crate(&protoc, "protoc-bin-vendored = \"3\"", print)?;
    let protoc = process::output(in_crate(&place, &protoc).args(["run", "--quiet"]))?;

    let client = scratch.join("client");
    let dependency = format!("{CLIENT} = {{ version = \"={version}\", default-features = false }}");
    scratch_crate(&client, &dependency, "fn main() {}")?;
    let mut build = in_crate(&place, &client);
    build.args(["build", "--message-format=json"]);
    let messages = process::output(build.env("PROTOC", protoc.trim()))?;
    let written = out_dir(&messages)?;

    let stand_in = place.root.join(STAND_IN);
    for package in PACKAGES {
        let code = fs::read_to_string(written.join(format!("{package}.rs")))
            .with_context(|| format!("{CLIENT} {version} no longer has {package}"))?;
        let target = stand_in.join(format!("generated/{package}.inc"));
        fs::write(target, without_comments(&code))?;
    }
    let lib = stand_in.join("lib.rs");
    fs::write(&lib, made_for(&fs::read_to_string(&lib)?, &version)?)?;
    println!("{STAND_IN} is made for {CLIENT} {version}");
    Ok(())
}

fn in_crate(place: &Place, folder: &Path) -> Command {
    let mut command = place.cargo(&[]);
    command
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", place.target.join("protos/target"));
    command
}

fn scratch_crate(folder: &Path, dependency: &str, main: &str) -> Result<()> {
    fs::create_dir_all(folder.join("src"))?;
    let manifest = format!(
        "[package]\nname = \"scratch\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n{dependency}\n"
    );
    fs::write(folder.join("Cargo.toml"), manifest)?;
    fs::write(folder.join("src/main.rs"), main)?;
    Ok(())
}

/// The client's version in a lock file.
fn locked(lock: &str) -> Result<String> {
    let name = format!("name = \"{CLIENT}\"");
    let line = lock.lines().skip_while(|line| *line != name).nth(1);
    let version = line.and_then(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    Ok(version
        .with_context(|| format!("Cargo.lock has no {CLIENT}"))?
        .to_owned())
}

/// Where the client's build script has written, from cargo's messages.
fn out_dir(messages: &str) -> Result<PathBuf> {
    for line in messages.lines() {
        let message: Value = serde_json::from_str(line)?;
        let member = |name| message.get(name).and_then(Value::as_str);
        let ran = member("reason") == Some("build-script-executed");
        if ran && member("package_id").is_some_and(|package| package.contains(CLIENT)) {
            let folder = member("out_dir").context("cargo names the folder")?;
            return Ok(PathBuf::from(folder));
        }
    }
    bail!("{CLIENT} has no build script any more: take the stand-in out of Cargo.toml")
}

/// The comments are etcd's documentation; here only the code is needed.
fn without_comments(code: &str) -> String {
    let kept = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("///"));
    kept.fold(String::new(), |all, line| all + line + "\n")
}

/// The stand-in's source, made for this release.
fn made_for(source: &str, version: &str) -> Result<String> {
    const BEFORE: &str = "const MADE_FOR: &str = \"";
    let (head, rest) = source
        .split_once(BEFORE)
        .context("the stand-in says what it is for")?;
    let (_, tail) = rest.split_once('"').context("the constant ends")?;
    Ok(format!("{head}{BEFORE}{CLIENT} {version}\"{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_read_and_written() {
        let lock = "[[package]]\nname = \"etcd-client\"\nversion = \"0.21.1\"\nsource = \"x\"\n";
        assert_eq!(locked(lock).unwrap(), "0.21.1");
        let source = "a\nconst MADE_FOR: &str = \"etcd-client 0.1.0\";\nb\n";
        let want = "a\nconst MADE_FOR: &str = \"etcd-client 0.2.0\";\nb\n";
        assert_eq!(made_for(source, "0.2.0").unwrap(), want);
    }

    #[test]
    fn only_code_is_kept() {
        let code = "/// What it is.\nstruct A {\n    /// A field.\n    a: u8,\n}\n";
        assert_eq!(without_comments(code), "struct A {\n    a: u8,\n}\n");
    }
}
