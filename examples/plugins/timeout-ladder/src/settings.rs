//! What can be configured, and what is refused.

use core::fmt;

use sandclock_plugin_sdk::prelude::*;
use serde::Deserialize;

/// What can be configured.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// No limit is shorter, unless the job declares it so.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub(crate) floor_ms: u32,
    /// No limit is longer.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub(crate) ceiling_ms: u32,
    /// Multiplies the quantile.
    #[cfg_attr(test, schemars(range(max = 1000), extend("exclusiveMinimum" = 0)))]
    pub(crate) factor: f64,
    /// Which of the durations that successful runs took.
    pub(crate) quantile: Quantile,
    /// Successful runs below which history says nothing.
    #[cfg_attr(test, schemars(range(min = 1, max = 100)))]
    pub(crate) min_runs: u32,
    /// The part of the limit after which the run is reported as slow; null for never.
    #[cfg_attr(
        test,
        schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))
    )]
    pub(crate) warn_at: Option<f64>,
    /// Milliseconds between SIGTERM and SIGKILL; null for the job's.
    pub(crate) grace_ms: Option<u32>,
    /// The limit of a young job that declares none.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub(crate) default_ms: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            floor_ms: 60_000,
            ceiling_ms: 86_400_000,
            factor: 3.0,
            quantile: Quantile::P95,
            min_runs: 5,
            warn_at: Some(0.8),
            grace_ms: None,
            default_ms: None,
        }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Quantile {
    P50,
    P95,
    P99,
    Max,
}

impl Quantile {
    pub(crate) fn of(self, past: &History) -> u32 {
        match self {
            Self::P50 => past.p50_ms,
            Self::P95 => past.p95_ms,
            Self::P99 => past.p99_ms,
            Self::Max => past.max_ms,
        }
    }
}

impl fmt::Display for Quantile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::P50 => "median",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::Max => "longest",
        })
    }
}

impl Settings {
    pub(crate) fn read() -> Result<Self> {
        let settings: Self = config::all()?;
        let Self {
            floor_ms,
            ceiling_ms,
            factor,
            min_runs,
            warn_at,
            default_ms,
            ..
        } = settings;
        if floor_ms == 0 || floor_ms > ceiling_ms {
            let why = format!("{floor_ms}, has to be 1 to ceiling_ms, which is {ceiling_ms}");
            return Err(config::invalid("floor_ms", why));
        }
        if !(factor > 0.0 && factor <= 1000.0) {
            let why = format!("{factor}, has to be above 0 and at most 1000");
            return Err(config::invalid("factor", why));
        }
        if min_runs == 0 || min_runs > 100 {
            let why = format!("{min_runs}, has to be 1 to 100, the runs that history holds");
            return Err(config::invalid("min_runs", why));
        }
        if let Some(part) = warn_at.filter(|part| !(*part > 0.0 && *part < 1.0)) {
            let why = format!("{part}, has to be between 0 and 1, or null for no warning");
            return Err(config::invalid("warn_at", why));
        }
        if default_ms == Some(0) {
            let why = "0, has to be at least 1, or absent";
            return Err(config::invalid("default_ms", why));
        }
        Ok(settings)
    }
}
