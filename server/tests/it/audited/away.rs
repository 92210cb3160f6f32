//! The trail while its stores are away: changes wait for the run log elsewhere, and what could leave no trace is not done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::{Client, Method, StatusCode};
use sandclock_core::access::Role;
use sandclock_core::backend::memory::MemoryStore;
use sandclock_core::backend::{
    AuditEntry, AuditFilter, AuditLog, AuditOutcome, Doc, DocKind, Docs, Page, PageToken,
    Precondition, Result, Versioned,
};
use sandclock_core::{BackendError, ErrorKind, stored};
use sandclock_server::access::Gate;
use sandclock_server::api;
use sandclock_server::audit::MAX_WAITING;
use sandclock_server::clock::SystemClock;
use sandclock_testkit::services::OwnMongo;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::entries;
use super::listed::named;
use crate::alerts::scene::Config;
use crate::product::{Product, client, wait_for};
use crate::progress::{over, serve};

const PATIENCE: Duration = Duration::from_secs(120);

/// A store of which one contract may be away.
#[derive(Debug)]
struct Door<T: ?Sized> {
    inner: Arc<T>,
    away: AtomicBool,
    /// How many writes still get through.
    left: AtomicU32,
}

impl<T: ?Sized> Door<T> {
    fn of(inner: Arc<T>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            away: AtomicBool::new(false),
            left: AtomicU32::new(u32::MAX),
        })
    }

    fn pass(&self, op: &'static str) -> Result<()> {
        let left = self.left.load(Ordering::Relaxed);
        if self.away.load(Ordering::Relaxed) || left == 0 {
            return Err(BackendError::new(op, ErrorKind::Unavailable));
        }
        self.left.store(left - 1, Ordering::Relaxed);
        Ok(())
    }
}

#[async_trait]
impl AuditLog for Door<dyn AuditLog> {
    async fn put(&self, entry: &AuditEntry) -> Result<()> {
        self.pass("audit.put")?;
        self.inner.put(entry).await
    }

    async fn list(
        &self,
        filter: &AuditFilter,
        page: Option<&PageToken>,
        limit: u32,
    ) -> Result<Page<AuditEntry>> {
        self.inner.list(filter, page, limit).await
    }

    async fn prune(&self, before: sandclock_core::Timestamp, max: u32) -> Result<u32> {
        self.inner.prune(before, max).await
    }
}

#[async_trait]
impl Docs for Door<dyn Docs> {
    async fn list(&self, kind: DocKind) -> Result<Vec<Doc>> {
        self.inner.list(kind).await
    }

    async fn put(
        &self,
        kind: DocKind,
        name: &str,
        body: &Bytes,
        pre: Precondition,
    ) -> Result<Versioned<()>> {
        self.pass("docs.put")?;
        self.inner.put(kind, name, body, pre).await
    }

    async fn delete(&self, kind: DocKind, name: &str, pre: Precondition) -> Result<()> {
        self.inner.delete(kind, name, pre).await
    }
}

/// A server whose trail has two doors.
struct Scene {
    log: Arc<Door<dyn AuditLog>>,
    docs: Arc<Door<dyn Docs>>,
    url: String,
    editor: String,
    viewer: String,
    http: Client,
    _home: TempDir,
}

impl Scene {
    async fn new() -> Self {
        sandclock_server::tls();
        let home = TempDir::new().unwrap();
        let store = MemoryStore::new();
        let (mut coordination, mut records) = (store.coordination(), store.records());
        let (log, docs) = (Door::of(records.audit), Door::of(coordination.docs));
        records.audit = Arc::clone(&log) as _;
        coordination.docs = Arc::clone(&docs) as _;
        let mut gate = Gate::new(Arc::clone(&coordination.docs), Arc::new(SystemClock));
        let editor = gate.own_token("ann", Role::Editor);
        let viewer = gate.own_token("eve", Role::Viewer);
        let api = over((coordination, records), gate, home.path());
        Self {
            log,
            docs,
            url: serve(api::router(api)).await,
            editor,
            viewer,
            http: client(),
            _home: home,
        }
    }

    async fn put(&self, job: &str, token: &str) -> StatusCode {
        let url = format!("{}/api/v1/jobs/{job}", self.url);
        let request = self.http.put(url).json(&json!({ "command": "true" }));
        let answer = request.bearer_auth(token).send().await.unwrap();
        answer.status()
    }

    async fn is_there(&self, job: &str) -> bool {
        let url = format!("{}/api/v1/jobs/{job}", self.url);
        let answer = self.http.get(url).bearer_auth(&self.viewer).send().await;
        answer.unwrap().status().is_success()
    }

    /// Who, what and with what outcome, of the run log.
    async fn logged(&self) -> Vec<(String, String, AuditOutcome)> {
        let all = AuditFilter::default();
        let page = self.log.inner.list(&all, None, 100).await.unwrap();
        let entries = page.items.into_iter();
        entries
            .map(|entry| (entry.who, entry.subject, entry.outcome))
            .collect()
    }

    /// The entries that wait.
    async fn waiting(&self) -> Vec<AuditEntry> {
        let docs = self.docs.inner.list(DocKind::Audit).await.unwrap();
        let entry = |doc: &Doc| stored::decode(&doc.body).unwrap();
        docs.iter().map(entry).collect()
    }
}

fn entry(who: &str, job: &str, outcome: AuditOutcome) -> (String, String, AuditOutcome) {
    (who.to_owned(), job.to_owned(), outcome)
}

