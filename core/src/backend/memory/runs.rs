//! The run log of the model.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::MemoryStore;
use crate::backend::{
    DoneRecord, Fence, LogPage, OutputChunk, Page, PageToken, Recording, Result, RunFilter,
    RunHeader, RunQuery, RunRecord, RunSink,
};
use crate::error::{BackendError, ErrorKind};
use crate::job::JobName;
use crate::ports::History;
use crate::run::RunId;
use crate::time::Timestamp;

/// Runs, in the order in which they were first recorded, and their output.
#[derive(Debug, Default)]
pub(super) struct RunLog {
    /// Counts runs that were ever recorded.
    recorded: u64,
    order: BTreeMap<u64, RunId>,
    of_job: BTreeMap<JobName, BTreeSet<u64>>,
    runs: BTreeMap<RunId, StoredRun>,
    chunks: BTreeMap<(RunId, u32, u64), OutputChunk>,
}

#[derive(Debug)]
struct StoredRun {
    place: u64,
    fence: u64,
    record: RunRecord,
}

impl RunLog {
    fn begin(&mut self, header: &RunHeader, fence: Fence) -> Result<()> {
        let old = self.runs.get(&header.id);
        if let Some(old) = old
            && (old.record.state.is_terminal() || old.fence > fence.get())
        {
            let fenced = BackendError::new("sink.begin", ErrorKind::Fenced);
            return Err(fenced.context(format!("run {} has fence {}", header.id, old.fence)));
        }
        self.store(RunRecord::begun(header), fence.get());
        Ok(())
    }

    fn finish(&mut self, done: &DoneRecord) {
        let old = self.runs.get(&done.run()).map(|old| &old.record);
        if old.is_some_and(|old| old.state.is_terminal()) {
            return;
        }
        let began = old.and_then(|old| old.started_at);
        self.store(RunRecord::ended(done, began), done.fence);
    }

    /// A run keeps its place in the order.
    fn store(&mut self, record: RunRecord, fence: u64) {
        let id = record.id.clone();
        let place = match self.runs.get(&id) {
            Some(old) => old.place,
            None => {
                self.recorded += 1;
                self.order.insert(self.recorded, id.clone());
                let of_job = self.of_job.entry(record.job.clone()).or_default();
                of_job.insert(self.recorded);
                self.recorded
            }
        };
        let run = StoredRun {
            place,
            fence,
            record,
        };
        self.runs.insert(id, run);
    }

    fn append(
        &mut self,
        run: &RunId,
        attempt: u32,
        chunks: &[OutputChunk],
        cut: Option<(u64, u64)>,
    ) {
        for chunk in chunks {
            self.chunks
                .entry((run.clone(), attempt, chunk.seq))
                .or_insert_with(|| chunk.clone());
        }
        if let Some((head_end, tail_start)) = cut {
            self.chunks.retain(|(of, at, seq), _| {
                of != run || *at != attempt || !(head_end..tail_start).contains(seq)
            });
        }
    }

    /// Runs before a place, newest first, each with its place.
    fn newest(&self, before: u64) -> impl Iterator<Item = (u64, &RunRecord)> {
        let places = self.order.range(..before).rev();
        places.filter_map(|(place, id)| Some((*place, &self.runs.get(id)?.record)))
    }

    fn list(&self, filter: &RunFilter, before: u64, limit: usize) -> Page<RunRecord> {
        let mut found = self
            .newest(before)
            .filter(|(_, run)| filter.admits(run))
            .peekable();
        let mut items = Vec::new();
        let mut next = None;
        while items.len() < limit
            && let Some((place, run)) = found.next()
        {
            items.push(run.clone());
            next = Some(PageToken(place.to_string()));
        }
        if found.peek().is_none() {
            next = None;
        }
        Page { items, next }
    }

    fn read_log(&self, run: &RunId, after: Option<(u32, u64)>, max_bytes: u32) -> LogPage {
        let mine = self.chunks.range((run.clone(), 0, 0)..);
        let mut rest = mine
            .take_while(|((of, _, _), _)| of == run)
            .map(|((_, attempt, seq), chunk)| ((*attempt, *seq), chunk))
            .filter(|(place, _)| after.is_none_or(|after| *place > after))
            .peekable();
        let mut room = usize::try_from(max_bytes).unwrap_or(usize::MAX);
        let mut chunks = Vec::new();
        let mut next = None;
        while let Some((place, chunk)) =
            rest.next_if(|(_, chunk)| chunks.is_empty() || chunk.bytes.bytes().len() <= room)
        {
            room = room.saturating_sub(chunk.bytes.bytes().len());
            chunks.push((place.0, chunk.clone()));
            next = Some(place);
        }
        if rest.peek().is_none() {
            next = None;
        }
        LogPage { chunks, next }
    }

