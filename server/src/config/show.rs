//! What counts, setting by setting, where each comes from, and nothing that is confidential.

use serde_json::{Map, Value};

use super::load::CONFIDENTIAL;
use super::{Config, Environment, Inspection};
use crate::{folders, wire};

/// What stands in the place of a value that may be a secret.
const REDACTED: &str = "(redacted)";

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The file, and its line where that is known.
    File(Option<usize>),
    /// A variable of the environment.
    Variable(String),
    /// A flag.
    Flag(&'static str),
}

/// A value that counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The names that lead to it.
    pub path: Vec<String>,
    /// It, unless it may be a secret; null if it is not set and there is nothing in its place.
    pub value: Value,
    /// Where it comes from.
    pub origin: Origin,
}

impl Inspection {
    /// All settings, those of one table together; none if something is wrong with the configuration.
    pub fn settings(&self, environment: &Environment) -> Vec<Setting> {
        let Some(config) = &self.config else {
            return Vec::new();
        };
        let mut settings = Vec::new();
        let tree = self.tree_of(config);
        walk(&tree, &mut Vec::new(), &mut |path, value| {
            let origin = self.origin(path, environment);
            settings.push(Setting {
                path: path.to_vec(),
                value: value.clone(),
                origin,
            });
        });
        settings
    }

    /// All of it as one document; null if something is wrong with the configuration.
    pub fn tree(&self) -> Value {
        let config = self.config.as_ref();
        config.map_or(Value::Null, |config| self.tree_of(config))
    }

    fn tree_of(&self, config: &Config) -> Value {
        let mut config = config.clone();
        // What counts where nothing is set.
        config.default_time_zone = Some(config.time_zone());
        config.worker.name = config.worker.name.or_else(|| Some(wire::host()));
        config.data = folders::data(None, &config).ok();
        let mut tree = serde_json::to_value(&config).unwrap_or_default();
        redact(&mut tree, false, false);
        tree
    }

    fn origin(&self, path: &[String], environment: &Environment) -> Origin {
        let field = path.join(".");
        let sets = |name: &String| {
            let set = Environment::field_of(name);
            let rest = field.strip_prefix(&set);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let variable = environment.settings().map(|(name, _)| name).find(sets);
        if let Some(name) = variable {
            return match environment.flag(&name) {
                Some(flag) => Origin::Flag(flag),
                None => Origin::Variable(name),
            };
        }
        let mut place = Some(&self.written.tree);
        for name in path {
            place = place.and_then(|place| place.get(name));
        }
        match place {
            Some(_) => Origin::File(self.written.lines.of(&field)),
            None => Origin::Default,
        }
    }
}

/// Calls `told` with each value that is no table, those of a table before the tables in it.
fn walk(tree: &Value, path: &mut Vec<String>, told: &mut impl FnMut(&[String], &Value)) {
    let none = Map::new();
    let members = tree.as_object().unwrap_or(&none);
    let is_table = |value: &Value| value.as_object().is_some_and(|table| !table.is_empty());
    for tables in [false, true] {
        for (name, value) in members {
            if is_table(value) != tables {
                continue;
            }
            path.push(name.clone());
            match tables {
                true => walk(value, path, told),
                false => told(path, value),
            }
            path.pop();
        }
    }
}

/// Puts a mark in the place of what may be a secret. Where a secret is to be found is none.
fn redact(tree: &mut Value, confidential: bool, source: bool) {
    match tree {
        Value::Null => {}
        Value::Object(members) => {
            for (name, value) in members {
                let names_source = name == "secrets" && !confidential;
                let is_source = source && ["file", "env"].contains(&name.as_str());
                let hidden = !names_source && (confidential || is_confidential(name));
                redact(value, hidden && !is_source, source || names_source);
            }
        }
        Value::Array(items) => {
            for item in items {
                redact(item, confidential, source);
            }
        }
        _ if confidential => *tree = REDACTED.into(),
        _ => {}
    }
}

fn is_confidential(name: &str) -> bool {
    CONFIDENTIAL.contains(&name)
}
