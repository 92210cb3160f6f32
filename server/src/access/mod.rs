//! Who is at the door: tokens of the fleet, checked on every request.
//!
//! Tokens are kept with the fleet's jobs, so that every server and worker knows the same ones. A gate reads them again
//! when its list is older than [`FRESH`]: so long a revoked token may still be of use. While the store is away the
//! last list counts, because what answers people must not end with it.

mod first;
mod secret;
mod throttle;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sandclock_core::access::{self, Grant, Role, Token, TokenUse};
use sandclock_core::backend::Docs;
use sandclock_core::time::Clock;
use sandclock_core::{BackendError, Timestamp};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

pub(crate) use self::first::ready;
pub(crate) use self::secret::{hash, is_earlier, make, new_id};
use self::throttle::Throttle;
use crate::request;

/// How old the list of tokens may be.
const FRESH: Duration = Duration::from_secs(2);

/// How often at most it is read again because of a token that it does not have.
const AGAIN: Duration = Duration::from_millis(100);

/// How long the store may take for it, once there is a list.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long it may take to note a use.
const NOTE_PATIENCE: Duration = Duration::from_secs(1);

/// How often at most a token's last use is written down.
const NOTED: Duration = Duration::from_secs(60);

/// How many hashes are computed at the same time; each takes 19 MiB.
const HASHES: usize = 2;

/// Whose request it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The token's id, if it is one.
    pub id: Option<String>,
    /// What people call it; stands in records of what it did.
    pub name: String,
    /// What it may do.
    pub grant: Grant,
}

/// Why a token does not open.
#[derive(Debug)]
pub enum Denied {
    /// It is not known, or revoked.
    Unknown,
    /// Its time was over then.
    Expired(String, Timestamp),
    /// It is wrong, and so were many that came from there; again after this.
    Throttled(Duration),
    /// Tokens cannot be read.
    Away(BackendError),
}

/// The tokens that are known, and what was found out of them.
#[derive(Default)]
struct Known {
    /// When they were asked for.
    at: Option<Instant>,
    /// How often this process has changed them: what was asked for before is no answer.
    changes: u64,
    /// The store does not answer, and that was said.
    outdated: bool,
    tokens: BTreeMap<String, Token>,
    /// Tokens by their SHA-256 that fitted this hash, so that it is computed once.
    fitted: HashMap<String, String>,
    /// When each was noted as used.
    noted: HashMap<String, Instant>,
    throttle: Throttle,
}

/// What lets requests in.
pub struct Gate {
    docs: Arc<dyn Docs>,
    clock: Arc<dyn Clock>,
    /// Of this process alone, by their SHA-256.
    own: BTreeMap<String, Caller>,
    known: Mutex<Known>,
    /// One reads while the others wait.
    reading: tokio::sync::Mutex<()>,
    hashes: Semaphore,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

impl Gate {
    /// For the tokens that this store keeps.
    pub fn new(docs: Arc<dyn Docs>, clock: Arc<dyn Clock>) -> Self {
        Self {
            docs,
            clock,
            own: BTreeMap::new(),
            known: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            hashes: Semaphore::new(HASHES),
        }
    }

    /// Makes a token that opens this gate alone, and that nobody keeps.
    pub fn own_token(&mut self, name: &str, role: Role) -> String {
        let token = secret::make(&secret::new_id());
        let caller = Caller {
            id: None,
            name: name.to_owned(),
            grant: Grant::unlimited(role),
        };
        self.own.insert(secret::fingerprint(&token), caller);
        token
    }

    /// Whose token this is.
    ///
    /// # Errors
    /// If it does not open.
    pub async fn admit(&self, token: &str, from: IpAddr) -> Result<Caller, Denied> {
        let print = secret::fingerprint(token);
        if let Some(caller) = self.own.get(&print) {
            return Ok(caller.clone());
        }
        self.refresh().await?;
        let id = secret::id_of(token).ok_or(Denied::Unknown)?;
        if !self.known().tokens.contains_key(&id) {
            self.learn().await?;
        }
        let kept = self.known().tokens.get(&id).cloned();
        let kept = kept.ok_or(Denied::Unknown)?;
        if !self.fits(&kept, token, print).await {
            let tried = self.known().throttle.wrong(&id, from, Instant::now());
            return Err(tried.map_or(Denied::Unknown, Denied::Throttled));
        }
        let token = kept;
        if token.has_expired(self.clock.now()) {
            let expired = token.expires_at.unwrap_or(token.created_at);
            return Err(Denied::Expired(token.name, expired));
        }
        self.note_use(&token.id, from).await;
        Ok(Caller {
            id: Some(token.id),
            name: token.name,
            grant: token.grant,
        })
    }

