//! All faults of a configuration, where [`Config::load`] stops at the first.
//!
//! What is not accepted is told, taken out, and the rest is read again. A check that rests on something that was taken
//! out is left out, so that nothing is told that only another fault has made.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::load::{self, Written, without_secret};
use super::{Config, Environment};
use crate::document::{self, FieldError};

/// What is not accepted, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line of the file, where it is known.
    pub line: Option<usize>,
    /// The flag or the variable of the environment that sets it, in words; `None` is the file.
    pub set_by: Option<String>,
    /// The field, its value unless that may be a secret, and what would be accepted.
    pub error: FieldError,
}

/// A configuration as it was found.
#[derive(Clone, Debug, Default)]
pub struct Inspection {
    /// What is wrong with it.
    pub faults: Vec<Fault>,
    /// The configuration, if nothing is.
    pub config: Option<Config>,
    /// What the file says.
    pub(super) written: Written,
}

impl Inspection {
    /// Looks for all faults of what [`Config::load`] would read.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn of(file: Option<&Path>, environment: &Environment) -> anyhow::Result<Self> {
        let mut found = Self::default();
        if let Some(path) = file {
            match Written::parse(path, &load::text(path)?) {
                Ok(written) => found.written = written,
                Err(error) => {
                    found.add(None, error);
                    return Ok(found);
                }
            }
        }
        let mut tree = found.written.tree.clone();
        let mut taken = BTreeSet::new();
        if !found.read(&mut tree, &mut taken) {
            return Ok(found);
        }
        for (name, value) in environment.settings() {
            let mut with = tree.clone();
            let set = load::set(&mut with, &name, value);
            match set.and_then(|()| document::read::<Config>(&with)) {
                Ok(_) => tree = with,
                Err(error) => {
                    taken.insert(Environment::field_of(&name));
                    found.add(Some(environment.place(&name)), error);
                }
            }
        }
        if let Ok(mut config) = document::read::<Config>(&tree) {
            config.from_go = found.written.from_go;
            found.check(&config, &taken, environment);
        }
        if found.faults.is_empty() {
            // The one that counts: what is looked for here must not miss what a start would refuse.
            found.config = Some(Config::load(file, environment)?);
        }
        Ok(found)
    }

    /// Reads the file's tree until nothing is wrong with it; false if that cannot be had.
    fn read(&mut self, tree: &mut Value, taken: &mut BTreeSet<String>) -> bool {
        while let Err(error) = document::read::<Config>(tree) {
            let mut path = error.field.clone();
            // What is not there, or was told of before, is wrong with what is around it.
            if taken.insert(path.clone()) {
                self.add(None, error);
            }
            while !take(tree, &path) {
                match path.rfind(['.', '[']) {
                    Some(end) => path.truncate(end),
                    None => return false,
                }
            }
            taken.insert(path);
        }
        true
    }

    fn check(&mut self, config: &Config, taken: &BTreeSet<String>, environment: &Environment) {
        let within = |path: &str, section: &str| {
            path.strip_prefix(section)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let is_sound = |section: &&str| {
            let touched = |path: &String| within(path, section) || within(section, path);
            !taken.iter().any(touched)
        };
        for check in config.checks() {
            let Err(error) = check.found else { continue };
            if check.rests_on.iter().all(&is_sound) {
                let variable = environment.variable_of(&error.field);
                self.add(variable.map(|name| environment.place(&name)), error);
            }
        }
    }

    fn add(&mut self, set_by: Option<String>, error: FieldError) {
        let line = self.written.lines.of(&error.field);
        self.faults.push(Fault {
            line: line.filter(|_| set_by.is_none()),
            set_by,
            error: without_secret(error),
        });
    }
}

/// Takes out what stands at a path; false if nothing does. Of a list all goes, so that no item moves to another's place.
fn take(tree: &mut Value, path: &str) -> bool {
    let Value::Object(members) = tree else {
        return false;
    };
    if members.shift_remove(path).is_some() {
        return true;
    }
    // Names may have dots.
    let inner = members.iter_mut().find_map(|(name, inner)| {
        let rest = path.strip_prefix(name.as_str())?;
        let is_item = rest.starts_with('[').then(|| name.clone());
        match is_item {
            Some(list) => Some((Some(list), inner, "")),
            None => Some((None, inner, rest.strip_prefix('.')?)),
        }
    });
    match inner {
        Some((Some(list), ..)) => members.shift_remove(&list).is_some(),
        Some((None, inner, rest)) => take(inner, rest),
        None => false,
    }
}
