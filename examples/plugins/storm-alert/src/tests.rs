//! The plugin against the SDK's stand-in for the host.

use sandclock_plugin_sdk::mock;
use serde_json::json;

use super::*;

fn host() -> mock::Host {
    mock::Host::new().config(json!({ "target": "ops", "failures": 3 }))
}

fn ended(host: &mock::Host, run: &str, state: &str) -> Vec<Delivery> {
    let run = RunInfo {
        run_id: run.to_owned(),
        ..mock::run()
    };
    host.call(|| Storm::on_end(run, mock::end(state))).unwrap()
}

#[test]
fn the_schema_says_what_the_settings_do() {
    mock::check_schema::<Settings>().unwrap();
}

#[test]
fn the_third_failure_tells_and_no_other() {
    let host = host();
    for (run, state, told) in [
        ("1", "failed", 0),
        ("2", "succeeded", 0),
        ("3", "timed_out", 0),
        ("3", "timed_out", 0),
        ("4", "failed", 1),
        ("4", "failed", 1),
        ("1", "failed", 0),
        ("5", "failed", 0),
    ] {
        assert_eq!(ended(&host, run, state).len(), told, "{run} {state}");
    }
    assert_eq!(host.value(KEY).as_deref(), Some(&b"1\n3\n4"[..]));
}

#[test]
fn what_is_told_names_the_storm() {
    let host = host().kv(KEY, "a\nb");
    let told = ended(&host, "c", "failed");
    assert_eq!(told[0].target, "ops");
    assert_eq!(told[0].dedupe_key.as_deref(), Some("storm"));
    let body = String::from_utf8(told[0].body.clone()).unwrap();
    assert!(
        body.starts_with("3 runs have failed, each within 600 s"),
        "{body}"
    );
}
