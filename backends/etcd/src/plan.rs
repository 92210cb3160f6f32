//! A step of the protocol as a transaction of etcd.
//!
//! The step is run on what is known, once for each answer that a question about the store could have; the
//! outcomes become branches that etcd chooses between, and branches that agree are merged. So `forbid` is "if
//! no run is open: claim, else: record that it was busy" without this crate knowing any policy (A2). A branch that
//! is unlikely to be taken is left out at first, because etcd reads, checks and keeps it all the same. Once
//! etcd has said which branch it took, and at which revision, the step is run once more to say the answer.

use std::cell::RefCell;
use std::collections::BTreeSet;

use etcd_client::{Txn, TxnOp, TxnOpResponse, TxnResponse};
use sandclock_core::backend::protocol::{Change, Step};
use sandclock_core::backend::{Result, SessionId, Version};
use sandclock_core::go::GoDefaults;
use sandclock_core::job::JobName;
use sandclock_core::stored::{self, Stored};
use sandclock_core::{BackendError, ErrorKind};

use crate::facts::{Asked, Assumed, Known, Lens, Missing, Question, Seen};
use crate::guard::Guards;
use crate::keys::{Key, Keys};
use crate::locks;
use crate::tree::{Tree, Write};

/// A step that waits for its arguments: the facts, and the version of its changes.
pub(crate) type Ask<'a, T> = Box<dyn Fn(&Lens<'_>, Version) -> Result<Step<T>> + Send + Sync + 'a>;

/// A step on its way to an answer.
pub(crate) struct Item<'a, T> {
    pub(crate) job: &'a JobName,
    pub(crate) step: Ask<'a, T>,
    /// What is read when something is missing, or has turned out to be otherwise.
    pub(crate) around: Vec<Key>,
    pub(crate) known: Known,
    /// Whether what is known is only what the caller says, so that no answer may rest on it alone.
    pub(crate) guessed: bool,
    /// Questions to which the answer is likely to be no, so that the other branch is not worth sending.
    pub(crate) unlikely: BTreeSet<Question>,
    /// On which a request is remembered, or a lock hangs.
    pub(crate) lease: i64,
    /// Whether Go workers share the jobs, from the beginning of the step to its answer.
    pub(crate) beside_go: bool,
}

/// What all steps of a request share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) keys: &'a Keys,
    pub(crate) defaults: &'a GoDefaults,
    pub(crate) guards: Guards,
    pub(crate) session: Option<&'a SessionId>,
}

/// What is to be sent for a step, or its answer.
pub(crate) enum Plan<T> {
    Answer(T),
    Read,
    Try(Attempt<T>),
}

/// A transaction that carries a step out if what it rests on is still so.
pub(crate) struct Attempt<T> {
    guards: Vec<Key>,
    denied: Vec<Question>,
    tree: Tree<T>,
}

impl<T> Item<'_, T> {
    /// The same with the Go fleet's lock, if one is taken, on this lease.
    pub(crate) fn locking(self, lock: Option<i64>) -> Self {
        Self {
            lease: lock.unwrap_or(self.lease),
            beside_go: lock.is_some(),
            ..self
        }
    }
}

