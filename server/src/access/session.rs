//! People's sessions: begun by a token or by the provider's word, recognised by the secret that a browser holds, ended.
//!
//! A session is known to all servers, because it is kept with the fleet, as the SHA-256 of its secret: of 256 random bits
//! a faster hash gives nothing away. Its CSRF token is kept in the same way, and is told once, when it begins: so who has
//! come by the secret, or by what the store keeps, cannot change anything with it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sandclock_core::access::{self, Grant, SignIn};
use sandclock_core::backend::{Docs, Result as Stored, Version};
use tokio::time::{Instant, sleep, timeout};

use super::{Caller, Denied, Gate, NOTE_PATIENCE, NOTED, secret};
use crate::leader::Leads;
use crate::list::List;
use crate::request;

/// How often the server that leads forgets sessions that have ended.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// How long sessions last.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// At most.
    pub whole: Duration,
    /// Unused.
    pub idle: Duration,
}

/// Somebody who has shown who they are.
#[derive(Clone, Debug)]
pub struct Person {
    /// Whose session it is, so that no other's has the same.
    pub subject: String,
    /// What people call them; stands in records of what they do.
    pub name: String,
    /// What they may do.
    pub grant: Grant,
    /// The id of the token that they have shown, if it was one.
    pub token: Option<String>,
}

/// A session that has begun.
#[derive(Debug)]
pub struct Begun {
    /// What the browser holds. It is nowhere else.
    pub secret: String,
    /// What its page says with each change. It is nowhere else, and does not follow from the secret.
    pub csrf: String,
    /// What is kept.
    pub kept: SignIn,
}

type Kept = (Version, SignIn);

pub(super) fn list(docs: &Arc<dyn Docs>) -> List<Kept> {
    fn read(docs: &dyn Docs) -> BoxFuture<'_, Stored<BTreeMap<String, Kept>>> {
        Box::pin(async {
            let all = access::sign_ins(docs).await?.into_iter();
            Ok(all.map(|kept| (kept.1.id.clone(), kept)).collect())
        })
    }
    List::new("sessions", Arc::clone(docs), read)
}

impl Gate {
    /// Begins a session.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn begin(&self, who: Person, lifetimes: Lifetimes) -> Stored<Begun> {
        let now = self.clock.now();
        let (secret, csrf) = (crate::random::token_hex(32), crate::random::token_hex(32));
        let token = who.token.as_ref().and_then(|id| self.tokens.get(id));
        let until = token.and_then(|token| token.expires_at);
        let end = now.plus(lifetimes.whole);
        let kept = SignIn {
            id: secret::fingerprint(&secret),
            csrf: secret::fingerprint(&csrf),
            subject: who.subject,
            name: who.name,
            grant: who.grant,
            token: who.token,
            created_at: now,
            used_at: now,
            expires_at: until.map_or(end, |until| until.min(end)),
            idle: lifetimes.idle,
        };
        access::begin(&*self.docs, &kept).await?;
        self.sessions.changed();
        Ok(Begun { secret, csrf, kept })
    }

    /// Whose session has this secret, and what is kept of it.
    ///
    /// # Errors
    /// If it does not open.
    pub async fn admit_session(&self, secret: &str) -> Result<(Caller, SignIn), Denied> {
        let id = secret::fingerprint(secret);
        let kept = self.sessions.find(&id).await.map_err(Denied::Away)?;
        let (version, kept) = kept.ok_or(Denied::Ended)?;
        let caller = self.caller(&kept).await?;
        self.note_presence(version, kept.clone()).await;
        Ok((caller, kept))
    }

    /// What is known of a session.
    pub fn session(&self, id: &str) -> Option<SignIn> {
        self.sessions.get(id).map(|(_, kept)| kept)
    }

    /// Ends a session: from now on it opens nothing here.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn end(&self, id: &str) -> Stored<()> {
        access::end_sign_in(&*self.docs, id).await?;
        self.sessions.remove(id);
        Ok(())
    }

    /// How long somebody who could not sign in from there has to wait, if it was tried too often; whoever can is let in.
    pub fn failed_to_sign_in(&self, from: IpAddr) -> Option<Duration> {
        self.known().throttle.wrong(SIGN_IN, from, Instant::now())
    }

    /// How long nobody is heard who wants to sign in from there, if it was tried too often.
    pub fn hears_again_in(&self, from: IpAddr) -> Option<Duration> {
        self.known().throttle.left(SIGN_IN, from, Instant::now())
    }

    /// Whether the session would open now.
    pub(super) async fn still_open(&self, id: &str) -> bool {
        // Without an answer the last list counts.
        let _ = self.sessions.refresh().await;
        match self.session(id) {
            Some(kept) => self.caller(&kept).await.is_ok(),
            None => false,
        }
    }

    /// Who it is, if the session has not ended, nor its token.
    async fn caller(&self, kept: &SignIn) -> Result<Caller, Denied> {
        let now = self.clock.now();
        if kept.has_ended(now) {
            return Err(Denied::Ended);
        }
        let (name, grant) = match &kept.token {
            None => (kept.name.clone(), kept.grant.clone()),
            Some(id) => {
                let token = self.tokens.find(id).await.map_err(Denied::Away)?;
                let token = token.filter(|token| !token.has_expired(now));
                let token = token.ok_or(Denied::Ended)?;
                (token.name, token.grant)
            }
        };
        Ok(Caller {
            id: kept.token.clone(),
            session: Some(kept.id.clone()),
            name,
            grant,
        })
    }

    /// Writes down that the session is used, now and then. No request fails because of it.
    async fn note_presence(&self, version: Version, kept: SignIn) {
        let now = self.clock.now();
        let often = NOTED.min(kept.idle / 4);
        if now.since(kept.used_at) < often {
            return;
        }
        let used = SignIn {
            used_at: now,
            ..kept
        };
        // Others need not write it, too.
        self.sessions.put(&used.id, (version, used.clone()));
        let note = access::note_presence(&*self.docs, version, &used);
        let noted = request::aside(timeout(NOTE_PATIENCE, note)).await;
        if !matches!(noted, Ok(Ok(()))) {
            tracing::debug!("a session's use could not be written down");
        }
    }
}

/// Whether this is the session's CSRF token. Hashes are compared, of which how long that takes gives nothing away.
pub(crate) fn is_csrf(kept: &SignIn, said: &str) -> bool {
    secret::fingerprint(said) == kept.csrf
}

/// What stands for a try to sign in where wrong tokens are counted.
const SIGN_IN: &str = "sign in";

/// Forgets what has ended whenever this server leads, for ever. Two that do so at once change nothing more than one (A4).
pub async fn sweep(docs: &dyn Docs, clock: &dyn sandclock_core::time::Clock, leads: &Leads) {
    loop {
        sleep(SWEEP_EVERY).await;
        if !leads.get() {
            continue;
        }
        match swept(docs, clock).await {
            Ok(0) => {}
            Ok(sessions) => tracing::debug!(sessions, "sessions that had ended are forgotten"),
            Err(error) => tracing::debug!(%error, "sessions that have ended stay for now"),
        }
    }
}

async fn swept(docs: &dyn Docs, clock: &dyn sandclock_core::time::Clock) -> Stored<usize> {
    let (tokens, now) = (access::tokens(docs).await?, clock.now());
    // One that cannot be read may be a later program's.
    let valid = |stored: &&access::StoredToken| {
        let token = stored.token.as_ref();
        token.map_or(true, |token| !token.has_expired(now))
    };
    let valid: Vec<_> = tokens.iter().filter(valid).map(|one| &*one.id).collect();
    access::sweep(docs, &valid, now).await
}
