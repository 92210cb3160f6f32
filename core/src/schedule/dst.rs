//! From local times to instants: what happens where the clock of a zone jumps.
//!
//! A zone is a row of stretches with one offset each. Inside a stretch local time and UTC run
//! evenly, so a search asks the [`Pattern`] for the next local time and looks whether it is still
//! in the stretch. Between two stretches the clock either skips local times (a gap) or shows some
//! of them again (a replay). What a job does there is its [`DstPolicy`]:
//!
//! | policy | job | in a gap | in a replay |
//! |---|---|---|---|
//! | `vixie` | minute or hour begins with `*` | never | fires again |
//! | `vixie` | others | once, at the end of the gap | not again |
//! | `skip` | all | never | not again |
//! | `both` | minute or hour begins with `*` | never | fires again |
//! | `both` | others | once, at the end of the gap | fires again |
//!
//! `vixie` is what cron(8) of Debian and Fedora does, for shifts of any length.

use super::DstPolicy;
use super::pattern::{DAY, Pattern};
use super::zone::{Stretch, Zone};

/// Longer than any shift of a clock and any difference between two offsets.
const MARGIN: i64 = 2 * DAY;

/// A pattern on the clock of a zone. Times are Unix seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct ZonedPattern<'a> {
    pub(super) pattern: &'a Pattern,
    pub(super) zone: &'a Zone,
    /// Local times in a gap fire once at its end.
    gap_fires: bool,
    /// Local times that the clock shows again fire again.
    replays: bool,
}

impl<'a> ZonedPattern<'a> {
    pub(super) fn new(
        pattern: &'a Pattern,
        zone: &'a Zone,
        policy: DstPolicy,
        wildcard: bool,
    ) -> Self {
        let gap_fires = !wildcard && policy != DstPolicy::Skip;
        let replays = policy == DstPolicy::Both || (wildcard && policy == DstPolicy::Vixie);
        Self {
            pattern,
            zone,
            gap_fires,
            replays,
        }
    }

    /// The first local time of a stretch that may fire in it.
    fn floor(&self, stretch: &Stretch) -> i64 {
        let begin = stretch.start + stretch.offset;
        if self.replays {
            begin
        } else {
            begin.max(stretch.shown)
        }
    }

    /// The first fire after `after`. `looked` grows by the days examined.
    pub(super) fn next(&self, after: i64, looked: &mut u32) -> Option<i64> {
        let mut after = after;
        let (mut at, stretches) = self.zone.stretches(after);
        loop {
            let stretch = stretches.get(at)?;
            let from = (after + stretch.offset).max(self.floor(stretch) - 1);
            let found = self.pattern.next(from, looked);
            let Some(following) = stretches.get(at + 1) else {
                return found.map(|local| local - stretch.offset);
            };
            let end = following.start + stretch.offset;
            if let Some(local) = found.filter(|local| *local < end) {
                return Some(local - stretch.offset);
            }
            if self.fires_at_end_of_gap(following, found, looked) {
                return Some(following.start);
            }
            // Nothing fires until `found`, but for what a clock put back shows again.
            match found {
                None if following.start - after > MARGIN => return None,
                Some(local) if following.start - after > MARGIN && local - MARGIN > end => {
                    after = (local - MARGIN).max(following.start);
                    at = self.zone.stretches(after).0;
                }
                _ => {
                    after = following.start - 1;
                    at += 1;
                }
            }
        }
    }

    /// Whether the gap before `following`, if there is one, holds a time. `found` is the first time
    /// not before the end of the stretch before it.
    fn fires_at_end_of_gap(
        &self,
        following: &Stretch,
        found: Option<i64>,
        looked: &mut u32,
    ) -> bool {
        let resumed = following.start + following.offset;
        if !self.gap_fires || resumed <= following.shown {
            return false;
        }
        let skipped = match found {
            Some(local) if local < following.shown => {
                self.pattern.next(following.shown - 1, looked)
            }
            other => other,
        };
        skipped.is_some_and(|local| local < resumed)
    }

    /// The last fire not before `earliest` and not after `through`.
    pub(super) fn last(&self, earliest: i64, through: i64) -> Option<i64> {
        let mut through = through;
        let (mut at, stretches) = self.zone.stretches(through);
        while through >= earliest {
            let stretch = stretches.get(at)?;
            let found = self.pattern.previous(through + stretch.offset + 1);
            if let Some(local) = found.filter(|local| *local >= self.floor(stretch)) {
                return Some(local - stretch.offset).filter(|fire| *fire >= earliest);
            }
            if at == 0 {
                return None;
            }
            let mut looked = 0;
            if self.gap_fires
                && stretch.start >= earliest
                && self.fires_at_end_of_gap(
                    stretch,
                    self.pattern.next(stretch.shown - 1, &mut looked),
                    &mut looked,
                )
            {
                return Some(stretch.start);
            }
            match found {
                None if through - stretch.start > MARGIN => return None,
                Some(local)
                    if through - stretch.start > MARGIN && local + MARGIN < stretch.start =>
                {
                    through = local + MARGIN;
                    at = self.zone.stretches(through).0;
                }
                _ => {
                    through = stretch.start - 1;
                    at -= 1;
                }
            }
        }
        None
    }

    /// How many fires are after `after` and not after `through`.
    pub(super) fn count(&self, after: i64, through: i64) -> u64 {
        let (first, stretches) = self.zone.stretches(after);
        let mut total = 0;
        for (at, stretch) in stretches.iter().enumerate().skip(first) {
            if stretch.start > through {
                break;
            }
            let end = stretches.get(at + 1).map_or(i64::MAX, |next| next.start);
            let from = (after.max(stretch.start - 1) + stretch.offset).max(self.floor(stretch) - 1);
            total += self
                .pattern
                .count(from, through.min(end - 1) + stretch.offset);
            // What a gap skipped fires with what is due at its end.
            let resumed = stretch.start + stretch.offset;
            let gap = self.gap_fires && at > first && stretch.shown < resumed;
            if gap
                && self.pattern.count(stretch.shown - 1, resumed - 1) > 0
                && self.pattern.count(resumed - 1, resumed) == 0
            {
                total += 1;
            }
        }
        total
    }
}
