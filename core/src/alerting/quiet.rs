//! Quiet hours: when a target is left alone.

use std::fmt;

use crate::schedule::Zone;
use crate::time::Timestamp;

/// The minutes of a day.
pub const DAY_MINUTES: u32 = 24 * 60;

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "everybody knows them")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Weekday {
    /// All, from Monday on.
    pub const ALL: [Self; 7] = [
        Self::Monday,
        Self::Tuesday,
        Self::Wednesday,
        Self::Thursday,
        Self::Friday,
        Self::Saturday,
        Self::Sunday,
    ];

    /// Its name in configurations: three letters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Monday => "mon",
            Self::Tuesday => "tue",
            Self::Wednesday => "wed",
            Self::Thursday => "thu",
            Self::Friday => "fri",
            Self::Saturday => "sat",
            Self::Sunday => "sun",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|day| day.as_str() == text)
    }
}

/// Hours by the clock of a zone. Those that end at an earlier minute than they begin end on the next day.
#[derive(Clone)]
pub struct Quiet {
    /// The minute of the day at which they begin, below [`DAY_MINUTES`].
    pub from: u32,
    /// The minute at which they end, at most [`DAY_MINUTES`].
    pub to: u32,
    /// The days on which they begin; none are all.
    pub days: Vec<Weekday>,
    /// Whose clock.
    pub zone: Zone,
    /// Where alerts go meanwhile; `None` lets them wait.
    pub instead: Option<String>,
}

impl PartialEq for Quiet {
    fn eq(&self, other: &Self) -> bool {
        let members = |quiet: &Self| {
            let zone = quiet.zone.name().to_owned();
            (
                quiet.from,
                quiet.to,
                quiet.days.clone(),
                zone,
                quiet.instead.clone(),
            )
        };
        members(self) == members(other)
    }
}

impl fmt::Debug for Quiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quiet({self}, instead {:?})", self.instead)
    }
}

/// As people write it: `22:00 to 07:00 Europe/Berlin`, with the days if not all.
impl fmt::Display for Quiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from, self.to);
        let time = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
        write!(f, "{} to {} {}", time(from), time(to), self.zone.name())?;
        if !self.days.is_empty() {
            let days: Vec<_> = self.days.iter().map(|day| day.as_str()).collect();
            write!(f, " on {}", days.join(", "))?;
        }
        Ok(())
    }
}

/// How many ends are looked behind for further hours that follow at once: those of every day of a week.
const FOLLOWING: usize = 8;

/// In milliseconds.
const MINUTE: i64 = 60_000;
const DAY: i64 = DAY_MINUTES as i64 * MINUTE;

impl Quiet {
    /// If it is quiet at this instant: when it is no more.
    pub fn until(&self, now: Timestamp) -> Option<Timestamp> {
        let mut end = self.end(now)?;
        for _ in 0..FOLLOWING {
            match self.end(end) {
                Some(later) => end = later,
                None => break,
            }
        }
        Some(end)
    }

    /// The end of the hours in which this instant is.
    fn end(&self, at: Timestamp) -> Option<Timestamp> {
        let local = at.as_millis() + self.zone.offset_s(at) * 1_000;
        let (day, time) = (local.div_euclid(DAY), local.rem_euclid(DAY));
        let (from, to) = (i64::from(self.from) * MINUTE, i64::from(self.to) * MINUTE);
        let end = if from < to {
            let within = self.begins_on(day) && (from..to).contains(&time);
            within.then_some(day * DAY + to)
        } else if time >= from && self.begins_on(day) {
            Some((day + 1) * DAY + to)
        } else if time < to && self.begins_on(day - 1) {
            Some(day * DAY + to)
        } else {
            None
        };
        end.map(|local| self.instant(local, at))
    }

    /// Whether hours begin on a day, counted from 1970-01-01, which was a Thursday.
    fn begins_on(&self, day: i64) -> bool {
        let number = usize::try_from((day + 3).rem_euclid(7)).unwrap_or_default();
        let day = Weekday::ALL.get(number);
        self.days.is_empty() || day.is_some_and(|day| self.days.contains(day))
    }

    /// The first instant after `after` at which the clock shows this local time or a later one: a time that the
    /// clock leaves out is over when it has been put forward.
    fn instant(&self, local: i64, after: Timestamp) -> Timestamp {
        let shows = |at: i64| at + self.zone.offset_s(Timestamp::from_millis(at)) * 1_000;
        let before = self.zone.offset_s(after) * 1_000;
        let mut at = local - before;
        // The clock may have changed in between: the offset then says where to look again.
        let there = self.zone.offset_s(Timestamp::from_millis(at)) * 1_000;
        if there != before {
            let again = local - there;
            at = if shows(again) == local {
                again
            } else {
                at.max(again)
            };
        }
        Timestamp::from_millis(at.max(after.as_millis() + 1))
    }
}
