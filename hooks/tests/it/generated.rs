//! Files that programs have written, committed so that nobody needs the programs: each is what its generator makes today.
//!
//! With `SANDCLOCK_GENERATE` set, as `cargo xtask plugins` does, they are written instead.

use std::path::PathBuf;

use sandclock_core::ports::Hooks;
use sandclock_hooks::KnownSecrets;
use sandclock_testkit::languages::{Language, Recorded, decided};
use serde_json::{Value, json};
use wit_bindgen_core::wit_parser::Resolve;
use wit_bindgen_core::{Files, WorldGenerator};

use crate::fixture::{Dice, artifact, host};

/// The root of the repository.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Compares a file of the repository with what its generator makes.
fn check(path: &str, made: &[u8]) {
    let file = PathBuf::from(ROOT).join(path);
    #[expect(
        clippy::disallowed_methods,
        reason = "only a test, and its cargo command says so"
    )]
    if std::env::var("SANDCLOCK_GENERATE").is_ok() {
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(&file, made).expect("writes");
    }
    let committed = std::fs::read(&file).unwrap_or_default();
    assert!(
        committed == made,
        "{path} is not what its generator makes: run `cargo xtask plugins` and commit what it writes"
    );
}

#[test]
fn what_stands_in_for_wasi() {
    let source = format!("{ROOT}/hooks/wasi/preview1.wat");
    let made = wat::parse_file(source).expect("valid WAT");
    check("hooks/wasi/preview1.wasm", &made);
}

#[test]
fn the_reference_of_the_contract() {
    let wit = include_str!("../../../plugins-sdk/wit/plugin.wit");
    check(
        "docs/plugin-reference.md",
        crate::reference::reference(wit).as_bytes(),
    );
}

/// Compares the bindings for a world with those in a folder of the examples, but for the files in `kept`, which are the author's from
/// then on.
fn check_bindings(mut generator: Box<dyn WorldGenerator>, folder: &str, kept: &[&str]) {
    let mut resolve = Resolve::default();
    let (package, _) = resolve
        .push_path(format!("{ROOT}/plugins-sdk/wit"))
        .expect("valid WIT");
    let world = resolve
        .select_world(&[package], Some("timeout-plugin"))
        .expect("the world is there");
    let mut files = Files::default();
    generator
        .generate(&mut resolve, world, &mut files)
        .expect("bindings");
    for (name, made) in files.iter().filter(|(name, _)| !kept.contains(name)) {
        check(&format!("examples/plugins/languages/{folder}/{name}"), made);
    }
}

#[test]
fn bindings_for_c() {
    check_bindings(wit_bindgen_c::Opts::default().build(), "c", &[]);
}

#[test]
fn bindings_for_go() {
    let options = wit_bindgen_go::Opts {
        // Otherwise it would depend on whether a `gofmt` is found.
        format: wit_bindgen_go::Format::False,
        ..Default::default()
    };
    check_bindings(options.build(), "go", &["go.mod"]);
}

/// What the committed plugin of the five languages decides: the record that the others are compared with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recorded_invocations() {
    let host = host(&KnownSecrets::new());
    let module = artifact("p", Language::Rust.build());
    host.install(module).await.expect("installs");
    let mut made = Vec::new();
    for mut one in invocations() {
        let asked = Recorded::read(&one, "p");
        let policy = host.before_run(&asked.run, &asked.past, None).await;
        one["decided"] = decided(&policy);
        made.push(one);
    }
    let mut text = serde_json::to_string_pretty(&made).expect("JSON");
    text.push('\n');
    check("examples/plugins/languages/recorded.json", text.as_bytes());
}

/// Fifty of them: of jobs with and without a limit of their own, young, flaky, fast and endless, configured well and badly.
fn invocations() -> Vec<Value> {
    let mut dice = Dice::new(50);
    (0..50)
        .map(|number| invocation(&mut dice, number))
        .collect()
}

fn invocation(dice: &mut Dice, number: usize) -> Value {
    let mut one_of = |values: &[Value]| values[dice.below(values.len())].clone();
    // One in ten has a bad label, one in five a bad configuration.
    let labels = match number % 10 {
        7 => one_of(&[
            json!({ "timeout-factor": "dreißig" }),
            json!({ "timeout-factor": "05" }),
        ]),
        _ => one_of(&[
            json!({}),
            json!({ "team": "data" }),
            json!({ "team": "data", "timeout-factor": "2" }),
            json!({ "timeout-factor": "100", "zone": "ü-7" }),
        ]),
    };
    let config = match number % 5 {
        4 => [
            json!({ "factor": 0 }),
            json!({ "factor": 2.5 }),
            json!({ "floor_ms": 4_294_967_296_u64 }),
            json!({ "min_runs": null }),
            json!({ "factor": -1, "floor_ms": "never read" }),
            json!({ "floor_ms": "\"quoted\" → ü" }),
        ][number / 5 % 6]
            .clone(),
        _ => one_of(&[
            json!({}),
            json!({ "factor": 2 }),
            json!({ "factor": 10, "floor_ms": 1000 }),
            json!({ "floor_ms": 4_294_967_295_u32, "min_runs": 1 }),
            json!({ "factor": 1, "floor_ms": 1, "min_runs": 30 }),
        ]),
    };
    let declared = one_of(&[
        Value::Null,
        Value::Null,
        json!(1000),
        json!(59_999),
        json!(3_600_000),
        // More than a plugin can be told.
        json!(5_000_000_000_u64),
    ]);
    let p99 = one_of(&[
        json!(0),
        json!(7),
        json!(19_999),
        json!(61_250),
        json!(1_800_001),
        json!(2_147_483_648_u32),
        json!(u32::MAX),
    ]);
    let (runs, failures) = [
        (0, 0),
        (30, 0),
        (30, 15),
        (30, 16),
        (30, 25),
        (30, 30),
        (100, 1),
        (100, 60),
    ][dice.below(8)];
    json!({
        "job": format!("team-{}/job-{number}", number % 7),
        "labels": labels,
        "attempt": 1 + number % 3,
        "scheduled_at_ms": 1_795_197_600_000_u64 + 60_000 * u64::try_from(number).unwrap_or(0),
        "declared_ms": declared,
        "past": {
            "runs": runs, "failures": failures, "p50_ms": 0, "p95_ms": 0, "p99_ms": p99, "max_ms": p99,
        },
        "config": config,
    })
}
