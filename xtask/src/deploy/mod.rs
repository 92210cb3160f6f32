//! The files of `deploy/`, checked with the programs that they are for, on copies that fit this machine.
//!
//! None of them needs a running systemd, a listening nginx or a container engine: units are verified, nginx tests
//! its configuration, and the compose file is held against itself and the files beside it.

mod compose;
mod deb;
mod inside;
mod linked;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::place::Place;
use crate::{process, tools};

/// Where the units expect the program.
const INSTALLED: &str = "/usr/local/bin/sandclock";

/// The units, and what may stand beside one.
const UNITS: [(&str, Option<&str>); 3] = [
    ("sandclock-server.service", None),
    ("sandclock-worker.service", None),
    ("sandclock-worker.service", Some("worker-any-user.conf")),
];

/// Where the certificate lies that `deploy/nginx` names.
const CERTIFICATES: &str = "/etc/nginx/tls/";

/// The Debian package, of the program that the last tests built.
pub(crate) fn package(place: &Place) -> Result<()> {
    inside::check(place, &place.target.join("debug/sandclock"))
}

/// The Debian package of the optimised program, to be handed out. An error if that is not built.
pub(crate) fn deb(place: &Place) -> Result<PathBuf> {
    let program = place.target.join("release/sandclock");
    deb::build(place, &program, deb::Packed::Small)
        .context("the package is made of what `cargo build --release --locked` built")
}

/// The units and the users that they name, with the built program in the place of the installed one.
pub(crate) fn units(place: &Place) -> Result<()> {
    let program = place.target.join("debug/sandclock");
    if !program.exists() {
        bail!(
            "{} is missing: it is built with the tests",
            program.display()
        );
    }
    for (number, (unit, beside)) in UNITS.iter().enumerate() {
        let folder = scratch(place, &format!("units-{number}"))?;
        let text = read(&place.root.join("deploy/systemd").join(unit))?;
        understood(&program, unit, &text)?;
        let copy = folder.join(unit);
        write(
            &copy,
            &text.replace(INSTALLED, &program.display().to_string()),
        )?;
        if let Some(beside) = beside {
            let folder = folder.join(format!("{unit}.d"));
            fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
            let text = read(&place.root.join("deploy/systemd").join(beside))?;
            write(&folder.join(beside), &text)?;
        }
        let mut verify = Command::new("systemd-analyze");
        verify.args(["verify", "--man=no", "--recursive-errors=no"]);
        // What systemd does not know it passes over with a word about it.
        silent(verify.arg(&copy))?;
    }
    let users = place.root.join("deploy/systemd/sandclock.sysusers");
    process::output(Command::new("systemd-sysusers").arg("--dry-run").arg(users)).map(drop)
}

/// The program takes the unit's arguments: with a configuration that is not there it fails as such (1), and not for
/// wrong usage (2).
fn understood(program: &Path, unit: &str, text: &str) -> Result<()> {
    let arguments = text
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart=")?.strip_prefix(INSTALLED))
        .with_context(|| format!("{unit} has no line ExecStart={INSTALLED}"))?;
    let arguments = arguments.replace("/etc/sandclock/", "/dev/null/");
    let mut start = Command::new(program);
    let answer = start
        .args(arguments.split_whitespace())
        .output()
        .with_context(|| format!("{} could not be started", process::shown(&start)))?;
    if answer.status.code() != Some(1) {
        let said = String::from_utf8_lossy(&answer.stderr);
        bail!(
            "{unit}: {} ended with {}, not for the missing file\n{said}",
            process::shown(&start),
            answer.status
        );
    }
    Ok(())
}

/// nginx's configuration, with a certificate of the moment and ports that anybody may open.
pub(crate) fn nginx(place: &Place) -> Result<()> {
    let folder = scratch(place, "nginx")?;
    let shown = folder.display();
    let mut certificate = Command::new("openssl");
    certificate
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
        ])
        .args(["-subj", "/CN=sandclock.example.org", "-keyout"])
        .arg(folder.join("sandclock.key"))
        .arg("-out")
        .arg(folder.join("sandclock.pem"));
    process::output(&mut certificate)?;
    let text = read(&place.root.join("deploy/nginx/sandclock.conf"))?;
    let text = text
        .replace(CERTIFICATES, &format!("{shown}/"))
        .replace("listen 80;", "listen 127.0.0.1:48080;")
        .replace("listen [::]:80;", "")
        .replace("listen 443 ", "listen 127.0.0.1:48443 ")
        .replace("listen [::]:443 ssl http2;", "");
    write(&folder.join("sandclock.conf"), &text)?;
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {shown}/{kind};\n"))
        .collect();
    let whole = format!(
        "pid {shown}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{paths}include {shown}/sandclock.conf;\n}}\n"
    );
    write(&folder.join("nginx.conf"), &whole)?;
    let mut test = tools::on_path(tools::NGINX);
    test.args(["-t", "-q", "-e", "stderr", "-p"])
        .arg(&folder)
        .arg("-c")
        .arg(folder.join("nginx.conf"));
    process::output(&mut test).map(drop)
}

/// The alert rules: that Prometheus takes them, and that they say what their examples expect.
pub(crate) fn rules(place: &Place) -> Result<()> {
    let folder = place.root.join("deploy/prometheus");
    for (what, file) in [
        ("check", "sandclock.rules.yml"),
        ("test", "sandclock.rules.test.yml"),
    ] {
        let mut promtool = Command::new("promtool");
        promtool.args([what, "rules", file]).current_dir(&folder);
        process::output(&mut promtool)?;
    }
    let text = read(&folder.join("sandclock.rules.yml"))?;
    let count = |word: &str| text.matches(word).count();
    let alerts = count("- alert: ");
    if [count("runbook: "), count("summary: "), count("severity: ")] != [alerts; 3] {
        bail!("sandclock.rules.yml: each alert has a severity, a summary and a runbook");
    }
    Ok(())
}

/// The compose file, and what it names.
pub(crate) fn compose(place: &Place, python: &Path) -> Result<()> {
    let folder = place.root.join("deploy");
    let print = "import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)";
    let mut parse = Command::new(python);
    parse.args(["-c", print]).arg(folder.join("compose.yaml"));
    let text = process::output(&mut parse)?;
    let document: Value = serde_json::from_str(&text).context("Python prints JSON")?;
    let mut found = compose::findings(&document, |path| folder.join(path).exists());
    for role in ["server", "worker"] {
        let path = format!("compose/{role}.toml");
        let text = read(&folder.join(&path))?;
        let config: toml::Table = text.parse().with_context(|| format!("parsing {path}"))?;
        let unknown = compose::unknown_hosts(&document, &config);
        found.extend(
            unknown
                .into_iter()
                .map(|host| format!("{path}: {host} is no service")),
        );
    }
    if !found.is_empty() {
        bail!("deploy/compose.yaml:\n{}", found.join("\n"));
    }
    Ok(())
}

/// Runs a command that has nothing to say.
fn silent(command: &mut Command) -> Result<()> {
    let answer = command
        .output()
        .with_context(|| format!("{} could not be started", process::shown(command)))?;
    let said = String::from_utf8_lossy(&answer.stderr);
    if !answer.status.success() || !said.trim().is_empty() {
        bail!(
            "{} ended with {}\n{said}",
            process::shown(command),
            answer.status
        );
    }
    Ok(())
}

/// An empty folder below the target directory.
fn scratch(place: &Place, name: &str) -> Result<PathBuf> {
    let folder = place.target.join("deploy").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}
