//! What this process was given in confidence by its configuration: known from the start, so that it leaves neither by
//! the log nor by the output of a job that happens to print it.
//!
//! What cannot be read here is reported where it is needed. What is shorter than [`LEAST`] is left out: the word of a
//! test password occurs everywhere, and marks in its place would hide output and show the word.

use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use sandclock_hooks::KnownSecrets;

use crate::config::{Config, CoordinationSection, RunLogSection, Target, secret};
use crate::private_file;

/// The shortest credential that is masked, in bytes.
const LEAST: usize = 8;

/// Teaches `known` all of it.
pub(super) fn learn(config: &Config, known: &KnownSecrets) {
    let learn = |field: &str, value: &str| {
        if value.len() >= LEAST {
            // What is too long to be masked is no credential.
            let _ = known.learn(field, value.as_bytes());
        }
    };
    let given = |field: &str, given: &Option<String>, file: &Option<PathBuf>| {
        if let Ok(Some(value)) = secret(field, given.as_ref(), file.as_ref()) {
            learn(field, &value);
        }
    };
    if let CoordinationSection::Etcd(etcd) = &config.coordination {
        given("coordination.password", &etcd.password, &etcd.password_file);
    }
    if let RunLogSection::Mongodb(log) = &config.run_log
        && let Some(password) = password_in(&log.uri)
    {
        learn("run_log.uri", password);
        learn(
            "run_log.uri",
            &percent_decode_str(password).decode_utf8_lossy(),
        );
    }
    if let Some(path) = &config.worker.secrets_key {
        keys(path, learn);
    }
    let headers = config.telemetry.headers.iter();
    for (header, value) in headers.filter(|(name, _)| is_credential(name)) {
        in_header(&format!("telemetry.headers.{header}"), value, learn);
    }
    for (name, target) in &config.alerts.targets {
        let field = |member: &str| format!("alerts.targets.{name}.{member}");
        match target {
            Target::Log(_) => {}
            Target::Webhook(webhook) => {
                given(&field("secret"), &webhook.secret, &webhook.secret_file);
                let headers = webhook.headers.iter();
                for (header, value) in headers.filter(|(name, _)| is_credential(name)) {
                    in_header(&field(&format!("headers.{header}")), value, learn);
                }
            }
            Target::Slack(slack) => learn(&field("url"), &slack.url),
            Target::Email(email) => {
                given(&field("password"), &email.password, &email.password_file);
            }
            Target::Nats(nats) => {
                given(&field("password"), &nats.password, &nats.password_file);
                given(&field("token"), &nats.token, &nats.token_file);
            }
        }
    }
}

/// Whether a header is one that credentials are sent in. Others hold common words, such as the type of a content.
fn is_credential(header: &str) -> bool {
    let header = header.to_ascii_lowercase();
    let words = ["auth", "cookie", "key", "pass", "secret", "token"];
    words.iter().any(|word| header.contains(word))
}

/// What a header holds.
fn in_header(field: &str, value: &str, learn: impl Fn(&str, &str)) {
    learn(field, value);
    // Of what says how it is to be read, the credential is the last word.
    if let Some((_, credential)) = value.rsplit_once(' ') {
        learn(field, credential);
    }
}

/// The keys of the fleet's secrets, each on its line.
fn keys(path: &Path, learn: impl Fn(&str, &str)) {
    let text = private_file::read(path).ok();
    let text = text.and_then(|bytes| String::from_utf8(bytes).ok());
    for line in text.as_deref().unwrap_or_default().lines() {
        if let Some((_, key)) = line.trim().split_once(':') {
            learn("worker.secrets_key", key);
        }
    }
}

/// The password in an address of MongoDB, as it stands there.
pub(crate) fn password_in(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    Some(user.split_once(':')?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_addresses_are_found() {
        let cases = [
            ("mongodb://h1,h2/?replicaSet=rs", None),
            ("mongodb://ann@h1/", None),
            (
                "mongodb://ann:correct%40horse@h1,h2/x",
                Some("correct%40horse"),
            ),
            ("mongodb+srv://ann:horse@h1?a=b@c", Some("horse")),
        ];
        for (uri, password) in cases {
            assert_eq!(password_in(uri), password, "{uri}");
        }
    }

    #[test]
    fn what_is_configured_is_masked_but_no_common_word() {
        let mut config = Config::default();
        let webhook = serde_json::json!({
            "default": {
                "type": "webhook",
                "url": "https://hooks.example.org/x",
                "headers": {
                    "Authorization": "Bearer battery-staple",
                    "Accept": "application/json",
                },
            },
        });
        config.alerts.targets = serde_json::from_value(webhook).unwrap();
        let known = KnownSecrets::new();
        learn(&config, &known);
        let shown = known.mask_text("battery-staple as application/json");
        assert_eq!(
            shown,
            "[secret:alerts.targets.default.headers.Authorization] as application/json"
        );
    }
}
