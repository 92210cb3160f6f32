//! What a plugin's author does, from an empty folder: new, build, check, test, bench, push, and a job that uses it; and what is
//! refused on the way.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the binary as a user does"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};

use crate::product::{PROGRAM, Product};

/// An empty place for the plugins of a test. What cargo makes of all of them is kept in one folder, so that the SDK's
/// dependencies are compiled once.
pub(crate) fn empty(test: &str) -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("author")
        .join(test);
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).unwrap();
    place
}

fn shared_target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("author/target")
}

pub(crate) fn command(program: &str, folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", shared_target());
    command
}

/// A file without a manifest.
fn standard_plugin() -> PathBuf {
    let artifacts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/plugins/artifacts");
    artifacts.join("timeout-ladder.wasm")
}

/// A plugin command in a folder, without a server.
fn author(folder: &Path, args: &[&str]) -> Output {
    let args: Vec<_> = ["plugin"].iter().chain(args).copied().collect();
    command(PROGRAM, folder, &args).output().unwrap()
}

pub(crate) fn out(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What a command says that fails.
pub(crate) fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub(crate) fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// The blocks of the document in this language.
fn blocks(language: &str) -> Vec<&'static str> {
    let document = include_str!("../../../docs/plugins.md");
    let opening = format!("```{language}\n");
    let blocks = document.split(&opening).skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

/// The cases that the document shows, and the hooks of the templates that they hold for.
fn documented_cases() -> Vec<(&'static str, &'static str)> {
    let hooks = [
        ("hook = \"timeout-policy\"", "timeout"),
        ("hook = \"output-redaction\"", "redaction"),
        ("hook = \"run-end\"", "alert"),
        ("hook = \"lifecycle\"", "timeout"),
    ];
    let case = |block: &'static str| {
        let mut hooks = hooks.iter();
        let (_, hook) = hooks.find(|(begin, _)| block.starts_with(begin))?;
        Some((*hook, block))
    };
    let cases: Vec<_> = blocks("toml").into_iter().filter_map(case).collect();
    assert_eq!(cases.len(), hooks.len());
    cases
}

/// Does what the document tells a new author to do; answers where that led.
fn follow_the_tutorial(place: &Path, product: &Product) -> PathBuf {
    let mut folder = place.to_owned();
    let mut done = Vec::new();
    for line in blocks("sh")[0].lines() {
        let typed = line.split('#').next().unwrap();
        let words: Vec<_> = typed.split_whitespace().collect();
        match words.as_slice() {
            ["cd", to] => folder = folder.join(to),
            ["sandclock", args @ ..] => {
                let mut typed = command(PROGRAM, &folder, args);
                let typed = typed.env("SANDCLOCK_URL", &product.url);
                out(&typed
                    .env("SANDCLOCK_TOKEN", &product.token)
                    .output()
                    .unwrap());
                done.push(args[1]);
            }
            _ => panic!("{line}"),
        }
    }
    assert_eq!(done, ["new", "build", "check", "test", "bench", "push"]);
    folder
}

/// Makes a new plugin and builds it.
pub(crate) fn new_and_built(place: &Path, name: &str, hook: &str) -> PathBuf {
    let folder = new_from_template(place, name, hook);
    build_again(place, name);
    folder
}

/// Makes a new plugin in Rust.
pub(crate) fn new_from_template(place: &Path, name: &str, hook: &str) -> PathBuf {
    out(&author(
        place,
        &["new", name, "--lang", "rust", "--hook", hook],
    ));
    place.join(name)
}

pub(crate) fn build_again(place: &Path, name: &str) {
    let said = out(&author(place, &["build", name]));
    assert!(said.contains("sha256"), "{said}");
}

/// What the tools say of the built redactor, twice the same.
fn checked_and_tested(folder: &Path) {
    let checked = ["check", "hide-names.wasm", "--output", "json"];
    let checked = json_of(&author(folder, &checked));
    assert_eq!(checked["installs"], true);
    assert_eq!(checked["hooks"], json!(["output-redaction", "lifecycle"]));
    assert_eq!(checked["manifest"]["plugin"]["version"], "0.1.0");
    assert_eq!(checked["config_members"][0]["name"], "words");
    assert_eq!(
        checked["manifest"]["config"]["schema"]["additionalProperties"],
        false
    );
    assert_eq!(checked["limits"]["memory_bytes"], 16 << 20);

    let tested = json_of(&author(folder, &["test", "--output", "json"]));
    let held = (&tested["held"], &tested["failed"]);
    assert_eq!(held, (&json!(3), &json!(0)), "{tested}");
    let words = &tested["cases"][1];
    assert_eq!(words["case"], "words");
    let input = fs::read_to_string(folder.join("cases/words.toml")).unwrap();
    let input = input.split("\"\"\"\n").nth(1).unwrap();
    assert_eq!(words["chunkings"]["splits"], input.len() - 1);
    assert_eq!(words["chunkings"]["random"], 1000);
    let again = ["test", "hide-names.wasm", "--output", "json"];
    let again = json_of(&author(folder, &again));
    assert_eq!(again["cases"], tested["cases"], "with the fuel of each");
}

