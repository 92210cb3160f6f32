//! The data directory: whether it can be written, who may look into it, and how much room it has.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};

use super::Check;

/// The check.
pub(super) const NAME: &str = "data directory";

/// The check of what room there is.
const ROOM: &str = "disk space";

/// Less room than this is none, in bytes.
const LEAST: u64 = 64 << 20;

/// Less room than this is little, in bytes.
const LITTLE: u64 = 1 << 30;

/// What was found.
struct Found {
    /// Its mode; `None` if it is not there.
    mode: Option<u32>,
    /// The folder in which nothing can be written, itself or the nearest above it that is there, and why.
    refused: Option<(String, String)>,
}

/// Looks at it. Blocks. `needed` is what may have to wait there for a run log elsewhere, in bytes.
pub(super) fn examine(data: &Path, needed: u64) -> Vec<Check> {
    let shown = data.display().to_string();
    let mode = match fs::metadata(data) {
        Ok(found) => Some(found.mode()),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            let remedy = "run the doctor as the user of the server or worker";
            return vec![Check::failed(NAME, format!("{shown}: {error}"), remedy)];
        }
    };
    // One that is not there is made where its way ends.
    let there = data.ancestors().find(|folder| folder.exists());
    let there = there.unwrap_or_else(|| Path::new("."));
    let tried = match mode {
        Some(_) => written(there),
        // Nothing is written into a folder that is not ours.
        None => access(there, AccessFlags::W_OK | AccessFlags::X_OK).map_err(Into::into),
    };
    let refused = tried.err();
    let refused = refused.map(|error| (there.display().to_string(), error.to_string()));
    let mut checks = vec![judge(&shown, &Found { mode, refused })];
    checks.push(match statvfs(there) {
        Ok(room) => judge_room(room.blocks_available() * room.fragment_size(), needed),
        Err(error) => Check::failed(ROOM, format!("{}: {error}", there.display()), ""),
    });
    checks
}

/// Writes a file, and removes it.
fn written(folder: &Path) -> std::io::Result<()> {
    let probe = folder.join(format!(".sandclock-doctor-{}", std::process::id()));
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&probe);
    made.map(drop)?;
    fs::remove_file(&probe)
}

fn judge(shown: &str, found: &Found) -> Check {
    let mode = found.mode.unwrap_or(0o700) & 0o777;
    match &found.refused {
        None => {}
        Some((_, why)) if found.mode.is_some() => {
            let finding = format!("{shown} cannot be written: {why}");
            let remedy = format!(
                "give the user of the server or worker the right to write it (chown USER {shown}), and run the doctor \
                 as that user"
            );
            return Check::failed(NAME, finding, remedy);
        }
        Some((above, why)) => {
            let finding = format!("{shown} is not there, and cannot be made in {above}: {why}");
            let remedy = format!(
                "make it for the user of the server or worker (install -d -m 700 -o USER {shown}), or give that user \
                 the right to write in {above}; and run the doctor as that user"
            );
            return Check::failed(NAME, finding, remedy);
        }
    }
    if found.mode.is_none() {
        return Check::ok(
            NAME,
            format!("{shown} is not there yet; the first start makes it"),
        );
    }
    match mode & 0o077 {
        0 => Check::ok(NAME, format!("{shown} can be written, by its owner alone")),
        _ => {
            let finding = format!("{shown} is open to other users of this host (mode {mode:03o})");
            Check::warning(NAME, finding, format!("chmod 700 {shown}"))
        }
    }
}

fn judge_room(free: u64, needed: u64) -> Check {
    let mib = |bytes: u64| bytes >> 20;
    let finding = format!("{} MiB are free", mib(free));
    if free < LEAST {
        return Check::failed(
            ROOM,
            finding,
            "make room: records and output are written there",
        );
    }
    if free < needed {
        let finding = format!(
            "{finding}, less than the {} MiB that may wait there for MongoDB",
            mib(needed)
        );
        return Check::warning(ROOM, finding, "make room, or lower worker.spool_max_bytes");
    }
    if free < LITTLE {
        return Check::warning(ROOM, finding, "make room before it is needed");
    }
    Check::ok(ROOM, finding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn a_directory_is_for_its_owner_alone_and_can_be_written() {
        let judged = |mode, refused: Option<&str>| {
            let refused = refused.map(|why| ("above".to_owned(), why.to_owned()));
            judge("d", &Found { mode, refused })
        };
        let state = |mode, refused| judged(mode, refused).state;
        assert_eq!(state(Some(0o40_700), None), State::Ok);
        assert_eq!(state(None, None), State::Ok);
        assert_eq!(state(Some(0o40_750), None), State::Warning);
        assert_eq!(state(Some(0o40_701), None), State::Warning);
        assert_eq!(state(Some(0o40_700), Some("no")), State::Failed);
        assert_eq!(state(None, Some("no")), State::Failed);
        let remedy = judged(None, Some("no")).remedy.unwrap();
        assert!(remedy.contains("write in above"), "{remedy}");
    }

    #[test]
    fn room_is_enough_where_the_spool_fits_too() {
        let state = |free, needed| judge_room(free, needed).state;
        assert_eq!(state(LITTLE, 0), State::Ok);
        assert_eq!(state(LITTLE, LITTLE + 1), State::Warning);
        assert_eq!(state(LITTLE - 1, 0), State::Warning);
        assert_eq!(state(LEAST - 1, 0), State::Failed);
    }
}
