//! What `sandclock plugin` does for authors who do not write Rust: in each language and for each hook, a new plugin builds and its
//! cases hold; and what is refused on the way.
//!
//! `cargo xtask tools` installs the languages' tools.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use reqwest::Method;
use reqwest::header::{ETAG, HeaderValue};
use sandclock_testkit::languages::with_toolchains;
use serde_json::{Map, Value, json};

use crate::author::{command, empty, json_of, out, refused};
use crate::fleet::PATIENCE;
use crate::plugin_docs::{block, shell};
use crate::product::{PROGRAM, Product, wait_for};

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

/// Little to cut.
const SHORT: &str = r#"hook = "output-redaction"
config = { words = ["own-name"] }
input = "own-name"
[expect]
output = "[redacted:word]"
"#;

/// Makes a new plugin, which is called as its hook is.
fn made(place: &Path, lang: &str, hook: &str) {
    out(&author(
        place,
        &["new", hook, "--lang", lang, "--hook", hook],
    ));
}

/// Builds a plugin and runs its cases, all of which hold.
fn built_and_tested(place: &Path, name: &str, cases: usize) {
    let said = out(&author(place, &["build", name]));
    let built = format!("built   {name}/{name}.wasm");
    assert!(said.contains(&built), "{said}");
    let tested = author(place, &["test", name, "--output", "json"]);
    let tested = json_of(&tested);
    let held = (&tested["held"], &tested["failed"]);
    assert_eq!(held, (&json!(cases), &json!(0)), "{tested}");
}

/// Makes, builds and tests a plugin for each hook; answers where they are.
fn all_hooks(lang: &str) -> PathBuf {
    let place = empty(lang);
    for (hook, cases) in [("timeout", 3), ("redaction", 4), ("alert", 3)] {
        made(&place, lang, hook);
        if hook == "redaction" {
            fs::write(place.join("redaction/cases/overlapping.toml"), OVERLAPPING).unwrap();
        }
        built_and_tested(&place, hook, cases);
    }
    place
}

#[test]
fn javascript_from_an_empty_folder_to_cases_that_hold() {
    let place = all_hooks("js");
    let package = fs::read_to_string(place.join("alert/package.json")).unwrap();
    let package: Value = serde_json::from_str(&package).unwrap();
    let example = include_str!("../../../examples/plugins/languages/js/package.json");
    let example: Value = serde_json::from_str(example).unwrap();
    assert_eq!(package["devDependencies"], example["devDependencies"]);
}

#[test]
fn go_from_an_empty_folder_to_cases_that_hold() {
    all_hooks("go");
}

#[test]
fn c_from_an_empty_folder_to_cases_that_hold() {
    all_hooks("c");
}

/// The runs after which the policy of the template follows a job's history.
const ENOUGH_RUNS: usize = 20;

