//! What `sandclock plugin` does for authors who do not write Rust: in each language and for each hook, a new plugin builds and its
//! cases hold; and what is refused on the way.
//!
//! `cargo xtask tools` installs the languages' tools.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use sandclock_testkit::languages::with_toolchains;
use serde_json::{Value, json};

use crate::author::{command, empty, json_of, out, refused};
use crate::product::PROGRAM;

/// A plugin command in a folder, where the languages' tools are found.
fn author(folder: &Path, args: &[&str]) -> Output {
    let args: Vec<_> = ["plugin"].iter().chain(args).copied().collect();
    let mut command = command(PROGRAM, folder, &args);
    with_toolchains(&mut command).output().unwrap()
}

/// Words and a token that overlap, of which every byte is hidden.
const OVERLAPPING: &str = r#"hook = "output-redaction"
config = { words = ["secretA", "Asecond", "tok_0123456789abcdef-more"] }
input = "secretAsecond, tok_0123456789abcdef-more, secretAtok_0123456789abcdef"
[expect]
output = "[redacted:word], [redacted:token], [redacted:word][redacted:token]"
"#;

/// Makes a new plugin for each hook, builds it and runs its cases, all of which hold.
fn built_and_tested(lang: &str, hooks: &[&str]) -> PathBuf {
    let place = empty(lang);
    for hook in hooks {
        let name = format!("{lang}-{hook}");
        let new = ["new", &name, "--lang", lang, "--hook", hook];
        out(&author(&place, &new));
        let said = out(&author(&place, &["build", &name]));
        let built = format!("built   {name}/{name}.wasm");
        assert!(said.contains(&built), "{said}");
        let mut cases = 3;
        if *hook == "redaction" {
            let case = place.join(&name).join("cases/overlapping.toml");
            fs::write(case, OVERLAPPING).unwrap();
            cases += 1;
        }
        let tested = author(&place, &["test", &name, "--output", "json"]);
        let tested = json_of(&tested);
        let held = (&tested["held"], &tested["failed"]);
        assert_eq!(held, (&json!(cases), &json!(0)), "{tested}");
    }
    place
}

#[test]
fn javascript_from_an_empty_folder_to_cases_that_hold() {
    let place = built_and_tested("js", &["timeout", "redaction", "alert"]);
    let package = fs::read_to_string(place.join("js-alert/package.json")).unwrap();
    let package: Value = serde_json::from_str(&package).unwrap();
    let example = include_str!("../../../examples/plugins/languages/js/package.json");
    let example: Value = serde_json::from_str(example).unwrap();
    assert_eq!(package["devDependencies"], example["devDependencies"]);
}

#[test]
fn python_from_an_empty_folder_to_cases_that_hold() {
    built_and_tested("python", &["timeout", "redaction", "alert"]);
}

#[test]
fn javascript_that_cannot_be_built_is_told_where_and_why() {
    let place = empty("javascript-refusals");
    out(&author(
        &place,
        &["new", "mine", "--lang", "js", "--hook", "alert"],
    ));
    let folder = place.join("mine");
    let build = || refused(&author(&place, &["build", "mine"]));

    fs::write(folder.join("plugin.js"), "export const runEnd = ;\n").unwrap();
    let told = build();
    assert!(
        told.contains("/plugin.js:1:") && told.contains("componentize-qjs cannot build mine"),
        "{told}"
    );
    fs::write(folder.join("package.json"), "{ \"main\": \"nowhere.js\" }").unwrap();
    let told = build();
    assert!(
        told.contains(
            "mine/package.json: main: \"nowhere.js\" is not accepted: the plugin's source"
        ),
        "{told}"
    );
    fs::remove_file(folder.join("wit/world.wit")).unwrap();
    let told = build();
    assert!(told.contains("mine/wit/world.wit is missing"), "{told}");
}

/// Without the language's tool on the path.
fn without_tools(lang: &str) -> String {
    let place = empty(&format!("{lang}-without-tools"));
    out(&author(
        &place,
        &["new", "mine", "--lang", lang, "--hook", "timeout"],
    ));
    let mut build = command(PROGRAM, &place, &["plugin", "build", "mine"]);
    refused(&build.env("PATH", &place).output().unwrap())
}

#[test]
fn a_missing_tool_of_a_language_is_told_with_what_mends_it() {
    let told = without_tools("js");
    let expected = "componentize-qjs is not installed: npm install in the plugin's folder";
    assert!(told.contains(expected), "{told}");
    let told = without_tools("python");
    let expected = "componentize-py is not installed: pip install -r requirements.txt in the";
    assert!(told.contains(expected), "{told}");
}
