//! What counts of a configuration, as TOML with the origin of each value behind it, or as one document.

use serde_json::{Map, Value, json};

use crate::cli::{Output, table};
use crate::config::{Environment, Inspection, Origin, Setting};

/// Prints it.
pub(super) fn print(shown: &str, found: &Inspection, environment: &Environment, output: Output) {
    let settings = found.settings(environment);
    let origins: Map<_, _> = settings
        .iter()
        .map(|setting| (setting.path.join("."), document(shown, &setting.origin)))
        .collect();
    let told = json!({ "config": found.tree(), "origins": origins });
    table::either(output, &told, |_| table::say(&toml(shown, &settings)));
}

fn document(shown: &str, origin: &Origin) -> Value {
    match origin {
        Origin::Default => json!({ "from": "default" }),
        Origin::File(line) => json!({ "from": "file", "file": shown, "line": line }),
        Origin::Variable(name) => json!({ "from": "environment", "variable": name }),
        Origin::Flag(flag) => json!({ "from": "flag", "flag": flag }),
    }
}

fn words(shown: &str, origin: &Origin) -> String {
    match origin {
        Origin::Default => "default".to_owned(),
        Origin::File(Some(line)) => format!("{shown}:{line}"),
        Origin::File(None) => shown.to_owned(),
        Origin::Variable(name) => name.clone(),
        Origin::Flag(flag) => (*flag).to_owned(),
    }
}

/// The settings in their tables; what is not set and has no default stands in a comment.
fn toml(shown: &str, settings: &[Setting]) -> String {
    let mut lines = Vec::new();
    let mut table: &[String] = &[];
    for setting in settings {
        let Some((name, around)) = setting.path.split_last() else {
            continue;
        };
        if around != table {
            let names: Vec<_> = around.iter().map(|name| key(name)).collect();
            lines.push(String::new());
            lines.push(format!("[{}]", names.join(".")));
            table = around;
        }
        let name = key(name);
        let from = words(shown, &setting.origin);
        lines.push(match toml::Value::try_from(set_only(&setting.value)) {
            Ok(value) => format!("{name} = {value}  # {from}"),
            // TOML has no word for nothing.
            Err(_) => format!("# {name} is not set"),
        });
    }
    lines.join("\n")
}

/// The same without members of list items that are not set.
fn set_only(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(set_only).collect(),
        Value::Object(members) => (members.iter())
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), set_only(value)))
            .collect(),
        other => other.clone(),
    }
}

/// A name as TOML has it.
fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    match !name.is_empty() && name.chars().all(bare) {
        true => name.to_owned(),
        false => toml::Value::from(name).to_string(),
    }
}
