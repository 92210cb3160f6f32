//! Which ends are told, and what the messages hold.

use sandclock_plugin_sdk::mock::{self, Host};
use serde_json::{Value, json};

use super::*;

fn deliveries(config: &Value, end: End) -> Vec<Delivery> {
    Host::new()
        .config(config.clone())
        .call(|| Alerts::on_end(mock::run(), end))
        .unwrap()
}

/// The body for `end`, which has to be told.
fn body(config: Value, end: End) -> String {
    let [delivery] = <[Delivery; 1]>::try_from(deliveries(&config, end)).unwrap();
    String::from_utf8(delivery.body).unwrap()
}

fn end(state: &str, previous: Option<&str>, failures: u32) -> End {
    End {
        previous_state: previous.map(str::to_owned),
        failures_in_a_row: failures,
        ..mock::end(state)
    }
}

fn refusal(config: Value) -> String {
    Host::new()
        .config(config)
        .call(Alerts::validate_config)
        .unwrap_err()
        .to_string()
}

/// The events told of a job that ends in `states`, one after the other.
fn story(config: Value, states: &[&str]) -> Vec<String> {
    let (mut previous, mut failures) = (None, 0);
    let mut told = Vec::new();
    for &state in states {
        let success = state == "succeeded";
        let counted = if success { failures } else { failures + 1 };
        let sent = deliveries(&config, end(state, previous, counted));
        let keys = sent
            .iter()
            .filter_map(|delivery| delivery.dedupe_key.clone());
        told.push(
            keys.collect::<Vec<_>>()
                .join(" ")
                .replace("default/nightly-backup/", ""),
        );
        (previous, failures) = (Some(state), if success { 0 } else { counted });
    }
    told
}

#[test]
fn the_schema_says_what_the_settings_do() {
    mock::check_schema::<crate::settings::Written>().unwrap();
}

#[test]
fn first_failure_every_nth_and_recovery_are_told() {
    let states = [
        "succeeded",
        "failed",
        "failed",
        "timed_out",
        "lost",
        "missed",
        "succeeded",
        "succeeded",
        "failed",
    ];
    assert_eq!(
        story(json!({ "every": 2 }), &states),
        [
            "", "failure", "repeat", "", "repeat", "", "recovery", "", "failure"
        ]
    );
    assert_eq!(
        story(json!({ "every": 0, "recovery": false }), &states),
        ["", "failure", "", "", "", "", "", "", "failure"]
    );
}

#[test]
fn only_configured_states_count() {
    let states = ["missed", "failed", "missed", "succeeded"];
    assert_eq!(
        story(json!({ "states": ["failed"] }), &states),
        ["", "failure", "", ""]
    );
    assert_eq!(
        story(json!({ "states": ["missed"] }), &states),
        ["failure", "", "failure", "recovery"]
    );
}

#[test]
fn ends_by_people_and_policies_are_not_told() {
    assert!(deliveries(&json!({}), end("killed", Some("failed"), 3)).is_empty());
    assert!(deliveries(&json!({}), end("skipped", Some("failed"), 3)).is_empty());
}

#[test]
fn the_default_body_says_what_happened() {
    let sent = deliveries(&json!({}), end("failed", None, 1));
    assert_eq!(
        (&*sent[0].target, &*sent[0].content_type),
        ("default", "application/json")
    );
    let body: Value = serde_json::from_slice(&sent[0].body).unwrap();
    assert_eq!(body["text"], "Nightly backup failed: exit code 1");
    assert_eq!(body["job"], "nightly-backup");
    assert_eq!(body["output_tail"], "the last line\n");
    let repeat = deliveries(&json!({}), end("timed_out", Some("failed"), 20));
    let body: Value = serde_json::from_slice(&repeat[0].body).unwrap();
    assert_eq!(
        body["text"],
        "Nightly backup timed out, 20 failures in a row: exit code 1"
    );
    let over = deliveries(&json!({}), end("succeeded", Some("lost"), 1));
    let body: Value = serde_json::from_slice(&over[0].body).unwrap();
    assert_eq!(body["text"], "Nightly backup recovered after 1 failure");
}

#[test]
fn every_placeholder_is_filled() {
    let template = "{{event}} {{job}} {{job_id}} {{run_id}} {{attempt}} {{scheduled_at}} {{state}} {{cause}} \
        {{exit_code}}|{{signal}}| {{duration}} {{failures}} {{previous_state}} {{ tail }}{{label.team}}|{{label.none}}|";
    let text = body(
        json!({ "content_type": "text/plain", "body": template }),
        end("failed", Some("lost"), 10),
    );
    assert_eq!(
        text,
        "repeat Nightly backup nightly-backup nightly-backup-20261120T020000Z 1 2026-11-20T02:00:00Z failed \
         exit code 1 1|| 1.5 s 10 lost the last line\ndata||"
    );
}

