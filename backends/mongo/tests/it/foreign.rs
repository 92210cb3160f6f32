//! Documents that others wrote into the same collection: all are shown, as far as they can be read, and none
//! keeps another from being shown.

use std::sync::atomic::{AtomicU32, Ordering};

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, RawDocumentBuf, doc};
use mongodb::{Collection, Database};
use sandclock_core::Timestamp;
use sandclock_core::backend::{Records, RunFilter, RunRecord};
use sandclock_core::job::JobName;
use sandclock_core::run::{RunKey, RunState};

use crate::fresh::Own;
use crate::scene::{T, at, done, fence, header};

/// What a Go worker's driver gave as an `_id` long ago, each after the one before: of ids that two programs
/// make in one second, chance says which is first.
fn past() -> ObjectId {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let [_, counter @ ..] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    ObjectId::from_parts(1_700_000_000, [1; 5], counter)
}

/// The canonical document of a Go worker.
fn canonical(job: &str, err: &str, start: i64) -> Document {
    doc! {
        "_id": past(),
        "jobName": job,
        "command": "echo hi",
        "err": err,
        "output": "hi\n",
        "planTime": T + start,
        "scheduleTime": T + start,
        "startTime": T + start + 84,
        "endTime": T + start + 86,
    }
}

async fn insert(db: &Database, mut document: Document) {
    let log: Collection<Document> = db.collection("log");
    document
        .entry("_id".to_owned())
        .or_insert_with(|| Bson::ObjectId(past()));
    log.insert_one(document).await.expect("insert");
}

