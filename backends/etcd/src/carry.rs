//! Carrying steps of the protocol out: one request for all of them, again for those whose facts were wrong.
//!
//! Each step is one nested transaction of its own, with an outcome of its own; what all share is the guard
//! that the caller's session lives. A step whose guards fail reads the facts as they are. Then it is either answered
//! from these, or tried again with them. That they are read later than the guards failed changes no answer: what
//! makes one final never becomes true again (S6). Each further round means that somebody else has got on.
//!
//! etcd may refuse a request altogether, because one of its steps is larger than it takes. Then nothing of it was
//! applied, and each step goes alone, so that the refusal is the answer of that step and of no other.

use etcd_client::{Txn, TxnOp, TxnOpResponse};
use sandclock_core::backend::protocol::MAX_BATCH;
use sandclock_core::backend::{Result, SessionId, Version};
use sandclock_core::{BackendError, Effect, ErrorKind};

use crate::cleans;
use crate::client::revision;
use crate::error::Nature;
use crate::facts::present;
use crate::guard::Guard;
use crate::keys::Key;
use crate::plan::{Attempt, Item, Plan, Setting};
use crate::store::Store;
use crate::tree::Write;
use crate::watch::version;

/// etcd takes 1.5 MiB by default; a single step may be larger than this, but then it travels alone.
pub(crate) const REQUEST_BYTES: usize = 1 << 20;

/// After so many rounds, and one more for each step that went alone, the caller is told to slow down. Nothing of what
/// has no answer was applied.
const ROUNDS: usize = 64;

/// What was sent for one step.
enum Sent<T> {
    Read,
    Try(Attempt<T>),
}

impl<T> Sent<T> {
    fn writes_to(&self, key: &Key) -> bool {
        match self {
            Self::Read => false,
            Self::Try(attempt) => attempt.writes_to(key),
        }
    }

    fn certain(&self) -> &[Write] {
        match self {
            Self::Read => &[],
            Self::Try(attempt) => attempt.certain(),
        }
    }
}

/// Whether etcd has refused a request for what is in it, and done nothing.
fn is_refused(error: &BackendError) -> bool {
    error.kind == ErrorKind::InvalidConfig && error.effect == Effect::None
}

impl Store {
    /// The answers of all steps, in order. One that fails does not keep the others from theirs.
    ///
    /// # Errors
    /// If a request fails. `SessionLost` if `session` is given and gone: then nothing is carried out.
    pub(crate) async fn carry_out<T: PartialEq + Send>(
        &self,
        op: &'static str,
        session: Option<&SessionId>,
        mut items: Vec<Item<'_, T>>,
    ) -> Result<Vec<Result<T>>> {
        let mut answers: Vec<Option<Result<T>>> = items.iter().map(|_| None).collect();
        let mut alone = false;
        for _ in 0..ROUNDS + items.len() {
            let sent = self.gather(session, &mut items, &mut answers, alone);
            if sent.is_empty() {
                let named = |error| BackendError { op, ..error };
                let answers = answers.into_iter().flatten();
                return Ok(answers.map(|answer| answer.map_err(named)).collect());
            }
            let (outcomes, at) = match self.send(op, session, &items, &sent, alone).await {
                Ok(outcomes) => outcomes,
                Err(error) if !is_refused(&error) => return Err(error),
                Err(error) => {
                    let refused = sent.first().filter(|_| alone);
                    if let Some(answer) = refused.and_then(|(index, _)| answers.get_mut(*index)) {
                        *answer = Some(Err(error));
                    }
                    alone = true;
                    continue;
                }
            };
            for ((index, sent), outcome) in sent.into_iter().zip(outcomes) {
                if let (Some(item), Some(answer)) = (items.get_mut(index), answers.get_mut(index)) {
                    *answer = self.judge(session, item, sent, &outcome, at);
                }
            }
        }
        let crowded = BackendError::new(op, ErrorKind::Throttled);
        Err(crowded.context("too many others change the same job"))
    }

