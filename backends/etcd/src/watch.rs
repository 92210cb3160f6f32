//! A watch of one range from a revision on, which never ends silently (W11 of the Go fleet's faults).
//!
//! What a reader can resume from is the revision up to which it has seen everything. The changes of one
//! revision may come in several messages, so a change of revision `r` only proves that all before `r` was
//! seen; a message without changes proves its own revision. After a resumption the last revision comes twice,
//! which readers expect.

use etcd_client::{EventType, WatchOptions, WatchStream};
use futures_util::stream;
use sandclock_core::backend::{Cursor, Events, Result, Version};
use sandclock_core::{BackendError, ErrorKind};

use crate::client::{Client, revision};
use crate::error::{Nature, from_driver};
use crate::keys::{Key, Range};

/// One change of one key.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) key: Key,
    /// What stands there now; `None` if it was deleted.
    pub(crate) value: Option<Vec<u8>>,
    /// The revision of the change.
    pub(crate) version: Version,
    /// When this life of the key began.
    pub(crate) created: Version,
}

/// A message of a watch.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) changes: Vec<Change>,
    /// Everything up to here has been seen once the changes have.
    pub(crate) seen: i64,
}

/// An open watch.
#[derive(Debug)]
pub(crate) struct Watch {
    stream: WatchStream,
    op: &'static str,
}

impl Watch {
    /// Watches what changes after `seen`, and waits until the server has begun.
    ///
    /// # Errors
    /// `CursorExpired` if that history is gone.
    pub(crate) async fn open(
        client: &Client,
        op: &'static str,
        range: &Range,
        seen: i64,
    ) -> Result<Self> {
        let options = WatchOptions::new()
            .with_range(range.end.clone())
            .with_start_revision(seen.saturating_add(1))
            .with_progress_notify()
            .with_fragment();
        let mut caller = client.watch();
        let open = async {
            let mut stream = caller.watch(range.start.clone(), Some(options)).await?;
            let first = stream.message().await?;
            Ok((stream, first))
        };
        let (stream, first) = client.within(op, Nature::Reads, open).await?;
        let watch = Self { stream, op };
        match first {
            Some(first) if first.created() && !first.canceled() => Ok(watch),
            other => Err(watch.ended(other.as_ref())),
        }
    }

    /// The next message. After an error the watch is over.
    pub(crate) async fn next(&mut self) -> Result<News> {
        let message = self.stream.message().await;
        let message = message.map_err(|error| from_driver(self.op, Nature::Reads, error))?;
        let message = match message {
            Some(message) if !message.canceled() => message,
            over => return Err(self.ended(over.as_ref())),
        };
        let mut changes = Vec::with_capacity(message.events().len());
        for event in message.events() {
            if let Some(kv) = event.kv() {
                changes.push(Change {
                    key: kv.key().to_vec(),
                    value: (event.event_type() == EventType::Put).then(|| kv.value().to_vec()),
                    version: version(kv.mod_revision()),
                    created: version(kv.create_revision()),
                });
            }
        }
        let seen = match changes.last() {
            Some(last) => i64::try_from(last.version.0).unwrap_or(i64::MAX) - 1,
            None => revision(message.header()),
        };
        Ok(News { changes, seen })
    }

    /// Why a watch is over that the server has ended.
    fn ended(&self, message: Option<&etcd_client::WatchResponse>) -> BackendError {
        match message {
            Some(message) if message.compact_revision() > 0 => {
                BackendError::new(self.op, ErrorKind::CursorExpired)
            }
            Some(message) => {
                BackendError::new(self.op, ErrorKind::Unavailable).context(message.cancel_reason())
            }
            None => BackendError::new(self.op, ErrorKind::Unavailable)
                .context("the server has ended the watch"),
        }
    }
}

/// A version from etcd's number of a change.
pub(crate) fn version(revision: i64) -> Version {
    Version(u64::try_from(revision).unwrap_or(0))
}

/// The cursor that says: everything up to this revision has been seen.
pub(crate) fn cursor(seen: i64) -> Cursor {
    Cursor(bytes::Bytes::copy_from_slice(&seen.to_be_bytes()))
}

/// Up to where everything has been seen that was before this change.
pub(crate) fn seen_before(change: Version) -> i64 {
    i64::try_from(change.0).unwrap_or(i64::MAX) - 1
}

/// The cursor that says: everything before this change has been seen.
pub(crate) fn before(change: Version) -> Cursor {
    cursor(seen_before(change))
}

/// The revision that a cursor says.
///
/// # Errors
/// `CursorExpired` for the cursor of another store.
pub(crate) fn seen(op: &'static str, cursor: &Cursor) -> Result<i64> {
    let bytes: std::result::Result<[u8; 8], _> = cursor.0.as_ref().try_into();
    match bytes {
        Ok(bytes) => Ok(i64::from_be_bytes(bytes)),
        Err(_) => Err(BackendError::new(op, ErrorKind::CursorExpired)),
    }
}

/// What a contract makes of a watch.
pub(crate) trait Source: Send + 'static {
    /// What its readers get.
    type Item: Send;

    /// The next items, possibly none. It is not asked again after an error.
    fn next(&mut self) -> impl Future<Output = Result<Vec<Self::Item>>> + Send;
}

/// `first`, then a source until its first error, which comes last.
pub(crate) fn events<S: Source>(first: Vec<S::Item>, source: S) -> Events<S::Item> {
    let state = (Some(source), first.into_iter());
    Box::pin(stream::unfold(state, async |(mut source, mut ready)| {
        loop {
            if let Some(item) = ready.next() {
                return Some((Ok(item), (source, ready)));
            }
            match source.as_mut()?.next().await {
                Ok(items) => ready = items.into_iter(),
                Err(error) => return Some((Err(error), (None, ready))),
            }
        }
    }))
}
