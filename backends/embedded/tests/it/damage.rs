//! Rows that somebody has damaged by hand: each stops what it stands for, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sandclock_core::ErrorKind;
use sandclock_core::backend::{
    Alert, Coordination, Decided, Fence, Kill, ModuleDigest, OpenRecord, Pinned, Precondition,
    Release, Request, RunFilter, RunHeader, RunRecord, SessionId, Triggered, Versioned,
};
use sandclock_core::ports::AlertDraft;
use sandclock_core::run::{RunId, RunKey, RunState};

use crate::scene::{
    Home, LONG, adopt, at, claim, due, end, end_of, job, mark, open_session, planned_job,
};

/// Changes the file behind the store's back.
fn by_hand(home: &Home, sql: &str) {
    let file = rusqlite::Connection::open(home.path()).expect("open beside");
    let changed = file.execute(sql, []).expect(sql);
    assert_eq!(changed, 1, "{sql}");
}

fn tick(seconds: i64) -> RunKey {
    RunKey::Tick(at(seconds))
}

/// Decides the tick after the mark at second 0 of both jobs in one request.
async fn decide_both(
    store: &Coordination,
    session: &SessionId,
    jobs: [&Pinned; 2],
) -> Vec<Decided> {
    let due = jobs.map(|pinned| due(pinned, mark(0), 1));
    let decided = store.fires.decide(session, &due).await;
    decided.expect("one bad record fails no batch")
}

#[tokio::test]
async fn a_damaged_job_is_listed_and_stops_no_other() {
    let home = Home::new();
    let store = home.open().coordination();
    for name in ["bad", "good", "swapped"] {
        planned_job(&store, name).await;
    }
    drop(store);
    by_hand(&home, "UPDATE jobs SET body = x'7b' WHERE name = 'bad'");
    let others = "(SELECT body FROM jobs WHERE name = 'good')";
    by_hand(
        &home,
        &format!("UPDATE jobs SET body = {others} WHERE name = 'swapped'"),
    );

    let store = home.open().coordination();
    let snapshot = store.jobs.snapshot().await.expect("snapshot");
    let [good] = &snapshot.jobs[..] else {
        panic!("{snapshot:?}")
    };
    let [bad, swapped] = &snapshot.broken[..] else {
        panic!("{snapshot:?}")
    };
    assert!(bad.reason.contains("malformed"), "{bad:?}");
    assert!(swapped.reason.contains("\"good\""), "{swapped:?}");
    let good = Pinned {
        job: Arc::clone(&good.job),
        version: good.version,
    };
    let session = open_session(&store).await;
    claim(&store, &session, &good, mark(0)).await;
    let repair = (job("bad"), Precondition::Matches(bad.version));
    let repaired = store.jobs.put(&repair.0, repair.1).await;
    repaired.expect("repaired");
    let delete = store.jobs.delete(&swapped.name, Precondition::Any);
    delete.await.expect("deleted");
    let snapshot = store.jobs.snapshot().await.expect("snapshot");
    assert_eq!((snapshot.jobs.len(), snapshot.broken.len()), (2, 0));
}

/// The jobs `marked`, `open`, `done` and `good`: the mark of the first, and the open, wait and done records
/// of the others' runs cannot be read.
async fn damaged(home: &Home, store: &Coordination, session: &SessionId) -> [Pinned; 3] {
    let mut pinned = Vec::new();
    for name in ["marked", "open", "done", "good"] {
        pinned.push(planned_job(store, name).await);
    }
    let [marked, open, done, good] = <[Pinned; 4]>::try_from(pinned).expect("four");
    claim(store, session, &open, mark(0)).await;
    let fence = claim(store, session, &done, mark(0)).await;
    end(store, &done, tick(1), fence).await;
    let request = Request {
        id: "by-hand".to_owned(),
        by: "ann".to_owned(),
        refuse_if_busy: false,
    };
    let asked = store.fires.trigger(&marked.job.name, &request).await;
    assert!(matches!(asked, Ok(Triggered::Run(_))), "{asked:?}");
    by_hand(home, "UPDATE marks SET body = x'00' WHERE job = 'marked'");
    for table in ["open_runs", "wait_runs", "done_runs"] {
        by_hand(home, &format!("UPDATE {table} SET body = x'00'"));
    }
    [marked, open, good]
}

