//! Limits each run by what the job took before.

use sandclock_plugin_sdk::prelude::*;

/// Runs below which history says nothing.
const ENOUGH_RUNS: u32 = 20;

struct Policy;

impl TimeoutPolicy for Policy {
    fn decide(_: RunInfo, declared_ms: Option<u32>, past: History) -> Result<Option<Decision>> {
        if past.runs < ENOUGH_RUNS {
            return Ok(None); // keep what the job declares
        }
        let factor = factor()?;
        let usual = past.p99_ms;
        let limit = usual.saturating_mul(factor);
        let limit = declared_ms.map_or(limit, |declared| limit.min(declared));
        let reason = format!("{factor} times the p99 of {usual} ms");
        Ok(Some(Decision::limit_ms(limit).reason(reason)))
    }
}

impl Lifecycle for Policy {
    fn validate_config() -> Result<()> {
        factor().map(drop)
    }
}

register!(timeout_policy = Policy, lifecycle = Policy);

fn factor() -> Result<u32> {
    match config::get_or("factor", 3)? {
        factor @ 1..=100 => Ok(factor),
        factor => Err(config::invalid(
            "factor",
            format!("{factor}, has to be 1 to 100"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use sandclock_plugin_sdk::mock;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_limit_follows_the_history() {
        let host = mock::Host::new().config(json!({ "factor": 2 }));
        let past = mock::history(30, 1_000, 2_000, 4_000, 5_000);
        let decision = host.call(|| Policy::decide(mock::run(), None, past));
        assert_eq!(decision.unwrap().unwrap().limit_ms, Some(8_000));
    }
}
