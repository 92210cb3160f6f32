//! Sessions: leases on this process's monotonic clock, in memory only.
//!
//! A session cannot outlive the process that holds the file, so nothing of it is stored: whatever an
//! earlier process opened is gone. Renewals therefore never wait for the disk. A lease that has run
//! out ends when anybody looks, and a stream looks by itself when the next one runs out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sandclock_core::backend::{
    Events, Result, Session, SessionEvent, SessionId, Sessions, WorkerInfo,
};
use sandclock_core::{BackendError, ErrorKind};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::expiry::from_now;
use crate::history::{History, Look, Source, follow};
use crate::store::Store;

#[derive(Debug)]
struct Lease {
    info: WorkerInfo,
    ttl: Duration,
    deadline: Instant,
    drain_asked: bool,
}

#[derive(Debug)]
struct Table {
    live: BTreeMap<SessionId, Lease>,
    history: History<SessionEvent>,
    epoch: u64,
}

impl Table {
    fn expire(&mut self, now: Instant) {
        let over: Vec<_> = (self.live.iter())
            .filter(|(_, lease)| lease.deadline <= now)
            .map(|(id, _)| id.clone())
            .collect();
        over.iter().for_each(|id| self.end(id));
    }

    fn end(&mut self, id: &SessionId) {
        if self.live.remove(id).is_some() {
            self.history.push(SessionEvent::Gone(id.clone()));
        }
    }
}

/// All sessions of this process.
#[derive(Debug)]
pub(crate) struct SessionTable {
    table: Mutex<Table>,
    woken: watch::Sender<()>,
}

impl SessionTable {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::new(Table {
                live: BTreeMap::new(),
                history: History::from(0),
                epoch: 0,
            }),
            woken: watch::Sender::new(()),
        })
    }

    fn raw(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table as it is now: nothing in it has run out.
    fn now(&self) -> MutexGuard<'_, Table> {
        let mut table = self.raw();
        let before = table.history.end();
        table.expire(Instant::now());
        if table.history.end() != before {
            self.woken.send_replace(());
        }
        table
    }

    /// Changes the table and wakes the streams.
    fn change<T>(&self, change: impl FnOnce(&mut Table) -> T) -> T {
        let answer = change(&mut self.now());
        self.woken.send_replace(());
        answer
    }

    /// Whether the session is open and its lease has not run out.
    pub(crate) fn lives(&self, session: &SessionId) -> bool {
        self.now().live.contains_key(session)
    }

    /// Ends the session now, as if its lease had run out.
    pub(crate) fn end(&self, session: &SessionId) {
        self.change(|table| table.end(session));
    }

    /// Ends every stream with `Unavailable`.
    pub(crate) fn end_streams(&self) {
        self.change(|table| table.epoch += 1);
    }
}

impl Source for SessionTable {
    type Event = SessionEvent;

    fn look(&self, position: u64, epoch: u64) -> Look<SessionEvent> {
        let table = self.now();
        if table.epoch != epoch {
            return Look::Over(ErrorKind::Unavailable);
        }
        match table.history.after(position) {
            None => Look::Over(ErrorKind::Unavailable),
            Some(events) if events.is_empty() => {
                Look::Nothing(table.live.values().map(|lease| lease.deadline).min())
            }
            Some(events) => Look::Events(events),
        }
    }

    fn epoch(&self) -> u64 {
        self.raw().epoch
    }

    fn subscribe(&self) -> watch::Receiver<()> {
        self.woken.subscribe()
    }
}

#[async_trait]
impl Sessions for Store {
    async fn open(&self, me: &WorkerInfo, ttl: Duration) -> Result<Session> {
        let id = random_id()?;
        let lease = Lease {
            info: me.clone(),
            ttl,
            deadline: from_now(ttl),
            drain_asked: false,
        };
        self.sessions.change(|table| {
            let event = SessionEvent::Live(id.clone(), lease.info.clone());
            table.live.insert(id.clone(), lease);
            table.history.push(event);
        });
        Ok(Session { id, ttl })
    }

    async fn renew(&self, session: &SessionId, info: Option<&WorkerInfo>) -> Result<()> {
        self.sessions.change(|table| {
            let Some(lease) = table.live.get_mut(session) else {
                let lost = BackendError::new("sessions.renew", ErrorKind::SessionLost);
                return Err(lost.context(session));
            };
            lease.deadline = from_now(lease.ttl);
            if let Some(info) = info.filter(|info| **info != lease.info) {
                lease.info = info.clone();
                let event = SessionEvent::Live(session.clone(), info.clone());
                table.history.push(event);
            }
            Ok(())
        })
    }

    async fn ask_to_drain(&self, session: &SessionId) -> Result<bool> {
        Ok(self.sessions.change(|table| {
            let Some(lease) = table.live.get_mut(session) else {
                return false;
            };
            lease.drain_asked = true;
            table
                .history
                .push(SessionEvent::DrainAsked(session.clone()));
            true
        }))
    }

    async fn close(&self, session: &SessionId) -> Result<()> {
        self.sessions.end(session);
        Ok(())
    }

    async fn live(&self) -> Result<Events<SessionEvent>> {
        let (first, position) = {
            let table = self.sessions.now();
            let live = (table.live.iter())
                .flat_map(|(id, lease)| SessionEvent::of_live(id, &lease.info, lease.drain_asked));
            let first = live.chain([SessionEvent::Synced]).collect();
            (first, table.history.end())
        };
        let all = |_, event| Some(event);
        Ok(follow(
            &self.sessions,
            "sessions.live",
            position,
            first,
            all,
        ))
    }
}

fn random_id() -> Result<SessionId> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        BackendError::new("sessions.open", ErrorKind::Unavailable)
            .context(format!("no randomness for a session id: {error}"))
    })?;
    Ok(SessionId(format!("{:032x}", u128::from_be_bytes(bytes))))
}
