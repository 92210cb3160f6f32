//! What etcd refuses, and what cannot be read: it harms its own job or run, and no other.

use std::time::Duration;

use futures_util::StreamExt;
use sandclock_core::ErrorKind;
use sandclock_core::backend::{
    Decided, DoneRecord, End, EndHow, Ended, Nonce, RecordSeen, Request, Take, TakeFrom, Taken,
    Versioned, WaitRecord,
};
use sandclock_core::job::Program;
use sandclock_core::policy::ConcurrencyPolicy::Replace;
use sandclock_core::run::{RunId, RunKey, RunState};
use serde_json::json;

use crate::scene::{Scene, at, due, job, mark, outcome};

/// A value that etcd takes, and no record with it.
const TOO_LARGE: usize = 1_500_000;

/// A Go master saves what no run of it could be recorded of.
#[tokio::test]
async fn a_job_too_large_to_be_claimed_is_told_of_as_broken() {
    let scene = Scene::new().await;
    let command = format!("true {}", "x".repeat(TOO_LARGE));
    let value = json!({ "name": "large", "command": command, "cronExpr": "* * * * * * *" });
    scene.put(&scene.job_key("large"), value.to_string()).await;
    let snapshot = scene.store.jobs.snapshot().await.expect("snapshot");
    assert!(snapshot.jobs.is_empty());
    let told = &snapshot.broken[0].reason;
    assert!(told.contains("bytes, at most 400000"), "{told}");
    let request = Request {
        id: "by-hand".to_owned(),
        by: "ann".to_owned(),
        refuse_if_busy: false,
    };
    let asked = scene
        .store
        .fires
        .trigger(&snapshot.broken[0].name, &request);
    assert_eq!(asked.await.expect_err("no job").kind, ErrorKind::Corrupt);
}

/// Whatever makes one step of a batch too large, the others are carried out.
#[tokio::test]
async fn a_step_that_etcd_refuses_leaves_the_others_of_its_batch_alone() {
    let scene = Scene::new().await;
    let session = scene.session().await;
    let mut batch = Vec::new();
    for name in ["a", "large", "z"] {
        let pinned = scene.planned(name).await;
        batch.push(due(&pinned, mark(0, None), 60));
    }
    // What it would write holds the definition.
    let mut large = (*batch[1].pinned.job).clone();
    if let Program::Shell { text, .. } = &mut large.command.program {
        *text = "x".repeat(2 * TOO_LARGE);
    }
    batch[1].pinned.job = large.into();
    let decided = scene.store.fires.decide(&session, &batch).await;
    let decided = decided.expect("an answer each");
    assert!(matches!(decided[0], Decided::Held { .. }), "{decided:?}");
    assert_eq!(decided[1], Decided::Stale);
    assert!(matches!(decided[2], Decided::Held { .. }), "{decided:?}");
}

/// A person may try `etcdctl put`, and a later program may say more than we read.
#[tokio::test]
async fn a_kill_that_cannot_be_read_is_a_kill() {
    let scene = Scene::new().await;
    let session = scene.session().await;
    let pinned = scene.planned("job").await;
    let due = due(&pinned, mark(0, None), 60);
    let run = RunId::of(due.job(), &RunKey::Tick(due.fire));
    let mut early = scene.store.kills.watch().await.expect("watch");
    scene.put(&scene.own_key("kill/of-no-run"), "").await;
    scene.put(&scene.own_key(&format!("kill/{run}")), "").await;
    let heard = early.next().await.expect("news").expect("a kill");
    assert_eq!((&heard.run, heard.by.as_str()), (&run, "somebody"));
    let mut late = scene.store.kills.watch().await.expect("watch");
    assert_eq!(late.next().await.expect("news").expect("a kill"), heard);

    let decided = scene
        .store
        .fires
        .decide(&session, std::slice::from_ref(&due));
    let fence = match decided.await.expect("decide").remove(0) {
        Decided::Held { fence, kill } => {
            assert_eq!(kill, Some(heard));
            fence
        }
        other => panic!("not held: {other:?}"),
    };
    let end = End {
        job: due.job().clone(),
        key: RunKey::Tick(due.fire),
        fence,
        how: EndHow::Retry {
            not_before: at(61),
            exclude: None,
            killed: outcome(RunState::Killed),
        },
        worker: "w".to_owned(),
    };
    match scene.store.fires.end(&end).await.expect("it ends") {
        Ended::Done(done) => assert_eq!(done.value.outcome.state, RunState::Killed),
        other => panic!("not over: {other:?}"),
    }
}

