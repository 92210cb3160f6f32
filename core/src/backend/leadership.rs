//! Leadership: one of many servers does the chores that two would do as well, only twice.
//!
//! No safety rests on it (A4): a chore stays right when two servers do it, which they may for a moment when one has
//! lost its lease and has not noticed.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::{Nonce, Result};
use crate::error::{BackendError, ErrorKind};

/// A server that would lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// For people who look who leads.
    pub name: String,
    /// Tells this life of this server from every other, so that it recognises what it holds already.
    pub nonce: Nonce,
}

/// The election of a leader.
#[async_trait]
pub trait Leadership: Debug + Send + Sync + 'static {
    /// Begins to lead unless another does; the answer is the lease that the store granted, which may be longer than
    /// `ttl`, from the moment it handles the call, or `None`. Whoever leads already leads on. Idempotent.
    async fn campaign(&self, me: &Candidate, ttl: Duration) -> Result<Option<Duration>>;

    /// Leads on for another lease from the moment the store handles the call. Idempotent.
    ///
    /// # Errors
    /// `SessionLost` if this candidate does not lead.
    async fn hold(&self, me: &Candidate) -> Result<()>;

    /// Leads no more, so that another can at once. Idempotent; who does not lead changes nothing.
    async fn resign(&self, me: &Candidate) -> Result<()>;
}

/// The leader's seat, where it is kept in memory.
#[derive(Debug, Default)]
pub struct Seat {
    held: Option<Term>,
}

#[derive(Debug)]
struct Term {
    by: Candidate,
    ttl: Duration,
    until: Instant,
}

impl Seat {
    /// [`Leadership::campaign`], handled at `now`.
    pub fn campaign(&mut self, now: Instant, me: &Candidate, ttl: Duration) -> Option<Duration> {
        match &self.held {
            Some(term) if term.until > now && term.by != *me => None,
            _ => {
                self.held = Some(Term {
                    by: me.clone(),
                    ttl,
                    until: now + ttl,
                });
                Some(ttl)
            }
        }
    }

    /// [`Leadership::hold`], handled at `now`.
    ///
    /// # Errors
    /// `SessionLost` if this candidate does not lead.
    pub fn hold(&mut self, now: Instant, me: &Candidate) -> Result<()> {
        let term = self.held.as_mut();
        let term = term.filter(|term| term.until > now && term.by == *me);
        let lost = || BackendError::new("leadership.hold", ErrorKind::SessionLost);
        term.map(|term| term.until = now + term.ttl)
            .ok_or_else(lost)
    }

    /// [`Leadership::resign`].
    pub fn resign(&mut self, me: &Candidate) {
        self.held.take_if(|term| term.by == *me);
    }
}
