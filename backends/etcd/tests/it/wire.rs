//! What stands on the wire: bytes that a Go master, a Go worker or an operator reads and writes.

use std::time::Duration;

use etcd_client::{Compare, CompareOp, PutOptions, Txn, TxnOp};
use futures_util::StreamExt;
use sandclock_backend_etcd::EtcdConfig;
use sandclock_core::backend::{JobEvent, Kill, Precondition};
use sandclock_core::job::{Job, JobName, Leftovers, ScheduleSpec};
use sandclock_core::policy::MisfirePolicy;
use sandclock_core::run::{RunId, RunKey, RunState};
use sandclock_core::schedule::Dialect;
use serde_json::{Value, json};

use crate::fresh::config;
use crate::scene::{Scene, at, due, job, mark};

const GO: &str =
    r#"{"name":"job1","command":"echo a \u003e /dev/null","cronExpr":"*/2 * * * * * *"}"#;

fn scheduled(name: &str) -> Job {
    let mut job = job(name);
    job.description = "nightly".to_owned();
    job.schedule = Some(ScheduleSpec::utc("0 3 * * *"));
    job
}

async fn get(scene: &Scene, name: &str) -> Option<Job> {
    let job = scene.store.jobs.get(&JobName::existing(name)).await;
    job.expect("get").map(|stored| (*stored.job).clone())
}

#[tokio::test]
async fn a_go_masters_job_is_read_as_a_go_worker_would() {
    let scene = Scene::new().await;
    scene.put(&scene.job_key("job1"), GO).await;
    let job = get(&scene, "job1").await.expect("there");
    let want = Job::shell(job.name.clone(), "echo a > /dev/null")
        .command
        .program;
    assert_eq!(job.command.program, want);
    let spec = job.schedule.expect("scheduled");
    assert_eq!(
        (spec.expr.as_str(), spec.dialect),
        ("*/2 * * * * * *", Dialect::Go)
    );
    assert_eq!(job.misfire.policy, MisfirePolicy::Skip);
    assert_eq!(job.command.leftovers, Leftovers::Keep);
}

#[tokio::test]
async fn a_go_worker_reads_our_job() {
    let scene = Scene::new().await;
    let put = scene
        .store
        .jobs
        .put(&scheduled("a/b"), Precondition::Absent)
        .await;
    let version = put.expect("put").version;
    let kv = scene
        .at(&scene.job_key("a/b"))
        .await
        .expect("under the raw name");
    assert_eq!(
        u64::try_from(kv.mod_revision()).expect("positive"),
        version.0
    );
    assert_eq!(kv.lease(), 0);
    let go = r#"{"name":"a/b","command":"true","cronExpr":"0 3 * * *","sandclock":{"#;
    assert!(kv.value().starts_with(go.as_bytes()), "{kv:?}");
    let value: Value = serde_json::from_slice(kv.value()).expect("JSON");
    assert_eq!(value["sandclock"]["description"], "nightly");
    scene
        .store
        .jobs
        .delete(&JobName::existing("a/b"), Precondition::Any)
        .await
        .expect("delete");
    assert!(scene.at(&scene.job_key("a/b")).await.is_none());
}

/// S13: a Go master's save drops our member; it comes back from the copy, and with our next save.
#[tokio::test]
async fn a_go_masters_save_keeps_our_definition() {
    let scene = Scene::new().await;
    let ours = scheduled("job");
    scene
        .store
        .jobs
        .put(&ours, Precondition::Absent)
        .await
        .expect("put");
    let key = scene.job_key("job");
    let cursor = scene.store.jobs.snapshot().await.expect("snapshot").cursor;
    let mut events = scene.store.jobs.watch(cursor).await.expect("watch");
    let saved = json!({"name": "job", "command": "true", "cronExpr": "0 3 * * *"});
    scene.put(&key, saved.to_string()).await;

    assert_eq!(get(&scene, "job").await.as_ref(), Some(&ours));
    let snapshot = scene.store.jobs.snapshot().await.expect("snapshot");
    assert_eq!(*snapshot.jobs[0].job, ours);
    match events.next().await.expect("news").expect("news").1 {
        JobEvent::Put(put) => assert_eq!(put, snapshot.jobs[0]),
        other => panic!("should be put: {other:?}"),
    }

    let described = Job {
        owner: "ann".to_owned(),
        ..ours
    };
    scene
        .store
        .jobs
        .put(&described, Precondition::Any)
        .await
        .expect("put");
    let value: Value = serde_json::from_str(&scene.text(&key).await.expect("there")).expect("JSON");
    assert_eq!(value["sandclock"]["owner"], "ann");

    let other = json!({"name": "job", "command": "false", "cronExpr": "0 3 * * *"});
    scene.put(&key, other.to_string()).await;
    let now = get(&scene, "job").await.expect("there");
    assert_eq!(
        now.misfire.policy,
        MisfirePolicy::Skip,
        "another command is another job"
    );
}

