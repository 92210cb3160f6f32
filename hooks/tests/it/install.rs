//! What cannot be a plugin is refused with the reason, before any run meets it.

use sandclock_hooks::{BindingError, FailureCode, Hook, InstallError, KnownSecrets, PluginStatus};
use serde_json::json;

use crate::fixture::{artifact, host, install, limits, run};
use crate::guests::{Guest, blabber, embed};

async fn refused(bytes: Vec<u8>) -> InstallError {
    let host = host(&KnownSecrets::new());
    let error = host
        .install(artifact("p", bytes))
        .await
        .expect_err("refused");
    assert_eq!(host.list(), []);
    error
}

#[tokio::test]
async fn what_is_not_wasm() {
    assert!(matches!(
        refused(b"#!/bin/sh\n".to_vec()).await,
        InstallError::Malformed { .. }
    ));
    assert!(matches!(
        refused(Vec::new()).await,
        InstallError::Malformed { .. }
    ));
    let module = wat::parse_str("(module)").expect("valid");
    assert_eq!(refused(module).await, InstallError::NoContract);
    let component = wat::parse_str("(component)").expect("valid");
    assert_eq!(refused(component).await, InstallError::NoHooks);
    let mut cut = Guest::harmless().build();
    cut.truncate(cut.len() / 2);
    assert!(matches!(refused(cut).await, InstallError::Malformed { .. }));
}

#[tokio::test]
async fn another_version_of_the_contract() {
    let guest = Guest {
        version: "0.2.0",
        ..Guest::harmless()
    };
    let error = refused(guest.build()).await;
    assert!(
        matches!(error, InstallError::InterfaceVersion { .. }),
        "{error}"
    );
    let text = error.to_string();
    assert!(
        text.contains("@0.2.0") && text.contains("sandclock:plugin@0.1.0"),
        "{text}"
    );
}

/// Built for a later contract, a plugin works as long as it needs nothing that is new there.
#[tokio::test]
async fn a_later_version_of_the_contract() {
    let newer = Guest {
        imports: String::new(),
        decide: Guest::harmless().decide,
        ..Guest::of_the_year()
    };
    let host = host(&KnownSecrets::new());
    install(&host, "frugal", &newer).await;
    assert!(!limits(&host, &run(&["frugal"])).await.notes[0].failed);
    let error = refused(Guest::of_the_year().build()).await;
    let text = error.to_string();
    for part in [
        "sandclock:plugin/clock@0.1.1",
        "sandclock:plugin@0.1.0",
        "upgrade the host",
        "year",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[tokio::test]
async fn an_import_that_is_not_granted() {
    let wit = "package test:guest;
        world thief { import files: interface { read: func(path: string) -> string; }
            export sandclock: interface { go: func(); } }";
    let wat = r#"(module
        (import "files" "read" (func (param i32 i32 i32)))
        (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0))
        (func (export "sandclock#go")))"#;
    let error = refused(embed(wat, wit, "thief")).await;
    let expected = InstallError::ImportNotGranted {
        import: "files".to_owned(),
    };
    assert_eq!(error, expected);
    assert!(error.to_string().contains("files, which is not granted"));
}

/// Files, variables, the network, the real clock and randomness: each is refused by the name under which it is asked for.
#[tokio::test]
async fn what_wasi_would_give_is_refused_by_name() {
    for (interface, function) in [
        ("filesystem/preopens", "get-directories"),
        ("cli/environment", "get-environment"),
        ("sockets/instance-network", "instance-network"),
        ("http/outgoing-handler", "handle"),
        ("clocks/wall-clock", "now"),
        ("random/random", "get-random-u64"),
    ] {
        let (package, name) = interface.split_once('/').expect("both");
        let wit = format!(
            "package test:guest;
             world thief {{ import wasi:{package}/{name}@0.2.0; export sandclock: interface {{ go: func(); }} }}
             package wasi:{package}@0.2.0 {{ interface {name} {{ {function}: func() -> u64; }} }}"
        );
        let wat = format!(
            r#"(module
                (import "wasi:{interface}@0.2.0" "{function}" (func (result i64)))
                (memory (export "memory") 1)
                (func (export "sandclock#go")))"#
        );
        let import = format!("wasi:{interface}@0.2.0");
        let error = refused(embed(&wat, &wit, "thief")).await;
        assert!(error.to_string().contains(&import), "{error}");
        assert_eq!(error, InstallError::ImportNotGranted { import });
    }
}

#[tokio::test]
async fn machine_code() {
    let engine = wasmtime::Engine::default();
    let native = engine
        .precompile_component(b"(component)".as_slice())
        .or_else(|_| engine.precompile_component(&wat::parse_str("(component)").expect("valid")))
        .expect("compiles");
    assert_eq!(refused(native).await, InstallError::Precompiled);
}

#[tokio::test]
async fn what_fails_when_it_starts() {
    let loops = Guest {
        functions: "(func $init (loop $on (br $on))) (start $init)".to_owned(),
        ..Guest::harmless()
    };
    let error = refused(loops.build()).await;
    let InstallError::DryRun(failure) = error else {
        panic!("{error}");
    };
    assert_eq!(failure.code, FailureCode::Deadline);
}

#[tokio::test]
async fn names_that_cannot_be() {
    let host = host(&KnownSecrets::new());
    let bytes = Guest::harmless().build();
    for name in ["", "a b", "a/b", &"x".repeat(65)] {
        let error = host
            .install(artifact(name, bytes.clone()))
            .await
            .expect_err("refused");
        assert!(matches!(error, InstallError::Name { .. }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_version_before_serves_when_the_next_is_refused() {
    let host = host(&KnownSecrets::new());
    install(&host, "p", &Guest::harmless()).await;
    let before = host.list();
    assert_eq!(before[0].status, PluginStatus::Ready);
    assert_eq!(before[0].hooks, Hook::ALL);
    host.install(artifact("p", b"nonsense".to_vec()))
        .await
        .expect_err("refused");
    let after = host.list();
    assert!(
        matches!(&after[0].status, PluginStatus::Outdated(why) if why.contains("not a wasm binary"))
    );
    assert_eq!(after[0].sha256, before[0].sha256);
    assert!(!limits(&host, &run(&["p"])).await.notes[0].failed);
    assert!(host.remove("p"));
    assert!(!host.remove("p"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bindings_are_checked_by_the_plugin() {
    let host = host(&KnownSecrets::new());
    install(&host, "fine", &Guest::harmless()).await;
    let picky = Guest {
        validate: "(call $blab)".to_owned(),
        ..blabber()
    };
    install(&host, "picky", &picky).await;

    let given = json!({ "target": 7 });
    assert_eq!(host.check_binding("fine", &given).await, Ok(()));
    let error = host
        .check_binding("picky", &given)
        .await
        .expect_err("refused");
    assert_eq!(
        error.to_string(),
        r#"config of plugin "picky": {"target":7}"#
    );
    let error = host
        .check_binding("fine", &json!([]))
        .await
        .expect_err("refused");
    assert!(matches!(
        error,
        BindingError::NotAnObject {
            found: "an array",
            ..
        }
    ));
    let error = host
        .check_binding("gone", &given)
        .await
        .expect_err("refused");
    assert_eq!(
        error.to_string(),
        r#"plugin "gone" is not installed: installed are fine, picky"#
    );
}