#[tokio::test(flavor = "multi_thread")]
async fn from_an_empty_folder_to_a_job() {
    let product = Product::start(&["--no-examples"]);
    let folder = follow_the_tutorial(&empty("whole"), &product);
    checked_and_tested(&folder);
    let file = folder.join("hide-names.wasm");
    let file = file.to_str().unwrap();
    let job = json!({
        "command": "echo the internal name and tok_0123456789abcdefABCD",
        "hooks": [{ "plugin": "hide-names", "config": { "words": ["internal"] } }],
    });
    product.put_job("prints", &job).await;
    let run = product.start_run("prints").await;
    product.ended(&run).await;
    let printed = product.text(&format!("/runs/{run}/output")).await;
    assert_eq!(printed, "the [redacted:word] name and [redacted:token]\n");
    let listed = product.get("/plugins").await;
    let mut listed = listed["items"].as_array().unwrap().iter();
    let listed = listed
        .find(|plugin| plugin["name"] == "hide-names")
        .unwrap();
    let description = "Hides tokens and configured words in the output of runs";
    assert_eq!(listed["description"], description);

    let refusals = [
        (
            "--version",
            "9",
            "names the version 0.1.0, which cannot be released as 9",
        ),
        (
            "--name",
            "other",
            "names the plugin hide-names, which cannot be installed as other",
        ),
    ];
    for (flag, value, expected) in refusals {
        let told = refused(&product.cli(&["plugin", "push", file, flag, value]));
        assert!(told.contains(expected), "{told}");
    }
    let standard = standard_plugin();
    let told = refused(&product.cli(&["plugin", "push", standard.to_str().unwrap()]));
    assert!(
        told.contains("has no manifest that names a version: say --version"),
        "{told}"
    );
    let folder = folder.to_str().unwrap();
    for (what, of) in [("check", file), ("test", folder)] {
        narrow(&product.on_a_terminal(&["plugin", what, of]));
    }
}

/// What a terminal of 80 columns gets.
fn narrow(shown: &str) {
    assert!(!shown.is_empty());
    for line in shown.lines() {
        let bare = line.replace("\u{1b}[31m", "").replace("\u{1b}[0m", "");
        assert!(bare.trim_end().chars().count() <= 80, "{line}");
    }
}

