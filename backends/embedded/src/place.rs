//! Whether the open file is still the one at its path.
//!
//! SQLite goes on with a file that was removed or replaced under it: everything looks well, and is
//! gone with the process. So the path is looked at with each commit and each read, which costs a
//! `stat`.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sandclock_core::{BackendError, ErrorKind};

/// Where the file was when it was opened, and which it was.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    path: PathBuf,
    /// Device and number on it.
    file: (u64, u64),
}

impl Place {
    /// Of the file that has just been opened at `path`.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: identity(path)?,
        })
    }

    /// Looks whether the file is still there.
    ///
    /// # Errors
    /// `Unavailable` if it is not, with what to do; it heals when the file is back.
    pub(crate) fn check(&self, op: &'static str) -> Result<(), BackendError> {
        let remedy =
            "stop this process and bring the file back (or a backup of it), then start it again";
        let why = match identity(&self.path) {
            Ok(file) if file == self.file => return Ok(()),
            Ok(_) => format!(
                "another file is at {} since it was opened",
                self.path.display()
            ),
            Err(error) => format!(
                "the open file is not at {} any more ({error})",
                self.path.display()
            ),
        };
        Err(BackendError::new(op, ErrorKind::Unavailable).context(format!("{why}; {remedy}")))
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = std::fs::metadata(path)?;
    Ok((found.dev(), found.ino()))
}
