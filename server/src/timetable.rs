//! From a job's schedule as stored to the timetable that a planner asks.

use sandclock_core::job::ScheduleSpec;
use sandclock_core::schedule::{Schedule, ScheduleError, Timetable, parse_zone};

use crate::document::FieldError;

/// Compiles a schedule.
///
/// # Errors
/// Names the member at fault: `schedule`, `time_zone` or the bounds.
pub fn of(spec: &ScheduleSpec) -> Result<Timetable, FieldError> {
    let refused = |error| refusal(&spec.expr, error);
    let schedule = Schedule::parse(&spec.expr, spec.dialect).map_err(refused)?;
    let zone = parse_zone(&spec.time_zone).map_err(refused)?;
    Timetable::new(schedule, zone, spec.dst, spec.starts_at, spec.ends_at).map_err(refused)
}

fn refusal(expr: &str, error: ScheduleError) -> FieldError {
    let why = format!("{}; {}", error.reason, error.remedy);
    match error.field {
        "time_zone" | "ends_at" => FieldError::new(error.field, error.value, format!("it {why}")),
        "schedule" if error.value == expr => FieldError::new("schedule", expr, format!("it {why}")),
        "schedule" => FieldError::new("schedule", expr, format!("'{}' {why}", error.value)),
        // A field of the expression.
        _ => FieldError::new("schedule", expr, error.to_string()),
    }
}