#[test]
fn every_template_builds_and_its_own_tests_pass() {
    let place = empty("templates");
    for (hook, name) in [
        ("timeout", "limits"),
        ("redaction", "hides"),
        ("alert", "tells"),
    ] {
        let folder = new_and_built(&place, name, hook);
        let mut cases = 3;
        for (at, (_, case)) in documented_cases()
            .iter()
            .enumerate()
            .filter(|(_, (of, _))| *of == hook)
        {
            fs::write(folder.join(format!("cases/documented-{at}.toml")), case).unwrap();
            cases += 1;
        }
        let said = out(&author(&folder, &["test"]));
        assert!(
            said.ends_with(&format!("all {cases} cases hold\n")),
            "{said}"
        );
        out(&command("cargo", &folder, &["fmt", "--check"])
            .output()
            .unwrap());
        let native = command("cargo", &folder, &["test", "--locked"])
            .output()
            .unwrap();
        let said = out(&native);
        assert!(said.contains("test result: ok. 2 passed"), "{said}");
    }
    let folder = place.join("limits");
    let elsewhere = new_and_built(&empty("templates-elsewhere"), "limits", "timeout");
    let module = |folder: &Path| fs::read(folder.join("limits.wasm")).unwrap();
    assert!(
        module(&folder) == module(&elsewhere),
        "the same sources are the same bytes"
    );
    let args = ["bench", "--compare", "limits.wasm", "--output", "json"];
    let figures = json_of(&author(&folder, &args));
    let named = |figures: &Value| -> Vec<String> {
        let figures = figures.as_array().unwrap().iter();
        figures
            .map(|figure| figure["figure"].as_str().unwrap().to_owned())
            .collect()
    };
    let expected = [
        "size",
        "compile",
        "memory",
        "timeout-policy cold p50",
        "timeout-policy cold p99",
        "timeout-policy warm p50",
        "timeout-policy warm p99",
    ];
    assert_eq!(named(&figures["figures"]), expected);
    assert_eq!(named(&figures["compared"]["figures"]), expected);
    assert_eq!(figures["figures"][3]["limit"], 10_000.0, "the manifest's");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_long_fails_its_case_and_is_red_in_its_bench() {
    let place = empty("slow");
    let folder = new_and_built(&place, "slow", "timeout");
    let source = folder.join("src/lib.rs");
    let text = fs::read_to_string(&source).unwrap();
    let spin = "for turn in 0..50_000_000_u32 { core::hint::black_box(turn); }";
    let slow = text.replace(
        "let Settings { factor } = config::all()?;",
        &format!("{spin}\n        let Settings {{ factor }} = config::all()?;"),
    );
    assert_ne!(text, slow);
    fs::write(&source, slow).unwrap();
    // Clocks of files may stand for some milliseconds.
    let module = fs::File::open(folder.join("slow.wasm")).unwrap();
    let built = module.metadata().unwrap().modified().unwrap();
    module.set_modified(built - Duration::from_secs(1)).unwrap();
    let stale = author(&folder, &["test"]);
    assert!(stale.status.success(), "{stale:?}");
    let told = String::from_utf8(stale.stderr).unwrap();
    assert!(
        told.contains("src/lib.rs is newer than slow.wasm: sandclock plugin build"),
        "{told}"
    );

    out(&author(&folder, &["build"]));
    let output = author(&folder, &["test"]);
    refused(&output);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(
        shown.contains("history: error\n  expected  nothing\n  found     \"deadline: "),
        "{shown}"
    );
    let product = Product::start(&["--no-examples"]);
    let folder = folder.to_str().unwrap();
    let shown = product.on_a_terminal(&["plugin", "bench", folder]);
    let red = |line: &str| line.starts_with("\u{1b}[31mtimeout-policy cold p50");
    assert!(shown.lines().any(red), "{shown}");
    narrow(&shown);
    let piped = out(&product.cli(&["plugin", "bench", folder]));
    assert!(
        !piped.contains('\u{1b}') && piped.contains("timeout-policy cold p50"),
        "{piped}"
    );
}

#[test]
fn a_case_that_does_not_hold_shows_what_was_found() {
    let place = empty("cases");
    fs::copy(standard_plugin(), place.join("ladder.wasm")).unwrap();
    let cases = place.join("cases");
    fs::create_dir(&cases).unwrap();
    let nothing = refused(&author(&place, &["test", "ladder.wasm"]));
    assert!(
        nothing.contains("cases holds no case: write NAME.toml there"),
        "{nothing}"
    );
    let case =
        "hook = \"timeout-policy\"\ndeclared_ms = 5000\n[expect]\nlimit_ms = 7\nwarn_ms = 4000\n";
    fs::write(cases.join("wrong.toml"), case).unwrap();
    let output = author(&place, &["test", "ladder.wasm"]);
    let told = refused(&output);
    assert!(told.ends_with("1 of 1 cases do not hold\n"), "{told}");
    let shown = String::from_utf8(output.stdout).unwrap();
    let expected = "wrong: limit_ms\n  expected  7\n  found     5000\n";
    assert!(
        shown.contains(expected) && !shown.contains("warn_ms"),
        "{shown}"
    );

    let faults = [
        (
            "hook = \"before\"\n",
            "line 1: hook: \"before\" is not accepted: one of timeout-policy, output-",
        ),
        ("input = \"x\"\n", "hook: nothing is not accepted: one of"),
        (
            "hook = \"timeout-policy\"\n[run]\nscheduled_at = \"soon\"\n[expect]\n",
            "line 3: run.scheduled_at: \"soon\" is not accepted: an instant such as 2026-11-20T18:00:00Z",
        ),
        (
            "hook = \"timeout-policy\"\n[expect]\nlimit = 3\n",
            "line 3: expect.limit: 3 is not accepted: there is no such field; known are keeps, limit_ms",
        ),
        (
            "hook = \"run-end\"\n[end]\nstate = \"over\"\n[expect]\n",
            "line 3: end.state: \"over\" is not accepted: one of succeeded, failed",
        ),
    ];
    for (text, expected) in faults {
        fs::write(cases.join("wrong.toml"), text).unwrap();
        let told = refused(&author(&place, &["test", "ladder.wasm"]));
        assert!(
            told.contains("wrong.toml") && told.contains(expected),
            "{told}"
        );
    }
}

#[test]
fn what_cannot_be_made_is_refused() {
    let place = empty("refusals");
    out(&author(&place, &["new", "mine", "--hook", "alert"]));
    let again = refused(&author(&place, &["new", "mine", "--hook", "alert"]));
    assert!(
        again.contains("mine is there already, and nothing is overwritten"),
        "{again}"
    );
    let name = refused(&author(&place, &["new", "Mine!", "--hook", "alert"]));
    assert!(
        name.contains("name: Mine! is not accepted: 1 to 64 small letters"),
        "{name}"
    );
    let usage = author(&place, &["new", "other", "--hook", "lunch"]);
    assert_eq!(usage.status.code(), Some(2), "{usage:?}");
    let nowhere = refused(&author(&place, &["build"]));
    assert!(nowhere.contains("has no plugin.toml"), "{nowhere}");
    let unbuilt = refused(&author(&place, &["test", "mine"]));
    assert!(
        unbuilt.contains("mine.wasm is not built: sandclock plugin build mine"),
        "{unbuilt}"
    );
}

#[test]
fn a_folder_that_cannot_be_built_is_told_where_and_why() {
    let place = empty("unbuildable");
    out(&author(&place, &["new", "mine", "--hook", "alert"]));
    let manifest = place.join("mine/plugin.toml");
    let about = "[plugin]\nname = \"mine\"\nversion = \"1\"\n";
    let faults = [
        (
            "[capabilities]\nfiles = true\n",
            "line 5: capabilities.files: true is not accepted: there is no such field",
        ),
        (
            "[capabilities]\nhttp = [\"https://x\"]\n",
            "line 5: capabilities.http: [\"https://x\"] is not accepted: names of targets",
        ),
        (
            "[limits]\nmemory = \"1TB\"\n",
            "line 5: limits.memory: \"1TB\" is not accepted: a number of bytes",
        ),
        (
            "[hooks]\nbefore-run = {}\n",
            "line 5: hooks.before-run: {} is not accepted: there is no such field",
        ),
        (
            "[config]\nschemata = {}\n",
            "line 5: config.schemata: {} is not accepted: there is no such field",
        ),
        (
            "api = \"0.2\"\n",
            "line 4: plugin.api: \"0.2\" is not accepted: 0.1, the track",
        ),
    ];
    for (more, expected) in faults {
        fs::write(&manifest, format!("{about}{more}")).unwrap();
        let told = refused(&author(&place, &["build", "mine"]));
        assert!(
            told.contains("mine/plugin.toml, ") && told.contains(expected),
            "{told}"
        );
    }
    fs::write(&manifest, about).unwrap();
    fs::write(place.join("mine/src/lib.rs"), "compile_error!(\"no\");\n").unwrap();
    let broken = refused(&author(&place, &["build", "mine"]));
    assert!(
        broken.contains("error: no") && broken.contains("cargo cannot build mine"),
        "{broken}"
    );
    fs::remove_file(place.join("mine/Cargo.toml")).unwrap();
    let sources = refused(&author(&place, &["build", "mine"]));
    assert!(
        sources.contains("holds no sources that can be built: Cargo.toml"),
        "{sources}"
    );
}

#[test]
fn a_file_that_is_no_plugin_does_not_pass_the_check() {
    let place = empty("unpluggable");
    fs::write(place.join("no.wasm"), b"\0asm no").unwrap();
    let output = author(&place, &["check", "no.wasm"]);
    let told = refused(&output);
    assert!(
        told.contains("no.wasm cannot be installed: the artifact is not a plugin"),
        "{told}"
    );
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("installs  no"), "{shown}");
    let absent = refused(&author(&place, &["check", "absent.wasm"]));
    assert!(absent.contains("read absent.wasm"), "{absent}");
}

