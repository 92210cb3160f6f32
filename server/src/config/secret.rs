//! Secrets in the configuration: `NAME`, or `NAME_file` for one that stands in a file of its own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

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
