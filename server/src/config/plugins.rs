//! `[plugins]`: whose plugins this process takes, and what it keeps of their calls.

use std::collections::BTreeMap;

use sandclock_hooks::{PublicKey, Trust};
use serde::Deserialize;

use crate::document::FieldError;

/// `[plugins]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PluginSection {
    /// Whether the run log keeps what plugins were asked and said; true unless told.
    pub record_calls: bool,
    /// Only what a trusted key has signed is taken.
    pub require_signature: bool,
    /// Public keys of Ed25519 by the operator's names for them, as `sandclock plugin keygen` prints them.
    pub trusted_keys: BTreeMap<String, String>,
}

impl Default for PluginSection {
    fn default() -> Self {
        Self {
            record_calls: true,
            require_signature: false,
            trusted_keys: BTreeMap::new(),
        }
    }
}

impl PluginSection {
    /// Whose signatures count.
    ///
    /// # Errors
    /// Names the key that is none, or says that none is there although one is needed.
    pub fn trust(&self) -> Result<Trust, FieldError> {
        let mut keys = BTreeMap::new();
        for (name, text) in &self.trusted_keys {
            let field = || format!("plugins.trusted_keys.{name}");
            let wrong = || {
                let accepted = "32 bytes in base64, as sandclock plugin keygen prints them";
                FieldError::new(field(), text, accepted)
            };
            let key = PublicKey::parse(text).ok_or_else(wrong)?;
            if let Some(other) = keys.insert(key, name.clone()) {
                let accepted = format!("each key once: {other} has this one");
                return Err(FieldError::new(field(), text, accepted));
            }
        }
        if self.require_signature && keys.is_empty() {
            let accepted =
                "with plugins.require_signature at least one key, or no plugin could be pushed";
            return Err(FieldError::new("plugins.trusted_keys", "nothing", accepted));
        }
        Ok(Trust {
            keys,
            required: self.require_signature,
        })
    }
}
