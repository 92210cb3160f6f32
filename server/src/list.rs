//! What the fleet keeps of few things, such as tokens and secrets, as this process has read it last.
//!
//! A list is read again when it is older than [`FRESH`], and at once, but not more often than every [`AGAIN`], when it
//! lacks what is asked for, because another server may just have made that. Who asks while another reads it is told what was
//! known last by [`List::find`], which is for requests, and waits in [`List::find_fresh`]. While the store is away the last list
//! counts, because neither what answers people nor what runs jobs may end with it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sandclock_core::backend::{Docs, Result};
use tokio::time::{Instant, sleep, timeout};

/// How old a list may be.
const FRESH: Duration = Duration::from_secs(2);

/// How often at most it is read again because of something that it does not have.
const AGAIN: Duration = Duration::from_millis(100);

/// How long the store may take for it, once there is a list.
const PATIENCE: Duration = Duration::from_secs(3);

/// Reads all there are, by id.
pub(crate) type Read<T> = fn(&dyn Docs) -> BoxFuture<'_, Result<BTreeMap<String, T>>>;

struct Known<T> {
    /// When they were asked for.
    at: Option<Instant>,
    /// They were read at least once.
    is_there: bool,
    /// How often this process has changed them: what was asked for before is no answer.
    changes: u64,
    /// The store does not answer, and that was said.
    outdated: bool,
    items: BTreeMap<String, T>,
}

/// A list.
pub(crate) struct List<T> {
    /// What it has, as the log says it.
    what: &'static str,
    docs: Arc<dyn Docs>,
    read: Read<T>,
    known: Mutex<Known<T>>,
    /// One reads while the others wait.
    reading: tokio::sync::Mutex<()>,
}

impl<T> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List").finish_non_exhaustive()
    }
}

impl<T: Clone> List<T> {
    pub(crate) fn new(what: &'static str, docs: Arc<dyn Docs>, read: Read<T>) -> Self {
        let known = Known {
            at: None,
            is_there: false,
            changes: 0,
            outdated: false,
            items: BTreeMap::new(),
        };
        Self {
            what,
            docs,
            read,
            known: Mutex::new(known),
            reading: tokio::sync::Mutex::default(),
        }
    }

    /// The one of this id, as it was known last.
    pub(crate) fn get(&self, id: &str) -> Option<T> {
        self.known().items.get(id).cloned()
    }

    /// The one of this id, if need be read as it is now.
    ///
    /// # Errors
    /// If there is no list and the store does not answer.
    pub(crate) async fn find(&self, id: &str) -> Result<Option<T>> {
        self.refresh().await?;
        self.find_or_ask_again(id).await
    }

    /// The same, never older than [`FRESH`] as long as the store answers.
    ///
    /// # Errors
    /// If there is no list and the store does not answer.
    pub(crate) async fn find_fresh(&self, id: &str) -> Result<Option<T>> {
        self.ask(Instant::now().checked_sub(FRESH)).await?;
        self.find_or_ask_again(id).await
    }

    async fn find_or_ask_again(&self, id: &str) -> Result<Option<T>> {
        if let Some(found) = self.get(id) {
            return Ok(Some(found));
        }
        let now = Instant::now();
        let age = self.known().at.map(|at| at.elapsed());
        if let Some(left) = age.and_then(|age| AGAIN.checked_sub(age)) {
            sleep(left).await;
        }
        self.ask(Some(now)).await?;
        Ok(self.get(id))
    }

    /// Reads them again if the list is too old.
    ///
    /// # Errors
    /// If there is no list and the store does not answer.
    pub(crate) async fn refresh(&self) -> Result<()> {
        self.ask(None).await
    }

    /// Whether this is so of any of them, as they were known last.
    pub(crate) fn any(&self, is_so: impl FnMut(&T) -> bool) -> bool {
        self.known().items.values().any(is_so)
    }

    /// Hears that the fleet's are others now.
    pub(crate) fn changed(&self) {
        let mut known = self.known();
        known.changes += 1;
        known.at = None;
    }

