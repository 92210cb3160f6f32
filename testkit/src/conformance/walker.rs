//! One side of a walk in lockstep: a store, and workers that do what dice say.
//!
//! What a step asks follows from the dice and from what the store holds, but for versions and session ids;
//! so two sides that hold the same ask the same.

use std::sync::Arc;
use std::time::Duration;

use sandclock_core::backend::{
    Adopt, Adopted, Decide, DecideFate, Decided, End, EndHow, Ended, Fence, Generation, Kill, Mark,
    Nonce, Pinned, Precondition, RecordSeen, Request, SessionId, Settle, SettleAs, Settled, Span,
    StoredJob, Take, TakeFrom, Taken, Version, Versioned,
};
use sandclock_core::job::JobName;
use sandclock_core::policy::ConcurrencyPolicy::{Allow, Forbid, Queue, Replace};
use sandclock_core::policy::Streak;
use sandclock_core::run::{RunId, RunKey, RunState};

use super::CoordinationEnv;
use super::lockstep::Dice;
use super::plain::{answer, plain, plain_done, plain_open};
use super::scene::{LONG, at, ended, job, open_session, view};

const JOBS: [&str; 3] = ["a", "b/c", "d"];
const WORKERS: [&str; 2] = ["worker-1", "worker-2"];
const TICK: Duration = Duration::from_secs(60);

/// One side: a store, and the sessions its workers have now.
pub(super) struct Side {
    pub(super) env: CoordinationEnv,
    sessions: Vec<SessionId>,
    last: Option<(usize, Decide)>,
}

/// A version that is not the record's, if the step is to come too late.
fn aged(version: Version, late: bool) -> Version {
    Version(version.0 - u64::from(late))
}

impl Side {
    pub(super) async fn new(env: CoordinationEnv) -> Self {
        let mut sessions = Vec::new();
        for worker in WORKERS {
            sessions.push(open_session(&env, worker).await);
        }
        Self {
            env,
            sessions,
            last: None,
        }
    }

    async fn job(&self, dice: &mut Dice) -> (StoredJob, Pinned) {
        let name = job(JOBS[dice.below(JOBS.len())], Forbid).name;
        let stored = self.env.jobs.get(&name).await.expect("get");
        // A job that is not there, as one sees it whose catalogue lags.
        let stored = stored.unwrap_or_else(|| StoredJob {
            job: job(name.as_str(), Forbid).into(),
            version: Version(0),
            created: Version(0),
        });
        let pinned = Pinned {
            job: Arc::clone(&stored.job),
            version: stored.version,
        };
        (stored, pinned)
    }

    /// The job's mark; at version 0 if it has none.
    async fn mark(&self, job: &JobName) -> Versioned<Mark> {
        let marks = view(&self.env).await.marks;
        let mark = marks.into_iter().find(|(name, _)| name == job);
        let none = Versioned {
            version: Version(0),
            value: Mark {
                at: at(0),
                generation: Generation(0),
                streak: Streak::default(),
            },
        };
        mark.map_or(none, |(_, mark)| mark)
    }

    /// Takes the step that the dice say; returns what it was and what the store answered.
    pub(super) async fn step(&mut self, dice: &mut Dice, number: usize) -> String {
        let worker = dice.below(WORKERS.len());
        let late = dice.once_in(8);
        match dice.below(16) {
            0 => self.save(dice, number).await,
            1 => self.restart(dice, worker).await,
            2..=5 => self.decide(dice, worker, number).await,
            6 => self.repeat().await,
            7 => self.adopt(dice, late, number).await,
            8 | 9 => self.take(dice, worker, late, number).await,
            10 | 11 => self.end(dice, worker, late).await,
            12 => self.settle(dice, worker, late).await,
            13 => self.trigger(dice).await,
            14 => self.kill(dice).await,
            _ => self.clean(dice, late).await,
        }
    }

    async fn save(&self, dice: &mut Dice, number: usize) -> String {
        let policy = [Forbid, Allow, Queue, Replace][dice.below(4)];
        let mut job = job(JOBS[dice.below(JOBS.len())], policy);
        job.description = format!("as of {number}");
        if dice.once_in(8) {
            let deleted = self.env.jobs.delete(&job.name, Precondition::Any).await;
            return format!("delete {}: {}", job.name, answer(deleted, plain));
        }
        let put = self.env.jobs.put(&job, Precondition::Any).await;
        format!("put {}: {}", job.name, answer(put, |_| "done".to_owned()))
    }

