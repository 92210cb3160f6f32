//! The secret values this process knows, and what makes them invisible.
//!
//! Whoever resolves a secret for a run teaches it here first; from then on every output stream, log
//! line, error text and alert that passes a mask shows `[secret:NAME]` where the value, or one of
//! its usual encodings, stood. This is the floor under all redaction: it needs no plugin and no
//! plugin can lift it. It prevents accidents. A program that wants to print its secret can always
//! find an encoding that nobody expects.
//!
//! Values are kept until the process ends, because a run that prints an older value may still be
//! going on; of each name the newest [`MAX_VALUES_PER_NAME`].

mod encodings;
mod filter;
mod folded;
mod masker;
mod needles;
mod wanted;

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;

pub use self::masker::Masker;
use self::wanted::Wanted;
use crate::joined::joined;
use crate::mutants::{Mutant, Mutation};

/// The shortest value that can be masked, in bytes: shorter ones occur everywhere by chance, so
/// that masking them would hide the output and, by where the marks stand, show the value.
pub const MIN_SECRET_BYTES: usize = 4;

/// The longest value, in bytes. It bounds how much of a stream may be held back.
pub const MAX_SECRET_BYTES: usize = 32 << 10;

/// How many values of one name are kept; the oldest goes first.
pub const MAX_VALUES_PER_NAME: usize = 64;

/// Why a value cannot be masked. A run that needs such a secret should not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// There is nothing to mask; usually the source was not filled.
    #[error("secret {name:?} is empty: fill its source or remove it from the job")]
    Empty {
        /// Its name.
        name: String,
    },
    /// It would occur by chance.
    #[error(
        "secret {name:?} is too short to be masked: bytes {bytes}, at least {MIN_SECRET_BYTES}"
    )]
    TooShort {
        /// Its name.
        name: String,
        /// Its length.
        bytes: usize,
    },
    /// It would hold back too much of a stream.
    #[error("secret {name:?} is too long to be masked: bytes {bytes}, at most {MAX_SECRET_BYTES}")]
    TooLong {
        /// Its name.
        name: String,
        /// Its length.
        bytes: usize,
    },
}

/// A value that never shows itself: it has no `Display`, and its `Debug` is a constant.
#[derive(Clone, PartialEq, Eq)]
struct SecretValue(Vec<u8>);

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The registry of known secrets. Clones share it.
#[derive(Clone, Default)]
pub struct KnownSecrets {
    shared: Arc<Shared>,
    mutation: Mutation,
}

#[derive(Default)]
struct Shared {
    values: Mutex<BTreeMap<String, VecDeque<SecretValue>>>,
    /// Replaced as a whole, so that a stream takes the newest at its next piece and never waits
    /// for one to be built.
    wanted: RwLock<Arc<Wanted>>,
}

impl fmt::Debug for KnownSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownSecrets")
            .field("names", &self.values().len())
            .finish_non_exhaustive()
    }
}

impl KnownSecrets {
    /// A registry that knows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same registry, seen through a mutant of its masking. For tests that a suite notices.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn with_mutant(self, mutant: Mutant) -> Self {
        Self {
            shared: self.shared,
            mutation: Mutation::of(mutant),
        }
    }

    /// Masks `value` from now on, in open streams from their next piece on. `name` is shown in its
    /// place. A value that is known already costs a comparison.
    ///
    /// # Errors
    /// If the value cannot be masked; it is not known then.
    pub fn learn(&self, name: &str, value: &[u8]) -> Result<(), SecretError> {
        let name_owned = || name.to_owned();
        let bytes = value.len();
        if value.trim_ascii().is_empty() {
            return Err(SecretError::Empty { name: name_owned() });
        }
        if value.trim_ascii().len() < MIN_SECRET_BYTES {
            return Err(SecretError::TooShort {
                name: name_owned(),
                bytes,
            });
        }
        if bytes > MAX_SECRET_BYTES {
            return Err(SecretError::TooLong {
                name: name_owned(),
                bytes,
            });
        }
        let mut values = self.values();
        let of_name = values.entry(name_owned()).or_default();
        if of_name.iter().any(|known| known.0 == value) {
            return Ok(());
        }
        of_name.push_back(SecretValue(value.to_vec()));
        if of_name.len() > MAX_VALUES_PER_NAME {
            of_name.pop_front();
        }
        let of_all = values.iter().map(|(name, values)| {
            let values = values.iter().map(|value| value.0.as_slice());
            (name.as_str(), values)
        });
        let wanted = Wanted::new(of_all);
        // Still under the lock of the values, so that the newest are the last to come.
        *self
            .shared
            .wanted
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(wanted);
        Ok(())
    }

    /// A mask for a new stream.
    pub fn masker(&self) -> Masker {
        Masker::new(self.clone())
    }

    /// Masks a text that is whole: an error, a log line.
    pub fn mask_text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let masked = self.mask_bytes(text.as_bytes());
        if masked == text.as_bytes() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(String::from_utf8_lossy(&masked).into_owned())
    }

    /// Masks bytes that are whole: the body of an alert.
    pub fn mask_bytes(&self, bytes: &[u8]) -> Bytes {
        let mut masker = self.masker();
        let head = masker.push(Bytes::copy_from_slice(bytes));
        let tail = masker.finish();
        joined([head, tail])
    }

    /// What is searched for now.
    fn wanted(&self) -> Arc<Wanted> {
        let wanted = self
            .shared
            .wanted
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&wanted)
    }

    fn is_mutated(&self, mutant: Mutant) -> bool {
        self.mutation.is(mutant)
    }

    fn values(&self) -> MutexGuard<'_, BTreeMap<String, VecDeque<SecretValue>>> {
        self.shared
            .values
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
