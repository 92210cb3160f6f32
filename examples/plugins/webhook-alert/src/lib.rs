//! Tells a target of a job's first failure, of every nth after it, and of its recovery.
//!
//! Alerts that come too often are not read, and one that never says "it is over" leaves people searching. So the first failure
//! speaks at once, the following ones every so often, and the success after them closes the matter.

mod settings;
mod template;
#[cfg(test)]
mod tests;

use sandclock_plugin_sdk::prelude::*;
use settings::Settings;
use template::{Event, Facts};

struct Alerts;

impl RunEnd for Alerts {
    fn on_end(run: RunInfo, end: End) -> Result<Vec<Delivery>> {
        let settings = Settings::read()?;
        let Some(event) = event(&settings, &end) else {
            return Ok(Vec::new());
        };
        let facts = Facts {
            run: &run,
            end: &end,
            event,
            tail_bytes: settings.tail_bytes,
        };
        let body = match event {
            Event::Recovery => settings.recovery_body.as_ref().unwrap_or(&settings.body),
            Event::Failure | Event::Repeat => &settings.body,
        };
        let body = body.render(&settings.content_type, &facts);
        let mut delivery = Delivery::new(&settings.target, &settings.content_type, body);
        delivery.dedupe_key = Some(format!(
            "{}/{}/{}",
            settings.target,
            run.job_id,
            event.name()
        ));
        for (name, value) in &settings.headers {
            delivery = delivery.header(name, value.render_line(&facts));
        }
        Ok(vec![delivery])
    }
}

impl Lifecycle for Alerts {
    fn validate_config() -> Result<()> {
        Settings::read().map(drop)
    }
}

register!(run_end = Alerts, lifecycle = Alerts);

/// Whether this end is worth an alert, and which.
fn event(settings: &Settings, end: &End) -> Option<Event> {
    match Transition::of(end, &settings.states) {
        Transition::Unchanged => None,
        Transition::FirstFailure => Some(Event::Failure),
        Transition::Failure(n) => n
            .checked_rem(settings.every)
            .filter(|rest| *rest == 0)
            .map(|_| Event::Repeat),
        Transition::Recovery(_) => settings.recovery.then_some(Event::Recovery),
    }
}
