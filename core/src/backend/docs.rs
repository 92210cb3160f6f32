//! Documents that the whole fleet rests on beside its jobs, such as bindings: small, few, seldom changed, and there
//! when the run log is away.
//!
//! A store keeps their bytes and does not look inside. Readers ask for all of a kind now and then; nothing needs a watch.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Precondition, Result, Version, Versioned};
use crate::error::{BackendError, ErrorKind};

/// The longest name of a document, in bytes.
pub const MAX_NAME_BYTES: usize = 200;

/// The longest document, in bytes.
pub const MAX_DOC_BYTES: usize = 256 << 10;

/// What a document is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DocKind {
    /// A plugin for many jobs.
    Binding,
    /// A token of the API.
    Token,
    /// When a token was used last.
    TokenUse,
    /// Somebody who is signed in.
    SignIn,
    /// An entry of the audit trail that waits for the run log.
    Audit,
    /// A secret of jobs, sealed.
    Secret,
}

impl DocKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Binding,
        Self::Token,
        Self::TokenUse,
        Self::SignIn,
        Self::Audit,
        Self::Secret,
    ];

    /// What stands for it in stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Binding => "binding",
            Self::Token => "token",
            Self::TokenUse => "token-use",
            Self::SignIn => "sign-in",
            Self::Audit => "audit",
            Self::Secret => "secret",
        }
    }
}

/// A document as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doc {
    /// Its name among those of its kind.
    pub name: String,
    /// Grows with every change.
    pub version: Version,
    /// What it says.
    pub body: Bytes,
}

/// Refuses a document that no store may keep.
///
/// # Errors
/// `InvalidConfig` if the name is empty or too long, or the body is too long.
pub fn check(name: &str, body: &[u8]) -> Result<()> {
    let wrong = if name.is_empty() || name.len() > MAX_NAME_BYTES {
        format!(
            "a name of {} bytes: 1 to {MAX_NAME_BYTES} are allowed",
            name.len()
        )
    } else if body.len() > MAX_DOC_BYTES {
        format!(
            "{name} has {} bytes, at most {MAX_DOC_BYTES} are allowed",
            body.len()
        )
    } else {
        return Ok(());
    };
    Err(BackendError::new("docs.put", ErrorKind::InvalidConfig).context(wrong))
}

/// Versioned documents, some thousands of a kind at most.
#[async_trait]
pub trait Docs: Debug + Send + Sync + 'static {
    /// All documents of a kind at one moment, by the bytes of their names. Idempotent.
    async fn list(&self, kind: DocKind) -> Result<Vec<Doc>>;

    /// Creates or replaces a document. The returned version is above every earlier one of this name.
    ///
    /// # Errors
    /// `InvalidConfig` if [`check`] refuses it; `Conflict` if `pre` does not hold.
    async fn put(
        &self,
        kind: DocKind,
        name: &str,
        body: &Bytes,
        pre: Precondition,
    ) -> Result<Versioned<()>>;

    /// Deletes a document.
    ///
    /// # Errors
    /// `NotFound` if it is not there, `Conflict` if `pre` does not hold.
    async fn delete(&self, kind: DocKind, name: &str, pre: Precondition) -> Result<()>;
}
