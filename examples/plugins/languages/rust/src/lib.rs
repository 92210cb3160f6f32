//! Limits a run to a multiple of the p99 of its job's history.

use sandclock_plugin_sdk::prelude::*;
use serde_json::{Map, Value};

struct TimesP99;

struct Settings {
    factor: u32,
    floor_ms: u32,
    min_runs: u32,
}

fn number(what: &str, text: &str, least: u32, most: u32) -> Result<u32> {
    match text.parse::<u32>() {
        Ok(value) if (least..=most).contains(&value) && value.to_string() == text => Ok(value),
        _ => {
            let why = format!("{text}, has to be a whole number from {least} to {most}");
            Err(format!("{what}: {why}").into())
        }
    }
}

impl Settings {
    fn read() -> Result<Self> {
        let all: Map<String, Value> = config::all()?;
        let read = |key: &str, absent, least, most| match all.get(key) {
            Some(value) => number(&format!("config.{key}"), &value.to_string(), least, most),
            None => Ok(absent),
        };
        Ok(Self {
            factor: read("factor", 3, 1, 100)?,
            floor_ms: read("floor_ms", 60_000, 1, u32::MAX)?,
            min_runs: read("min_runs", 5, 1, 100)?,
        })
    }
}

impl TimeoutPolicy for TimesP99 {
    fn decide(run: RunInfo, declared_ms: Option<u32>, past: History) -> Result<Option<Decision>> {
        let mut settings = Settings::read()?;
        for (key, text) in &run.labels {
            if key == "timeout-factor" {
                settings.factor = number("label timeout-factor", text, 1, 100)?;
            }
        }
        let successes = past.runs.saturating_sub(past.failures);
        if successes < settings.min_runs {
            return Ok(None);
        }
        let (factor, p99) = (settings.factor, past.p99_ms);
        let mut limit = p99.saturating_mul(factor);
        let mut reason = format!(
            "{}: {factor} times the p99 of {successes} runs, {p99} ms",
            run.job_name
        );
        if past.failures > successes {
            limit = limit.saturating_mul(2);
            reason += ", doubled since most runs failed";
        }
        if limit < settings.floor_ms {
            limit = settings.floor_ms;
            reason += ", raised to the floor";
        }
        if let Some(declared) = declared_ms.filter(|&declared| declared < limit) {
            limit = declared;
            reason += ", cut at what the job declares";
        }
        let mut decision = Decision::limit_ms(limit)
            .warn_ms(limit - limit / 5)
            .reason(format!("{reason}: {limit} ms"));
        decision.grace_ms = (limit >= 3_600_000).then_some(30_000);
        Ok(Some(decision))
    }
}

impl Lifecycle for TimesP99 {
    fn validate_config() -> Result<()> {
        Settings::read().map(drop)
    }
}

register!(timeout_policy = TimesP99, lifecycle = TimesP99);
