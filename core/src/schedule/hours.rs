//! Hours of the day on the clock of a zone, such as those in which somebody wants to be left alone.
//!
//! The hours of a day are a stretch of time: from the first instant at which the clock shows their begin, or a later
//! time, to the first at which it shows their end, or a later one. So a clock that is put forward over the end ends
//! them, and one that is put back does not begin them again.

use std::fmt;

use crate::time::Timestamp;

use super::pattern::DAY;
use super::zone::Zone;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours {
    /// The minute of the day at which they begin, below [`DAY_MINUTES`].
    pub from: u32,
    /// The minute at which they end, at most [`DAY_MINUTES`].
    pub to: u32,
    /// The days on which they begin; none are all.
    pub days: Vec<Weekday>,
    /// Whose clock.
    pub zone: Zone,
}

/// As people write it: `22:00 to 07:00 Europe/Berlin`, with the days if not all.
impl fmt::Display for Hours {
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

impl Hours {
    /// If this instant is in the hours: when they are over, with all that follow them at once.
    pub fn until(&self, now: Timestamp) -> Option<Timestamp> {
        let mut end = self.end(now.as_millis().div_euclid(1_000))?;
        for _ in 0..FOLLOWING {
            match self.end(end) {
                Some(later) => end = later,
                None => break,
            }
        }
        Some(Timestamp::from_millis(end * 1_000))
    }

    /// The end of the hours in which this Unix time is, in seconds.
    fn end(&self, now: i64) -> Option<i64> {
        let local = now + self.zone.offset_s(Timestamp::from_millis(now * 1_000));
        let today = local.div_euclid(DAY);
        // Hours of the day before may reach into this one, and a clock that was put back over midnight shows the day
        // before those that have begun.
        let days = (today - 1..=today + 1).filter(|day| self.begin_on(*day));
        let stretches = days.map(|day| self.stretch(day));
        let ends = stretches.filter_map(|(begin, end)| (begin..end).contains(&now).then_some(end));
        ends.max()
    }

    /// The hours of a day, counted from 1970-01-01.
    fn stretch(&self, day: i64) -> (i64, i64) {
        let minute =
            |day: i64, minute: u32| self.zone.first_showing(day * DAY + i64::from(minute) * 60);
        let last = if self.from < self.to { day } else { day + 1 };
        (minute(day, self.from), minute(last, self.to))
    }

    /// Whether hours begin on a day, counted from 1970-01-01, which was a Thursday.
    fn begin_on(&self, day: i64) -> bool {
        let number = usize::try_from((day + 3).rem_euclid(7)).unwrap_or_default();
        let day = Weekday::ALL.get(number);
        self.days.is_empty() || day.is_some_and(|day| self.days.contains(day))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::parse_zone;

    /// What is left out in spring is over when the clock was put forward; what is shown twice in autumn counts once.
    #[test]
    fn hours_are_once_a_day_whatever_the_clock_does() {
        let at = |text: &str| Timestamp::parse(&format!("2026-{text}:00Z")).unwrap();
        let hours = |from: u32, to: u32| Hours {
            from,
            to,
            days: Vec::new(),
            zone: parse_zone("Europe/Berlin").unwrap(),
        };
        // At 01:00 UTC of 2026-03-29 the clock of Berlin goes from 02:00 to 03:00, and of 2026-10-25 from 03:00 to 02:00.
        let cases = [
            // It ends in the gap.
            (60, 150, "03-28T23:59", None),
            (60, 150, "03-29T00:00", Some("03-29T01:00")),
            (60, 150, "03-29T01:00", None),
            // It begins in the gap.
            (150, 300, "03-29T00:59", None),
            (150, 300, "03-29T01:00", Some("03-29T03:00")),
            // It is in the gap.
            (130, 170, "03-29T00:59", None),
            (130, 170, "03-29T01:00", None),
            // It ends in the hour that comes twice: the first time.
            (60, 150, "10-24T23:00", Some("10-25T00:30")),
            (60, 150, "10-25T00:30", None),
            (60, 150, "10-25T01:15", None),
            // It begins there, the first time, and goes on through the second.
            (150, 240, "10-25T00:29", None),
            (150, 240, "10-25T00:30", Some("10-25T03:00")),
            (150, 240, "10-25T01:10", Some("10-25T03:00")),
            // It is in that hour.
            (130, 170, "10-25T00:20", Some("10-25T00:50")),
            (130, 170, "10-25T01:20", None),
            // It goes through the change, from one day to the next.
            (1320, 420, "10-25T01:30", Some("10-25T06:00")),
            (1320, 420, "03-29T01:30", Some("03-29T05:00")),
        ];
        for (from, to, now, end) in cases {
            let hours = hours(from, to);
            assert_eq!(hours.until(at(now)), end.map(at), "{hours} at {now}");
        }
    }
}
