//! Who may do what: roles, how far a role reaches, and the tokens that carry them.
//!
//! A token's secret is never here, only a hash of it, which means nothing to core.

mod sign_in;

use std::fmt;

use bytes::Bytes;

use crate::backend::docs::{Doc, DocKind, Docs};
use crate::backend::{Precondition, Result};
use crate::error::{BackendError, ErrorKind};
use crate::job::{JobName, Unfit};
use crate::stored::{self, Stored, StoredError};
use crate::time::Timestamp;

pub use self::sign_in::{
    MAX_OF_ALL, MAX_OF_ONE, SignIn, begin, end_sign_in, note_presence, sign_ins, sweep,
};

/// The longest name of a token, in bytes.
pub const MAX_NAME_BYTES: usize = 100;

/// The most prefixes of a grant.
pub const MAX_PREFIXES: usize = 20;

/// How many hexadecimal digits an id has.
pub const ID_DIGITS: usize = 8;

/// What a caller may do; each role includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Sees everything.
    Viewer,
    /// Runs and kills.
    Operator,
    /// Changes jobs.
    Editor,
    /// Changes plugins, bindings and tokens.
    Admin,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Editor, Self::Admin];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Editor => "editor",
            Self::Admin => "admin",
        }
    }

    /// The role of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A role, and the jobs that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What may be done.
    pub role: Role,
    /// What the names of the jobs begin with; none is all jobs, and whatever is not about one job.
    pub prefixes: Vec<String>,
}

impl Grant {
    /// A role for everything.
    pub fn unlimited(role: Role) -> Self {
        Self {
            role,
            prefixes: Vec::new(),
        }
    }

    /// Whether it is for some jobs only.
    pub fn is_limited(&self) -> bool {
        !self.prefixes.is_empty()
    }

    /// Whether it is for this job.
    pub fn covers(&self, job: &JobName) -> bool {
        covers(&self.prefixes, job)
    }

    /// Refuses a grant that means nothing.
    ///
    /// # Errors
    /// If there are more than [`MAX_PREFIXES`] prefixes, or one is empty or no beginning of a name.
    pub fn check(&self) -> std::result::Result<(), Unfit> {
        if self.prefixes.len() > MAX_PREFIXES {
            let found = format!("{} of them", self.prefixes.len());
            return Err(Unfit::new(
                "prefixes",
                found,
                format!("at most {MAX_PREFIXES}"),
            ));
        }
        let wrong = |prefix: &&String| {
            let name = prefix.strip_suffix('/').unwrap_or(prefix);
            JobName::parse(name).is_err()
        };
        match self.prefixes.iter().find(wrong) {
            None => Ok(()),
            Some(prefix) => {
                let accepted = "the beginning of names of jobs, such as \"team/\"";
                Err(Unfit::new("prefixes", format!("{prefix:?}"), accepted))
            }
        }
    }
}

/// Whether the job's name begins with one of these; without any, every name does.
pub fn covers(prefixes: &[String], job: &JobName) -> bool {
    let begins = |prefix: &String| job.as_str().starts_with(prefix.as_str());
    prefixes.is_empty() || prefixes.iter().any(begins)
}

/// A token as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is recognised by: [`ID_DIGITS`] hexadecimal digits, which are part of the token.
    pub id: String,
    /// What people call it; stands in records of what it did.
    pub name: String,
    /// What it allows.
    pub grant: Grant,
    /// A hash of the whole token.
    pub hash: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// From when on it is of no use.
    pub expires_at: Option<Timestamp>,
}

impl Token {
    /// Refuses what is no name of a token, or a grant that means nothing.
    ///
    /// # Errors
    /// Names the field.
    pub fn check(&self) -> std::result::Result<(), Unfit> {
        let name = &self.name;
        if name.trim().is_empty()
            || name.len() > MAX_NAME_BYTES
            || name.chars().any(char::is_control)
        {
            let accepted = format!("1 to {MAX_NAME_BYTES} bytes of text in one line");
            return Err(Unfit::new("name", format!("{name:?}"), accepted));
        }
        self.grant.check()
    }

    /// Whether its time is over.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| now >= end)
    }
}

/// When a token was used last, as far as it was written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUse {
    /// The token's id.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// From which address.
    pub from: String,
}

/// What a store holds under a token's id.
#[derive(Clone, Debug)]
pub struct StoredToken {
    /// The id.
    pub id: String,
    /// The token, or why it cannot be read.
    pub token: std::result::Result<Token, std::sync::Arc<StoredError>>,
}

/// All tokens, by id. Idempotent.
///
/// # Errors
/// If the store does not answer.
pub async fn tokens(docs: &dyn Docs) -> Result<Vec<StoredToken>> {
    let found = docs.list(DocKind::Token).await?;
    let read = |doc: Doc| StoredToken {
        token: stored::decode(&doc.body).map_err(std::sync::Arc::new),
        id: doc.name,
    };
    Ok(found.into_iter().map(read).collect())
}

