//! What a step of the protocol is told of the store, and what must still hold when its changes are written.
//!
//! The steps are core's; they ask for facts. Here a fact is what was read of a key, or what the caller says it
//! saw. Every key that a step has asked for becomes a guard of the transaction, so that it is applied only to
//! a store of which the facts are true. A guard compares the number of the key's last change, which no key
//! ever has twice, so that a guard which has failed fails for ever; absence alone can come back.
//!
//! Two questions are not about one key: whether any run of the job is open, and whether any tick waits. They
//! become branches of the transaction (see [`plan`](crate::plan)), unless a no is likely enough to be one more guard.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use etcd_client::{Compare, CompareOp, KeyValue};
use sandclock_core::backend::protocol::Facts;
use sandclock_core::backend::{
    DoneRecord, Kill, Mark, OpenRecord, Result, SessionId, Version, Versioned, WaitRecord,
};
use sandclock_core::go::{GoDefaults, GoJob, GoJobError};
use sandclock_core::job::JobName;
use sandclock_core::policy::ConcurrencyPolicy;
use sandclock_core::run::{RunId, RunKey};
use sandclock_core::stored::{self, Stored};
use sandclock_core::{BackendError, ErrorKind};

use crate::guard::{Guard, Guards};
use crate::keys::{Key, Keys, Range};
use crate::kills;
use crate::locks;
use crate::places::too_large;
use crate::watch::version;

/// What is known of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing stands there.
    Absent,
    /// This stood there, since this version.
    At { version: Version, value: Vec<u8> },
    /// This stood there; nobody says since when.
    Says(Vec<u8>),
}

impl Seen {
    /// What a read of the key has found.
    pub(crate) fn read(found: Option<&KeyValue>) -> Self {
        found.map_or(Self::Absent, |kv| Self::At {
            version: version(kv.mod_revision()),
            value: kv.value().to_vec(),
        })
    }

    /// That it is still so.
    pub(crate) fn guard(&self, key: Key) -> Compare {
        match self {
            Self::Absent => absent(key),
            Self::At { version, .. } => unchanged(key, *version),
            Self::Says(value) => Compare::value(key, CompareOp::Equal, value.clone()),
        }
    }

    /// The version and the bytes, if anything stands there.
    pub(crate) fn value(&self) -> Option<(Version, &[u8])> {
        match self {
            Self::Absent => None,
            Self::At { version, value } => Some((*version, value)),
            Self::Says(value) => Some((Version(0), value)),
        }
    }
}

/// That a key has not changed since a version. etcd gives an absent key the number 0, which nobody has seen
/// anything at: that is never so.
pub(crate) fn unchanged(key: Key, version: Version) -> Compare {
    match i64::try_from(version.0) {
        Ok(revision) if revision > 0 => Compare::mod_revision(key, CompareOp::Equal, revision),
        _ => Compare::version(key, CompareOp::Less, 0),
    }
}

/// That something stands at a key, whatever it is.
pub(crate) fn present(key: Key) -> Compare {
    Compare::create_revision(key, CompareOp::Greater, 0)
}

/// That nothing stands at a key.
pub(crate) fn absent(key: Key) -> Compare {
    Compare::create_revision(key, CompareOp::Equal, 0)
}

/// What is known of some keys.
pub(crate) type Known = BTreeMap<Key, Seen>;

/// A question about all records of a kind that a job has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Question {
    /// Whether a run is open.
    AnyOpen,
    /// Whether a tick waits.
    TickWaits,
    /// Whether anybody holds the Go fleet's lock of the job.
    Locked,
    /// Whether it is a Go worker, if somebody does.
    LockedByOther,
}

impl Question {
    /// The guard that a no is.
    pub(crate) fn guard(self) -> Guard {
        match self {
            Self::AnyOpen => Guard::Free,
            Self::TickWaits => Guard::NoneWaits,
            Self::Locked | Self::LockedByOther => Guard::Lock,
        }
    }

    /// What is so if the answer is no.
    pub(crate) fn denied(self, keys: &Keys, job: &JobName) -> Vec<Compare> {
        let none_in = |range: Range| absent(range.start).with_range(range.end);
        match self {
            Self::AnyOpen => vec![none_in(keys.open_of(job))],
            Self::TickWaits => vec![none_in(keys.waiting_ticks(job))],
            Self::Locked => vec![absent(keys.lock(job))],
            Self::LockedByOther => {
                let ours = Range::below(locks::OURS);
                let value = |than, of| Compare::value(keys.lock(job), than, of);
                vec![
                    value(CompareOp::Greater, ours.start),
                    value(CompareOp::Less, ours.end),
                ]
            }
        }
    }
}

/// Assumed answers.
pub(crate) type Assumed = BTreeMap<Question, bool>;

/// What a step asked for that nobody has told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Key(Key),
    Answer(Question),
}

/// What a step has asked for.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) keys: BTreeSet<Key>,
    pub(crate) answers: BTreeSet<Question>,
    pub(crate) missing: Option<Missing>,
}

