//! A target as messages go there.

use std::time::Duration;

use sandclock_core::alerting::TargetPolicy;
use tokio::sync::Semaphore;

use super::attempt::Now;
use super::message::Message;
use crate::config::Target;

mod email;
mod nats;
mod slack;
mod webhook;

use email::Email;
use nats::Nats;
use slack::Slack;
use webhook::Webhook;
pub(super) use webhook::http;

/// How many alerts are on their way to one target at once.
const PLACES: usize = 4;

/// Why a target did not take a message. Free of secrets.
#[derive(Debug)]
pub(super) struct Refusal {
    /// For people.
    pub(super) why: String,
    /// How long the target asked to be left alone.
    pub(super) patience: Option<Duration>,
}

impl From<String> for Refusal {
    fn from(why: String) -> Self {
        Self {
            why,
            patience: None,
        }
    }
}

/// A target, ready to be sent to.
#[derive(Debug)]
pub(super) struct Outlet {
    /// How alerts go there.
    pub(super) policy: TargetPolicy,
    /// How long one try may take.
    pub(super) timeout: Duration,
    /// For the alerts on their way there.
    pub(super) places: Semaphore,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Log,
    Webhook(Box<Webhook>),
    Slack(Slack),
    Email(Box<Email>),
    Nats(Box<Nats>),
}

impl Outlet {
    /// The outlet of the target with this name.
    pub(super) fn new(name: &str, target: &Target, http: &reqwest::Client) -> anyhow::Result<Self> {
        let field = |member: &str| format!("alerts.targets.{name}.{member}");
        let kind = match target {
            Target::Log(_) => Kind::Log,
            Target::Webhook(webhook) => {
                Kind::Webhook(Box::new(Webhook::new(&field, webhook, http)?))
            }
            Target::Slack(slack) => Kind::Slack(Slack::new(slack, http)),
            Target::Email(email) => Kind::Email(Box::new(Email::new(&field, email)?)),
            Target::Nats(nats) => Kind::Nats(Box::new(Nats::new(&field, nats)?)),
        };
        Ok(Self {
            policy: target.target_policy(),
            timeout: target.timeout().max(Duration::from_secs(1)),
            places: Semaphore::new(PLACES),
            kind,
        })
    }

    /// Sends a message, and returns once the target has taken it.
    pub(super) async fn send(&self, message: &Message<'_>, now: Now) -> Result<(), Refusal> {
        match &self.kind {
            Kind::Log => {
                let alert = message.alert;
                let text = message.text();
                tracing::warn!(alert = %alert.id, job = %alert.job, run = %alert.run, "alert: {text}");
                Ok(())
            }
            Kind::Webhook(webhook) => webhook.send(message, now).await,
            Kind::Slack(slack) => slack.send(message).await,
            Kind::Email(email) => email.send(message, now).await,
            Kind::Nats(nats) => nats.send(message).await,
        }
    }
}