/// The copy belongs to one life of the name.
#[tokio::test]
async fn a_job_that_a_go_master_made_anew_is_new() {
    let scene = Scene::new().await;
    scene
        .store
        .jobs
        .put(&scheduled("job"), Precondition::Absent)
        .await
        .expect("put");
    let key = scene.job_key("job");
    scene.remove(&key).await;
    let saved = json!({"name": "job", "command": "true", "cronExpr": "0 3 * * *"});
    scene.put(&key, saved.to_string()).await;
    let now = get(&scene, "job").await.expect("there");
    assert_eq!(now.misfire.policy, MisfirePolicy::Skip);
    let snapshot = scene.store.jobs.snapshot().await.expect("snapshot");
    assert_eq!(*snapshot.jobs[0].job, now);
}

#[tokio::test]
async fn members_of_others_are_kept() {
    let scene = Scene::new().await;
    let key = scene.job_key("job");
    scene
        .put(
            &key,
            r#"{"name":"job","command":"x","cronExpr":"","remark":[1,{"a":null}]}"#,
        )
        .await;
    scene
        .store
        .jobs
        .put(&scheduled("job"), Precondition::Any)
        .await
        .expect("put");
    let value: Value = serde_json::from_str(&scene.text(&key).await.expect("there")).expect("JSON");
    assert_eq!(value["remark"], json!([1, {"a": null}]));
}

