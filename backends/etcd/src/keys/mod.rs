//! Every key, in one table.
//!
//! | key below our prefix | value | life |
//! |---|---|---|
//! | `session/<id>` | what the worker says of itself | the session's lease |
//! | `session-drain/<id>` | nothing; the worker is asked to drain | the session's lease |
//! | `mark/J` | last decided fire time, generation, streak, as text | a week longer than the job |
//! | `open/J/R`, `wait/J/R`, `done/J/R` | the run's record | until the next step |
//! | `kill/<run>` | who and why | a lease of its own |
//! | `req/J/<id>` | nothing | a day |
//! | `jobs/J` | the job, if a Go worker would do something else with it than we do | until it is deleted or moved |
//! | `side/J` | the job's value as we saved it last | until the job is deleted |
//! | `doc-K/N` | a document of kind `K`, such as `binding`; `N` is its name, escaped as a job's | until it is deleted |
//! | `orphan/J` | the lease that times the mark of a deleted job | until the mark goes |
//!
//! `J` is the job's name with everything but letters, digits, `.`, `_` and `-` percent-encoded, so that it
//! never holds `/`; the empty name is `%`. `R` is the run key: a fire time in 16 digits, or `r-<id>`. Under the
//! Go fleet's prefixes names stand raw. Nothing of ours stands there but what that fleet defines: jobs, locks
//! and registrations.

use std::borrow::Cow;
use std::io::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sandclock_core::backend::{DocKind, SessionId};
use sandclock_core::job::JobName;
use sandclock_core::run::{RunId, RunKey};

use crate::config::EtcdConfig;
use crate::guard::Guard;

const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-');

/// Stands for the empty name, which no escape is.
const EMPTY: &str = "%";

/// The kind of the keys of jobs that stand apart from the Go fleet's.
pub(crate) const APART: &str = "jobs";

/// How long most keys are at most, in bytes: so many are made that growing them bit by bit takes its time.
const USUAL: usize = 128;

/// A key of etcd.
pub(crate) type Key = Vec<u8>;

/// All keys from `start` to before `end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: Key,
    pub(crate) end: Key,
}

impl Range {
    /// All keys that begin with `prefix`, which does not end in byte 255.
    pub(crate) fn below(prefix: impl Into<Key>) -> Self {
        let start = prefix.into();
        let mut end = start.clone();
        if let Some(last) = end.last_mut() {
            *last = last.saturating_add(1);
        }
        Self { start, end }
    }
}

/// A record of the claim protocol, by its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Mark(JobName),
    Open(JobName, RunKey),
    Wait(JobName, RunKey),
    Done(JobName, RunKey),
}

/// Makes keys and reads them.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    prefix: String,
    jobs: String,
    locks: String,
    kills: String,
    workers: String,
    leader: String,
}

impl Keys {
    pub(crate) fn of(config: &EtcdConfig) -> Self {
        Self {
            prefix: config.prefix.clone(),
            jobs: config.go.jobs.clone(),
            locks: config.go.locks.clone(),
            kills: config.go.kills.clone(),
            workers: config.go.workers.clone(),
            leader: config.leader_key(),
        }
    }

    /// Everything that is ours.
    pub(crate) fn ours(&self) -> Range {
        Range::below(self.prefix.as_str())
    }

    /// A key under each prefix, at which nothing ever stands, and the leader's.
    pub(crate) fn one_of_each(&self) -> Vec<Key> {
        let prefixes = [
            &self.prefix,
            &self.jobs,
            &self.locks,
            &self.kills,
            &self.workers,
        ];
        let under = prefixes.map(|prefix| format!("{prefix}/nothing").into_bytes());
        under.into_iter().chain([self.leader()]).collect()
    }

    /// All keys of one kind, by the word after our prefix.
    pub(crate) fn all(&self, kind: &str) -> Range {
        Range::below(format!("{}{kind}/", self.prefix))
    }

    fn own(&self, kind: &str, rest: impl std::fmt::Display) -> Key {
        let mut key = Key::with_capacity(USUAL);
        // Writing to memory does not fail.
        let _ = write!(key, "{}{kind}/{rest}", self.prefix);
        key
    }

    pub(crate) fn session(&self, id: &SessionId) -> Key {
        self.own("session", id)
    }

