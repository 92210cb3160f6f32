//! When one job fires: its schedule on the clock of its zone, within its bounds.
//!
//! This is all a planner asks. Every answer is an instant; local time stays behind this door.

use crate::time::Timestamp;

use super::dst::ZonedPattern;
use super::error::ScheduleError;
use super::interval::ERA_MS;
use super::pattern::CALENDAR;
use super::zone::Zone;
use super::{DstPolicy, Rule, Schedule};

/// When the last year begins that an expression can name.
const LAST_YEAR_MS: i64 = 4_070_908_800_000;

/// The fire times of one job.
#[derive(Clone, Debug, PartialEq)]
pub struct Timetable {
    schedule: Schedule,
    zone: Zone,
    dst: DstPolicy,
    starts_at: Option<Timestamp>,
    ends_at: Option<Timestamp>,
}

impl Timetable {
    /// A schedule in a zone, from `starts_at` to `ends_at`; a fire at either bound is inside.
    ///
    /// # Errors
    /// Refuses bounds in the wrong order and a schedule that never fires between them. Whether it
    /// still fires after a given instant is for [`Timetable::next_after`].
    pub fn new(
        schedule: Schedule,
        zone: Zone,
        dst: DstPolicy,
        starts_at: Option<Timestamp>,
        ends_at: Option<Timestamp>,
    ) -> Result<Self, ScheduleError> {
        let table = Self {
            schedule,
            zone,
            dst,
            starts_at,
            ends_at,
        };
        if let (Some(start), Some(end)) = (starts_at, ends_at)
            && start > end
        {
            let remedy = format!("use an instant after starts_at, which is {start}");
            return Err(ScheduleError::new(
                "ends_at",
                end.to_string(),
                "is too early",
                remedy,
            ));
        }
        let (first, last) = table.bounds();
        if table
            .next_after(Timestamp::from_millis(first.saturating_sub(1)))
            .is_none()
        {
            let (first, last) = (Timestamp::from_millis(first), Timestamp::from_millis(last));
            return Err(ScheduleError::new(
                "schedule",
                table.schedule.expr(),
                format!("never fires between {first} and {last}"),
                "move starts_at or ends_at, or name a time between them",
            ));
        }
        Ok(table)
    }

    /// The schedule.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The zone whose clock a cron expression is read on.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The first fire time strictly after `t`. `None`: never again, because `ends_at`, the instant
    /// of an `@at`, the last year of the expression or the year 2099 is over.
    pub fn next_after(&self, t: Timestamp) -> Option<Timestamp> {
        self.next_after_counted(t).0
    }

    /// As [`Timetable::next_after`], with the number of calendar days that the search examined:
    /// never more than 40,000. A month whose days were looked at together counts all of them.
    pub fn next_after_counted(&self, t: Timestamp) -> (Option<Timestamp>, u32) {
        let (first, last) = self.bounds();
        let t = t.as_millis().max(first.saturating_sub(1));
        let mut looked = 0;
        let next = match &self.schedule.rule {
            Rule::Every(every) => every.next(self.origin(), t),
            Rule::At(at) => Some(at.as_millis()).filter(|at| *at > t),
            Rule::Cron(_) => {
                let after = t.div_euclid(1000);
                self.zoned()
                    .and_then(|zoned| zoned.next(after, &mut looked))
                    .map(|s| s * 1000)
            }
        };
        (
            next.filter(|next| *next <= last)
                .map(Timestamp::from_millis),
            looked,
        )
    }

    /// What a person should know who sees it at `t`: what is odd about the expression, and that it
    /// never fires again, and why.
    pub fn warnings(&self, t: Timestamp) -> Vec<String> {
        let mut found = self.schedule.warnings();
        found.extend(self.is_over(t));
        found
    }

