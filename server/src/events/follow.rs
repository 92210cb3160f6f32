//! The watches, and what is told of what they say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use sandclock_core::ErrorKind;
use sandclock_core::backend::{
    Coordination, Cursor, DoneRecord, FireEvent, JobEvent, OpenRecord, OpenState, Result,
    SessionEvent, SessionId,
};
use sandclock_core::job::JobName;
use sandclock_core::run::RunKey;
use tokio::sync::watch;
use tokio::time::sleep;

use super::{ChangeDto, Changes, RESYNC};

const JOBS: u8 = 1;
const RUNS: u8 = 2;
const WORKERS: u8 = 4;
/// All watches.
pub(super) const ALL: u8 = JOBS | RUNS | WORKERS;

/// How long to wait before a watch that has ended begins again.
const PAUSE: Duration = Duration::from_millis(500);

/// Who watches the stores and tells what they say.
pub(super) struct Follower {
    pub(super) coordination: Coordination,
    pub(super) changes: Arc<Changes>,
    pub(super) standing: Arc<watch::Sender<u8>>,
}

impl Follower {
    /// Follows the jobs for ever.
    pub(super) async fn jobs(self) {
        let mut cursor = None;
        loop {
            let ended = self.jobs_once(&mut cursor).await;
            self.pause(ended, &mut cursor).await;
        }
    }

    /// Follows the runs for ever.
    pub(super) async fn runs(self) {
        let mut cursor = None;
        loop {
            let ended = self.runs_once(&mut cursor).await;
            self.pause(ended, &mut cursor).await;
        }
    }

    /// Follows the workers for ever.
    pub(super) async fn workers(self) {
        let mut known = None;
        loop {
            let ended = self.workers_once(&mut known).await;
            // There is no cursor: each watch begins with all that live.
            self.pause(ended, &mut None).await;
        }
    }

    async fn pause(&self, ended: Result<()>, cursor: &mut Option<Cursor>) {
        if let Err(error) = ended {
            tracing::debug!(%error, "a watch for clients has ended");
            if error.kind == ErrorKind::CursorExpired {
                *cursor = None;
            }
        }
        sleep(PAUSE).await;
    }

    /// A watch stands from this cursor on. If it has stood before and its history was gone, everybody is told, now and not
    /// earlier: what clients read again must be as new as the watch.
    fn stands(&self, watch: u8, had: &mut Option<Cursor>, from: Cursor) {
        let stood = *self.standing.borrow() & watch != 0;
        if had.replace(from).is_none() && stood {
            self.tell(RESYNC, None, ChangeDto::default());
        }
        self.standing.send_modify(|standing| *standing |= watch);
    }

    fn tell(&self, kind: &'static str, job: Option<JobName>, said: ChangeDto) {
        self.changes.tell(kind, job, said);
    }

    async fn jobs_once(&self, cursor: &mut Option<Cursor>) -> Result<()> {
        let jobs = &self.coordination.jobs;
        let from = match cursor.clone() {
            Some(from) => from,
            None => jobs.snapshot().await?.cursor,
        };
        let mut watch = jobs.watch(from.clone()).await?;
        self.stands(JOBS, cursor, from);
        while let Some(event) = watch.next().await {
            let (at, event) = event?;
            self.tell_job(event);
            *cursor = Some(at);
        }
        Ok(())
    }

    fn tell_job(&self, event: JobEvent) {
        let at = |version: u64| ChangeDto {
            version: Some(version),
            ..ChangeDto::default()
        };
        match event {
            JobEvent::Put(stored) => {
                let name = stored.job.name.clone();
                self.tell("job.saved", Some(name), at(stored.version.0));
            }
            JobEvent::Broken(broken) => {
                let said = ChangeDto {
                    cause: Some(broken.reason),
                    ..at(broken.version.0)
                };
                self.tell("job.broken", Some(broken.name), said);
            }
            JobEvent::Deleted(name, version) => {
                self.tell("job.deleted", Some(name), at(version.0));
            }
            JobEvent::Progress => {}
        }
    }

