//! Whether the open files are still the ones at their paths.
//!
//! SQLite goes on with a file that was removed or replaced under it: everything looks well, and is
//! gone with the process. That holds for the journal beside the file too, and without the index of the
//! journal another program's locks are none to this one. So the paths are looked at with each commit and
//! each read, which costs a `stat` each.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sandclock_core::{BackendError, ErrorKind};

/// What SQLite appends to the file's name for the journal and for its index. Both are there as long as
/// the file is open: a checkpoint shortens the journal, and only the last connection removes them.
pub(crate) const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// Where the files were when they were opened, and which they were.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    file: Opened,
    beside: [Opened; 2],
}

#[derive(Clone, Debug)]
struct Opened {
    path: PathBuf,
    /// Device and number on it.
    file: (u64, u64),
}

impl Place {
    /// Of the file that has just been opened at `path`, and read, so that its journal is open too.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        // SQLite follows links to the file; the journal is beside what they lead to.
        let target = path.canonicalize()?;
        let [wal, shm] = BESIDE.map(|suffix| Opened::at(beside(&target, suffix)));
        Ok(Self {
            file: Opened::at(path.to_owned())?,
            beside: [wal?, shm?],
        })
    }

    /// Looks whether the files are still there.
    ///
    /// # Errors
    /// `Unavailable` if one is not, with what to do; it heals when that one is back.
    pub(crate) fn check(&self, op: &'static str) -> Result<(), BackendError> {
        let refuse = |why: String, remedy: &str| {
            let refused = BackendError::new(op, ErrorKind::Unavailable);
            Err(refused.context(format!("{why}; {remedy}")))
        };
        if let Some(why) = self.file.displaced() {
            let remedy = "stop this process and bring the file back (or a backup of it), then start it again";
            return refuse(why, remedy);
        }
        if let Some(why) = self.beside.iter().find_map(Opened::displaced) {
            let remedy = "stop this process with SIGTERM, not SIGKILL: it still has the file open, and saves as it \
                          ends what was acknowledged; then start it again";
            return refuse(why, remedy);
        }
        Ok(())
    }
}

impl Opened {
    fn at(path: PathBuf) -> io::Result<Self> {
        let file = identity(&path)?;
        Ok(Self { path, file })
    }

    /// Why it is not the file at its path any more.
    fn displaced(&self) -> Option<String> {
        let path = self.path.display();
        match identity(&self.path) {
            Ok(file) if file == self.file => None,
            Ok(_) => Some(format!("another file is at {path} since it was opened")),
            Err(error) => Some(format!("the open file is not at {path} any more ({error})")),
        }
    }
}

/// The file's path with something more at the end of its name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = std::fs::metadata(path)?;
    Ok((found.dev(), found.ino()))
}
