//! Delivery of alerts from the outbox to their targets.
//!
//! The server that leads does it. An alert is claimed for a while, sent, and then marked; whoever dies in between leaves a claim that
//! runs out, so an alert arrives at least once. A target that fails is tried again with growing pauses,
//! and given up visibly after the last.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sandclock_core::backend::{Alert, AlertOutbox, ClaimedAlert};
use tokio::time::sleep;

use crate::config::{Target, WebhookTarget};

/// How long a claim holds: longer than a try can take.
const CLAIM: Duration = Duration::from_secs(60);
/// How long one try may take.
const TRY: Duration = Duration::from_secs(20);
/// How often the outbox is asked.
const POLL: Duration = Duration::from_secs(1);
/// The pauses after failed tries; after the last one the alert is given up.
const PAUSES_S: [u64; 7] = [1, 5, 25, 120, 600, 1800, 3600];
/// How many are claimed at once.
const BATCH: u32 = 16;

/// Sends what is in the outbox.
#[derive(Debug)]
pub struct Delivery {
    outbox: Arc<dyn AlertOutbox>,
    targets: BTreeMap<String, Target>,
    http: reqwest::Client,
}

impl Delivery {
    /// To these targets, by name.
    ///
    /// # Errors
    /// If the HTTP client cannot be made.
    pub fn new(
        outbox: Arc<dyn AlertOutbox>,
        targets: BTreeMap<String, Target>,
    ) -> anyhow::Result<Self> {
        // A redirect could lead anywhere; a target is where its operator said.
        let redirect = reqwest::redirect::Policy::none();
        let http = reqwest::Client::builder()
            .redirect(redirect)
            .timeout(TRY)
            .build()?;
        Ok(Self {
            outbox,
            targets,
            http,
        })
    }

    /// Delivers for ever. Dropped, it leaves what it had claimed to whoever runs next.
    pub async fn run(&self) {
        loop {
            match self.outbox.claim(BATCH, CLAIM).await {
                Ok(claimed) if claimed.is_empty() => sleep(POLL).await,
                Ok(claimed) => {
                    let tries = claimed.iter().map(|claimed| self.deliver(claimed));
                    futures_util::future::join_all(tries).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "the alert outbox does not answer");
                    sleep(POLL).await;
                }
            }
        }
    }

    async fn deliver(&self, claimed: &ClaimedAlert) {
        let alert = &claimed.alert;
        let marked = match self.send(alert).await {
            Ok(()) => self.outbox.delivered(&alert.id, claimed.claim).await,
            Err(why) => {
                let pause = PAUSES_S.get(usize::try_from(alert.tries).unwrap_or(usize::MAX));
                let again = pause.map(|seconds| Duration::from_secs(*seconds));
                let (id, target) = (&alert.id, &alert.draft.target);
                tracing::warn!(alert = %id, target, why, given_up = again.is_none(), "alert not delivered");
                self.outbox
                    .failed(&alert.id, claimed.claim, &why, again)
                    .await
            }
        };
        if let Err(error) = marked {
            tracing::warn!(alert = %alert.id, %error, "the outbox could not be told; it may be sent twice");
        }
    }

    async fn send(&self, alert: &Alert) -> Result<(), String> {
        let draft = &alert.draft;
        match self.targets.get(&draft.target) {
            None => {
                let known: Vec<_> = self.targets.keys().map(String::as_str).collect();
                Err(format!(
                    "there is no target {:?}; there are {}",
                    draft.target,
                    known.join(", ")
                ))
            }
            Some(Target::Log {}) => {
                let body = String::from_utf8_lossy(&draft.body);
                tracing::warn!(alert = %alert.id, job = %alert.job, run = %alert.run, "alert: {body}");
                Ok(())
            }
            Some(Target::Webhook(WebhookTarget { url, headers })) => {
                let mut request = self
                    .http
                    .post(url)
                    .header("content-type", &draft.content_type)
                    .header("idempotency-key", alert.id.to_string())
                    .body(draft.body.clone());
                for (name, value) in &draft.headers {
                    request = request.header(name, value);
                }
                for (name, value) in headers {
                    request = request.header(name, value);
                }
                // The address may carry a token, so errors are told without it.
                let response = request
                    .send()
                    .await
                    .map_err(|error| error.without_url().to_string())?;
                let status = response.status();
                if status.is_success() {
                    Ok(())
                } else {
                    Err(format!("the target answered {status}"))
                }
            }
        }
    }
}
