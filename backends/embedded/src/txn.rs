//! A write transaction as the contracts' requests see it.

use rusqlite::Connection;
use sandclock_core::backend::Version;

use crate::changes::Change;
use crate::expiry::Deadlines;
use crate::sessions::SessionTable;

/// What a request works with. If it fails, what it did to `db` and told is undone; used-up versions are
/// not, and neither are deadlines, which then only make something end later or come earlier.
pub(crate) struct Txn<'a> {
    pub(crate) db: &'a Connection,
    /// The contract method that is at work, for errors.
    pub(crate) op: &'static str,
    pub(crate) sessions: &'a SessionTable,
    pub(crate) deadlines: &'a mut Deadlines,
    pub(crate) sequence: &'a mut Sequence,
    /// What streams learn after the commit.
    pub(crate) changes: &'a mut Vec<Change>,
}

/// What the file's `meta` row holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sequence {
    /// The version given last.
    pub(crate) revision: u64,
    /// How many changes streams have had since the file was made.
    pub(crate) position: u64,
}

impl Sequence {
    /// As the file has it.
    pub(crate) fn read(db: &Connection) -> rusqlite::Result<Self> {
        let mut select = db.prepare_cached("SELECT revision, position FROM meta")?;
        select.query_row([], |row| {
            Ok(Self {
                revision: row.get(0)?,
                position: row.get(1)?,
            })
        })
    }

    /// Into the file, as part of a transaction.
    pub(crate) fn write(&self, db: &Connection) -> rusqlite::Result<()> {
        let mut update = db.prepare_cached("UPDATE meta SET revision = ?1, position = ?2")?;
        update.execute((self.revision, self.position))?;
        Ok(())
    }
}

impl Txn<'_> {
    /// The version that [`Txn::next_version`] will give.
    pub(crate) fn coming_version(&self) -> Version {
        Version(self.sequence.revision + 1)
    }

    /// Uses up a version. It is never given again, even if the request fails.
    pub(crate) fn next_version(&mut self) -> Version {
        self.sequence.revision += 1;
        Version(self.sequence.revision)
    }

    /// Tells streams of a change once it is committed.
    pub(crate) fn tell(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// The position after every change so far, those of this transaction included.
    pub(crate) fn position(&self) -> u64 {
        self.sequence.position + u64::try_from(self.changes.len()).unwrap_or(u64::MAX)
    }
}
