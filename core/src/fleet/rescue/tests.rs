//! What a worker does about records that somebody left, case by case.

use super::*;
use crate::backend::{BrokenJob, Version};
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