    fn history(&self, job: &JobName, last: usize) -> History {
        let places = self.of_job.get(job).into_iter().flatten().rev();
        let runs = places.filter_map(|place| self.runs.get(self.order.get(place)?));
        History::of(
            runs.map(|run| &run.record)
                .filter(|run| History::counts(run.state))
                .take(last)
                .map(|run| (run.state, run.duration())),
        )
    }

    /// Forgets runs that ended before, with their output, and says which.
    fn prune(&mut self, before: Timestamp, max: usize) -> Vec<RunId> {
        let ended = |run: &StoredRun| {
            run.record.state.is_terminal() && run.record.ended_at.is_some_and(|at| at < before)
        };
        let old: Vec<_> = (self.order.values())
            .filter(|id| self.runs.get(id).is_some_and(ended))
            .take(max)
            .cloned()
            .collect();
        for id in &old {
            if let Some(run) = self.runs.remove(id) {
                self.order.remove(&run.place);
                if let Some(of_job) = self.of_job.get_mut(&run.record.job) {
                    of_job.remove(&run.place);
                }
            }
            self.chunks.retain(|(of, _, _), _| of != id);
        }
        old
    }
}

#[async_trait]
impl RunSink for MemoryStore {
    async fn begin(&self, header: &RunHeader, fence: Fence) -> Result<()> {
        self.shared.change(|state| state.runs.begin(header, fence))
    }

    async fn append(
        &self,
        run: &RunId,
        attempt: u32,
        chunks: &[OutputChunk],
        cut: Option<(u64, u64)>,
    ) -> Result<()> {
        self.shared
            .change(|state| state.runs.append(run, attempt, chunks, cut));
        Ok(())
    }

    async fn finish(&self, done: &DoneRecord) -> Result<()> {
        self.shared.change(|state| state.runs.finish(done));
        Ok(())
    }
}

#[async_trait]
impl RunQuery for MemoryStore {
    async fn get(&self, run: &RunId) -> Result<Option<RunRecord>> {
        Ok(self.shared.change(|state| {
            let stored = state.runs.runs.get(run);
            stored.map(|stored| stored.record.clone())
        }))
    }

    async fn list(
        &self,
        filter: &RunFilter,
        page: Option<&PageToken>,
        limit: u32,
    ) -> Result<Page<RunRecord>> {
        let before = place_of(page, "runs.list")?;
        let limit = usize::try_from(limit.max(1)).unwrap_or(usize::MAX);
        Ok((self.shared).change(|state| state.runs.list(filter, before, limit)))
    }

    async fn read_log(
        &self,
        run: &RunId,
        after: Option<(u32, u64)>,
        max_bytes: u32,
    ) -> Result<LogPage> {
        Ok((self.shared).change(|state| state.runs.read_log(run, after, max_bytes)))
    }

    async fn history(&self, job: &JobName, last: u32) -> Result<History> {
        let last = usize::try_from(last).unwrap_or(usize::MAX);
        Ok(self.shared.change(|state| state.runs.history(job, last)))
    }

    async fn prune(&self, before: Timestamp, max: u32) -> Result<u32> {
        let limit = usize::try_from(max).unwrap_or(usize::MAX);
        let pruned = self.shared.change(|state| {
            let gone = state.runs.prune(before, limit);
            let stays = |recording: &Recording| !gone.contains(&recording.run);
            state.recordings.retain(stays);
            gone.len()
        });
        Ok(u32::try_from(pruned).unwrap_or(u32::MAX))
    }
}

/// The place before which a page begins.
pub(super) fn place_of(page: Option<&PageToken>, op: &'static str) -> Result<u64> {
    let Some(PageToken(text)) = page else {
        return Ok(u64::MAX);
    };
    text.parse().map_err(|_| {
        let refused = BackendError::new(op, ErrorKind::InvalidConfig);
        refused.context(format!("page token {text:?} is not one of this store's"))
    })
}
