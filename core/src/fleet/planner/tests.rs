//! The planner against a model that walks every tick: none lost, none invented, none decided twice.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::backend::{Nonce, OpenRecord, OpenState, Pinned, SessionId, StoredJob, Version};
use crate::job::{JobName, ScheduleSpec};
use crate::policy::{Misfire, Streak};
use crate::random::SplitMix64;
use crate::run::RunKey;

const T0: i64 = 1_800_000_000_000;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(T0 + ms)
}

fn entry(expr: &str, change: impl FnOnce(&mut Job)) -> Entry {
    let mut job = Job::shell(JobName::parse("job").unwrap(), "true");
    job.schedule = Some(ScheduleSpec::utc(expr));
    job.schedule_since = Some(at(0));
    change(&mut job);
    let stored = StoredJob {
        job: Arc::new(job),
        version: Version(1),
        created: Version(1),
    };
    Entry::new(stored, None)
}

fn mark(entry: &Entry, ms: i64) -> Versioned<Mark> {
    Versioned {
        version: Version(1),
        value: Mark {
            at: at(ms),
            generation: entry.generation,
            streak: Streak::default(),
        },
    }
}

fn busy(entry: &Entry, since: i64, until: Option<i64>) -> JobRecords {
    let mut records = JobRecords {
        busy: Some(Busy {
            since: at(since),
            until: until.map(at),
        }),
        ..JobRecords::default()
    };
    let key = RunKey::Tick(at(since - since.rem_euclid(1000)));
    let open = OpenRecord {
        job: entry.stored.job.name.clone(),
        key: key.clone(),
        state: OpenState::Claimed {
            session: SessionId("s".to_owned()),
            worker: "w".to_owned(),
            nonce: Nonce(1),
        },
        attempt: 1,
        reruns: 0,
        pinned: Pinned {
            job: Arc::clone(&entry.stored.job),
            version: Version(1),
        },
        cause: String::new(),
    };
    if until.is_none() {
        records.open.insert(
            key,
            Versioned {
                version: Version(2),
                value: open,
            },
        );
    }
    records
}

fn step(entry: &Entry, mark_ms: i64, now_ms: i64, records: Option<&JobRecords>) -> Step {
    plan(Sight {
        entry,
        mark: Some(&mark(entry, mark_ms)),
        records,
        zone_before: None,
        now: at(now_ms),
    })
}

/// What a decision says, in short: the range passed over, the tick, and `run` or the state recorded.
fn brief(step: &Step) -> String {
    let ms = |at: Timestamp| at.as_millis() - T0;
    match step {
        Step::Wait(until) => format!("wait {:?}", until.map(ms)),
        Step::Adopt(plan) => {
            let owed = plan.owed.as_ref().map(|(span, _)| span.count);
            format!("adopt {} owed {owed:?}", ms(plan.to))
        }
        Step::Decide(plan) => {
            let passed = plan
                .passed
                .as_ref()
                .map_or(String::new(), |(span, outcome)| {
                    let (first, last) = (ms(span.first), ms(span.last));
                    format!(
                        "{first}..{last} ({}) {}, ",
                        span.count,
                        outcome.state.as_str()
                    )
                });
            let fate = match &plan.fate {
                DecideFate::Run { .. } => "run",
                DecideFate::Record(outcome) => outcome.state.as_str(),
            };
            format!("{passed}{} {fate}", ms(plan.fire))
        }
    }
}

#[test]
fn ticks_on_time_run_singly_and_in_order() {
    let entry = entry("@every 10s", |_| {});
    assert_eq!(brief(&step(&entry, 0, 9999, None)), "wait Some(10000)");
    assert_eq!(brief(&step(&entry, 0, 10_000, None)), "10000 run");
    assert_eq!(brief(&step(&entry, 0, 40_000, None)), "10000 run");
    assert_eq!(brief(&step(&entry, 10_000, 40_000, None)), "20000 run");
}

