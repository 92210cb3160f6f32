//! Schedule preview: when an expression fires next, what it means, and what is odd about it.

use axum::Json;
use axum::extract::State;
use sandclock_core::Timestamp;
use sandclock_core::job::ScheduleSpec;
use sandclock_core::schedule::{Dialect, DstPolicy};
use serde::{Deserialize, Serialize};

use super::Api;
use super::dto::job::DstDto;
use super::input::Query;
use super::problem::Problem;
use crate::document::FieldError;

/// The most fire times of one preview.
pub const MAX_FIRES: usize = 1000;

/// What is to be previewed.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PreviewQuery {
    /// The expression.
    expr: String,
    /// An IANA name; by default the server's zone for jobs that name none.
    tz: Option<String>,
    /// How many fire times, from 1 to 1000; default 5.
    n: Option<usize>,
    /// After this instant, RFC 3339; default now.
    from: Option<String>,
    /// `native` or `go`; default `native`.
    dialect: Option<String>,
    /// What becomes of times that the clocks skip or repeat.
    dst: Option<DstDto>,
}

/// When a schedule fires.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = SchedulePreview)]
pub struct Preview {
    /// In words.
    pub description: String,
    /// The zone it is read in.
    pub time_zone: String,
    /// The next fire times, RFC 3339 in UTC; fewer than asked for if there are no more.
    pub fires: Vec<String>,
    /// What a person should know about the schedule, above all that it never fires again.
    pub warnings: Vec<String>,
}

impl Preview {
    /// The next `n` fire times after `from`, 5 unless told.
    ///
    /// # Errors
    /// If the schedule or the number is not accepted.
    pub fn of(spec: &ScheduleSpec, from: Timestamp, n: Option<usize>) -> Result<Self, FieldError> {
        let n = n.unwrap_or(5);
        if !(1..=MAX_FIRES).contains(&n) {
            return Err(FieldError::new(
                "n",
                n,
                format!("a number from 1 to {MAX_FIRES}"),
            ));
        }
        let table = crate::timetable::of(spec)?;
        let mut fires = Vec::new();
        let mut at = from;
        while fires.len() < n
            && let Some(next) = table.next_after(at)
        {
            fires.push(next.to_string());
            at = next;
        }
        Ok(Self {
            description: table.schedule().describe(),
            time_zone: spec.time_zone.clone(),
            fires,
            warnings: table.warnings(from),
        })
    }
}

/// Reads a dialect's name.
///
/// # Errors
/// If it is none.
pub fn dialect(name: Option<&str>) -> Result<Dialect, FieldError> {
    match name {
        None | Some("native") => Ok(Dialect::Native),
        Some("go") => Ok(Dialect::Go),
        Some(other) => Err(FieldError::new("dialect", other, "native or go")),
    }
}

/// The member of a job that is at fault, as the parameter of the preview that it came in.
fn as_asked(error: FieldError) -> FieldError {
    let field = match error.field.as_str() {
        "schedule" => "expr".to_owned(),
        "time_zone" => "tz".to_owned(),
        _ => error.field,
    };
    FieldError { field, ..error }
}

/// When a schedule fires next, what it means, and what is odd about it.
#[utoipa::path(
    get,
    path = "/schedule/preview",
    operation_id = "schedule.preview",
    tag = "schedule",
    params(PreviewQuery),
    responses((status = 200, description = "The next fire times", body = Preview)),
)]
pub async fn preview(
    State(api): State<Api>,
    Query(query): Query<PreviewQuery>,
) -> Result<Json<Preview>, Problem> {
    let from = match &query.from {
        None => api.clock.now(),
        Some(text) => Timestamp::parse(text).ok_or_else(|| {
            FieldError::new("from", text, "RFC 3339, such as 2027-01-01T00:00:00Z")
        })?,
    };
    let spec = ScheduleSpec {
        expr: query.expr,
        dialect: dialect(query.dialect.as_deref())?,
        time_zone: query.tz.unwrap_or_else(|| api.default_time_zone.clone()),
        dst: query.dst.map_or_else(DstPolicy::default, Into::into),
        starts_at: None,
        ends_at: None,
    };
    let preview = Preview::of(&spec, from, query.n);
    Ok(Json(preview.map_err(as_asked)?))
}
