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
