//! The pauses between tries.

use std::time::Duration;

/// What follows a failed try: pauses that grow by a factor up to the longest, each a little longer or shorter by
/// chance so that many alerts do not come at once, until they add up to more than is worth waiting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    /// The first pause.
    pub initial: Duration,
    /// Each pause is so many times the one before; from 1.
    pub factor: f64,
    /// The longest pause.
    pub max: Duration,
    /// Each pause is up to this part of itself longer or shorter, from 0 to 1.
    pub jitter: f64,
    /// The alert is given up once its pauses would add up to more.
    pub give_up_after: Duration,
}

impl Default for Retry {
    /// Ten tries within two hours.
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(1),
            factor: 4.0,
            max: Duration::from_secs(1_800),
            jitter: 0.2,
            give_up_after: Duration::from_secs(7_200),
        }
    }
}

impl Retry {
    /// The pause after so many failed tries, from 1; `None` if the alert is given up. `chance` is from [0, 1).
    ///
    /// What counts is the sum of the pauses, not the time since the alert was raised: one that waited through a
    /// night is tried as often as any other.
    pub fn pause(&self, tries: u32, chance: f64) -> Option<Duration> {
        let mut pause = self.initial.min(self.max);
        let mut sum = pause;
        // Pauses of nothing would never add up.
        if sum.is_zero() || sum > self.give_up_after {
            return None;
        }
        for _ in 1..tries {
            pause = longer(pause, self.factor).min(self.max);
            sum = sum.saturating_add(pause);
            if sum > self.give_up_after {
                return None;
            }
        }
        let spread = 1.0 + self.jitter.clamp(0.0, 1.0) * (2.0 * chance - 1.0);
        Some(longer(pause, spread))
    }
}

/// So many times as long, within what a duration can hold.
fn longer(time: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(time.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}
