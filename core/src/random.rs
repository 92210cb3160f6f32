//! Randomness as an argument, and the mixing function behind ranks.
//!
//! Core draws no random numbers by itself (A1). The program passes a source in; a simulation passes
//! a seeded one, so that a run of the fleet can be repeated bit for bit.

use std::fmt::Debug;

use crate::backend::Nonce;

/// A source of random bits.
pub trait Random: Debug + Send + Sync + 'static {
    /// 64 uniform bits.
    fn next_u64(&self) -> u64;
}

/// A nonce for a claim.
pub(crate) fn nonce(random: &dyn Random) -> Nonce {
    Nonce((u128::from(random.next_u64()) << 64) | u128::from(random.next_u64()))
}

/// A number in `[0, 1)`, with 53 random bits.
pub fn unit(random: &dyn Random) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit an f64 exactly")]
    let bits = (random.next_u64() >> 11) as f64;
    bits / (1_u64 << 53) as f64
}

/// Spreads 64 bits over 64 bits, one to one (the finaliser of SplitMix64, Steele et al. 2014).
pub(crate) fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(feature = "test-util")]
pub use seeded::SplitMix64;

#[cfg(feature = "test-util")]
mod seeded {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::{Random, mix};

    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

    /// A small seeded generator for tests and simulations.
    #[derive(Debug)]
    pub struct SplitMix64(AtomicU64);

    impl SplitMix64 {
        /// The sequence of this seed.
        pub fn new(seed: u64) -> Self {
            Self(AtomicU64::new(seed))
        }

        /// An independent sequence, by name, that draws nothing from this one.
        #[must_use]
        pub fn fork(&self, name: &str) -> Self {
            let start = self.0.load(Ordering::Relaxed);
            let named = name.bytes().fold(start, |n, b| mix(n ^ u64::from(b)));
            Self::new(named)
        }

        /// A number below `end`; 0 if `end` is 0.
        pub fn below(&self, end: u64) -> u64 {
            self.next_u64().checked_rem(end).unwrap_or(0)
        }

        /// A number from `low` to `high`, both included.
        pub fn between(&self, low: u64, high: u64) -> u64 {
            low + self.below(high.saturating_sub(low) + 1)
        }

        /// True in `per_mille` of 1,000 cases.
        pub fn chance(&self, per_mille: u64) -> bool {
            self.below(1000) < per_mille
        }
    }

    impl Random for SplitMix64 {
        fn next_u64(&self) -> u64 {
            mix(self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP))
        }
    }
}
