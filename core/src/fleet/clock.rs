//! Whether this worker's clock may say that a tick is due.
//!
//! A store gives no time in a transaction, so the bound on the future is a rule on workers: one whose
//! clock is more than 2 s from the median of all opinions leaves the ticks to others. With only two
//! opinions the one ahead waits. The eligible set is never empty: if every live worker doubts its
//! clock, the one nearest the median goes on. A wrong clock can make a tick early or late, never
//! double or lost.
//!
//! An opinion is what a peer's clock showed when it last said so, carried on with our own monotonic
//! clock. Messages take time, so a peer only ever looks slower than it is; of the last few beats the
//! one that looks fastest is the best.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::time::Timestamp;

/// How far a clock may be from the median.
pub const TOLERANCE_MS: i64 = 2000;

/// How long a worker waits for a first opinion before it trusts itself.
const FIRST_OPINION: Duration = Duration::from_secs(35);

/// How many beats of a peer are kept.
const BEATS: usize = 3;

/// What a worker knows of its peers' clocks.
#[derive(Debug)]
pub(super) struct Clocks {
    origin: Instant,
    beats: BTreeMap<String, VecDeque<i64>>,
}

/// One instant on both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// Monotonic.
    pub(super) mono: Instant,
    /// Wall.
    pub(super) wall: Timestamp,
}

impl Clocks {
    pub(super) fn new(origin: Instant) -> Self {
        Self {
            origin,
            beats: BTreeMap::new(),
        }
    }

    /// Where a wall clock that shows `wall` at `mono` stood when this worker began.
    fn base(&self, mono: Instant, wall: Timestamp) -> i64 {
        let elapsed = mono.saturating_duration_since(self.origin).as_millis();
        wall.as_millis() - i64::try_from(elapsed).unwrap_or(i64::MAX)
    }

    /// A peer has just said what its clock shows.
    pub(super) fn heard(&mut self, peer: &str, shown: Timestamp, at: Instant) {
        let base = self.base(at, shown);
        let beats = self.beats.entry(peer.to_owned()).or_default();
        if beats.len() == BEATS {
            beats.pop_front();
        }
        beats.push_back(base);
    }

    /// A peer is gone.
    pub(super) fn forget(&mut self, peer: &str) {
        self.beats.remove(peer);
    }

    /// Whether this worker should leave ticks to others. `doubting` are the live peers (by name), each with
    /// whether it doubts its own clock.
    pub(super) fn doubts<'a>(
        &self,
        now: Now,
        peers: impl Iterator<Item = (&'a str, bool)> + Clone,
    ) -> bool {
        let mine = self.base(now.mono, now.wall);
        let opinions: BTreeMap<&str, i64> = peers
            .clone()
            .filter_map(|(name, _)| Some((name, *self.beats.get(name)?.iter().max()?)))
            .collect();
        if opinions.is_empty() {
            let mut peers = peers;
            let alone = peers.next().is_none();
            let waited = now.mono.saturating_duration_since(self.origin) >= FIRST_OPINION;
            return !(alone || waited);
        }
        let mut all: Vec<i64> = opinions.values().copied().chain([mine]).collect();
        all.sort_unstable();
        // Of two opinions this is the slower one: the one ahead waits.
        let Some(median) = all.get((all.len() - 1) / 2).copied() else {
            return false;
        };
        let off = |base: i64| (base - median).abs();
        if off(mine) <= TOLERANCE_MS {
            return false;
        }
        let mut peers = peers;
        let everybody_doubts = peers.all(|(_, doubts)| doubts);
        let nearest = opinions.values().all(|base| off(mine) < off(*base));
        !(everybody_doubts && nearest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(origin: Instant, wall_ms: i64) -> Now {
        Now {
            mono: origin,
            wall: Timestamp::from_millis(wall_ms),
        }
    }

    /// My clock and the peers' (offset, says that it doubts); whether I doubt mine.
    #[track_caller]
    fn check(mine: i64, peers: &[(i64, bool)], expected: bool) {
        let origin = Instant::now();
        let mut clocks = Clocks::new(origin);
        let names: Vec<(String, bool)> = peers
            .iter()
            .enumerate()
            .map(|(n, (_, doubts))| (format!("peer-{n}"), *doubts))
            .collect();
        for ((name, _), (offset, _)) in names.iter().zip(peers) {
            clocks.heard(name, Timestamp::from_millis(1_000_000 + offset), origin);
        }
        let now = at(origin, 1_000_000 + mine);
        let doubts = clocks.doubts(now, names.iter().map(|(n, d)| (n.as_str(), *d)));
        assert_eq!(doubts, expected, "mine {mine}, peers {peers:?}");
    }

    #[test]
    fn the_median_decides() {
        check(0, &[], false);
        check(0, &[(1999, false)], false);
        check(0, &[(2500, false)], false);
        check(2500, &[(0, false)], true);
        check(3_600_000, &[(0, false), (100, false)], true);
        check(0, &[(3_600_000, false), (100, false)], false);
        check(-5000, &[(0, false), (0, false)], true);
        // Everybody is apart and says so: the nearest goes on.
        check(-5000, &[(0, true), (9000, true)], true);
        check(0, &[(-5000, true), (9000, true)], false);
    }

    #[test]
    fn without_an_opinion_it_waits_and_then_trusts_itself() {
        let origin = Instant::now();
        let clocks = Clocks::new(origin);
        let peers = || [("other", false)].into_iter();
        assert!(clocks.doubts(at(origin, 0), peers()));
        let later = Now {
            mono: origin + FIRST_OPINION,
            wall: Timestamp::from_millis(35_000),
        };
        assert!(!clocks.doubts(later, peers()));
    }
}