#[test]
fn late_ticks_follow_the_misfire_policy() {
    let late = |policy, deadline_s| {
        let entry = entry("@every 10s", |job| {
            job.misfire = Misfire {
                policy,
                deadline: Duration::from_secs(deadline_s),
            };
        });
        brief(&step(&entry, 0, 100_000, None))
    };
    assert_eq!(
        late(MisfirePolicy::Skip, 3600),
        "10000..50000 (5) missed, 60000 missed"
    );
    assert_eq!(
        late(MisfirePolicy::Once, 3600),
        "10000..50000 (5) missed, 60000 run"
    );
    assert_eq!(
        late(MisfirePolicy::Once, 35),
        "10000..50000 (5) missed, 60000 missed"
    );
    let all = |max| MisfirePolicy::All { max };
    assert_eq!(late(all(100), 3600), "10000 run");
    assert_eq!(late(all(2), 3600), "10000..40000 (4) missed, 50000 run");
    assert_eq!(late(all(100), 61), "10000..30000 (3) missed, 40000 run");
    assert_eq!(late(all(100), 31), "10000..50000 (5) missed, 60000 missed");
}

/// The causes of a decision: of the range passed over, and of the tick if it is recorded.
fn causes(step: &Step) -> (Option<&str>, Option<&str>) {
    let Step::Decide(plan) = step else {
        panic!("{step:?}");
    };
    let passed = plan.passed.as_ref();
    let fate = match &plan.fate {
        DecideFate::Run { .. } => None,
        DecideFate::Record(outcome) => Some(outcome.cause.as_str()),
    };
    (passed.map(|(_, outcome)| outcome.cause.as_str()), fate)
}

#[test]
fn a_missed_tick_is_told_why_it_was_missed() {
    let late = |policy, deadline_s, mark_ms| {
        let entry = entry("@every 10s", |job| {
            job.misfire = Misfire {
                policy,
                deadline: Duration::from_secs(deadline_s),
            };
        });
        step(&entry, mark_ms, 100_000, None)
    };
    let all = |max| MisfirePolicy::All { max };
    let dead = Some("it could not start within its deadline of 61 s");
    let many = Some("more ticks were late than the 2 that run");
    // 10, 20 and 30 s are past the deadline; of 40, 50 and 60 s only two may run.
    let first = late(all(2), 61, 0);
    assert_eq!(brief(&first), "10000..20000 (2) missed, 30000 missed");
    assert_eq!(causes(&first), (dead, dead));
    let second = late(all(2), 61, 30_000);
    assert_eq!(brief(&second), "40000..40000 (1) missed, 50000 run");
    assert_eq!(causes(&second), (many, None));
    // Either alone takes one step.
    let only_dead = late(all(3), 61, 0);
    assert_eq!(brief(&only_dead), "10000..30000 (3) missed, 40000 run");
    assert_eq!(causes(&only_dead), (dead, None));
    assert_eq!(
        causes(&late(MisfirePolicy::Once, 61, 60_000 - 20_000)),
        (
            Some("only the newest of the late ticks counts, that of 2027-01-15T08:01:00Z"),
            None,
        )
    );
    let skipped = Some("it was more than 30 s late, and late ticks of the job are skipped");
    assert_eq!(
        causes(&late(MisfirePolicy::Skip, 61, 0)),
        (skipped, skipped)
    );
}

#[test]
fn a_catch_up_run_is_as_good_a_reason_to_skip_as_any_other() {
    let misfire = |policy| Misfire {
        policy,
        deadline: Duration::from_secs(3600),
    };
    for policy in [MisfirePolicy::Once, MisfirePolicy::All { max: 9 }] {
        let entry = entry("@every 10s", |job| job.misfire = misfire(policy));
        // The late tick of 60 s runs since 100 s; 70 s and later are on time, and the job forbids.
        let running = busy(&entry, 100_000, None);
        let Step::Decide(plan) = step(&entry, 60_000, 100_000, Some(&running)) else {
            panic!("{policy:?}");
        };
        let DecideFate::Run { busy, .. } = &plan.fate else {
            panic!("{plan:?}");
        };
        assert_eq!((plan.fire, &plan.passed), (at(70_000), &None));
        assert_eq!(busy.state, RunState::Skipped);
        // Late ticks of `all` run one by one: they wait for it.
        let later = step(&entry, 50_000, 100_000, Some(&running));
        match policy {
            MisfirePolicy::All { .. } => assert_eq!(later, Step::Wait(None)),
            _ => assert_eq!(brief(&later), "60000 run"),
        }
    }
}

