//! Some of the jobs, as commands name them: by prefix, by labels, or both.

use std::collections::BTreeMap;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use serde_json::{Value, json};

/// Which jobs; all of them if it names none.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Selection {
    /// Only jobs whose names begin with this
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    prefix: Option<String>,
    /// Only jobs with this label; of several, jobs with all of them
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
}

impl Selection {
    /// Whether it names this one.
    pub(super) fn has(&self, job: &Value) -> bool {
        let name = job["name"].as_str().unwrap_or_default();
        let labelled = |(key, value): &(String, String)| job["labels"][key] == value.as_str();
        self.prefix.iter().all(|prefix| name.starts_with(prefix)) && self.label.iter().all(labelled)
    }

    /// As the API has it.
    pub(super) fn document(&self) -> Value {
        let mut document =
            json!({ "labels": self.label.iter().cloned().collect::<BTreeMap<_, _>>() });
        if let Some(prefix) = &self.prefix {
            document["prefix"] = json!(prefix);
        }
        document
    }

    /// Whether it may name this one, of which nothing but the name can be read.
    pub(super) fn may_have(&self, job: &Value) -> bool {
        let name = job["name"].as_str().unwrap_or_default();
        self.prefix.iter().all(|prefix| name.starts_with(prefix))
    }
}

/// Reads a label.
///
/// # Errors
/// If it has no key.
pub(super) fn label(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) = parts.ok_or("a key, '=' and a value")?;
    Ok((key.to_owned(), value.to_owned()))
}