    async fn restart(&mut self, dice: &mut Dice, worker: usize) -> String {
        let old = &self.sessions[worker];
        if dice.once_in(2) {
            self.env.powers.expire(old).await;
        } else {
            self.env.sessions.close(old).await.expect("close");
        }
        if !dice.once_in(12) {
            self.sessions[worker] = open_session(&self.env, WORKERS[worker]).await;
        }
        format!("restart {}", WORKERS[worker])
    }

    async fn decide(&mut self, dice: &mut Dice, worker: usize, number: usize) -> String {
        let (stored, pinned) = self.job(dice).await;
        let prev = self.mark(&stored.job.name).await.value;
        let fire = prev.at.plus(TICK);
        let passed = dice.once_in(4).then(|| {
            let span = Span {
                first: prev.at.plus(Duration::from_secs(10)),
                last: prev.at.plus(Duration::from_secs(50)),
                count: 5,
            };
            (span, ended(RunState::Missed))
        });
        let fate = if dice.once_in(6) {
            DecideFate::Record(ended(RunState::Missed))
        } else {
            DecideFate::Run {
                policy: stored.job.concurrency,
                busy: ended(RunState::Skipped),
                in_turn: dice.once_in(3),
            }
        };
        let due = Decide {
            pinned,
            prev,
            fire,
            passed,
            fate,
            worker: WORKERS[worker].to_owned(),
            nonce: Nonce(number as u128),
        };
        self.last = Some((worker, due));
        format!("decide: {}", self.repeat().await)
    }

    /// Sends the last decide (again).
    async fn repeat(&self) -> String {
        let Some((worker, due)) = &self.last else {
            return "nothing to repeat".to_owned();
        };
        let session = &self.sessions[*worker];
        let decided = self.env.fires.decide(session, std::slice::from_ref(due));
        let decided = answer(decided.await, |answers| match &answers[..] {
            [Decided::Held { kill, .. }] => format!("held {kill:?}"),
            other => plain(other),
        });
        format!("{} at {}: {decided}", due.job(), due.fire)
    }

    async fn adopt(&self, dice: &mut Dice, late: bool, number: usize) -> String {
        let (stored, pinned) = self.job(dice).await;
        let mark = self.mark(&stored.job.name).await;
        let adopt = Adopt {
            pinned,
            seen: (mark.version > Version(0)).then(|| aged(mark.version, late)),
            to: at(i64::try_from(dice.below(600)).expect("small")),
            generation: Generation(number as u64),
            owed: None,
            worker: WORKERS[0].to_owned(),
        };
        let adopted = answer(
            self.env.fires.adopt(&adopt).await,
            |adopted| match adopted {
                Adopted::Done(mark) => plain(mark.value),
                Adopted::Stale => "stale".to_owned(),
            },
        );
        format!("adopt {}: {adopted}", stored.job.name)
    }

    /// Some run that is open or waits, with its version and how it would be claimed.
    async fn record(&self, dice: &mut Dice, late: bool) -> Option<(RecordSeen, bool)> {
        let view = view(&self.env).await;
        let open = view.open.into_iter();
        let open = open.map(|o| (o.value.job, o.value.key, o.version, true));
        let wait = view.wait.into_iter();
        let wait = wait.map(|w| (w.value.job, w.value.key, w.version, false));
        let mut all: Vec<_> = open.chain(wait).collect();
        all.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        let (job, key, version, is_open) = dice.pick(&all)?;
        let version = aged(version, late);
        Some((RecordSeen { job, key, version }, is_open))
    }

    async fn take(&self, dice: &mut Dice, worker: usize, late: bool, number: usize) -> String {
        let Some((record, is_open)) = self.record(dice, late).await else {
            return "nothing to take".to_owned();
        };
        let stored = self.env.jobs.get(&record.job).await.expect("get");
        let from = match stored {
            Some(stored) if !is_open => TakeFrom::Wait {
                exclusive: stored.job.concurrency.is_exclusive(),
                pinned: Pinned {
                    job: stored.job,
                    version: stored.version,
                },
                skip: Vec::new(),
            },
            _ => TakeFrom::Open,
        };
        let take = Take {
            record,
            from,
            worker: WORKERS[worker].to_owned(),
            nonce: Nonce(number as u128),
        };
        let taken = self.env.fires.take(&self.sessions[worker], &take).await;
        let taken = answer(taken, |taken| match taken {
            Taken::Held { record, kill, .. } => format!("held {} {kill:?}", plain_open(&record)),
            other => plain(other),
        });
        format!("take {} {}: {taken}", take.record.job, take.record.key)
    }

