//! The seal of a secret, and the keys in their file.
//!
//! A key is 32 bytes from the system's random source. The file has one on each line, `sandclock-key-1:` and base64; the
//! first seals, all of them open, so that a key is replaced by putting a new one above it. Its id is the beginning of
//! the SHA-256 of the key. A sealed value is base64 of a nonce of 12 bytes, drawn for each, and AES-256-GCM (RFC 5116,
//! section 5.2) of the value; `sandclock-secret-1:` and the secret's name are associated data, so that what is sealed as
//! one secret does not open as another.

use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sandclock_core::run::hex;
use sha2::{Digest as _, Sha256};

use crate::{private_file, random};

/// What a line of the file begins with.
const KEY: &str = "sandclock-key-1:";

/// What stands before the name in the associated data.
const NAMED: &str = "sandclock-secret-1:";

/// The length of a key, in bytes.
const KEY_BYTES: usize = 32;

/// How many hexadecimal digits an id has.
const ID_DIGITS: usize = 8;

/// A key that seals and opens.
struct Key {
    id: String,
    key: LessSafeKey,
}

/// The keys of a file, the first of which seals. They do not show themselves.
pub struct Keys(Vec<Key>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids = self.0.iter().map(|key| &key.id);
        f.debug_list().entries(ids).finish()
    }
}

/// Draws a key, as a line of the file.
pub fn new_key() -> String {
    let mut bytes = [0; KEY_BYTES];
    random::fill(&mut bytes);
    format!("{KEY}{}\n", STANDARD.encode(bytes))
}

impl Keys {
    /// Those in a file that others may not use.
    ///
    /// # Errors
    /// Names the file and the line that holds no key; never what it holds.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = private_file::read(path)?;
        let text = String::from_utf8(bytes).ok();
        let text = text.with_context(|| format!("{} is not UTF-8", path.display()))?;
        Self::parse(&text).with_context(|| format!("keys of secrets in {}", path.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut keys = Vec::new();
        for (at, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = || {
                let line = at + 1;
                anyhow!("line {line} is no key: sandclock secret keygen FILE makes one")
            };
            let bytes = line
                .strip_prefix(KEY)
                .and_then(|key| STANDARD.decode(key).ok());
            let bytes = bytes.ok_or_else(wrong)?;
            let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| wrong())?;
            keys.push(Key {
                id: hex(&Sha256::digest(&bytes), ID_DIGITS / 2),
                key: LessSafeKey::new(key),
            });
        }
        if keys.is_empty() {
            bail!("there is no key: sandclock secret keygen FILE makes one");
        }
        Ok(Self(keys))
    }

    /// The id of the key that seals, and the value sealed with it.
    ///
    /// # Errors
    /// If there is no key, or the value is larger than any secret.
    pub fn seal(&self, name: &str, value: &[u8]) -> anyhow::Result<(String, String)> {
        let first = self.0.first().context("there is no key")?;
        let mut nonce = [0; NONCE_LEN];
        random::fill(&mut nonce);
        let mut sealed = value.to_vec();
        let about = Aad::from(format!("{NAMED}{name}"));
        let unique = Nonce::assume_unique_for_key(nonce);
        let done = first
            .key
            .seal_in_place_append_tag(unique, about, &mut sealed);
        done.map_err(|_| anyhow!("the value cannot be sealed"))?;
        let whole = [nonce.as_slice(), &sealed].concat();
        Ok((first.id.clone(), STANDARD.encode(whole)))
    }

    /// What was sealed as this secret with the key of this id.
    ///
    /// # Errors
    /// If that key is not here, or something else was sealed, or it was changed since.
    pub fn open(&self, name: &str, key: &str, sealed: &str) -> anyhow::Result<Vec<u8>> {
        let found = self.0.iter().find(|known| known.id == key);
        let found = found.with_context(|| {
            format!("it was sealed with the key {key}, which worker.secrets_key does not hold")
        })?;
        let changed = || anyhow!("what is stored was not sealed as this secret: set it again");
        let bytes = STANDARD.decode(sealed).map_err(|_| changed())?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN).ok_or_else(changed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| changed())?;
        let mut sealed = sealed.to_vec();
        let about = Aad::from(format!("{NAMED}{name}"));
        let opened = found.key.open_in_place(nonce, about, &mut sealed);
        opened.map(|value| value.to_vec()).map_err(|_| changed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by another implementation (Python's `cryptography`), so that the form is what is written above.
    const STORED_KEY: &str = "sandclock-key-1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn what_is_sealed_opens_under_its_name_and_key_only() {
        let (old, new) = (new_key(), new_key());
        let keys = Keys::parse(&old).unwrap();
        let (id, sealed) = keys.seal("db", b"hunter22").unwrap();
        assert!(!sealed.contains("hunter22"));
        assert_eq!(keys.open("db", &id, &sealed).unwrap(), b"hunter22");
        assert!(keys.open("other", &id, &sealed).is_err());
        let replaced = Keys::parse(&format!("# since May\n{new}\n{old}")).unwrap();
        assert_eq!(replaced.open("db", &id, &sealed).unwrap(), b"hunter22");
        let (newer, _) = replaced.seal("db", b"hunter22").unwrap();
        assert_ne!(newer, id);
        let without = Keys::parse(&new).unwrap().open("db", &id, &sealed);
        assert!(without.unwrap_err().to_string().contains(&id));
        let (_, again) = keys.seal("db", b"hunter22").unwrap();
        assert_ne!(sealed, again, "a nonce was used twice");
    }

    #[test]
    fn what_was_changed_does_not_open() {
        let keys = Keys::parse(&new_key()).unwrap();
        let (id, sealed) = keys.seal("db", b"hunter22").unwrap();
        let mut bytes = STANDARD.decode(&sealed).unwrap();
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            assert!(keys.open("db", &id, &STANDARD.encode(&bytes)).is_err());
            bytes[at] ^= 1;
        }
        for short in ["", "AAAA", "no base64!"] {
            assert!(keys.open("db", &id, short).is_err());
        }
    }

    #[test]
    fn the_form_is_kept() {
        let keys = Keys::parse(STORED_KEY).unwrap();
        assert_eq!(format!("{keys:?}"), "[\"630dcd29\"]");
        let opened = keys.open("db", "630dcd29", include_str!("golden.txt").trim());
        assert_eq!(opened.unwrap(), b"correct horse");
    }

    #[test]
    fn a_line_that_is_no_key_is_named_and_not_shown() {
        for text in ["", "# nothing\n", "sandclock-key-1:AAAA", "hunter22"] {
            let error = format!("{:#}", Keys::parse(text).unwrap_err());
            assert!(error.contains("sandclock secret keygen"), "{error}");
            assert!(!error.contains("hunter22"), "{error}");
        }
    }
}