/// One value that is no job hides that job alone; a job that becomes one is no longer what it was.
#[tokio::test]
async fn a_broken_value_hides_one_job() {
    let scene = Scene::new().await;
    scene.put(&scene.job_key("bad"), "{bad").await;
    scene.put(&scene.job_key("turns"), GO).await;
    scene.put(&scene.job_key("works"), GO).await;
    let snapshot = scene.store.jobs.snapshot().await.expect("snapshot");
    let names: Vec<_> = snapshot
        .jobs
        .iter()
        .map(|job| job.job.name.as_str())
        .collect();
    assert_eq!(names, ["turns", "works"], "by their keys");
    let mut events = scene
        .store
        .jobs
        .watch(snapshot.cursor)
        .await
        .expect("watch");
    scene.put(&scene.job_key("turns"), r#"{"name":5}"#).await;
    scene.put(&scene.job_key("works"), GO).await;
    let first = events.next().await.expect("news").expect("news").1;
    assert!(matches!(first, JobEvent::Broken(broken) if broken.name.as_str() == "turns"));
    let second = events.next().await.expect("news").expect("news").1;
    assert!(matches!(second, JobEvent::Put(_)), "{second:?}");
    let bad = JobName::existing("bad");
    scene
        .store
        .jobs
        .delete(&bad, Precondition::Any)
        .await
        .expect("it can be deleted");
}

#[tokio::test]
async fn what_the_protocol_writes_is_where_the_table_says() {
    let scene = Scene::new().await;
    let session = scene.session().await;
    let pinned = scene.planned("a/b").await;
    let key = |rest: &str| scene.own_key(rest);
    let lease = scene
        .at(&key(&format!("session/{session}")))
        .await
        .expect("session")
        .lease();
    assert_ne!(lease, 0);
    let text = scene.text(&key("mark/a%2Fb")).await;
    assert_eq!(
        text.as_deref(),
        Some("0001800000000000 0000000000000007 - 0")
    );

    let due = due(&pinned, mark(0, None), 60);
    let fence = scene.hold(&session, std::slice::from_ref(&due)).await[0];
    let open = scene
        .at(&key("open/a%2Fb/0001800000060000"))
        .await
        .expect("open");
    assert_eq!(
        u64::try_from(open.mod_revision()).expect("positive"),
        fence.get()
    );
    assert_eq!(open.lease(), 0, "it outlives its session");
    scene.end(&due, fence).await;
    assert!(
        scene
            .at(&key("open/a%2Fb/0001800000060000"))
            .await
            .is_none()
    );
    assert!(
        scene
            .at(&key("done/a%2Fb/0001800000060000"))
            .await
            .is_some()
    );
    let text = scene.text(&key("mark/a%2Fb")).await;
    assert_eq!(
        text.as_deref(),
        Some("0001800000060000 0000000000000007 succeeded 0")
    );
}

/// S2: the mark of a deleted job has a week, timed by a lease that it does not hang on itself.
#[tokio::test]
async fn a_deleted_jobs_mark_has_its_week() {
    let scene = Scene::new().await;
    let name = JobName::existing("job");
    scene.planned("job").await;
    scene
        .store
        .jobs
        .delete(&name, Precondition::Any)
        .await
        .expect("delete");
    let orphan = scene
        .text(&scene.own_key("orphan/job"))
        .await
        .expect("timed");
    let lease = i64::from_str_radix(&orphan, 16).expect("a lease");
    let mut raw = scene.raw.clone();
    let left = raw
        .lease_time_to_live(lease, None)
        .await
        .expect("lease")
        .ttl();
    let day = 24 * 3600;
    assert!((7 * day..8 * day).contains(&left), "{left} s");
    let marks = async || {
        scene
            .store
            .feed
            .snapshot()
            .await
            .expect("snapshot")
            .0
            .marks
            .len()
    };
    assert_eq!(marks().await, 1);

    scene
        .store
        .jobs
        .put(&job("job"), Precondition::Absent)
        .await
        .expect("put");
    assert_eq!(
        scene.text(&scene.own_key("orphan/job")).await,
        None,
        "it is back"
    );
    scene.remove(&scene.own_key("jobs/job")).await;
    marks().await;
    let orphan = scene
        .text(&scene.own_key("orphan/job"))
        .await
        .expect("timed from now");
    let lease = i64::from_str_radix(&orphan, 16).expect("a lease");
    raw.lease_revoke(lease).await.expect("revoke");
    marks().await;
    assert_eq!(marks().await, 0);
    assert_eq!(scene.text(&scene.own_key("orphan/job")).await, None);
}

fn registered() -> EtcdConfig {
    EtcdConfig {
        register_as: Some("192.0.2.2".to_owned()),
        ..config()
    }
}

/// A Go master lists us; what others do to the registration is repaired (W13).
#[tokio::test]
async fn a_session_registers_as_a_go_worker() {
    let scene = Scene::of(registered()).await;
    let key = format!("{}192.0.2.2", scene.config.go.workers);
    let first = scene.session().await;
    let lease = scene
        .at(&scene.own_key(&format!("session/{first}")))
        .await
        .expect("there")
        .lease();
    assert_eq!(scene.at(&key).await.expect("registered").lease(), lease);
    let second = scene.session().await;
    scene.store.sessions.close(&second).await.expect("close");
    assert!(scene.at(&key).await.is_none(), "the address is shared");
    scene
        .store
        .sessions
        .renew(&first, None)
        .await
        .expect("renew");
    assert_eq!(scene.at(&key).await.expect("repaired").lease(), lease);
    scene.store.sessions.close(&first).await.expect("close");
    assert!(scene.at(&key).await.is_none());
}

/// A session whose key somebody has deleted is gone, though its lease lives.
#[tokio::test]
async fn a_deleted_session_is_lost() {
    let scene = Scene::new().await;
    let session = scene.session().await;
    scene
        .remove(&scene.own_key(&format!("session/{session}")))
        .await;
    let renewed = scene.store.sessions.renew(&session, None).await;
    let error = renewed.expect_err("lost");
    assert_eq!(error.kind, sandclock_core::ErrorKind::SessionLost);
}

/// Any put of a Go kill mark kills what runs of that job, and is a kill like any other from then on.
#[tokio::test]
async fn a_go_kill_mark_kills_what_runs() {
    let scene = Scene::new().await;
    let session = scene.session().await;
    let pinned = scene.planned("a b/c").await;
    let other = scene.planned("other").await;
    let dues = [
        due(&pinned, mark(0, None), 60),
        due(&other, mark(0, None), 60),
    ];
    scene.hold(&session, &dues).await;
    let mut early = scene.store.kills.watch().await.expect("watch");
    let mut raw = scene.raw.clone();
    let lease = raw.lease_grant(1, None).await.expect("lease").id();
    let options = PutOptions::new().with_lease(lease);
    let key = format!("{}a b/c", scene.config.go.kills);
    raw.put(key, "", Some(options)).await.expect("put");

    let run = RunId::of(&pinned.job.name, &RunKey::Tick(at(60)));
    let kill = early.next().await.expect("news").expect("news");
    assert_eq!((&kill.run, kill.by.as_str()), (&run, "go master"));
    let mut late = scene.store.kills.watch().await.expect("watch");
    assert_eq!(late.next().await.expect("news").expect("news"), kill);
    let by_ann = Kill {
        run: RunId::of(&other.job.name, &RunKey::Tick(at(60))),
        by: "ann".to_owned(),
        why: String::new(),
    };
    let sent = scene
        .store
        .kills
        .send(&by_ann, Duration::from_secs(60))
        .await;
    sent.expect("send");
    assert_eq!(
        early.next().await.expect("news").expect("news"),
        by_ann,
        "nothing else was killed"
    );
}

/// Each put of a mark kills, whatever its value and even if the mark is still there; its end kills nothing.
#[tokio::test]
async fn every_put_of_a_go_kill_mark_kills() {
    let scene = Scene::new().await;
    let session = scene.session().await;
    let pinned = scene.planned("job").await;
    let key = format!("{}job", scene.config.go.kills);
    let mut kills = scene.store.kills.watch().await.expect("watch");
    let mut prev = mark(0, None);
    for (tick, value) in [(60, "any value"), (120, "")] {
        let due = due(&pinned, prev, tick);
        let fence = scene.hold(&session, std::slice::from_ref(&due)).await[0];
        scene.put(&key, value).await;
        let kill = kills.next().await.expect("news").expect("news");
        assert_eq!(
            kill.run,
            RunId::of(&pinned.job.name, &RunKey::Tick(at(tick)))
        );
        scene.end(&due, fence).await;
        prev = mark(tick, Some(RunState::Killed));
    }
    let due = due(&pinned, prev, 180);
    scene.hold(&session, &[due]).await;
    scene.remove(&key).await;
    let by_ann = Kill {
        run: RunId::of(&pinned.job.name, &RunKey::Tick(at(180))),
        by: "ann".to_owned(),
        why: String::new(),
    };
    let sent = scene.store.kills.send(&by_ann, Duration::from_secs(60));
    sent.await.expect("send");
    let next = kills.next().await.expect("news").expect("news");
    assert_eq!(next, by_ann, "the end of the mark was no kill");
}

/// What a Go worker does to lock a job works beside ours, and ours does not leave locks behind.
#[tokio::test]
async fn a_go_workers_lock_is_its_own() {
    let scene = Scene::new().await;
    let session = scene.session().await;
    let pinned = scene.planned("job").await;
    let key = format!("{}job", scene.config.go.locks);
    let mut raw = scene.raw.clone();
    let lease = raw.lease_grant(5, None).await.expect("lease").id();
    let options = PutOptions::new().with_lease(lease);
    let txn = Txn::new()
        .when([Compare::create_revision(&*key, CompareOp::Equal, 0)])
        .and_then([TxnOp::put(&*key, "", Some(options))])
        .or_else([TxnOp::get(&*key, None)]);
    assert!(raw.txn(txn).await.expect("txn").succeeded());
    let due = due(&pinned, mark(0, None), 60);
    let fence = scene.hold(&session, std::slice::from_ref(&due)).await[0];
    scene.end(&due, fence).await;
    assert_eq!(scene.text(&key).await.as_deref(), Some(""), "untouched");
    raw.lease_revoke(lease).await.expect("unlock");
    assert!(scene.at(&key).await.is_none());
}
