//! The log as a Go master shows it: the documents that have its members, whoever wrote them.
//!
//! Documents of ours have these members once their run is over (see [`document`](crate::document)); of others the
//! lenient reader takes what it can, as for our own lists.

use async_trait::async_trait;
use mongodb::bson::{RawDocument, doc};
use sandclock_core::backend::{GoLog, Result};
use sandclock_core::go::LogEntry;
use sandclock_core::go::log;

use crate::store::Store;
use crate::{foreign, raw};

/// An answer ends with the entry that makes its documents longer than this together.
const ANSWER_BYTES: usize = 16 << 20;

fn entry(document: &RawDocument) -> LogEntry {
    let text = |name| raw::text(document, name).unwrap_or_default();
    let nested = raw::member(document, "timePoint");
    let nested = nested.as_ref().and_then(|nested| nested.as_document());
    let time = |name| {
        let number = |document| raw::number(document, name);
        let number = number(document).or_else(|| number(nested?)).unwrap_or(0);
        // What is no instant stays what it is: Go's zero time, for one.
        log::instant(number).map_or(number, |at| at.as_millis())
    };
    LogEntry {
        job: text("jobName"),
        command: text("command"),
        err: text("err"),
        output: foreign::output(document),
        planned_ms: time("planTime"),
        scheduled_ms: time("scheduleTime"),
        started_ms: time("startTime"),
        ended_ms: time("endTime"),
    }
}

#[async_trait]
impl GoLog for Store {
    async fn entries(&self, job: &str, skip: u64, limit: u32) -> Result<Vec<LogEntry>> {
        const OP: &str = "go.log";
        if limit == 0 {
            return Ok(Vec::new());
        }
        let find = self
            .runs
            .find(doc! { "jobName": job })
            .sort(doc! { "startTime": -1 })
            .skip(skip)
            .limit(i64::from(limit));
        self.read(OP, async {
            let (mut cursor, mut bytes) = (find.await?, 0);
            let mut entries = Vec::new();
            while bytes < ANSWER_BYTES && cursor.advance().await? {
                bytes += cursor.current().as_bytes().len();
                entries.push(entry(cursor.current()));
            }
            Ok(entries)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mongodb::bson::rawdoc;

    #[test]
    fn what_a_document_does_not_say_is_empty() {
        assert_eq!(entry(&rawdoc! {}), LogEntry::default());
    }

    #[test]
    fn times_are_milliseconds_whatever_their_writer_took() {
        let ms = 1_795_189_862_084_i64;
        let canonical = entry(&rawdoc! {
            "planTime": ms, "scheduleTime": ms as f64, "startTime": ms * 1_000_000, "endTime": -6_795_364_578_871_i64,
        });
        assert_eq!(
            [
                canonical.planned_ms,
                canonical.scheduled_ms,
                canonical.started_ms
            ],
            [ms; 3]
        );
        assert_eq!(canonical.ended_ms, -6_795_364_578_871);
        let nested = entry(&rawdoc! {
            "content": "hello", "timepoint": { "startTime": 1_795_189_862, "endTime": 1_795_189_863 },
        });
        assert_eq!(nested.output, "hello");
        assert_eq!(
            (nested.started_ms, nested.ended_ms, nested.planned_ms),
            (1_795_189_862_000, 1_795_189_863_000, 0)
        );
    }
}
