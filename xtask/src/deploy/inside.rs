//! A look into a built Debian package: what its installation would put where, and whether that works.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::deb::{self, PACKAGED, Packed, SCRIPTS};
use super::{read, scratch, silent};
use crate::place::Place;
use crate::process;

/// What must be in it; of the man pages some.
const EXPECTED: [&str; 17] = [
    "usr/bin/sandclock",
    "usr/bin/sandclock-worker",
    "usr/lib/systemd/system/sandclock-server.service",
    "usr/lib/systemd/system/sandclock-worker.service",
    "usr/lib/sysusers.d/sandclock.conf",
    "etc/sandclock/server.toml",
    "etc/sandclock/worker.toml",
    "usr/share/man/man1/sandclock.1.gz",
    "usr/share/man/man1/sandclock-job-apply.1.gz",
    "usr/share/bash-completion/completions/sandclock",
    "usr/share/zsh/vendor-completions/_sandclock",
    "usr/share/fish/vendor_completions.d/sandclock.fish",
    "usr/share/doc/sandclock/copyright",
    "usr/share/doc/sandclock/LICENSE-MIT",
    "usr/share/doc/sandclock/LICENSE-APACHE",
    "usr/share/doc/sandclock/changelog.gz",
    "usr/share/doc/sandclock/operations.md",
];

/// Builds the package of this program and takes it apart again.
///
/// # Errors
/// What is missing in it, or does not work.
pub(crate) fn check(place: &Place, program: &Path) -> Result<()> {
    let package = deb::build(place, program, Packed::Quickly)?;
    let root = scratch(place, "deb/unpacked")?;
    let dpkg = |option: &str| {
        let mut dpkg = Command::new("dpkg-deb");
        dpkg.arg(option).arg(&package);
        dpkg
    };
    process::output(dpkg("--extract").arg(&root))?;
    let missing: Vec<_> = EXPECTED
        .iter()
        .filter(|path| !root.join(path).exists())
        .collect();
    if !missing.is_empty() {
        bail!("{} lacks {missing:?}", package.display());
    }
    owned_by_root(&process::output(&mut dpkg("--contents"))?)?;
    works(&root, program)?;
    process::output(dpkg("--control").arg(root.join("DEBIAN")))?;
    for script in SCRIPTS {
        silent(
            Command::new("sh")
                .arg("-n")
                .arg(root.join("DEBIAN").join(script)),
        )?;
    }
    for file in read(&root.join("DEBIAN/conffiles"))?.lines() {
        if !root.join(file.trim_start_matches('/')).exists() {
            bail!("{file} is a conffile that the package does not have");
        }
    }
    let depends = process::output(dpkg("--field").arg("Depends"))?;
    if !depends.starts_with("libc6 (>= 2.") || depends.contains('@') {
        bail!("the package depends on {depends:?}");
    }
    Ok(())
}

/// Nothing in it belongs to whoever built it.
fn owned_by_root(contents: &str) -> Result<()> {
    let others = contents.lines().find(|line| !line.contains(" root/root "));
    match others {
        Some(line) => bail!("not root's: {line}"),
        None => Ok(()),
    }
}

/// What is unpacked is the program by both names, and the units call it where it lies.
fn works(root: &Path, program: &Path) -> Result<()> {
    let version = |program: &Path| process::output(Command::new(program).arg("--version"));
    let unpacked = root.join("usr/bin/sandclock");
    if version(&unpacked)? != version(program)? {
        bail!("the package has another program");
    }
    let usage = process::output(Command::new(root.join("usr/bin/sandclock-worker")).arg("-h"))?;
    if !usage.contains("sandclock worker") {
        bail!("sandclock-worker is not the worker:\n{usage}");
    }
    for unit in ["sandclock-server.service", "sandclock-worker.service"] {
        let text = read(&root.join("usr/lib/systemd/system").join(unit))?;
        let starts = text
            .lines()
            .find_map(|line| line.strip_prefix("ExecStart="));
        let starts = starts.context("a unit starts something")?;
        if !starts.starts_with(PACKAGED) || text.contains("/usr/local/") {
            bail!("{unit} starts {starts}");
        }
    }
    let completions = root.join("usr/share/bash-completion/completions/sandclock");
    silent(Command::new("bash").arg("-n").arg(completions))
}
