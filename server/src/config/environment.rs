//! The process's environment: settings for the configuration, and what commands may see.

use std::collections::BTreeMap;
use std::path::Path;

/// The process's environment, read once, and over it what flags have set.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    /// The flags in whose place some of the variables stand.
    flags: BTreeMap<String, &'static str>,
}

impl Environment {
    pub(crate) const PREFIX: &'static str = "SANDCLOCK__";

    /// This process's.
    pub fn of_process() -> Self {
        let text = |text: std::ffi::OsString| text.into_string().ok();
        std::env::vars_os()
            .filter_map(|(name, value)| Some((text(name)?, text(value)?)))
            .collect()
    }

    /// The same where flags gave the values of these settings, named without the prefix: they win.
    #[must_use]
    pub fn with<'a>(
        mut self,
        flags: impl IntoIterator<Item = (&'static str, &'a str, Option<toml::Value>)>,
    ) -> Self {
        for (flag, name, value) in flags {
            if let Some(value) = value {
                let name = format!("{}{name}", Self::PREFIX);
                // Text in quotes is TOML whatever it looks like.
                self.variables.insert(name.clone(), value.to_string());
                self.flags.insert(name, flag);
            }
        }
        self
    }

    /// A path that a flag gave, as [`Environment::with`] takes it.
    pub fn path(path: Option<&Path>) -> Option<toml::Value> {
        path.map(|path| path.display().to_string().into())
    }

    /// The flag in whose place a variable stands.
    pub(super) fn flag(&self, variable: &str) -> Option<&'static str> {
        self.flags.get(variable).copied()
    }

    /// How people set what a variable stands for.
    pub(super) fn place(&self, variable: &str) -> String {
        match self.flag(variable) {
            Some(flag) => format!("flag {flag}"),
            None => format!("environment variable {variable}"),
        }
    }

    /// All of it.
    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// The field that a variable sets.
    pub(super) fn field_of(name: &str) -> String {
        let path = name.trim_start_matches(Self::PREFIX);
        path.to_lowercase().replace("__", ".")
    }

    /// The variable that sets a field, if there is one.
    pub(super) fn variable_of(&self, field: &str) -> Option<String> {
        let mut settings = self.settings().map(|(name, _)| name);
        settings.find(|name| Self::field_of(name) == field)
    }

    pub(super) fn settings(&self) -> impl Iterator<Item = (String, &str)> {
        let ours = self
            .variables
            .iter()
            .filter(|(name, _)| name.starts_with(Self::PREFIX));
        ours.map(|(name, value)| (name.clone(), value.as_str()))
    }
}

/// Names only: values may be secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self {
            variables: variables.into_iter().collect(),
            flags: BTreeMap::new(),
        }
    }
}
