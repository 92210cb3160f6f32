//! Secrets of the fleet: values that jobs name, kept sealed.
//!
//! Core keeps what it is given. The key is with the workers and with whoever sets a secret, never in a store or a
//! server, so that neither can read a value.

use bytes::Bytes;

use crate::backend::docs::{DocKind, Docs, MAX_DOC_BYTES};
use crate::backend::{Precondition, Result};
use crate::error::{BackendError, ErrorKind};
use crate::job::Unfit;
use crate::stored::{self, StoredError};
use crate::time::Timestamp;

/// The longest name of a secret, in bytes.
pub const MAX_NAME_BYTES: usize = 100;

/// What the names of secrets are made of, in words.
pub const NAMES: &str = "1 to 100 letters, digits, '.', '_' and '-'";

/// The longest sealed value, in bytes of its text: 32 KiB sealed, in base64.
pub const MAX_SEALED_BYTES: usize = 48 << 10;

/// The most secrets of a fleet: a worker reads all of them at once.
pub const MAX_SECRETS: usize = 500;

const _: () = assert!(MAX_SEALED_BYTES < MAX_DOC_BYTES / 2);

/// A secret as the fleet keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSecret {
    /// Its name.
    pub name: String,
    /// Which key opens it: a word of whoever sealed it.
    pub key: String,
    /// The value, sealed, as text.
    pub sealed: String,
    /// When it was set.
    pub set_at: Timestamp,
    /// By whom.
    pub set_by: String,
}

/// Without what is sealed, which says nothing to a reader.
impl std::fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedSecret")
            .field("name", &self.name)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Whether this can be the name of a secret: see [`NAMES`].
pub fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.chars().all(fits)
}

impl SealedSecret {
    /// Whether it may be kept.
    ///
    /// # Errors
    /// Names the field that is not accepted.
    pub fn check(&self) -> std::result::Result<(), Unfit> {
        if !is_name(&self.name) {
            return Err(Unfit::new("name", &self.name, NAMES));
        }
        if !is_name(&self.key) {
            let accepted = "the id of the key, as sandclock secret set gives it";
            return Err(Unfit::new("key", &self.key, accepted));
        }
        if !(1..=MAX_SEALED_BYTES).contains(&self.sealed.len()) {
            let accepted = format!("1 to {MAX_SEALED_BYTES} bytes");
            let given = format!("{} bytes", self.sealed.len());
            return Err(Unfit::new("sealed", given, accepted));
        }
        Ok(())
    }
}

/// What a store holds under a secret's name.
#[derive(Clone, Debug)]
pub struct StoredSecret {
    /// The name.
    pub name: String,
    /// The secret, or why it cannot be read.
    pub secret: std::result::Result<SealedSecret, std::sync::Arc<StoredError>>,
}

/// All secrets, by name. Idempotent.
///
/// # Errors
/// If the store does not answer.
pub async fn secrets(docs: &dyn Docs) -> Result<Vec<StoredSecret>> {
    let found = docs.list(DocKind::Secret).await?;
    let read = found.into_iter().map(|doc| StoredSecret {
        secret: stored::decode(&doc.body).map_err(std::sync::Arc::new),
        name: doc.name,
    });
    Ok(read.collect())
}

/// Keeps a secret in the place of what is there.
///
/// # Errors
/// `InvalidConfig` if [`SealedSecret::check`] refuses it.
pub async fn set(docs: &dyn Docs, secret: &SealedSecret) -> Result<()> {
    secret
        .check()
        .map_err(|wrong| BackendError::new("docs.put", ErrorKind::InvalidConfig).context(wrong))?;
    let corrupt = |error| BackendError::new("docs.put", ErrorKind::Corrupt).source(error);
    let body = Bytes::from(stored::encode(secret).map_err(corrupt)?);
    docs.put(DocKind::Secret, &secret.name, &body, Precondition::Any)
        .await
        .map(drop)
}

/// Forgets a secret.
///
/// # Errors
/// `NotFound` if there is none of this name.
pub async fn remove(docs: &dyn Docs, name: &str) -> Result<()> {
    docs.delete(DocKind::Secret, name, Precondition::Any).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_secret_is_refused_by_field() {
        let good = SealedSecret {
            name: "db.password-2_x".to_owned(),
            key: "1a2b3c4d".to_owned(),
            sealed: "c2VhbGVk".to_owned(),
            set_at: Timestamp::from_millis(0),
            set_by: "ann".to_owned(),
        };
        good.check().unwrap();
        let refused = |change: fn(&mut SealedSecret)| {
            let mut secret = good.clone();
            change(&mut secret);
            secret.check().unwrap_err().field
        };
        assert_eq!(refused(|secret| secret.name.clear()), "name");
        assert_eq!(refused(|secret| secret.name.push('/')), "name");
        assert_eq!(refused(|secret| secret.name = "x".repeat(101)), "name");
        assert_eq!(refused(|secret| secret.key.clear()), "key");
        assert_eq!(refused(|secret| secret.sealed.clear()), "sealed");
        let long = |secret: &mut SealedSecret| secret.sealed = "x".repeat(MAX_SEALED_BYTES + 1);
        assert_eq!(refused(long), "sealed");
        assert!(!format!("{good:?}").contains("c2VhbGVk"));
    }
}
