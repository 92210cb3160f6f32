//! Runs that a Go worker logged: what can be known of them from documents of many shapes.
//!
//! The canonical one has `jobName`, `command`, `err`, `output` and four times in Unix milliseconds. Copies of
//! the fleet, and exercises of the course it stems from, have written other names, other units and a nested
//! `timePoint` into the same collection. Nothing here fails: what cannot be read is left empty.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{RawBson, RawDocument};
use sandclock_core::backend::RunRecord;
use sandclock_core::go::log;
use sandclock_core::job::JobName;
use sandclock_core::run::{OutputSummary, RunId, RunKey, RunState};
use sandclock_core::time::Timestamp;

use crate::raw;

/// What the id of such a run begins with. The rest is the document's `_id`, so that it is always the same.
const PREFIX: &str = "00000000";

/// The member of a document that says how long the output is which was left out of it.
pub(crate) const OUTPUT_BYTES: &str = "outputBytes";

/// The id of the run that a Go worker logged in this document.
fn run_id(document: ObjectId) -> Option<RunId> {
    RunId::parse(&format!("{PREFIX}{}", document.to_hex()))
}

/// The document of a run with such an id.
pub(crate) fn object_id(run: &RunId) -> Option<ObjectId> {
    ObjectId::parse_str(run.as_str().strip_prefix(PREFIX)?).ok()
}

/// The run in a document; `None` without an ObjectId, which no driver of the fleet leaves out.
pub(crate) fn read(document: &RawDocument) -> Option<RunRecord> {
    let RawBson::ObjectId(id) = raw::member(document, "_id")? else {
        return None;
    };
    let times = Times::read(document);
    let written = Timestamp::from_millis(id.timestamp().timestamp_millis());
    let err = raw::text(document, "err").unwrap_or_default();
    let end = log::read_err(&err);
    let bytes = raw::number(document, OUTPUT_BYTES).and_then(|bytes| u64::try_from(bytes).ok());
    Some(RunRecord {
        id: run_id(id)?,
        job: JobName::existing(raw::text(document, "jobName").unwrap_or_default()),
        key: match times.planned {
            Some(at) => RunKey::Tick(at),
            None => RunKey::Request(id.to_hex()),
        },
        span: None,
        state: end.state,
        cause: match end.state {
            RunState::Succeeded => "a Go worker logged it".to_owned(),
            _ => err,
        },
        attempt: 1,
        worker: String::new(),
        started_at: times.started,
        ended_at: Some(times.ended.unwrap_or(written)),
        next_attempt_at: None,
        exit_code: end.exit_code,
        signal: end.signal,
        output: OutputSummary {
            bytes: bytes.unwrap_or_default(),
            cut: 0,
        },
        notes: Vec::new(),
    })
}

/// The output in a document.
pub(crate) fn output(document: &RawDocument) -> String {
    let named = |name| raw::text(document, name);
    named("output")
        .or_else(|| named("content"))
        .unwrap_or_default()
}

struct Times {
    planned: Option<Timestamp>,
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
}

impl Times {
    fn read(document: &RawDocument) -> Self {
        let at = |document: &RawDocument, name| log::instant(raw::number(document, name)?);
        let nested = match raw::member(document, "timePoint") {
            Some(RawBson::Document(nested)) => Some(nested),
            _ => None,
        };
        let either = |name| at(document, name).or_else(|| at(nested.as_deref()?, name));
        Self {
            planned: at(document, "planTime"),
            started: either("startTime"),
            ended: either("endTime"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mongodb::bson::rawdoc;

    #[test]
    fn an_id_leads_back_to_its_document() {
        let id = ObjectId::new();
        let run = run_id(id).unwrap();
        assert_eq!(object_id(&run), Some(id));
        let ours = RunId::of(&JobName::existing("a"), &RunKey::Tick(Timestamp::default()));
        assert_eq!(object_id(&ours), None);
    }

    #[test]
    fn a_document_without_a_place_is_no_run() {
        assert_eq!(read(&rawdoc! { "jobName": "a" }), None);
        assert_eq!(read(&rawdoc! { "_id": "a", "jobName": "a" }), None);
    }

    #[test]
    fn an_empty_document_is_a_run_of_which_nothing_is_known() {
        let id = ObjectId::from_parts(1_800_000_000, [1; 5], [2; 3]);
        let run = read(&rawdoc! { "_id": id }).unwrap();
        assert_eq!((run.job.as_str(), run.started_at), ("", None));
        let written = Timestamp::from_millis(1_800_000_000_000);
        assert_eq!(run.ended_at, Some(written), "when it was written is known");
        assert_eq!(run.key.fire_time(), None);
    }
}
