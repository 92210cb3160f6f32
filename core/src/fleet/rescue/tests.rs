//! What a worker does about records that somebody left, case by case.

use super::*;
use crate::backend::{BrokenJob, StoredJob, Version};
use crate::job::Job;
use crate::run::backfill_id;
use std::sync::Arc;
use tokio::time::Instant;

/// A worker that has seen nothing.
struct Fresh;

impl Knowledge for Fresh {
    fn gone_for(&self, _: &SessionId) -> Option<Duration> {
        None
    }

    fn is_orphan(&self, _: &OpenRecord) -> bool {
        false
    }

    fn kill(&self, _: &RunId) -> Option<&Kill> {
        None
    }

    fn is_pending(&self, _: &RunKey) -> bool {
        false
    }

    fn me(&self) -> &'static str {
        "worker"
    }

    fn dice(&self) -> f64 {
        0.0
    }
}

/// The steps about a tick that has waited since version 5.
fn steps(definition: Definition<'_>) -> Vec<Rescue> {
    let job = JobName::existing("job");
    let key = RunKey::Tick(Timestamp::default());
    let wait = Versioned {
        version: Version(5),
        value: WaitRecord {
            job: job.clone(),
            key: key.clone(),
            cause: String::new(),
        },
    };
    let mut records = JobRecords::default();
    records.wait.insert(key, wait);
    let now = Now {
        mono: Instant::now(),
        wall: Timestamp::default(),
    };
    plan(&job, definition, &records, now, &Fresh).steps
}

#[test]
fn what_waits_for_a_broken_job_waits_for_its_repair() {
    let mut broken = BrokenJob {
        name: JobName::existing("job"),
        version: Version(6),
        created: Version(1),
        reason: "it is malformed".to_owned(),
        newer: false,
    };
    assert_eq!(steps(Definition::Broken(&broken)), []);
    broken.created = Version(6);
    let of_another_life = steps(Definition::Broken(&broken));
    for dropped in [of_another_life, steps(Definition::Gone)] {
        assert!(
            matches!(
                &dropped[..],
                [Rescue::Settle {
                    how: SettleAs::Drop { .. },
                    ..
                }]
            ),
            "{dropped:?}"
        );
    }
}

/// Which of these is taken first, for a job that has one run at a time. They have waited in this order.
fn first_of(waiting: &[RunKey]) -> Option<RunKey> {
    let name = JobName::existing("job");
    let stored = StoredJob {
        job: Arc::new(Job::shell(name.clone(), "true")),
        version: Version(1),
        created: Version(1),
    };
    let entry = Entry::new(stored, None);
    let mut records = JobRecords::default();
    for (version, key) in (2..).zip(waiting) {
        let wait = Versioned {
            version: Version(version),
            value: WaitRecord {
                job: name.clone(),
                key: key.clone(),
                cause: String::new(),
            },
        };
        records.wait.insert(key.clone(), wait);
    }
    let now = Now {
        mono: Instant::now(),
        wall: Timestamp::default(),
    };
    let steps = plan(&name, Definition::Known(&entry), &records, now, &Fresh).steps;
    assert!(matches!(&steps[..], [Rescue::Take { .. }]), "{steps:?}");
    steps.first()?.key().cloned()
}

#[test]
fn what_makes_up_for_the_past_waits_for_all_else_and_begins_with_the_earliest() {
    let at = Timestamp::from_millis;
    let made_up = |ms| RunKey::Request(backfill_id(at(ms)));
    let by_hand = RunKey::Request("by-hand".to_owned());
    let waiting = [
        made_up(9_000),
        made_up(2_000),
        by_hand.clone(),
        RunKey::Tick(at(20_000)),
    ];
    let first = |most: usize| first_of(&waiting[..most]).unwrap();
    assert_eq!(first(1), made_up(9_000));
    assert_eq!(first(2), made_up(2_000));
    assert_eq!(first(3), by_hand);
    assert_eq!(first(4), RunKey::Tick(at(20_000)));
}
