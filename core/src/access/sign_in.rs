//! Who is signed in: a record for each browser in which somebody has shown who they are, kept with the fleet like tokens.
//!
//! People and the API call it a session; here that word is a worker's proof of life. The secret that a browser holds is
//! never here, only its hash, by which the record is found; nor is the word without which the secret changes nothing.

use std::cmp::Reverse;
use std::time::Duration;

use super::{Docs, Grant, put};
use crate::backend::docs::DocKind;
use crate::backend::{Precondition, Result, Version};
use crate::error::ErrorKind;
use crate::stored;
use crate::time::Timestamp;

/// How many of one subject there may be at once; with another one, the one that was used least recently ends.
pub const MAX_OF_ONE: usize = 10;

/// How many there may be in a fleet; with another one, the one that was used least recently ends.
pub const MAX_OF_ALL: usize = 1_000;

/// Somebody who is signed in, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// The SHA-256 of its secret, in hexadecimal.
    pub id: String,
    /// The SHA-256 of its CSRF token, in hexadecimal. The token is random: nothing that is kept or sent leads to it.
    pub csrf: String,
    /// Whose it is, so that no other's has the same.
    pub subject: String,
    /// What people call them; stands in records of what they did.
    pub name: String,
    /// What it allows. If it is a token's, the token says.
    pub grant: Grant,
    /// The id of the token that it ends with, if it was made with one.
    pub token: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was used last, as far as it was written down.
    pub used_at: Timestamp,
    /// From when on it is of no use.
    pub expires_at: Timestamp,
    /// How long it lasts unused.
    pub idle: Duration,
}

impl SignIn {
    /// Whether its time is over, or it was not used for too long.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        now >= self.expires_at || now >= self.used_at.plus(self.idle)
    }
}

/// Everybody who is signed in, with the version of the record. What cannot be read is left out. Idempotent.
///
/// # Errors
/// If the store does not answer.
pub async fn sign_ins(docs: &dyn Docs) -> Result<Vec<(Version, SignIn)>> {
    let found = docs.list(DocKind::SignIn).await?;
    let read = |doc: &crate::backend::Doc| Some((doc.version, stored::decode(&doc.body).ok()?));
    Ok(found.iter().filter_map(read).collect())
}

/// Keeps a new one, and ends those for which there is no room beside it. Two servers that do so at once may leave one too
/// many until the next.
///
/// # Errors
/// If the store does not answer.
pub async fn begin(docs: &dyn Docs, new: &SignIn) -> Result<()> {
    let all = sign_ins(docs).await?;
    for id in surplus(all.into_iter().map(|(_, one)| one).collect(), &new.subject) {
        end_sign_in(docs, &id).await?;
    }
    put(docs, DocKind::SignIn, &new.id, new, Precondition::Absent).await
}

/// The ids of those that make room for a new one of this subject.
fn surplus(mut all: Vec<SignIn>, subject: &str) -> Vec<String> {
    all.sort_by_key(|one| Reverse(one.used_at));
    let (mut of_one, mut of_all) = (0, 0);
    all.retain(|one| {
        of_one += usize::from(one.subject == subject);
        let too_many = one.subject == subject && of_one >= MAX_OF_ONE;
        of_all += usize::from(!too_many);
        too_many || of_all >= MAX_OF_ALL
    });
    all.into_iter().map(|one| one.id).collect()
}

/// Writes down when it was used last, unless it has ended or was written meanwhile.
///
/// # Errors
/// If the store does not answer.
pub async fn note_presence(docs: &dyn Docs, version: Version, used: &SignIn) -> Result<()> {
    let as_seen = Precondition::Matches(version);
    settled(put(docs, DocKind::SignIn, &used.id, used, as_seen).await)
}

/// Ends one, whether it is there or not.
///
/// # Errors
/// If the store does not answer.
pub async fn end_sign_in(docs: &dyn Docs, id: &str) -> Result<()> {
    settled(docs.delete(DocKind::SignIn, id, Precondition::Any).await)
}

/// Forgets those whose time is over or whose token is none of these any more; how many.
///
/// # Errors
/// If the store does not answer.
pub async fn sweep(docs: &dyn Docs, tokens: &[&str], now: Timestamp) -> Result<usize> {
    let over = |one: &SignIn| {
        let has_token = |token: &String| tokens.contains(&&**token);
        one.has_ended(now) || !one.token.as_ref().is_none_or(has_token)
    };
    let mut all = sign_ins(docs).await?;
    all.retain(|(_, one)| over(one));
    for (version, one) in &all {
        // One that was used meanwhile stays.
        let as_seen = Precondition::Matches(*version);
        settled(docs.delete(DocKind::SignIn, &one.id, as_seen).await)?;
    }
    Ok(all.len())
}

/// What somebody else did first is no error.
fn settled(done: Result<()>) -> Result<()> {
    match done {
        Err(error) if !matches!(error.kind, ErrorKind::NotFound | ErrorKind::Conflict) => {
            Err(error)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Role;

    fn used(at: usize, subject: &str) -> SignIn {
        let at = Timestamp::from_millis(i64::try_from(at).unwrap());
        SignIn {
            id: at.as_millis().to_string(),
            csrf: String::new(),
            subject: subject.to_owned(),
            name: String::new(),
            grant: Grant::unlimited(Role::Viewer),
            token: None,
            created_at: at,
            used_at: at,
            expires_at: at.plus(Duration::from_secs(100)),
            idle: Duration::from_secs(10),
        }
    }

    #[test]
    fn it_ends_unused_or_at_its_end() {
        let one = used(0, "a");
        let after = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        assert!(!one.has_ended(after(9)) && one.has_ended(after(10)));
        let later = SignIn {
            used_at: after(95),
            ..one
        };
        assert!(!later.has_ended(after(99)) && later.has_ended(after(100)));
    }

    #[test]
    fn the_least_recently_used_makes_room() {
        let mut all: Vec<_> = (0..MAX_OF_ONE).map(|at| used(at, "a")).collect();
        all.push(used(MAX_OF_ONE, "b"));
        assert_eq!(surplus(all.clone(), "b"), [""; 0]);
        assert_eq!(surplus(all.clone(), "a"), ["0"]);
        all.remove(0);
        assert_eq!(surplus(all, "a"), [""; 0]);
        let full = |count| (0..count).map(|at| used(at, &at.to_string())).collect();
        assert_eq!(surplus(full(MAX_OF_ALL - 1), "x"), [""; 0]);
        assert_eq!(surplus(full(MAX_OF_ALL), "x"), ["0"]);
    }
}
