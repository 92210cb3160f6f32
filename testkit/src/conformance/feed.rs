//! Cases on the feed: whoever follows it knows exactly what the store holds.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join;
use sandclock_core::ErrorKind;
use sandclock_core::backend::{
    DoneRecord, Events, FireEvent, FireView, Mark, OpenRecord, RecordSeen, Version, Versioned,
    WaitRecord,
};
use sandclock_core::job::JobName;
use sandclock_core::policy::ConcurrencyPolicy::{Forbid, Queue};
use sandclock_core::run::RunKey;

use super::CoordinationEnv;
use super::events::{next, rest};
use super::scene::{Scene, job, nonce, tick, view};

type Known<K, T> = BTreeMap<K, (Version, Option<T>)>;

/// What a reader of the feed believes.
#[derive(Default)]
struct Mirror {
    marks: Known<JobName, Mark>,
    open: Known<(JobName, RunKey), OpenRecord>,
    wait: Known<(JobName, RunKey), WaitRecord>,
    done: Known<(JobName, RunKey), DoneRecord>,
}

/// Keeps what is newer than the reader's knowledge.
fn learn<K: Ord, T>(known: &mut Known<K, T>, key: K, version: Version, value: Option<T>) {
    let entry = known.entry(key).or_default();
    if version > entry.0 {
        *entry = (version, value);
    }
}

fn forget<T>(known: &mut Known<(JobName, RunKey), T>, gone: RecordSeen) {
    learn(known, (gone.job, gone.key), gone.version, None);
}

impl Mirror {
    fn of(view: FireView) -> Self {
        let mut mirror = Self::default();
        let marks = view
            .marks
            .into_iter()
            .map(|(job, mark)| FireEvent::Mark(job, mark));
        let open = view.open.into_iter().map(FireEvent::Open);
        let wait = view.wait.into_iter().map(FireEvent::Wait);
        let done = view
            .done
            .into_iter()
            .map(|done| FireEvent::Done(Box::new(done)));
        marks
            .chain(open)
            .chain(wait)
            .chain(done)
            .for_each(|event| mirror.apply(event));
        mirror
    }

    fn apply(&mut self, event: FireEvent) {
        match event {
            FireEvent::Mark(job, mark) => {
                learn(&mut self.marks, job, mark.version, Some(mark.value));
            }
            FireEvent::MarkGone(job, version) => learn(&mut self.marks, job, version, None),
            FireEvent::Open(open) => {
                let key = (open.value.job.clone(), open.value.key.clone());
                learn(&mut self.open, key, open.version, Some(open.value));
            }
            FireEvent::OpenGone(gone) => forget(&mut self.open, gone),
            FireEvent::Wait(wait) => {
                let key = (wait.value.job.clone(), wait.value.key.clone());
                learn(&mut self.wait, key, wait.version, Some(wait.value));
            }
            FireEvent::WaitGone(gone) => forget(&mut self.wait, gone),
            FireEvent::Done(done) => {
                let key = (done.value.job.clone(), done.value.key.clone());
                learn(&mut self.done, key, done.version, Some(done.value));
            }
            FireEvent::DoneGone(gone) => forget(&mut self.done, gone),
            FireEvent::Progress => {}
        }
    }

    /// What is there, in an order of its own.
    fn view(&self) -> FireView {
        fn there<K: Clone, T: Clone>(known: &Known<K, T>) -> Vec<(K, Versioned<T>)> {
            let live = known.iter().filter_map(|(key, (version, value))| {
                let version = *version;
                let value = value.clone()?;
                Some((key.clone(), Versioned { version, value }))
            });
            live.collect()
        }
        fn records<K: Clone, T: Clone>(known: &Known<K, T>) -> Vec<Versioned<T>> {
            there(known).into_iter().map(|(_, record)| record).collect()
        }
        let mut wait = records(&self.wait);
        wait.sort_by_key(|wait| wait.version);
        FireView {
            marks: there(&self.marks),
            open: records(&self.open),
            wait,
            done: records(&self.done),
        }
    }
}

/// The store's view in the mirror's order.
async fn sorted(env: &CoordinationEnv) -> FireView {
    Mirror::of(view(env).await).view()
}

/// Every step of the protocol, on a job of its own.
async fn whole_life(env: &CoordinationEnv, name: &str) {
    let scene = Scene::of(env, job(name, Queue)).await;
    let fence = scene.hold(60).await;
    scene.decide(120).await;
    scene.decide(180).await;
    scene.retry(&tick(60), fence).await;
    tokio::task::yield_now().await;
    let (_, fence) = scene.take(&tick(60)).await;
    scene.succeed(&tick(60), fence).await;
    let (_, fence) = scene.take(&tick(120)).await;
    scene.trigger("by-hand").await;
    tokio::task::yield_now().await;
    scene.succeed(&tick(120), fence).await;
    let done = scene.done(&tick(60)).await.expect("done");
    let seen = scene.seen(&tick(60), done.version);
    env.feed
        .clean(&[seen], Duration::ZERO)
        .await
        .expect("clean");
}