#[test]
fn a_missing_tool_is_told_with_what_mends_it() {
    let place = empty("tools");
    out(&author(&place, &["new", "mine", "--hook", "timeout"]));
    let tools = place.join("tools");
    fs::create_dir(&tools).unwrap();
    let build = || {
        let mut build = command(PROGRAM, &place, &["plugin", "build", "mine"]);
        build.env("PATH", &tools).output().unwrap()
    };
    let told = refused(&build());
    assert!(
        told.contains(
            "rustc is not installed: there is none on the PATH; https://rustup.rs installs it"
        ),
        "{told}"
    );
    // A compiler without the target's libraries.
    let rustc = tools.join("rustc");
    fs::write(&rustc, "#!/bin/sh\necho /nowhere\necho /nowhere/lib\n").unwrap();
    fs::set_permissions(&rustc, fs::Permissions::from_mode(0o755)).unwrap();
    let told = refused(&build());
    let expected =
        "wasm32-unknown-unknown is not installed: rustup target add wasm32-unknown-unknown";
    assert!(told.contains(expected), "{told}");
    fs::write(&rustc, "#!/bin/sh\necho /\necho /\n").unwrap();
    let told = refused(&build());
    assert!(
        told.contains(
            "cargo is not installed: there is none on the PATH; https://rustup.rs installs it"
        ),
        "{told}"
    );
}
