//! What a plugin says of itself: it travels with the artifact, lowers limits, and is refused where it is not so.

use std::fs;
use std::path::Path;

use sandclock_hooks::{
    Artifact, FailureCode, Hook, HookLimits, InstallError, KnownSecrets, Manifest, Outline,
};
use serde_json::{Value, json};

use crate::fixture::{artifact, host};
use crate::guests::Guest;

fn manifest(text: &Value) -> Manifest {
    serde_json::from_value(text.clone()).expect("a manifest")
}

/// A plugin with every hook, under this manifest.
fn embedded(text: &Value) -> Vec<u8> {
    let manifest = manifest(text);
    manifest
        .embed(&Guest::harmless().build())
        .expect("embedded")
}

/// The artifact with one more custom section.
fn with_section(mut artifact: Vec<u8>, name: &str, data: &[u8]) -> Vec<u8> {
    let short = |len: usize| u8::try_from(len).expect("below 128");
    artifact.push(0);
    artifact.push(short(name.len() + data.len() + 1));
    artifact.push(short(name.len()));
    artifact.extend_from_slice(name.as_bytes());
    artifact.extend_from_slice(data);
    artifact
}

async fn refusal(artifact: Artifact) -> String {
    let host = host(&KnownSecrets::new());
    let error = host.install(artifact).await.expect_err("refused");
    assert!(matches!(error, InstallError::Manifest { .. }), "{error}");
    assert_eq!(host.list(), []);
    error.to_string()
}

#[tokio::test]
async fn it_travels_with_the_artifact_and_lowers_limits() {
    let text = json!({
        "plugin": { "name": "p", "version": "1.2.0", "description": "Does nothing", "license": "MIT" },
        "hooks": { "timeout-policy": {}, "output-redaction": {}, "run-end": {} },
        "limits": { "memory": "1MiB", "cpu-ms": 30 },
    });
    let bytes = embedded(&text);
    let read = Manifest::of(&bytes).expect("accepted").expect("there");
    assert_eq!(
        read.plugin.api.as_deref(),
        Some("0.1"),
        "added by the build"
    );
    assert_eq!(read.limits.memory, Some(1 << 20));
    let host = host(&KnownSecrets::new());
    let info = host.install(artifact("p", bytes)).await.expect("installs");
    assert_eq!(info.version.as_deref(), Some("1.2.0"));
    assert_eq!(info.description.as_deref(), Some("Does nothing"));
    let usual = HookLimits::default();
    let millis = |limits: sandclock_hooks::CallLimits| limits.cpu.as_millis();
    assert_eq!(info.limits.memory_bytes, 1 << 20);
    assert_eq!(millis(info.limits.run_end), 30);
    assert_eq!(
        info.limits.timeout_policy, usual.timeout_policy,
        "was lower"
    );
    assert_eq!(info.hooks.len(), Hook::ALL.len());
}

