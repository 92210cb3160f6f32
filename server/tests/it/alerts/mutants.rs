//! The promises of delivery over the reference model, and that a program that does not keep one is caught.
#![expect(
    clippy::disallowed_methods,
    reason = "a test runs a server and what it talks to beside each other"
)]

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt as _;
use sandclock_core::backend::memory::MemoryStore;
use sandclock_core::backend::{
    Alert, AlertId, AlertOutbox, AlertState, ClaimEnd, ClaimedAlert, Page, PageToken, Result,
};
use sandclock_core::job::JobName;
use sandclock_core::ports::AlertDraft;
use sandclock_core::run::{RunId, RunKey};
use sandclock_core::{BackendError, ErrorKind, Timestamp};
use sandclock_server::config::AlertSection;
use sandclock_server::deliver::{Delivery, Figures, Mutant, Tried};

use super::receiver::{Mode, PATIENCE, Receiver};
use crate::product::wait_for;

/// An outbox that can be away, or slow to say what was claimed.
#[derive(Debug)]
struct Line {
    store: Arc<MemoryStore>,
    away: AtomicBool,
    slow: AtomicBool,
    /// How often it was slow.
    told: AtomicU32,
}

impl Line {
    fn is_there(&self) -> Result<()> {
        match self.away.load(Ordering::Relaxed) {
            true => Err(BackendError::new("outbox", ErrorKind::Unavailable)),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl AlertOutbox for Line {
    async fn put(&self, alerts: &[Alert]) -> Result<()> {
        AlertOutbox::put(&*self.store, alerts).await
    }

    async fn claim(&self, max: u32, lease: Duration) -> Result<Vec<ClaimedAlert>> {
        self.is_there()?;
        let claimed = AlertOutbox::claim(&*self.store, max, lease).await?;
        if !claimed.is_empty() && self.slow.load(Ordering::Relaxed) {
            // As long as it takes until the claim is almost over.
            tokio::time::sleep(lease.saturating_sub(Duration::from_secs(1))).await;
            self.told.fetch_add(1, Ordering::Relaxed);
        }
        Ok(claimed)
    }

    async fn end(&self, id: &AlertId, claim: u64, end: &ClaimEnd) -> Result<bool> {
        self.is_there()?;
        AlertOutbox::end(&*self.store, id, claim, end).await
    }

    async fn gather(&self, id: &AlertId, claim: u64, most: u32) -> Result<Option<Vec<Alert>>> {
        self.store.gather(id, claim, most).await
    }

    async fn pace(&self, target: &str, most: u32, window: Duration) -> Result<Option<Duration>> {
        self.store.pace(target, most, window).await
    }

    async fn set(&self, id: &AlertId, state: AlertState) -> Result<()> {
        AlertOutbox::set(&*self.store, id, state).await
    }

    async fn get(&self, id: &AlertId) -> Result<Option<Alert>> {
        AlertOutbox::get(&*self.store, id).await
    }

    async fn list(
        &self,
        state: Option<AlertState>,
        page: Option<&PageToken>,
        limit: u32,
    ) -> Result<Page<Alert>> {
        self.is_there()?;
        AlertOutbox::list(&*self.store, state, page, limit).await
    }

    async fn of_run(&self, run: &RunId) -> Result<Vec<Alert>> {
        self.store.of_run(run).await
    }

    async fn of_job(&self, job: &JobName, after: Timestamp, limit: u32) -> Result<Vec<Alert>> {
        self.store.of_job(job, after, limit).await
    }
}

/// An outbox with an alert, and a receiver.
struct Scene {
    line: Arc<Line>,
    ops: Receiver,
    section: AlertSection,
    mutant: Option<Mutant>,
}

impl Scene {
    async fn new(mutant: Option<Mutant>) -> Self {
        sandclock_server::tls();
        let ops = Receiver::start().await;
        let text = format!(
            "take_over_s = 10\n[targets.ops]\ntype = \"webhook\"\nurl = {:?}\ntimeout_s = 5\n\
             policy = {{ retry = {{ initial_s = 1, factor = 1.0, max_s = 1 }} }}\n",
            ops.url()
        );
        let (tree, _) = sandclock_server::document::parse_toml(&text).unwrap();
        let line = Arc::new(Line {
            store: MemoryStore::new(),
            away: AtomicBool::new(false),
            slow: AtomicBool::new(false),
            told: AtomicU32::new(0),
        });
        let job = JobName::existing("job");
        let run = RunId::of(&job, &RunKey::Tick(Timestamp::from_millis(0)));
        let draft = AlertDraft {
            plugin: "pager".to_owned(),
            index: 0,
            target: "ops".to_owned(),
            dedupe_key: None,
            content_type: "text/plain".to_owned(),
            headers: Vec::new(),
            body: Bytes::from_static(b"failed"),
        };
        let alert = Alert::new(run, job, draft, Timestamp::from_millis(0));
        line.put(&[alert]).await.unwrap();
        Self {
            line,
            ops,
            section: sandclock_server::document::read(&tree).unwrap(),
            mutant,
        }
    }

    /// A server, until it is aborted, as with SIGKILL.
    fn server(&self) -> tokio::task::JoinHandle<()> {
        self.delivery(Default::default(), std::future::pending())
    }

    /// A delivery of a server that has done and tried this so far.
    fn delivery(
        &self,
        so_far: (Figures, Tried),
        closing: impl Future<Output = ()> + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        let outbox: Arc<dyn AlertOutbox> = Arc::<Line>::clone(&self.line);
        let mut delivery = Delivery::new(outbox, &self.section, so_far).unwrap();
        if let Some(mutant) = self.mutant {
            delivery = delivery.with_mutant(mutant);
        }
        tokio::spawn(async move { delivery.run(closing).await })
    }

    async fn is_delivered(&self) {
        wait_for("the alert is delivered", PATIENCE, async || {
            let delivered = Some(AlertState::Delivered);
            let page = AlertOutbox::list(&*self.line.store, delivered, None, 1).await;
            !page.unwrap().items.is_empty()
        })
        .await;
    }
}

/// A server that dies while the receiver has the alert: another one sends it, under the same key.
async fn survives_a_kill(mutant: Option<Mutant>) {
    let scene = Scene::new(mutant).await;
    scene.ops.set(Mode::Hold);
    let first = scene.server();
    scene.ops.hears(1).await;
    first.abort();
    let _ = first.await;
    let claims = AlertOutbox::list(&*scene.line.store, Some(AlertState::Pending), None, 1).await;
    assert_eq!(
        claims.unwrap().items.len(),
        1,
        "nobody knows whether it arrived"
    );
    scene.ops.set(Mode::Take);
    let second = scene.server();
    scene.is_delivered().await;
    let heard = scene.ops.heard();
    assert!(heard.len() >= 2, "it was sent again");
    let keys: std::collections::BTreeSet<_> = heard.iter().map(|heard| heard.key()).collect();
    assert_eq!(keys.len(), 1, "{keys:?}");
    second.abort();
}

/// An outbox that is away for longer than claims hold, after the alert has arrived.
async fn is_sent_once_across_an_outage(mutant: Option<Mutant>) {
    let scene = Scene::new(mutant).await;
    scene.ops.set(Mode::Hold);
    let server = scene.server();
    scene.ops.hears(1).await;
    scene.line.away.store(true, Ordering::Relaxed);
    scene.ops.set(Mode::Take);
    let taken = tokio::time::Instant::now();
    let over = async || taken.elapsed() > Duration::from_secs(11);
    wait_for("the claim is over", PATIENCE, over).await;
    scene.line.away.store(false, Ordering::Relaxed);
    scene.is_delivered().await;
    assert_eq!(scene.ops.heard().len(), 1);
    server.abort();
}

/// The same, while another configuration is read.
async fn is_sent_once_across_a_reload(mutant: Option<Mutant>) {
    let scene = Scene::new(mutant).await;
    let so_far = (Figures::default(), Tried::default());
    scene.ops.set(Mode::Hold);
    let (close, closing) = tokio::sync::oneshot::channel::<()>();
    let closing = async { closing.await.unwrap() };
    let first = scene.delivery(so_far.clone(), closing);
    scene.ops.hears(1).await;
    scene.line.away.store(true, Ordering::Relaxed);
    scene.ops.set(Mode::Take);
    close.send(()).unwrap();
    let second = scene.delivery(so_far, std::future::pending());
    // It has given up to tell the outbox.
    first.await.unwrap();
    let ended = tokio::time::Instant::now();
    let over = async || ended.elapsed() > Duration::from_secs(11);
    wait_for("the claim is over", PATIENCE, over).await;
    scene.line.away.store(false, Ordering::Relaxed);
    scene.is_delivered().await;
    assert_eq!(scene.ops.heard().len(), 1);
    second.abort();
}

/// A claim that is almost over when it is told of: another server could have the alert while it is on its way.
async fn nothing_is_sent_late(mutant: Option<Mutant>) {
    let scene = Scene::new(mutant).await;
    scene.line.slow.store(true, Ordering::Relaxed);
    let server = scene.server();
    let told =
        async || scene.line.told.load(Ordering::Relaxed) > 1 || !scene.ops.heard().is_empty();
    wait_for(
        "the outbox has told of a claim, and of the next",
        PATIENCE,
        told,
    )
    .await;
    assert_eq!(scene.ops.heard().len(), 0, "sent when it was late");
    scene.line.slow.store(false, Ordering::Relaxed);
    scene.is_delivered().await;
    server.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn delivery_keeps_its_promises() {
    tokio::join!(
        survives_a_kill(None),
        is_sent_once_across_an_outage(None),
        is_sent_once_across_a_reload(None),
        nothing_is_sent_late(None),
    );
}

async fn is_caught(mutant: Mutant, test: impl Future<Output = ()>) {
    let outcome = AssertUnwindSafe(test).catch_unwind().await;
    assert!(outcome.is_err(), "{mutant:?} was not caught");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_is_recorded_before_it_is_sent_is_caught() {
    let mutant = Mutant::MarkedFirst;
    is_caught(mutant, survives_a_kill(Some(mutant))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_changes_is_caught() {
    let mutant = Mutant::NewKey;
    is_caught(mutant, survives_a_kill(Some(mutant))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forgotten_in_an_outage_is_caught() {
    let mutant = Mutant::Forgotten;
    is_caught(mutant, is_sent_once_across_an_outage(Some(mutant))).await;
    is_caught(mutant, is_sent_once_across_a_reload(Some(mutant))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_send_is_caught() {
    let mutant = Mutant::LateSend;
    is_caught(mutant, nothing_is_sent_late(Some(mutant))).await;
}
