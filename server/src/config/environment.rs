//! The process's environment: settings for the configuration, and what commands may see.

use std::collections::BTreeMap;
use std::path::Path;

/// The process's environment, read once.
#[derive(Clone, Default)]
pub struct Environment(pub(super) BTreeMap<String, String>);

impl Environment {
    pub(crate) const PREFIX: &'static str = "SANDCLOCK__";

    /// This process's.
    pub fn of_process() -> Self {
        let text = |text: std::ffi::OsString| text.into_string().ok();
        Self(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((text(name)?, text(value)?)))
                .collect(),
        )
    }

    /// The same where these settings, named without the prefix, are paths that a flag gave: they win.
    #[must_use]
    pub fn with<'a>(
        mut self,
        flags: impl IntoIterator<Item = (&'a str, Option<&'a Path>)>,
    ) -> Self {
        for (name, path) in flags {
            if let Some(path) = path {
                let name = format!("{}{name}", Self::PREFIX);
                // A path in quotes is TOML whatever it looks like.
                let quoted = toml::Value::String(path.display().to_string());
                self.0.insert(name, quoted.to_string());
            }
        }
        self
    }

    /// All of it.
    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.0
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
            .0
            .iter()
            .filter(|(name, _)| name.starts_with(Self::PREFIX));
        ours.map(|(name, value)| (name.clone(), value.as_str()))
    }
}

/// Names only: values may be secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
