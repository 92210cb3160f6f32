//! The plugin's configuration for this job: one JSON object, read into the types of the plugin.
//!
//! Every error begins with the path of the member at fault, `config.words[1]: …`, and says what is accepted there; the
//! host shows it at that member. [`invalid`] makes the same of what a plugin finds by itself.

use core::fmt::Display;
use std::error::Error;

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use crate::Result;

/// The value of `key`, or none when it is absent or null.
///
/// # Errors
/// The value is of another type; the text names the member.
pub fn get<T: DeserializeOwned>(key: &str) -> Result<Option<T>> {
    raw(key)
        .map(|json| read(&format!("config.{key}"), &json))
        .transpose()
}

/// The value of `key`, or `default` when it is absent.
///
/// # Errors
/// The value is of another type; the text names the member.
pub fn get_or<T: DeserializeOwned>(key: &str, default: T) -> Result<T> {
    Ok(get(key)?.unwrap_or(default))
}

/// The whole configuration as one type, usually a struct with `#[serde(default, deny_unknown_fields)]`, so that a
/// misspelt key is refused.
///
/// # Errors
/// The object does not fit the type; the text names the member.
pub fn all<T: DeserializeOwned>() -> Result<T> {
    read("config", &raw_all())
}

/// The error that `member`, such as `words[1]`, cannot be as it is: `why` says what was found and what is accepted.
#[must_use]
pub fn invalid(member: impl Display, why: impl Display) -> Box<dyn Error> {
    format!("config.{member}: {why}").into()
}

fn read<T: DeserializeOwned>(place: &str, json: &str) -> Result<T> {
    let mut json = serde_json::Deserializer::from_str(json);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let mut path = place.to_owned();
        for segment in error.path() {
            match segment {
                Segment::Seq { index } => path += &format!("[{index}]"),
                Segment::Map { key } => path += &format!(".{key}"),
                // Of an unknown variant, which is the value and no member.
                Segment::Enum { .. } | Segment::Unknown => {}
            }
        }
        format!("{path}: {}", why(error.inner())).into()
    })
}

/// What is wrong, without a place in a text that nobody has seen: the host wrote it.
fn why(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

#[cfg(target_arch = "wasm32")]
use crate::bindings::timeout::sandclock::plugin::config::{all as raw_all, get as raw};

#[cfg(not(target_arch = "wasm32"))]
use crate::mock::host::{config_all as raw_all, config_get as raw};

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;
    use crate::mock::Host;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Settings {
        floor_ms: u32,
        words: Vec<String>,
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Inner {
        level: Level,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Level {
        Low,
        High,
    }

    fn refusal<T>(config: &Value, read: impl FnOnce() -> Result<T>) -> String {
        let host = Host::new().config(config.clone());
        match host.call(read) {
            Ok(_) => panic!("{config} was accepted"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_refusal_names_the_member_what_was_found_and_what_is_accepted() {
        let cases = [
            (
                json!({ "floor_ms": "x" }),
                "config.floor_ms: invalid type: string \"x\", expected u32",
            ),
            (
                json!({ "floor_ms": -1 }),
                "config.floor_ms: invalid value: integer `-1`, expected u32",
            ),
            (
                json!({ "words": ["a", 7] }),
                "config.words[1]: invalid type: integer `7`, expected a string",
            ),
            (
                json!({ "flor_ms": 1 }),
                "config.flor_ms: unknown field `flor_ms`, expected one of `floor_ms`, `words`, `inner`",
            ),
            (
                json!({ "inner": { "level": "mid" } }),
                "config.inner.level: unknown variant `mid`, expected `low` or `high`",
            ),
            (
                json!({ "inner": {} }),
                "config.inner: missing field `level`",
            ),
        ];
        for (config, expected) in cases {
            assert_eq!(refusal(&config, all::<Settings>), expected);
        }
        assert_eq!(
            refusal(&json!({}), all::<Inner>),
            "config: missing field `level`"
        );
    }

    #[test]
    fn a_single_value_is_refused_by_the_same_path() {
        let config = json!({ "n": "x", "list": [[1], ["y"]], "inner": { "lvl": "low" } });
        assert_eq!(
            refusal(&config, || get::<u32>("n")),
            "config.n: invalid type: string \"x\", expected u32"
        );
        assert_eq!(
            refusal(&config, || get_or("list", vec![vec![0_u8]])),
            "config.list[1][0]: invalid type: string \"y\", expected u8"
        );
        assert_eq!(
            refusal(&config, || get::<Inner>("inner")),
            "config.inner.lvl: unknown field `lvl`, expected `level`"
        );
    }

    #[test]
    fn a_plugin_refuses_in_the_same_form() {
        let error = invalid(format_args!("words[{}]", 1), "3 bytes, has to be 4 to 1024");
        assert_eq!(
            error.to_string(),
            "config.words[1]: 3 bytes, has to be 4 to 1024"
        );
    }
}