    /// Answers what can be answered, and collects what one request can take of the rest: one step if it goes `alone`.
    fn gather<T: PartialEq>(
        &self,
        session: Option<&SessionId>,
        items: &mut [Item<'_, T>],
        answers: &mut [Option<Result<T>>],
        alone: bool,
    ) -> Vec<(usize, Sent<T>)> {
        let most = if alone { 1 } else { MAX_BATCH };
        let setting = self.setting(session);
        let (mut sent, mut bytes) = (Vec::new(), 0);
        for (index, (item, answer)) in items.iter_mut().zip(answers).enumerate() {
            if answer.is_some() || sent.len() == most {
                continue;
            }
            match item.plan(&setting) {
                Err(error) => *answer = Some(Err(error)),
                Ok(Plan::Answer(found)) => *answer = Some(Ok(found)),
                Ok(Plan::Read) => sent.push((index, Sent::Read)),
                Ok(Plan::Try(attempt)) => {
                    bytes += attempt.weight();
                    if bytes <= REQUEST_BYTES || sent.is_empty() {
                        sent.push((index, Sent::Try(attempt)));
                    }
                }
            }
        }
        sent
    }

    async fn send<T>(
        &self,
        op: &'static str,
        session: Option<&SessionId>,
        items: &[Item<'_, T>],
        sent: &[(usize, Sent<T>)],
        alone: bool,
    ) -> Result<(Vec<TxnOpResponse>, Version)>
    where
        T: PartialEq + Send,
    {
        let mut nature = Nature::Reads;
        let mut parts = Vec::with_capacity(sent.len());
        for (index, sent) in sent {
            let Some(item) = items.get(*index) else {
                continue;
            };
            parts.push(TxnOp::txn(match sent {
                Sent::Read => Txn::new().and_then(item.reads()),
                Sent::Try(attempt) => {
                    nature = Nature::Writes;
                    attempt.txn(item, &self.setting(session))
                }
            }));
        }
        let writes_to = |key: &Key| sent.iter().any(|(_, sent)| sent.writes_to(key));
        let along = match nature {
            Nature::Writes if !alone => self.cleans.along(writes_to),
            Nature::Writes | Nature::Reads => Vec::new(),
        };
        parts.extend(self.clean_ops(&along));
        let lives = |session| present(self.keys.session(session));
        let guard = session.and_then(|session| self.guards.only(Guard::Session, lives(session)));
        let guards: Vec<_> = guard.into_iter().collect();
        let txn = Txn::new().when(guards).and_then(parts);
        let writes = || sent.iter().flat_map(|(_, sent)| sent.certain());
        self.echoes.expect(writes());
        let answer = self.client.txn(op, nature, txn).await;
        if !matches!(&answer, Ok(answer) if answer.succeeded()) {
            self.echoes.give_up(writes());
        }
        let answer = answer?;
        if answer.succeeded() {
            let mut answers = answer.op_responses();
            cleans::tell(along, &answers.split_off(sent.len().min(answers.len())));
            return Ok((answers, version(revision(answer.header()))));
        }
        let lost = BackendError::new(op, ErrorKind::SessionLost);
        Err(match session {
            Some(session) => lost.context(session),
            None => lost,
        })
    }

    /// The answer of a step, if it has one now.
    fn judge<T: PartialEq>(
        &self,
        session: Option<&SessionId>,
        item: &mut Item<'_, T>,
        sent: Sent<T>,
        outcome: &TxnOpResponse,
        at: Version,
    ) -> Option<Result<T>> {
        let TxnOpResponse::Txn(outcome) = outcome else {
            return None;
        };
        match sent {
            Sent::Try(attempt) if outcome.succeeded() => {
                let (assumed, writes) = attempt.taken(outcome);
                self.recall.remember(writes, at);
                self.locks.follow(&self.keys, item.job, writes, at);
                Some(item.answer(&self.setting(session), assumed, at))
            }
            Sent::Try(attempt) => {
                self.echoes.give_up(attempt.certain().iter());
                item.doubt();
                None
            }
            Sent::Read => {
                item.learn(&outcome.op_responses());
                None
            }
        }
    }

    fn setting<'a>(&'a self, session: Option<&'a SessionId>) -> Setting<'a> {
        Setting {
            keys: &self.keys,
            defaults: &self.config.go_defaults,
            guards: self.guards,
            session,
        }
    }
}