/// While the process runs, a record that cannot be read is left out and goes on to guard; the next process
/// puts something readable in its place.
#[tokio::test]
async fn damaged_records_of_the_protocol_are_left_out_and_then_mended() {
    let home = Home::new();
    let embedded = home.open();
    let store = embedded.coordination();
    let session = open_session(&store).await;
    let [marked, open, good] = damaged(&home, &store, &session).await;

    let (view, _) = store.feed.snapshot().await.expect("snapshot");
    let marks: Vec<_> = view.marks.iter().map(|(job, _)| job.as_str()).collect();
    assert_eq!(marks, ["done", "good", "open"]);
    assert!(view.open.is_empty() && view.wait.is_empty() && view.done.is_empty());
    let decided = decide_both(&store, &session, [&marked, &good]).await;
    assert!(
        matches!(&decided[..], [Decided::Stale, Decided::Held { .. }]),
        "{decided:?}"
    );
    let next = due(&open, mark(1), 2);
    let decided = store.fires.decide(&session, &[next]).await.expect("decide");
    assert_eq!(decided, [Decided::Recorded(RunState::Skipped)], "busy");
    drop((embedded, store));

    let store = home.open().coordination();
    let (view, _) = store.feed.snapshot().await.expect("snapshot");
    let (_, mended) = &view.marks[2];
    assert!(mended.value.at != at(0), "it was moved to the present");
    assert_ne!(mended.value.generation, mark(0).generation);
    let left: Vec<_> = view
        .open
        .iter()
        .map(|open| open.value.job.as_str())
        .collect();
    assert_eq!(left, ["good"]);
    let ends: Vec<_> = (view.done.iter())
        .map(|done| {
            (
                done.value.job.as_str(),
                done.value.key.clone(),
                done.value.outcome.state,
            )
        })
        .collect();
    assert_eq!(
        ends,
        [
            ("done", tick(1), RunState::Lost),
            (
                "marked",
                RunKey::Request("by-hand".to_owned()),
                RunState::Skipped
            ),
            ("open", tick(1), RunState::Lost),
            ("open", tick(2), RunState::Skipped),
        ]
    );
    let cause = &view.done[0].value.outcome.cause;
    assert!(cause.contains("cannot be read"), "{cause}");
    adopt(&store, &marked, Some(mended.version)).await;
}

/// What a newer program wrote is left for it: nothing is decided over its mark.
#[tokio::test]
async fn records_of_a_newer_program_are_not_mended() {
    let home = Home::new();
    let store = home.open().coordination();
    let session = open_session(&store).await;
    let (newer, good) = (
        planned_job(&store, "newer").await,
        planned_job(&store, "good").await,
    );
    claim(&store, &session, &newer, mark(0)).await;
    drop(store);
    let body = r#"CAST('{"v":99}' AS BLOB)"#;
    for table in ["marks", "open_runs"] {
        by_hand(
            &home,
            &format!("UPDATE {table} SET body = {body} WHERE job = 'newer'"),
        );
    }
    for _ in 0..2 {
        let store = home.open().coordination();
        let session = open_session(&store).await;
        let (view, _) = store.feed.snapshot().await.expect("snapshot");
        assert_eq!((view.marks.len(), view.done.len()), (1, 0));
        let is_good = |open: &Versioned<OpenRecord>| open.value.job == good.job.name;
        assert!(view.open.iter().all(is_good), "{view:?}");
        let end = store
            .fires
            .end(&end_of(&newer, tick(1), Fence::at(newer.version)))
            .await;
        assert_eq!(end.expect_err("unreadable").kind, ErrorKind::Corrupt);
        let decided = decide_both(&store, &session, [&newer, &good]).await;
        assert_eq!(decided[0], Decided::Stale);
    }
}

#[tokio::test]
async fn a_damaged_run_stops_no_list_and_no_end() {
    let home = Home::new();
    let store = home.open();
    let (jobs, log) = (store.coordination(), store.records());
    let session = open_session(&jobs).await;
    let mut ends = Vec::new();
    for name in ["a", "b", "c"] {
        let pinned = planned_job(&jobs, name).await;
        let fence = claim(&jobs, &session, &pinned, mark(0)).await;
        let header = RunHeader {
            id: RunId::of(&pinned.job.name, &tick(1)),
            job: pinned.job.name.clone(),
            key: tick(1),
            state: RunState::Running,
            attempt: 1,
            worker: "w".to_owned(),
            started_at: at(1),
            next_attempt_at: None,
            cause: "the schedule".to_owned(),
        };
        log.sink.begin(&header, fence).await.expect("begin");
        end(&jobs, &pinned, tick(1), fence).await;
        ends.push(header.id);
    }
    by_hand(&home, "UPDATE runs SET body = x'00' WHERE job = 'b'");
    let filter = RunFilter::default();
    let all = log.runs.list(&filter, None, 10).await.expect("list").items;
    let jobs_of = |runs: &[RunRecord]| {
        let names = runs.iter().map(|run| run.job.to_string());
        names.collect::<Vec<_>>()
    };
    assert_eq!(jobs_of(&all), ["c", "a"]);
    let mut page = None;
    let mut paged = Vec::new();
    loop {
        let next = log
            .runs
            .list(&filter, page.as_ref(), 1)
            .await
            .expect("page");
        paged.extend(jobs_of(&next.items));
        page = next.next;
        if page.is_none() {
            break;
        }
    }
    assert_eq!(paged, ["c", "a"]);
    let bad = log.runs.get(&ends[1]).await.expect_err("unreadable");
    assert_eq!(bad.kind, ErrorKind::Corrupt);

    let (view, _) = jobs.feed.snapshot().await.expect("snapshot");
    for done in &view.done {
        log.sink.finish(&done.value).await.expect("finish");
    }
    let all = log.runs.list(&filter, None, 10).await.expect("list").items;
    assert_eq!(jobs_of(&all), ["c", "b", "a"]);
    assert!(all.iter().all(|run| run.state == RunState::Succeeded));
    assert_eq!(all[1].started_at, Some(at(1)), "its beginning is known");
}

