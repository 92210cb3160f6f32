//! When a failing plugin is asked again: after a wait that doubles, and after too many failures in
//! a short time not any more. The instants come from the caller.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const FAILURES: usize = 5;
const WITHIN: Duration = Duration::from_secs(300);

/// The record of one plugin on one stream.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    recent: VecDeque<Instant>,
    in_a_row: u32,
    open: bool,
}

impl Breaker {
    pub(super) fn succeeded(&mut self) {
        self.in_a_row = 0;
    }

    /// Notes a failure and says when to ask again; `None` is never.
    pub(super) fn failed(&mut self, now: Instant) -> Option<Instant> {
        self.recent.retain(|at| now.duration_since(*at) < WITHIN);
        self.recent.push_back(now);
        if self.recent.len() >= FAILURES {
            self.open = true;
        }
        let wait = FIRST_WAIT.saturating_mul(1 << self.in_a_row.min(6));
        self.in_a_row += 1;
        (!self.open).then(|| now + wait.min(LONGEST_WAIT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_a_success_resets_them() {
        let mut breaker = Breaker::default();
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
        let mut breaker = Breaker::default();
        let start = Instant::now();
        let minute = Duration::from_secs(60);
        for number in 0..4 {
            assert!(breaker.failed(start + minute * number).is_some());
            breaker.succeeded();
        }
        assert_eq!(breaker.failed(start + minute * 4), None);
        assert_eq!(breaker.failed(start + minute * 100), None);
    }
}
