//! The claim protocol of the model: each call is a step of `backend::protocol` under the lock.

use std::time::Duration;

use async_trait::async_trait;

use super::MemoryStore;
use super::history::{Event, cursor};
use super::mutant::StepOf;
use super::watch::Kind;
use crate::backend::protocol;
use crate::backend::{
    Adopt, Adopted, Cursor, Decide, Decided, End, Ended, Events, Fence, FireEvent, FireFeed,
    FireView, Fires, RecordSeen, Request, Result, SessionId, Settle, Settled, Take, Taken,
    Triggered,
};
use crate::job::JobName;
use crate::run::RunKey;

#[async_trait]
impl Fires for MemoryStore {
    async fn decide(&self, session: &SessionId, due: &[Decide]) -> Result<Vec<Decided>> {
        protocol::check_batch(due)?;
        self.shared.change(|state| {
            // The items are of different jobs and the session cannot go in between, so that either the
            // first of them is refused or none.
            let decide = |due: &Decide| {
                let due = state.asked_decide(due);
                state.step(StepOf::Decide, |facts, at| {
                    protocol::decide(facts, session, &due, at)
                })
            };
            due.iter().map(decide).collect()
        })
    }

    async fn adopt(&self, adopt: &Adopt) -> Result<Adopted> {
        self.shared.change(|state| {
            let adopt = state.asked_adopt(adopt);
            state.step(StepOf::Adopt, |facts, at| {
                protocol::adopt(facts, &adopt, at)
            })
        })
    }

    async fn take(&self, session: &SessionId, take: &Take) -> Result<Taken> {
        self.shared.change(|state| {
            let take = state.asked_take(take);
            state.step(StepOf::Take, |facts, at| {
                protocol::take(facts, session, &take, at)
            })
        })
    }

    async fn end(&self, end: &End) -> Result<Ended> {
        self.shared.change(|state| {
            let end = state.asked_end(end);
            state.step(StepOf::End, |facts, at| protocol::end(facts, &end, at))
        })
    }

    async fn rebind(
        &self,
        session: &SessionId,
        job: &JobName,
        key: &RunKey,
        fence: Fence,
    ) -> Result<Option<Fence>> {
        self.shared.change(|state| {
            state.step(StepOf::Rebind, |facts, at| {
                protocol::rebind(facts, session, job, key, fence, at)
            })
        })
    }

    async fn settle(&self, settle: &Settle) -> Result<Settled> {
        self.shared.change(|state| {
            state.step(StepOf::Settle, |facts, at| {
                protocol::settle(facts, settle, at)
            })
        })
    }

    async fn trigger(&self, job: &JobName, request: &Request) -> Result<Triggered> {
        self.shared.change(|state| {
            state.step(StepOf::Trigger, |facts, _| {
                protocol::trigger(facts, job, request)
            })
        })
    }
}

#[async_trait]
impl FireFeed for MemoryStore {
    async fn snapshot(&self) -> Result<(FireView, Cursor)> {
        Ok(self.shared.change(|state| {
            let mut view = FireView {
                marks: (state.marks.iter())
                    .map(|(job, mark)| (job.clone(), mark.clone()))
                    .collect(),
                open: state.open.values().cloned().collect(),
                wait: state.wait.values().cloned().collect(),
                done: state.done.values().cloned().collect(),
            };
            view.wait.sort_by_key(|wait| wait.version);
            (view, cursor(state.history.end()))
        }))
    }

    async fn watch(&self, from: Cursor) -> Result<Events<(Cursor, FireEvent)>> {
        let kind = Kind {
            op: "feed.watch",
            pick: |after, event| match event {
                Event::Fire(event) => Some((cursor(after), event.clone())),
                _ => None,
            },
            progress: Some(|at| (cursor(at), FireEvent::Progress)),
            expiry: |state| state.orphaned_marks.values().min().copied(),
        };
        self.shared.follow(kind, &from)
    }

    async fn clean(&self, done: &[RecordSeen], _patience: Duration) -> Result<u32> {
        Ok(self.shared.change(|state| {
            let mut deleted = 0;
            for seen in done {
                let record = (seen.job.clone(), seen.key.clone());
                if state.done.get(&record).map(|done| done.version) != Some(seen.version) {
                    continue;
                }
                state.done.remove(&record);
                let gone = RecordSeen {
                    version: state.next_version(),
                    ..seen.clone()
                };
                state.history.push(Event::Fire(FireEvent::DoneGone(gone)));
                deleted += 1;
            }
            deleted
        }))
    }
}
