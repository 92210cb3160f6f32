//! From a file and the environment to the configuration, and where a value that is not accepted stands.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use serde_json::{Map, Value};

use super::{Config, Environment, go};
use crate::document::{self, FieldError, Lines};

/// Fields that may hold a password: a refusal names them without their value.
const CONFIDENTIAL: [&str; 9] = [
    "password",
    "uri",
    "mongodbUri",
    "headers",
    "url",
    "secret",
    "client_secret",
    "secrets",
    "token",
];

impl Config {
    /// From a file, if there is one, and the environment.
    ///
    /// # Errors
    /// Names the file and line, or the variable, the field, its value, and what would be accepted.
    pub fn load(file: Option<&Path>, environment: &Environment) -> anyhow::Result<Self> {
        let mut tree = Value::Object(Map::new());
        let mut lines = Lines::default();
        let mut from_go = None;
        let in_file = |error: FieldError, lines: &Lines| match file {
            Some(path) => refused(&place(path, lines, &error), error),
            None => refused("the configuration", error),
        };
        if let Some(path) = file {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("read configuration {}", path.display()))?;
            let parsed = match go::is_go(path, &text) {
                true => go::tree(&text).map(|(tree, file)| {
                    from_go = Some(file);
                    (tree, Lines::default())
                }),
                false => document::parse_toml(&text),
            };
            (tree, lines) = parsed.map_err(|error| in_file(error, &Lines::default()))?;
            let read: Result<Self, _> = document::read(&tree);
            read.map_err(|error| in_file(error, &lines))?;
        }
        for (name, value) in environment.settings() {
            let set = set(&mut tree, &name, value).and_then(|()| document::read::<Self>(&tree));
            set.map_err(|error| refused(&format!("environment variable {name}"), error))?;
        }
        let mut config: Self = document::read(&tree).map_err(|error| in_file(error, &lines))?;
        config.from_go = from_go;
        config
            .check()
            .map_err(|error| match environment.variable_of(&error.field) {
                Some(name) => refused(&format!("environment variable {name}"), error),
                None => in_file(error, &lines),
            })?;
        Ok(config)
    }
}

/// The file, and the line of the field where it has one.
fn place(path: &Path, lines: &Lines, error: &FieldError) -> String {
    match lines.of(&error.field) {
        Some(line) => format!("configuration {}, line {line}", path.display()),
        None => format!("configuration {}", path.display()),
    }
}

fn refused(place: &str, mut error: FieldError) -> anyhow::Error {
    let path = |c| c == '.' || c == '[';
    if error
        .field
        .split(path)
        .any(|name| CONFIDENTIAL.contains(&name))
    {
        "(not shown)".clone_into(&mut error.value);
    }
    anyhow!("{place}: {error}")
}

/// Sets what a variable says: `SANDCLOCK__SECTION__KEY`, as TOML where it is TOML, else as text.
fn set(tree: &mut Value, name: &str, value: &str) -> Result<(), FieldError> {
    let value = document::parse_toml(&format!("value = {value}"))
        .ok()
        .and_then(|(mut table, _)| Some(table.get_mut("value")?.take()))
        .unwrap_or_else(|| value.into());
    let path = Environment::field_of(name);
    let mut place = tree;
    for key in path.split('.') {
        let shown = place.to_string();
        let Some(section) = place.as_object_mut() else {
            return Err(FieldError::new(path, shown, "a section"));
        };
        place = section.entry(key).or_insert_with(|| Map::new().into());
    }
    *place = value;
    Ok(())
}
