//! Lists at their ends: the last page of 10,000 jobs and of 1,000,000 runs against the first, through the API of a server.
//!
//! Once over the embedded stores and once over etcd and MongoDB. The server is this program once more, so that what is
//! measured is what a client waits for. The runs are written to the stores beforehand, as a worker writes them.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use reqwest::Client;
use sandclock_backend_embedded::{Embedded, EmbeddedConfig};
use sandclock_backend_mongo::{MongoConfig, connect};
use sandclock_core::backend::{DoneRecord, RunSink};
use sandclock_core::job::JobName;
use sandclock_core::policy::Streak;
use sandclock_core::run::{Outcome, OutputSummary, RunKey, RunState};
use sandclock_core::time::Timestamp;
use sandclock_testkit::services::{OwnEtcd, OwnMongo};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::figure::{Figure, Work, compare};

/// What this program's first argument is when it is to be the product.
pub(crate) const AS_PRODUCT: &str = "as-sandclock";

const RUNS: u32 = 1_000_000;
const JOBS: usize = 10_000;
/// Items of the pages that are measured.
const PAGE: u32 = 100;
/// Items of the pages on the way to the last one.
const STRIDE: u32 = 1_000;
/// Runs on their way to the store at once.
const WRITING: usize = 512;
/// Jobs of one request.
const SET: usize = 5_000;
/// When the first run was due; each is one second after the one before.
const BEGINNING: i64 = 1_600_000_000;

pub(crate) fn run() -> Result<Vec<Figure>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let mut figures = embedded(&runtime)?;
    figures.extend(fleet(&runtime)?);
    Ok(figures)
}

fn embedded(runtime: &Runtime) -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    std::fs::create_dir(&data)?;
    let path = data.join("sandclock.db");
    let store = Embedded::open(EmbeddedConfig { path })?;
    runtime.block_on(fill(&*store.records().sink))?;
    drop(store);
    let data = data.to_str().context("a path in UTF-8")?;
    let args = [
        "dev",
        "--no-examples",
        "--listen",
        "127.0.0.1:0",
        "--data",
        data,
    ];
    let product = Product::start(folder, &args)?;
    Ok(vec![
        product.list(runtime, "lists.embedded_runs", "/runs")?,
        product.list(runtime, "lists.embedded_jobs", "/jobs")?,
    ])
}

fn fleet(runtime: &Runtime) -> Result<Vec<Figure>> {
    let (etcd, mongo) = (OwnEtcd::start(), OwnMongo::start());
    let filled = runtime.block_on(async {
        let records = connect(&MongoConfig::new(mongo.uri.as_str())).await?;
        fill(&*records.sink).await
    });
    filled?;
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("sandclock.toml");
    let stores = format!(
        "listen = \"127.0.0.1:0\"\ndata = {:?}\n[coordination]\ntype = \"etcd\"\nendpoints = [{:?}]\n\
         [run_log]\ntype = \"mongodb\"\nuri = {:?}\n",
        folder.path().join("data"),
        etcd.address(),
        mongo.uri,
    );
    std::fs::write(&config, stores)?;
    let config = config.to_str().context("a path in UTF-8")?.to_owned();
    let product = Product::start(folder, &["server", "--config", &config])?;
    Ok(vec![
        product.list(runtime, "lists.fleet_runs", "/runs")?,
        product.list(runtime, "lists.fleet_jobs", "/jobs")?,
    ])
}

/// Writes all runs.
async fn fill(sink: &dyn RunSink) -> Result<()> {
    stream::iter((0..RUNS).map(done))
        .map(async |record| sink.finish(&record?).await.map_err(anyhow::Error::from))
        .buffer_unordered(WRITING)
        .try_collect::<()>()
        .await
}

