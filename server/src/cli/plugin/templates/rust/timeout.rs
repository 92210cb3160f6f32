//! Limits each run by what the job took before.

use sandclock_plugin_sdk::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

/// Runs below which history says nothing.
const ENOUGH_RUNS: u32 = 20;

/// What can be configured.
// `config.schema.json` says the same to whoever configures it: a test below keeps it so.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Multiplies the duration that all but one in a hundred runs kept to.
    #[schemars(range(min = 1, max = 100))]
    factor: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { factor: 3 }
    }
}

struct Policy;

impl TimeoutPolicy for Policy {
    fn decide(_: RunInfo, declared_ms: Option<u32>, past: History) -> Result<Option<Decision>> {
        if past.runs < ENOUGH_RUNS {
            return Ok(None); // keep what the job declares
        }
        let Settings { factor } = config::all()?;
        let usual = past.p99_ms;
        let limit = usual.saturating_mul(factor);
        let limit = declared_ms.map_or(limit, |declared| limit.min(declared));
        let reason = format!("{factor} times the p99 of {usual} ms");
        Ok(Some(Decision::limit_ms(limit).reason(reason)))
    }
}

impl Lifecycle for Policy {
    fn validate_config() -> Result<()> {
        config::all::<Settings>().map(drop)
    }
}

register!(timeout_policy = Policy, lifecycle = Policy);

#[cfg(test)]
mod tests {
    use sandclock_plugin_sdk::mock;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_schema_says_what_the_settings_do() {
        mock::check_schema::<Settings>().unwrap();
    }

    #[test]
    fn the_limit_follows_the_history() {
        let host = mock::Host::new().config(json!({ "factor": 2 }));
        let past = mock::history(30, 1_000, 2_000, 4_000, 5_000);
        let decision = host.call(|| Policy::decide(mock::run(), None, past));
        assert_eq!(decision.unwrap().unwrap().limit_ms, Some(8_000));
    }
}
