//! The alert outbox: alerts survive crashes and are delivered at least once, by anybody.

use std::fmt::{self, Debug};
use std::time::Duration;

use async_trait::async_trait;

use super::{Page, PageToken, Result};
use crate::job::JobName;
use crate::ports::AlertDraft;
use crate::run::{RunId, hex};
use crate::time::Timestamp;
use sha2::{Digest, Sha256};

/// An alert's id: a function of run, plugin and index, so that two copiers put one alert.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertId(pub String);

impl AlertId {
    /// The id of this alert.
    pub fn of(run: &RunId, plugin: &str, index: u32) -> Self {
        let mut hash = Sha256::new();
        hash.update(run.as_str().as_bytes());
        hash.update([0]);
        hash.update(plugin.as_bytes());
        hash.update([0]);
        hash.update(index.to_le_bytes());
        Self(hex(&hash.finalize(), 16))
    }
}

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AlertState {
    /// To be delivered, now or later.
    Pending,
    /// Its target accepted it.
    Delivered,
    /// Given up after the last try; `retry` makes it pending again.
    Failed,
    /// A person has seen it; it is not sent (again).
    Acknowledged,
}

impl AlertState {
    /// The name in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Acknowledged => "acknowledged",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Pending,
            Self::Delivered,
            Self::Failed,
            Self::Acknowledged,
        ]
        .into_iter()
        .find(|state| state.as_str() == text)
    }
}

/// An alert in the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Its id.
    pub id: AlertId,
    /// The run it is about.
    pub run: RunId,
    /// Its job.
    pub job: JobName,
    /// What is sent, and where.
    pub draft: AlertDraft,
    /// Where it is.
    pub state: AlertState,
    /// Tries so far.
    pub tries: u32,
    /// What the last failed try said.
    pub last_error: Option<String>,
    /// When it was put, by the clock of whoever put it.
    pub created_at: Timestamp,
    /// Further alerts with the same dedupe key that were folded into this one.
    pub folded: u32,
}

/// An alert that the caller may deliver until its claim runs out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedAlert {
    /// The alert.
    pub alert: Alert,
    /// Names this claim; a later claim of the same alert has another.
    pub claim: u64,
}

/// Alerts on their way. One whose record cannot be read is left out of claims and lists.
#[async_trait]
pub trait AlertOutbox: Debug + Send + Sync + 'static {
    /// Puts alerts. Idempotent by id, whatever has become of the earlier one. An alert whose dedupe key a
    /// pending alert of the same target has is folded into it.
    async fn put(&self, alerts: &[Alert]) -> Result<()>;

    /// Claims up to `max` pending alerts that are due, oldest first, each for `lease` by the store's clock.
    async fn claim(&self, max: u32, lease: Duration) -> Result<Vec<ClaimedAlert>>;

    /// The target accepted it. Without effect if the claim is no longer the caller's.
    async fn delivered(&self, id: &AlertId, claim: u64) -> Result<()>;

    /// A try failed: it is due again after `again`, or given up for good with `None`. Without effect if the
    /// claim is no longer the caller's.
    async fn failed(
        &self,
        id: &AlertId,
        claim: u64,
        error: &str,
        again: Option<Duration>,
    ) -> Result<()>;

    /// A person's word: makes it pending now, or acknowledged. `Pending` and `Acknowledged` only.
    ///
    /// # Errors
    /// `NotFound`; `InvalidConfig` for another state.
    async fn set(&self, id: &AlertId, state: AlertState) -> Result<()>;

    /// Alerts, newest first.
    async fn list(
        &self,
        state: Option<AlertState>,
        page: Option<&PageToken>,
        limit: u32,
    ) -> Result<Page<Alert>>;
}
