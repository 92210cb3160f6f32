//! The steps of `cargo xtask test`, `check`, `tidy` and `tools`, in the order in which they find mistakes cheapest.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::place::Place;
use crate::process::{self, Tests};
use crate::report::{Report, Verdict};
use crate::{deploy, languages, sign_in, tidy, tools};

/// How long the advisory database may take to answer before its step is given up as not checked.
const ADVISORY_WAIT: Duration = Duration::from_secs(60);

/// Everything: tools, the quick checks, then every test of every workspace.
pub(crate) fn test() -> Result<()> {
    let place = Place::find()?;
    let manifests = manifests(&place.root)?;
    let mut report = Report::default();
    let mut python = None;
    quick(&place, &manifests, &mut report);
    report.step("schedule oracle", || {
        python = Some(tools::oracle_python(&place)?);
        Ok(Verdict::Held)
    });
    report.step("schemathesis", || tools::schemathesis(&place).map(held));
    report.step("wasm target", || tools::wasm_target().map(held));
    report.step("etcd", || tools::etcd().map(held));
    report.step("nats-server", || tools::nats().map(held));
    report.step("faketime", || tools::faketime().map(held));
    report.step("mongod", || tools::mongod(&place).map(held));
    report.step("systemd, nginx and promtool", || {
        tools::deployment().map(held)
    });
    report.step("browser", || sign_in::browser().map(held));
    report.step("OpenID provider", || sign_in::provider(&place).map(held));
    report.step("languages of plugins", || {
        languages::install(&place).map(held)
    });
    for manifest in &manifests {
        report.step(&format!("tests of {}", named(&place, manifest)), || {
            let mut command = in_workspace(&place, "test", manifest);
            command.arg("--no-fail-fast");
            if let Some(python) = &python {
                command.env("SANDCLOCK_PYTHON", python);
            }
            counted(&mut command)
        });
    }
    report.step("plugins on a later contract", || {
        let mut command = in_workspace(&place, "test", &place.root.join("Cargo.toml"));
        // Their host is another one: the contract is compiled in.
        command.args([
            "--features",
            "sandclock-hooks/later-contract",
            "--test",
            "later",
        ]);
        counted(&mut command)
    });
    // After the tests, with which the program is built.
    deployment(&place, python.as_deref(), &mut report);
    report.finish()
}

fn counted(command: &mut Command) -> Result<Verdict> {
    let tests = process::run_tests(command, &mut std::io::stdout())?;
    if tests == Tests::default() {
        bail!("no test ran: a suite that finds nothing proves nothing");
    }
    Ok(Verdict::Counted(tests))
}

/// Installs what [`test()`] needs and nothing more: for an image that is to work without a network.
pub(crate) fn tools() -> Result<()> {
    let place = Place::find()?;
    let manifests = manifests(&place.root)?;
    let mut report = Report::default();
    report.step("toolchain", || tools::components(&place).map(held));
    report.step("crates", || tools::crates(&place, &manifests).map(held));
    report.step("cargo-deny", || {
        tools::cargo_deny(&place).map(|_| Verdict::Held)
    });
    report.step("schedule oracle", || {
        tools::oracle_python(&place).map(|_| Verdict::Held)
    });
    report.step("schemathesis", || tools::schemathesis(&place).map(held));
    report.step("wasm target", || tools::wasm_target().map(held));
    report.step("etcd", || tools::etcd().map(held));
    report.step("nats-server", || tools::nats().map(held));
    report.step("faketime", || tools::faketime().map(held));
    report.step("mongod", || tools::mongod(&place).map(held));
    report.step("systemd, nginx and promtool", || {
        tools::deployment().map(held)
    });
    report.step("browser", || sign_in::browser().map(held));
    report.step("OpenID provider", || sign_in::provider(&place).map(held));
    report.step("languages of plugins", || {
        languages::install(&place).map(held)
    });
    report.finish()
}

/// Only the files of `deploy/`, with the program that the last tests built.
pub(crate) fn deploy() -> Result<()> {
    let place = Place::find()?;
    let mut report = Report::default();
    report.step("systemd, nginx and promtool", || {
        tools::deployment().map(held)
    });
    let python = tools::oracle_python(&place)?;
    deployment(&place, Some(&python), &mut report);
    report.finish()
}

/// The Debian package of what `cargo build --release` built.
pub(crate) fn deb() -> Result<()> {
    let package = deploy::deb(&Place::find()?)?;
    println!("{}", package.display());
    Ok(())
}

fn deployment(place: &Place, python: Option<&Path>, report: &mut Report) {
    report.step("units of deploy", || deploy::units(place).map(held));
    report.step("Debian package of deploy", || {
        deploy::package(place).map(held)
    });
    report.step("nginx of deploy", || deploy::nginx(place).map(held));
    report.step("alert rules of deploy", || deploy::rules(place).map(held));
    report.step("compose file of deploy", || {
        let python = python.context("there is no Python to parse it")?;
        deploy::compose(place, python).map(held)
    });
}

