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

    /// The id of the copy of this alert that goes to another target for this reason, so that two who make it make
    /// one.
    #[must_use]
    pub fn copy(&self, kind: AlertKind, target: &str) -> Self {
        let mut hash = Sha256::new();
        for part in [self.0.as_str(), kind.as_str(), target] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
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
    /// It is in the message of the alert that `part_of` names, and shares its fate.
    Grouped,
    /// The alert that `part_of` names goes to another target in its place.
    Moved,
}

impl AlertState {
    /// The name in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Acknowledged => "acknowledged",
            Self::Grouped => "grouped",
            Self::Moved => "moved",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Pending,
            Self::Delivered,
            Self::Failed,
            Self::Acknowledged,
            Self::Grouped,
            Self::Moved,
        ]
        .into_iter()
        .find(|state| state.as_str() == text)
    }
}

/// Why there is an alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AlertKind {
    /// A plugin, or what stands in for one that failed, raised it.
    #[default]
    Raised,
    /// A copy, because the job has failed so often in a row.
    Escalation,
    /// A copy that goes in the place of one whose target has quiet hours, and is no notice of recovery.
    Diversion,
    /// The job succeeds again. Sent only to targets that want to know, also in the place of another.
    Recovery,
}

impl AlertKind {
    /// The name in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Escalation => "escalation",
            Self::Diversion => "diversion",
            Self::Recovery => "recovery",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        let all = [
            Self::Raised,
            Self::Escalation,
            Self::Diversion,
            Self::Recovery,
        ];
        all.into_iter().find(|kind| kind.as_str() == text)
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
    /// Why there is one.
    pub kind: AlertKind,
    /// How many runs of its job in a row had not succeeded, its own and those of folded ones included; 0 after one
    /// that has.
    pub failures: u32,
    /// Why it waits, if it is not for the pause after a failed try.
    pub waits: Option<String>,
    /// When it is tried next, by the clock of whoever put it off: for people to read.
    pub next_try: Option<Timestamp>,
    /// What it became part of, or what goes in its place.
    pub part_of: Option<AlertId>,
    /// How many others its message holds.
    pub parts: u32,
}

impl Alert {
    /// One that was raised now and is to be delivered. `id` is that of its draft.
    pub fn new(run: RunId, job: JobName, draft: AlertDraft, now: Timestamp) -> Self {
        Self {
            id: AlertId::of(&run, &draft.plugin, draft.index),
            run,
            job,
            draft,
            state: AlertState::Pending,
            tries: 0,
            last_error: None,
            created_at: now,
            folded: 0,
            kind: AlertKind::Raised,
            failures: 0,
            waits: None,
            next_try: None,
            part_of: None,
            parts: 0,
        }
    }

    /// The notice that the job of this alert succeeds again, for the alert's target.
    #[must_use]
    pub fn into_recovery(self) -> Self {
        Self {
            id: self.id.copy(AlertKind::Recovery, &self.draft.target),
            kind: AlertKind::Recovery,
            ..self
        }
    }

    /// Whether it goes in the place of another whose target has quiet hours.
    pub fn was_diverted(&self) -> bool {
        let raised = || AlertId::of(&self.run, &self.draft.plugin, self.draft.index);
        match self.kind {
            AlertKind::Diversion => true,
            // One that goes elsewhere keeps its kind, but not its id.
            AlertKind::Recovery => self.id != raised().copy(self.kind, &self.draft.target),
            AlertKind::Raised | AlertKind::Escalation => false,
        }
    }
}

/// An alert that the caller may deliver until its claim runs out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedAlert {
    /// The alert.
    pub alert: Alert,
    /// Names this claim; a later claim of the same alert has another.
    pub claim: u64,
}

/// When a claimed alert that was not delivered is due again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Later {
    /// From now, by the store's clock.
    pub wait: Duration,
    /// The same by the caller's clock: kept for people to read, and compared with nothing (A5).
    pub at: Timestamp,
}

/// What has become of a claimed alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimEnd {
    /// The target accepted it.
    Delivered,
    /// A try failed; without `again` it is given up for good.
    Failed {
        /// What the target said.
        error: String,
        /// The next try.
        again: Option<Later>,
    },
    /// It was not tried.
    Waits {
        /// Why.
        why: String,
        /// Until when.
        until: Later,
    },
    /// Another alert, which is in the outbox already, goes to another target in its place.
    Moved {
        /// That alert.
        into: AlertId,
        /// Why.
        why: String,
    },
    /// Nobody wants it, and nobody has seen it: it is gone.
    Unwanted,
}

/// Alerts on their way. One whose record cannot be read is left out of claims and lists.
#[async_trait]
pub trait AlertOutbox: Debug + Send + Sync + 'static {
    /// Puts alerts. Idempotent by id, whatever has become of the earlier one (one that was unwanted is put
    /// again). An alert whose dedupe key a pending alert of the same target has is folded into it.
    async fn put(&self, alerts: &[Alert]) -> Result<()>;

    /// Claims up to `max` pending alerts that are due, oldest first, each for `lease` by the store's clock.
    async fn claim(&self, max: u32, lease: Duration) -> Result<Vec<ClaimedAlert>>;

    /// Ends a claim. False, and without effect, if the claim is no longer the caller's.
    async fn end(&self, id: &AlertId, claim: u64, end: &ClaimEnd) -> Result<bool>;

    /// Closes what the message of a claimed alert holds: up to `most` pending alerts of its target that nobody
    /// holds and nobody has tried become part of it, oldest first. Once closed it stays as it is, whoever asks
    /// again, so that each try of the message has the same content. Returns the others in it, oldest first;
    /// `None`, and without effect, if the claim is no longer the caller's.
    async fn gather(&self, id: &AlertId, claim: u64, most: u32) -> Result<Option<Vec<Alert>>>;

    /// Takes a place among the `most` sends to a target in any stretch of time of the length `window`, by the
    /// store's clock. `None` if there was one; else how long until there may be.
    async fn pace(&self, target: &str, most: u32, window: Duration) -> Result<Option<Duration>>;

    /// A person's word: makes it pending now, or acknowledged. `Pending` and `Acknowledged` only.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` for one that is part of another or has another in its place; `InvalidConfig` for
    /// another state.
    async fn set(&self, id: &AlertId, state: AlertState) -> Result<()>;

    /// One alert; `None` if there is none of this id.
    async fn get(&self, id: &AlertId) -> Result<Option<Alert>>;

    /// Alerts, newest first.
    async fn list(
        &self,
        state: Option<AlertState>,
        page: Option<&PageToken>,
        limit: u32,
    ) -> Result<Page<Alert>>;

    /// Alerts of a run, the first put first.
    async fn of_run(&self, run: &RunId) -> Result<Vec<Alert>>;

    /// Alerts of a job that were put after an instant, by their `created_at`, newest first, at most `limit`.
    async fn of_job(&self, job: &JobName, after: Timestamp, limit: u32) -> Result<Vec<Alert>>;
}
