//! Jobs with which a Go worker would do something else than we do: none of them stands where it looks.

use etcd_client::{EventType, WatchOptions, WatchStream};
use futures_util::StreamExt;
use sandclock_core::backend::{Decided, JobEvent, Precondition, Request, Triggered};
use sandclock_core::job::{Job, JobName, ScheduleSpec};
use sandclock_core::run::RunState;
use serde_json::Value;

use crate::scene::{Scene, due, job, mark};

fn nightly(expr: &str) -> Job {
    let mut job = job("a/b");
    job.schedule = Some(ScheduleSpec::utc(expr));
    job
}

fn disabled() -> Job {
    Job {
        enabled: false,
        ..nightly("0 3 * * *")
    }
}

async fn put(scene: &Scene, job: &Job) {
    let put = scene.store.jobs.put(job, Precondition::Any).await;
    put.expect("put");
}

/// What every Go worker watches.
async fn as_a_go_worker(scene: &Scene) -> WatchStream {
    let mut raw = scene.raw.clone();
    let below = WatchOptions::new().with_prefix();
    let mut watch = raw
        .watch(scene.job_key(""), Some(below))
        .await
        .expect("watch");
    let begun = watch.message().await.expect("begun").expect("begun");
    assert!(begun.created());
    watch
}

/// The next change that a Go worker sees: whether it is a put, and its key.
async fn seen(watch: &mut WatchStream) -> (EventType, String) {
    let news = watch.message().await.expect("news").expect("news");
    let event = news.events().first().expect("an event");
    let key = event.kv().expect("a key").key_str().expect("text");
    (event.event_type(), key.to_owned())
}

/// A Go worker knows no `enabled`: it would run the job.
#[tokio::test]
async fn a_go_worker_does_not_see_a_job_that_is_not_enabled() {
    let scene = Scene::new().await;
    let (theirs, ours) = (scene.job_key("a/b"), scene.own_key("jobs/a%2Fb"));
    let mut watch = as_a_go_worker(&scene).await;
    let enabled = nightly("0 3 * * *");
    for round in 0..2 {
        put(&scene, &enabled).await;
        assert_eq!(seen(&mut watch).await, (EventType::Put, theirs.clone()));
        assert_eq!(scene.text(&ours).await, None, "{round}");
        put(&scene, &disabled()).await;
        assert_eq!(seen(&mut watch).await, (EventType::Delete, theirs.clone()));
        let value = scene.text(&ours).await.expect("apart");
        let value: Value = serde_json::from_str(&value).expect("JSON");
        assert_eq!(value["cronExpr"], "0 3 * * *");
        assert_eq!(value["sandclock"]["enabled"], false);
        assert_eq!(scene.text(&theirs).await, None, "{round}");
    }
    let delete = scene.store.jobs.delete(&enabled.name, Precondition::Any);
    delete.await.expect("delete");
    assert_eq!(scene.text(&ours).await, None);
}

/// A Go worker would run these at other times, without a pause, or with its old schedule.
#[tokio::test]
async fn a_go_worker_does_not_see_a_schedule_that_it_reads_in_another_way() {
    let scene = Scene::new().await;
    let mut watch = as_a_go_worker(&scene).await;
    for expr in ["0 9 * * 1-7", "0 0 */2 * 1", "@every 90s"] {
        put(&scene, &nightly(expr)).await;
    }
    let mut by_request = nightly("");
    by_request.schedule = None;
    put(&scene, &by_request).await;
    let mut elsewhere = nightly("0 3 * * *");
    let spec = elsewhere.schedule.as_mut().expect("scheduled");
    spec.time_zone = "Asia/Tokyo".to_owned();
    put(&scene, &elsewhere).await;
    scene.put(&scene.job_key("last"), "{}").await;
    let first = seen(&mut watch).await;
    assert_eq!(first, (EventType::Put, scene.job_key("last")));
}

/// The hosts of the fleet have got another zone: each job is placed anew by its next save, whatever that changes.
#[tokio::test]
async fn a_job_is_placed_by_the_zone_that_the_fleet_has_when_it_is_saved() {
    let scene = Scene::new().await;
    let (theirs, ours) = (scene.job_key("a/b"), scene.own_key("jobs/a%2Fb"));
    let job = nightly("0 3 * * *");
    put(&scene, &job).await;
    let mut moved = scene.config.clone();
    moved.go_defaults.time_zone = "Asia/Tokyo".to_owned();
    let moved = Scene::of(moved).await;
    let stored = moved.store.jobs.get(&job.name).await.expect("get");
    assert_eq!(*stored.expect("there").job, job);
    assert!(scene.at(&theirs).await.is_some(), "no save, no move");
    put(&moved, &job).await;
    assert!(scene.at(&theirs).await.is_none());
    assert!(scene.at(&ours).await.is_some());
    put(&scene, &job).await;
    assert!(scene.at(&theirs).await.is_some());
    assert!(scene.at(&ours).await.is_none());
}