    /// Hears of one that is as follows now.
    pub(crate) fn put(&self, id: &str, item: T) {
        self.changed();
        self.known().items.insert(id.to_owned(), item);
    }

    /// Hears of one that is gone.
    pub(crate) fn remove(&self, id: &str) {
        self.changed();
        self.known().items.remove(id);
    }

    fn is_fresh(&self, since: Option<Instant>) -> bool {
        let at = self.known().at;
        at.is_some_and(|at| match since {
            Some(since) => at >= since,
            None => at.elapsed() < FRESH,
        })
    }

    /// Reads them again if the list is older than this, or too old.
    async fn ask(&self, since: Option<Instant>) -> Result<()> {
        if self.is_fresh(since) {
            return Ok(());
        }
        let is_there = self.known().is_there;
        let _reading = match self.reading.try_lock() {
            Ok(reading) => reading,
            // Whoever has a list need not wait for the one who reads.
            Err(_) if is_there && since.is_none() => return Ok(()),
            Err(_) => self.reading.lock().await,
        };
        if self.is_fresh(since) {
            return Ok(());
        }
        let (asked, changes) = (Instant::now(), self.known().changes);
        let reading = (self.read)(&*self.docs);
        let read = match is_there {
            true => timeout(PATIENCE, reading).await,
            false => Ok(reading.await),
        };
        match read {
            Ok(Ok(items)) => self.learn(items, asked, changes),
            Ok(Err(error)) if !is_there => return Err(error),
            Ok(Err(error)) => self.stay(&error.to_string()),
            Err(_) => self.stay("no answer in time"),
        }
        Ok(())
    }

    fn learn(&self, items: BTreeMap<String, T>, asked: Instant, changes: u64) {
        let mut known = self.known();
        if known.changes != changes {
            return;
        }
        if std::mem::take(&mut known.outdated) {
            tracing::info!("{} can be read again", self.what);
        }
        known.items = items;
        known.is_there = true;
        known.at = Some(asked);
    }

    /// The last list counts: the store is not asked again with every request, and nobody is refused.
    fn stay(&self, why: &str) {
        let mut known = self.known();
        known.at = Some(Instant::now());
        if !std::mem::replace(&mut known.outdated, true) {
            let what = self.what;
            tracing::warn!(
                why,
                "{what} cannot be read again; those that were read last are valid"
            );
        }
    }

    fn known(&self) -> MutexGuard<'_, Known<T>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sandclock_core::backend::memory::MemoryStore;
    use sandclock_core::backend::{DocKind, Precondition};

    use super::*;

    fn slowly(docs: &dyn Docs) -> BoxFuture<'_, Result<BTreeMap<String, Bytes>>> {
        Box::pin(async move {
            let found = docs.list(DocKind::Secret).await?;
            sleep(Duration::from_secs(1)).await;
            Ok(found.into_iter().map(|doc| (doc.name, doc.body)).collect())
        })
    }

    #[tokio::test(start_paused = true)]
    async fn who_must_not_have_an_old_item_waits_for_the_one_who_reads() {
        let docs = MemoryStore::new().coordination().docs;
        let put = async |value: &'static str| {
            let (kind, body) = (DocKind::Secret, Bytes::from_static(value.as_bytes()));
            let put = docs.put(kind, "a", &body, Precondition::Any);
            put.await.unwrap();
        };
        put("old").await;
        let list = List::new("secrets", Arc::clone(&docs), slowly);
        assert_eq!(list.find_fresh("a").await.unwrap().unwrap(), "old");
        put("new").await;
        sleep(FRESH * 2).await;
        let (reads, waits, does_not) =
            tokio::join!(list.find_fresh("a"), list.find_fresh("a"), list.find("a"));
        let all = [reads, waits, does_not].map(|found| found.unwrap().unwrap());
        assert_eq!(all, ["new", "new", "old"]);
    }
}