/// The facts as one step sees them.
#[derive(Debug)]
pub(crate) struct Lens<'a> {
    pub(crate) keys: &'a Keys,
    pub(crate) defaults: &'a GoDefaults,
    pub(crate) guards: Guards,
    /// Whether Go workers share the jobs.
    pub(crate) beside_go: bool,
    /// The caller's session, which the transaction guards for all its parts.
    pub(crate) me: Option<&'a SessionId>,
    pub(crate) known: &'a Known,
    pub(crate) assumed: &'a Assumed,
    pub(crate) asked: RefCell<Asked>,
}

impl Lens<'_> {
    /// What is known of a key, which becomes a guard by being asked for.
    fn look(&self, key: Key) -> Result<&Seen> {
        let seen = self.known.get(&key);
        let mut asked = self.asked.borrow_mut();
        if seen.is_none() {
            asked.missing = Some(Missing::Key(key.clone()));
        }
        asked.keys.insert(key);
        seen.ok_or_else(unknown)
    }

    /// Whether a Go worker holds the lock of the step's job.
    pub(crate) fn foreign_lock(&self) -> Result<bool> {
        let foreign = self.answer(Question::Locked)? && self.answer(Question::LockedByOther)?;
        Ok(foreign && self.guards.keep(Guard::Lock))
    }

    fn answer(&self, question: Question) -> Result<bool> {
        let answer = self.assumed.get(&question).copied();
        let mut asked = self.asked.borrow_mut();
        asked.answers.insert(question);
        if answer.is_none() {
            asked.missing = Some(Missing::Answer(question));
        }
        answer.ok_or_else(unknown)
    }

    /// The job in the place that counts.
    fn job(&self, job: &JobName) -> Result<Option<(Version, &[u8])>> {
        match self.look(self.keys.job(job))?.value() {
            Some(found) => Ok(Some(found)),
            None => Ok(self.look(self.keys.job_apart(job))?.value()),
        }
    }

    fn record<T: Stored>(&self, key: Key) -> Result<Option<Versioned<T>>> {
        let Some((version, bytes)) = self.look(key)?.value() else {
            return Ok(None);
        };
        let value = stored::decode(bytes).map_err(|error| corrupt().source(error))?;
        Ok(Some(Versioned { version, value }))
    }
}

/// Ends a step that has asked for what is missing; it never reaches a caller.
fn unknown() -> BackendError {
    BackendError::new("fires", ErrorKind::Unexpected)
}

fn corrupt() -> BackendError {
    BackendError::new("fires", ErrorKind::Corrupt)
}

impl Facts for Lens<'_> {
    fn session_lives(&self, session: &SessionId) -> Result<bool> {
        if self.me == Some(session) {
            return Ok(true);
        }
        let there = *self.look(self.keys.session(session))? != Seen::Absent;
        Ok(there && self.guards.keep(Guard::Owner))
    }

    fn job_version(&self, job: &JobName) -> Result<Option<Version>> {
        Ok(self.job(job)?.map(|(version, _)| version))
    }

    fn job_policy(&self, job: &JobName) -> Result<Option<ConcurrencyPolicy>> {
        let Some((_, value)) = self.job(job)? else {
            return Ok(None);
        };
        let because = |why| corrupt().context(format!("job {:?}: {why}", job.as_str()));
        let broken = |error: GoJobError| because(error.reason());
        if let Some(why) = too_large(value.len()) {
            return Err(because(why));
        }
        let mut go = GoJob::parse(value).map_err(broken)?;
        if !go.has_definition() {
            let side = self.look(self.keys.side(job))?.value();
            if let Some(side) = side.and_then(|(_, side)| GoJob::parse(side).ok()) {
                go = go.joined(&side);
            }
        }
        let definition = go.job(job, self.defaults).map_err(broken)?;
        Ok(Some(definition.concurrency))
    }

    fn mark(&self, job: &JobName) -> Result<Option<Versioned<Mark>>> {
        let Some((version, text)) = self.look(self.keys.mark(job))?.value() else {
            return Ok(None);
        };
        let text = std::str::from_utf8(text).ok();
        let value = text.and_then(stored::parse_mark).ok_or_else(corrupt)?;
        Ok(Some(Versioned { version, value }))
    }

    fn open(&self, job: &JobName, key: &RunKey) -> Result<Option<Versioned<OpenRecord>>> {
        self.record(self.keys.open(job, key))
    }

    fn any_open(&self, _job: &JobName) -> Result<bool> {
        Ok(self.answer(Question::AnyOpen)? && self.guards.keep(Guard::Free))
    }

    fn wait(&self, job: &JobName, key: &RunKey) -> Result<Option<Versioned<WaitRecord>>> {
        self.record(self.keys.wait(job, key))
    }

    fn tick_waits(&self, _job: &JobName) -> Result<bool> {
        Ok(self.answer(Question::TickWaits)? && self.guards.keep(Guard::NoneWaits))
    }

    fn done(&self, job: &JobName, key: &RunKey) -> Result<Option<Versioned<DoneRecord>>> {
        self.record(self.keys.done(job, key))
    }

    fn kill(&self, run: &RunId) -> Result<Option<Kill>> {
        let there = self.look(self.keys.kill(run))?.value();
        Ok(there.map(|(_, value)| kills::read(run.clone(), value)))
    }

    fn requested(&self, job: &JobName, request: &str) -> Result<bool> {
        let there = *self.look(self.keys.request(job, request))? != Seen::Absent;
        Ok(there && self.guards.keep(Guard::Request))
    }
}
