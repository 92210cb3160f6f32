//! The run log: how runs get in.

use async_trait::async_trait;
use mongodb::bson::doc;
use sandclock_core::backend::{DoneRecord, Fence, OutputChunk, Result, RunHeader, RunSink};
use sandclock_core::go::log;
use sandclock_core::run::{RunId, RunState};
use sandclock_core::{BackendError, ErrorKind};

use crate::document::{self, Unwritable};
use crate::schema::run;
use crate::store::{Store, rows};
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
        const OP: &str = "sink.append";
        self.append_output(OP, run, attempt, chunks, cut).await?;
        let shown = |chunk: &OutputChunk| {
            usize::try_from(chunk.offset).is_ok_and(|offset| offset < log::OUTPUT_BYTES)
        };
        if chunks.iter().any(shown) && self.is_over(OP, run).await? {
            self.show_output(OP, run, attempt).await?;
        }
        Ok(())
    }

    async fn finish(&self, done: &DoneRecord) -> Result<()> {
        const OP: &str = "sink.finish";
        let state = done.outcome.state;
        // Whoever records a run as lost does not know what it printed.
        let printed = match state {
            RunState::Lost => log::OUTPUT_BYTES,
            _ => usize::try_from(done.outcome.output.bytes).unwrap_or(log::OUTPUT_BYTES),
        };
        let (run, attempt) = (done.run(), done.attempts);
        let output = match log::is_logged(state) && printed > 0 {
            true => self.go_output(OP, &run, attempt).await?,
            false => String::new(),
        };
        let update = document::ended(done, &output, &self.guards).map_err(unwritable(OP))?;
        // If none may be changed the run is over already, which is as good (S8).
        put(self, OP, &update).await?;
        // What came between that look and the end found a run that was not over yet.
        if log::is_logged(state) && output.len() < printed.min(log::OUTPUT_BYTES) {
            self.show_output(OP, &run, attempt).await?;
        }
        Ok(())
    }
}

/// Output that comes after the end: whoever recorded the run is not always the worker that has its output.
impl Store {
    /// Whether the run has ended, as far as a Go master sees.
    async fn is_over(&self, op: &'static str, run: &RunId) -> Result<bool> {
        let over = doc! { run::ID: run.as_str(), run::OVER: true, "jobName": { "$exists": true } };
        let find = self.runs.find(over).projection(doc! { "_id": 1 }).limit(1);
        let found = self.read(op, async { rows(find.await?).await }).await?;
        Ok(!found.is_empty() && self.guards.late_output)
    }

    /// Puts the beginning of an attempt's output into the document of a run that has ended with it, unless more of
    /// it is there: two that do this do not undo each other.
    async fn show_output(&self, op: &'static str, run: &RunId, attempt: u32) -> Result<()> {
        let output = self.go_output(op, run, attempt).await?;
        let bytes = i64::try_from(output.len()).unwrap_or(i64::MAX);
        let update = Update {
            filter: doc! {
                run::ID: run.as_str(),
                run::OVER: true,
                run::ATTEMPT: i64::from(attempt),
                "$expr": { "$lt": [{ "$strLenBytes": { "$ifNull": ["$output", ""] } }, bytes] },
                "jobName": { "$exists": true },
            },
            change: doc! { "$set": { "output": output } }.into(),
        };
        self.writer.change(op, &update).await.map(drop)
    }
}
