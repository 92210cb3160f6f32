//! Who goes first: rendezvous hashing over the live workers.
//!
//! Every worker computes the same order for a given fire, so that usually exactly one asks the store
//! and the others find the mark moved. The order only saves work; safety never depends on it (A4).

use std::time::Duration;

use crate::backend::WorkerInfo;
use crate::job::JobName;
use crate::random::mix;
use crate::run::RunKey;

/// How long each rank waits for the one before it.
pub(super) const GRACE: Duration = Duration::from_millis(200);

/// Ranks beyond this wait no longer than it.
const LAST_RANK: u32 = 6;

/// How long the worker `me` leaves this fire to others: its place among those of `peers` that do not
/// pass their turn, by name, times the grace.
pub(super) fn grace<'a>(
    me: &str,
    peers: impl Iterator<Item = &'a WorkerInfo>,
    job: &JobName,
    key: &RunKey,
) -> Duration {
    let fire = fire_hash(job, key);
    let mine = (score(fire, me), me);
    let before = peers
        .filter(|peer| peer.name != me && !peer.passes_its_turn())
        .filter(|peer| (score(fire, &peer.name), peer.name.as_str()) > mine)
        .take(LAST_RANK as usize)
        .count();
    GRACE * u32::try_from(before).unwrap_or(LAST_RANK)
}

fn fire_hash(job: &JobName, key: &RunKey) -> u64 {
    let fire = match key {
        RunKey::Tick(at) => mix(at.as_millis().cast_unsigned()),
        RunKey::Request(id) => hash(1, id),
    };
    hash(fire, job.as_str())
}

fn score(fire: u64, worker: &str) -> u64 {
    hash(fire, worker)
}

fn hash(seed: u64, text: &str) -> u64 {
    mix(text.bytes().fold(seed, |n, byte| mix(n ^ u64::from(byte))))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::time::Timestamp;

    /// A worker that takes its turn.
    pub(in crate::fleet) fn worker(name: &str) -> WorkerInfo {
        WorkerInfo {
            name: name.to_owned(),
            host: String::new(),
            labels: std::collections::BTreeMap::default(),
            max_concurrent_runs: 4,
            running: 0,
            draining: false,
            clock_doubted: false,
            started_at: Timestamp::default(),
            wall_time: Timestamp::default(),
            version: String::new(),
            time_zone: None,
            zone_differs: false,
        }
    }

    #[test]
    fn workers_agree_on_the_order_and_share_the_work() {
        let fleet: Vec<WorkerInfo> = (0..5).map(|n| worker(&format!("worker-{n}"))).collect();
        let job = JobName::existing("job");
        let mut first = [0; 5];
        for tick in 0..1000 {
            let key = RunKey::Tick(Timestamp::from_millis(tick * 1000));
            let ranks = fleet
                .iter()
                .map(|me| grace(&me.name, fleet.iter(), &job, &key));
            let ranks: Vec<u128> = ranks.map(|wait| wait.as_millis() / 200).collect();
            let mut sorted = ranks.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4]);
            first[ranks.iter().position(|rank| *rank == 0).unwrap()] += 1;
        }
        assert!(
            first.iter().all(|count| (120..280).contains(count)),
            "{first:?}"
        );
    }

    #[test]
    fn who_passes_its_turn_counts_as_absent() {
        let mut fleet: Vec<WorkerInfo> = (0..4).map(|n| worker(&format!("worker-{n}"))).collect();
        fleet[0].draining = true;
        fleet[1].clock_doubted = true;
        fleet[3].zone_differs = true;
        let key = RunKey::Tick(Timestamp::default());
        let wait = grace("worker-2", fleet.iter(), &JobName::existing("job"), &key);
        assert_eq!(wait, Duration::ZERO);
    }
}
