//! The run log: how runs are found again, page by page, and how old ones go.
//!
//! Runs are in the order of their documents' `_id`s, which the server gives when a run is first recorded;
//! a Go worker's run has the time of its writing there, by its own clock. So a run keeps its place from its
//! beginning to its end, and no page repeats or leaves out what was there when the first was read. Of two that
//! were recorded by different programs in one second, either may come first.

use async_trait::async_trait;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, RawBson, RawDocument, RawDocumentBuf, doc};
use sandclock_core::backend::{
    AlertState, LogPage, Page, PageToken, Result, RunFilter, RunQuery, RunRecord,
};
use sandclock_core::job::JobName;
use sandclock_core::ports::History;
use sandclock_core::run::{RunId, RunState};
use sandclock_core::time::Timestamp;
use sandclock_core::{BackendError, ErrorKind};

use crate::foreign::{self, OUTPUT_BYTES};
use crate::schema::{alert, recording, run};
use crate::store::{Store, rows};
use crate::{document, output, raw};

/// The condition under which the filter wants a run, before this place.
fn condition(filter: &RunFilter, before: ObjectId) -> Document {
    // Compares ObjectIds only: what has another `_id` has no place.
    let mut all = vec![doc! { "_id": { "$lt": before } }];
    if let Some(job) = &filter.job {
        let job = job.as_str();
        all.push(doc! { "$or": [{ "jobName": job }, { run::JOB: job }] });
    }
    if !filter.prefixes.is_empty() {
        let begins = |prefix: &String| {
            let range = doc! { "$gte": prefix, "$lt": format!("{prefix}{}", char::MAX) };
            [doc! { "jobName": &range }, doc! { run::JOB: range }]
        };
        let any: Vec<_> = filter.prefixes.iter().flat_map(begins).collect();
        all.push(doc! { "$or": any });
    }
    if !filter.states.is_empty() {
        let names: Vec<_> = filter.states.iter().map(|state| state.as_str()).collect();
        let mut any = vec![doc! { run::STATE: { "$in": names } }];
        any.extend(
            filter
                .states
                .iter()
                .filter_map(|state| foreign_state(*state)),
        );
        all.push(doc! { "$or": any });
    }
    if let Some((ours, theirs)) = time(filter) {
        all.push(doc! { "$or": [{ run::AT: ours }, { run::STATE: null, "_id": theirs }] });
    }
    doc! { "$and": all }
}

/// The documents of Go workers that [`foreign::read`] takes for runs in this state.
fn foreign_state(state: RunState) -> Option<Document> {
    let err = match state {
        RunState::Succeeded => doc! { "$in": ["", Bson::Null] },
        RunState::Killed => doc! { "$eq": "context canceled" },
        RunState::Failed => doc! { "$nin": ["", Bson::Null, "context canceled"] },
        _ => return None,
    };
    Some(doc! { run::STATE: null, "err": err })
}

/// The bounds of time, for runs of ours and for documents of Go workers. Of the latter only the second in
/// which they were written is known in one unit.
fn time(filter: &RunFilter) -> Option<(Document, Document)> {
    let (mut ours, mut theirs) = (Document::new(), Document::new());
    for (bound, test) in [(filter.since, "$gte"), (filter.until, "$lt")] {
        if let Some(at) = bound {
            ours.insert(test, at.as_millis());
            theirs.insert(test, first_of(at));
        }
    }
    (!ours.is_empty()).then_some((ours, theirs))
}

/// Below every `_id` that was given in this second or later.
fn first_of(at: Timestamp) -> ObjectId {
    let seconds = at.as_millis().div_euclid(1_000);
    let seconds = u32::try_from(seconds.max(0)).unwrap_or(u32::MAX);
    ObjectId::from_parts(seconds, [0; 5], [0; 3])
}

/// The place before which a page begins: the last `_id` of the one before.
pub(crate) fn place_of(page: Option<&PageToken>, op: &'static str) -> Result<ObjectId> {
    let Some(PageToken(text)) = page else {
        return Ok(ObjectId::from_bytes([0xff; 12]));
    };
    ObjectId::parse_str(text).map_err(|_| {
        let refused = BackendError::new(op, ErrorKind::InvalidConfig);
        refused.context(format!("page token {text:?} is not one of this store's"))
    })
}

fn place(row: &RawDocument) -> Option<ObjectId> {
    match raw::member(row, "_id")? {
        RawBson::ObjectId(id) => Some(id),
        _ => None,
    }
}

/// The rows of a page, out of one more than asked for, and where the next one begins.
pub(crate) fn page_of(
    mut rows: Vec<RawDocumentBuf>,
    limit: u32,
) -> (Vec<RawDocumentBuf>, Option<PageToken>) {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().filter(|_| more).and_then(|row| place(row));
    (rows, last.map(|id| PageToken(id.to_hex())))
}

impl Store {
    /// The run in a row; `None` if nothing can be known of it.
    fn run(&self, op: &'static str, row: &RawDocument) -> Result<Option<RunRecord>> {
        let corrupt = || BackendError::new(op, ErrorKind::Corrupt);
        match document::read(row) {
            Some(ours) => ours.map(Some).map_err(|error| corrupt().source(error)),
            None if self.guards.lenient => Ok(foreign::read(row)),
            None => {
                let strict = Document::try_from(row).map_err(|error| corrupt().source(error))?;
                strict
                    .get_i64("endTime")
                    .map_err(|error| corrupt().source(error))?;
                Ok(foreign::read(row))
            }
        }
    }

