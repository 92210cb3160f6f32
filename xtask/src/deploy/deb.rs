//! The Debian package: what lies where in it, and `dpkg-deb` on that.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{INSTALLED, linked, read, scratch, write};
use crate::place::Place;
use crate::process;

/// Where packages put what they install for everybody.
pub(super) const PACKAGED: &str = "/usr/bin/sandclock";

/// Files as they are: from the root of the repository, and to where.
const FILES: [(&str, &str); 14] = [
    (
        "deploy/systemd/sandclock.sysusers",
        "usr/lib/sysusers.d/sandclock.conf",
    ),
    ("deploy/config/server.toml", "etc/sandclock/server.toml"),
    ("deploy/config/worker.toml", "etc/sandclock/worker.toml"),
    (
        "deploy/debian/copyright",
        "usr/share/doc/sandclock/copyright",
    ),
    ("LICENSE-MIT", "usr/share/doc/sandclock/LICENSE-MIT"),
    ("LICENSE-APACHE", "usr/share/doc/sandclock/LICENSE-APACHE"),
    (
        "docs/operations.md",
        "usr/share/doc/sandclock/operations.md",
    ),
    ("docs/go-fleet.md", "usr/share/doc/sandclock/go-fleet.md"),
    ("docs/plugins.md", "usr/share/doc/sandclock/plugins.md"),
    ("docs/crontab.md", "usr/share/doc/sandclock/crontab.md"),
    (
        "deploy/nginx/sandclock.conf",
        "usr/share/doc/sandclock/examples/nginx.conf",
    ),
    (
        "deploy/prometheus/sandclock.rules.yml",
        "usr/share/doc/sandclock/examples/sandclock.rules.yml",
    ),
    (
        "deploy/grafana/sandclock.json",
        "usr/share/doc/sandclock/examples/grafana.json",
    ),
    (
        "deploy/systemd/worker-any-user.conf",
        "usr/share/doc/sandclock/examples/worker-any-user.conf",
    ),
];

/// The units, in which the program is called where the package has it.
const UNITS: [&str; 2] = ["sandclock-server.service", "sandclock-worker.service"];

/// What completes the command line, by shell.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/sandclock"),
    ("zsh", "usr/share/zsh/vendor-completions/_sandclock"),
    ("fish", "usr/share/fish/vendor_completions.d/sandclock.fish"),
];

/// What runs around the installation.
pub(super) const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// How well a package is compressed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Packed {
    /// To be handed out.
    Small,
    /// To be looked into at once.
    Quickly,
}

/// Builds the package of a built program; where it lies.
///
/// # Errors
/// If the program is missing, needs more than the C library, or a file of the package cannot be made.
pub(crate) fn build(place: &Place, program: &Path, packed: Packed) -> Result<PathBuf> {
    linked::check(program)?;
    let root = scratch(place, "deb/root")?;
    fill(place, program, &root)?;
    let architecture = process::output(Command::new("dpkg").arg("--print-architecture"))?;
    let version = version(&process::output(Command::new(program).arg("--version"))?)?;
    control(place, program, &root, &version, architecture.trim())?;
    let name = format!("sandclock_{version}_{}.deb", architecture.trim());
    let package = place.target.join("deploy/deb").join(name);
    let compression = match packed {
        Packed::Small => "-Zxz",
        Packed::Quickly => "-Znone",
    };
    let mut build = Command::new("dpkg-deb");
    build.args(["--root-owner-group", compression, "--build"]);
    process::output(build.arg(&root).arg(&package))?;
    Ok(package)
}

/// Everything that the package installs.
fn fill(place: &Place, program: &Path, root: &Path) -> Result<()> {
    let installed = root.join("usr/bin/sandclock");
    folder_of(&installed)?;
    fs::copy(program, &installed).with_context(|| format!("copying {}", program.display()))?;
    permit(&installed, 0o755)?;
    // One program by two names.
    symlink("sandclock", root.join("usr/bin/sandclock-worker")).context("making the link")?;
    for (from, to) in FILES {
        put(&root.join(to), &read(&place.root.join(from))?)?;
    }
    for unit in UNITS {
        let text = read(&place.root.join("deploy/systemd").join(unit))?;
        let to = root.join("usr/lib/systemd/system").join(unit);
        put(&to, &text.replace(INSTALLED, PACKAGED))?;
    }
    for (shell, to) in COMPLETIONS {
        let mut completions = Command::new(program);
        let script = process::output(completions.args(["completions", shell]))?;
        put(&root.join(to), &script)?;
    }
    let pages = root.join("usr/share/man/man1");
    process::output(Command::new(program).arg("man").arg(&pages))?;
    for page in fs::read_dir(&pages).context("reading the man pages")? {
        let page = page.context("reading the man pages")?.path();
        permit(&page, 0o644)?;
        compress(&page)?;
    }
    let changes = root.join("usr/share/doc/sandclock/changelog");
    put(&changes, &read(&place.root.join("CHANGELOG.md"))?)?;
    compress(&changes)
}

