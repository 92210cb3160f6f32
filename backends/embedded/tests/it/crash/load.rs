//! The load: a few jobs whose ticks are decided, run, ended and copied as fast as the store can, each
//! acknowledgement said on standard output.

#![expect(
    clippy::print_stdout,
    reason = "standard output is the pipe to the parent"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sandclock_backend_embedded::{Embedded, Mutant};
use sandclock_core::backend::{
    Coordination, Decided, DoneRecord, Ended, Mark, OutputChunk, Pinned, Precondition, RecordSeen,
    Records, RunHeader, SessionId, Settle, SettleAs, Settled, Versioned,
};
use sandclock_core::ports::{Channel, Redacted};
use sandclock_core::run::{RunKey, RunState};

use crate::scene::{at, config, due, end_of, job, mark, open_session, outcome, planned_job};

/// How many jobs run beside each other.
pub(super) const JOBS: u32 = 8;

/// Says that something was acknowledged.
fn say(what: &str, job: &str, number: u64) {
    println!("ack {what} {job} {number}");
}

fn say_tick(what: &str, job: &str, key: &RunKey) {
    let at = key.fire_time().expect("a tick").as_millis();
    say(what, job, u64::try_from(at).expect("after 1970"));
}

/// Works until the process is killed.
pub(super) async fn run(path: &Path, early: bool) {
    println!("opening");
    let store = match early {
        false => Embedded::open(config(path)),
        true => Embedded::open_with_mutant(&config(path), Mutant::AnswerBeforeCommit),
    };
    let store = store.expect("open");
    println!("open");
    let (jobs, log) = (store.coordination(), store.records());
    let session = open_session(&jobs).await;
    recover(&jobs, &log).await;
    let lanes = (0..JOBS).map(|n| lane(&jobs, &log, &session, format!("job-{n}")));
    join_all(lanes).await;
}

/// What a life of the load leaves behind: runs without an owner, and ends that are not copied.
async fn recover(jobs: &Coordination, log: &Records) {
    let (view, _) = jobs.feed.snapshot().await.expect("snapshot");
    for open in view.open {
        let settle = Settle {
            record: RecordSeen {
                job: open.value.job.clone(),
                key: open.value.key.clone(),
                version: open.version,
            },
            how: SettleAs::Lost(outcome(RunState::Lost)),
            killed: outcome(RunState::Killed),
            pinned: None,
            worker: "w".to_owned(),
        };
        match jobs.fires.settle(&settle).await.expect("settle") {
            Settled::Done(done) => {
                say_tick("over", done.value.job.as_str(), &done.value.key);
                copy(jobs, log, &done).await;
            }
            other => panic!("not settled: {other:?}"),
        }
    }
    for done in view.done {
        copy(jobs, log, &done).await;
    }
}

/// Puts an end into the run log, then removes it from the store.
async fn copy(jobs: &Coordination, log: &Records, done: &Versioned<DoneRecord>) {
    let record = &done.value;
    log.sink.finish(record).await.expect("finish");
    say_tick("logged", record.job.as_str(), &record.key);
    let seen = RecordSeen {
        job: record.job.clone(),
        key: record.key.clone(),
        version: done.version,
    };
    assert_eq!(
        jobs.feed
            .clean(&[seen], Duration::ZERO)
            .await
            .expect("clean"),
        1
    );
    say_tick("cleaned", record.job.as_str(), &record.key);
}

/// The job as it is, or anew.
async fn known_job(jobs: &Coordination, name: &str) -> (Pinned, Mark) {
    let (view, _) = jobs.feed.snapshot().await.expect("snapshot");
    let known = view.marks.iter().find(|(job, _)| job.as_str() == name);
    let Some((_, mark_there)) = known else {
        return (planned_job(jobs, name).await, mark(0));
    };
    let stored = jobs.jobs.get(&job(name).name).await.expect("get");
    let stored = stored.expect("a job with a mark");
    let pinned = Pinned {
        job: stored.job,
        version: stored.version,
    };
    (pinned, mark_there.value)
}

/// One tick after the other, and now and then a change of the job.
async fn lane(jobs: &Coordination, log: &Records, session: &SessionId, name: String) {
    let (mut pinned, mut mark) = known_job(jobs, &name).await;
    say("put", &name, pinned.version.0);
    loop {
        let key = RunKey::Tick(mark.at.plus(Duration::from_secs(1)));
        let nonce = u128::from(pinned.version.0);
        let due = due(&pinned, mark, nonce);
        let decided = jobs.fires.decide(session, &[due]).await.expect("decide");
        let [Decided::Held { fence, .. }] = decided.as_slice() else {
            panic!("not held: {decided:?}");
        };
        say_tick("held", &name, &key);
        say("fence", &name, fence.get());
        output(log, &pinned, &key, *fence).await;

        let ended = jobs.fires.end(&end_of(&pinned, key.clone(), *fence)).await;
        let Ended::Done(done) = ended.expect("end") else {
            panic!("not ended");
        };
        say_tick("over", &name, &key);
        copy(jobs, log, &done).await;
        mark.at = key.fire_time().expect("a tick");
        mark.streak = done.value.streak;

        if mark.at.since(at(0)).as_secs().is_multiple_of(4) {
            let mut edited = (*pinned.job).clone();
            edited.description = key.to_string();
            let put = jobs
                .jobs
                .put(&edited, Precondition::Matches(pinned.version));
            let version = put.await.expect("put").version;
            say("put", &name, version.0);
            pinned = Pinned {
                job: Arc::new(edited),
                version,
            };
        }
    }
}

async fn output(
    log: &Records,
    pinned: &Pinned,
    key: &RunKey,
    fence: sandclock_core::backend::Fence,
) {
    let run = sandclock_core::run::RunId::of(&pinned.job.name, key);
    let header = RunHeader {
        id: run.clone(),
        job: pinned.job.name.clone(),
        key: key.clone(),
        state: RunState::Running,
        attempt: 1,
        worker: "w".to_owned(),
        started_at: at(1),
        next_attempt_at: None,
        cause: String::new(),
    };
    log.sink.begin(&header, fence).await.expect("begin");
    let chunk = OutputChunk {
        seq: 0,
        channel: Channel::Combined,
        offset: 0,
        bytes: Redacted::vouch(key.to_string().into()),
    };
    log.sink
        .append(&run, 1, &[chunk], None)
        .await
        .expect("append");
    say_tick("output", pinned.job.name.as_str(), key);
}
