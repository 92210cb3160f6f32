//! The claim protocol's reads: all records at one revision, what changes after it, and their clean-up.
//!
//! One watch over everything that is ours keeps the changes of all kinds in one order; what it shows besides,
//! such as sessions and kills, is little. A record that cannot be read, because a later program wrote it or
//! somebody damaged it, is left out with a warning: one bad record must not keep every worker from the rest.

use std::time::Duration;

use async_trait::async_trait;
use etcd_client::KeyValue;
use sandclock_core::backend::protocol::Change as Written;
use sandclock_core::backend::{
    Cursor, Events, FireEvent, FireFeed, FireView, RecordSeen, Result, Version, Versioned,
};
use sandclock_core::job::JobName;
use sandclock_core::run::RunKey;
use sandclock_core::stored::{self, Stored};

use crate::keys::Record;
use crate::store::Store;
use crate::watch::{self, Change, Source, Watch, cursor, version};

/// The record in these bytes, unless they are none; then somebody should look.
pub(crate) fn readable<T: Stored>(key: &[u8], value: &[u8]) -> Option<T> {
    match stored::decode(value) {
        Ok(record) => Some(record),
        Err(error) => {
            let key = String::from_utf8_lossy(key);
            tracing::warn!(%key, %error, "a record is left out because it cannot be read");
            None
        }
    }
}

fn versioned<T: Stored>(key: &[u8], version: Version, value: &[u8]) -> Option<Versioned<T>> {
    let value = readable(key, value)?;
    Some(Versioned { version, value })
}

fn gone(job: JobName, key: RunKey, version: Version) -> RecordSeen {
    RecordSeen { job, key, version }
}

/// What a write of ours is to those who watch.
fn event_of(written: Written, version: Version) -> Option<FireEvent> {
    Some(match written {
        Written::Mark(job, value) => FireEvent::Mark(job, Versioned { version, value }),
        Written::Open(value) => FireEvent::Open(Versioned { version, value }),
        Written::Wait(value) => FireEvent::Wait(Versioned { version, value }),
        Written::Done(value) => FireEvent::Done(Box::new(Versioned {
            version,
            value: *value,
        })),
        Written::OpenGone(..) | Written::WaitGone(..) | Written::Request(..) => return None,
    })
}

impl Store {
    /// What a change of a key means to the protocol, if anything.
    fn fire_event(&self, change: &Change) -> Option<FireEvent> {
        let Change { key, version, .. } = change;
        let record = self.keys.record_of(key)?;
        let Some(value) = &change.value else {
            return Some(match record {
                Record::Mark(job) => FireEvent::MarkGone(job, *version),
                Record::Open(job, run) => FireEvent::OpenGone(gone(job, run, *version)),
                Record::Wait(job, run) => FireEvent::WaitGone(gone(job, run, *version)),
                Record::Done(job, run) => FireEvent::DoneGone(gone(job, run, *version)),
            });
        };
        match record {
            Record::Mark(job) => {
                let mark = stored::parse_mark(std::str::from_utf8(value).ok()?)?;
                let version = *version;
                Some(FireEvent::Mark(
                    job,
                    Versioned {
                        version,
                        value: mark,
                    },
                ))
            }
            Record::Open(..) => versioned(key, *version, value).map(FireEvent::Open),
            Record::Wait(..) => versioned(key, *version, value).map(FireEvent::Wait),
            Record::Done(..) => {
                versioned(key, *version, value).map(|done| FireEvent::Done(Box::new(done)))
            }
        }
    }

    /// Adds a record to the view.
    fn add(&self, view: &mut FireView, kv: &KeyValue) {
        let change = Change {
            key: kv.key().to_vec(),
            value: Some(kv.value().to_vec()),
            version: version(kv.mod_revision()),
            created: version(kv.create_revision()),
        };
        self.recall.follow(&change);
        match self.fire_event(&change) {
            Some(FireEvent::Mark(job, mark)) => view.marks.push((job, mark)),
            Some(FireEvent::Open(open)) => view.open.push(open),
            Some(FireEvent::Wait(wait)) => view.wait.push(wait),
            Some(FireEvent::Done(done)) => view.done.push(*done),
            _ => {}
        }
    }
}

/// The feed of the protocol's records.
struct Feed {
    store: Store,
    watch: Watch,
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.store.echoes.watched(false);
    }
}

impl Source for Feed {
    type Item = (Cursor, FireEvent);

    async fn next(&mut self) -> Result<Vec<Self::Item>> {
        let news = self.watch.next().await?;
        let mut events = Vec::with_capacity(news.changes.len());
        for change in &news.changes {
            self.store.recall.follow(change);
            let event = match self.store.echoes.meaning(change) {
                Some(written) => event_of(written, change.version),
                None => self.store.fire_event(change),
            };
            if let Some(event) = event {
                events.push((watch::before(change.version), event));
            }
        }
        if events.is_empty() {
            events.push((cursor(news.seen), FireEvent::Progress));
        }
        Ok(events)
    }
}

#[async_trait]
impl FireFeed for Store {
    async fn snapshot(&self) -> Result<(FireView, Cursor)> {
        const OP: &str = "feed.snapshot";
        let (mut view, mut at) = (FireView::default(), None);
        self.recall.clear();
        for kind in ["mark", "open", "wait", "done"] {
            let (records, revision) = self.client.range(OP, &self.keys.all(kind), at).await?;
            at = Some(revision);
            records.iter().for_each(|kv| self.add(&mut view, kv));
        }
        // A wait record is never changed, so its version says when it began to wait.
        view.wait.sort_by_key(|wait| wait.version);
        self.bury(OP, &view).await?;
        Ok((view, cursor(at.unwrap_or_default())))
    }

    async fn watch(&self, from: Cursor) -> Result<Events<(Cursor, FireEvent)>> {
        const OP: &str = "feed.watch";
        let seen = watch::seen(OP, &from)?;
        let watch = Watch::open(&self.client, OP, &self.keys.ours(), seen).await?;
        self.echoes.watched(true);
        let store = self.clone();
        Ok(watch::events(Vec::new(), Feed { store, watch }))
    }

    async fn clean(&self, done: &[RecordSeen], patience: Duration) -> Result<u32> {
        self.clean_along(done, patience).await
    }
}