#[test]
fn a_year_of_missed_seconds_is_two_records() {
    let entry = entry("@every 1s", |_| {});
    let year = 365 * 24 * 3_600_000;
    let plan = brief(&step(&entry, 0, year, None));
    assert_eq!(plan, "1000..31535968000 (31535968) missed, 31535969000 run");
}

#[test]
fn a_busy_job_collects_its_skips() {
    let entry = entry("@every 1s", |_| {});
    let running = busy(&entry, 1050, None);
    // The first tick that meets the run is recorded at once.
    assert_eq!(brief(&step(&entry, 1000, 2000, Some(&running))), "2000 run");
    assert_eq!(
        brief(&step(&entry, 2000, 3000, Some(&running))),
        "wait Some(13000)"
    );
    assert_eq!(
        brief(&step(&entry, 2000, 13_000, Some(&running))),
        "3000..12000 (10) skipped, 13000 run"
    );
    // It ended at 7.7 s: what was due by then met it, what is due now runs.
    let ended = busy(&entry, 1050, Some(7700));
    assert_eq!(
        brief(&step(&entry, 2000, 8000, Some(&ended))),
        "3000..6000 (4) skipped, 7000 skipped"
    );
    assert_eq!(brief(&step(&entry, 7000, 8000, Some(&ended))), "8000 run");
}

#[test]
fn only_late_ticks_that_all_run_keep_their_turn() {
    for (policy, now_ms, keeps) in [
        (MisfirePolicy::All { max: 9 }, 60_000, true),
        (MisfirePolicy::All { max: 9 }, 40_000, false),
        (MisfirePolicy::Once, 60_000, false),
    ] {
        let entry = entry("@every 10s", |job| job.misfire.policy = policy);
        let Step::Decide(plan) = step(&entry, 0, now_ms, None) else {
            panic!("{policy:?}: a tick is due");
        };
        let DecideFate::Run { in_turn, .. } = plan.fate else {
            panic!("{policy:?}: it runs");
        };
        assert_eq!(in_turn, keeps, "{policy:?} at {now_ms}");
    }
}

#[test]
fn adoption_starts_at_the_change_and_never_ahead_of_the_clock() {
    let entry = entry("@every 10s", |job| job.schedule_since = Some(at(50_000)));
    let adopt = |now_ms| {
        brief(&plan(Sight {
            entry: &entry,
            mark: None,
            records: None,
            zone_before: None,
            now: at(now_ms),
        }))
    };
    assert_eq!(adopt(90_000), "adopt 50000 owed None");
    assert_eq!(adopt(49_000), "wait Some(50000)");
    assert_eq!(adopt(10_000), "adopt 10000 owed None");
}

#[test]
fn what_the_old_definition_owed_is_given_up_in_one_record() {
    let old = entry("@every 10s", |_| {});
    let mut job = Job::clone(&old.stored.job);
    job.enabled = false;
    job.schedule_since = Some(at(45_000));
    let stored = StoredJob {
        job: Arc::new(job),
        version: Version(2),
        created: Version(1),
    };
    let new = Entry::new(stored, Some(&old));
    let mark = mark(&old, 10_000);
    let sight = Sight {
        entry: &new,
        mark: Some(&mark),
        records: None,
        zone_before: None,
        now: at(60_000),
    };
    assert_eq!(brief(&plan(sight)), "adopt 45000 owed Some(3)");
}

