//! The run log: whether it answers and takes writes, its indexes, and what its clock shows beside ours.

use sandclock_core::fleet::CLOCK_TOLERANCE_MS;

use super::Check;
use crate::config::MongodbSection;
use crate::wire::checkup::{self, Flaw, FlawKind, MongoCheckup};

/// The check.
pub(super) const NAME: &str = "MongoDB";

/// The check of indexes.
const INDEXES: &str = "MongoDB indexes";

/// The check of clocks.
const CLOCK: &str = "clock";

/// Asks it.
pub(super) async fn examine(section: &MongodbSection) -> Vec<Check> {
    match checkup::run_log(section).await {
        Ok(said) => vec![
            judge(&said),
            judge_indexes(&said),
            judge_clock(said.clock_ms, said.asked_ms),
        ],
        Err(refused) => {
            let mut remedy = refused.remedy;
            if remedy.is_empty() {
                "check that it runs and can be reached from here, and run_log.uri"
                    .clone_into(&mut remedy);
            }
            vec![Check::failed(NAME, refused.said, remedy)]
        }
    }
}

fn judge(said: &MongoCheckup) -> Check {
    let place = match &said.replica_set {
        Some(name) => format!("replica set {name}"),
        None => "a single server".to_owned(),
    };
    let version = &said.version;
    let finding = format!("version {version}, {place}; a majority takes writes");
    Check::ok(NAME, finding)
}

fn judge_indexes(said: &MongoCheckup) -> Check {
    let names = |kind: FlawKind| {
        let those = said.flaws.iter().filter(|flaw| flaw.what == kind);
        those.map(Flaw::to_string).collect::<Vec<_>>().join("; ")
    };
    let [expires, not_unique, missing] =
        [FlawKind::Expires, FlawKind::NotUnique, FlawKind::Missing].map(names);
    if !expires.is_empty() {
        let finding = format!("an index of somebody else deletes records by itself: {expires}");
        let remedy =
            "drop it (db.COLLECTION.dropIndex); [retention] says how long records are kept";
        return Check::failed(INDEXES, finding, remedy);
    }
    if said.is_new {
        return Check::ok(INDEXES, "none yet; the first server or worker makes them");
    }
    if !not_unique.is_empty() {
        let finding = format!("no unique index keeps doubles out: {not_unique}");
        let remedy = "drop one on the same keys that is not unique, if there is one, and restart a server or a worker, \
                      which makes it";
        return Check::failed(INDEXES, finding, remedy);
    }
    match missing.is_empty() {
        true => Check::ok(INDEXES, "all are there"),
        false => {
            let finding = format!("missing, so that lists are slow: {missing}");
            let remedy =
                "restart a server or a worker, which makes them; in a large log that takes a while";
            Check::warning(INDEXES, finding, remedy)
        }
    }
}

/// Between `before` and `after` by our clock the other one showed `shown`. Unix milliseconds, all of them.
fn judge_clock(shown: i64, (before, after): (i64, i64)) -> Check {
    // What the way there and back can explain is no difference.
    let off = (before - shown).max(shown - after).max(0);
    if off <= CLOCK_TOLERANCE_MS {
        let finding = format!("within {CLOCK_TOLERANCE_MS} ms of MongoDB's");
        return Check::ok(CLOCK, finding);
    }
    let which = if shown < before { "ahead of" } else { "behind" };
    let finding = format!("{off} ms {which} MongoDB's");
    let remedy = "set both by NTP (chronyc tracking, timedatectl): workers further than 2 s from the others take no \
                  ticks";
    Check::warning(CLOCK, finding, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn a_clock_is_judged_by_what_the_way_cannot_explain() {
        let state = |shown, before, after| judge_clock(shown, (before, after)).state;
        assert_eq!(state(10_000, 9_000, 11_000), State::Ok);
        assert_eq!(state(10_000, 12_000, 13_000), State::Ok);
        assert_eq!(state(10_000, 12_001, 13_000), State::Warning);
        assert_eq!(state(10_000, 6_000, 7_999), State::Warning);
        assert!(judge_clock(0, (9_000, 9_001)).finding.contains("ahead"));
        assert!(judge_clock(9_000, (0, 1)).finding.contains("behind"));
    }

    #[test]
    fn indexes_are_judged_by_what_they_are_for() {
        let state = |is_new, what: Option<FlawKind>| {
            let flaw = |what| Flaw {
                collection: "log".to_owned(),
                keys: "a".to_owned(),
                what,
            };
            let said = MongoCheckup {
                version: "7".to_owned(),
                replica_set: None,
                clock_ms: 0,
                asked_ms: (0, 0),
                is_new,
                flaws: what.map(flaw).into_iter().collect(),
            };
            judge_indexes(&said).state
        };
        assert_eq!(state(false, None), State::Ok);
        assert_eq!(state(true, Some(FlawKind::NotUnique)), State::Ok);
        assert_eq!(state(false, Some(FlawKind::Missing)), State::Warning);
        assert_eq!(state(false, Some(FlawKind::NotUnique)), State::Failed);
        assert_eq!(state(true, Some(FlawKind::Expires)), State::Failed);
    }
}
