//! The stores of one test, a corner of its own in real servers, and what its jobs say themselves.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use etcd_client::{Client, GetOptions};
use mongodb::Collection;
use mongodb::bson::{Document, doc};
use sandclock_testkit::services::{Etcd, Mongo};
use serde_json::json;
use tempfile::TempDir;

/// Where a test's servers and workers agree and log.
#[derive(Clone, Debug)]
pub(crate) struct Stores {
    pub(crate) etcd: String,
    pub(crate) mongo: String,
    /// The name of the corner, with which its keys begin, and of its database.
    pub(crate) own: String,
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
        format!("/{}/jobs/{job}", self.own)
    }

    pub(crate) fn lock_key(&self, job: &str) -> String {
        format!("/{}/locks/{job}", self.own)
    }

    pub(crate) fn kill_key(&self, job: &str) -> String {
        format!("/{}/kills/{job}", self.own)
    }

    pub(crate) fn worker_key(&self, address: &str) -> String {
        format!("/{}/workers/{address}", self.own)
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

    /// The runs, in a client of its own.
    pub(crate) async fn collection(&self) -> Collection<Document> {
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
        pairs(&self.file)
    }
}

/// The lines of such a file: a fire time and what follows it.
pub(crate) fn pairs(file: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let pair = |line: &str| {
        line.split_once(' ')
            .map(|(at, rest)| (at.to_owned(), rest.to_owned()))
    };
    text.lines().filter_map(pair).collect()
}