    /// Where the worker of a session is asked to drain.
    pub(crate) fn drain(&self, id: &SessionId) -> Key {
        self.own("session-drain", id)
    }

    /// Every session, and before these who is asked to drain.
    pub(crate) fn sessions(&self) -> Range {
        Range {
            start: self.all("session-drain").start,
            end: self.all("session").end,
        }
    }

    pub(crate) fn mark(&self, job: &JobName) -> Key {
        self.own("mark", escaped(job.as_str()))
    }

    pub(crate) fn open(&self, job: &JobName, key: &RunKey) -> Key {
        self.own("open", format_args!("{}/{key}", escaped(job.as_str())))
    }

    pub(crate) fn wait(&self, job: &JobName, key: &RunKey) -> Key {
        self.own("wait", format_args!("{}/{key}", escaped(job.as_str())))
    }

    pub(crate) fn done(&self, job: &JobName, key: &RunKey) -> Key {
        self.own("done", format_args!("{}/{key}", escaped(job.as_str())))
    }

    pub(crate) fn kill(&self, run: &RunId) -> Key {
        self.own("kill", run)
    }

    pub(crate) fn request(&self, job: &JobName, id: &str) -> Key {
        self.own("req", format_args!("{}/{id}", escaped(job.as_str())))
    }

    /// Our key of a job.
    pub(crate) fn job_apart(&self, job: &JobName) -> Key {
        self.own(APART, escaped(job.as_str()))
    }

    /// Both keys of a job, the Go fleet's first.
    pub(crate) fn both(&self, job: &JobName) -> [Key; 2] {
        [self.job(job), self.job_apart(job)]
    }

    pub(crate) fn side(&self, job: &JobName) -> Key {
        self.own("side", escaped(job.as_str()))
    }

    pub(crate) fn orphan(&self, job: &JobName) -> Key {
        self.own("orphan", escaped(job.as_str()))
    }

    /// All documents of a kind.
    pub(crate) fn docs(&self, kind: DocKind) -> Range {
        self.all(&doc_kind(kind))
    }

    pub(crate) fn doc(&self, kind: DocKind, name: &str) -> Key {
        self.own(&doc_kind(kind), escaped(name))
    }

    /// The name of the document of this kind that a key stands for.
    pub(crate) fn doc_of(&self, kind: DocKind, key: &[u8]) -> Option<String> {
        unescaped(self.rest_of(&doc_kind(kind), key)?)
    }

    /// Every open record of a job.
    pub(crate) fn open_of(&self, job: &JobName) -> Range {
        Range::below(self.own("open", format_args!("{}/", escaped(job.as_str()))))
    }

    /// Every waiting tick of a job: run keys of requests begin with a letter, fire times with a digit or, before
    /// 1970, `-`.
    pub(crate) fn waiting_ticks(&self, job: &JobName) -> Range {
        let below = |end: &str| self.own("wait", format_args!("{}/{end}", escaped(job.as_str())));
        Range {
            start: below("-"),
            end: below(":"),
        }
    }

    /// The session that a key stands for.
    pub(crate) fn session_of(&self, key: &[u8]) -> Option<SessionId> {
        Some(SessionId(self.rest_of("session", key)?.to_owned()))
    }

    /// The session that a key asks to drain.
    pub(crate) fn drained_by(&self, key: &[u8]) -> Option<SessionId> {
        Some(SessionId(self.rest_of("session-drain", key)?.to_owned()))
    }

    /// The run whose kill a key of ours is.
    pub(crate) fn run_killed_at(&self, key: &[u8]) -> Option<RunId> {
        RunId::parse(self.rest_of("kill", key)?)
    }

    /// The job whose key of this kind it is.
    pub(crate) fn job_of(&self, kind: &str, key: &[u8]) -> Option<JobName> {
        name(self.rest_of(kind, key)?)
    }

    /// The record of the protocol that a key stands for; `None` for keys of other kinds.
    pub(crate) fn record_of(&self, key: &[u8]) -> Option<Record> {
        let (kind, rest) = self.parts(key)?;
        if kind == "mark" {
            return Some(Record::Mark(name(rest)?));
        }
        let (job, run) = rest.split_once('/')?;
        let make = match kind {
            "open" => Record::Open,
            "wait" => Record::Wait,
            "done" => Record::Done,
            _ => return None,
        };
        Some(make(name(job)?, RunKey::parse(run)?))
    }

