//! From a file and the environment to the configuration, and where a value that is not accepted stands.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use serde_json::{Map, Value};

use super::{Config, Environment, GoFile, go};
use crate::document::{self, FieldError, Lines};

/// Fields that may hold a password: nothing that is told of the configuration shows their values.
pub(super) const CONFIDENTIAL: [&str; 9] = [
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

/// What a file says.
#[derive(Clone, Debug)]
pub(super) struct Written {
    /// The part of our tree that it sets.
    pub(super) tree: Value,
    /// Where in the file; not known of the Go fleet's.
    pub(super) lines: Lines,
    /// Which of the Go fleet's files it is.
    pub(super) from_go: Option<GoFile>,
}

impl Default for Written {
    fn default() -> Self {
        Self {
            tree: Value::Object(Map::new()),
            lines: Lines::default(),
            from_go: None,
        }
    }
}

impl Written {
    /// Parses the text of a file.
    ///
    /// # Errors
    /// Says what it is not.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, FieldError> {
        if go::is_go(path, text) {
            let (tree, file) = go::tree(text)?;
            return Ok(Self {
                tree,
                lines: Lines::default(),
                from_go: Some(file),
            });
        }
        let (tree, lines) = document::parse_toml(text)?;
        Ok(Self {
            tree,
            lines,
            from_go: None,
        })
    }
}

/// The text of a file.
pub(super) fn text(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("read configuration {}", path.display()))
}

impl Config {
    /// From a file, if there is one, and the environment.
    ///
    /// # Errors
    /// Names the file and line, or the variable, the field, its value, and what would be accepted.
    pub fn load(file: Option<&Path>, environment: &Environment) -> anyhow::Result<Self> {
        let mut written = Written::default();
        let in_file = |error: FieldError, lines: &Lines| match file {
            Some(path) => refused(&place(path, lines, &error), error),
            None => refused("the configuration", error),
        };
        if let Some(path) = file {
            let parsed = Written::parse(path, &text(path)?);
            written = parsed.map_err(|error| in_file(error, &Lines::default()))?;
            let read: Result<Self, _> = document::read(&written.tree);
            read.map_err(|error| in_file(error, &written.lines))?;
        }
        let Written {
            mut tree,
            lines,
            from_go,
        } = written;
        for (name, value) in environment.settings() {
            let set = set(&mut tree, &name, value).and_then(|()| document::read::<Self>(&tree));
            set.map_err(|error| refused(&environment.place(&name), error))?;
        }
        let mut config: Self = document::read(&tree).map_err(|error| in_file(error, &lines))?;
        config.from_go = from_go;
        config
            .check()
            .map_err(|error| match environment.variable_of(&error.field) {
                Some(name) => refused(&environment.place(&name), error),
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

fn refused(place: &str, error: FieldError) -> anyhow::Error {
    anyhow!("{place}: {}", without_secret(error))
}

/// The same without its value, if that may be a secret.
pub(super) fn without_secret(mut error: FieldError) -> FieldError {
    let path = |c| c == '.' || c == '[';
    if error
        .field
        .split(path)
        .any(|name| CONFIDENTIAL.contains(&name))
    {
        "(not shown)".clone_into(&mut error.value);
    }
    error
}

/// Sets what a variable says: `SANDCLOCK__SECTION__KEY`, as TOML where it is TOML, else as text.
pub(super) fn set(tree: &mut Value, name: &str, value: &str) -> Result<(), FieldError> {
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
