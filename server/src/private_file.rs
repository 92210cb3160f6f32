//! Files that only their owner may read, replaced as a whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;

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
