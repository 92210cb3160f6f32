//! The examples of `docs/plugins.md`: compiled here, run against the mock, and compared with what the document shows.
#![expect(
    unreachable_pub,
    reason = "the examples stand here as an author would write them"
)]

mod failures;
mod hostnames;
mod limits;

use sandclock_plugin_sdk::mock::{self, Host};
use sandclock_plugin_sdk::prelude::*;
use serde_json::json;

#[test]
fn the_document_shows_the_examples_as_they_are() {
    let document = include_str!("../../../docs/plugins.md");
    let examples = [
        include_str!("limits.rs"),
        include_str!("hostnames.rs"),
        include_str!("failures.rs"),
    ];
    for example in examples {
        // The first lines say what the file is here; the document says it in prose.
        let (_, code) = example.split_once("\n\n").unwrap();
        assert!(
            document.contains(code.trim_end()),
            "docs/plugins.md does not show:\n{code}"
        );
    }
}

#[test]
fn the_limit_follows_the_history() {
    let past = mock::history(30, 1, 1, 4000, 5000);
    let host = Host::new().config(json!({ "factor": 3 }));
    let decision = host
        .call(|| limits::Doubler::decide(mock::run(), None, past))
        .unwrap()
        .unwrap();
    assert_eq!(decision.limit_ms, Some(12_000));
    let young = mock::history(3, 1, 1, 1, 1);
    assert_eq!(
        host.call(|| limits::Doubler::decide(mock::run(), None, young))
            .unwrap(),
        None
    );
    let wrong = Host::new().config(json!({ "factor": "x" }));
    let error = wrong
        .call(|| limits::Doubler::decide(mock::run(), None, past))
        .unwrap_err();
    assert!(
        error.to_string().starts_with("config.factor: invalid type"),
        "{error}"
    );
}

#[test]
fn the_host_names_are_hidden_for_every_chunking() {
    let host = Host::new().config(json!({ "suffix": ".corp.example" }));
    let output =
        mock::check_chunkings::<hostnames::HostNames>(&host, b"to db-1.corp.example: ok").unwrap();
    assert_eq!(output, b"to [redacted:host]: ok");
}

#[test]
fn a_failure_is_told_once() {
    let host = Host::new();
    let tell = |end| {
        host.call(|| failures::Pager::on_end(mock::run(), end))
            .unwrap()
    };
    let [sent] = &tell(mock::end("failed"))[..] else {
        panic!("one message")
    };
    assert_eq!(sent.body, b"Nightly backup failed: exit code 1");
    let again = End {
        previous_state: Some("failed".to_owned()),
        ..mock::end("failed")
    };
    assert!(tell(again).is_empty());
    assert_eq!(host.lines().len(), 1);
}
