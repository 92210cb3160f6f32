//! Waits and counts, with instants that the tests make up.

use std::sync::Arc;

use serde_json::json;

use super::gates::CONFIGS;
use super::*;
use crate::failure::Failure;
use crate::plugin::Hook;

const WITHIN: Duration = Duration::from_secs(300);
const HOOK: Hook = Hook::TimeoutPolicy;

fn stream() -> Breaker {
    Breaker::new(BreakerRule::default())
}

#[test]
fn waits_double_up_to_a_minute_and_a_success_resets_them() {
    let mut breaker = stream();
    let mut now = Instant::now();
    let mut waits = Vec::new();
    for _ in 0..8 {
        // Apart far enough for the breaker to stay closed.
        now += WITHIN;
        let again = breaker.failed(FailureCode::Trap, now).expect("closed");
        waits.push(again.duration_since(now).as_secs());
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    breaker.succeeded();
    now += WITHIN;
    assert_eq!(
        breaker.failed(FailureCode::Trap, now),
        Some(now + FIRST_WAIT)
    );
}

#[test]
fn five_failures_within_five_minutes_are_the_end() {
    let mut breaker = stream();
    let start = Instant::now();
    let minute = Duration::from_secs(60);
    for number in 0..4 {
        assert!(
            breaker
                .failed(FailureCode::Trap, start + minute * number)
                .is_some()
        );
        breaker.succeeded();
    }
    assert_eq!(breaker.failed(FailureCode::Trap, start + minute * 4), None);
    assert_eq!(
        breaker.failed(FailureCode::Trap, start + minute * 100),
        None
    );
}

#[test]
fn one_that_is_off_is_never_open() {
    let off = BreakerRule {
        enabled: false,
        ..BreakerRule::default()
    };
    let mut breaker = Breaker::new(off);
    let gates = Gates::new(&Arc::from("p"), off);
    let now = Instant::now();
    for _ in 0..100 {
        assert!(breaker.failed(FailureCode::Trap, now).is_some());
        fail(&gates, now);
    }
    assert_eq!(gates.open(HOOK), 0);
}

fn gates() -> Gates {
    Gates::new(&Arc::from("p"), BreakerRule::default())
}

fn trapped() -> Failure {
    Failure::new(FailureCode::Trap, "it trapped")
}

/// One call that is made and fails.
fn fail(gates: &Gates, now: Instant) {
    let pass = gates.admit(HOOK, &json!({}), now).expect("it is called");
    pass.ended(Some(&trapped()), now);
}

/// The instant from which one call is made, of gates that are open at `now`.
fn probed_at(gates: &Gates, now: Instant) -> Duration {
    let half = Duration::from_millis(500);
    let tries = (0..200).map(|times| half * times);
    let mut refused = tries.skip_while(|wait| gates.admit(HOOK, &json!({}), now + *wait).is_err());
    refused.next().expect("it is called at some time")
}

#[test]
fn a_hook_that_fails_too_often_is_probed_after_waits_that_double() {
    let gates = gates();
    let mut now = Instant::now();
    for _ in 0..4 {
        fail(&gates, now);
    }
    assert_eq!(gates.open(HOOK), 0);
    fail(&gates, now);
    assert_eq!(gates.open(HOOK), 1);
    let mut waits = Vec::new();
    for _ in 0..8 {
        let wait = probed_at(&gates, now);
        now += wait;
        fail(&gates, now);
        waits.push(wait.as_secs());
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    now += LONGEST_WAIT;
    let probe = gates.admit(HOOK, &json!({}), now).expect("a probe");
    let meanwhile = gates.admit(HOOK, &json!({}), now).expect_err("one only");
    assert_eq!(meanwhile.code, FailureCode::BreakerOpen);
    assert!(meanwhile.text.contains("roll back"), "{meanwhile}");
    probe.ended(None, now);
    assert_eq!(gates.open(HOOK), 0);
    for _ in 0..4 {
        fail(&gates, now);
    }
    assert_eq!(gates.open(HOOK), 0, "it begins anew");
}

#[test]
fn other_configurations_and_hooks_are_not_concerned() {
    let gates = gates();
    let now = Instant::now();
    for _ in 0..5 {
        fail(&gates, now);
    }
    assert!(gates.admit(HOOK, &json!({}), now).is_err());
    assert!(gates.admit(HOOK, &json!({ "factor": 2 }), now).is_ok());
    assert!(gates.admit(Hook::RunEnd, &json!({}), now).is_ok());
}

/// Failures that are not of the plugin's making, and answers that are errors.
#[test]
fn only_mistakes_of_the_plugin_count() {
    let gates = gates();
    let now = Instant::now();
    for code in FailureCode::ALL {
        let counts = matches!(
            code,
            FailureCode::Deadline
                | FailureCode::Memory
                | FailureCode::Stack
                | FailureCode::Panic
                | FailureCode::Trap
                | FailureCode::InvalidOutput
        );
        let config = json!({ "code": code.as_str() });
        for _ in 0..5 {
            let pass = gates.admit(HOOK, &config, now).expect("it is called");
            pass.ended(Some(&Failure::new(code, "")), now);
        }
        assert_eq!(gates.admit(HOOK, &config, now).is_err(), counts, "{code:?}");
    }
}

/// A probe that nobody hears of, or that the host could not make, is made again.
#[test]
fn a_probe_without_an_end_is_made_again() {
    let gates = gates();
    let mut now = Instant::now();
    for _ in 0..5 {
        fail(&gates, now);
    }
    now += FIRST_WAIT;
    drop(gates.admit(HOOK, &json!({}), now).expect("a probe"));
    let probe = gates.admit(HOOK, &json!({}), now).expect("another");
    probe.ended(Some(&Failure::new(FailureCode::Overloaded, "")), now);
    assert_eq!(gates.open(HOOK), 1);
    let probe = gates.admit(HOOK, &json!({}), now).expect("another");
    probe.ended(None, now);
    assert_eq!(gates.open(HOOK), 0);
}

/// What began before it opened says nothing about now.
#[test]
fn a_late_answer_changes_nothing() {
    let gates = gates();
    let now = Instant::now();
    let late = gates.admit(HOOK, &json!({}), now).expect("it is called");
    let later = gates.admit(HOOK, &json!({}), now).expect("it is called");
    for _ in 0..5 {
        fail(&gates, now);
    }
    late.ended(None, now);
    later.ended(Some(&trapped()), now);
    assert_eq!(gates.open(HOOK), 1);
    assert_eq!(probed_at(&gates, now), FIRST_WAIT);
}

/// One call with the configuration of this number, which fails; false if it is not made.
fn fails_with(gates: &Gates, number: u32, now: Instant) -> bool {
    let pass = gates.admit(HOOK, &json!({ "n": number }), now);
    pass.map(|pass| pass.ended(Some(&trapped()), now)).is_ok()
}

/// What is beyond them is not told apart, and nothing is forgotten for it: however many fail, no more calls are made than
/// of that many gates.
#[test]
fn configurations_are_bounded() {
    let gates = gates();
    let start = Instant::now();
    let mut made = 0;
    for round in 0..10_u32 {
        for number in 0..1000_u32 {
            let now = start + Duration::from_micros(u64::from(round * 1000 + number));
            made += usize::from(fails_with(&gates, number, now));
        }
    }
    assert_eq!(gates.known(), CONFIGS + 1);
    assert_eq!(made, 5 * (CONFIGS + 1));
    assert_eq!(gates.open(HOOK), 65, "all of them are left alone");
    let refused = gates.admit(HOOK, &json!({ "n": 1000 }), start);
    let refused = refused.expect_err("one more of the others");
    assert!(refused.text.contains("beyond the first 64"), "{refused}");
}

/// Those that nobody asks with any more make room.
#[test]
fn configurations_of_long_ago_are_forgotten_for_new_ones() {
    let gates = gates();
    let start = Instant::now();
    for number in (0..5).flat_map(|_| 0..64) {
        assert!(fails_with(&gates, number, start));
    }
    let late = start + FIRST_WAIT + WITHIN;
    assert!(fails_with(&gates, 64, late));
    assert_eq!((gates.known(), gates.open(HOOK)), (1, 0));
}

/// What the host is to blame for, or the plugin answers on purpose, is waited for and does not count.
#[test]
fn a_stream_is_not_given_up_for_what_is_not_the_plugins_mistake() {
    for code in FailureCode::ALL {
        let mut breaker = stream();
        let now = Instant::now();
        let waits: Vec<_> = (0..5).map(|_| breaker.failed(code, now)).collect();
        let goes_on = !code.is_its_own();
        assert_eq!(waits[4].is_some(), goes_on, "{code:?}");
        assert_eq!(waits[3], Some(now + FIRST_WAIT * 8), "{code:?}");
    }
}

#[test]
fn streams_that_are_given_up_are_counted_while_they_last() {
    let gates = gates();
    let stream = gates.give_up();
    assert_eq!(gates.open(Hook::OutputRedaction), 1);
    drop(stream);
    assert_eq!(gates.open(Hook::OutputRedaction), 0);
}
