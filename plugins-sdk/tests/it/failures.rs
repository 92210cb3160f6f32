//! An alert: the first failure, to one target.

use sandclock_plugin_sdk::prelude::*;

pub struct Pager;

impl RunEnd for Pager {
    fn on_end(run: RunInfo, end: End) -> Result<Vec<Delivery>> {
        if Transition::of(&end, &["failed", "timed_out", "lost"]) != Transition::FirstFailure {
            return Ok(Vec::new());
        }
        log::info(format!("paging for attempt {}", run.attempt));
        let text = format!("{} {}: {}", run.job_name, end.state, end.cause);
        Ok(vec![Delivery::text("pager", text).dedupe_key(run.job_id)])
    }
}

register!(run_end = Pager);