/// What changes with every edit of the job.
async fn tag(product: &Product, job: &str) -> HeaderValue {
    let path = format!("/jobs/{job}");
    let answer = product.request(Method::GET, &path).send().await.unwrap();
    answer.headers()[ETAG].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_a_team_follow_a_policy_without_being_edited() {
    let product = Product::start(&["--no-examples"]);
    let jobs: Vec<_> = (0..20).map(|number| format!("data-{number}")).collect();
    let job = json!({
        "command": "true", "labels": { "team": "data" }, "concurrency": "allow",
    });
    let mut saved = Vec::new();
    for name in &jobs {
        product.put_job(name, &job).await;
        saved.push(tag(&product, name).await);
    }
    for name in jobs.iter().cycle().take(20 * ENOUGH_RUNS) {
        product.start_run(name).await;
    }
    wait_for("all have a history", PATIENCE, async || {
        product.runs("state=succeeded").await.len() == 20 * ENOUGH_RUNS
    })
    .await;

    let commands = block("\n### In another language, for a team\n");
    let mut typed = shell(commands, &empty("team"), &product);
    let said = out(&with_toolchains(&mut typed).output().unwrap());
    assert!(said.contains("all 3 cases hold\n"), "{said}");
    let bound = "serving data-limits 0.1.0\nbound data-limits to 20 jobs as data-limits\n";
    assert!(said.ends_with(bound), "{said}");
    for (name, saved) in jobs.iter().zip(saved) {
        let run = product.run_job(name).await;
        assert_eq!(run["state"], "succeeded", "{run}");
        let path = format!("/runs/{}/hooks", run["id"].as_str().unwrap());
        let hook = product.get(&path).await["items"][0].clone();
        let by = (&hook["plugin"], &hook["version"]);
        assert_eq!(by, (&json!("data-limits"), &json!("0.1.0")), "{hook}");
        let decision = hook["decision"].as_str().unwrap();
        assert!(decision.contains("2 times the p99 of "), "{hook}");
        assert_eq!(tag(&product, name).await, saved);
    }
}

/// An engine of 18 MB takes a quarter of a minute to build, to check and to test with, and milliseconds for each instance, of which the
/// cuts of an output take thousands: so the three plugins are one here, and of the redactor's cases it has a short one.
#[test]
fn python_from_an_empty_folder_to_cases_that_hold() {
    let place = empty("python");
    let hooks = [
        ("timeout", "TimeoutPolicy"),
        ("redaction", "OutputRedaction"),
        ("alert", "RunEnd"),
    ];
    let whole = place.join("timeout");
    let (mut imports, mut checks) = (String::new(), String::new());
    let mut members = Map::new();
    for (hook, class) in hooks {
        made(&place, "python", hook);
        let from = place.join(hook);
        fs::copy(
            from.join("plugin.py"),
            whole.join(format!("{hook}_hook.py")),
        )
        .unwrap();
        let schema = fs::read_to_string(from.join("config.schema.json")).unwrap();
        let mut schema: Value = serde_json::from_str(&schema).unwrap();
        members.append(schema["properties"].as_object_mut().unwrap());
        imports += &format!("import {hook}_hook\nfrom {hook}_hook import {class}\n");
        checks += &format!("        {hook}_hook.Lifecycle().validate_config()\n");
    }
    let source = format!("{imports}class Lifecycle:\n    def validate_config(self):\n{checks}");
    fs::write(whole.join("plugin.py"), source).unwrap();
    let schema = json!({ "type": "object", "properties": members, "additionalProperties": false });
    fs::write(whole.join("config.schema.json"), schema.to_string()).unwrap();
    let world = "    include timeout-plugin;\n    include configured;";
    edit(
        &whole.join("wit/world.wit"),
        world,
        "    include all-hooks;",
    );
    let hooks = "timeout-policy = {}\noutput-redaction = {}\nrun-end = {}";
    edit(&whole.join("plugin.toml"), "timeout-policy = {}", hooks);
    for case in [
        "redaction/cases/wrong-config",
        "alert/cases/wrong-config",
        "alert/cases/failure",
    ] {
        let name = case.replace("/cases/", "-");
        let [from, to] = [place.join(case), whole.join("cases").join(name)];
        fs::copy(from.with_extension("toml"), to.with_extension("toml")).unwrap();
    }
    fs::write(whole.join("cases/short.toml"), SHORT).unwrap();
    built_and_tested(&place, "timeout", 7);
}

/// Replaces what stands in a file.
fn edit(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(file, text.replace(from, to)).unwrap();
}

#[test]
fn sources_that_cannot_be_built_are_told_where_and_why() {
    let place = empty("broken-sources");
    let broken = [
        (
            "js",
            "plugin.js",
            "export const runEnd = ;\n",
            "/plugin.js:1:",
            "componentize-qjs cannot build js",
        ),
        (
            "go",
            "settings/settings.go",
            "package settings\n\nfunc Read() string {}\n",
            "settings/settings.go:3:",
            "go cannot build go",
        ),
        (
            "c",
            "plugin.c",
            "int wrong = \"text\" nonsense;\n",
            "plugin.c:1:",
            "python-zig cannot build c",
        ),
    ];
    for (lang, file, text, at, why) in broken {
        let new = ["new", lang, "--lang", lang, "--hook", "alert"];
        out(&author(&place, &new));
        fs::write(place.join(lang).join(file), text).unwrap();
        let told = refused(&author(&place, &["build", lang]));
        assert!(told.contains(at) && told.contains(why), "{told}");
    }
    let build = || refused(&author(&place, &["build", "js"]));
    let package = place.join("js/package.json");
    fs::write(package, "{ \"main\": \"nowhere.js\" }").unwrap();
    let told = build();
    let expected = "js/package.json: main: \"nowhere.js\" is not accepted: the plugin's source";
    assert!(told.contains(expected), "{told}");
    fs::write(place.join("c/wit/world.wit"), "world {").unwrap();
    let told = refused(&author(&place, &["build", "c"]));
    assert!(
        told.contains("c/wit: ") && told.contains("expected an identifier"),
        "{told}"
    );
    fs::remove_file(place.join("js/wit/world.wit")).unwrap();
    let told = build();
    assert!(told.contains("js/wit/world.wit is missing"), "{told}");
}

/// What a build says without the language's tool.
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
    for (lang, expected) in [
        (
            "js",
            "componentize-qjs is not installed: there is none in the folder's node_modules/.bin or on the PATH; npm install",
        ),
        (
            "python",
            "componentize-py is not installed: there is none in the folder's .venv/bin or on the PATH; pip install -r",
        ),
        (
            "go",
            "go is not installed: there is none on the PATH; https://go.dev/dl installs it",
        ),
        (
            "c",
            "python-zig is not installed: there is none in the folder's .venv/bin or on the PATH; pip install -r",
        ),
    ] {
        let told = without_tools(lang);
        assert!(told.contains(expected), "{told}");
    }
}
