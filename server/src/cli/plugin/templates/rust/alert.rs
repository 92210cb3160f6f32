//! Tells a target of a job's first failure, and of its recovery.

use sandclock_plugin_sdk::alert::FAILURES;
use sandclock_plugin_sdk::prelude::*;
use serde_json::json;

struct Alerts;

impl RunEnd for Alerts {
    fn on_end(run: RunInfo, end: End) -> Result<Vec<Delivery>> {
        let target = target()?;
        let event = match Transition::of(&end, &FAILURES) {
            Transition::FirstFailure => "failure",
            Transition::Recovery(_) => "recovery",
            Transition::Failure(_) | Transition::Unchanged => return Ok(Vec::new()),
        };
        let text = format!("{} {}: {}", run.job_name, end.state, end.cause);
        let body = json!({ "event": event, "run": run.run_id, "text": text });
        let key = format!("{}/{event}", run.job_id);
        Ok(vec![Delivery::json(target, &body).dedupe_key(key)])
    }
}

impl Lifecycle for Alerts {
    fn validate_config() -> Result<()> {
        target().map(drop)
    }
}

register!(run_end = Alerts, lifecycle = Alerts);

fn target() -> Result<String> {
    config::get_or("target", "default".to_owned())
}

#[cfg(test)]
mod tests {
    use sandclock_plugin_sdk::mock;

    use super::*;

    #[test]
    fn the_first_failure_is_told() {
        let host = mock::Host::new();
        let sent = host.call(|| Alerts::on_end(mock::run(), mock::end("failed")));
        assert_eq!(sent.unwrap()[0].target, "default");
    }
}
