//! Workers of a fleet as operators run them, each a process on stores that the test has for itself.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the binary as an operator does"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandclock_testkit::services::{Etcd, Mongo};
use serde_json::Value;
use tempfile::TempDir;

use crate::product::{Product, wait_for};

/// The sections of stores that no other test uses.
pub(crate) fn stores() -> String {
    stores_on(Mongo::replica_set().uri)
}

/// The same, with the run log on this server.
pub(crate) fn stores_on(mongo: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let own = format!(
        "{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let etcd = Etcd::shared().address;
    format!(
        "[coordination]\ntype = \"etcd\"\nendpoints = [\"{etcd}\"]\nprefix = \"/{own}/sandclock/\"\n\
         [coordination.go]\njobs = \"/{own}/jobs/\"\nlocks = \"/{own}/lock/\"\nkills = \"/{own}/killer/\"\n\
         workers = \"/{own}/workers/\"\n\
         [run_log]\ntype = \"mongodb\"\nuri = \"{mongo}\"\ndatabase = \"fleet-{own}\"\n"
    )
}

/// A running `sandclock worker`. Dropping it kills it.
pub(crate) struct Worker {
    name: String,
    pub(crate) process: Child,
    home: TempDir,
}

impl Worker {
    pub(crate) fn start(name: &str, stores: &str) -> Self {
        Self::start_with(name, stores, "")
    }

    /// Starts one with further members of `[worker]`.
    pub(crate) fn start_with(name: &str, stores: &str, members: &str) -> Self {
        let home = TempDir::new().unwrap();
        let data = home.path().join("data");
        let own = format!("data = {data:?}\n{stores}[worker]\nname = \"{name}\"\n{members}");
        std::fs::write(home.path().join("sandclock.toml"), own).unwrap();
        Self::launch(name.to_owned(), home)
    }

    fn launch(name: String, home: TempDir) -> Self {
        let log = File::options()
            .create(true)
            .append(true)
            .open(home.path().join("log"))
            .unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_sandclock"))
            .args(["worker", "--config"])
            .arg(home.path().join("sandclock.toml"))
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let said = BufReader::new(process.stdout.take().unwrap())
            .lines()
            .next();
        let worker = Self {
            name,
            process,
            home,
        };
        let said = said.and_then(Result::ok).unwrap_or_default();
        assert!(
            said.ends_with(&format!("worker {}", worker.name)),
            "{said}: {}",
            worker.log()
        );
        worker
    }

    /// Asks it to end, and waits.
    pub(crate) async fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        let mut status = None;
        wait_for("the worker ends", Duration::from_secs(120), async || {
            status = self.process.try_wait().unwrap();
            status.is_some()
        })
        .await;
        assert!(status.unwrap().success(), "{}", self.log());
    }

    /// Waits for its end and starts it again on the same folders.
    pub(crate) fn restart(mut self) -> Self {
        self.process.wait().unwrap();
        let home = std::mem::replace(&mut self.home, TempDir::new().unwrap());
        Self::launch(self.name.clone(), home)
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

/// What the jobs themselves wrote: a fire time and a worker in each line.
pub(crate) fn evidence(file: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = |line: &str| {
        line.split_once(' ')
            .map(|(at, by)| (at.to_owned(), by.to_owned()))
    };
    text.lines().filter_map(line).collect()
}

/// All recorded runs of a job, by fire time.
pub(crate) async fn records(server: &Product, job: &str) -> BTreeMap<String, Value> {
    let page = server.get(&format!("/runs?job={job}&limit=200")).await;
    let runs = page["items"].as_array().unwrap().iter();
    runs.map(|run| (run["fire_time"].as_str().unwrap().to_owned(), run.clone()))
        .collect()
}
