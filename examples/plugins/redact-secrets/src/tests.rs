//! Each shape is hidden however the bytes arrive; ordinary output passes unchanged.
//!
//! The credentials are made up, and put together at run time: written out, they would alarm every scanner that reads this
//! repository.

use sandclock_plugin_sdk::mock::{self, Host};
use serde_json::{Value, json};

use super::*;
use crate::shapes::{PRIVATE_KEY, SHAPES};

fn hidden(config: Value, input: &str) -> String {
    let host = Host::new().config(config);
    let output = mock::check_chunkings::<Secrets>(&host, input.as_bytes()).unwrap();
    String::from_utf8(output).unwrap()
}

/// `text` repeated up to `len` characters.
fn fill(text: &str, len: usize) -> String {
    text.chars().cycle().take(len).collect()
}

/// A credential of each shape, by the name of its rule.
fn examples() -> Vec<(&'static str, String)> {
    let mixed = |len| fill("a1B2c3D4e5", len);
    let hex = |len| fill("0a1b2c3d", len);
    vec![
        ("aws-key", format!("AK{}{}", "IA", fill("ABCD2345", 16))),
        (
            "aws-secret",
            format!("AWS_SECRET_ACCESS_KEY={}", fill("aB3/+", 40)),
        ),
        ("github-token", format!("gh{}_{}", "p", mixed(36))),
        ("github-token", format!("github_{}_{}", "pat", mixed(82))),
        ("gitlab-token", format!("gl{}-{}", "pat", mixed(20))),
        ("slack-token", format!("xo{}-{}", "xb", mixed(40))),
        (
            "slack-webhook",
            format!("hooks.slack{}/services/T0/B0/{}", ".com", mixed(24)),
        ),
        ("jwt", format!("ey{0}{1}.ey{0}{1}.{1}", "J", mixed(30))),
        ("stripe-key", format!("sk_{}_{}", "live", mixed(24))),
        ("google-key", format!("AI{}{}", "za", mixed(35))),
        ("azure-key", format!("AccountKey={}==", mixed(86))),
        ("openai-key", format!("sk-{}-{}", "proj", mixed(40))),
        ("anthropic-key", format!("sk-{}-api03-{}", "ant", mixed(40))),
        ("npm-token", format!("npm{}{}", "_", mixed(36))),
        ("pypi-token", format!("pypi-{}{}", "AgE", mixed(60))),
        ("docker-token", format!("dckr_{}_{}", "pat", mixed(27))),
        (
            "sendgrid-key",
            format!("SG{}{}.{}", ".", mixed(22), mixed(43)),
        ),
        ("twilio-key", format!("S{}{}", "K", hex(32))),
        ("digitalocean-token", format!("dop_{}_{}", "v1", hex(64))),
        ("vault-token", format!("hvs{}{}", ".", mixed(90))),
        (
            "age-key",
            format!("AGE-SECRET-{}-1{}", "KEY", fill("QPZRY9X8", 58)),
        ),
        (
            "authorization",
            format!("Authorization: Basic {}", mixed(12)),
        ),
        ("bearer-token", format!("bearer {}", mixed(32))),
        ("url-password", format!("://admin:{}@", "s3cr3t!")),
    ]
}

fn pem(kind: &str, lines: usize, newline: &str) -> String {
    let body = format!("{}{newline}", fill("MIIEpAIBAAKCAQEA", 64)).repeat(lines);
    let (begin, end) = ("-----BEGIN", "-----END");
    format!(
        "{begin} {kind}PRIVATE KEY-----{newline}{body}abc={newline}{end} {kind}PRIVATE KEY-----"
    )
}

#[test]
fn the_schema_says_what_the_settings_do() {
    mock::check_schema::<crate::settings::Settings>().unwrap();
}

#[test]
fn each_shape_is_hidden_for_every_chunking() {
    for (name, secret) in examples() {
        let output = hidden(json!({}), &format!("x={secret}\nok\n"));
        let shown = output.replace("x=", "").replace("\nok\n", "");
        assert_eq!(shown, format!("[redacted:{name}]"), "{secret}");
    }
}

#[test]
fn every_shape_has_an_example_and_can_be_left_visible() {
    let examples = examples();
    for (name, _) in SHAPES {
        assert!(
            examples.iter().any(|(shape, _)| shape == name),
            "no example of {name}"
        );
    }
    for (name, secret) in examples {
        let all = hidden(json!({ "disable": ["all"] }), &secret);
        assert_eq!(all, secret, "{name}");
    }
}

#[test]
fn shapes_compiled_for_a_stream_hide_what_the_prebuilt_ones_hide() {
    let redact = |config: Value, input: &str| {
        let host = Host::new().config(config);
        mock::redact::<Secrets>(&host, input.as_bytes().chunks(7)).unwrap()
    };
    let examples = examples();
    for (name, secret) in &examples {
        let other = if *name == "jwt" { "npm-token" } else { "jwt" };
        let input = format!("{secret}{secret} {secret}:");
        assert_eq!(
            redact(json!({ "disable": [other] }), &input),
            redact(json!({}), &input),
            "{name}"
        );
    }
}