    /// Whether whoever was let in would be now.
    pub async fn still_admits(&self, caller: &Caller) -> bool {
        let Some(id) = &caller.id else {
            return true;
        };
        // Without an answer the last list counts.
        let _ = self.refresh().await;
        let known = self.known();
        let kept = known.tokens.get(id);
        kept.is_some_and(|token| !token.has_expired(self.clock.now()))
    }

    /// Hears of a token that was made.
    pub fn made(&self) {
        let mut known = self.known();
        known.changes += 1;
        known.at = None;
    }

    /// Hears of a token that was revoked: from now on it opens nothing here.
    pub fn revoked(&self, id: &str) {
        self.made();
        self.known().tokens.remove(id);
    }

    /// Whether the token fits the hash that is kept of it.
    async fn fits(&self, kept: &Token, token: &str, print: String) -> bool {
        if self.known().fitted.get(&print) == Some(&kept.hash) {
            return true;
        }
        if !secret::may_fit(&print, &kept.hash) {
            return false;
        }
        let _place = self.hashes.acquire().await;
        let (token, hash) = (token.to_owned(), kept.hash.clone());
        let fitting = tokio::task::spawn_blocking(move || secret::verify(&token, &hash));
        let fits = fitting.await.unwrap_or(false);
        if fits {
            self.known().fitted.insert(print, kept.hash.clone());
        }
        fits
    }

    /// Reads the tokens again if their list is too old.
    ///
    /// # Errors
    /// If there is no list and the store does not answer.
    pub async fn refresh(&self) -> Result<(), Denied> {
        self.read(None).await
    }

    /// Reads the tokens as they are now: another server may just have made the one that is asked for.
    async fn learn(&self) -> Result<(), Denied> {
        let now = Instant::now();
        let age = self.known().at.map(|at| at.elapsed());
        if let Some(left) = age.and_then(|age| AGAIN.checked_sub(age)) {
            sleep(left).await;
        }
        self.read(Some(now)).await
    }

    /// Reads the tokens again if their list is older than this, or too old.
    async fn read(&self, since: Option<Instant>) -> Result<(), Denied> {
        let is_fresh = || {
            let at = self.known().at;
            at.is_some_and(|at| match since {
                Some(since) => at >= since,
                None => at.elapsed() < FRESH,
            })
        };
        if is_fresh() {
            return Ok(());
        }
        let has_list = !self.known().tokens.is_empty();
        let _reading = match self.reading.try_lock() {
            Ok(reading) => reading,
            // Whoever has a list need not wait for the one who reads.
            Err(_) if has_list && since.is_none() => return Ok(()),
            Err(_) => self.reading.lock().await,
        };
        if is_fresh() {
            return Ok(());
        }
        let (asked, changes) = (Instant::now(), self.known().changes);
        let read = match has_list {
            true => timeout(PATIENCE, access::tokens(&*self.docs)).await,
            false => Ok(access::tokens(&*self.docs).await),
        };
        let tokens = match read {
            Ok(Ok(tokens)) => tokens,
            Ok(Err(error)) if !has_list => return Err(Denied::Away(error)),
            // Not asked again with every request, and nobody is shut out.
            Ok(Err(_)) | Err(_) => {
                let mut known = self.known();
                known.at = Some(Instant::now());
                if !std::mem::replace(&mut known.outdated, true) {
                    tracing::warn!(
                        "tokens cannot be read again; those that were read last are valid"
                    );
                }
                return Ok(());
            }
        };
        let mut read = BTreeMap::new();
        for stored in tokens {
            match stored.token {
                Ok(token) => drop(read.insert(stored.id, token)),
                Err(error) => {
                    tracing::warn!(
                        token = stored.id,
                        error = error.reason(),
                        "a token cannot be read"
                    );
                }
            }
        }
        let mut known = self.known();
        if known.changes != changes {
            return Ok(());
        }
        if std::mem::take(&mut known.outdated) {
            tracing::info!("tokens can be read again");
        }
        let kept = |hash: &String| read.values().any(|token| token.hash == *hash);
        known.fitted.retain(|_, hash| kept(hash));
        known.noted.retain(|id, _| read.contains_key(id));
        known.tokens = read;
        known.at = Some(asked);
        Ok(())
    }

    /// Writes down that the token is used, now and then. No request fails because of it.
    async fn note_use(&self, id: &str, from: IpAddr) {
        let now = Instant::now();
        {
            let mut known = self.known();
            let noted = known.noted.get(id);
            if noted.is_some_and(|noted| now.duration_since(*noted) < NOTED) {
                return;
            }
            known.noted.insert(id.to_owned(), now);
        }
        let used = TokenUse {
            id: id.to_owned(),
            at: self.clock.now(),
            from: from.to_string(),
        };
        let noting = timeout(NOTE_PATIENCE, access::note_use(&*self.docs, &used));
        let noted = request::aside(noting).await;
        if !matches!(noted, Ok(Ok(()))) {
            tracing::debug!(token = id, "a token's use could not be written down");
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
