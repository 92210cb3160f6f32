//! Limits a run by what the job took before.
//!
//! The limit is a multiple of a quantile of the job's own history, between a floor and a ceiling, and never beyond what the
//! job declares. A job that is too young keeps its declared limit, or gets a configured one. Some time before the end the
//! run is reported as slow, so that a person can look while it is still there.

mod settings;
#[cfg(test)]
mod tests;

use sandclock_plugin_sdk::prelude::*;
use settings::Settings;

struct Ladder;

impl TimeoutPolicy for Ladder {
    fn decide(_: RunInfo, declared_ms: Option<u32>, past: History) -> Result<Option<Decision>> {
        let settings = Settings::read()?;
        let Some((limit_ms, reason)) = limit(&settings, declared_ms, &past) else {
            return Ok(None);
        };
        let mut decision = Decision::limit_ms(limit_ms).reason(reason);
        decision.warn_ms = settings.warn_at.map(|part| scale(limit_ms, part));
        decision.grace_ms = settings.grace_ms;
        Ok(Some(decision))
    }
}

impl Lifecycle for Ladder {
    fn validate_config() -> Result<()> {
        Settings::read().map(drop)
    }
}

register!(timeout_policy = Ladder, lifecycle = Ladder);

/// The limit and why it is that, or none if neither history nor job nor configuration has one.
fn limit(settings: &Settings, declared_ms: Option<u32>, past: &History) -> Option<(u32, String)> {
    let successes = past.runs.saturating_sub(past.failures);
    if successes < settings.min_runs {
        let young = format!("{successes} of {} successful runs known", settings.min_runs);
        return match (declared_ms, settings.default_ms) {
            (Some(declared), _) => Some((
                declared,
                format!("declared limit {}: {young}", span(declared)),
            )),
            (None, Some(default)) => {
                Some((default, format!("default limit {}: {young}", span(default))))
            }
            (None, None) => None,
        };
    }
    let (factor, quantile) = (settings.factor, settings.quantile);
    let usual = quantile.of(past);
    let wanted = scale(usual, factor);
    let mut reason = format!(
        "{factor} times the {quantile} of {successes} successful runs, {}",
        span(usual)
    );
    let (mut limit, bound) = match wanted {
        low if low < settings.floor_ms => (settings.floor_ms, "raised to the floor"),
        high if high > settings.ceiling_ms => (settings.ceiling_ms, "cut at the ceiling"),
        between => (between, "limit"),
    };
    reason = format!("{reason}: {bound} {}", span(limit));
    if let Some(declared) = declared_ms.filter(|&declared| declared < limit) {
        limit = declared;
        reason = format!("{reason}, but the job declares {}", span(declared));
    }
    Some((limit, reason))
}

/// `ms` times `factor`, rounded down; beyond 49 days it stays there.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and neither is negative"
)]
fn scale(ms: u32, factor: f64) -> u32 {
    (f64::from(ms) * factor) as u32
}

/// A duration for people, in its two largest units: `1 h 30 min`, `2 min 5 s`, `1.5 s`.
fn span(ms: u32) -> String {
    let (seconds, millis) = (ms / 1000, ms % 1000);
    let two = |large: u32, unit: &str, small: u32, small_unit: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {small_unit}"),
    };
    match seconds {
        0 => format!("{millis} ms"),
        1..60 if millis >= 100 => format!("{seconds}.{} s", millis / 100),
        1..60 => format!("{seconds} s"),
        60..3600 => two(seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}