/// Replaced ticks are recorded with the definition; those of a large job do not fit into one request.
#[tokio::test]
async fn ticks_of_a_large_job_are_replaced_in_more_than_one_request() {
    const WAIT: i64 = 20;
    let scene = Scene::new().await;
    let session = scene.session().await;
    let mut large = job("large");
    large.concurrency = Replace;
    large.command.program = Program::Shell {
        shell: vec!["/bin/sh".to_owned(), "-c".to_owned()],
        text: format!("true {}", "x".repeat(100_000)),
    };
    let pinned = scene.planned_as(large).await;
    let first = due(&pinned, mark(0, None), 60);
    let fences = scene.hold(&session, std::slice::from_ref(&first)).await;
    for second in 61..=60 + WAIT {
        let next = due(&pinned, mark(second - 1, None), second);
        let decided = scene.store.fires.decide(&session, &[next]).await;
        assert_eq!(decided.expect("decide"), [Decided::Waits]);
    }
    scene.end(&first, fences[0]).await;
    let fires = &scene.store.fires;
    let held = loop {
        let (view, _) = scene.store.feed.snapshot().await.expect("snapshot");
        let mut waiting: Vec<_> = view.wait.iter().map(seen).collect();
        let record = waiting.pop().expect("the newest");
        let skip = waiting.into_iter();
        let take = Take {
            record,
            from: TakeFrom::Wait {
                pinned: pinned.clone(),
                exclusive: true,
                skip: skip
                    .map(|older| (older, outcome(RunState::Skipped)))
                    .collect(),
            },
            nonce: Nonce(1),
            worker: "w".to_owned(),
        };
        match fires.take(&session, &take).await.expect("take") {
            Taken::Stale => {}
            taken => break taken,
        }
    };
    assert!(matches!(held, Taken::Held { .. }), "{held:?}");
    let (view, _) = scene.store.feed.snapshot().await.expect("snapshot");
    assert!(view.wait.is_empty());
    let skipped = |done: &&Versioned<DoneRecord>| done.value.outcome.state == RunState::Skipped;
    let skipped = view.done.iter().filter(skipped).count();
    assert_eq!(i64::try_from(skipped).expect("few"), WAIT - 1);
}

/// A job of the Go fleet may have a name of any length; a clean names it twice.
#[tokio::test]
async fn records_of_long_names_are_cleaned_in_more_than_one_request() {
    let scene = Scene::new().await;
    let session = scene.session().await;
    let mut batch = Vec::new();
    for at in 0..20_u32 {
        let name = format!("{at}{}", "n".repeat(50_000));
        batch.push(due(&scene.planned(&name).await, mark(0, None), 60));
    }
    let fences = scene.hold(&session, &batch).await;
    for (due, fence) in batch.iter().zip(fences) {
        scene.end(due, fence).await;
    }
    let (view, _) = scene.store.feed.snapshot().await.expect("snapshot");
    let done: Vec<_> = view.done.iter().map(of_done).collect();
    let clean = scene.store.feed.clean(&done, Duration::ZERO).await;
    assert_eq!(clean.expect("clean"), 20);
}

fn of_done(done: &Versioned<DoneRecord>) -> RecordSeen {
    RecordSeen {
        job: done.value.job.clone(),
        key: done.value.key.clone(),
        version: done.version,
    }
}

fn seen(wait: &Versioned<WaitRecord>) -> RecordSeen {
    RecordSeen {
        job: wait.value.job.clone(),
        key: wait.value.key.clone(),
        version: wait.version,
    }
}