    async fn end(&self, dice: &mut Dice, worker: usize, late: bool) -> String {
        let Some((record, _)) = self.record(dice, late).await else {
            return "nothing to end".to_owned();
        };
        let killed = ended(RunState::Killed);
        let how = match dice.below(4) {
            0 => EndHow::Terminal(ended(RunState::Succeeded)),
            1 => EndHow::Terminal(ended(RunState::Failed)),
            2 => EndHow::Retry {
                not_before: at(5),
                exclude: Some(WORKERS[worker].to_owned()),
                killed,
            },
            _ => EndHow::HandBack { killed },
        };
        let end = End {
            job: record.job,
            key: record.key,
            fence: Fence::at(record.version),
            how,
            worker: WORKERS[worker].to_owned(),
        };
        let answer = answer(self.env.fires.end(&end).await, |ended| match ended {
            Ended::Done(done) => plain_done(&done.value),
            other => plain(other),
        });
        format!("end {} {}: {answer}", end.job, end.key)
    }

    async fn job_version(&self, name: &JobName) -> Option<Version> {
        let stored = self.env.jobs.get(name).await.expect("get");
        stored.map(|stored| stored.version)
    }

    async fn settle(&self, dice: &mut Dice, worker: usize, late: bool) -> String {
        let Some((record, _)) = self.record(dice, late).await else {
            return "nothing to settle".to_owned();
        };
        let how = match dice.below(4) {
            0 => SettleAs::Lost(ended(RunState::Lost)),
            1 => SettleAs::Rerun { not_before: at(6) },
            2 => SettleAs::IfKilled,
            _ => SettleAs::Drop {
                outcome: ended(RunState::Skipped),
                job: match dice.below(2) {
                    0 => None,
                    _ => self.job_version(&record.job).await,
                },
            },
        };
        let settle = Settle {
            record,
            how,
            killed: ended(RunState::Killed),
            pinned: None,
            worker: WORKERS[worker].to_owned(),
        };
        let settled = answer(
            self.env.fires.settle(&settle).await,
            |settled| match settled {
                Settled::Done(done) => plain_done(&done.value),
                other => plain(other),
            },
        );
        let RecordSeen { job, key, .. } = &settle.record;
        format!("settle {job} {key}: {settled}")
    }

    async fn trigger(&self, dice: &mut Dice) -> String {
        let (stored, _) = self.job(dice).await;
        let request = Request {
            id: format!("request-{}", dice.below(40)),
            by: "ann".to_owned(),
            refuse_if_busy: dice.once_in(4),
        };
        let name = &stored.job.name;
        let triggered = self.env.fires.trigger(name, &request).await;
        format!(
            "trigger {name} {}: {}",
            request.id,
            answer(triggered, plain)
        )
    }

    /// Kills a run that has a record, or one that is yet to be decided.
    async fn kill(&self, dice: &mut Dice) -> String {
        let record = self.record(dice, false).await;
        let run = match record.filter(|_| !dice.once_in(3)) {
            Some((record, _)) => record.run(),
            None => {
                let (stored, _) = self.job(dice).await;
                let mark = self.mark(&stored.job.name).await;
                let next = RunKey::Tick(mark.value.at.plus(TICK));
                RunId::of(&stored.job.name, &next)
            }
        };
        let kill = Kill {
            run,
            by: "ann".to_owned(),
            why: "it hangs".to_owned(),
        };
        self.env.kills.send(&kill, LONG).await.expect("kill");
        format!("kill {}", kill.run)
    }

    async fn clean(&self, dice: &mut Dice, late: bool) -> String {
        let done = view(&self.env).await.done;
        let mut all: Vec<(_, RunKey, _)> = done
            .into_iter()
            .map(|done| (done.value.job, done.value.key, done.version))
            .collect();
        all.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        let Some((job, key, version)) = dice.pick(&all) else {
            return "nothing to clean".to_owned();
        };
        let version = aged(version, late);
        let seen = [RecordSeen { job, key, version }];
        let cleaned = self.env.feed.clean(&seen, Duration::ZERO).await;
        format!(
            "clean {} {}: {}",
            seen[0].job,
            seen[0].key,
            answer(cleaned, plain)
        )
    }
}
