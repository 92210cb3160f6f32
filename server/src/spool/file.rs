//! Opening the file, whatever became of it.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sandclock_backend_embedded::spool::SpoolFile;
use sandclock_core::backend::Result;
use sandclock_core::error::WithSources;
use sandclock_core::{BackendError, ErrorKind};

use super::SpoolConfig;

/// The file, or `None` if there can be none: jobs run without it as well.
///
/// # Errors
/// If another process has it.
pub(super) fn open(config: &SpoolConfig) -> anyhow::Result<Option<SpoolFile>> {
    let path = &config.path;
    let attempt = || SpoolFile::open(path, config.max_bytes);
    let damaged = |error: &BackendError| error.kind == ErrorKind::Corrupt;
    let opened = match attempt() {
        Err(error) if damaged(&error) => {
            let aside = path.with_extension("db.damaged");
            let (error, to) = (WithSources(&error), aside.display());
            tracing::error!(%error, %to, "the spool is damaged and moved aside; output in it is lost");
            set_aside(path, &aside).and_then(|()| attempt())
        }
        opened => opened,
    };
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind == ErrorKind::Conflict => {
            let remedy =
                "each worker of a host needs a data folder of its own (data in its configuration)";
            Err(error).context(remedy)
        }
        Err(error) => {
            let (error, path) = (WithSources(&error), path.display());
            tracing::error!(%error, %path, "no spool: output is cut while the run log is away");
            Ok(None)
        }
    }
}

/// Moves the file, and forgets what belongs to its next writes.
fn set_aside(path: &Path, aside: &Path) -> Result<()> {
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let moved = std::fs::rename(path, aside);
    for left in ["-wal", "-shm"].map(beside) {
        // They need not be there.
        let _gone = std::fs::remove_file(left);
    }
    moved.map_err(|error| BackendError::new("spool.open", ErrorKind::Unavailable).source(error))
}