    async fn runs_once(&self, cursor: &mut Option<Cursor>) -> Result<()> {
        let feed = &self.coordination.feed;
        let from = match cursor.clone() {
            Some(from) => from,
            None => feed.snapshot().await?.1,
        };
        let mut watch = feed.watch(from.clone()).await?;
        self.stands(RUNS, cursor, from);
        while let Some(event) = watch.next().await {
            let (at, event) = event?;
            match event {
                FireEvent::Wait(seen) => {
                    let wait = seen.value;
                    let run = sandclock_core::run::RunId::of(&wait.job, &wait.key);
                    let said = of_run(run.to_string(), &wait.key);
                    let cause = Some(wait.cause);
                    self.tell("run.queued", Some(wait.job), ChangeDto { cause, ..said });
                }
                FireEvent::Open(seen) => self.tell_open(seen.value),
                FireEvent::Done(seen) => self.tell_done(seen.value),
                _ => {}
            }
            *cursor = Some(at);
        }
        Ok(())
    }

    fn tell_open(&self, open: OpenRecord) {
        let said = ChangeDto {
            attempt: Some(open.attempt),
            ..of_run(open.run().to_string(), &open.key)
        };
        match open.state {
            OpenState::Claimed { worker, .. } => {
                let worker = Some(worker);
                self.tell("run.claimed", Some(open.job), ChangeDto { worker, ..said });
            }
            OpenState::Waiting { .. } => self.tell("run.queued", Some(open.job), said),
        }
    }

    fn tell_done(&self, done: DoneRecord) {
        let said = ChangeDto {
            attempt: Some(done.attempts),
            state: Some(done.outcome.state.to_string()),
            worker: Some(done.worker.clone()).filter(|worker| !worker.is_empty()),
            cause: Some(done.outcome.cause.clone()),
            ..of_run(done.run().to_string(), &done.key)
        };
        self.tell("run.ended", Some(done.job), said);
    }

    async fn workers_once(&self, known: &mut Option<Workers>) -> Result<()> {
        let mut live = self.coordination.sessions.live().await?;
        // What a watch begins with is news only of a fleet that was known before.
        let (mut seen, mut synced) = (Workers::new(), false);
        while let Some(event) = live.next().await {
            match event? {
                SessionEvent::Live(id, info) => {
                    let now = (info.name, info.draining);
                    if synced {
                        self.tell_worker(&id, &now, known.as_ref().and_then(|it| it.get(&id)));
                        known.get_or_insert_default().insert(id, now);
                    } else {
                        seen.insert(id, now);
                    }
                }
                SessionEvent::Gone(id) => {
                    seen.remove(&id);
                    let gone = known.as_mut().filter(|_| synced);
                    if let Some((name, _)) = gone.and_then(|known| known.remove(&id)) {
                        self.tell("worker.went", None, of_worker(&id, &name));
                    }
                }
                SessionEvent::DrainAsked(_) => {}
                SessionEvent::Synced => {
                    let now = std::mem::take(&mut seen);
                    if let Some(before) = known.take() {
                        for (id, worker) in &now {
                            self.tell_worker(id, worker, before.get(id));
                        }
                        let gone = before.iter().filter(|(id, _)| !now.contains_key(id));
                        for (id, (name, _)) in gone {
                            self.tell("worker.went", None, of_worker(id, name));
                        }
                    }
                    *known = Some(now);
                    synced = true;
                    self.standing.send_modify(|standing| *standing |= WORKERS);
                }
            }
        }
        Ok(())
    }

    fn tell_worker(&self, id: &SessionId, now: &(String, bool), before: Option<&(String, bool)>) {
        let (name, draining) = now;
        if before.is_none() {
            self.tell("worker.came", None, of_worker(id, name));
        }
        if *draining && before.is_none_or(|(_, before)| !before) {
            self.tell("worker.draining", None, of_worker(id, name));
        }
    }
}

/// Names of workers, and whether they drain.
type Workers = BTreeMap<SessionId, (String, bool)>;

fn of_run(run: String, key: &RunKey) -> ChangeDto {
    ChangeDto {
        run: Some(run),
        fire_time: key.scheduled_for().map(|at| at.to_string()),
        ..ChangeDto::default()
    }
}

fn of_worker(id: &SessionId, name: &str) -> ChangeDto {
    ChangeDto {
        id: Some(id.to_string()),
        worker: Some(name.to_owned()),
        ..ChangeDto::default()
    }
}