/// Follows the feed until the job named `last` has a mark.
async fn follow<C>(events: &mut Events<(C, FireEvent)>, mirror: &mut Mirror) {
    loop {
        let (_, event) = next(events).await;
        let last = matches!(&event, FireEvent::Mark(job, _) if job.as_str() == "last");
        mirror.apply(event);
        if last {
            return;
        }
    }
}

/// A snapshot and the watch from its cursor together say exactly what the store holds.
pub async fn snapshot_and_watch_have_no_gap(env: &CoordinationEnv) {
    whole_life(env, "before").await;
    let writes = async {
        whole_life(env, "during-1").await;
        whole_life(env, "during-2").await;
        Scene::of(env, job("last", Forbid)).await;
    };
    let reads = async {
        tokio::task::yield_now().await;
        let (view, cursor) = env.feed.snapshot().await.expect("snapshot");
        let mut mirror = Mirror::of(view);
        let mut events = env.feed.watch(cursor).await.expect("watch");
        follow(&mut events, &mut mirror).await;
        mirror
    };
    let ((), mirror) = join(writes, reads).await;
    assert_eq!(mirror.view(), sorted(env).await);
}

/// Who learns from the feed that a tick is decided knows by then of the run that came of it.
pub async fn a_claim_is_told_before_its_mark(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let (_, cursor) = env.feed.snapshot().await.expect("snapshot");
    let mut events = env.feed.watch(cursor).await.expect("watch");
    scene.hold(60).await;
    let mut mirror = Mirror::default();
    while mirror.marks.is_empty() {
        mirror.apply(next(&mut events).await.1);
    }
    let told = mirror.view();
    assert_eq!(told.open.len(), 1, "{told:?}");
}

/// A watch that broke goes on from the last cursor it gave, without a gap.
pub async fn a_watch_resumes_after_it_broke(env: &CoordinationEnv) {
    let (view, mut cursor) = env.feed.snapshot().await.expect("snapshot");
    let mut mirror = Mirror::of(view);
    let mut events = env.feed.watch(cursor.clone()).await.expect("watch");
    whole_life(env, "first").await;
    for _ in 0..3 {
        let (at, event) = next(&mut events).await;
        mirror.apply(event);
        cursor = at;
    }
    env.powers.disturb().await;
    let (read, error) = rest(&mut events).await;
    assert!(error.is_transient(), "{error:?}");
    for (at, event) in read {
        mirror.apply(event);
        cursor = at;
    }
    whole_life(env, "second").await;
    let mut events = env.feed.watch(cursor).await.expect("watch again");
    Scene::of(env, job("last", Forbid)).await;
    follow(&mut events, &mut mirror).await;
    assert_eq!(mirror.view(), sorted(env).await);
}

/// A cursor whose history is gone is refused as such, at once or as the stream's last item.
pub async fn forgotten_history_is_said(env: &CoordinationEnv) {
    let (_, old) = env.feed.snapshot().await.expect("snapshot");
    whole_life(env, "first").await;
    env.powers.forget_history().await;
    let error = match env.feed.watch(old).await {
        Err(error) => error,
        Ok(mut events) => rest(&mut events).await.1,
    };
    assert_eq!(error.kind, ErrorKind::CursorExpired);
    let (_, now) = env.feed.snapshot().await.expect("snapshot");
    let mut events = env.feed.watch(now).await.expect("a new cursor works");
    Scene::of(env, job("last", Forbid)).await;
    follow(&mut events, &mut Mirror::default()).await;
}

/// A done record stays until it is cleaned at the version that was copied.
pub async fn done_stays_until_it_is_cleaned(env: &CoordinationEnv) {
    let scene = Scene::new(env, Forbid).await;
    let fence = scene.hold(60).await;
    scene.succeed(&tick(60), fence).await;
    let done = scene.done(&tick(60)).await.expect("done");
    let wrong = scene.seen(&tick(60), Version(done.version.0 + 1));
    let other = scene.seen(&tick(120), done.version);
    assert_eq!(
        env.feed
            .clean(&[wrong, other], Duration::ZERO)
            .await
            .expect("clean"),
        0
    );
    assert_eq!(scene.done(&tick(60)).await.as_ref(), Some(&done));
    let seen = [scene.seen(&tick(60), done.version)];
    assert_eq!(
        env.feed.clean(&seen, Duration::ZERO).await.expect("clean"),
        1
    );
    assert!(scene.done(&tick(60)).await.is_none());
    assert_eq!(
        env.feed.clean(&seen, Duration::ZERO).await.expect("clean"),
        0
    );
    let mut late = scene.plan(60).await;
    late.prev.at = super::scene::at(0);
    late.nonce = nonce();
    let again = scene.send(&late).await;
    assert_eq!(again, sandclock_core::backend::Decided::Stale, "S2");
}