#[tokio::test]
async fn more_memory_than_it_says_is_refused() {
    let text = json!({ "plugin": { "name": "p", "version": "1" }, "limits": { "memory": 65_536 } });
    let host = host(&KnownSecrets::new());
    let refused = host.install(artifact("p", embedded(&text))).await;
    match refused.expect_err("it has four pages") {
        InstallError::DryRun(failure) => assert_eq!(failure.code, FailureCode::Memory),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn what_is_not_so_is_refused() {
    let about = json!({ "name": "p", "version": "1.0.0" });
    let bytes = embedded(&json!({ "plugin": about }));
    let as_version = |version: &str| Artifact {
        version: Some(version.to_owned()),
        ..artifact("p", bytes.clone())
    };
    let told = refusal(artifact("q", bytes.clone())).await;
    assert!(
        told.contains("the plugin p, which cannot be installed as q"),
        "{told}"
    );
    let told = refusal(as_version("1.0.1")).await;
    assert!(
        told.contains("1.0.0, which cannot be released as 1.0.1"),
        "{told}"
    );
    let host = host(&KnownSecrets::new());
    host.check(as_version("1.0.0")).await.expect("the same");

    let hooks = json!({ "plugin": about, "hooks": { "timeout-policy": {}, "run-end": {} } });
    let told = refusal(artifact("p", embedded(&hooks))).await;
    assert!(
        told.contains("exports the hook output-redaction, which its list"),
        "{told}"
    );
    let all = json!({ "timeout-policy": {}, "output-redaction": {}, "run-end": {} });
    let alone = std::fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../examples/plugins/artifacts/timeout-ladder.wasm"
    ));
    let all = manifest(&json!({ "plugin": about, "hooks": all }));
    let bytes = all.embed(&alone.expect("the artifact")).expect("embedded");
    let told = refusal(artifact("p", bytes)).await;
    assert!(
        told.contains("names the hook output-redaction, which the plugin does not"),
        "{told}"
    );
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let component = Manifest::embed(
        &manifest(&json!({ "plugin": { "name": "p", "version": "1" } })),
        &Guest::harmless().build(),
    );
    let component = component.expect("embedded");
    let told = refusal(artifact(
        "p",
        with_section(component, "sandclock:manifest", b"{}"),
    ))
    .await;
    assert!(told.contains("there are two"), "{told}");
    let cases = [
        ("not JSON", "expected ident"),
        (
            "{}",
            "(the manifest): {} is not accepted: missing field `plugin`",
        ),
        (
            r#"{"plugin":{"name":"a b","version":"1"}}"#,
            "plugin.name: \"a b\" is not accepted: 1 to 64 letters",
        ),
        (
            r#"{"plugin":{"name":"p","version":""}}"#,
            "plugin.version: \"\" is not accepted: 1 to 64 letters",
        ),
        (
            r#"{"plugin":{"name":"p","version":"1","api":"0.2"}}"#,
            "plugin.api: \"0.2\" is not accepted: 0.1, the track",
        ),
        (
            r#"{"plugin":{"name":"p","version":"1"},"odd":1}"#,
            "odd: 1 is not accepted: unknown field `odd`",
        ),
    ];
    let twice = r#"{"plugin":{"name":"p","version":"1"},"capabilities":{"http":["x","x"]}}"#;
    let address = r#"{"plugin":{"name":"p","version":"1"},"capabilities":{"http":["https://x"]}}"#;
    let memory = r#"{"plugin":{"name":"p","version":"1"},"limits":{"memory":"9GB"}}"#;
    let cpu = r#"{"plugin":{"name":"p","version":"1"},"limits":{"cpu-ms":0}}"#;
    let more = [
        (
            twice,
            "capabilities.http: [\"x\",\"x\"] is not accepted: names of targets, each once",
        ),
        (
            address,
            "capabilities.http: [\"https://x\"] is not accepted: names of targets, each once",
        ),
        (
            memory,
            "limits.memory: \"9GB\" is not accepted: invalid value: string \"9GB\", expected a number of bytes",
        ),
        (cpu, "limits.cpu-ms: 0 is not accepted: at least 1 ms"),
    ];
    for (text, expected) in cases.into_iter().chain(more) {
        let bytes = with_section(
            Guest::harmless().build(),
            "sandclock:manifest",
            text.as_bytes(),
        );
        let told = refusal(artifact("p", bytes)).await;
        assert!(told.contains(expected), "{told}");
    }
    // A section of another name is nobody's business, and so is one inside.
    let bytes = with_section(Guest::harmless().build(), "manifest", b"no");
    assert_eq!(Manifest::of(&bytes), Ok(None));
}

#[test]
fn an_outline_names_what_goes_in_and_out() {
    let outline = Outline::of(&Guest::harmless().build()).expect("a plugin");
    let has = |list: &[String], name: &str| list.iter().any(|found| found == name);
    assert!(
        has(&outline.imports, "sandclock:plugin/log@0.1.0"),
        "{outline:?}"
    );
    assert!(
        has(&outline.exports, "sandclock:plugin/run-end@0.1.0"),
        "{outline:?}"
    );
    assert!(Outline::of(b"no").is_err());
}

#[test]
fn a_part_of_a_module_is_no_plugin() {
    let artifacts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/plugins/artifacts");
    for name in ["timeout-ladder", "redact-secrets", "webhook-alert"] {
        let whole = fs::read(artifacts.join(name).with_extension("wasm")).expect("an artifact");
        for len in (0..whole.len()).step_by(whole.len() / 40) {
            assert!(Outline::of(&whole[..len]).is_err(), "{name}, {len} bytes");
        }
    }
}

#[tokio::test]
async fn a_refusal_is_one_line_whatever_a_manifest_says() {
    let forged = r#"{ "plugin": { "name": "p", "version": "1", "a\nforged": 1 } }"#;
    let bytes = with_section(
        Guest::harmless().build(),
        "sandclock:manifest",
        forged.as_bytes(),
    );
    let told = refusal(artifact("p", bytes)).await;
    assert!(
        told.contains("a\u{fffd}forged") && !told.contains('\n'),
        "{told}"
    );
}
