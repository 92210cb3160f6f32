//! `[alerts]`: where alerts can go, and how.

use std::collections::BTreeMap;
use std::time::Duration;

use sandclock_core::alerting::TargetPolicy;
use serde::{Deserialize, Deserializer, Serialize};

use super::kinds::{self, Kinds};
use crate::document::FieldError;

mod policy;
mod targets;

pub use policy::PolicySection;
pub use targets::{
    EmailTarget, EmailTls, LogTarget, NatsTarget, SlackTarget, WebhookTarget, signing_key,
};

/// `[alerts]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertSection {
    /// Where alerts can go, by the name that plugins use.
    pub targets: BTreeMap<String, Target>,
    /// How long an alert is left to the server that has taken it, in seconds: if that one is dead, another sends it
    /// afterwards.
    pub take_over_s: u64,
}

impl Default for AlertSection {
    /// Without configuration every alert still goes somewhere: into the log.
    fn default() -> Self {
        let log = |name: &str| (name.to_owned(), Target::Log(LogTarget::default()));
        Self {
            targets: BTreeMap::from([log("default"), log("log")]),
            take_over_s: 60,
        }
    }
}

/// What an alert needs beside its try, such as calls of the store, in seconds.
const MARGIN_S: u64 = 10;

impl AlertSection {
    /// Checks what no single member can say.
    pub(super) fn check(&self) -> Result<(), FieldError> {
        for (name, target) in &self.targets {
            let field = |member: &str| format!("alerts.targets.{name}.{member}");
            let policy = target.policy();
            policy.check(&field("policy"))?;
            for (member, to) in policy.others() {
                if to == name || !self.targets.contains_key(to) {
                    let known = self.targets.keys().filter(|known| *known != name);
                    let known: Vec<_> = known.map(String::as_str).collect();
                    let accepted = match known.is_empty() {
                        true => "another target, of which there is none yet".to_owned(),
                        false => format!("another target: {}", known.join(", ")),
                    };
                    let member = field(&format!("policy.{member}"));
                    return Err(FieldError::new(member, format!("{to:?}"), accepted));
                }
            }
            target.check(&field)?;
        }
        let slowest = self.targets.values().map(Target::timeout).max();
        let least = slowest.unwrap_or_default().as_secs() + MARGIN_S;
        if self.take_over_s < least {
            let accepted = format!(
                "seconds from {least}: what the slowest target may take for a try (timeout_s), and {MARGIN_S}"
            );
            return Err(FieldError::new(
                "alerts.take_over_s",
                self.take_over_s,
                accepted,
            ));
        }
        Ok(())
    }
}

/// `[alerts.targets.NAME]`
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Target {
    /// The process's own log.
    Log(LogTarget),
    /// An HTTP POST.
    Webhook(WebhookTarget),
    /// A message as Slack's incoming webhooks take them.
    Slack(SlackTarget),
    /// An e-mail.
    Email(Box<EmailTarget>),
    /// A message in a stream of NATS JetStream.
    Nats(Box<NatsTarget>),
}

/// What `type` may say.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum TargetKind {
    Log,
    Webhook,
    Slack,
    Email,
    Nats,
}

impl<'de> Kinds<'de> for Target {
    type Kind = TargetKind;

    fn read<D: Deserializer<'de>>(kind: TargetKind, rest: D) -> Result<Self, D::Error> {
        match kind {
            TargetKind::Log => LogTarget::deserialize(rest).map(Self::Log),
            TargetKind::Webhook => WebhookTarget::deserialize(rest).map(Self::Webhook),
            TargetKind::Slack => SlackTarget::deserialize(rest).map(Self::Slack),
            TargetKind::Email => EmailTarget::deserialize(rest)
                .map(Box::new)
                .map(Self::Email),
            TargetKind::Nats => NatsTarget::deserialize(rest).map(Box::new).map(Self::Nats),
        }
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(section: D) -> Result<Self, D::Error> {
        kinds::read(section)
    }
}

impl Target {
    fn policy(&self) -> &PolicySection {
        match self {
            Self::Log(log) => &log.policy,
            Self::Webhook(webhook) => &webhook.policy,
            Self::Slack(slack) => &slack.policy,
            Self::Email(email) => &email.policy,
            Self::Nats(nats) => &nats.policy,
        }
    }

    /// How alerts go there.
    pub fn target_policy(&self) -> TargetPolicy {
        self.policy().target_policy()
    }

    /// How long one try may take.
    pub fn timeout(&self) -> Duration {
        let seconds = match self {
            Self::Log(_) => 0,
            Self::Webhook(webhook) => webhook.timeout_s,
            Self::Slack(slack) => slack.timeout_s,
            Self::Email(email) => email.timeout_s,
            Self::Nats(nats) => nats.timeout_s,
        };
        Duration::from_secs(seconds)
    }
}
