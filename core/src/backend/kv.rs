//! What plugins keep between their calls: small values by key, each plugin's apart from all others', shared by the fleet.
//!
//! A value changes only against what its writer has seen. So two workers that count the same thing at once both count,
//! and nothing here needs a lock. Who may have values at all is judged by whoever hosts plugins, not here.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::Result;
use crate::error::{BackendError, ErrorKind};

/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 256;

/// The largest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 64 << 10;

/// What the values of one plugin may take together, in bytes: keys, values, and [`ENTRY_BYTES`] for each.
pub const MAX_PLUGIN_BYTES: usize = 1 << 20;

/// What a value takes beside its key and its bytes, so that a flood of tiny ones is bounded too.
pub const ENTRY_BYTES: usize = 64;

/// The name under which a change fails.
const SWAP: &str = "kv.swap";

/// What a value with this key takes of its plugin's share.
pub fn taken(key: &str, value: &[u8]) -> usize {
    key.len() + value.len() + ENTRY_BYTES
}

/// A change of one value, which takes place only if the value is still as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swap {
    /// 1 to [`MAX_KEY_BYTES`] bytes.
    pub key: String,
    /// What must be there; `None` is nothing. A value whose time has run out is not there.
    pub expect: Option<Bytes>,
    /// What shall be there, at most [`MAX_VALUE_BYTES`]; `None` is nothing.
    pub value: Option<Bytes>,
    /// How long it stays, by the store's clock; `None` is until it is changed.
    pub ttl: Option<Duration>,
}

impl Swap {
    /// Whether it keeps to the bounds of a key, a value and a time.
    ///
    /// # Errors
    /// `InvalidConfig`, and which bound it was.
    pub fn check(&self) -> Result<()> {
        check_key(SWAP, &self.key)?;
        let refused =
            |why: String| Err(BackendError::new(SWAP, ErrorKind::InvalidConfig).context(why));
        match &self.value {
            Some(value) if value.len() > MAX_VALUE_BYTES => refused(format!(
                "the value has {} bytes: at most {MAX_VALUE_BYTES} are kept",
                value.len()
            )),
            _ if self.ttl.is_some_and(|ttl| ttl.is_zero()) => {
                refused("the time to live is 0: leave it out, or give more".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Whether the value fits beside the plugin's others, which take `others` bytes.
    ///
    /// # Errors
    /// `InvalidConfig`, and what there would be.
    pub fn check_room(&self, others: usize) -> Result<()> {
        let own = self.value.as_ref();
        let own = own.map_or(0, |value| taken(&self.key, value));
        let all = others.saturating_add(own);
        if own == 0 || all <= MAX_PLUGIN_BYTES {
            return Ok(());
        }
        Err(no_room(&format!("{all} bytes")))
    }
}

/// The refusal of a value that does not fit beside the others of its plugin, which would take `all` then.
pub fn no_room(all: &str) -> BackendError {
    let why = format!(
        "the values of the plugin would take {all}: at most {MAX_PLUGIN_BYTES} are kept, {ENTRY_BYTES} of them for each \
         value; take some away, or give them a time to live"
    );
    BackendError::new(SWAP, ErrorKind::InvalidConfig).context(why)
}

/// Whether a value can have this key.
///
/// # Errors
/// `InvalidConfig`, and the bound.
pub fn check_key(op: &'static str, key: &str) -> Result<()> {
    if (1..=MAX_KEY_BYTES).contains(&key.len()) {
        return Ok(());
    }
    let why = format!(
        "the key has {} bytes: 1 to {MAX_KEY_BYTES} are accepted",
        key.len()
    );
    Err(BackendError::new(op, ErrorKind::InvalidConfig).context(why))
}

/// The values of plugins.
#[async_trait]
pub trait PluginKv: Debug + Send + Sync + 'static {
    /// The plugin's value under this key, as of its last acknowledged change; `None` if there is none, or if its time has
    /// run out.
    ///
    /// # Errors
    /// `InvalidConfig` as [`check_key`].
    async fn get(&self, plugin: &str, key: &str) -> Result<Option<Bytes>>;

    /// Changes a value of the plugin if it is as expected, in one step. Whether it was.
    ///
    /// # Errors
    /// `InvalidConfig` as [`Swap::check`], and if the plugin's values would take more than [`MAX_PLUGIN_BYTES`] together.
    async fn swap(&self, plugin: &str, swap: &Swap) -> Result<bool>;

    /// Forgets every value of the plugin. A repeat changes nothing.
    async fn clear(&self, plugin: &str) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn swap(key: &str, value: usize) -> Swap {
        Swap {
            key: key.to_owned(),
            expect: None,
            value: Some(Bytes::from(vec![0; value])),
            ttl: None,
        }
    }

    #[test]
    fn each_bound_is_named() {
        assert!(swap("k", MAX_VALUE_BYTES).check().is_ok());
        assert!(swap(&"k".repeat(MAX_KEY_BYTES), 0).check().is_ok());
        let short = Swap {
            ttl: Some(Duration::ZERO),
            ..swap("k", 0)
        };
        for (said, wrong) in [
            ("the key has 0 bytes", swap("", 0)),
            ("the key has 257 bytes", swap(&"k".repeat(257), 0)),
            ("the value has 65537 bytes", swap("k", 65_537)),
            ("time to live is 0", short),
        ] {
            let refused = wrong.check().unwrap_err();
            assert_eq!(refused.kind, ErrorKind::InvalidConfig);
            assert!(refused.to_string().contains(said), "{refused}");
        }
    }

    #[test]
    fn room_is_for_keys_and_values_and_a_little_more() {
        let one = swap("key", 100);
        let room = MAX_PLUGIN_BYTES - 3 - 100 - ENTRY_BYTES;
        assert!(one.check_room(room).is_ok());
        let refused = one.check_room(room + 1).unwrap_err().to_string();
        assert!(refused.contains("1048577 bytes"), "{refused}");
        // Who takes something away is never short of room.
        let gone = Swap { value: None, ..one };
        assert!(gone.check_room(usize::MAX).is_ok());
    }
}
