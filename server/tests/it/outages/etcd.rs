//! etcd away for 30 seconds: dead and started again on its data, or frozen, so that every lease is over when it is
//! back.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandclock_testkit::services::{Mongo, OwnEtcd};
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use super::{ETCD, Form, PATIENCE, asked, is_away, is_there, workers};
use crate::product::{Product, wait_for};
use crate::stores::{Evidence, Stores};
use crate::weaknesses::{assert_accounted, assert_once, goes_on};

/// How long etcd is away.
const AWAY: Duration = Duration::from_secs(30);

/// How it is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outage {
    /// Its process is dead. A new one gives every lease its whole life again.
    Dead,
    /// Its process stands still, and so do connections. Leases are over when it goes on.
    Frozen,
}

impl Outage {
    fn begin(self, etcd: &mut OwnEtcd) {
        match self {
            Self::Dead => etcd.kill(),
            Self::Frozen => kill(Pid::from_raw(etcd.pid()), Signal::SIGSTOP).unwrap(),
        }
    }

    fn end(self, etcd: &mut OwnEtcd) {
        match self {
            Self::Dead => etcd.start_again(),
            Self::Frozen => kill(Pid::from_raw(etcd.pid()), Signal::SIGCONT).unwrap(),
        }
    }
}

/// For how long the run may go on without contact. The default is 30, of which the long form shows that it suffices;
/// here the machine may be busy with other tests.
fn lost_after_s() -> u64 {
    asked("SANDCLOCK_OUTAGE_LOST_AFTER_S", 60)
}

/// A run that begins before an outage and ends when it is let.
struct Long {
    evidence: Evidence,
    run: String,
}

impl Long {
    async fn start(server: &Product, name: &str) -> Self {
        let evidence = Evidence::new();
        let says = |word: &str| evidence.says(&format!("$SANDCLOCK_ATTEMPT {word}"));
        let (begun, cut, ended) = (says("begun"), says("cut"), says("ended"));
        let release = evidence.file().with_extension("release");
        let command = format!(
            "trap '{cut}; exit 1' TERM; {begun}; until test -e {}; do sleep 0.1; done; {ended}",
            release.display()
        );
        let job = json!({ "command": command, "lost_after_s": lost_after_s() });
        server.put_job(name, &job).await;
        let run = server.start_run(name).await;
        let long = Self { evidence, run };
        wait_for("it runs", PATIENCE, async || {
            long.evidence.lines() == ["1 begun"]
        })
        .await;
        long
    }

    /// Lets it end, and asserts that it has gone on all the time.
    async fn let_end(&self) {
        assert_eq!(self.evidence.lines(), ["1 begun"]);
        std::fs::write(self.evidence.file().with_extension("release"), "").unwrap();
        wait_for("it ends", PATIENCE, async || {
            self.evidence.lines() == ["1 begun", "1 ended"]
        })
        .await;
    }

    /// Asserts that its record says how it ended.
    async fn ended_well(&self, server: &Product) {
        let end = server.ended(&self.run).await;
        assert_eq!(
            (&end["state"], &end["attempt"]),
            (&json!("succeeded"), &json!(1)),
            "{end}"
        );
        assert_eq!(self.evidence.lines(), ["1 begun", "1 ended"]);
    }
}

pub(super) async fn is_away_for_30_s<const N: usize>(how: Outage, forms: [Form; N]) {
    let mut etcd = OwnEtcd::start();
    let stores = Stores::of(etcd.address(), Mongo::replica_set().uri);
    let server = Product::server(&stores.toml());
    let workers = workers(&stores, forms);
    let ticking = Evidence::new();
    let command = ticking.says("$SANDCLOCK_FIRE_TIME $SANDCLOCK_WORKER");
    let job = json!({ "command": command, "schedule": "@every 1s" });
    server.put_job("ticking", &job).await;
    let long = Long::start(&server, "long").await;
    let meanwhile = Long::start(&server, "meanwhile").await;
    goes_on(&ticking, 3).await;
    is_there(&server, &workers, ETCD).await;

    let began = Instant::now();
    how.begin(&mut etcd);
    is_away(&server, &workers, ETCD).await;
    meanwhile.let_end().await;
    sleep_until(began + AWAY).await;
    how.end(&mut etcd);

    is_there(&server, &workers, ETCD).await;
    goes_on(&ticking, 5).await;
    meanwhile.ended_well(&server).await;
    long.let_end().await;
    long.ended_well(&server).await;
    assert_once(&ticking);
    assert_accounted(&server, "ticking").await;
}

#[tokio::test]
async fn etcd_that_was_dead_for_30_s_has_ended_no_run() {
    is_away_for_30_s(Outage::Dead, [Form::Today; 3]).await;
}

#[tokio::test]
async fn etcd_that_was_frozen_for_30_s_has_ended_no_run() {
    is_away_for_30_s(Outage::Frozen, [Form::Today; 3]).await;
}
