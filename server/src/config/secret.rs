//! Secrets in the configuration: `NAME`, or `NAME_file` for one that stands in a file of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sandclock_core::job::SecretSource;
use serde::{Deserialize, Serialize};

use crate::document::FieldError;

/// `[plugins.secrets.NAME]` and `[worker.secrets.NAME]`: where this process finds a value.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SecretSection {
    /// A file with the value.
    pub file: Option<String>,
    /// A variable of the process.
    pub env: Option<String>,
}

/// Where the values of these secrets come from; `field` is the section's name.
///
/// # Errors
/// Names the secret without a source.
pub(super) fn sources(
    field: &str,
    sections: &BTreeMap<String, SecretSection>,
) -> Result<BTreeMap<String, SecretSource>, FieldError> {
    let source = |(name, section): (&String, &SecretSection)| match (&section.file, &section.env) {
        (Some(path), None) => Ok((name.clone(), SecretSource::File(path.clone()))),
        (None, Some(variable)) => Ok((name.clone(), SecretSource::Env(variable.clone()))),
        (file, _) => {
            let value = if file.is_some() { "both" } else { "nothing" };
            let accepted = "either 'file' with a path or 'env' with a variable of the process";
            Err(FieldError::new(format!("{field}.{name}"), value, accepted))
        }
    };
    sections.iter().map(source).collect()
}

/// A secret that is given in the configuration, or in a file that it names; white space around it is not part of it.
///
/// # Errors
/// Names the file that cannot be read, never the secret.
pub fn secret(
    field: &str,
    given: Option<&String>,
    file: Option<&PathBuf>,
) -> anyhow::Result<Option<String>> {
    let read = |path: &Path| {
        let text =
            fs::read_to_string(path).with_context(|| format!("{field}_file {}", path.display()))?;
        anyhow::Ok(text.trim().to_owned())
    };
    match file {
        Some(path) => read(path).map(Some),
        None => Ok(given.cloned()),
    }
}
