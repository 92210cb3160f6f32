//! What `--version` says of the commit, and the name by which the program is called.
#![expect(
    clippy::disallowed_methods,
    reason = "the tests make repositories and call the program by another name"
)]

use std::path::Path;
use std::process::Command;

use crate::product::{PROGRAM, told};

#[path = "../../build.rs"]
#[expect(dead_code, reason = "the script's own way through")]
mod build;

fn git(folder: &Path, arguments: &[&str]) {
    let done = Command::new("git")
        .args(["-c", "user.name=A", "-c", "user.email=a@example.org"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_COMMITTER_DATE", "2026-11-22T23:30:00-02:00")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", told(&done));
}

#[test]
fn a_repository_tells_its_commit_and_what_changes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    assert_eq!(build::commit(root), None, "a source archive has none");
    assert!(build::moving(root).is_empty());
    git(root, &["init", "--quiet"]);
    git(root, &["commit", "--quiet", "--allow-empty", "-m", "First"]);
    let commit = build::commit(root).unwrap();
    let (hash, day) = commit.split_once(", ").unwrap();
    assert!(hash.len() >= 7 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(day, "2026-11-23", "in UTC");
    assert_eq!(
        build::shown("1.2.3", Some(&commit)),
        format!("1.2.3 ({hash}, 2026-11-23)")
    );
    let read = || -> Vec<_> {
        let paths = build::moving(root);
        assert!(!paths.is_empty());
        paths
            .iter()
            .map(|path| std::fs::read(path).unwrap())
            .collect()
    };
    let before = read();
    git(root, &["commit", "--quiet", "--allow-empty", "-m", "Next"]);
    assert_ne!(before, read(), "a commit makes the script run again");
    let inside = root.join("unpacked");
    std::fs::create_dir(&inside).unwrap();
    assert_eq!(build::commit(&inside), None, "another one's repository");
}

#[test]
fn a_program_tells_its_version_and_without_a_commit_nothing_more() {
    let shown = told(&Command::new(PROGRAM).arg("--version").output().unwrap());
    let version = shown.trim_end().strip_prefix("sandclock ").unwrap();
    let bare = version.split_once(" (").map_or(version, |(bare, _)| bare);
    assert_eq!(bare, env!("CARGO_PKG_VERSION"));
    assert_eq!(build::shown(bare, None), bare);
}

#[test]
fn a_link_of_the_workers_name_is_the_worker() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("sandclock-worker");
    std::os::unix::fs::symlink(PROGRAM, &link).unwrap();
    let said = Command::new(&link)
        .args(["-config", "missing.json"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(said.status.code(), Some(1), "{}", told(&said));
    assert!(told(&said).contains("missing.json"), "{}", told(&said));
}
