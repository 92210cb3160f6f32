//! Tells a target once when many runs fail soon after each other, whatever their jobs and workers.
//!
//! No single run knows of a storm, so the plugin keeps the ids of the runs that have failed. An id rather than a number: a call
//! may come again for a run that is counted already, and has to say the same again.

#[cfg(test)]
mod tests;

use core::time::Duration;

use sandclock_plugin_sdk::alert::FAILURES;
use sandclock_plugin_sdk::prelude::*;
use serde::Deserialize;

/// Where the ids are kept, one on each line, in the order in which the runs failed.
const KEY: &str = "failed";
/// Each try of a swap may meet another worker that was faster.
const TRIES: u32 = 40;

struct Storm;

impl RunEnd for Storm {
    fn on_end(run: RunInfo, end: End) -> Result<Vec<Delivery>> {
        let settings = Settings::read()?;
        if !FAILURES.contains(&end.state.as_str()) {
            return Ok(Vec::new());
        }
        if place(&run.run_id, &settings)? != settings.failures {
            return Ok(Vec::new());
        }
        let text = format!(
            "{} runs have failed, each within {} s of the one before, the last of {}: {}",
            settings.failures, settings.within_s, run.job_name, end.cause
        );
        Ok(vec![
            Delivery::text(&settings.target, text).dedupe_key("storm"),
        ])
    }
}

impl Lifecycle for Storm {
    fn validate_config() -> Result<()> {
        Settings::read().map(drop)
    }
}

register!(run_end = Storm, lifecycle = Storm);

/// What can be configured.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// A target that the operator has set up.
    target: String,
    /// How many failures are a storm.
    #[cfg_attr(test, schemars(range(min = 2, max = 500)))]
    failures: usize,
    /// Seconds between two failures after which a storm is over.
    #[cfg_attr(test, schemars(range(min = 1)))]
    within_s: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            target: "default".to_owned(),
            failures: 5,
            within_s: 600,
        }
    }
}

impl Settings {
    fn read() -> Result<Self> {
        let settings: Self = config::all()?;
        if !(2..=500).contains(&settings.failures) {
            return Err(config::invalid("failures", "from 2 to 500"));
        }
        if settings.within_s == 0 {
            return Err(config::invalid("within_s", "at least 1"));
        }
        Ok(settings)
    }
}

/// Counts a run, unless it is counted: which one of the storm it is, from 1.
///
/// A storm begins with its first failure and is over `within_s` after the last one that was counted, or once it was told of: runs
/// beyond that are not counted, so that the value stays small.
fn place(run: &str, settings: &Settings) -> Result<usize> {
    for _ in 0..TRIES {
        let before = kv::get(KEY)?;
        let failed = before
            .as_deref()
            .map(String::from_utf8_lossy)
            .unwrap_or_default();
        let mut failed: Vec<&str> = failed.lines().collect();
        if let Some(at) = failed.iter().position(|counted| *counted == run) {
            return Ok(at + 1);
        }
        if failed.len() >= settings.failures {
            return Ok(failed.len() + 1);
        }
        failed.push(run);
        let ttl = Duration::from_secs(u64::from(settings.within_s));
        let after = failed.join("\n");
        if kv::swap_for(ttl, KEY, before.as_deref(), after.as_bytes())? {
            return Ok(failed.len());
        }
    }
    Err("other workers count all the time".into())
}
