//! What a Go master finds in the collection, read by the driver alone and by the member names of the Go
//! fleet's protocol.

use mongodb::bson::spec::ElementType;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::{Collection, Database};
use sandclock_core::backend::Records;
use sandclock_core::go::log::{OUTPUT_BYTES, OUTPUT_CUT};
use sandclock_core::run::RunState;

use crate::fresh::Own;
use crate::scene::{T, at, chunk, done, fence, header};

/// What its page asks for: `find({jobName}).sort({startTime: -1}).skip(0).limit(20)`.
async fn page(db: &Database, job: &str) -> Vec<RawDocumentBuf> {
    let log: Collection<RawDocumentBuf> = db.collection("log");
    let find = log
        .find(doc! { "jobName": job })
        .sort(doc! { "startTime": -1 });
    let mut cursor = find.skip(0).limit(20).await.expect("find");
    let mut found = Vec::new();
    while cursor.advance().await.expect("advance") {
        found.push(cursor.current().to_owned());
    }
    found
}

async fn one(db: &Database, job: &str) -> Document {
    let found = page(db, job).await;
    assert_eq!(found.len(), 1, "{found:?}");
    Document::try_from(found[0].as_ref()).expect("a document")
}

#[tokio::test]
async fn a_run_is_the_document_that_go_writes() {
    let own = Own::new();
    let (store, db) = (own.open().await, own.raw().await);
    let run = header("nightly", 0);
    store.sink.begin(&run, fence(7)).await.expect("begin");
    let output = [chunk(0, 0, "one\n"), chunk(1, 4, &b"\xff\0"[..])];
    store
        .sink
        .append(&run.id, 1, &output, None)
        .await
        .expect("append");
    let command = "echo $HOME \"$$ROOT\" > /dev/null && exit 3";
    let end = done("nightly", 0, RunState::Failed, command);
    store.sink.finish(&end).await.expect("finish");

    let found = page(&db, "nightly").await;
    let members: Vec<_> = found[0]
        .iter_elements()
        .map(|element| element.expect("an element"))
        .map(|element| (element.key().as_str().to_owned(), element.element_type()))
        .collect();
    let members: Vec<_> = members
        .iter()
        .map(|(name, kind)| (name.as_str(), *kind))
        .collect();
    let want = [
        ("_id", ElementType::ObjectId),
        ("jobName", ElementType::String),
        ("command", ElementType::String),
        ("err", ElementType::String),
        ("output", ElementType::String),
        ("planTime", ElementType::Int64),
        ("scheduleTime", ElementType::Int64),
        ("startTime", ElementType::Int64),
        ("endTime", ElementType::Int64),
        ("sandclock", ElementType::EmbeddedDocument),
    ];
    assert_eq!(members, want);
    let document = one(&db, "nightly").await;
    let text = |name| document.get_str(name).expect(name);
    assert_eq!(text("command"), command, "no word of it is an expression");
    assert_eq!(
        (text("err"), text("output")),
        ("exit status 3", "one\n\u{fffd}\0")
    );
    let times = ["planTime", "scheduleTime", "startTime", "endTime"]
        .map(|name| document.get_i64(name).expect(name) - T);
    assert_eq!(times, [0, 84, 84, 86]);
}

/// A run that takes a second attempt, without a fire time, begins for Go when its last attempt began.
#[tokio::test]
async fn a_run_without_a_plan_is_planned_when_it_began() {
    let own = Own::new();
    let (store, db) = (own.open().await, own.raw().await);
    let mut run = header("manual", 0);
    run.key = sandclock_core::run::RunKey::Request("by-hand".to_owned());
    run.id = sandclock_core::run::RunId::of(&run.job, &run.key);
    store.sink.begin(&run, fence(7)).await.expect("begin");
    let mut end = done("manual", 0, RunState::Lost, "true");
    end.key = run.key.clone();
    end.outcome.started_at = None;
    end.outcome.exit_code = None;
    store.sink.finish(&end).await.expect("finish");
    let document = one(&db, "manual").await;
    let times = ["planTime", "scheduleTime", "startTime", "endTime"]
        .map(|name| document.get_i64(name).expect(name) - T);
    assert_eq!(times, [84, 84, 84, 86]);
    assert_eq!(document.get_str("err").expect("err"), "as the test says");
    let recorded = store
        .runs
        .get(&run.id)
        .await
        .expect("get")
        .expect("the run");
    assert_eq!(recorded.started_at, Some(at(84)));
}

#[tokio::test]
async fn a_page_shows_what_ran_and_nothing_else() {
    let own = Own::new();
    let (store, db) = (own.open().await, own.raw().await);
    for (ms, state) in [
        (0, RunState::Succeeded),
        (1_000, RunState::Skipped),
        (2_000, RunState::Missed),
        (3_000, RunState::Killed),
        (4_000, RunState::TimedOut),
    ] {
        let end = done("busy", ms, state, "true");
        store.sink.finish(&end).await.expect("finish");
    }
    let running = header("busy", 5_000);
    store.sink.begin(&running, fence(7)).await.expect("begin");
    let shown: Vec<_> = page(&db, "busy")
        .await
        .iter()
        .map(|document| document.get_i64("planTime").expect("planTime") - T)
        .collect();
    assert_eq!(shown, [4_000, 3_000, 0]);
    let all = store
        .runs
        .list(&Default::default(), None, 10)
        .await
        .expect("list");
    assert_eq!(all.items.len(), 6, "ours shows them all");
}