#[test]
fn output_cannot_change_the_shape_of_a_message() {
    let nasty = || End {
        output_tail: "\"},\"x\":1 <b> & {{job}} a=1&b=\u{1} ü\n".to_owned(),
        ..end("failed", None, 1)
    };
    let document: Value = serde_json::from_str(&body(
        json!({ "body": { "t": ["{{tail}}", 1, null] } }),
        nasty(),
    ))
    .unwrap();
    assert_eq!(document, json!({ "t": [nasty().output_tail, 1, null] }));
    let text = body(json!({ "body": "{\"t\": \"{{tail}}\"}" }), nasty());
    assert_eq!(
        serde_json::from_str::<Value>(&text).unwrap(),
        json!({ "t": nasty().output_tail })
    );
    let form = body(
        json!({ "content_type": "application/x-www-form-urlencoded", "body": "t={{tail}}&e=1" }),
        nasty(),
    );
    assert!(
        form.starts_with("t=%22%7D%2C%22x%22%3A1%20%3Cb%3E%20%26%20%7B%7B")
            && form.ends_with("%C3%BC%0A&e=1"),
        "{form}"
    );
    let html = body(
        json!({ "content_type": "text/html; charset=utf-8", "body": "<p>{{tail}}</p>" }),
        nasty(),
    );
    assert!(
        html.starts_with("<p>&quot;},&quot;x&quot;:1 &lt;b&gt; &amp; {{job}}"),
        "{html}"
    );
}

#[test]
fn a_header_is_cut_to_what_one_may_hold() {
    let config = json!({ "headers": { "X-Cause": "{{cause}}" } });
    let long = End {
        cause: "x".repeat(5000),
        ..end("failed", None, 1)
    };
    let sent = deliveries(&config, long);
    assert_eq!(sent[0].headers[0].1.len(), 1024);
}

#[test]
fn headers_hold_one_line_of_plain_text() {
    let config = json!({ "headers": { "X-Cause": "{{cause}}", "X-Fixed": "1" } });
    let sent = deliveries(
        &config,
        End {
            cause: "line\r\nEvil: 1 ü".to_owned(),
            ..end("failed", None, 1)
        },
    );
    let expected = [("X-Cause", "line??Evil: 1 ?"), ("X-Fixed", "1")];
    assert_eq!(
        sent[0].headers,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
}

#[test]
fn the_tail_is_cut_at_a_character() {
    let long = End {
        output_tail: "aäää".to_owned(),
        ..end("failed", None, 1)
    };
    assert_eq!(
        body(
            json!({ "content_type": "text/plain", "body": "{{tail}}", "tail_bytes": 5 }),
            long
        ),
        "ää"
    );
}

#[test]
fn a_recovery_may_have_a_body_of_its_own() {
    let config = json!({ "body": { "a": "alert" }, "recovery_body": { "a": "over" } });
    assert_eq!(
        body(config.clone(), end("failed", None, 1)),
        r#"{"a":"alert"}"#
    );
    assert_eq!(
        body(config, end("succeeded", Some("failed"), 1)),
        r#"{"a":"over"}"#
    );
}

#[test]
fn a_wrong_setting_is_refused_with_what_is_accepted() {
    let cases = [
        (json!({ "target": "" }), "target", "operator"),
        (
            json!({ "states": ["failed", "broken"] }),
            "states[1]",
            "timed_out",
        ),
        (json!({ "states": [] }), "states", "at least one"),
        (
            json!({ "body": "{{jb}}" }),
            "body",
            "{{jb}} is unknown: one of summary",
        ),
        (
            json!({ "recovery_body": "{{job" }),
            "recovery_body",
            "not closed",
        ),
        (json!({ "body": 7 }), "body", "a text, an object or a list"),
        (
            json!({ "content_type": "text/plain", "body": {} }),
            "body",
            "JSON content type",
        ),
        (
            json!({ "content_type": "json" }),
            "content_type",
            "application/json",
        ),
        (
            json!({ "headers": { "Cookie": "x" } }),
            "headers.Cookie",
            "belong to the target",
        ),
        (
            json!({ "headers": { "a b": "x" } }),
            "headers.a b",
            "the name of a header",
        ),
        (
            json!({ "headers": { "Content-Length": "3" } }),
            "headers.Content-Length",
            "set by whoever sends",
        ),
        (
            json!({ "headers": { "X": "a\nb: c" } }),
            "headers.X",
            "1024 printable ASCII characters",
        ),
        (json!({ "evry": 2 }), "evry", "`every`"),
        (
            json!({ "every": "2" }),
            "every",
            "string \"2\", expected u32",
        ),
    ];
    for (config, member, accepted) in cases {
        let told = refusal(config);
        assert!(told.starts_with(&format!("config.{member}: ")), "{told}");
        assert!(told.contains(accepted), "{told}");
    }
    assert!(Host::new().call(Alerts::validate_config).is_ok());
}
