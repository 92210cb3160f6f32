//! The document of a run of ours: how it is written in one atomic step, and read back.
//!
//! What core's stored form says is in `sandclock.record`, as BSON instead of JSON, so that people can query
//! it; the members beside it are for guards, filters and indexes.

use mongodb::bson::{self, Bson, Document, RawDocument, doc};
use sandclock_core::backend::{DoneRecord, Fence, RunHeader, RunRecord};
use sandclock_core::go::log;
use sandclock_core::run::RunId;
use sandclock_core::stored::{self, StoredError};
use sandclock_core::time::Timestamp;

use crate::guards::Guards;
use crate::raw;
use crate::schema::run;
use crate::writer::Update;

/// What cannot be written.
pub(crate) type Unwritable = Box<dyn std::error::Error + Send + Sync>;

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The stored form as BSON.
fn record_of(record: &RunRecord) -> Result<Document, Unwritable> {
    let json: serde_json::Value = serde_json::from_slice(&stored::encode(record)?)?;
    Ok(bson::serialize_to_document(&json)?)
}

/// Which document of this run may be changed: one that is not over. If there is none, a new one is made,
/// which the index on ids refuses if there is another after all.
fn unfinished(id: &RunId, guards: &Guards) -> Document {
    let mut filter = doc! { run::ID: id.as_str() };
    if guards.write_once {
        filter.insert(run::OVER, false);
    }
    filter
}

/// An attempt begins or is waited for: the document has what is ours only.
pub(crate) fn begun(
    header: &RunHeader,
    fence: Fence,
    guards: &Guards,
) -> Result<Update, Unwritable> {
    let mut filter = unfinished(&header.id, guards);
    if guards.fence {
        filter.insert(run::FENCE, doc! { "$lte": signed(fence.get()) });
    }
    let began = header.started_at.as_millis();
    let change = doc! {
        "sandclock": {
            "run": header.id.as_str(),
            "job": header.job.as_str(),
            "state": header.state.as_str(),
            "over": false,
            "fence": signed(fence.get()),
            "at": began,
            "began": began,
            "record": record_of(&RunRecord::begun(header))?,
        },
    };
    Ok(Update {
        filter,
        change: change.into(),
    })
}

/// A run is over: the document gets what a Go master shows, if it is to show it, and keeps when the last
/// attempt began. `output` is the text for the Go master.
///
/// The new document is computed by the server, from the one that it replaces. So text is put in as a
/// literal: a `$` in a command would else be an expression.
pub(crate) fn ended(
    done: &DoneRecord,
    output: &str,
    guards: &Guards,
) -> Result<Update, Unwritable> {
    let id = done.run();
    let outcome = &done.outcome;
    let ended = outcome.ended_at.as_millis();
    let began = match outcome.started_at {
        Some(at) => Bson::Int64(at.as_millis()),
        None => Bson::String(format!("${}", run::BEGAN)),
    };
    let started = doc! { "$ifNull": [began.clone(), ended] };
    let literal = |text: &str| doc! { "$literal": text };

    let mut document = doc! { "_id": "$_id" };
    let mut ours = doc! { "run": literal(id.as_str()) };
    if log::is_logged(outcome.state) {
        let program = done.pinned.as_ref().map(|p| &p.job.command.program);
        let planned = match done.key.scheduled_for() {
            Some(at) => Bson::Int64(at.as_millis()),
            None => Bson::Document(started.clone()),
        };
        document.extend(doc! {
            "jobName": literal(done.job.as_str()),
            "command": literal(&program.map(log::command).unwrap_or_default()),
            "err": literal(&log::err(outcome)),
            "output": literal(output),
            "planTime": planned,
            "scheduleTime": started.clone(),
            "startTime": started,
            "endTime": ended,
        });
    } else {
        ours.insert("job", literal(done.job.as_str()));
    }
    ours.extend(doc! {
        "state": literal(outcome.state.as_str()),
        "over": true,
        "fence": signed(done.fence),
        "at": ended,
        "began": began,
        "record": { "$literal": record_of(&RunRecord::ended(done, None))? },
    });
    document.insert("sandclock", ours);
    Ok(Update {
        filter: unfinished(&id, guards),
        change: Bson::Array(vec![doc! { "$replaceWith": document }.into()]),
    })
}

/// The run in a document of ours; `None` if the document is not.
pub(crate) fn read(document: &RawDocument) -> Option<Result<RunRecord, StoredError>> {
    let ours = raw::document(document, "sandclock")?;
    // What is no document is no record: decoding nothing says so.
    let json = raw::document(ours, "record")
        .and_then(|record| {
            bson::deserialize_from_slice::<serde_json::Value>(record.as_bytes()).ok()
        })
        .and_then(|record| serde_json::to_vec(&record).ok())
        .unwrap_or_default();
    let record = stored::decode::<RunRecord>(&json).map(|mut record| {
        let began = raw::number(ours, "began").map(Timestamp::from_millis);
        record.started_at = record.started_at.or(began);
        record
    });
    Some(record)
}