    fn is_over(&self, t: Timestamp) -> Option<String> {
        if self.next_after(t).is_some() {
            return None;
        }
        let last = self.last_at_or_before(t, Timestamp::from_millis(i64::MIN))?;
        let endless = Self {
            ends_at: None,
            ..self.clone()
        };
        let why = match (self.ends_at, &self.schedule.rule) {
            (Some(end), _) if endless.next_after(t).is_some() => format!("ends_at is {end}"),
            (_, Rule::At(_)) => "'@at' names one instant".to_owned(),
            (_, Rule::Cron(_)) if last.as_millis() < LAST_YEAR_MS => {
                "the expression names no later year".to_owned()
            }
            _ => "schedules end with the year 2099".to_owned(),
        };
        Some(format!(
            "never fires again: {why}, and the last fire time was {last}"
        ))
    }

    /// The last fire time after `after` and not after `t`: what a planner runs when it was away and
    /// wants only the newest.
    pub fn last_at_or_before(&self, t: Timestamp, after: Timestamp) -> Option<Timestamp> {
        let (first, last) = self.bounds();
        let through = t.as_millis().min(last);
        let earliest = after.as_millis().saturating_add(1).max(first);
        let newest = match &self.schedule.rule {
            Rule::Every(every) => every.last(self.origin(), through),
            Rule::At(at) => Some(at.as_millis()),
            Rule::Cron(_) => {
                let earliest = earliest.div_euclid(1000) + i64::from(earliest.rem_euclid(1000) > 0);
                let through = through.div_euclid(1000);
                self.zoned()
                    .and_then(|zoned| zoned.last(earliest, through))
                    .map(|s| s * 1000)
            }
        };
        newest
            .filter(|newest| (earliest..=through).contains(newest))
            .map(Timestamp::from_millis)
    }

    /// How many fire times are after `after` and not after `until`, at most `cap`, and whether
    /// there are more than that. Counted by month and day, not by fire.
    pub fn count_between(&self, after: Timestamp, until: Timestamp, cap: u64) -> (u64, bool) {
        let (first, last) = self.bounds();
        let after = after.as_millis().max(first.saturating_sub(1));
        let through = until.as_millis().min(last);
        if after >= through {
            return (0, false);
        }
        let count = match &self.schedule.rule {
            Rule::Every(every) => every.count(self.origin(), after, through),
            Rule::At(at) => u64::from(at.as_millis() > after && at.as_millis() <= through),
            Rule::Cron(_) => self.zoned().map_or(0, |zoned| {
                zoned.count(after.div_euclid(1000), through.div_euclid(1000))
            }),
        };
        (count.min(cap), count > cap)
    }

    /// The fire times after `after` and not after `until`, in order, computed as they are taken.
    pub fn fire_times(
        &self,
        after: Timestamp,
        until: Timestamp,
    ) -> impl Iterator<Item = Timestamp> + '_ {
        std::iter::successors(self.next_after(after), |last| self.next_after(*last))
            .take_while(move |fire| *fire <= until)
    }

    /// First and last millisecond that may fire.
    fn bounds(&self) -> (i64, i64) {
        let era = match self.schedule.rule {
            Rule::Cron(_) => (CALENDAR.0 * 1000, CALENDAR.1 * 1000),
            Rule::Every(_) | Rule::At(_) => ERA_MS,
        };
        let first = self
            .starts_at
            .map_or(era.0, |start| start.as_millis().max(era.0));
        let last = self.ends_at.map_or(era.1, |end| end.as_millis().min(era.1));
        (first, last)
    }

    fn origin(&self) -> i64 {
        self.starts_at.map_or(0, |start| start.as_millis().max(0))
    }

    fn zoned(&self) -> Option<ZonedPattern<'_>> {
        match &self.schedule.rule {
            Rule::Cron(cron) => Some(ZonedPattern::new(
                &cron.pattern,
                &self.zone,
                self.dst,
                cron.is_wildcard(),
            )),
            Rule::Every(_) | Rule::At(_) => None,
        }
    }
}
