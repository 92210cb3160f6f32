//! One process at a time: a lock file beside the store.
//!
//! The lock is the kernel's (`flock`), so it ends with its process however that ends; the pid inside
//! is only for the message that a second process gets. The file itself stays.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use sandclock_core::backend::Result;
use sandclock_core::{BackendError, ErrorKind};

use crate::error::{OPEN, at_open};
use crate::place::beside;

/// Held as long as the store is open.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the store at `path` for this process.
    ///
    /// # Errors
    /// `Unavailable` if another process has it or the lock file cannot be made, `Denied` if it may not be.
    pub(crate) fn take(path: &Path) -> Result<Self> {
        let lock = beside(path, ".lock");
        let failed = |error: std::io::Error| at_open(&lock, error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let taken = BackendError::new(OPEN, ErrorKind::Unavailable);
                return Err(taken.context(format!(
                    "{} is in use by {}; stop it or name another file",
                    path.display(),
                    holder(&mut file)
                )));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(failed)?;
        Ok(Self { file })
    }
}

impl Drop for Lock {
    /// Says so to the kernel: a process that is just being made has the descriptor, too, until it executes its program.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let pid = file
        .read_to_string(&mut text)
        .ok()
        .and_then(|_| text.trim().parse::<u32>().ok());
    match pid {
        Some(pid) if pid == std::process::id() => format!("this process ({pid})"),
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    }
}
