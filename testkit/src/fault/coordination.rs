//! The contracts of coordination over a [`Line`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sandclock_core::backend::{
    Adopt, Adopted, Candidate, Coordination, Cursor, Decide, Decided, Doc, DocKind, Docs, End,
    Ended, Events, Fence, FireEvent, FireFeed, FireView, Fires, JobEvent, JobSnapshot, JobStore,
    Kill, Kills, Leadership, Precondition, RecordSeen, Request, Result, Session, SessionEvent,
    SessionId, Sessions, Settle, Settled, StoredJob, Take, Taken, Triggered, Versioned, WorkerInfo,
};
use sandclock_core::job::{Job, JobName};
use sandclock_core::run::RunKey;

use super::Line;

#[derive(Debug)]
struct Over {
    line: Arc<Line>,
    inner: Coordination,
}

pub(super) fn over(line: &Arc<Line>, inner: Coordination) -> Coordination {
    let scope = inner.scope;
    let over = Arc::new(Over {
        line: Arc::clone(line),
        inner,
    });
    Coordination {
        jobs: Arc::<Over>::clone(&over),
        sessions: Arc::<Over>::clone(&over),
        fires: Arc::<Over>::clone(&over),
        feed: Arc::<Over>::clone(&over),
        kills: Arc::<Over>::clone(&over),
        leadership: Arc::<Over>::clone(&over),
        docs: over,
        scope,
    }
}

#[async_trait]
impl JobStore for Over {
    async fn snapshot(&self) -> Result<JobSnapshot> {
        over_line!(self, "jobs.snapshot", jobs.snapshot())
    }

    async fn watch(&self, from: Cursor) -> Result<Events<(Cursor, JobEvent)>> {
        let events = over_line!(self, "jobs.watch", jobs.watch(from))?;
        Ok(self.line.events("jobs.watch", events))
    }

    async fn get(&self, name: &JobName) -> Result<Option<StoredJob>> {
        let name = name.clone();
        over_line!(self, "jobs.get", jobs.get(&name))
    }

    async fn put(&self, job: &Job, pre: Precondition) -> Result<Versioned<()>> {
        let job = job.clone();
        over_line!(self, "jobs.put", jobs.put(&job, pre))
    }

    async fn delete(&self, name: &JobName, pre: Precondition) -> Result<()> {
        let name = name.clone();
        over_line!(self, "jobs.delete", jobs.delete(&name, pre))
    }
}

#[async_trait]
impl Sessions for Over {
    async fn open(&self, me: &WorkerInfo, ttl: Duration) -> Result<Session> {
        let me = me.clone();
        over_line!(self, "sessions.open", sessions.open(&me, ttl))
    }

    async fn renew(&self, session: &SessionId, info: Option<&WorkerInfo>) -> Result<()> {
        let (session, info) = (session.clone(), info.cloned());
        over_line!(
            self,
            "sessions.renew",
            sessions.renew(&session, info.as_ref())
        )
    }

    async fn ask_to_drain(&self, session: &SessionId) -> Result<bool> {
        let session = session.clone();
        over_line!(
            self,
            "sessions.ask_to_drain",
            sessions.ask_to_drain(&session)
        )
    }

    async fn close(&self, session: &SessionId) -> Result<()> {
        let session = session.clone();
        over_line!(self, "sessions.close", sessions.close(&session))
    }

    async fn live(&self) -> Result<Events<SessionEvent>> {
        let events = over_line!(self, "sessions.live", sessions.live())?;
        Ok(self.line.events("sessions.live", events))
    }
}

#[async_trait]
impl Fires for Over {
    async fn decide(&self, session: &SessionId, due: &[Decide]) -> Result<Vec<Decided>> {
        let (session, due) = (session.clone(), due.to_vec());
        over_line!(self, "fires.decide", fires.decide(&session, &due))
    }

    async fn adopt(&self, adopt: &Adopt) -> Result<Adopted> {
        let adopt = adopt.clone();
        over_line!(self, "fires.adopt", fires.adopt(&adopt))
    }

    async fn take(&self, session: &SessionId, take: &Take) -> Result<Taken> {
        let (session, take) = (session.clone(), take.clone());
        over_line!(self, "fires.take", fires.take(&session, &take))
    }

    async fn end(&self, end: &End) -> Result<Ended> {
        let end = end.clone();
        over_line!(self, "fires.end", fires.end(&end))
    }

    async fn rebind(
        &self,
        session: &SessionId,
        job: &JobName,
        key: &RunKey,
        fence: Fence,
    ) -> Result<Option<Fence>> {
        let (session, job, key) = (session.clone(), job.clone(), key.clone());
        over_line!(
            self,
            "fires.rebind",
            fires.rebind(&session, &job, &key, fence)
        )
    }

    async fn settle(&self, settle: &Settle) -> Result<Settled> {
        let settle = settle.clone();
        over_line!(self, "fires.settle", fires.settle(&settle))
    }

    async fn trigger(&self, job: &JobName, request: &Request) -> Result<Triggered> {
        let (job, request) = (job.clone(), request.clone());
        over_line!(self, "fires.trigger", fires.trigger(&job, &request))
    }
}

#[async_trait]
impl FireFeed for Over {
    async fn snapshot(&self) -> Result<(FireView, Cursor)> {
        over_line!(self, "feed.snapshot", feed.snapshot())
    }

    async fn watch(&self, from: Cursor) -> Result<Events<(Cursor, FireEvent)>> {
        let events = over_line!(self, "feed.watch", feed.watch(from))?;
        Ok(self.line.events("feed.watch", events))
    }

    async fn clean(&self, done: &[RecordSeen], patience: Duration) -> Result<u32> {
        let done = done.to_vec();
        over_line!(self, "feed.clean", feed.clean(&done, patience))
    }
}

#[async_trait]
impl Kills for Over {
    async fn send(&self, kill: &Kill, retain: Duration) -> Result<()> {
        let kill = kill.clone();
        over_line!(self, "kills.send", kills.send(&kill, retain))
    }

    async fn watch(&self) -> Result<Events<Kill>> {
        let events = over_line!(self, "kills.watch", kills.watch())?;
        Ok(self.line.events("kills.watch", events))
    }
}

#[async_trait]
impl Leadership for Over {
    async fn campaign(&self, me: &Candidate, ttl: Duration) -> Result<Option<Duration>> {
        let me = me.clone();
        over_line!(self, "leadership.campaign", leadership.campaign(&me, ttl))
    }

    async fn hold(&self, me: &Candidate) -> Result<()> {
        let me = me.clone();
        over_line!(self, "leadership.hold", leadership.hold(&me))
    }

    async fn resign(&self, me: &Candidate) -> Result<()> {
        let me = me.clone();
        over_line!(self, "leadership.resign", leadership.resign(&me))
    }
}

#[async_trait]
impl Docs for Over {
    async fn list(&self, kind: DocKind) -> Result<Vec<Doc>> {
        over_line!(self, "docs.list", docs.list(kind))
    }

    async fn put(
        &self,
        kind: DocKind,
        name: &str,
        body: &Bytes,
        pre: Precondition,
    ) -> Result<Versioned<()>> {
        let (name, body) = (name.to_owned(), body.clone());
        over_line!(self, "docs.put", docs.put(kind, &name, &body, pre))
    }

    async fn delete(&self, kind: DocKind, name: &str, pre: Precondition) -> Result<()> {
        let name = name.to_owned();
        over_line!(self, "docs.delete", docs.delete(kind, &name, pre))
    }
}
