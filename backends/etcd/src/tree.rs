//! What becomes of a step, by the answers to its questions: branches that etcd chooses between, and what each writes.

use etcd_client::{DeleteOptions, PutOptions, Txn, TxnOp, TxnOpResponse, TxnResponse};
use sandclock_core::backend::protocol::Change;
use sandclock_core::job::JobName;

use crate::facts::{Assumed, Question};
use crate::keys::{Key, Keys};

/// A write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Write {
    pub(crate) key: Key,
    /// `None` deletes.
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) lease: i64,
    /// What it means to the protocol; `None` for the Go fleet's lock.
    pub(crate) change: Option<Change>,
}

/// What becomes of a step, by the answers to its questions.
#[derive(Debug)]
pub(crate) enum Tree<T> {
    Leaf {
        answer: T,
        writes: Vec<Write>,
        assumed: Assumed,
    },
    Fork {
        on: Question,
        no: Box<Self>,
        yes: Box<Self>,
    },
}

impl<T: PartialEq> PartialEq for Tree<T> {
    /// Whether it makes no difference which of the two is taken.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Leaf {
                    answer: a,
                    writes: v,
                    ..
                },
                Self::Leaf {
                    answer: b,
                    writes: w,
                    ..
                },
            ) => a == b && v == w,
            (
                Self::Fork { on: a, no, yes },
                Self::Fork {
                    on: b,
                    no: other_no,
                    yes: other_yes,
                },
            ) => a == b && no == other_no && yes == other_yes,
            _ => false,
        }
    }
}

impl<T> Tree<T> {
    pub(crate) fn ops(&self, keys: &Keys, job: &JobName) -> Vec<TxnOp> {
        match self {
            Self::Leaf { writes, .. } => writes.iter().map(Write::op).collect(),
            Self::Fork { on, no, yes } => {
                let fork = Txn::new()
                    .when(on.denied(keys, job))
                    .and_then(no.ops(keys, job))
                    .or_else(yes.ops(keys, job));
                vec![TxnOp::txn(fork)]
            }
        }
    }

    pub(crate) fn writes_to(&self, key: &Key) -> bool {
        match self {
            Self::Leaf { writes, .. } => writes.iter().any(|write| write.key == *key),
            Self::Fork { no, yes, .. } => no.writes_to(key) || yes.writes_to(key),
        }
    }

    /// What is written whatever the answers are, if that is everything.
    pub(crate) fn certain(&self) -> &[Write] {
        match self {
            Self::Leaf { writes, .. } => writes,
            Self::Fork { .. } => &[],
        }
    }

    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Leaf { writes, .. } => writes.iter().map(Write::weight).sum(),
            Self::Fork { no, yes, .. } => no.weight() + yes.weight(),
        }
    }

    /// Which branch etcd took, from the answer to a transaction of [`Tree::ops`].
    pub(crate) fn taken(&self, answer: &TxnResponse) -> (&Assumed, &[Write]) {
        match self {
            Self::Leaf {
                writes, assumed, ..
            } => (assumed, writes),
            Self::Fork { no, yes, .. } => match answer.op_responses().first() {
                Some(TxnOpResponse::Txn(fork)) if fork.succeeded() => no.taken(fork),
                Some(TxnOpResponse::Txn(fork)) => yes.taken(fork),
                _ => no.taken(answer),
            },
        }
    }
}

impl Write {
    /// The operation of etcd.
    fn op(&self) -> TxnOp {
        match &self.value {
            Some(value) => {
                let options = (self.lease != 0).then(|| PutOptions::new().with_lease(self.lease));
                TxnOp::put(self.key.clone(), value.clone(), options)
            }
            None => TxnOp::delete(self.key.clone(), None::<DeleteOptions>),
        }
    }

    fn weight(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Vec::len)
    }
}
