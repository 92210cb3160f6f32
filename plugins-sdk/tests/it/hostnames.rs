//! A redactor by rules: host names of a configured domain.

use sandclock_plugin_sdk::prelude::*;

pub struct HostNames(Rules);

impl Redactor for HostNames {
    fn begin(_: RunInfo, _: Channel) -> Result<Self> {
        let missing = || config::invalid("suffix", "has to be a domain, like .corp.example");
        let suffix: String = config::get("suffix")?.ok_or_else(missing)?;
        let pattern = format!("[a-z0-9-]+{}", suffix.replace('.', r"\."));
        Ok(Self(Rules::builder().pattern("host", &pattern)?.build()?))
    }

    fn scan(&mut self, window: Window<'_>) -> Result<Verdict> {
        self.0.scan(window)
    }
}

register!(output_redaction = HostNames);