fn alert(name: &str) -> Alert {
    let run = RunId::of(&job(name).name, &tick(1));
    Alert::new(
        run,
        job(name).name,
        AlertDraft {
            plugin: "webhook-alert".to_owned(),
            index: 0,
            target: "ops".to_owned(),
            dedupe_key: None,
            content_type: "text/plain".to_owned(),
            headers: Vec::new(),
            body: bytes::Bytes::from_static(b"failed"),
        },
        at(2),
    )
}

#[tokio::test]
async fn a_damaged_alert_or_kill_stops_no_other() {
    let home = Home::new();
    let store = home.open();
    let (jobs, outbox) = (store.coordination(), store.records().outbox);
    let alerts = ["a", "b", "c"].map(alert);
    outbox.put(&alerts).await.expect("put");
    by_hand(&home, "UPDATE alerts SET headers = '{' WHERE job = 'a'");
    let claimed = outbox
        .claim(10, Duration::from_secs(1))
        .await
        .expect("claim");
    let names: Vec<_> = claimed.iter().map(|c| c.alert.job.as_str()).collect();
    assert_eq!(names, ["b", "c"]);
    let mut listed = Vec::new();
    let mut page = None;
    loop {
        let next = outbox.list(None, page.as_ref(), 1).await.expect("list");
        listed.extend(next.items.into_iter().map(|alert| alert.job.to_string()));
        page = next.next;
        if page.is_none() {
            break;
        }
    }
    assert_eq!(listed, ["c", "b"]);

    for name in ["a", "b"] {
        let kill = Kill {
            run: alert(name).run,
            by: "ann".to_owned(),
            why: "because".to_owned(),
        };
        jobs.kills.send(&kill, LONG).await.expect("kill");
    }
    let run = alert("a").run;
    by_hand(
        &home,
        &format!("UPDATE kills SET run = 'no run' WHERE run = '{run}'"),
    );
    let mut kills = jobs.kills.watch().await.expect("watch");
    let first = futures_util::StreamExt::next(&mut kills).await;
    assert_eq!(first.expect("a kill").expect("a kill").run, alert("b").run);
}

/// A module that is not what was pushed is not handed out; a release that nobody can read hides no other.
#[tokio::test]
async fn a_damaged_plugin_hides_nothing_and_serves_nobody() {
    let home = Home::new();
    let store = home.open().records();
    let modules = ["good", "bad"].map(|text| Bytes::from_static(text.as_bytes()));
    let releases = modules.each_ref().map(|module| Release {
        plugin: "acme".to_owned(),
        version: ModuleDigest::of(module).as_str()[..8].to_owned(),
        digest: ModuleDigest::of(module),
        bytes: module.len() as u64,
        pushed_by: "ann".to_owned(),
        pushed_at: at(1),
    });
    for (release, module) in releases.iter().zip(&modules) {
        store.plugins.push(release, module).await.expect("push");
    }
    drop(store);
    let [good, bad] = &releases;
    let changed = format!(
        "UPDATE modules SET module = x'00' WHERE digest = '{}'",
        bad.digest
    );
    by_hand(&home, &changed);
    let store = home.open().records();
    let refused = store.plugins.module(&bad.digest).await;
    assert_eq!(refused.expect_err("changed").kind, ErrorKind::Corrupt);
    assert_eq!(
        store.plugins.module(&good.digest).await.expect("module"),
        modules[0]
    );
    drop(store);
    let unreadable = format!(
        "UPDATE releases SET digest = 'x' WHERE version = '{}'",
        bad.version
    );
    by_hand(&home, &unreadable);
    let listed = home.open().records().plugins.list().await.expect("list");
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].releases, std::slice::from_ref(good));
}
