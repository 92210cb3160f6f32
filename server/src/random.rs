//! Randomness from the operating system, for ids and tokens.

use sandclock_core::backend::Nonce;
use sandclock_core::run::hex;

/// `bytes` random bytes in hexadecimal. Ends the process if the kernel has no randomness, because an
/// id that is not random would be worse.
pub fn token_hex(bytes: usize) -> String {
    let mut raw = vec![0; bytes];
    fill(&mut raw);
    hex(&raw, bytes)
}

/// What tells one life of a process from every other.
pub(crate) fn nonce() -> Nonce {
    let mut raw = [0; 16];
    fill(&mut raw);
    Nonce(u128::from_le_bytes(raw))
}

/// A random number.
fn number() -> u64 {
    let mut raw = [0; 8];
    fill(&mut raw);
    u64::from_le_bytes(raw)
}

/// Fills `raw` with random bytes, or ends the process, as [`token_hex`] does.
pub(crate) fn fill(raw: &mut [u8]) {
    if let Err(error) = getrandom::fill(raw) {
        tracing::error!(%error, "the system's random generator failed");
        std::process::abort();
    }
}

/// The system's randomness as core takes it.
#[derive(Clone, Copy, Debug)]
pub struct SystemRandom;

impl sandclock_core::random::Random for SystemRandom {
    fn next_u64(&self) -> u64 {
        number()
    }
}
