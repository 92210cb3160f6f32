//! From a job's schedule as stored to the timetable that a planner asks.

use sandclock_core::job::ScheduleSpec;
use sandclock_core::schedule::{Schedule, ScheduleError, Timetable, parse_zone};

use crate::api::problem::FieldError;

/// Compiles a schedule.
///
/// # Errors
/// Names the member at fault: `schedule`, `time_zone` or the bounds.
pub fn of(spec: &ScheduleSpec) -> Result<Timetable, FieldError> {
    let at = |field: &'static str, value: &str| {
        let value = value.to_owned();
        move |error: ScheduleError| FieldError::new(field, value, error.to_string())
    };
    let schedule = Schedule::parse(&spec.expr, spec.dialect).map_err(at("schedule", &spec.expr))?;
    let zone = parse_zone(&spec.time_zone).map_err(at("time_zone", &spec.time_zone))?;
    Timetable::new(schedule, zone, spec.dst, spec.starts_at, spec.ends_at)
        .map_err(at("schedule", &spec.expr))
}
