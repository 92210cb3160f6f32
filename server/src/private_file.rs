//! Files that only their owner may read, replaced as a whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context as _, bail};

/// The longest file that is read, in bytes: keys are much smaller.
const MAX_BYTES: u64 = 1 << 20;

/// The bits of a mode that let others than owner and group do anything.
const OTHERS: u32 = 0o007;

/// The folder that a file of this path is in.
pub fn folder(of: &Path) -> &Path {
    match of.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Writes `content` to `path` with mode 0600: to a new file beside it, synced, then renamed, so that a
/// crash leaves the old content or the new one.
///
/// # Errors
/// If any step fails; the old file is untouched then.
pub fn write(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let fail = || format!("write {}", path.display());
    let parent = folder(path);
    fs::create_dir_all(parent).with_context(fail)?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    // What a crash left may have another mode, and what is not ours may lead elsewhere.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(fail),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .with_context(fail)?;
    file.write_all(content).with_context(fail)?;
    file.sync_all().with_context(fail)?;
    fs::rename(&beside, path).with_context(fail)?;
    File::open(parent)
        .and_then(|folder| folder.sync_all())
        .with_context(fail)
}

/// Reads a file that nobody but its owner, and perhaps its group, may use.
///
/// # Errors
/// If it cannot be read, has more than 1 MiB, or others may read or write it; the message says what to do.
pub fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let fail = || format!("read {}", path.display());
    let file = File::open(path).with_context(fail)?;
    let mode = file.metadata().with_context(fail)?.mode() & 0o777;
    if mode & OTHERS != 0 {
        bail!(
            "{} may be used by everybody on this host (its mode is {mode:03o}): chmod o= {}",
            path.display(),
            path.display()
        );
    }
    let mut content = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut content)
        .with_context(fail)?;
    if content.len() as u64 > MAX_BYTES {
        bail!("{} has more than {MAX_BYTES} bytes", path.display());
    }
    Ok(content)
}
