//! The audit trail: who changed what through the API, from where, and what it was before and after.
//!
//! An entry is written before the change, as one that has begun, and written again with what came of it. So a process
//! that ends in between leaves a trace, and no change is made that nobody can find again.

use std::fmt::Debug;

use async_trait::async_trait;
use serde_json::Value;

use super::{Page, PageToken, Result};
use crate::error::{BackendError, ErrorKind};
use crate::time::Timestamp;

/// The largest document of an entry (`asked`, `before`, `after`), in bytes of its JSON.
pub const MAX_AUDITED_BYTES: usize = 64 << 10;

/// The longest other member of an entry, in bytes.
pub const MAX_AUDIT_WORD_BYTES: usize = 1024;

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditOutcome {
    /// Nobody has said yet: it goes on, or its process ended.
    Begun,
    /// It was done.
    Done,
    /// It was refused and changed nothing.
    Refused,
    /// It failed; what of it was done is not known.
    Failed,
}

impl AuditOutcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Begun, Self::Done, Self::Refused, Self::Failed];

    /// What stands for it in stores and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    /// The outcome of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }
}

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntry {
    /// Its own; without a dot, 1 to 64 bytes.
    pub id: String,
    /// When it was admitted, by the server's clock.
    pub at: Timestamp,
    /// The name of the token that asked.
    pub who: String,
    /// The token's id, if it has one.
    pub token: Option<String>,
    /// The address that the request came from: a client's, or a proxy's.
    pub from: String,
    /// The operation, such as `job.put`.
    pub action: String,
    /// The job, run, plugin or whatever it was about.
    pub subject: String,
    /// What came of it.
    pub outcome: AuditOutcome,
    /// The status of the answer, once there is one.
    pub status: Option<u16>,
    /// The body of the request, of what is done to something and is no document of it.
    pub asked: Option<Value>,
    /// What the API showed of the subject before, if anything.
    pub before: Option<Value>,
    /// What the API showed of it afterwards; or what was answered, of what is no document.
    pub after: Option<Value>,
}

impl AuditEntry {
    /// Refuses an entry that no store may keep.
    ///
    /// # Errors
    /// `InvalidConfig`, naming what is wrong.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "audit.put";
        let refuse = |wrong: String| {
            let refused = BackendError::new(OP, ErrorKind::InvalidConfig);
            Err(refused.context(wrong))
        };
        if self.id.is_empty() || self.id.len() > 64 || self.id.contains('.') {
            return refuse(format!("id {:?}: 1 to 64 bytes without a dot", self.id));
        }
        let words = [
            ("who", &self.who),
            ("from", &self.from),
            ("action", &self.action),
            ("subject", &self.subject),
        ];
        for (name, word) in words {
            if word.len() > MAX_AUDIT_WORD_BYTES {
                let bytes = word.len();
                return refuse(format!(
                    "{name} has {bytes} bytes, at most {MAX_AUDIT_WORD_BYTES} are kept"
                ));
            }
        }
        let documents = [
            ("asked", &self.asked),
            ("before", &self.before),
            ("after", &self.after),
        ];
        for (name, document) in documents {
            let bytes = document.as_ref().map_or(0, |value| value.to_string().len());
            if bytes > MAX_AUDITED_BYTES {
                return refuse(format!(
                    "{name} has {bytes} bytes, at most {MAX_AUDITED_BYTES} are kept"
                ));
            }
        }
        Ok(())
    }
}

/// Which entries to list. Empty is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Asked by the token of this name.
    pub who: Option<String>,
    /// Of this operation.
    pub action: Option<String>,
    /// About this.
    pub subject: Option<String>,
    /// At or after this.
    pub since: Option<Timestamp>,
    /// And before this.
    pub until: Option<Timestamp>,
}

impl AuditFilter {
    /// Whether an entry is one of these.
    pub fn admits(&self, entry: &AuditEntry) -> bool {
        let is = |want: &Option<String>, has: &str| want.as_ref().is_none_or(|want| want == has);
        is(&self.who, &entry.who)
            && is(&self.action, &entry.action)
            && is(&self.subject, &entry.subject)
            && self.since.is_none_or(|since| entry.at >= since)
            && self.until.is_none_or(|until| entry.at < until)
    }
}

/// Where a page ends: the instant and the id of its last entry. Entries are ordered by both, so that one that was written
/// late, because the store was away, is where it belongs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditPlace {
    /// When the last one was admitted.
    pub at: Timestamp,
    /// Its id.
    pub id: String,
}

impl AuditPlace {
    /// The place of an entry.
    pub fn of(entry: &AuditEntry) -> Self {
        Self {
            at: entry.at,
            id: entry.id.clone(),
        }
    }

    /// As a token.
    pub fn token(&self) -> PageToken {
        PageToken(format!("{}.{}", self.at.as_millis(), self.id))
    }

    /// The place that a token names, for stores that make theirs with [`AuditPlace::token`].
    ///
    /// # Errors
    /// `InvalidConfig` if it names none.
    pub fn read(token: &PageToken) -> Result<Self> {
        let place = token.0.split_once('.').and_then(|(at, id)| {
            let at = Timestamp::from_millis(at.parse().ok()?);
            let id = id.to_owned();
            Some(Self { at, id })
        });
        place.ok_or_else(|| {
            let refused = BackendError::new("audit.list", ErrorKind::InvalidConfig);
            refused.context(format!(
                "page token {:?} is not one of this store's",
                token.0
            ))
        })
    }
}

/// The audit trail of a fleet.
#[async_trait]
pub trait AuditLog: Debug + Send + Sync + 'static {
    /// Writes an entry, or what came of it over one that had begun. One that says what came of it never changes, so that
    /// the same entry can be written by anybody, in any order and any number of times.
    ///
    /// # Errors
    /// `InvalidConfig` as [`AuditEntry::check`].
    async fn put(&self, entry: &AuditEntry) -> Result<()>;

    /// Entries, newest first. One that cannot be read is left out, so that a page may have fewer than `limit` entries
    /// before the last.
    ///
    /// # Errors
    /// `InvalidConfig` if the token is not one of this backend's.
    async fn list(
        &self,
        filter: &AuditFilter,
        page: Option<&PageToken>,
        limit: u32,
    ) -> Result<Page<AuditEntry>>;

    /// Deletes at most `max` entries from before `before`. Returns how many; call again while it is `max`.
    async fn prune(&self, before: Timestamp, max: u32) -> Result<u32>;
}
