//! Tells a target of a job's first failure, and of its recovery.

use sandclock_plugin_sdk::alert::FAILURES;
use sandclock_plugin_sdk::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// What can be configured.
// `config.schema.json` says the same to whoever configures it: a test below keeps it so.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// The target of the operator's configuration that is told.
    target: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            target: "default".to_owned(),
        }
    }
}

struct Alerts;

impl RunEnd for Alerts {
    fn on_end(run: RunInfo, end: End) -> Result<Vec<Delivery>> {
        let Settings { target } = config::all()?;
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
        config::all::<Settings>().map(drop)
    }
}

register!(run_end = Alerts, lifecycle = Alerts);

#[cfg(test)]
mod tests {
    use sandclock_plugin_sdk::mock;

    use super::*;

    #[test]
    fn the_schema_says_what_the_settings_do() {
        mock::check_schema::<Settings>().unwrap();
    }

    #[test]
    fn the_first_failure_is_told() {
        let host = mock::Host::new();
        let sent = host.call(|| Alerts::on_end(mock::run(), mock::end("failed")));
        assert_eq!(sent.unwrap()[0].target, "default");
    }
}