impl<T: PartialEq> Item<'_, T> {
    /// What to do next.
    pub(crate) fn plan(&mut self, setting: &Setting<'_>) -> Result<Plan<T>> {
        let mut asked = Asked::default();
        let no = self.unlikely.iter().map(|question| (*question, false));
        let tree = match self.grow(setting, &no.collect(), &mut asked)? {
            Ok(tree) => tree,
            Err(missing) => {
                if !self.around.contains(&missing) {
                    self.around.push(missing);
                }
                return Ok(Plan::Read);
            }
        };
        match tree {
            Tree::Leaf { answer, writes, .. } if writes.is_empty() && !self.guessed => {
                Ok(Plan::Answer(answer))
            }
            tree => Ok(Plan::Try(Attempt {
                guards: asked.keys.into_iter().collect(),
                denied: asked
                    .answers
                    .intersection(&self.unlikely)
                    .copied()
                    .collect(),
                tree,
            })),
        }
    }

    /// The branches of the step below some assumptions, or a key that it must know first.
    fn grow(
        &self,
        setting: &Setting<'_>,
        assumed: &Assumed,
        all: &mut Asked,
    ) -> Result<std::result::Result<Tree<T>, Key>> {
        let (outcome, asked) = self.run(setting, assumed, Version(0));
        all.keys.extend(asked.keys);
        all.answers.extend(asked.answers);
        let question = match asked.missing {
            None => {
                let Step { answer, changes } = outcome?;
                return Ok(Ok(Tree::Leaf {
                    answer,
                    writes: self.writes(setting, assumed, changes)?,
                    assumed: assumed.clone(),
                }));
            }
            Some(Missing::Key(key)) => return Ok(Err(key)),
            Some(Missing::Answer(question)) => question,
        };
        let mut branch = |answer| {
            let mut assumed = assumed.clone();
            assumed.insert(question, answer);
            self.grow(setting, &assumed, all)
        };
        let no = match branch(false)? {
            Ok(no) => no,
            Err(key) => return Ok(Err(key)),
        };
        Ok(match branch(true)? {
            Ok(yes) if yes == no => Ok(no),
            Ok(yes) => Ok(Tree::Fork {
                on: question,
                no: Box::new(no),
                yes: Box::new(yes),
            }),
            Err(key) => Err(key),
        })
    }

    fn run(
        &self,
        setting: &Setting<'_>,
        assumed: &Assumed,
        at: Version,
    ) -> (Result<Step<T>>, Asked) {
        let lens = Lens {
            keys: setting.keys,
            defaults: setting.defaults,
            guards: setting.guards,
            beside_go: self.beside_go,
            me: setting.session,
            known: &self.known,
            assumed,
            asked: RefCell::default(),
        };
        let outcome = (self.step)(&lens, at);
        (outcome, lens.asked.into_inner())
    }

    /// The answer of the step once its changes are there, at this version.
    pub(crate) fn answer(
        &self,
        setting: &Setting<'_>,
        assumed: &Assumed,
        at: Version,
    ) -> Result<T> {
        Ok(self.run(setting, assumed, at).0?.answer)
    }

    /// What a branch writes: its changes and, beside Go workers, the lock of a run that is claimed.
    fn writes(
        &self,
        setting: &Setting<'_>,
        assumed: &Assumed,
        changes: Vec<Change>,
    ) -> Result<Vec<Write>> {
        let theirs = assumed.get(&Question::LockedByOther) == Some(&true);
        let lock = (setting.session)
            .filter(|_| self.beside_go && !theirs && locks::claims(&changes))
            .map(|session| Write {
                key: setting.keys.lock(self.job),
                value: Some(locks::value(session)),
                lease: self.lease,
                change: None,
            });
        let writes = changes
            .into_iter()
            .map(|change| self.write(setting.keys, change));
        writes.chain(lock.map(Ok)).collect()
    }

    fn write(&self, keys: &Keys, change: Change) -> Result<Write> {
        let (key, value, lease) = match &change {
            Change::Mark(job, mark) => {
                let key = keys.mark(job);
                let previous = self.known.get(&key).and_then(Seen::value);
                let text = match previous {
                    Some((_, previous)) => stored::mark_text_over(mark, previous),
                    None => stored::mark_text(mark),
                };
                (key, Some(text.into_bytes()), 0)
            }
            Change::Open(open) => self.record(keys.open(&open.job, &open.key), open)?,
            Change::Wait(wait) => self.record(keys.wait(&wait.job, &wait.key), wait)?,
            Change::Done(done) => self.record(keys.done(&done.job, &done.key), &**done)?,
            Change::OpenGone(job, run) => (keys.open(job, run), None, 0),
            Change::WaitGone(job, run) => (keys.wait(job, run), None, 0),
            Change::Request(job, id) => (keys.request(job, id), Some(Vec::new()), self.lease),
        };
        Ok(Write {
            key,
            value,
            lease,
            change: Some(change),
        })
    }

    /// A record at its key, with what others have written into the one that it replaces (S13); it lasts.
    fn record<R: Stored>(&self, key: Key, record: &R) -> Result<(Key, Option<Vec<u8>>, i64)> {
        let bytes = match self.known.get(&key) {
            Some(Seen::At { value, .. }) => stored::encode_over(record, value),
            _ => stored::encode(record),
        };
        let corrupt = |error| BackendError::new("fires", ErrorKind::Corrupt).source(error);
        Ok((key, Some(bytes.map_err(corrupt)?), 0))
    }

    /// Reads everything around the step.
    pub(crate) fn reads(&self) -> Vec<TxnOp> {
        let get = |key: &Key| TxnOp::get(key.clone(), None);
        self.around.iter().map(get).collect()
    }

    /// Something has turned out to be otherwise, so that everything is to be read.
    pub(crate) fn doubt(&mut self) {
        self.known.clear();
    }

    /// Takes in what such a read has found; nothing is a guess any more.
    pub(crate) fn learn(&mut self, answers: &[TxnOpResponse]) {
        self.guessed = false;
        self.unlikely.clear();
        self.known.clear();
        for (key, answer) in self.around.iter().zip(answers) {
            if let TxnOpResponse::Get(get) = answer {
                self.known
                    .insert(key.clone(), Seen::read(get.kvs().first()));
            }
        }
    }
}

impl<T> Attempt<T> {
    /// The transaction. If a guard fails it does nothing: to read what is around the step is left to the next request,
    /// because etcd would take in and keep those reads with every step that succeeds.
    pub(crate) fn txn(&self, item: &Item<'_, T>, setting: &Setting<'_>) -> Txn {
        let Setting { keys, guards, .. } = *setting;
        let kept = self
            .guards
            .iter()
            .filter(|key| guards.keep(keys.guard_of(key)));
        let as_known = kept.filter_map(|key| Some(item.known.get(key)?.guard(key.clone())));
        let denied = (self.denied.iter()).filter(|question| guards.keep(question.guard()));
        let denied = denied.flat_map(|question| question.denied(keys, item.job));
        Txn::new()
            .when(as_known.chain(denied).collect::<Vec<_>>())
            .and_then(self.tree.ops(keys, item.job))
    }

    /// What it writes if it is carried out; nothing if that depends on answers.
    pub(crate) fn certain(&self) -> &[Write] {
        self.tree.certain()
    }

    /// Roughly how many bytes it takes on the wire.
    pub(crate) fn weight(&self) -> usize {
        self.tree.weight()
    }

    /// Whether it may write this key.
    pub(crate) fn writes_to(&self, key: &Key) -> bool {
        self.tree.writes_to(key)
    }

    /// Which branch etcd took, from its answer to [`Attempt::txn`].
    pub(crate) fn taken(&self, answer: &TxnResponse) -> (&Assumed, &[Write]) {
        self.tree.taken(answer)
    }
}
