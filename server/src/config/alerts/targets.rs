//! The kinds of targets. None of them shows its secrets.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::message::Mailbox;
use serde::{Deserialize, Serialize};

use super::{PolicySection, Target};
use crate::config::checked;
use crate::document::FieldError;

/// `[alerts.targets.NAME]` with `type = "log"`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LogTarget {
    /// How alerts go there.
    #[serde(default)]
    pub policy: PolicySection,
}

/// `[alerts.targets.NAME]` with `type = "webhook"`.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookTarget {
    /// Where to.
    #[serde(deserialize_with = "checked::webhook_url")]
    pub url: String,
    /// Headers besides those of the alert.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What requests are signed with: `whsec_` and 24 to 64 bytes in base64.
    #[serde(default)]
    pub secret: Option<String>,
    /// A file that holds the secret instead.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// How long one try may take, in seconds.
    #[serde(default = "timeout_s")]
    pub timeout_s: u64,
    /// How alerts go there.
    #[serde(default)]
    pub policy: PolicySection,
}

/// `[alerts.targets.NAME]` with `type = "slack"`.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SlackTarget {
    /// The incoming webhook; whoever knows it can post.
    #[serde(deserialize_with = "checked::webhook_url")]
    pub url: String,
    /// How long one try may take, in seconds.
    #[serde(default = "timeout_s")]
    pub timeout_s: u64,
    /// How alerts go there.
    #[serde(default)]
    pub policy: PolicySection,
}

/// How a connection to a mail server is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EmailTls {
    /// It begins in the clear and must become encrypted before anything is sent.
    #[default]
    Starttls,
    /// It is encrypted from the first byte on.
    Implicit,
}

/// `[alerts.targets.NAME]` with `type = "email"`.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EmailTarget {
    /// The mail server.
    pub host: String,
    /// Its port; `None` is 587, or 465 with implicit TLS.
    #[serde(default)]
    pub port: Option<u16>,
    /// How the connection is encrypted. There is no way without.
    #[serde(default)]
    pub tls: EmailTls,
    /// The authorities that may vouch for the server, in PEM, besides those that everybody trusts.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The user, where the server asks for one.
    #[serde(default)]
    pub user: Option<String>,
    /// The user's password.
    #[serde(default)]
    pub password: Option<String>,
    /// A file that holds the password instead.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// The sender.
    #[serde(
        deserialize_with = "checked::mailbox",
        serialize_with = "checked::as_text"
    )]
    pub from: Mailbox,
    /// The recipients.
    #[serde(
        deserialize_with = "checked::mailboxes",
        serialize_with = "checked::as_texts"
    )]
    pub to: Vec<Mailbox>,
    /// How long one try may take, in seconds.
    #[serde(default = "timeout_s")]
    pub timeout_s: u64,
    /// How alerts go there.
    #[serde(default)]
    pub policy: PolicySection,
}

/// `[alerts.targets.NAME]` with `type = "nats"`.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NatsTarget {
    /// `host:port` each.
    pub servers: Vec<String>,
    /// The subject; a stream must store it.
    #[serde(deserialize_with = "checked::subject")]
    pub subject: String,
    /// Set for encrypted connections.
    #[serde(default)]
    pub tls: bool,
    /// The authorities that may vouch for the servers, in PEM, besides those of this host.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The user, where the servers ask for one.
    #[serde(default)]
    pub user: Option<String>,
    /// The user's password.
    #[serde(default)]
    pub password: Option<String>,
    /// A file that holds the password instead.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// The token, where the servers ask for that.
    #[serde(default)]
    pub token: Option<String>,
    /// A file that holds the token instead.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// How long one try may take, in seconds.
    #[serde(default = "timeout_s")]
    pub timeout_s: u64,
    /// How alerts go there.
    #[serde(default)]
    pub policy: PolicySection,
}

const fn timeout_s() -> u64 {
    20
}

