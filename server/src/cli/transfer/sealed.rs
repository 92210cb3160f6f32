//! The form of a backup: an export, what only a backup holds, and a digest over all bytes of the file.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use sandclock_core::backend::ModuleDigest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::document::{self as export, Document};
use crate::api::backup::BackupPart;
use crate::document;

/// The form that this program writes, and the newest one that it reads.
pub(super) const FORM: u32 = 1;

/// What stands in the place of the digest while it is made.
const BLANK: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A backup.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Backup {
    /// [`FORM`].
    pub(super) sandclock_backup: u32,
    /// The SHA-256 of the file with zeros in this place.
    pub(super) sha256: String,
    /// When it was made, RFC 3339.
    pub(super) made_at: String,
    /// Who made it, and on which host.
    pub(super) made_by: String,
    /// The program's version.
    pub(super) version: String,
    /// What `sandclock export` writes.
    pub(super) export: Value,
    /// As `GET /tokens` shows them. No store shows more than their names, so none can be restored.
    pub(super) tokens: Vec<Value>,
    /// What no list shows.
    pub(super) kept: BackupPart,
}

impl Backup {
    /// The file.
    pub(super) fn into_bytes(mut self) -> anyhow::Result<Vec<u8>> {
        BLANK.clone_into(&mut self.sha256);
        let mut text = serde_json::to_string_pretty(&self)?;
        text.push('\n');
        let digest = ModuleDigest::of(text.as_bytes());
        Ok(text.replacen(BLANK, digest.as_str(), 1).into_bytes())
    }

    /// The exported document in it.
    ///
    /// # Errors
    /// Names the field.
    pub(super) fn document(&self) -> anyhow::Result<Document> {
        let read = export::of(&self.export);
        read.map_err(|error| anyhow!("export: {error}"))
    }
}

/// Reads a backup, whole or not at all.
///
/// # Errors
/// If it cannot be read, is no backup, is one of a newer program, or is not what was written.
pub(super) fn read(file: &Path) -> anyhow::Result<Backup> {
    let shown = file.display();
    let bytes = fs::read(file).with_context(|| format!("read {shown}"))?;
    let tree = document::parse_json(&bytes);
    let tree = tree.map_err(|error| anyhow!("{shown} is no whole backup: {error}"))?;
    if tree["sandclock_export"].is_number() {
        bail!("{shown} is an export: bring it back with sandclock import");
    }
    let form = tree["sandclock_backup"].as_u64();
    match form {
        None => bail!("{shown} is no backup: sandclock backup writes one"),
        Some(form) if form > u64::from(FORM) || form == 0 => bail!(
            "{shown}: sandclock_backup: {form} is not accepted: {FORM} is the form that this version reads; a newer \
             version may read this one"
        ),
        Some(_) => {}
    }
    let told = tree["sha256"].as_str().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let found = ModuleDigest::of(text.replacen(told, BLANK, 1).as_bytes());
    if told.len() != BLANK.len() || found.as_str() != told {
        bail!(
            "{shown} was changed since it was made: its digest is {found}, and it says {told:?}; nothing was written. \
             Take another copy of it"
        );
    }
    document::read(&tree).map_err(|error| anyhow!("{shown}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backup() -> Vec<u8> {
        let backup = Backup {
            sandclock_backup: FORM,
            sha256: String::new(),
            made_at: "2026-11-20T00:00:00Z".to_owned(),
            made_by: "ann on host".to_owned(),
            version: "1.0.0".to_owned(),
            export: serde_json::json!({ "sandclock_export": 2, "jobs": [{ "name": "a" }] }),
            tokens: Vec::new(),
            kept: BackupPart::default(),
        };
        backup.into_bytes().unwrap()
    }

    fn refusal(bytes: &[u8]) -> Option<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        read(file.path()).err().map(|error| format!("{error:#}"))
    }

    #[test]
    fn no_byte_of_a_backup_can_change_unnoticed() {
        let whole = backup();
        assert_eq!(refusal(&whole), None);
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(refusal(&changed).is_some(), "byte {at}");
            assert!(at + 1 == whole.len() || refusal(&whole[..at]).is_some());
        }
        let mut longer = whole;
        longer.push(b' ');
        assert!(refusal(&longer).unwrap().contains("was changed since"));
    }

    #[test]
    fn what_is_no_backup_is_refused_by_name() {
        for (text, expected) in [
            ("{}", "is no backup"),
            ("{\"sandclock_export\": 2, \"jobs\": []}", "is an export"),
            (
                "{\"sandclock_backup\": 2}",
                "sandclock_backup: 2 is not accepted",
            ),
            ("{\"sandclock_backup\": 1}", "was changed since it was made"),
            ("{", "is no whole backup"),
        ] {
            let told = refusal(text.as_bytes()).unwrap();
            assert!(told.contains(expected), "{told}");
        }
    }
}
