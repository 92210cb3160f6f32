//! Known defects and powers, for showing that the tests would find them.

use std::sync::Arc;

use sandclock_core::backend::{Result, SessionId};
use sandclock_core::job::JobName;

use crate::jobs;
use crate::schema::Settings;
use crate::store::Store;
use crate::txn::{Sequence, Txn};
use crate::{Embedded, EmbeddedConfig};

/// A defect of durability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// `synchronous = OFF` is set, and read back.
    SyncOff,
    /// `synchronous = OFF` is set, and nobody reads it back.
    SyncOffUnseen,
    /// `synchronous = NORMAL` is set, which in WAL mode syncs at checkpoints only, and nobody reads it
    /// back.
    SyncNormalUnseen,
    /// Requests are answered before their commit.
    AnswerBeforeCommit,
}

impl Mutant {
    fn settings(self) -> Settings {
        let right = Settings::default();
        match self {
            Self::SyncOff => Settings {
                synchronous: "OFF",
                ..right
            },
            Self::SyncOffUnseen => Settings {
                synchronous: "OFF",
                read_back: false,
                ..right
            },
            Self::SyncNormalUnseen => Settings {
                synchronous: "NORMAL",
                read_back: false,
                ..right
            },
            Self::AnswerBeforeCommit => Settings {
                answer_after_commit: false,
                ..right
            },
        }
    }
}

impl Embedded {
    /// As [`Embedded::open`], with a defect.
    ///
    /// # Errors
    /// As [`Embedded::open`].
    pub fn open_with_mutant(config: &EmbeddedConfig, mutant: Mutant) -> Result<Self> {
        Ok(Self {
            store: Arc::new(Store::open(&config.path, &mutant.settings())?),
        })
    }

    /// Ends the session as if its lease had run out.
    pub fn expire(&self, session: &SessionId) {
        self.store.sessions.end(session);
    }

    /// Breaks every watch that is open now: each ends with `Unavailable`.
    pub fn drop_watches(&self) {
        self.store.changes.end_streams();
        self.store.sessions.end_streams();
    }

    /// Leaves a record under the name that nobody can read, or with `newer` one of a later program.
    ///
    /// # Errors
    /// As writes.
    pub async fn break_job(&self, name: &JobName, newer: bool) -> Result<()> {
        let name = name.clone();
        let body: &[u8] = if newer { br#"{"v":99}"# } else { b"{" };
        let work = move |txn: &mut Txn<'_>| jobs::damage(txn, &name, body);
        self.store.writer.write("embedded.break_job", work).await
    }

    /// Forgets the history of changes, so that every older cursor has expired.
    ///
    /// # Errors
    /// As reads.
    pub async fn compact(&self) -> Result<()> {
        let read = |db: &rusqlite::Connection| Ok(Sequence::read(db)?.position);
        let position = self.store.readers.read("embedded.compact", read).await?;
        self.store.changes.forget(position);
        Ok(())
    }
}