fn done(number: u32) -> Result<DoneRecord> {
    let at = Timestamp::from_millis((BEGINNING + i64::from(number)) * 1_000);
    Ok(DoneRecord {
        job: JobName::parse(&format!("job/{}", number % 1_000))?,
        key: RunKey::Tick(at),
        span: None,
        outcome: Outcome {
            state: RunState::Succeeded,
            cause: "exited with code 0".to_owned(),
            started_at: Some(at),
            ended_at: at,
            exit_code: Some(0),
            signal: None,
            output: OutputSummary::default(),
            notes: Vec::new(),
        },
        attempts: 1,
        fence: 1,
        worker: "worker-1".to_owned(),
        streak_before: Streak::default(),
        streak: Streak::default(),
        pinned: None,
    })
}

/// A running server with jobs. Dropping it kills it.
struct Product {
    process: Child,
    _folder: TempDir,
    url: String,
    token: String,
    http: Client,
}

impl Product {
    fn start(folder: TempDir, args: &[&str]) -> Result<Self> {
        sandclock_server::tls();
        let mut process = Command::new(std::env::current_exe()?)
            .arg(AS_PRODUCT)
            .args(args)
            .env("HOME", folder.path())
            .env("SANDCLOCK__API__REQUESTS_PER_S", "0")
            .env("SANDCLOCK__RETENTION__RUNS_DAYS", "36500")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let out = process.stdout.take().context("its output")?;
        let (mut url, mut token) = (None, None);
        for line in BufReader::new(out).lines() {
            let line = line?;
            if let Some((_, address)) = line.split_once(" is ready: ") {
                url = Some(address.trim().to_owned());
            } else if let Some(said) = line.trim().strip_prefix("token  ") {
                token = said.split_whitespace().next().map(ToOwned::to_owned);
                break;
            }
        }
        Ok(Self {
            process,
            _folder: folder,
            url: url.context("it did not start")?,
            token: token.context("it told no token")?,
            http: Client::new(),
        })
    }

    /// The last page of a list against the first.
    fn list(&self, runtime: &Runtime, name: &'static str, path: &str) -> Result<Figure> {
        runtime.block_on(self.has_jobs())?;
        let last = runtime.block_on(self.last(path))?;
        let first = format!("{path}?limit={PAGE}");
        let read = |query: &str| {
            let page = runtime.block_on(self.get(query))?;
            let items = page
                .get("items")
                .and_then(Value::as_array)
                .map_or(0, Vec::len);
            ensure!(items == PAGE as usize, "{query}: {items} items");
            Ok(1.0)
        };
        let other = |query: &str| {
            runtime.block_on(self.get(query))?;
            Ok(1.0)
        };
        compare(
            name,
            "pages",
            Work {
                label: "the last page",
                step: &mut || read(&last),
            },
            Work {
                label: "the first page",
                step: &mut || other(&first),
            },
        )
    }

    /// The query of the last whole page: behind all that were read before it.
    async fn last(&self, path: &str) -> Result<String> {
        let (mut cursor, mut before) = (String::new(), String::new());
        loop {
            let page = self.get(&format!("{path}?limit={STRIDE}{cursor}")).await?;
            let Some(next) = page.get("next").and_then(Value::as_str) else {
                break;
            };
            before = std::mem::replace(&mut cursor, format!("&cursor={next}"));
        }
        // From the last stride on in small pages, to the last whole one.
        let mut cursor = if cursor.is_empty() { before } else { cursor };
        loop {
            let query = format!("{path}?limit={PAGE}{cursor}");
            let page = self.get(&query).await?;
            match page.get("next").and_then(Value::as_str) {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(query),
            }
        }
    }

    async fn has_jobs(&self) -> Result<()> {
        let job = |number: usize| json!({ "name": format!("job/{number:05}"), "command": "true", "schedule": "@yearly", "timeout_s": 60 });
        for from in (0..JOBS).step_by(SET) {
            let jobs: Vec<_> = (from..from + SET).map(job).collect();
            let request = self.http.post(format!("{}/api/v1/jobs:apply", self.url));
            let request = request.bearer_auth(&self.token);
            let request = request.json(&json!({ "jobs": jobs }));
            let answer = request.timeout(Duration::from_secs(300)).send().await?;
            ensure!(answer.status().is_success(), "{}", answer.text().await?);
        }
        Ok(())
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let request = self.http.get(format!("{}/api/v1{path}", self.url));
        let answer = request.bearer_auth(&self.token).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
