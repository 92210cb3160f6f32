//! Who is at the door: tokens of the fleet and people's sessions, checked on every request.
//!
//! Both are kept with the fleet's jobs, so that every server and worker knows the same ones. A gate reads them again
//! when its [`List`] of them is too old: so long a revoked token may still be of use.

mod derived;
mod first;
mod secret;
mod session;
mod throttle;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sandclock_core::access::{self, Grant, Role, SignIn, Token, TokenUse};
use sandclock_core::backend::{Docs, Version};
use sandclock_core::time::Clock;
use sandclock_core::{BackendError, Timestamp};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

pub(crate) use self::derived::{Purpose, derive, fits};
pub(crate) use self::first::ready;
pub(crate) use self::secret::{hash, is_earlier, make, new_id};
pub(crate) use self::session::is_csrf;
pub use self::session::{Begun, Lifetimes, Person, sweep};
use self::throttle::Throttle;
use crate::list::List;
use crate::request;

/// How long the store may take to note a use.
const NOTE_PATIENCE: Duration = Duration::from_secs(1);

/// How often at most the last use of a token or session is written down.
const NOTED: Duration = Duration::from_secs(60);

/// How many hashes are computed at the same time; each takes 19 MiB.
const HASHES: usize = 2;

/// Whose request it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The token's id, if it is one, or the session is one's.
    pub id: Option<String>,
    /// The session's id, if it is one.
    pub session: Option<String>,
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
    /// It was a session, and has ended.
    Ended,
    /// It is wrong, and so were many that came from there; again after this.
    Throttled(Duration),
    /// Tokens cannot be read.
    Away(BackendError),
}

/// What was found out of tokens.
#[derive(Default)]
struct Known {
    /// Tokens by their SHA-256 that fitted this hash, so that it is computed once.
    fitted: HashMap<String, String>,
    /// When each was noted as used.
    noted: HashMap<String, Instant>,
    throttle: Throttle,
}

fn tokens(docs: &dyn Docs) -> BoxFuture<'_, Result<BTreeMap<String, Token>, BackendError>> {
    Box::pin(async {
        let mut read = BTreeMap::new();
        for stored in access::tokens(docs).await? {
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
        Ok(read)
    })
}

/// What lets requests in.
pub struct Gate {
    docs: Arc<dyn Docs>,
    clock: Arc<dyn Clock>,
    /// Of this process alone, by their SHA-256.
    own: BTreeMap<String, Caller>,
    tokens: List<Token>,
    sessions: List<(Version, SignIn)>,
    known: Mutex<Known>,
    hashes: Semaphore,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

impl Gate {
    /// For the tokens and sessions that this store keeps.
    pub fn new(docs: Arc<dyn Docs>, clock: Arc<dyn Clock>) -> Self {
        Self {
            tokens: List::new("tokens", Arc::clone(&docs), tokens),
            sessions: session::list(&docs),
            docs,
            clock,
            own: BTreeMap::new(),
            known: Mutex::default(),
            hashes: Semaphore::new(HASHES),
        }
    }

    /// Makes a token that opens this gate alone, and that nobody keeps.
    pub fn own_token(&mut self, name: &str, role: Role) -> String {
        let token = secret::make(&secret::new_id());
        let caller = Caller {
            id: None,
            session: None,
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
        let id = secret::id_of(token).ok_or(Denied::Unknown)?;
        let kept = self.tokens.find(&id).await.map_err(Denied::Away)?;
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
            session: None,
            name: token.name,
            grant: token.grant,
        })
    }

    /// Whether whoever was let in would be now.
    pub async fn still_admits(&self, caller: &Caller) -> bool {
        if let Some(session) = &caller.session {
            return self.still_open(session).await;
        }
        let Some(id) = &caller.id else {
            return true;
        };
        // Without an answer the last list counts.
        let _ = self.tokens.refresh().await;
        let kept = self.tokens.get(id);
        kept.is_some_and(|token| !token.has_expired(self.clock.now()))
    }

    /// Hears of a token that was made.
    pub fn made(&self) {
        self.tokens.changed();
    }

    /// Hears of a token that was revoked: from now on it opens nothing here.
    pub fn revoked(&self, id: &str) {
        self.tokens.remove(id);
    }

    /// Reads the tokens, so that they are there if the store goes away before anybody asks.
    pub async fn read(&self) {
        if let Err(error) = self.tokens.refresh().await {
            tracing::warn!(%error, "tokens cannot be read yet");
        }
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
            let mut known = self.known();
            // Of tokens that are gone nothing is remembered.
            let is_kept = |hash: &String| self.tokens.any(|token| token.hash == *hash);
            known.fitted.retain(|_, hash| is_kept(hash));
            (known.noted).retain(|id, _| self.tokens.get(id).is_some());
            known.fitted.insert(print, kept.hash.clone());
        }
        fits
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