/// The quick checks alone.
pub(crate) fn check() -> Result<()> {
    let place = Place::find()?;
    let mut report = Report::default();
    quick(&place, &manifests(&place.root)?, &mut report);
    report.finish()
}

/// Only the rules of this repository.
pub(crate) fn tidy() -> Result<()> {
    tidy::run(&Place::find()?.root)
}

fn quick(place: &Place, manifests: &[PathBuf], report: &mut Report) {
    report.step("tidy", || tidy::run(&place.root).map(held));
    report.step("toolchain", || tools::components(place).map(held));
    report.step("crates", || tools::crates(place, manifests).map(held));
    for manifest in manifests {
        report.step(&format!("format of {}", named(place, manifest)), || {
            let mut command = place.cargo(&["fmt", "--all", "--check", "--manifest-path"]);
            process::run(command.arg(manifest)).map(held)
        });
    }
    for manifest in manifests {
        let name = format!("cargo-deny of {}", named(place, manifest));
        report.step(&name, || deny(place, manifest).map(held));
    }
    report.step("advisories", || advisories(place));
    for manifest in manifests {
        report.step(&format!("clippy of {}", named(place, manifest)), || {
            let mut command = in_workspace(place, "clippy", manifest);
            command.arg("--all-targets");
            process::run(command.args(["--", "--deny", "warnings"])).map(held)
        });
    }
    report.step("links in the documentation", || {
        let mut command = in_workspace(place, "doc", &place.root.join("Cargo.toml"));
        command
            .args(["--no-deps", "--document-private-items"])
            // Private items are documented too, so that links to them lead somewhere.
            .env(
                "RUSTDOCFLAGS",
                "--deny warnings --allow rustdoc::private-intra-doc-links",
            );
        process::run(&mut command).map(held)
    });
}

fn deny(place: &Place, manifest: &Path) -> Result<()> {
    let mut command = Command::new(tools::cargo_deny(place)?);
    command
        .args(["--locked", "--offline", "--workspace", "--config"])
        .arg(place.root.join("deny.toml"))
        .arg("--manifest-path")
        .arg(manifest)
        .args(["check", "--hide-inclusion-graph"]);
    if manifest.parent() != Some(place.root.as_path()) {
        // The lists are the root's; a smaller workspace need not meet everything on them.
        command.args([
            "--allow",
            "license-not-encountered",
            "--allow",
            "license-exception-not-encountered",
            "--allow",
            "unused-wrapper",
        ]);
    }
    process::run(
        command
            .args(["bans", "licenses", "sources"])
            .current_dir(&place.root),
    )
}

/// Fetched first and judged afterwards, so that a database out of reach is told from a bad dependency.
fn advisories(place: &Place) -> Result<Verdict> {
    let program = tools::cargo_deny(place)?;
    let mut fetch = Command::new(&program);
    fetch
        .args(["--locked", "fetch", "db"])
        .current_dir(&place.root)
        .env("GIT_TERMINAL_PROMPT", "0");
    if !process::succeeds_within(&mut fetch, ADVISORY_WAIT) {
        return Ok(Verdict::NotChecked(
            "the advisory database could not be fetched".to_owned(),
        ));
    }
    let mut command = Command::new(&program);
    command
        .args(["--locked", "--offline", "--workspace", "check"])
        .args(["--disable-fetch", "advisories"])
        .current_dir(&place.root);
    process::run(&mut command).map(held)
}

fn held(_: ()) -> Verdict {
    Verdict::Held
}

/// A cargo command over all of one workspace. It may not touch the network: the step before has fetched
/// what it needs. A workspace inside the tree gets its own folder in the one target directory.
fn in_workspace(place: &Place, subcommand: &str, manifest: &Path) -> Command {
    let mut command = place.cargo(&[subcommand, "--locked", "--workspace", "--manifest-path"]);
    command.arg(manifest).env("CARGO_NET_OFFLINE", "true");
    let folder = manifest.parent().unwrap_or(manifest);
    if let (true, Some(name)) = (folder != place.root, folder.file_name()) {
        command.arg("--target-dir").arg(place.target.join(name));
    }
    command
}

/// The manifest of every workspace of the tree: each has a committed lock file, the root's comes first.
fn manifests(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![root.join("Cargo.toml")];
    for path in tidy::tree::paths(root)? {
        if let Some(folder) = path.strip_suffix("/Cargo.lock") {
            found.push(root.join(folder).join("Cargo.toml"));
        }
    }
    Ok(found)
}

fn named(place: &Place, manifest: &Path) -> String {
    let folder = manifest.parent().unwrap_or(manifest);
    match folder.strip_prefix(&place.root) {
        Ok(inside) if inside != Path::new("") => inside.display().to_string(),
        _ => "the workspace".to_owned(),
    }
}
