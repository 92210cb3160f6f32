//! Words that follow from a secret, one for each purpose: whoever has a word has neither the secret nor another word.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What a word is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Ties an answer of the provider to the browser that asked (RFC 6749, section 10.12).
    State,
    /// Ties an ID token to it (OpenID Connect Core 1.0, section 15.5.2).
    Nonce,
    /// Ties a code to it: the verifier of RFC 7636, of which it has the form.
    Pkce,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::State => b"state",
            Self::Nonce => b"nonce",
            Self::Pkce => b"pkce",
        }
    }
}

fn mac(secret: &str, purpose: Purpose) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(purpose.label());
    Some(mac)
}

/// The word: 43 characters of base64 for URLs (RFC 4648, section 5).
pub(crate) fn derive(secret: &str, purpose: Purpose) -> String {
    let mac = mac(secret, purpose).map(|mac| mac.finalize().into_bytes());
    mac.map_or_else(String::new, |bytes| BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// Whether this is the word. Takes as long for every wrong one.
pub(crate) fn fits(secret: &str, purpose: Purpose, given: &str) -> bool {
    let given = BASE64_URL_SAFE_NO_PAD.decode(given);
    let (Ok(given), Some(mac)) = (given, mac(secret, purpose)) else {
        return false;
    };
    mac.verify_slice(&given).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_fits_its_secret_and_purpose_only() {
        let word = derive("a", Purpose::Nonce);
        assert_eq!(word.len(), 43);
        assert!(fits("a", Purpose::Nonce, &word));
        assert!(!fits("b", Purpose::Nonce, &word) && !fits("a", Purpose::State, &word));
        for wrong in ["", "=", "AAAA", &word[..42], &format!("{word}A")] {
            assert!(!fits("a", Purpose::Nonce, wrong), "{wrong}");
        }
    }
}
