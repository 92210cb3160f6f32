//! Workers of a fleet as operators run them, each a process of its own.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the binaries as an operator does"
)]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::product::wait_for;
use crate::stores::Stores;

/// The name of our configuration in a worker's folder.
const CONFIG: &str = "sandclock.toml";

/// The line of it by which a worker answers those who watch it.
const WATCHED: &str = "worker.listen = \"127.0.0.1:0\"";

/// A worker process. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Worker {
    name: String,
    /// Where it answers those who watch it, if it does.
    pub(crate) url: Option<String>,
    pub(crate) process: Child,
    out: BufReader<ChildStdout>,
    home: TempDir,
}

impl Worker {
    /// Starts `sandclock worker`, and waits until it is ready.
    pub(crate) fn start(name: &str, stores: &Stores) -> Self {
        Self::start_with(name, stores, &[])
    }

    /// The same with these variables in its environment.
    pub(crate) fn start_with(name: &str, stores: &Stores, variables: &[(&str, &str)]) -> Self {
        let home = TempDir::new().unwrap();
        std::fs::write(home.path().join(CONFIG), stores.toml()).unwrap();
        Self::ours(name, home, variables)
    }

    /// The same, answering those who watch it.
    pub(crate) fn watched(name: &str, stores: &Stores, variables: &[(&str, &str)]) -> Self {
        let home = TempDir::new().unwrap();
        let watched = format!("{}{WATCHED}\n", stores.toml());
        std::fs::write(home.path().join(CONFIG), watched).unwrap();
        Self::ours(name, home, variables)
    }

    /// The same on this configuration.
    pub(crate) fn start_on(name: &str, config: &str) -> Self {
        Self::start_on_with(name, config, &[])
    }

    /// The same with these variables in its environment.
    pub(crate) fn start_on_with(name: &str, config: &str, variables: &[(&str, &str)]) -> Self {
        let home = TempDir::new().unwrap();
        std::fs::write(home.path().join(CONFIG), config).unwrap();
        Self::ours(name, home, variables)
    }

    fn ours(name: &str, home: TempDir, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandclock"));
        command.args(["worker", "--config", CONFIG]);
        command.envs(variables.iter().copied());
        Self::launch(name, home, command)
    }

    /// Waits for the end of `sandclock worker` and starts it again on the same folders.
    pub(crate) fn restart(mut self) -> Self {
        self.process.wait().unwrap();
        let home = std::mem::replace(&mut self.home, TempDir::new().unwrap());
        Self::ours(&self.name, home, &[])
    }

    /// Gives it another configuration and has it read.
    pub(crate) fn reconfigure(&self, config: &str) {
        std::fs::write(self.home.path().join(CONFIG), config).unwrap();
        self.signal(Signal::SIGHUP);
    }

    /// Asks it to end, and waits.
    pub(crate) async fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        self.ends().await;
    }

    /// Waits until it has ended well.
    pub(crate) async fn ends(&mut self) {
        let mut status = None;
        wait_for("the worker ends", Duration::from_secs(120), async || {
            status = self.process.try_wait().unwrap();
            status.is_some()
        })
        .await;
        assert!(status.unwrap().success(), "{}", self.log());
    }

    /// Starts `sandclock-worker` with a Go fleet's file, and waits until it is ready. It registers as `address`.
    pub(crate) fn of_go(
        name: &str,
        address: &str,
        stores: &Stores,
        variables: &[(&str, &str)],
    ) -> Self {
        Self::of_go_with(name, address, stores, &stores.worker_json(), variables)
    }

    /// The same with this `worker.json`.
    pub(crate) fn of_go_with(
        name: &str,
        address: &str,
        stores: &Stores,
        file: &str,
        variables: &[(&str, &str)],
    ) -> Self {
        let home = TempDir::new().unwrap();
        std::fs::write(home.path().join("worker.json"), file).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandclock-worker"));
        command.args(["-config", "./worker.json"]);
        command.envs(stores.variables());
        command.env("SANDCLOCK__COORDINATION__REGISTER_AS", address);
        // One zone for the whole fleet, as its documentation asks for.
        command.env("SANDCLOCK__DEFAULT_TIME_ZONE", "UTC");
        command.envs(variables.iter().copied());
        Self::launch(name, home, command)
    }

    /// Starts `sandclock-worker` without a flag in a folder that holds the Go fleet's file, which is all that it is
    /// told of that fleet.
    pub(crate) fn of_go_alone(name: &str, address: &str, stores: &Stores) -> Self {
        let home = TempDir::new().unwrap();
        std::fs::write(home.path().join("worker.json"), stores.worker_json()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandclock-worker"));
        // Tests have no other address than loopback.
        command.env("SANDCLOCK__COORDINATION__REGISTER_AS", address);
        Self::launch(name, home, command)
    }

    fn launch(name: &str, home: TempDir, mut command: Command) -> Self {
        let log = File::options()
            .create(true)
            .append(true)
            .open(home.path().join("log"))
            .unwrap();
        let mut process = command
            .current_dir(&home)
            .env("SANDCLOCK__WORKER__NAME", name)
            .env("SANDCLOCK__DATA", home.path().join("data"))
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        let mut worker = Self {
            name: name.to_owned(),
            url: None,
            process,
            out,
            home,
        };
        let said = worker.says();
        let ready = said.ends_with(&format!("worker {name}"));
        assert!(ready, "{said}: {}", worker.log());
        let config = std::fs::read_to_string(worker.home.path().join(CONFIG)).unwrap_or_default();
        if config.lines().any(|line| line == WATCHED) {
            let said = worker.says();
            let url = said.trim_start().strip_prefix("health");
            let url = url.and_then(|url| url.trim_start().strip_suffix("/readyz"));
            worker.url = url.map(str::to_owned);
            assert!(worker.url.is_some(), "{said}: {}", worker.log());
        }
        worker
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The next line that it says to whoever starts it; empty if it has ended.
    pub(crate) fn says(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log")).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap());
        kill(pid, signal).unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Variables as those who start a process take them.
pub(crate) fn borrowed(variables: &[(String, String)]) -> Vec<(&str, &str)> {
    variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// What lets a process live at another wall time than the machine's, as the program faketime does it: `how` is
/// `+10s`, or `@2026-03-08 06:59:30` for a clock that starts there.
pub(crate) fn other_time(how: &str) -> Vec<(String, String)> {
    let shown = Command::new("faketime")
        .args(["-f", "+0", "sh", "-c", "echo $LD_PRELOAD"])
        .output();
    let shown = shown.expect("faketime is missing; get it with: sudo apt-get install faketime");
    let library = String::from_utf8(shown.stdout).unwrap();
    [
        ("LD_PRELOAD", library.trim()),
        ("FAKETIME", how),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}