#[test]
fn what_another_zone_owed_is_given_up_in_one_record() {
    // As a Go master saves them: without a zone of its own, and without a word of when.
    let daily = |zone: &str| {
        entry("0 2 * * *", |job| {
            job.schedule_since = None;
            job.schedule.as_mut().unwrap().time_zone = zone.to_owned();
        })
    };
    let (old, new) = (daily("Asia/Tokyo"), daily("UTC"));
    let day = 24 * 3_600_000;
    let mark = mark(&old, 0);
    let owed = |zone_before| {
        brief(&plan(Sight {
            entry: &new,
            mark: Some(&mark),
            records: None,
            zone_before,
            now: at(3 * day),
        }))
    };
    assert_eq!(
        owed(Some("Asia/Tokyo")),
        format!("adopt {} owed Some(3)", 3 * day)
    );
    assert_eq!(
        owed(Some("Europe/Paris")),
        format!("adopt {} owed None", 3 * day)
    );
    assert_eq!(owed(None), format!("adopt {} owed None", 3 * day));
}

/// The ticks that a decision is about: those it passes over and its own.
fn ticks_of(plan: &DecidePlan, table: &Timetable) -> Vec<Timestamp> {
    let passed = plan.passed.as_ref().map(|(span, _)| {
        let after = Timestamp::from_millis(span.first.as_millis() - 1);
        let ticks: Vec<Timestamp> = table.fire_times(after, span.last).collect();
        assert_eq!(ticks.first(), Some(&span.first));
        assert_eq!(ticks.last(), Some(&span.last));
        assert_eq!(ticks.len() as u64, span.count);
        ticks
    });
    let mut ticks = passed.unwrap_or_default();
    ticks.push(plan.fire);
    ticks
}

#[test]
fn no_tick_is_lost_invented_or_decided_twice() {
    for seed in 0..300 {
        let dice = SplitMix64::new(seed);
        let policies = [
            MisfirePolicy::Skip,
            MisfirePolicy::Once,
            MisfirePolicy::All { max: 3 },
        ];
        let concurrency = [
            ConcurrencyPolicy::Forbid,
            ConcurrencyPolicy::Allow,
            ConcurrencyPolicy::Queue,
            ConcurrencyPolicy::Replace,
        ];
        let exprs = ["@every 1s", "@every 7s", "*/20 * * * * * *", "* * * * *"];
        let pick = |n| usize::try_from(dice.below(n)).unwrap();
        let entry = entry(exprs[pick(4)], |job| {
            job.misfire.policy = policies[pick(3)];
            job.misfire.deadline = Duration::from_secs(dice.between(20, 300));
            job.concurrency = concurrency[pick(4)];
        });
        let table = entry.timing.table().unwrap();
        let mut now = 0;
        let mut mark_at = at(0);
        let mut decided = BTreeSet::new();
        for _ in 0..60 {
            now += i64::try_from(dice.between(100, 60_000)).unwrap();
            let since = now - i64::try_from(dice.below(20_000)).unwrap();
            let records = match dice.below(3) {
                0 => busy(&entry, since, None),
                1 => busy(&entry, since, Some(now - 10)),
                _ => JobRecords::default(),
            };
            for _ in 0..dice.between(1, 40) {
                let mark_ms = mark_at.as_millis() - T0;
                let Step::Decide(plan) = step(&entry, mark_ms, now, Some(&records)) else {
                    break;
                };
                let ticks = ticks_of(&plan, table);
                let due: Vec<Timestamp> = table.fire_times(mark_at, plan.fire).collect();
                assert_eq!(ticks, due, "seed {seed} at {now}");
                assert!(
                    plan.fire <= at(now),
                    "seed {seed}: {} is not due",
                    plan.fire
                );
                decided.extend(ticks);
                mark_at = plan.fire;
            }
        }
        let all: BTreeSet<Timestamp> = table.fire_times(at(0), mark_at).collect();
        assert_eq!(decided, all, "seed {seed}");
    }
}