/// What describes the package, and the scripts around its installation.
fn control(
    place: &Place,
    program: &Path,
    root: &Path,
    version: &str,
    architecture: &str,
) -> Result<()> {
    let ours = place.root.join("deploy/debian");
    let folder = root.join("DEBIAN");
    let size = process::output(
        Command::new("du")
            .args(["-sk", "--apparent-size"])
            .arg(root),
    )?;
    let size = size.split_whitespace().next().unwrap_or_default();
    let bytes = fs::read(program).with_context(|| format!("reading {}", program.display()))?;
    let glibc = glibc(&bytes).context("the program names no version of the C library")?;
    let text = read(&ours.join("control"))?
        .replace("@VERSION@", version)
        .replace("@ARCHITECTURE@", architecture)
        .replace("@KIB@", size)
        .replace("@GLIBC@", &format!("{}.{}", glibc.0, glibc.1));
    let mut sums = Command::new("sh");
    sums.args([
        "-c",
        "find * -type f | LC_ALL=C sort | xargs -d '\\n' md5sum",
    ]);
    let sums = process::output(sums.current_dir(root))?;
    put(&folder.join("control"), &text)?;
    put(&folder.join("md5sums"), &sums)?;
    put(&folder.join("conffiles"), &read(&ours.join("conffiles"))?)?;
    for script in SCRIPTS {
        let to = folder.join(script);
        put(&to, &read(&ours.join(script))?)?;
        permit(&to, 0o755)?;
    }
    Ok(())
}

/// The package's version, of `sandclock 0.0.0 (abc1234, 2026-11-23)`: later commits have greater ones.
fn version(said: &str) -> Result<String> {
    let Some(whole) = said.trim().strip_prefix("sandclock ") else {
        bail!("{said:?} is no version");
    };
    let Some((version, rest)) = whole.split_once(" (") else {
        return Ok(whole.to_owned());
    };
    let words = rest.trim_end_matches(')').split(", ");
    let mut words: Vec<String> = words
        .map(|word| word.chars().filter(char::is_ascii_alphanumeric).collect())
        .collect();
    words.reverse();
    Ok(format!("{version}+{}", words.join(".")))
}

/// The newest version of the C library whose symbols are named in a program: `GLIBC_2.34`.
fn glibc(program: &[u8]) -> Option<(u32, u32)> {
    const NAME: &[u8] = b"GLIBC_";
    let versions = program.windows(NAME.len()).enumerate();
    let versions = versions.filter(|(_, bytes)| *bytes == NAME);
    let versions = versions.filter_map(|(at, _)| {
        let rest = program.get(at + NAME.len()..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        let text = std::str::from_utf8(rest.get(..end)?).ok()?;
        let mut numbers = text.split('.').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    });
    versions.max()
}

fn put(path: &Path, text: &str) -> Result<()> {
    folder_of(path)?;
    write(path, text)?;
    permit(path, 0o644)
}

fn folder_of(path: &Path) -> Result<()> {
    let folder = path.parent().context("a file lies in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))
}

fn permit(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("setting the mode of {}", path.display()))
}

fn compress(path: &Path) -> Result<()> {
    process::output(Command::new("gzip").args(["-9n"]).arg(path)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_commit_is_a_later_package() {
        let of = |said| version(said).unwrap();
        assert_eq!(of("sandclock 1.2.3\n"), "1.2.3");
        assert_eq!(
            of("sandclock 1.2.3 (abc1234, 2026-11-23)\n"),
            "1.2.3+20261123.abc1234"
        );
        assert!(version("something else").is_err());
    }

    #[test]
    fn the_newest_symbols_decide_about_the_c_library() {
        let program = b"\0GLIBC_2.9\0x\0GLIBC_2.34\0GLIBC_PRIVATE\0GLIBC_2.2.5\0";
        assert_eq!(glibc(program), Some((2, 34)));
        assert_eq!(glibc(b"nothing"), None);
    }
}
