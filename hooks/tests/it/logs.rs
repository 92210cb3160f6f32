//! A plugin's own log is for people: masked, on one line each, and bounded whatever the plugin does.

use sandclock_hooks::limits::LOG_LINE_BYTES;
use sandclock_hooks::{KnownSecrets, Level};
use serde_json::json;

use crate::fixture::{host, install, limits, run_with};
use crate::guests::{Guest, blabber};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_is_cut_and_counted() {
    let host = host(&KnownSecrets::new());
    // Warns with its first 5,000 bytes, which are zeros, a thousand times.
    let floods = Guest {
        decide: "(local $n i32)
            (loop $more
              (call $log (i32.const 2) (i32.const 196608) (i32.const 5000))
              (local.set $n (i32.add (local.get $n) (i32.const 1)))
              (br_if $more (i32.lt_u (local.get $n) (i32.const 1000))))
            (call $ok_empty)"
            .to_owned(),
        ..Guest::harmless()
    };
    install(&host, "floods", &floods).await;
    let policy = limits(&host, &run_with(&[("floods", json!({}))])).await;
    assert!(!policy.notes[0].failed, "{policy:?}");
    let log = &host.list()[0].log;
    // 64 KiB in one call, at 5,064 bytes a line.
    assert_eq!(log.len(), 12);
    for line in log {
        assert_eq!(line.level, Level::Warn);
        assert_eq!(line.text, " ".repeat(LOG_LINE_BYTES));
    }
    assert_eq!(host.counters()[0].dropped_log_lines, 988);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_is_masked_before_it_is_cut() {
    let secrets = KnownSecrets::new();
    let value = "k".repeat(600) + "-" + &"v".repeat(600);
    secrets
        .learn("LONG", value.as_bytes())
        .expect("can be masked");
    let host = host(&secrets);
    install(&host, "blabber", &blabber()).await;
    let config = json!({ "note": format!("see\n\u{1b}[31m{value} for it") });
    limits(&host, &run_with(&[("blabber", config)])).await;
    let log = &host.list()[0].log;
    assert_eq!(
        log[0].text,
        r#"{"note":"see\n\u001b[31m[secret:LONG] for it"}"#
    );
}