/// Puts `bytes` where the document says `marker`, which is as long.
async fn insert_bytes(db: &Database, document: Document, marker: &str, bytes: &[u8]) {
    assert_eq!(marker.len(), bytes.len());
    let mut raw = RawDocumentBuf::try_from(&document)
        .expect("raw")
        .into_bytes();
    let mut from = 0;
    while let Some(at) = find(&raw[from..], marker.as_bytes()) {
        raw[from + at..from + at + bytes.len()].copy_from_slice(bytes);
        from += at + bytes.len();
    }
    assert!(from > 0, "the document says {marker}");
    let log: Collection<RawDocumentBuf> = db.collection("log");
    let raw = RawDocumentBuf::from_bytes(raw).expect("a document");
    log.insert_one(raw).await.expect("insert");
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

async fn list(store: &Records, filter: &RunFilter) -> Vec<RunRecord> {
    store
        .runs
        .list(filter, None, 100)
        .await
        .expect("list")
        .items
}

async fn only(store: &Records) -> RunRecord {
    let mut all = list(store, &RunFilter::default()).await;
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[tokio::test]
async fn a_go_workers_run_is_a_run() {
    let own = Own::new();
    let (store, db) = (own.open().await, own.raw().await);
    insert(&db, canonical("nightly", "exit status 3", 0)).await;
    let run = only(&store).await;
    assert_eq!(run.job.as_str(), "nightly");
    assert_eq!(run.key, RunKey::Tick(at(0)));
    assert_eq!((run.state, run.exit_code), (RunState::Failed, Some(3)));
    assert_eq!(run.cause, "exit status 3");
    assert_eq!((run.started_at, run.ended_at), (Some(at(84)), Some(at(86))));
    assert_eq!(run.output.bytes, 3);

    let again = store
        .runs
        .get(&run.id)
        .await
        .expect("get")
        .expect("the run");
    assert_eq!(
        (&again.id, again.started_at),
        (&run.id, run.started_at),
        "its id is stable"
    );
    let log = store.runs.read_log(&run.id, None, 100).await.expect("read");
    assert_eq!(log.chunks.len(), 1);
    assert_eq!(log.chunks[0].1.bytes.bytes().as_ref(), b"hi\n");
    assert_eq!(log.next, None);
}

#[tokio::test]
async fn a_long_output_of_a_go_worker_is_read_in_pages() {
    let own = Own::new();
    let (store, db) = (own.open().await, own.raw().await);
    let output = "0123456789abcdef".repeat(20_000);
    let mut document = canonical("loud", "", 0);
    document.insert("output", &output);
    insert(&db, document).await;
    let run = only(&store).await;
    assert_eq!(run.output.bytes, output.len() as u64);
    let (mut read, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = store
            .runs
            .read_log(&run.id, after, 128 << 10)
            .await
            .expect("read");
        pages += 1;
        for (attempt, chunk) in &page.chunks {
            assert_eq!((*attempt, chunk.offset), (1, read.len() as u64));
            read.extend_from_slice(chunk.bytes.bytes());
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((read == output.as_bytes(), pages), (true, 3));
}

/// One run, as demos of the course and copies of the fleet write it, in other names and units.
fn shapes() -> Vec<(&'static str, Document)> {
    let s = T / 1_000;
    let ns = T * 1_000_000;
    let short = |seconds: i64| i32::try_from(seconds).expect("before 2038");
    vec![
        (
            "seconds, nested",
            doc! {
                "jobName": "a", "command": "echo", "err": "", "content": "hello",
                "timePoint": { "startTime": s, "endTime": s + 10 },
            },
        ),
        (
            "seconds, nested, in lower case",
            doc! {
                "jobname": "a", "command": "echo", "err": "", "content": "hello",
                "timepoint": { "starttime": s, "endtime": s + 10 },
            },
        ),
        (
            "nanoseconds",
            doc! {
                "jobName": "a", "err": "", "output": "hello",
                "planTime": ns, "startTime": ns, "endTime": ns + 10_000_000_000,
            },
        ),
        (
            "nanoseconds and other names",
            doc! {
                "job_name": "a", "err": "", "output": "hello",
                "plan_time": ns, "start_time": ns, "end_time": ns + 10_000_000_000,
            },
        ),
        (
            "doubles",
            doc! {
                "jobName": "a", "err": "", "output": "hello",
                "startTime": T as f64, "endTime": (T + 10_000) as f64,
            },
        ),
        (
            "int32 seconds",
            doc! {
                "jobName": "a", "err": "", "output": "hello",
                "startTime": short(s), "endTime": short(s + 10),
            },
        ),
        (
            "dates",
            doc! {
                "jobName": "a", "err": "", "output": "hello",
                "startTime": DateTime::from_millis(T), "endTime": DateTime::from_millis(T + 10_000),
            },
        ),
        (
            "without a plan",
            doc! {
                "jobName": "a", "err": "", "output": "hello",
                "planTime": -6_795_364_578_871_i64, "startTime": T, "endTime": T + 10_000,
            },
        ),
    ]
}

#[tokio::test]
async fn documents_of_every_shape_are_shown() {
    for (what, document) in shapes() {
        let own = Own::new();
        let (store, db) = (own.open().await, own.raw().await);
        insert(&db, document).await;
        let run = only(&store).await;
        assert_eq!(
            (run.job.as_str(), run.state),
            ("a", RunState::Succeeded),
            "{what}"
        );
        assert_eq!(run.started_at, Some(at(0)), "{what}");
        assert_eq!(run.ended_at, Some(at(10_000)), "{what}");
        assert_eq!(run.output.bytes, 5, "{what}");
        let planned = what.starts_with("nanoseconds").then(|| at(0));
        assert_eq!(run.key.fire_time(), planned, "{what}");
    }
}

/// What is certainly no document of the fleet, beside one that is and one of ours.
pub(crate) async fn what_is_broken_hides_nothing(own: &Own, store: &Records) {
    let db = own.raw().await;
    insert(&db, canonical("first", "", 0)).await;
    insert(&db, doc! {}).await;
    insert(
        &db,
        doc! { "jobName": 5, "err": ["x"], "output": { "a": 1 }, "startTime": "noon" },
    )
    .await;
    insert(
        &db,
        doc! { "jobName": Bson::Null, "endTime": f64::NAN, "timePoint": 7 },
    )
    .await;
    insert(
        &db,
        doc! { "sandclock": { "run": "no id", "state": "succeeded", "record": { "v": 1 } } },
    )
    .await;
    insert(&db, doc! { "sandclock": 7, "jobName": "not ours" }).await;
    let log: Collection<Document> = db.collection("log");
    log.insert_one(doc! { "_id": "text", "jobName": "placeless" })
        .await
        .expect("insert");
    log.insert_one(doc! { "_id": true, "jobName": "placeless" })
        .await
        .expect("insert");
    let mut odd = canonical("MARK", "MARK", 0);
    odd.insert("output", "MARK");
    insert_bytes(&db, odd, "MARK", &[0xff, 0, 0xc3, b'x']).await;
    store
        .sink
        .begin(&header("ours", 0), fence(1))
        .await
        .expect("begin");

    let (mut jobs, mut page) = (Vec::new(), None);
    loop {
        let found = store
            .runs
            .list(&RunFilter::default(), page.as_ref(), 2)
            .await
            .expect("list");
        jobs.extend(
            found
                .items
                .into_iter()
                .map(|run| run.job.as_str().to_owned()),
        );
        page = found.next;
        if page.is_none() {
            break;
        }
    }
    assert_eq!(
        jobs,
        [
            "ours",
            "\u{fffd}\0\u{fffd}x",
            "not ours",
            "",
            "",
            "",
            "first"
        ]
    );
}

#[tokio::test]
async fn broken_documents_hide_nothing() {
    let own = Own::new();
    let store = own.open().await;
    what_is_broken_hides_nothing(&own, &store).await;
}

/// Filters know Go workers' runs by the members of the canonical document, and by when it was written.
#[tokio::test]
async fn go_workers_runs_are_filtered_with_ours() {
    let own = Own::new();
    let (store, db) = (own.open().await, own.raw().await);
    let written = |seconds: u32| ObjectId::from_parts(seconds, [1; 5], [0; 3]);
    let seconds = u32::try_from(T / 1_000).expect("seconds");
    for (index, (job, err)) in [
        ("a", ""),
        ("a", "exit status 3"),
        ("b", "signal: killed"),
        ("b", "context canceled"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut document = canonical(job, err, 0);
        document.insert(
            "_id",
            written(seconds + 10 * u32::try_from(index).expect("few")),
        );
        insert(&db, document).await;
    }
    store
        .sink
        .finish(&done("a", 0, RunState::Failed, "true"))
        .await
        .expect("finish");
    let count = async |filter: RunFilter| list(&store, &filter).await.len();
    let of = |states: &[RunState]| RunFilter {
        states: states.to_vec(),
        ..RunFilter::default()
    };
    assert_eq!(count(RunFilter::default()).await, 5);
    let of_a = RunFilter {
        job: Some(JobName::existing("a")),
        ..RunFilter::default()
    };
    assert_eq!(count(of_a.clone()).await, 3);
    assert_eq!(count(of(&[RunState::Succeeded])).await, 1);
    assert_eq!(count(of(&[RunState::Failed])).await, 3);
    assert_eq!(count(of(&[RunState::Killed])).await, 1);
    assert_eq!(count(of(&[RunState::Running, RunState::Lost])).await, 0);
    let both = RunFilter {
        states: vec![RunState::Failed, RunState::Succeeded],
        ..of_a
    };
    assert_eq!(count(both).await, 3);
    let between = |since: i64, until: i64| RunFilter {
        since: Some(at(since)),
        until: Some(at(until)),
        ..RunFilter::default()
    };
    assert_eq!(
        count(between(-5_000, 5_000)).await,
        2,
        "ours and one of theirs"
    );
    assert_eq!(count(between(5_000, 25_000)).await, 2);
    assert_eq!(count(between(40_000, 90_000)).await, 0);

    let history = store
        .runs
        .history(&JobName::existing("a"), 10)
        .await
        .expect("history");
    assert_eq!((history.runs, history.failures, history.max_ms), (3, 2, 2));
}

/// Old documents of Go workers are theirs: only runs of ours are pruned.
#[tokio::test]
async fn go_workers_runs_are_not_pruned() {
    let own = Own::new();
    let (store, db) = (own.open().await, own.raw().await);
    insert(&db, canonical("theirs", "", 0)).await;
    store
        .sink
        .finish(&done("ours", 0, RunState::Failed, "true"))
        .await
        .expect("finish");
    let later = Timestamp::from_millis(T + 86_400_000);
    assert_eq!(store.runs.prune(later, 10).await.expect("prune"), 1);
    assert_eq!(only(&store).await.job.as_str(), "theirs");
}

/// What a later program may have written beside ours stays out of the way.
#[tokio::test]
async fn a_record_that_cannot_be_read_is_said_to_be_so() {
    let own = Own::new();
    let (store, db) = (own.open().await, own.raw().await);
    let run = header("ours", 0);
    store.sink.begin(&run, fence(1)).await.expect("begin");
    let log: Collection<Document> = db.collection("log");
    let newer = doc! { "$set": { "sandclock.record.v": 99 } };
    log.update_one(doc! { "sandclock.run": run.id.as_str() }, newer)
        .await
        .expect("update");
    assert!(list(&store, &RunFilter::default()).await.is_empty());
    let error = store.runs.get(&run.id).await.expect_err("unreadable");
    assert_eq!(error.kind, sandclock_core::ErrorKind::Corrupt);
    // The end replaces it: nothing of it need be read for that.
    store
        .sink
        .finish(&done("ours", 0, RunState::Lost, "true"))
        .await
        .expect("finish");
    assert_eq!(only(&store).await.state, RunState::Lost);
}