/// Without the address, which may hold a token, and what is in the headers.
impl fmt::Debug for WebhookTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookTarget")
            .field("headers", &self.headers.keys())
            .field(
                "signed",
                &(self.secret.is_some() || self.secret_file.is_some()),
            )
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// Without the address.
impl fmt::Debug for SlackTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlackTarget")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// Without the password.
impl fmt::Debug for EmailTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmailTarget")
            .field("host", &self.host)
            .field("tls", &self.tls)
            .field("user", &self.user)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// Without password and token.
impl fmt::Debug for NatsTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsTarget")
            .field("servers", &self.servers)
            .field("subject", &self.subject)
            .field("user", &self.user)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// Refuses a secret that is given twice.
fn once(
    field: &dyn Fn(&str) -> String,
    member: &str,
    given: bool,
    in_file: bool,
) -> Result<(), FieldError> {
    if given && in_file {
        let accepted = format!("either {member} or {member}_file, not both");
        return Err(FieldError::new(field(member), "(not shown)", accepted));
    }
    Ok(())
}

/// Refuses a user without a password, and the other way round.
fn login(field: &dyn Fn(&str) -> String, user: bool, password: bool) -> Result<(), FieldError> {
    match (user, password) {
        (true, false) => {
            let accepted = "with user a password is needed: set it, or password_file";
            Err(FieldError::new(field("password"), "nothing", accepted))
        }
        (false, true) => {
            let accepted = "with a password a user is needed";
            Err(FieldError::new(field("user"), "nothing", accepted))
        }
        _ => Ok(()),
    }
}

impl Target {
    /// Checks what no single member can say. `field` makes a member's path.
    pub(super) fn check(&self, field: &dyn Fn(&str) -> String) -> Result<(), FieldError> {
        let timeout = self.timeout().as_secs();
        if !matches!(self, Self::Log(_)) && !(1..=300).contains(&timeout) {
            let accepted = "seconds from 1 to 300";
            return Err(FieldError::new(field("timeout_s"), timeout, accepted));
        }
        match self {
            Self::Log(_) | Self::Slack(_) => Ok(()),
            Self::Webhook(webhook) => {
                let in_file = webhook.secret_file.is_some();
                once(field, "secret", webhook.secret.is_some(), in_file)?;
                let given = webhook.secret.as_deref();
                given.map_or(Ok(()), |secret| {
                    signing_key(&field("secret"), secret).map(drop)
                })
            }
            Self::Email(email) => {
                let (given, in_file) = (email.password.is_some(), email.password_file.is_some());
                once(field, "password", given, in_file)?;
                login(field, email.user.is_some(), given || in_file)
            }
            Self::Nats(nats) => {
                let (given, in_file) = (nats.password.is_some(), nats.password_file.is_some());
                once(field, "password", given, in_file)?;
                login(field, nats.user.is_some(), given || in_file)?;
                once(
                    field,
                    "token",
                    nats.token.is_some(),
                    nats.token_file.is_some(),
                )?;
                nats.check_servers(field)
            }
        }
    }
}

impl NatsTarget {
    fn check_servers(&self, field: &dyn Fn(&str) -> String) -> Result<(), FieldError> {
        let accepted = "at least one host:port, such as nats-1:4222; user, password and token have members of their \
                        own";
        if self.servers.is_empty() {
            return Err(FieldError::new(field("servers"), "[]", accepted));
        }
        for (number, server) in self.servers.iter().enumerate() {
            let fits = server
                .rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
            if !fits || server.contains(['@', '/']) {
                // It may hold a password.
                let member = field(&format!("servers[{number}]"));
                return Err(FieldError::new(member, "(not shown)", accepted));
            }
        }
        Ok(())
    }
}

/// The bytes of a signing secret in the form of Standard Webhooks.
///
/// # Errors
/// Says what is accepted, never what was given.
pub fn signing_key(field: &str, secret: &str) -> Result<Vec<u8>, FieldError> {
    let text = secret.strip_prefix("whsec_");
    let key = text.and_then(|text| STANDARD.decode(text).ok());
    key.filter(|key| (24..=64).contains(&key.len())).ok_or_else(|| {
        let accepted = "whsec_ and 24 to 64 random bytes in base64, as `echo whsec_$(openssl rand -base64 32)` \
                        prints them";
        FieldError::new(field, "(not shown)", accepted)
    })
}
