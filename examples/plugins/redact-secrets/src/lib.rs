//! Hides tokens, keys and configured words in the output of runs.
//!
//! It is the net under the host's own redaction, which knows the values of a job's declared secrets: this one knows shapes,
//! and so catches what nobody declared. What is hidden and how much is held back is the business of the SDK's rules.

mod settings;
mod shapes;
#[cfg(test)]
mod tests;

use sandclock_plugin_sdk::prelude::*;
use settings::Settings;

struct Secrets(Rules);

impl Redactor for Secrets {
    fn begin(_: RunInfo, _: Channel) -> Result<Self> {
        Ok(Self(Settings::read()?.rules()?))
    }

    fn scan(&mut self, window: Window<'_>) -> Result<Verdict> {
        self.0.scan(window)
    }
}

impl Lifecycle for Secrets {
    fn validate_config() -> Result<()> {
        Settings::read()?.rules().map(drop)
    }
}

register!(output_redaction = Secrets, lifecycle = Secrets);
