//! Whatever a plugin does, its hook ends in the verdict configured for it, and other plugins, the
//! job and the host go on (S11, S12).

use std::time::Duration;

use bytes::Bytes;
use sandclock_core::ports::Hooks;
use sandclock_core::run::RunState;
use sandclock_hooks::{
    BUILT_IN, FailureCode, FailurePolicy, KnownSecrets, OnAlertFailure, OnRedactionFailure,
    OnTimeoutFailure, PluginHost,
};

use crate::fixture::{ended, host, install, install_with, limits, redacted, run};
use crate::guests::{DATA, Guest, decision, deliveries, verdict};

/// Makes room for `pages` of 64 KiB and leaves an error of `bytes` bytes.
fn large(pages: u32, bytes: u32) -> Guest {
    Guest::doing(&format!(
        "(drop (memory.grow (i32.const {pages}))) (call $error (i32.const 0) (i32.const {bytes}))"
    ))
}

/// What guests do, and what it is called.
fn hostile() -> Vec<(&'static str, Guest, FailureCode)> {
    let recursion = Guest {
        functions: "(func $deeper (param i32) (result i32)
            (i32.add (call $deeper (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))"
            .to_owned(),
        ..Guest::doing("(call $deeper (i32.const 0))")
    };
    let not_utf8 = Guest {
        data: vec![0xff, 0xfe, 0xfd],
        ..Guest::doing(&format!("(call $error (i32.const {DATA}) (i32.const 3))"))
    };
    let hog = "(loop $more (drop (memory.grow (i32.const 16))) (br $more)) (unreachable)";
    let wild = "(call $error (i32.const 0x7fffff00) (i32.const 0x7fffff00))";
    vec![
        (
            "loop",
            Guest::doing("(loop $on (br $on)) (unreachable)"),
            FailureCode::Deadline,
        ),
        ("hog", Guest::doing(hog), FailureCode::Memory),
        ("recursion", recursion, FailureCode::Stack),
        ("panic", Guest::doing("(unreachable)"), FailureCode::Panic),
        (
            "result-of-100-mb",
            large(1_600, 100_000_000),
            FailureCode::Memory,
        ),
        (
            "result-of-50-mb",
            large(800, 50_000_000),
            FailureCode::InvalidOutput,
        ),
        (
            "beyond-its-memory",
            Guest::doing(wild),
            FailureCode::InvalidOutput,
        ),
        ("not-utf8", not_utf8, FailureCode::InvalidOutput),
        (
            "nowhere",
            Guest::doing("(i32.const 0x7ffffff0)"),
            FailureCode::InvalidOutput,
        ),
    ]
}

/// Decides on 5 s, hides the first three bytes, and sends one message.
async fn install_good(host: &PluginHost) {
    let decides = Guest {
        data: decision(5_000, b"as configured"),
        ..Guest::harmless()
    };
    let hides = Guest {
        data: verdict(&[(0, 3, b"***")], 3),
        ..Guest::harmless()
    };
    let tells = Guest {
        data: deliveries(1, b"ops", b"hello", b""),
        ..Guest::harmless()
    };
    let at_data = format!("(i32.const {DATA})");
    let scan = format!(
        "(if (i32.eqz (local.get 3)) (then (return {at_data}))) {}",
        hides.scan
    );
    install(
        host,
        "decides",
        &Guest {
            decide: at_data.clone(),
            ..decides
        },
    )
    .await;
    install(host, "hides", &Guest { scan, ..hides }).await;
    install(
        host,
        "tells",
        &Guest {
            on_end: at_data,
            ..tells
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_keeps_its_limit_and_other_plugins_decide() {
    let host = host(&KnownSecrets::new());
    install_good(&host).await;
    for (name, guest, code) in hostile() {
        install(&host, name, &guest).await;
        let policy = limits(&host, &run(&[name])).await;
        assert_eq!(policy.limit, Some(Duration::from_secs(30)), "{name}");
        assert_eq!(policy.refuse, None);
        let note = &policy.notes[0];
        assert!(note.failed);
        let expected = format!("plugin_fallback: {}", code.as_str());
        assert!(
            note.decision.starts_with(&expected),
            "{name}: {}",
            note.decision
        );

        let policy = limits(&host, &run(&["decides", name])).await;
        assert_eq!(policy.limit, Some(Duration::from_secs(5)), "{name}");
        let policy = limits(&host, &run(&[name, "decides"])).await;
        assert_eq!(policy.limit, Some(Duration::from_secs(5)), "{name}");
        assert_eq!(policy.reason, "as configured (plugin decides)");

        let strict = FailurePolicy {
            timeout_policy: OnTimeoutFailure::FailRun,
            ..FailurePolicy::default()
        };
        install_with(&host, name, &guest, strict).await;
        let refused = limits(&host, &run(&[name])).await.refuse.expect("refused");
        assert!(refused.contains(code.as_str()), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_window_is_withheld_and_other_streams_are_shown() {
    let host = host(&KnownSecrets::new());
    install_good(&host).await;
    for (name, guest, code) in hostile() {
        install(&host, name, &guest).await;
        let (shown, notes) = redacted(&host, &run(&[name]), [b"abcdef\n".as_slice()]).await;
        let marker = format!(
            "[output withheld: redactor {name} {}, 7 bytes]\n",
            code.as_str()
        );
        assert_eq!(shown, marker);
        assert!(notes[0].failed, "{notes:?}");

        let (shown, _) = redacted(&host, &run(&["hides"]), [b"abcdef\n".as_slice()]).await;
        assert_eq!(shown, "***def\n");

        let open = FailurePolicy {
            output_redaction: OnRedactionFailure::HostRedacted,
            ..FailurePolicy::default()
        };
        install_with(&host, name, &guest, open).await;
        let (shown, notes) = redacted(&host, &run(&[name]), [b"abcdef\n".as_slice()]).await;
        assert_eq!(shown, "abcdef\n");
        assert!(notes[0].failed, "{notes:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_alert_stands_in_and_other_plugins_tell() {
    let host = host(&KnownSecrets::new());
    install_good(&host).await;
    for (name, guest, code) in hostile() {
        install(&host, name, &guest).await;
        let done = ended(&run(&[name, "tells"]), RunState::Failed);
        let drafts = host.after_run(&done, &Bytes::new()).await;
        assert_eq!(drafts.len(), 2, "{drafts:?}");
        assert_eq!(
            (drafts[0].plugin.as_str(), drafts[0].target.as_str()),
            (BUILT_IN, "default")
        );
        let body = String::from_utf8_lossy(&drafts[0].body);
        assert!(
            body.contains("nightly/backup") && body.contains("exit code 1"),
            "{body}"
        );
        assert!(
            body.contains(name) && body.contains(code.as_str()),
            "{body}"
        );
        assert_eq!(
            (drafts[1].plugin.as_str(), drafts[1].target.as_str()),
            ("tells", "ops")
        );

        // Nobody would be told of a success after a success.
        let fine = ended(&run(&[name]), RunState::Succeeded);
        assert_eq!(host.after_run(&fine, &Bytes::new()).await, []);

        let silent = FailurePolicy {
            run_end: OnAlertFailure::Drop,
            ..FailurePolicy::default()
        };
        install_with(&host, name, &guest, silent).await;
        let done = ended(&run(&[name]), RunState::Failed);
        assert_eq!(host.after_run(&done, &Bytes::new()).await, []);
    }
}

/// Verdicts for a window of seven bytes, none of which is one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_edits_withhold_the_window() {
    let host = host(&KnownSecrets::new());
    let long = [b'x'; 65];
    let many: Vec<(u32, u32, &[u8])> = vec![(0, 1, b""); 5_000];
    let nonsense: [(&str, Vec<u8>); 11] = [
        ("overlap", verdict(&[(0, 3, b"a"), (2, 2, b"b")], 7)),
        ("unsorted", verdict(&[(4, 1, b"a"), (0, 1, b"b")], 7)),
        ("out-of-range", verdict(&[(5, 3, b"a")], 7)),
        (
            "far-out-of-range",
            verdict(&[(u32::MAX, u32::MAX, b"a")], 7),
        ),
        ("behind-consumed", verdict(&[(3, 2, b"a")], 4)),
        ("inserts", verdict(&[(3, 0, b"forged")], 7)),
        ("control", verdict(&[(0, 1, b"\x1b[2J")], 7)),
        ("turns-around", verdict(&[(0, 1, "\u{202e}".as_bytes())], 7)),
        ("long-text", verdict(&[(0, 1, &long)], 7)),
        ("consumed", verdict(&[], 8)),
        ("many", verdict(&many, 7)),
    ];
    for (name, data) in nonsense {
        install(&host, name, &Guest::answering(data)).await;
        let (shown, _) = redacted(&host, &run(&[name]), [b"abcdef\n".as_slice()]).await;
        let marker = format!("[output withheld: redactor {name} invalid_output, 7 bytes]\n");
        assert_eq!(shown, marker);
    }
    // At the end of a stream everything must be decided.
    install(&host, "never", &Guest::answering(verdict(&[], 0))).await;
    let (shown, _) = redacted(&host, &run(&["never"]), [b"abcdef\n".as_slice()]).await;
    assert_eq!(
        shown,
        "[output withheld: redactor never invalid_output, 7 bytes]\n"
    );
    let flood = vec![b'x'; 200_000];
    let (shown, _) = redacted(&host, &run(&["never"]), [flood.as_slice()]).await;
    assert!(shown.starts_with("[output withheld: redactor never invalid_output, 65536 bytes]\n"));
    assert!(!shown.contains('x'), "released");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_messages_are_replaced() {
    let host = host(&KnownSecrets::new());
    let body = vec![b'x'; 70_000];
    let nonsense: [(&str, Vec<u8>); 5] = [
        ("many", deliveries(11, b"ops", b"", b"")),
        ("large", deliveries(1, b"ops", &body, b"")),
        ("nobody", deliveries(1, b"", b"", b"")),
        ("split-header", deliveries(1, b"ops", b"", b"x: y\r\nz")),
        ("credentials", deliveries(1, b"ops", b"", b"Authorization")),
    ];
    for (name, data) in nonsense {
        install(&host, name, &Guest::answering(data)).await;
        let done = ended(&run(&[name]), RunState::Failed);
        let drafts = host.after_run(&done, &Bytes::new()).await;
        assert_eq!(drafts.len(), 1);
        assert_eq!(drafts[0].plugin, BUILT_IN, "{name}");
    }
}

/// Control characters, and what could be taken for a line of somebody else's: in the log, as a reason and as an error.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_plugin_says_stays_on_its_line() {
    const FORGED: &[u8] = b"fine\r\n[plugin:other] all is well\x1b[2J\x07\x00";
    let host = host(&KnownSecrets::new());
    let says = format!("(i32.const {DATA}) (i32.const {})", FORGED.len());
    let logs_and_fails = Guest {
        data: FORGED.to_vec(),
        ..Guest::doing(&format!(
            "(call $log (i32.const 1) {says}) (call $error {says})"
        ))
    };
    install(&host, "forger", &logs_and_fails).await;
    let decides = Guest {
        data: decision(5_000, FORGED),
        decide: format!("(i32.const {DATA})"),
        ..Guest::harmless()
    };
    install(&host, "decides", &decides).await;
    let plain = |text: &str| !text.contains(char::is_control);

    let policy = limits(&host, &run(&["forger", "decides"])).await;
    assert!(plain(&policy.reason), "{:?}", policy.reason);
    assert!(
        policy.reason.starts_with("fine  [plugin:other]"),
        "{}",
        policy.reason
    );
    for note in &policy.notes {
        assert!(plain(&note.decision), "{:?}", note.decision);
    }
    let listed = host.list();
    let forger = listed.iter().find(|plugin| plugin.name == "forger");
    let forger = forger.expect("installed");
    assert!(!forger.log.is_empty());
    for line in &forger.log {
        assert!(plain(&line.text), "{:?}", line.text);
    }
    let failure = forger.last_failure.as_ref().expect("it failed");
    assert!(plain(&failure.text), "{failure:?}");

    let done = ended(&run(&["forger"]), RunState::Failed);
    let drafts = host.after_run(&done, &Bytes::new()).await;
    let body = String::from_utf8_lossy(&drafts[0].body);
    assert_eq!(body.lines().count(), 2, "{body}");
    assert!(!body.contains('\x1b') && !body.contains('\r'), "{body:?}");
    let (shown, _) = redacted(&host, &run(&["forger"]), [b"abcdef\n".as_slice()]).await;
    assert_eq!(
        shown,
        "[output withheld: redactor forger plugin_error, 7 bytes]\n"
    );
}

/// Loops in one lane do not keep the other waiting for ever, nor a runtime's timers.
#[tokio::test]
async fn loops_do_not_stop_the_runtime_or_other_plugins() {
    let host = host(&KnownSecrets::new());
    install_good(&host).await;
    install(
        &host,
        "loop",
        &Guest::doing("(loop $on (br $on)) (unreachable)"),
    )
    .await;
    let done = ended(&run(&["loop"]), RunState::Failed);
    let tail = Bytes::new();
    let alerts = host.after_run(&done, &tail);
    let good = run(&["decides"]);
    let decided = async {
        let policy = limits(&host, &good).await;
        assert_eq!(policy.limit, Some(Duration::from_secs(5)));
    };
    tokio::pin!(alerts);
    tokio::select! {
        biased;
        _ = &mut alerts => panic!("three seconds of looping were over first"),
        () = decided => {}
    }
    assert_eq!(alerts.await.len(), 1);
}
