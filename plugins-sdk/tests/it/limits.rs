//! A timeout policy: a multiple of the job's p99.

use sandclock_plugin_sdk::prelude::*;

pub struct Doubler;

impl TimeoutPolicy for Doubler {
    fn decide(_: RunInfo, _: Option<u32>, past: History) -> Result<Option<Decision>> {
        if past.runs < 20 {
            return Ok(None); // keep what the job declares
        }
        let factor: u32 = config::get_or("factor", 2)?;
        let limit = past.p99_ms.saturating_mul(factor);
        let reason = format!("{factor} times the p99 of {} ms", past.p99_ms);
        Ok(Some(
            Decision::limit_ms(limit).warn_ms(limit / 2).reason(reason),
        ))
    }
}

register!(timeout_policy = Doubler);