#[tokio::test]
async fn a_page_is_answered_by_an_index() {
    let own = Own::new();
    let (_store, db) = (own.open().await, own.raw().await);
    let find = doc! {
        "find": "log", "filter": { "jobName": "a" }, "sort": { "startTime": -1 }, "limit": 20,
    };
    let plan = db
        .run_command(doc! { "explain": find, "verbosity": "queryPlanner" })
        .await;
    let plan = plan.expect("explain");
    let winner = plan.get_document("queryPlanner").expect("a planner");
    let winner = winner
        .get_document("winningPlan")
        .expect("a plan")
        .to_string();
    assert!(
        winner.contains("IXSCAN") && !winner.contains("\"SORT\""),
        "{winner}"
    );
}

/// W20: what a Go master shows of an output is bounded, the output itself is not.
#[tokio::test]
async fn a_page_holds_the_beginning_of_an_output() {
    let own = Own::new();
    let (store, db) = (own.open().await, own.raw().await);
    let run = header("loud", 0);
    let step = 64 << 10;
    let piece = bytes::Bytes::from(vec![b'x'; step]);
    for seq in 0..272 {
        let chunk = chunk(seq, seq * step as u64, piece.clone());
        store
            .sink
            .append(&run.id, 1, &[chunk], None)
            .await
            .expect("append");
    }
    let end = done("loud", 0, RunState::Succeeded, "yes");
    store.sink.finish(&end).await.expect("finish");
    let document = one(&db, "loud").await;
    let output = document.get_str("output").expect("output");
    assert_eq!(output.len(), OUTPUT_BYTES + OUTPUT_CUT.len());
    assert!(output.starts_with("xxx") && output.ends_with(OUTPUT_CUT));

    let (mut bytes, mut after) = (0, None);
    loop {
        let page = store
            .runs
            .read_log(&run.id, after, 1 << 20)
            .await
            .expect("read");
        bytes += page
            .chunks
            .iter()
            .map(|(_, chunk)| chunk.bytes.bytes().len())
            .sum::<usize>();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(bytes, 272 * step, "17 MB");
}

/// A middle that is cut out is not in what a Go master shows either.
#[tokio::test]
async fn a_page_stops_at_a_cut() {
    let own = Own::new();
    let (store, db) = (own.open().await, own.raw().await);
    let run = header("cut", 0);
    let output = [
        chunk(0, 0, "head"),
        chunk(1, 4, "middle"),
        chunk(2, 10, "tail"),
    ];
    store
        .sink
        .append(&run.id, 1, &output, Some((1, 2)))
        .await
        .expect("append");
    let end = done("cut", 0, RunState::Succeeded, "true");
    store.sink.finish(&end).await.expect("finish");
    let document = one(&db, "cut").await;
    let output = document.get_str("output").expect("output");
    assert_eq!(output, format!("head{OUTPUT_CUT}"));
}

/// What a Go master shows as the output of the job `late`.
async fn shown(db: &Database) -> String {
    let document = one(db, "late").await;
    document.get_str("output").expect("output").to_owned()
}

/// The output of a run that another worker recorded comes when the one that has it is back. It is where a Go master
/// looks, under the name that the output of every run has, and nothing else of the document changes (S8).
pub(crate) async fn late_output_is_shown(own: &Own, store: &Records) {
    let db = own.raw().await;
    let run = header("late", 0).id;
    let end = done("late", 0, RunState::Succeeded, "echo one");
    store.sink.finish(&end).await.expect("finish");
    let before = one(&db, "late").await;
    assert_eq!(before.get_str("output").expect("output"), "");
    for (seq, offset, piece, want) in [(0, 0, "one\n", "one\n"), (1, 4, "$A", "one\n$A")] {
        let chunk = chunk(seq, offset, piece);
        let append = store.sink.append(&run, 1, &[chunk], None).await;
        append.expect("append");
        let after = one(&db, "late").await;
        assert_eq!(after.get_str("output").expect("output"), want);
        let mut rest = before.clone();
        rest.insert("output", want);
        assert_eq!(after, rest);
    }
    // It comes again when an answer was lost.
    let first = [chunk(0, 0, "one\n")];
    let again = store.sink.append(&run, 1, &first, None);
    again.await.expect("append");
    assert_eq!(shown(&db).await, "one\n$A");
}

#[tokio::test]
async fn output_that_comes_after_the_end_is_shown() {
    let own = Own::new();
    late_output_is_shown(&own, &own.open().await).await;
}

/// A Go master shows the attempt that ended the run, and what it does not list stays unlisted.
#[tokio::test]
async fn late_output_of_an_earlier_attempt_is_not_shown() {
    let own = Own::new();
    let (store, db) = (own.open().await, own.raw().await);
    let mut retried = done("late", 0, RunState::Lost, "echo one");
    retried.attempts = 2;
    let skipped = done("late", 1_000, RunState::Skipped, "echo one");
    for end in [&retried, &skipped] {
        store.sink.finish(end).await.expect("finish");
        let (run, first) = (end.run(), [chunk(0, 0, "one\n")]);
        let append = store.sink.append(&run, 1, &first, None);
        append.await.expect("append");
    }
    assert_eq!(shown(&db).await, "");
    let (run, second) = (retried.run(), [chunk(0, 0, "two\n")]);
    let append = store.sink.append(&run, 2, &second, None);
    append.await.expect("append");
    assert_eq!(shown(&db).await, "two\n");
}
