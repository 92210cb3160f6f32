//! The claim protocol's writes: each call is some steps of core, with what the caller says it saw.
//!
//! | call | known beforehand, so that one request does |
//! |---|---|
//! | decide | the mark's value and the job's version, as the planner saw them; no kill; no open run if none is known |
//! | end | the open record and the mark, as this process wrote or saw them last; no kill |
//! | others | nothing: they are rare, and read first |

use std::borrow::Cow;
use std::collections::BTreeSet;

use async_trait::async_trait;
use sandclock_core::backend::protocol::{self, Step};
use sandclock_core::backend::{
    Adopt, Adopted, Decide, Decided, End, Ended, Fence, Fires, Pinned, RecordSeen, Request, Result,
    SessionId, Settle, SettleAs, Settled, Take, TakeFrom, Taken, Triggered, Version,
};
use sandclock_core::error::WithSources;
use sandclock_core::job::JobName;
use sandclock_core::run::{Outcome, RunId, RunKey};
use sandclock_core::{BackendError, ErrorKind, stored};

use crate::carry::REQUEST_BYTES;
use crate::facts::{Known, Lens, Question, Seen};
use crate::keys::Key;
use crate::locks;
use crate::places::Place;
use crate::plan::Item;
use crate::store::Store;

/// How many older waiting ticks one take can replace; etcd takes 128 operations in a transaction. More are
/// recorded before, and the caller looks again.
const REPLACED: usize = 40;

/// What a record takes beside the job's definition, at most.
const RECORD_BYTES: usize = 4 << 10;

/// The same for ticks of this job, of which each record carries the definition.
fn replaced_at_once(pinned: &Pinned) -> usize {
    let record = stored::encode(&*pinned.job).map_or(REQUEST_BYTES, |job| job.len() + RECORD_BYTES);
    // What runs is one more record, and may stand in two branches.
    (REQUEST_BYTES / record).saturating_sub(2).min(REPLACED)
}

impl Store {
    /// A step of a job that reads these keys if it must.
    fn item<'a, T>(
        job: &'a JobName,
        around: Vec<Key>,
        step: impl Fn(&Lens<'_>, Version) -> Result<Step<T>> + Send + Sync + 'a,
    ) -> Item<'a, T> {
        Item {
            job,
            step: Box::new(step),
            around,
            known: Known::new(),
            guessed: false,
            unlikely: BTreeSet::new(),
            lease: 0,
            beside_go: false,
        }
    }

    async fn one<T: PartialEq + Send>(
        &self,
        op: &'static str,
        session: Option<&SessionId>,
        item: Item<'_, T>,
    ) -> Result<T> {
        let answer = self.carry_out(op, session, vec![item]).await?.pop();
        answer.unwrap_or_else(|| Err(BackendError::new(op, ErrorKind::Unexpected)))
    }

    fn decide_one<'a>(
        &self,
        session: &'a SessionId,
        due: &'a Decide,
        lock: Option<i64>,
    ) -> Item<'a, Decided> {
        let (job, run) = (due.job(), RunKey::Tick(due.fire));
        let [go, apart] = self.keys.both(job);
        let mark = self.keys.mark(job);
        let kill = self.keys.kill(&RunId::of(job, &run));
        let open = self.keys.open(job, &run);
        let planned = Seen::At {
            version: due.pinned.version,
            value: Vec::new(),
        };
        let prev = Seen::Says(stored::mark_text(&due.prev).into_bytes());
        let known = match self.places.of(job) {
            Place::Go => [(go.clone(), planned), (apart.clone(), Seen::Absent)],
            Place::Apart => [(go.clone(), Seen::Absent), (apart.clone(), planned)],
        };
        let others = [(mark.clone(), prev), (kill.clone(), Seen::Absent)];
        let unlikely = match self.recall.any_open(&self.keys.open_of(job)) {
            true => BTreeSet::new(),
            false => [Question::AnyOpen].into(),
        };
        Item {
            known: known.into_iter().chain(others).collect(),
            unlikely,
            guessed: true,
            ..Self::item(job, vec![go, apart, mark, open, kill], move |facts, at| {
                locks::decide(facts, session, due, at)
            })
            .locking(lock)
        }
    }

    pub(crate) fn end_one<'a>(&self, end: &'a End) -> Item<'a, Ended> {
        let run = RunId::of(&end.job, &end.key);
        let open = self.keys.open(&end.job, &end.key);
        let mark = self.keys.mark(&end.job);
        let kill = self.keys.kill(&run);
        let done = self.keys.done(&end.job, &end.key);
        let around = vec![open.clone(), mark.clone(), kill.clone(), done];
        let item = Self::item(&end.job, around, move |facts, at| {
            protocol::end(facts, end, at)
        });
        match (self.recall.at(&open), self.recall.at(&mark)) {
            (Some(held), Some(last)) if is_at(&held, end.fence) => Item {
                known: [(open, held), (mark, last), (kill, Seen::Absent)].into(),
                guessed: true,
                ..item
            },
            _ => item,
        }
    }

    /// The lease that a lock would hang on; `None` where no Go workers share the jobs, so that none is taken.
    ///
    /// # Errors
    /// `SessionLost` if the session is gone.
    async fn lock_lease(&self, op: &'static str, session: &SessionId) -> Result<Option<i64>> {
        if !self.beside.share_jobs() {
            return Ok(None);
        }
        let lease = self.lease_of(op, session).await?;
        let lost = || BackendError::new(op, ErrorKind::SessionLost).context(session);
        lease.ok_or_else(lost).map(Some)
    }

    fn around_run(&self, job: &JobName, run: &RunKey) -> Vec<Key> {
        vec![
            self.keys.open(job, run),
            self.keys.wait(job, run),
            self.keys.mark(job),
            self.keys.kill(&RunId::of(job, run)),
        ]
    }

    /// Records the older ticks that one take is too small for, one by one, oldest first.
    async fn replace_first(
        &self,
        take: &Take,
        pinned: &Pinned,
        skip: &[(RecordSeen, Outcome)],
    ) -> Result<Taken> {
        for (record, outcome) in skip {
            let settle = Settle {
                record: record.clone(),
                how: SettleAs::Drop {
                    outcome: outcome.clone(),
                    job: Some(pinned.version),
                },
                killed: outcome.clone(),
                pinned: Some(pinned.clone()),
                worker: take.worker.clone(),
            };
            self.settle(&settle).await?;
        }
        Ok(Taken::Stale)
    }
}

