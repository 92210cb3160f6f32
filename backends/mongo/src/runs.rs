//! The run log: how runs get in.

use async_trait::async_trait;
use sandclock_core::backend::{DoneRecord, Fence, OutputChunk, Result, RunHeader, RunSink};
use sandclock_core::go::log;
use sandclock_core::run::{RunId, RunState};
use sandclock_core::{BackendError, ErrorKind};

use crate::document::{self, Unwritable};
use crate::store::Store;
use crate::writer::{Update, Upserted};

/// Changes the run's document or makes it, and says whether there is one that may be changed.
///
/// An upsert may find none and yet the key taken: by a document that the filter excludes, or by one that
/// another made in the same moment. The second step tells the two apart, for good: a run's document does
/// not go away before it is over, and once it is over nothing finds it.
async fn put(store: &Store, op: &'static str, update: &Update) -> Result<bool> {
    match store.upsert(op, update).await? {
        Upserted::Written => Ok(true),
        Upserted::KeyTaken => store.change(op, update).await,
    }
}

fn unwritable(op: &'static str) -> impl FnOnce(Unwritable) -> BackendError {
    move |error| BackendError::new(op, ErrorKind::InvalidConfig).source(error)
}

#[async_trait]
impl RunSink for Store {
    async fn begin(&self, header: &RunHeader, fence: Fence) -> Result<()> {
        const OP: &str = "sink.begin";
        let update = document::begun(header, fence, &self.guards).map_err(unwritable(OP))?;
        if put(self, OP, &update).await? {
            return Ok(());
        }
        let why = format!("run {} is over, or has a fence above {fence}", header.id);
        Err(BackendError::new(OP, ErrorKind::Fenced).context(why))
    }

    async fn append(
        &self,
        run: &RunId,
        attempt: u32,
        chunks: &[OutputChunk],
        cut: Option<(u64, u64)>,
    ) -> Result<()> {
        self.append_output(run, attempt, chunks, cut).await
    }

    async fn finish(&self, done: &DoneRecord) -> Result<()> {
        const OP: &str = "sink.finish";
        let state = done.outcome.state;
        // Whoever records a run as lost does not know what it printed.
        let printed = done.outcome.output.bytes > 0 || state == RunState::Lost;
        let output = match log::is_logged(state) && printed {
            true => self.go_output(OP, &done.run(), done.attempts).await?,
            false => String::new(),
        };
        let update = document::ended(done, &output, &self.guards).map_err(unwritable(OP))?;
        // If none may be changed the run is over already, which is as good (S8).
        put(self, OP, &update).await.map(drop)
    }
}
