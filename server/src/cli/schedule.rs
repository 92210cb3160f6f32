//! `sandclock schedule`: what an expression means and when it fires. Needs no server.

use clap::{Args, Subcommand};
use sandclock_core::Timestamp;
use sandclock_core::job::ScheduleSpec;
use sandclock_core::schedule::DstPolicy;
use sandclock_core::time::Clock as _;
use serde_json::Value;

use super::table;
use super::{Output, Told};
use crate::api::schedule::{Preview, dialect};
use crate::clock::SystemClock;

/// What to do with an expression.
#[derive(Debug, Subcommand)]
pub(super) enum ScheduleCommand {
    /// When an expression fires
    Next {
        #[command(flatten)]
        schedule: ScheduleArgs,
        /// How many fire times
        #[arg(short, default_value_t = 5)]
        n: usize,
        /// After this instant, RFC 3339 [default: now]
        #[arg(long)]
        from: Option<String>,
    },
    /// What is odd about an expression; fails if it is refused
    Lint {
        #[command(flatten)]
        schedule: ScheduleArgs,
    },
}

/// An expression and how to read it.
#[derive(Debug, Args)]
pub(super) struct ScheduleArgs {
    /// Such as '30 9 * * mon-fri', @daily or '@every 90s'
    expr: String,
    /// An IANA time zone
    #[arg(long, default_value = "UTC")]
    tz: String,
    /// native or go
    #[arg(long, default_value = "native")]
    dialect: String,
}

impl ScheduleArgs {
    fn spec(&self) -> anyhow::Result<ScheduleSpec> {
        let dialect = dialect(Some(&self.dialect)).map_err(|error| Told(error.to_string()))?;
        Ok(ScheduleSpec {
            expr: self.expr.clone(),
            dialect,
            time_zone: self.tz.clone(),
            dst: DstPolicy::default(),
            starts_at: None,
            ends_at: None,
        })
    }
}

/// Runs the command.
///
/// # Errors
/// If the expression is refused.
pub(super) fn main(command: ScheduleCommand, output: Output) -> anyhow::Result<()> {
    let told = |error: crate::document::FieldError| Told(error.to_string());
    match command {
        ScheduleCommand::Next { schedule, n, from } => {
            let from = match from {
                None => SystemClock.now(),
                Some(text) => Timestamp::parse(&text).ok_or_else(|| {
                    Told(format!(
                        "--from {text} is not RFC 3339, such as 2027-01-01T00:00:00Z"
                    ))
                })?,
            };
            let preview = Preview::of(&schedule.spec()?, from, Some(n)).map_err(told)?;
            table::either(output, &serde_json::to_value(preview)?, show);
        }
        ScheduleCommand::Lint { schedule } => {
            let preview =
                Preview::of(&schedule.spec()?, SystemClock.now(), Some(1)).map_err(told)?;
            table::either(output, &serde_json::to_value(preview)?, |preview| {
                table::say(preview["description"].as_str().unwrap_or_default());
                warnings(preview);
            });
        }
    }
    Ok(())
}

/// Prints a preview.
pub(super) fn show(preview: &Value) {
    table::say(&format!(
        "{} ({})",
        table::text(preview, "description"),
        table::text(preview, "time_zone")
    ));
    for fire in preview["fires"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        table::say(&format!("  {fire}"));
    }
    warnings(preview);
}

/// Prints the warnings of a preview or of a saved job.
pub(super) fn warnings(shown: &Value) {
    for warning in shown["warnings"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        table::say(&format!("warning: {warning}"));
    }
}
