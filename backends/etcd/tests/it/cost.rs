//! What a run costs the cluster: how far it raises the revision.
//!
//! Other tests write to the same server, so revisions are counted by a watch over this test's keys.

use std::collections::BTreeSet;
use std::time::Duration;

use etcd_client::{EventType, WatchOptions, WatchStream};
use futures_util::future::{join, join_all};
use sandclock_core::backend::{Pinned, RecordSeen};
use sandclock_core::run::RunState;

use crate::scene::{Scene, due, mark};

/// How long what is cleaned waits for company.
const PATIENCE: Duration = Duration::from_secs(5);

/// Counts the revisions of a test's keys.
pub(crate) struct Meter {
    watch: WatchStream,
    stop: String,
}

impl Meter {
    pub(crate) async fn start(scene: &Scene) -> Self {
        let case = scene.config.prefix.trim_end_matches("sandclock/");
        let mut raw = scene.raw.clone();
        let options = WatchOptions::new().with_prefix();
        let mut watch = raw.watch(case, Some(options)).await.expect("watch");
        let begun = watch.message().await.expect("begun").expect("begun");
        assert!(begun.created());
        let stop = format!("{case}stop");
        Self { watch, stop }
    }

    /// The revisions for each of the next so many runs that end, without those that are only about sessions.
    pub(crate) async fn per_run(mut self, runs: usize, scene: &Scene) -> f64 {
        let (done, session) = (scene.own_key("done/"), scene.own_key("session/"));
        let about_sessions = [session.as_bytes(), scene.config.go.workers.as_bytes()];
        let (mut revisions, mut ended) = (BTreeSet::new(), BTreeSet::new());
        while ended.len() < runs {
            let message = self.watch.message().await.expect("news").expect("news");
            for event in message.events() {
                let kv = event.kv().expect("a key");
                if about_sessions.iter().any(|part| kv.key().starts_with(part)) {
                    continue;
                }
                revisions.insert(kv.mod_revision());
                if event.event_type() == EventType::Put && kv.key().starts_with(done.as_bytes()) {
                    ended.insert(kv.key().to_vec());
                }
            }
        }
        let small = |count: usize| f64::from(u32::try_from(count).expect("small"));
        small(revisions.len()) / small(ended.len())
    }

    async fn stop(mut self, scene: &Scene) -> usize {
        scene.put(&self.stop, "").await;
        let mut revisions = BTreeSet::new();
        loop {
            let message = self.watch.message().await.expect("news").expect("news");
            for kv in message.events().iter().filter_map(|event| event.kv()) {
                if kv.key() == self.stop.as_bytes() {
                    return revisions.len();
                }
                revisions.insert(kv.mod_revision());
            }
        }
    }
}

async fn done(scene: &Scene) -> Vec<RecordSeen> {
    let (view, _) = scene.store.feed.snapshot().await.expect("snapshot");
    let done = view.done.into_iter();
    done.map(|done| RecordSeen {
        job: done.value.job,
        key: done.value.key,
        version: done.version,
    })
    .collect()
}

async fn clean(scene: &Scene, done: &[RecordSeen]) {
    let cleaned = scene.store.feed.clean(done, PATIENCE).await.expect("clean");
    assert_eq!(usize::try_from(cleaned).expect("small"), done.len());
}

/// One job that runs alone: a transaction to decide and one to end. What is cleaned goes along with the next
/// decide, and only the last has none.
#[tokio::test]
async fn a_run_takes_two_transactions() {
    const RUNS: i64 = 128;
    let scene = Scene::new().await;
    let session = scene.session().await;
    let pinned = scene.planned("alone").await;
    let meter = Meter::start(&scene).await;
    let mut last = None;
    for tick in 1..=RUNS {
        let due = due(&pinned, mark(tick - 1, last), tick);
        let before = done(&scene).await;
        let decide = scene.hold(&session, std::slice::from_ref(&due));
        let ((), fences) = join(clean(&scene, &before), decide).await;
        scene.end(&due, fences[0]).await;
        last = Some(RunState::Succeeded);
    }
    clean(&scene, &done(&scene).await).await;
    let revisions = meter.stop(&scene).await;
    println!("{RUNS} runs of one job raised the revision by {revisions}");
    assert_eq!(revisions, 2 * 128 + 1);
}

/// A thousand jobs in the same second: decides and ends share their transactions.
#[tokio::test]
async fn a_thousand_runs_at_once_share_their_transactions() {
    const JOBS: usize = 1000;
    let scene = Scene::new().await;
    let session = scene.session().await;
    let names: Vec<_> = (0..JOBS).map(|i| format!("job-{i}")).collect();
    let mut jobs: Vec<Pinned> = Vec::new();
    for some in names.chunks(50) {
        jobs.extend(join_all(some.iter().map(|name| scene.planned(name))).await);
    }
    let meter = Meter::start(&scene).await;
    let due: Vec<_> = jobs.iter().map(|job| due(job, mark(0, None), 60)).collect();
    let decided = join_all(due.chunks(64).map(|some| scene.hold(&session, some))).await;
    let fences = decided.into_iter().flatten();
    join_all(
        due.iter()
            .zip(fences)
            .map(|(due, fence)| scene.end(due, fence)),
    )
    .await;
    clean(&scene, &done(&scene).await).await;
    let revisions = meter.stop(&scene).await;
    println!("{JOBS} runs in one second raised the revision by {revisions}");
    assert!(
        revisions * 5 < JOBS,
        "{revisions} revisions for {JOBS} runs"
    );
}

/// A decide whose planner has not yet heard of an end still holds: the streak is no part of what it rests on.
#[tokio::test]
async fn a_decide_survives_a_streak_that_has_changed() {
    let scene = Scene::new().await;
    let session = scene.session().await;
    let pinned = scene.planned("late-news").await;
    let first = due(&pinned, mark(0, None), 60);
    let fences = scene.hold(&session, std::slice::from_ref(&first)).await;
    scene.end(&first, fences[0]).await;
    let unaware = due(&pinned, mark(60, None), 120);
    scene.hold(&session, &[unaware]).await;
    let (view, _) = scene.store.feed.snapshot().await.expect("snapshot");
    let (_, now) = view.marks.first().expect("a mark");
    assert_eq!(
        now.value,
        mark(120, Some(RunState::Succeeded)),
        "and the streak is kept"
    );
}
