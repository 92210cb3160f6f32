//! The sessions of the model: leases on tokio's clock.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::MemoryStore;
use super::history::Event;
use super::state::Lease;
use super::watch::Kind;
use crate::backend::{Events, Result, Session, SessionEvent, SessionId, Sessions, WorkerInfo};
use crate::error::{BackendError, ErrorKind};

#[async_trait]
impl Sessions for MemoryStore {
    async fn open(&self, me: &WorkerInfo, ttl: Duration) -> Result<Session> {
        Ok(self.shared.change(|state| {
            state.sessions_opened += 1;
            // A counter in place of 128 random bits: as unique, and the same in every replay.
            let id = SessionId(format!("session-{}", state.sessions_opened));
            let lease = Lease {
                info: me.clone(),
                ttl,
                deadline: Instant::now() + ttl,
                drain_asked: false,
            };
            state.sessions.insert(id.clone(), lease);
            let event = SessionEvent::Live(id.clone(), me.clone());
            state.history.push(Event::Session(event));
            Session { id, ttl }
        }))
    }

    async fn renew(&self, session: &SessionId, info: Option<&WorkerInfo>) -> Result<()> {
        self.shared.change(|state| {
            let Some(lease) = state.sessions.get_mut(session) else {
                let lost = BackendError::new("sessions.renew", ErrorKind::SessionLost);
                return Err(lost.context(session));
            };
            lease.deadline = Instant::now() + lease.ttl;
            if let Some(info) = info.filter(|info| **info != lease.info) {
                lease.info = info.clone();
                let event = SessionEvent::Live(session.clone(), info.clone());
                state.history.push(Event::Session(event));
            }
            Ok(())
        })
    }

    async fn ask_to_drain(&self, session: &SessionId) -> Result<bool> {
        Ok(self.shared.change(|state| {
            let Some(lease) = state.sessions.get_mut(session) else {
                return false;
            };
            lease.drain_asked = true;
            let event = SessionEvent::DrainAsked(session.clone());
            state.history.push(Event::Session(event));
            true
        }))
    }

    async fn close(&self, session: &SessionId) -> Result<()> {
        self.shared.change(|state| state.end_session(session));
        Ok(())
    }

    async fn live(&self) -> Result<Events<SessionEvent>> {
        let kind = Kind {
            op: "sessions.live",
            pick: |_, event| match event {
                Event::Session(event) => Some(event.clone()),
                _ => None,
            },
            progress: None,
            expiry: |state| state.sessions.values().map(|lease| lease.deadline).min(),
        };
        Ok(self.shared.announce(kind, |state| {
            let live = (state.sessions.iter())
                .flat_map(|(id, lease)| SessionEvent::of_live(id, &lease.info, lease.drain_asked));
            live.chain([SessionEvent::Synced]).collect()
        }))
    }
}