/// Whether this is the record that a fence stands for.
fn is_at(seen: &Seen, fence: Fence) -> bool {
    matches!(seen, Seen::At { version, .. } if Fence::at(*version) == fence)
}

#[async_trait]
impl Fires for Store {
    async fn decide(&self, session: &SessionId, due: &[Decide]) -> Result<Vec<Decided>> {
        protocol::check_batch(due)?;
        let lock = self.lock_lease("fires.decide", session).await?;
        let due: Cow<'_, [Decide]> = match lock {
            Some(_) => due
                .iter()
                .map(|due| locks::shared(&self.beside, due))
                .collect(),
            None => Cow::Borrowed(due),
        };
        let items = due
            .iter()
            .map(|due| self.decide_one(session, due, lock))
            .collect();
        let answers = self.carry_out("fires.decide", Some(session), items).await?;
        let decided = due.iter().zip(answers).map(|(due, answer)| {
            answer.unwrap_or_else(|error| {
                // It is planned again, and hinders no other job that is due with it.
                let error = WithSources(&error);
                tracing::warn!(job = %due.job(), tick = %due.fire, %error, "a tick cannot be decided");
                Decided::Stale
            })
        });
        Ok(decided.collect())
    }

    async fn adopt(&self, adopt: &Adopt) -> Result<Adopted> {
        let job = &adopt.pinned.job.name;
        let [go, apart] = self.keys.both(job);
        let around = vec![go, apart, self.keys.mark(job)];
        let step = |facts: &Lens<'_>, at| protocol::adopt(facts, adopt, at);
        let item = Self::item(job, around, step);
        self.one("fires.adopt", None, item).await
    }

    async fn take(&self, session: &SessionId, take: &Take) -> Result<Taken> {
        let lock = self.lock_lease("fires.take", session).await?;
        let take = &*match lock {
            Some(_) => Cow::Owned(locks::exclusive_take(take)),
            None => Cow::Borrowed(take),
        };
        let seen = &take.record;
        let mut around = self.around_run(&seen.job, &seen.key);
        if let TakeFrom::Wait { pinned, skip, .. } = &take.from {
            let surplus = skip.len().saturating_sub(replaced_at_once(pinned));
            if let Some((surplus, _)) = skip.split_at_checked(surplus)
                && !surplus.is_empty()
            {
                return self.replace_first(take, pinned, surplus).await;
            }
            around.extend(self.keys.both(&seen.job));
            around.extend(
                skip.iter()
                    .map(|(older, _)| self.keys.wait(&older.job, &older.key)),
            );
        }
        let step = |facts: &Lens<'_>, at| locks::take(facts, session, take, at);
        let item = Self::item(&seen.job, around, step).locking(lock);
        self.one("fires.take", Some(session), item).await
    }

    async fn end(&self, end: &End) -> Result<Ended> {
        self.end_together(end).await
    }

    async fn rebind(
        &self,
        session: &SessionId,
        job: &JobName,
        key: &RunKey,
        fence: Fence,
    ) -> Result<Option<Fence>> {
        let around = vec![self.keys.open(job, key)];
        let step = |facts: &Lens<'_>, at| locks::rebind(facts, session, job, key, fence, at);
        let lock = self.lock_lease("fires.rebind", session).await?;
        let item = Self::item(job, around, step).locking(lock);
        self.one("fires.rebind", Some(session), item).await
    }

    async fn settle(&self, settle: &Settle) -> Result<Settled> {
        let seen = &settle.record;
        let around = self.around_run(&seen.job, &seen.key);
        let step = |facts: &Lens<'_>, at| protocol::settle(facts, settle, at);
        let item = Self::item(&seen.job, around, step);
        self.one("fires.settle", None, item).await
    }

    async fn trigger(&self, job: &JobName, request: &Request) -> Result<Triggered> {
        const OP: &str = "fires.trigger";
        let [go, apart] = self.keys.both(job);
        let (asked, side) = (self.keys.request(job, &request.id), self.keys.side(job));
        let around = vec![asked, go, apart, side];
        let step = |facts: &Lens<'_>, _| protocol::trigger(facts, job, request);
        let lease = self.requests.take(&self.client, OP).await?;
        let item = Item {
            lease,
            ..Self::item(job, around, step)
        };
        let triggered = self.one(OP, None, item).await;
        self.requests.checked(lease, triggered).await
    }
}
