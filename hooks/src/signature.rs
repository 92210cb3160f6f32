//! Signatures: who vouches for an artifact.
//!
//! A signature is the last section of an artifact, a custom one of fixed size: a public key of Ed25519 (RFC 8032), and its
//! signature of the SHA-256 of everything before the section. So it covers the manifest, and a signed plugin cannot be
//! pushed under another name or version. A section of this name anywhere else is none.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};

use crate::install::InstallError;

/// How the section begins: a custom section of 116 bytes, whose name has 19.
const BEGIN: &[u8] = b"\x00\x74\x13sandclock:signature";

const KEY_BYTES: usize = 32;
const SIGNATURE_BYTES: usize = 64;
const SECTION_BYTES: usize = BEGIN.len() + KEY_BYTES + SIGNATURE_BYTES;

/// What is signed begins with this, so that no signature made for something else is one of a plugin.
const CONTEXT: &[u8] = b"sandclock plugin 1\0";

/// A public key of Ed25519; as text 44 characters of base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey([u8; KEY_BYTES]);

impl PublicKey {
    /// Reads base64 of 32 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

/// Whose signatures count, and whether one is needed.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// The operator's names for the keys.
    pub keys: BTreeMap<PublicKey, String>,
    /// Whether an artifact has to have the signature of one of them, and a manifest.
    pub required: bool,
}

impl Trust {
    /// Who vouches for the artifact, by the operator's name; `None` if nobody does and nobody has to.
    ///
    /// # Errors
    /// If its signature is not right, whoever it is of, or if none that counts is there and one has to be.
    pub(crate) fn signer(&self, artifact: &[u8]) -> Result<Option<String>, InstallError> {
        let signer = signed_by(artifact)?;
        if let Some(name) = signer.and_then(|key| self.keys.get(&key)) {
            return Ok(Some(name.clone()));
        }
        if !self.required {
            return Ok(None);
        }
        let names: Vec<_> = self.keys.values().map(String::as_str).collect();
        let names = names.join(", ");
        let why = match signer {
            Some(key) => {
                format!("it is signed by {key}, which is no trusted key: trusted are {names}")
            }
            None => {
                format!("it is not signed, and has to be by a trusted key: trusted are {names}")
            }
        };
        Err(InstallError::Signature { why })
    }
}

/// Who has signed the artifact, if anybody.
///
/// # Errors
/// If the signature is not that of what stands before it.
pub fn signed_by(artifact: &[u8]) -> Result<Option<PublicKey>, InstallError> {
    let Some((signed, key, signature)) = parts(artifact) else {
        return Ok(None);
    };
    let verified = UnparsedPublicKey::new(&ED25519, key.0).verify(&message(signed), signature);
    verified.map_err(|_| InstallError::Signature {
        why: format!("it was changed after {key} signed it, or the signature is of something else"),
    })?;
    Ok(Some(key))
}

/// The artifact with a signature by this key, in place of any that it has.
///
/// # Errors
/// If the key is none of Ed25519 in PKCS#8 (RFC 8410).
pub fn sign(artifact: &[u8], pkcs8: &[u8]) -> Result<Vec<u8>, NoKey> {
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map_err(|_| NoKey)?;
    let bare = parts(artifact).map_or(artifact, |(signed, ..)| signed);
    let signature = pair.sign(&message(bare));
    let parts = [bare, BEGIN, pair.public_key().as_ref(), signature.as_ref()];
    Ok(parts.concat())
}

/// The public half of a key.
///
/// # Errors
/// As [`sign`].
pub fn public_key(pkcs8: &[u8]) -> Result<PublicKey, NoKey> {
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map_err(|_| NoKey)?;
    let public = pair.public_key().as_ref().try_into().map_err(|_| NoKey)?;
    Ok(PublicKey(public))
}

/// What was taken for a key is none.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it is no private key of Ed25519 in PKCS#8")]
pub struct NoKey;

/// What is signed, by whom, and how.
fn parts(artifact: &[u8]) -> Option<(&[u8], PublicKey, &[u8])> {
    let at = artifact.len().checked_sub(SECTION_BYTES)?;
    let (signed, section) = artifact.split_at_checked(at)?;
    let (key, signature) = section.strip_prefix(BEGIN)?.split_at_checked(KEY_BYTES)?;
    Some((signed, PublicKey(key.try_into().ok()?), signature))
}

fn message(signed: &[u8]) -> Vec<u8> {
    [CONTEXT, &Sha256::digest(signed)].concat()
}
