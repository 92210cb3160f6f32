//! The next fire time of ordinary expressions, against the bare `cron` crate.
//!
//! The crate is the engine below our schedules for months and times of day; what is measured is what days,
//! zones and clock-change policies on top of it cost, or save. Both sides are asked afresh for each fire time, as a
//! planner asks, and walk through several years and all their clock changes.

use std::str::FromStr;

use anyhow::{Context, Result};
use chrono::{DateTime, TimeZone, Utc};
use chrono_tz::Tz;
use sandclock_core::Timestamp;
use sandclock_core::schedule::{Dialect, DstPolicy, Schedule, Timetable, parse_zone};

use crate::figure::{Figure, Work, compare};

const ZONE: &str = "Europe/Berlin";

/// 2027-01-01T00:00:00Z.
const START_S: i64 = 1_798_761_600;

/// The same schedule in crontab's language and in the crate's (seconds first, weekdays from 1 = Sunday).
const EXPRESSIONS: &[(&str, &str)] = &[
    ("*/5 * * * *", "0 */5 * * * *"),
    ("30 2 * * 1-5", "0 30 2 * * 2-6"),
    ("15 3 1 * *", "0 15 3 1 * *"),
    ("0 9-17 * * 1", "0 0 9-17 * * 2"),
    ("0 0 1 1,7 *", "0 0 0 1 1,7 *"),
];

/// Fire times asked of each expression in one step.
const FIRES: usize = 40;

pub(crate) fn run() -> Result<Vec<Figure>> {
    let ours = timetables()?;
    let others = crate_schedules()?;
    let figure = compare(
        "schedule.next_fire",
        "fires",
        Work {
            label: "core",
            step: &mut || walk_ours(&ours),
        },
        Work {
            label: "bare cron crate",
            step: &mut || walk_crate(&others),
        },
    )?;
    Ok(vec![figure])
}

fn timetables() -> Result<Vec<Timetable>> {
    let zone = parse_zone(ZONE)?;
    let timetable = |(expression, _): &(&str, &str)| {
        let schedule = Schedule::parse(expression, Dialect::Native)?;
        Ok(Timetable::new(
            schedule,
            zone.clone(),
            DstPolicy::Vixie,
            None,
            None,
        )?)
    };
    EXPRESSIONS.iter().map(timetable).collect()
}

fn crate_schedules() -> Result<Vec<cron::Schedule>> {
    let parse = |(_, expression): &(&str, &str)| {
        cron::Schedule::from_str(expression)
            .with_context(|| format!("the cron crate reads {expression}"))
    };
    EXPRESSIONS.iter().map(parse).collect()
}

fn walk_ours(timetables: &[Timetable]) -> Result<f64> {
    let mut fires = 0.0;
    for timetable in timetables {
        let mut at = Timestamp::from_millis(START_S * 1000);
        for _ in 0..FIRES {
            at = timetable
                .next_after(at)
                .context("an endless schedule fires again")?;
            fires += 1.0;
        }
    }
    Ok(fires)
}

fn walk_crate(schedules: &[cron::Schedule]) -> Result<f64> {
    let zone: Tz = ZONE.parse().context("the zone is known")?;
    let start: DateTime<Utc> =
        DateTime::from_timestamp(START_S, 0).context("the start is a time")?;
    let mut fires = 0.0;
    for schedule in schedules {
        let mut at = zone.from_utc_datetime(&start.naive_utc());
        for _ in 0..FIRES {
            at = schedule
                .after(&at)
                .next()
                .context("an endless schedule fires again")?;
            fires += 1.0;
        }
    }
    Ok(fires)
}
