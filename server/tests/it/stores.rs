//! The stores of one test, a corner of its own in real servers, and the workers that agree through them.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the binaries as an operator does"
)]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use etcd_client::{Client, GetOptions};
use mongodb::Collection;
use mongodb::bson::{Document, doc};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandclock_testkit::services::{Etcd, Mongo};
use serde_json::json;
use tempfile::TempDir;

/// Where a test's servers and workers agree and log.
#[derive(Clone, Debug)]
pub(crate) struct Stores {
    etcd: String,
    mongo: String,
    own: String,
}

impl Stores {
    /// In the servers of this test binary.
    pub(crate) fn shared() -> Self {
        Self::of(Etcd::shared().address, Mongo::replica_set().uri)
    }

    /// In these servers: an address of etcd and a URI of MongoDB.
    pub(crate) fn of(etcd: &str, mongo: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            etcd: etcd.to_owned(),
            mongo: mongo.to_owned(),
            own: format!("test-{}-{next}", std::process::id()),
        }
    }

    /// The same stores, reached by another address of etcd.
    pub(crate) fn by(&self, etcd: &str) -> Self {
        Self {
            etcd: etcd.to_owned(),
            ..self.clone()
        }
    }

    /// What keeps this test's corner apart, as settings of ours.
    fn corner(&self) -> Vec<(&'static str, String)> {
        let own = &self.own;
        vec![
            ("coordination.prefix", format!("/{own}/sandclock/")),
            ("coordination.go.jobs", self.jobs_key("")),
            ("coordination.go.locks", self.lock_key("")),
            ("coordination.go.kills", self.kill_key("")),
            ("coordination.go.workers", self.worker_key("")),
            ("run_log.database", own.clone()),
        ]
    }

    /// The sections of our configuration, before any table of it.
    pub(crate) fn toml(&self) -> String {
        let corner = self.corner().into_iter();
        let corner: String = corner
            .map(|(name, value)| format!("{name} = {value:?}\n"))
            .collect();
        let (etcd, mongo) = (&self.etcd, &self.mongo);
        format!(
            "coordination.type = \"etcd\"\ncoordination.endpoints = [{etcd:?}]\nrun_log.type = \"mongodb\"\n\
             run_log.uri = {mongo:?}\n{corner}"
        )
    }

    /// What a Go fleet's file does not say, as variables of the environment.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let name = |name: &str| format!("SANDCLOCK__{}", name.to_uppercase().replace('.', "__"));
        let corner = self.corner().into_iter();
        corner.map(|(path, value)| (name(path), value)).collect()
    }

    /// A Go fleet's `worker.json`.
    pub(crate) fn worker_json(&self) -> String {
        json!({
            "etcdEndpoints": [self.etcd],
            "etcdDialTimeout": 5000,
            "mongodbUri": self.mongo,
            "mongodbConnectTimeout": 5000,
            "jobLogBatchSize": 100,
            "jobLogCommitTimeout": 1000,
        })
        .to_string()
    }

    pub(crate) fn jobs_key(&self, job: &str) -> String {
        format!("/{}/cron/jobs/{job}", self.own)
    }

    pub(crate) fn lock_key(&self, job: &str) -> String {
        format!("/{}/cron/lock/{job}", self.own)
    }

    pub(crate) fn kill_key(&self, job: &str) -> String {
        format!("/{}/cron/killer/{job}", self.own)
    }

    pub(crate) fn worker_key(&self, address: &str) -> String {
        format!("/{}/cron/workers/{address}", self.own)
    }

    /// A client of etcd that shares nothing with ours.
    pub(crate) async fn raw(&self) -> Client {
        Client::connect([&self.etcd], None).await.unwrap()
    }

    /// Saves a job as a Go master does.
    pub(crate) async fn save(&self, name: &str, command: &str, schedule: &str) {
        let job = json!({ "name": name, "command": command, "cronExpr": schedule });
        let key = self.jobs_key(name);
        let mut raw = self.raw().await;
        raw.put(key, job.to_string(), None).await.unwrap();
    }

    /// Kills a job's run as a Go master does.
    pub(crate) async fn kill(&self, name: &str) {
        let mut raw = self.raw().await;
        let lease = raw.lease_grant(1, None).await.unwrap().id();
        let options = etcd_client::PutOptions::new().with_lease(lease);
        let put = raw.put(self.kill_key(name), "", Some(options)).await;
        put.unwrap();
    }

    /// The addresses that a Go master lists as healthy.
    pub(crate) async fn registered(&self) -> Vec<String> {
        let prefix = self.worker_key("");
        let options = GetOptions::new().with_prefix();
        let mut raw = self.raw().await;
        let found = raw.get(prefix.clone(), Some(options)).await.unwrap();
        let address = |kv: &etcd_client::KeyValue| kv.key_str().unwrap()[prefix.len()..].to_owned();
        found.kvs().iter().map(address).collect()
    }

    /// What a Go master's log page would find of a job, oldest first.
    pub(crate) async fn log(&self, job: &str) -> Vec<Document> {
        let log = self.collection().await;
        let all = log.find(doc! { "jobName": job });
        let mut found = all.sort(doc! { "startTime": 1 }).await.unwrap();
        let mut all = Vec::new();
        while found.advance().await.unwrap() {
            all.push(found.deserialize_current().unwrap());
        }
        all
    }

    async fn collection(&self) -> Collection<Document> {
        let client = mongodb::Client::with_uri_str(&self.mongo).await.unwrap();
        client.database(&self.own).collection("log")
    }

    /// The keys of the indexes of the run log.
    pub(crate) async fn log_indexes(&self) -> Vec<Document> {
        let log = self.collection().await;
        let mut found = log.list_indexes().await.unwrap();
        let mut all = Vec::new();
        while found.advance().await.unwrap() {
            all.push(found.deserialize_current().unwrap().keys);
        }
        all
    }
}

/// A worker process. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) process: Child,
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
        let config = home.path().join("sandclock.toml");
        std::fs::write(&config, stores.toml()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandclock"));
        command.args(["worker", "--config"]).arg(&config);
        command.envs(variables.iter().copied());
        Self::launch(name, home, command)
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

    fn launch(name: &str, home: TempDir, mut command: Command) -> Self {
        let log = File::create(home.path().join("log")).unwrap();
        let mut process = command
            .current_dir(&home)
            .env("SANDCLOCK__WORKER__NAME", name)
            .env("SANDCLOCK__DATA", home.path().join("data"))
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        let said = out.lines().next().and_then(Result::ok).unwrap_or_default();
        let worker = Self { process, home };
        let ready = said.ends_with(&format!("worker {name}"));
        assert!(ready, "{said}: {}", worker.log());
        worker
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

/// What the jobs of a test say themselves: a line for each start.
#[derive(Debug)]
pub(crate) struct Evidence {
    file: PathBuf,
    _folder: TempDir,
}

impl Evidence {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        Self {
            file: folder.path().join("evidence"),
            _folder: folder,
        }
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// A command that adds a line of these words.
    pub(crate) fn says(&self, words: &str) -> String {
        format!("echo {words} >> {}", self.file.display())
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The lines as pairs: a fire time and what follows it.
    pub(crate) fn pairs(&self) -> Vec<(String, String)> {
        let pair = |line: &String| {
            line.split_once(' ')
                .map(|(at, rest)| (at.to_owned(), rest.to_owned()))
        };
        self.lines().iter().filter_map(pair).collect()
    }
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
