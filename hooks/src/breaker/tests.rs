//! Waits and counts, with instants that the tests make up.

use std::sync::Arc;

use serde_json::json;

use super::gates::CONFIGS;
use super::*;
use crate::failure::{Failure, FailureCode};
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
        let again = breaker.failed(now).expect("closed");
        waits.push(again.duration_since(now).as_secs());
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    breaker.succeeded();
    now += WITHIN;
    assert_eq!(breaker.failed(now), Some(now + FIRST_WAIT));
}

#[test]
fn five_failures_within_five_minutes_are_the_end() {
    let mut breaker = stream();
    let start = Instant::now();
    let minute = Duration::from_secs(60);
    for number in 0..4 {
        assert!(breaker.failed(start + minute * number).is_some());
        breaker.succeeded();
    }
    assert_eq!(breaker.failed(start + minute * 4), None);
    assert_eq!(breaker.failed(start + minute * 100), None);
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
        assert!(breaker.failed(now).is_some());
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

#[test]
fn configurations_are_bounded() {
    let gates = gates();
    let start = Instant::now();
    for number in 0..1000_u32 {
        let now = start + Duration::from_millis(u64::from(number));
        let pass = gates.admit(HOOK, &json!({ "n": number }), now);
        pass.expect("it is called").ended(Some(&trapped()), now);
    }
    assert_eq!(gates.known(), CONFIGS);
}

#[test]
fn streams_that_are_given_up_are_counted_while_they_last() {
    let gates = gates();
    let stream = gates.give_up();
    assert_eq!(gates.open(Hook::OutputRedaction), 1);
    drop(stream);
    assert_eq!(gates.open(Hook::OutputRedaction), 0);
}
