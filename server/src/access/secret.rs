//! What a token looks like, and the hash that is kept of it.
//!
//! `sandclock_1a2b3c4d_<64 hexadecimal digits>`: the first part is its id, by which people and the store recognise it;
//! the last has 256 random bits. The hash is argon2id's (RFC 9106) over the whole of it, as a PHC string, and before it
//! stand four digits of its SHA-256: by them nearly every wrong token is refused without the cost of a hash, so that who
//! guesses keeps nobody out who knows. Tokens of earlier releases have no id in them and are kept as their SHA-256.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use sandclock_core::access::ID_DIGITS;
use sandclock_core::run::hex;
use sha2::{Digest as _, Sha256};

/// What every token begins with.
const PREFIX: &str = "sandclock_";

/// What the hash of an earlier release's token begins with.
const EARLIER: &str = "sha256:";

/// How many digits of its SHA-256 stand before a token's hash.
const HINT_DIGITS: usize = 4;

/// How many bytes of a salt, as RFC 9106 (section 3.1) recommends.
const SALT_BYTES: usize = 16;

/// A new token, with its id.
pub(crate) fn make(id: &str) -> String {
    format!("{PREFIX}{id}_{}", crate::random::token_hex(32))
}

/// A new id of a token.
pub(crate) fn new_id() -> String {
    crate::random::token_hex(ID_DIGITS / 2)
}

/// The SHA-256 of a token in hexadecimal.
pub(crate) fn fingerprint(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()), 32)
}

/// The id of what may be a token; `None` if it cannot be one.
pub(crate) fn id_of(token: &str) -> Option<String> {
    let rest = token.strip_prefix(PREFIX)?;
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match rest.split_once('_') {
        Some((id, secret)) if id.len() == ID_DIGITS && is_hex(id) && !secret.is_empty() => {
            Some(id.to_owned())
        }
        Some(_) => None,
        None => Some(earlier_id(&fingerprint(token))),
    }
}

/// The id that a token of an earlier release has, by its SHA-256 in hexadecimal.
pub(super) fn earlier_id(fingerprint: &str) -> String {
    fingerprint.chars().take(ID_DIGITS).collect()
}

/// What is kept of a token of an earlier release, by its SHA-256 in hexadecimal.
pub(super) fn earlier_hash(fingerprint: &str) -> String {
    format!("{EARLIER}{fingerprint}")
}

/// Whether the hash is of a token of an earlier release, which a file may bring again.
pub(crate) fn is_earlier(hash: &str) -> bool {
    hash.starts_with(EARLIER)
}

/// The hash that is kept of a new token. Takes some 20 ms and 19 MiB.
///
/// # Errors
/// If there is no memory for it.
pub(crate) fn hash(token: &str) -> anyhow::Result<String> {
    let mut salt = [0; SALT_BYTES];
    crate::random::fill(&mut salt);
    let hash: PasswordHash = Argon2::default().hash_password_with_salt(token.as_bytes(), &salt)?;
    Ok(format!("{}{hash}", hint(&fingerprint(token))))
}

fn hint(fingerprint: &str) -> &str {
    fingerprint.get(..HINT_DIGITS).unwrap_or(fingerprint)
}

/// Whether this may be the hash of the token with this fingerprint. Costs nothing.
pub(super) fn may_fit(fingerprint: &str, hash: &str) -> bool {
    is_earlier(hash) || hash.starts_with(hint(fingerprint))
}

/// Whether this is the hash of the token. Takes as long as [`hash`].
pub(super) fn verify(token: &str, hash: &str) -> bool {
    if let Some(earlier) = hash.strip_prefix(EARLIER) {
        // Of 256 random bits: found by its hash, so comparing leaks nothing.
        return fingerprint(token) == earlier;
    }
    let hash = hash.get(HINT_DIGITS..).unwrap_or_default();
    PasswordHash::new(hash).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(token.as_bytes(), &hash)
            .is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_fits_its_own_hash_only() {
        let id = new_id();
        let (one, other) = (make(&id), make(&id));
        let kept = hash(&one).unwrap();
        assert!(kept.contains("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert!(verify(&one, &kept) && !verify(&other, &kept) && !verify("", &kept));
        assert_eq!(id_of(&one), Some(id));
        assert!(may_fit(&fingerprint(&one), &kept));
        let others = (0..64).map(|_| fingerprint(&make("00000000")));
        assert!(others.filter(|other| may_fit(other, &kept)).count() < 8);
        assert_ne!(hash(&one).unwrap(), kept);
        assert!(!verify(&one, "nonsense"));
    }

    #[test]
    fn tokens_of_earlier_releases_are_known_by_their_sha256() {
        let token = format!("{PREFIX}{}", "ab".repeat(32));
        let print = fingerprint(&token);
        assert_eq!(id_of(&token), Some(earlier_id(&print)));
        assert!(verify(&token, &earlier_hash(&print)));
        assert!(!verify(&format!("{token}0"), &earlier_hash(&print)));
    }

    #[test]
    fn what_is_no_token_has_no_id() {
        for text in [
            "",
            "sandclock",
            "Bearer x",
            "sandclock_12_ab",
            "sandclock_1a2b3c4g_ab",
            "sandclock_1a2b3c4d_",
        ] {
            assert_eq!(id_of(text), None, "{text}");
        }
    }
}