/// Ours see the job wherever it stands, with each of its moves.
#[tokio::test]
async fn a_job_that_moves_is_never_out_of_sight() {
    let scene = Scene::new().await;
    let (enabled, disabled) = (nightly("0 3 * * *"), disabled());
    let cursor = scene.store.jobs.snapshot().await.expect("snapshot").cursor;
    let mut events = scene.store.jobs.watch(cursor).await.expect("watch");
    let mut last = None;
    for job in [&enabled, &disabled, &enabled, &disabled] {
        put(&scene, job).await;
        let stored = scene.store.jobs.get(&job.name).await.expect("get");
        let stored = stored.expect("there");
        assert_eq!(*stored.job, *job);
        let snapshot = scene.store.jobs.snapshot().await.expect("snapshot");
        assert_eq!(snapshot.jobs, std::slice::from_ref(&stored));
        loop {
            match events.next().await.expect("news").expect("news").1 {
                JobEvent::Put(put) if put.version == stored.version => break,
                JobEvent::Put(put) => assert!(last <= Some(put.version), "{put:?}"),
                JobEvent::Progress => {}
                other => panic!("it was never gone: {other:?}"),
            }
        }
        last = Some(stored.version);
    }
}

/// A Go master does not see the name and may take it: its workers run that job, and so do ours.
#[tokio::test]
async fn a_go_masters_job_hides_one_of_ours_of_the_same_name() {
    let scene = Scene::new().await;
    put(&scene, &disabled()).await;
    let name = JobName::existing("a/b");
    let get = async || {
        let stored = scene.store.jobs.get(&name).await.expect("get");
        stored.expect("there")
    };
    let hidden = get().await;
    let snapshot = scene.store.jobs.snapshot().await.expect("snapshot");
    let mut events = scene
        .store
        .jobs
        .watch(snapshot.cursor)
        .await
        .expect("watch");
    let mut next = async || loop {
        match events.next().await.expect("news").expect("news").1 {
            JobEvent::Progress => {}
            event => break event,
        }
    };
    let key = scene.job_key("a/b");
    let go = r#"{"name":"a/b","command":"echo go","cronExpr":"@daily"}"#;
    scene.put(&key, go).await;
    let theirs = get().await;
    assert!(theirs.job.enabled);
    assert_eq!(next().await, JobEvent::Put(theirs.clone()));
    let snapshot = scene.store.jobs.snapshot().await.expect("snapshot");
    assert_eq!(snapshot.jobs, [theirs]);
    scene.remove(&key).await;
    let gone = next().await;
    assert!(matches!(gone, JobEvent::Deleted(..)), "{gone:?}");
    assert_eq!(next().await, JobEvent::Put(hidden.clone()));
    assert_eq!(get().await, hidden);
}

/// Claims rest on the job where it stands.
#[tokio::test]
async fn a_job_apart_is_claimed_and_asked_for_as_any_other() {
    let scene = Scene::new().await;
    let session = scene.session().await;
    let pinned = scene.planned("job").await;
    assert!(scene.at(&scene.own_key("jobs/job")).await.is_some());
    let first = due(&pinned, mark(0, None), 60);
    let fence = scene.hold(&session, std::slice::from_ref(&first)).await[0];
    scene.end(&first, fence).await;
    let request = Request {
        id: "by-hand".to_owned(),
        by: "ann".to_owned(),
        refuse_if_busy: false,
    };
    let name = &pinned.job.name;
    let asked = scene.store.fires.trigger(name, &request).await;
    assert!(matches!(asked.expect("trigger"), Triggered::Run(_)));

    let mut moved = (*pinned.job).clone();
    moved.schedule = nightly("0 3 * * *").schedule;
    put(&scene, &moved).await;
    assert!(scene.at(&scene.job_key("job")).await.is_some());
    let prev = mark(60, Some(RunState::Succeeded));
    let stale = due(&pinned, prev, 120);
    let decided = scene.store.fires.decide(&session, &[stale]).await;
    assert_eq!(decided.expect("decide"), [Decided::Stale]);
}