    /// What comparing a key makes sure of.
    pub(crate) fn guard_of(&self, key: &[u8]) -> Guard {
        match self.parts(key) {
            Some(("mark", _)) => Guard::Mark,
            Some(("kill", _)) => Guard::Kill,
            Some(("session", _)) => Guard::Owner,
            Some(("req", _)) => Guard::Request,
            Some(("open" | "wait" | "done", _)) => Guard::Record,
            _ => Guard::Job,
        }
    }

    /// What follows the kind, in a key of this kind.
    fn rest_of<'a>(&self, kind: &str, key: &'a [u8]) -> Option<&'a str> {
        let (found, rest) = self.parts(key)?;
        (found == kind).then_some(rest)
    }

    fn parts<'a>(&self, key: &'a [u8]) -> Option<(&'a str, &'a str)> {
        let ours = std::str::from_utf8(key).ok()?;
        ours.strip_prefix(&self.prefix)?.split_once('/')
    }

    /// The Go fleet's key of a job.
    pub(crate) fn job(&self, job: &JobName) -> Key {
        format!("{}{job}", self.jobs).into_bytes()
    }

    /// Every job.
    pub(crate) fn jobs(&self) -> Range {
        Range::below(self.jobs.as_str())
    }

    /// The job that a key of the Go fleet stands for. What is no UTF-8 is made legible and cannot be reached.
    pub(crate) fn job_at(&self, key: &[u8]) -> JobName {
        JobName::existing(raw(&self.jobs, key))
    }

    /// The Go fleet's lock of a job.
    pub(crate) fn lock(&self, job: &JobName) -> Key {
        format!("{}{job}", self.locks).into_bytes()
    }

    /// Every lock of the Go fleet.
    pub(crate) fn locks(&self) -> Range {
        Range::below(self.locks.as_str())
    }

    /// The job that a lock of the Go fleet is about.
    pub(crate) fn locked_by(&self, key: &[u8]) -> JobName {
        JobName::existing(raw(&self.locks, key))
    }

    /// Every kill mark of the Go fleet.
    pub(crate) fn go_kills(&self) -> Range {
        Range::below(self.kills.as_str())
    }

    /// The job that a kill mark of the Go fleet names.
    pub(crate) fn killed_by(&self, key: &[u8]) -> JobName {
        JobName::existing(raw(&self.kills, key))
    }

    /// Who leads.
    pub(crate) fn leader(&self) -> Key {
        self.leader.clone().into_bytes()
    }

    /// The Go fleet's kill mark of a job.
    pub(crate) fn kill_mark(&self, job: &JobName) -> Key {
        format!("{}{job}", self.kills).into_bytes()
    }

    /// Where a worker registers for the Go fleet.
    pub(crate) fn worker(&self, address: &str) -> Key {
        format!("{}{address}", self.workers).into_bytes()
    }

    /// Every registered worker of the Go fleet.
    pub(crate) fn workers(&self) -> Range {
        Range::below(self.workers.as_str())
    }

    /// The address under which a worker is registered.
    pub(crate) fn worker_at(&self, key: &[u8]) -> String {
        raw(&self.workers, key)
    }
}

fn raw(prefix: &str, key: &[u8]) -> String {
    let name = key.strip_prefix(prefix.as_bytes()).unwrap_or(key);
    String::from_utf8_lossy(name).into_owned()
}

/// The word for a kind of documents.
fn doc_kind(kind: DocKind) -> String {
    format!("doc-{}", kind.as_str())
}

fn escaped(name: &str) -> Cow<'_, str> {
    match name {
        "" => EMPTY.into(),
        name => utf8_percent_encode(name, ESCAPED).into(),
    }
}

fn unescaped(escaped: &str) -> Option<String> {
    if escaped == EMPTY {
        return Some(String::new());
    }
    let name = percent_decode_str(escaped).decode_utf8().ok()?;
    Some(name.into_owned())
}

fn name(escaped: &str) -> Option<JobName> {
    Some(JobName::existing(unescaped(escaped)?))
}

#[cfg(test)]
mod tests;