#[tokio::test]
async fn who_may_not_leaves_no_entry() {
    let scene = Scene::new().await;
    assert_eq!(scene.put("a", &scene.viewer).await, StatusCode::FORBIDDEN);
    assert_eq!(scene.logged().await, []);
    assert_eq!(scene.put("a", &scene.editor).await, StatusCode::CREATED);
    let ann = entry("ann", "a", AuditOutcome::Done);
    assert_eq!(scene.logged().await, [ann]);
}

#[tokio::test]
async fn without_the_run_log_a_change_is_made_and_its_entry_waits() {
    let scene = Scene::new().await;
    scene.log.away.store(true, Ordering::Relaxed);
    assert_eq!(scene.put("a", &scene.editor).await, StatusCode::CREATED);
    assert!(scene.is_there("a").await);
    assert_eq!(scene.logged().await, []);
    let waiting = scene.waiting().await;
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].outcome, AuditOutcome::Done);
    assert_eq!((&*waiting[0].who, &*waiting[0].subject), ("ann", "a"));
    let after = waiting[0].after.as_ref().unwrap();
    assert_eq!(after["command"], "true");
}

#[tokio::test]
async fn what_could_leave_no_trace_is_not_done() {
    let scene = Scene::new().await;
    scene.log.away.store(true, Ordering::Relaxed);
    scene.docs.away.store(true, Ordering::Relaxed);
    let refused = scene.put("a", &scene.editor).await;
    assert_eq!(refused, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!scene.is_there("a").await);
    scene.docs.away.store(false, Ordering::Relaxed);
    assert_eq!(scene.put("a", &scene.editor).await, StatusCode::CREATED);
    assert!(scene.is_there("a").await);
}

/// What waits takes room that jobs need.
#[tokio::test]
async fn so_many_changes_wait_and_no_more() {
    let scene = Scene::new().await;
    scene.log.away.store(true, Ordering::Relaxed);
    for _ in 0..MAX_WAITING {
        assert!(scene.put("a", &scene.editor).await.is_success());
    }
    let refused = scene.put("b", &scene.editor).await;
    assert_eq!(refused, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!scene.is_there("b").await);
    assert_eq!(scene.waiting().await.len(), MAX_WAITING as usize);
    scene.log.away.store(false, Ordering::Relaxed);
    wait_for("the run log is asked again", PATIENCE, async || {
        scene.put("b", &scene.editor).await.is_success()
    })
    .await;
    scene.log.away.store(true, Ordering::Relaxed);
    assert!(scene.put("c", &scene.editor).await.is_success());
}

/// What is lost between the change and the word on it is that word only.
#[tokio::test]
async fn a_change_of_which_nobody_could_say_more_has_begun() {
    let scene = Scene::new().await;
    scene.log.left.store(1, Ordering::Relaxed);
    scene.docs.left.store(0, Ordering::Relaxed);
    assert_eq!(scene.put("a", &scene.editor).await, StatusCode::CREATED);
    let begun = entry("ann", "a", AuditOutcome::Begun);
    assert_eq!(scene.logged().await, [begun]);
}

/// A real MongoDB that stops answering, and goes on.
#[tokio::test(flavor = "multi_thread")]
async fn changes_while_mongodb_is_away_are_in_the_trail_once_afterwards() {
    let mongo = OwnMongo::start();
    let text = format!(
        "[run_log]\ntype = \"mongodb\"\nuri = {:?}\ndatabase = \"audited\"\n",
        mongo.uri
    );
    let config = Config::new(&text);
    let product = config.dev();
    let put = async |name: &str, command: &str| {
        product.put_job(name, &json!({ "command": command })).await;
    };
    put("before", "true").await;
    kill(Pid::from_raw(mongo.pid), Signal::SIGSTOP).unwrap();
    for number in 0..5 {
        put(&format!("job-{number}"), "true").await;
    }
    put("job-0", "false").await;
    let gone = product.request(Method::DELETE, "/jobs/job-1");
    assert_eq!(gone.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    kill(Pid::from_raw(mongo.pid), Signal::SIGCONT).unwrap();

    let expected = [
        ("job.delete", "job-1"),
        ("job.put", "job-0"),
        ("job.put", "job-4"),
        ("job.put", "job-3"),
        ("job.put", "job-2"),
        ("job.put", "job-1"),
        ("job.put", "job-0"),
        ("job.put", "before"),
    ];
    let mut all: Vec<Value> = Vec::new();
    wait_for("what came of each is there", PATIENCE, async || {
        all = entries_if_there(&product).await;
        let over = |entry: &&Value| entry["outcome"] == "done";
        all.iter().filter(over).count() >= expected.len()
    })
    .await;
    assert_eq!(named(&all), expected);
    assert_eq!(all[1]["before"]["command"], "true");
    assert_eq!(all[1]["after"]["command"], "false");
    assert_eq!(all[0]["before"]["command"], "true");
    // What follows goes the straight way again.
    wait_for("nothing waits", PATIENCE, async || {
        put("after", "true").await;
        !entries(&product, "subject=after").await.is_empty()
    })
    .await;
}

/// The trail, or nothing while it cannot be read.
async fn entries_if_there(product: &Product) -> Vec<Value> {
    let asked = product.request(Method::GET, "/audit").send().await;
    let answer = asked.unwrap();
    if answer.status() != StatusCode::OK {
        return Vec::new();
    }
    let mut page: Value = answer.json().await.unwrap();
    serde_json::from_value(page["items"].take()).unwrap()
}