    async fn find_runs(
        &self,
        op: &'static str,
        filter: &RunFilter,
        before: ObjectId,
        limit: u32,
    ) -> Result<Page<RunRecord>> {
        // Outputs stay where they are; of those that only their document has, the length is told.
        let length = |name: &str| {
            let text = format!("${name}");
            let is_text = doc! { "$eq": [{ "$type": &text }, "string"] };
            doc! { "$cond": [is_text, { "$strLenBytes": &text }, 0] }
        };
        let pipeline = [
            doc! { "$match": condition(filter, before) },
            doc! { "$sort": { "_id": -1 } },
            // One more than asked for tells whether there is a next page.
            doc! { "$limit": i64::from(limit) + 1 },
            doc! { "$set": { OUTPUT_BYTES: { "$add": [length("output"), length("content")] } } },
            doc! { "$unset": ["output", "content", "command"] },
        ];
        let find = self.runs.aggregate(pipeline);
        let found = self.read(op, async { rows(find.await?).await }).await?;
        let (found, next) = page_of(found, limit);
        let mut items = Vec::with_capacity(found.len());
        for row in &found {
            match self.run(op, row) {
                Ok(run) => items.extend(run),
                // One record that cannot be read hides no other.
                Err(_) if self.guards.lenient => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Page { items, next })
    }

    /// Deletes the output of old runs, then their alerts that are not on their way any more, since the
    /// outbox has no other end, then the runs: whatever happens in between, what is left is found again.
    ///
    /// An index that lets the server do it by itself would leave the output behind, and delete documents of
    /// Go workers or none. Those are not ours to delete.
    async fn prune_runs(&self, before: Timestamp, max: u32) -> Result<u32> {
        const OP: &str = "runs.prune";
        if max == 0 {
            return Ok(0);
        }
        let old = doc! { run::AT: { "$lt": before.as_millis() }, run::OVER: true };
        let find = self
            .runs
            .find(old.clone())
            .sort(doc! { run::AT: 1 })
            .limit(i64::from(max))
            .projection(doc! { run::ID: 1 });
        let found = self.read(OP, async { rows(find.await?).await }).await?;
        let runs: Vec<RunId> = found
            .iter()
            .filter_map(|row| RunId::parse(&raw::text(raw::document(row, "sandclock")?, "run")?))
            .collect();
        if runs.is_empty() {
            return Ok(0);
        }
        let ids: Vec<_> = runs.iter().map(RunId::as_str).collect();
        let chunks: Vec<_> = runs.iter().map(output::of_run).collect();
        self.write(OP, self.output.delete_many(doc! { "$or": chunks }))
            .await?;
        let idle = doc! {
            alert::RUN: { "$in": &ids },
            alert::STATE: { "$ne": AlertState::Pending.as_str() },
        };
        self.write(OP, self.alerts.delete_many(idle)).await?;
        let recorded = doc! { recording::RUN: { "$in": &ids } };
        self.write(OP, self.recordings.delete_many(recorded))
            .await?;
        let mut gone = old;
        gone.insert(run::ID, doc! { "$in": &ids });
        let deleted = self.write(OP, self.runs.delete_many(gone)).await?;
        Ok(u32::try_from(deleted.deleted_count).unwrap_or(max))
    }
}

#[async_trait]
impl RunQuery for Store {
    async fn get(&self, run: &RunId) -> Result<Option<RunRecord>> {
        const OP: &str = "runs.get";
        let mut any = vec![doc! { run::ID: run.as_str() }];
        any.extend(foreign::object_id(run).map(|id| doc! { "_id": id, "sandclock": null }));
        let find = self.runs.find(doc! { "$or": any }).limit(1);
        let found = self.read(OP, async { rows(find.await?).await }).await?;
        match found.first() {
            Some(row) => self.run(OP, row),
            None => Ok(None),
        }
    }

    async fn list(
        &self,
        filter: &RunFilter,
        page: Option<&PageToken>,
        limit: u32,
    ) -> Result<Page<RunRecord>> {
        const OP: &str = "runs.list";
        let before = place_of(page, OP)?;
        self.find_runs(OP, filter, before, limit.max(1)).await
    }

    async fn read_log(
        &self,
        run: &RunId,
        after: Option<(u32, u64)>,
        max_bytes: u32,
    ) -> Result<LogPage> {
        self.read_output(run, after, max_bytes).await
    }

    async fn history(&self, job: &JobName, last: u32) -> Result<History> {
        const OP: &str = "runs.history";
        let counted = RunState::ALL
            .into_iter()
            .filter(|state| History::counts(*state));
        let filter = RunFilter {
            job: Some(job.clone()),
            states: counted.collect(),
            ..RunFilter::default()
        };
        let newest = place_of(None, OP)?;
        let runs = self
            .find_runs(OP, &filter, newest, last.max(1))
            .await?
            .items;
        Ok(History::of(
            runs.iter().map(|run| (run.state, run.duration())),
        ))
    }

    async fn prune(&self, before: Timestamp, max: u32) -> Result<u32> {
        self.prune_runs(before, max).await
    }
}
