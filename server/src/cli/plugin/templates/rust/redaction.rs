//! Hides tokens, and words that the job configures, in the output of runs.

use sandclock_plugin_sdk::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

/// Shorter words would hide half of any output.
const MIN_WORD_BYTES: usize = 4;

/// What can be configured.
// `config.schema.json` says the same to whoever configures it: a test below keeps it so.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Hidden wherever they occur; at least 4 bytes each.
    words: Vec<String>,
}

struct Hide(Rules);

impl Redactor for Hide {
    fn begin(_: RunInfo, _: Channel) -> Result<Self> {
        Ok(Self(rules()?))
    }

    fn scan(&mut self, window: Window<'_>) -> Result<Verdict> {
        self.0.scan(window)
    }
}

impl Lifecycle for Hide {
    fn validate_config() -> Result<()> {
        rules().map(drop)
    }
}

register!(output_redaction = Hide, lifecycle = Hide);

fn rules() -> Result<Rules> {
    let mut rules = Rules::builder().pattern("token", "tok_[A-Za-z0-9]{16,64}")?;
    let Settings { words } = config::all()?;
    for (at, word) in words.iter().enumerate() {
        if word.len() < MIN_WORD_BYTES {
            let why = format!("{} bytes, has to be at least {MIN_WORD_BYTES}", word.len());
            return Err(config::invalid(format!("words[{at}]"), why));
        }
        rules = rules.word("word", word)?;
    }
    rules.build()
}

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
    fn words_are_hidden_however_the_output_is_cut() {
        let host = mock::Host::new().config(json!({ "words": ["internal"] }));
        let output = mock::check_chunkings::<Hide>(&host, b"an internal name\n");
        assert_eq!(output.unwrap(), b"an [redacted:word] name\n");
    }
}
