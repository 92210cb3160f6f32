//! What the Go fleet got wrong, each named by its number in the list of its weaknesses: a worker of ours in its place,
//! started with its file, for jobs that a Go master saved, seen from etcd, MongoDB, the host and the jobs themselves.

mod clocks;
mod fleet;
mod outages;
mod runs;
mod ticks;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::product::{Product, wait_for};
use crate::stores::{Evidence, Stores};

/// No state that a test waits for may take longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// Every second, in the fleet's dialect.
const EACH_SECOND: &str = "* * * * * * *";

/// Saves a job that says its fire time and its worker every second.
async fn each_second(stores: &Stores, name: &str) -> Evidence {
    let evidence = Evidence::new();
    let command = evidence.says("$SANDCLOCK_FIRE_TIME $SANDCLOCK_WORKER");
    stores.save(name, &command, EACH_SECOND).await;
    evidence
}

/// Waits until a job has said so many lines more.
pub(crate) async fn goes_on(evidence: &Evidence, more: usize) {
    let before = evidence.lines().len();
    wait_for("it goes on", PATIENCE, async || {
        evidence.lines().len() >= before + more
    })
    .await;
}

/// No fire time stands in the evidence twice.
pub(crate) fn assert_once(evidence: &Evidence) {
    let pairs = evidence.pairs();
    let distinct: BTreeSet<_> = pairs.iter().map(|(at, _)| at).collect();
    assert_eq!(distinct.len(), pairs.len(), "a fire time twice: {pairs:?}");
}

/// The ticks of a job that its records speak of, as seconds since 1970.
async fn recorded(server: &Product, job: &str) -> BTreeSet<i64> {
    let at = |value: &serde_json::Value| {
        let at = sandclock_core::Timestamp::parse(value.as_str().unwrap()).unwrap();
        at.as_millis() / 1000
    };
    let mut all = BTreeSet::new();
    for run in server.runs(&format!("job={job}")).await {
        match run.get("ticks") {
            Some(span) => all.extend(at(&span["first"])..=at(&span["last"])),
            None => all.extend([at(&run["fire_time"])]),
        }
    }
    all
}

/// Waits until every second between a job's first and last record has one.
pub(crate) async fn assert_accounted(server: &Product, job: &str) {
    wait_for("no tick is without a record", PATIENCE, async || {
        let all = recorded(server, job).await;
        let (Some(first), Some(last)) = (all.first(), all.last()) else {
            return false;
        };
        usize::try_from(last - first + 1).unwrap() == all.len()
    })
    .await;
}