#[test]
fn of_equal_matches_a_configured_one_names_the_label() {
    let (_, key) = &examples()[0];
    let config = json!({ "words": [key], "regexes": { "mine": "[A-Z]{4}[A-Z0-9]{16}" } });
    assert_eq!(hidden(config, key), "[redacted:word]");
    let config = json!({ "regexes": { "mine": "[A-Z]{4}[A-Z0-9]{16}" }, "assignments": true });
    let input = format!("token={key}");
    assert_eq!(hidden(config.clone(), key), "[redacted:mine]");
    assert_eq!(hidden(config, &input), "[redacted:assignment]");
}

#[test]
fn private_keys_are_hidden_in_every_form() {
    for kind in ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "] {
        let key = pem(kind, 4, "\n");
        assert_eq!(
            hidden(json!({}), &format!("a\n{key}\nb\n")),
            "a\n[redacted:private-key]\nb\n"
        );
    }
    let json_text = format!("{{\"key\": \"{}\\n\", \"id\": 1}}", pem("", 3, "\\n"));
    assert_eq!(
        hidden(json!({}), &json_text),
        "{\"key\": \"[redacted:private-key]\\n\", \"id\": 1}"
    );
    let windows = pem("RSA ", 3, "\r\n");
    assert_eq!(
        hidden(json!({}), &format!("{windows}\r\nend")),
        "[redacted:private-key]\r\nend"
    );
}

#[test]
fn a_private_key_without_its_end_is_hidden_as_far_as_it_goes() {
    let key = pem("RSA ", 4, "\n");
    let cut = key.split_at(220).0;
    assert_eq!(
        hidden(json!({}), &format!("{cut}\n$ ls")),
        "[redacted:private-key]\n$ ls"
    );
}

#[test]
fn a_private_key_longer_than_any_window_is_hidden_whole() {
    let key = pem("RSA ", 2000, "\n");
    let input = format!("a\n{key}\n.b\n");
    for size in [1000, 65_536, 1 << 20] {
        let output = mock::redact::<Secrets>(&Host::new(), input.as_bytes().chunks(size)).unwrap();
        let output = String::from_utf8(output).unwrap();
        assert_eq!(output, "a\n[redacted:private-key].b\n", "chunks of {size}");
    }
}

#[test]
fn words_and_regexes_are_hidden_also_where_they_overlap() {
    let config = json!({ "words": ["abcdef", "defghi", "pässwort"], "regexes": { "customer": "CUST-[0-9]{4,8}" } });
    assert_eq!(hidden(config.clone(), "xabcdefghiy"), "x[redacted:word]y");
    assert_eq!(
        hidden(config.clone(), "mein pässwort."),
        "mein [redacted:word]."
    );
    assert_eq!(
        hidden(config, "for CUST-123456789."),
        "for [redacted:customer]9."
    );
}

#[test]
fn a_url_keeps_its_host_and_loses_its_password() {
    let output = hidden(
        json!({}),
        "dialing postgres://app:hunter2@db:5432/x and http://db:8080/y",
    );
    assert_eq!(
        output,
        "dialing postgres[redacted:url-password]db:5432/x and http://db:8080/y"
    );
}

#[test]
fn values_of_assignments_are_hidden_on_request() {
    let text = "PGPASSWORD=hunter2 token: abcd1234 passwords are nice";
    assert_eq!(hidden(json!({}), text), text);
    assert_eq!(
        hidden(json!({ "assignments": true }), text),
        "PG[redacted:assignment] [redacted:assignment] passwords are nice"
    );
}

#[test]
fn ordinary_output_passes() {
    let text = "2026-11-20T02:00:00Z INFO backup of /srv/data started (pid 4242)\n\
        bearer of bad news: authorization failed, basic checks pending\n\
        https://example.org/a?b=c#d http://localhost:8080/ user@example.org:22\n\
        sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n\
        risk-assessment-of-something-long task-sk-short AKIA ghp_ eyJ -----BEGIN CERTIFICATE-----\n";
    assert_eq!(hidden(json!({}), text), text);
}

#[test]
fn a_wrong_setting_is_refused_with_what_is_accepted() {
    let refusal = |config: Value| {
        let host = Host::new().config(config);
        host.call(Secrets::validate_config).unwrap_err().to_string()
    };
    let cases = [
        (
            json!({ "words": ["ok-word", "abc"] }),
            "words[1]",
            "3 bytes, has to be 4",
        ),
        (
            json!({ "words": [7] }),
            "words[0]",
            "integer `7`, expected a string",
        ),
        (
            json!({ "regexes": { "a": "x(" } }),
            "regexes.a",
            "unclosed group",
        ),
        (
            json!({ "regexes": { "a": r"\bx" } }),
            "regexes.a",
            "look at bytes",
        ),
        (
            json!({ "disable": ["jwt", "aws"] }),
            "disable[1]",
            "aws-key",
        ),
        (json!({ "wordz": [] }), "wordz", "`words`"),
    ];
    for (config, member, accepted) in cases {
        let told = refusal(config);
        assert!(told.starts_with(&format!("config.{member}: ")), "{told}");
        assert!(told.contains(accepted), "{told}");
    }
    let shapes = SHAPES.iter().chain([&PRIVATE_KEY]).map(|(name, _)| name);
    let config = json!({ "disable": shapes.collect::<Vec<_>>() });
    assert!(
        Host::new()
            .config(config)
            .call(Secrets::validate_config)
            .is_ok()
    );
}