/// When tokens were used last; what cannot be read is left out. Idempotent.
///
/// # Errors
/// If the store does not answer.
pub async fn uses(docs: &dyn Docs) -> Result<Vec<TokenUse>> {
    let found = docs.list(DocKind::TokenUse).await?;
    let read = found.iter().map(|doc| stored::decode(&doc.body));
    Ok(read.filter_map(std::result::Result::ok).collect())
}

/// The ids of those with which tokens can be made, for everything and for ever.
pub fn keep_the_door(tokens: &[StoredToken]) -> Vec<&str> {
    let readable = tokens
        .iter()
        .filter_map(|stored| stored.token.as_ref().ok());
    let keeps =
        |token: &&Token| token.grant == Grant::unlimited(Role::Admin) && token.expires_at.is_none();
    readable.filter(keeps).map(|token| &*token.id).collect()
}

/// Keeps a new token.
///
/// # Errors
/// `InvalidConfig` if [`Token::check`] refuses it, `Conflict` if the id is taken.
pub async fn add(docs: &dyn Docs, token: &Token) -> Result<()> {
    token
        .check()
        .map_err(|wrong| BackendError::new("docs.put", ErrorKind::InvalidConfig).context(wrong))?;
    put(docs, DocKind::Token, &token.id, token, Precondition::Absent).await
}

/// Writes down that a token was used.
///
/// # Errors
/// If the store does not answer.
pub async fn note_use(docs: &dyn Docs, used: &TokenUse) -> Result<()> {
    put(docs, DocKind::TokenUse, &used.id, used, Precondition::Any).await
}

/// Forgets a token, so that it is of no use.
///
/// # Errors
/// `NotFound` if there is none of this id.
pub async fn revoke(docs: &dyn Docs, id: &str) -> Result<()> {
    docs.delete(DocKind::Token, id, Precondition::Any).await
}

/// Keeps a token that was there before, whatever is there now.
///
/// # Errors
/// If the store does not answer.
pub async fn restore(docs: &dyn Docs, token: &Token) -> Result<()> {
    put(docs, DocKind::Token, &token.id, token, Precondition::Any).await
}

/// Ends a token without forgetting it, so that nobody can bring it again.
///
/// # Errors
/// If the store does not answer.
pub async fn end(docs: &dyn Docs, token: &Token, now: Timestamp) -> Result<()> {
    let ended = Token {
        expires_at: Some(now),
        ..token.clone()
    };
    restore(docs, &ended).await
}

/// Forgets when a token was used.
///
/// # Errors
/// If the store does not answer.
pub async fn forget_use(docs: &dyn Docs, id: &str) -> Result<()> {
    match docs.delete(DocKind::TokenUse, id, Precondition::Any).await {
        Err(error) if error.kind != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

async fn put<T: Stored>(
    docs: &dyn Docs,
    kind: DocKind,
    id: &str,
    record: &T,
    pre: Precondition,
) -> Result<()> {
    let corrupt = |error| BackendError::new("docs.put", ErrorKind::Corrupt).source(error);
    let body = Bytes::from(stored::encode(record).map_err(corrupt)?);
    docs.put(kind, id, &body, pre).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(prefixes: &[&str]) -> Grant {
        Grant {
            role: Role::Editor,
            prefixes: prefixes.iter().map(|prefix| (*prefix).to_owned()).collect(),
        }
    }

    #[test]
    fn a_role_includes_those_before_it_and_is_read_back() {
        assert!(Role::Admin > Role::Editor && Role::Editor > Role::Operator);
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
        assert_eq!(Role::parse("root"), None);
    }

    #[test]
    fn a_grant_covers_names_with_one_of_its_prefixes() {
        let job = JobName::existing;
        let two = limited(&["data/", "web"]);
        assert!(two.covers(&job("data/x")) && two.covers(&job("webhook")));
        assert!(!two.covers(&job("data")) && !two.covers(&job("")) && !two.covers(&job("Data/x")));
        assert!(Grant::unlimited(Role::Viewer).covers(&job("")));
    }

    #[test]
    fn prefixes_that_no_name_begins_with_are_refused() {
        for good in ["a", "team/", "team/a", "x.y-z_1"] {
            assert_eq!(limited(&[good]).check(), Ok(()), "{good}");
        }
        for bad in ["", "/", "a b", "/a", "a//b", "../", "ü"] {
            let wrong = limited(&[bad]).check().unwrap_err();
            assert_eq!(wrong.field, "prefixes", "{bad}");
        }
        assert!(limited(&["a"; MAX_PREFIXES + 1]).check().is_err());
    }
}
