//! Tells the program of which commit it is, for `sandclock --version`.
//!
//! An optimised build asks git for the commit and its day. A source archive has no git, and so no commit;
//! `SANDCLOCK_COMMIT` says it then, or says another. A build without optimisation is of what somebody works on, and of
//! no commit: so it does not look at git, and no commit makes it compile this package again.
#![expect(
    clippy::disallowed_methods,
    reason = "a build script reads the environment, asks git and talks to cargo"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// What says the commit in git's place, such as `abc1234, 2026-11-23`; empty for none.
const SAID: &str = "SANDCLOCK_COMMIT";

fn main() {
    // Only what is named here makes this script run again.
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed={SAID}");
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let optimised = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let root = folder.as_deref().and_then(Path::parent);
    let root = root.filter(|_| optimised);
    for moves in root.map(moving).unwrap_or_default() {
        println!("cargo:rerun-if-changed={}", moves.display());
    }
    let commit = match std::env::var(SAID) {
        Ok(said) => Some(said.trim().to_owned()).filter(|said| !said.is_empty()),
        Err(_) => root.and_then(commit),
    };
    println!(
        "cargo:rustc-env=SANDCLOCK_LONG_VERSION={}",
        shown(&version, commit.as_deref())
    );
}

/// The version as people see it.
pub(crate) fn shown(version: &str, commit: Option<&str>) -> String {
    match commit {
        Some(commit) => format!("{version} ({commit})"),
        None => version.to_owned(),
    }
}

/// The commit that is checked out in the repository whose root this is, and its day in UTC; none without git.
pub(crate) fn commit(root: &Path) -> Option<String> {
    ours(root)?;
    let format = [
        "show",
        "--no-patch",
        "--abbrev=7",
        "--date=format-local:%Y-%m-%d",
        "--format=%h, %cd",
        "HEAD",
    ];
    git(root, &format)
}

/// The files of git that change when another commit is checked out.
pub(crate) fn moving(root: &Path) -> Vec<PathBuf> {
    if ours(root).is_none() {
        return Vec::new();
    }
    let paths = ["HEAD", "logs/HEAD"].map(|name| git(root, &["rev-parse", "--git-path", name]));
    let paths = paths.into_iter().flatten().map(|path| root.join(path));
    // A file that is not there would make the script run at each build.
    paths.filter(|path| path.exists()).collect()
}

/// A source archive may lie in a repository of something else.
fn ours(root: &Path) -> Option<()> {
    let top = git(root, &["rev-parse", "--show-toplevel"])?;
    let same = std::fs::canonicalize(top).ok()? == std::fs::canonicalize(root).ok()?;
    same.then_some(())
}

fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let mut git = Command::new("git");
    git.args(arguments).current_dir(root).env("TZ", "UTC");
    let output = git.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}
