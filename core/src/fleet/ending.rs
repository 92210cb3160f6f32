//! How an attempt ended, and the cause that a person reads: from who ended it, and how it looked.

use std::time::Duration;

use crate::ports::{Fault, ProcessEnd, RunPolicy};
use crate::run::{CORE_DUMPED, RunState};

/// Why the worker itself ended the process. The first reason stays.
#[derive(Clone, Debug)]
pub(super) enum Reason {
    /// A kill came.
    Killed {
        /// Who sent it.
        by: String,
        /// Why.
        why: String,
    },
    /// It ran longer than it may.
    TimedOut,
    /// The store did not answer for as long as the run may go on without.
    NoContact,
    /// Too much wall time has passed since the store answered, by so much more than real time.
    ClockAhead(Duration),
    /// The worker stops.
    Stopped,
    /// Somebody else has settled the run.
    Fenced,
}

/// The state and the cause of the attempt's end.
pub(super) fn judge(
    reason: Option<Reason>,
    ended: &ProcessEnd,
    policy: &RunPolicy,
) -> (RunState, String) {
    let lost = |cause: &str| (RunState::Lost, cause.to_owned());
    match (reason, &ended.fault) {
        (Some(Reason::Killed { by, why }), _) => {
            (RunState::Killed, format!("killed by {by}: {why}"))
        }
        (Some(Reason::TimedOut), _) => {
            let limit = seconds(policy.limit.unwrap_or_default());
            let cause = format!("it ran longer than {limit}: {}", policy.reason);
            (RunState::TimedOut, cause)
        }
        (Some(Reason::NoContact), _) => lost("its worker lost contact to the store and ended it"),
        (Some(Reason::ClockAhead(by)), _) => lost(&format!(
            "its worker ended it: {}, so that its session may be over",
            clock_ahead(by)
        )),
        (Some(Reason::Stopped), _) => lost("its worker was stopped before it ended"),
        (Some(Reason::Fenced), _) => lost("somebody else has it"),
        (None, Some(Fault::NoContact(cause))) => lost(cause),
        (None, Some(Fault::Executor(cause))) => (RunState::Failed, cause.clone()),
        (None, None) => by_itself(ended),
    }
}

/// What wall time has done that ran ahead of real time by so much.
pub(super) fn clock_ahead(by: Duration) -> String {
    let by = seconds(Duration::from_secs(by.as_secs()));
    format!("the wall clock went ahead by {by} (it was set, or the machine slept)")
}

fn by_itself(ended: &ProcessEnd) -> (RunState, String) {
    match (ended.exit_code, ended.signal) {
        (Some(0), _) => (RunState::Succeeded, "exit code 0".to_owned()),
        (Some(code), _) => (RunState::Failed, format!("exit code {code}")),
        (None, Some(signal)) => {
            let core = if ended.core_dumped { CORE_DUMPED } else { "" };
            (RunState::Failed, format!("died of signal {signal}{core}"))
        }
        (None, None) => (RunState::Failed, "it ended without a status".to_owned()),
    }
}

/// A span for people.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::OutputSummary;

    fn ended(exit_code: Option<i32>, fault: Option<Fault>) -> ProcessEnd {
        ProcessEnd {
            exit_code,
            signal: exit_code.is_none().then_some(15),
            fault,
            core_dumped: false,
            leftovers_ended: 0,
            output: OutputSummary::default(),
            tail: bytes::Bytes::new(),
            notes: Vec::new(),
        }
    }

    #[track_caller]
    fn check(reason: Option<Reason>, ended: &ProcessEnd, expected: (RunState, &str)) {
        let policy = RunPolicy {
            limit: Some(Duration::from_secs(5)),
            warn: None,
            grace: Duration::ZERO,
            reason: "declared".to_owned(),
            refuse: None,
            notes: Vec::new(),
        };
        let (state, cause) = judge(reason, ended, &policy);
        assert_eq!((state, cause.as_str()), expected);
    }

    #[test]
    fn what_nobody_ended_is_judged_by_its_status() {
        check(
            None,
            &ended(Some(0), None),
            (RunState::Succeeded, "exit code 0"),
        );
        check(
            None,
            &ended(Some(3), None),
            (RunState::Failed, "exit code 3"),
        );
        check(
            None,
            &ended(None, None),
            (RunState::Failed, "died of signal 15"),
        );
        let dumped = ProcessEnd {
            core_dumped: true,
            ..ended(None, None)
        };
        let said = "died of signal 15 (core dumped)";
        check(None, &dumped, (RunState::Failed, said));
    }

    #[test]
    fn a_run_ended_for_want_of_contact_is_lost_and_not_failed() {
        let silent = ended(None, Some(Fault::NoContact("no word".to_owned())));
        check(None, &silent, (RunState::Lost, "no word"));
        // Even if it took SIGTERM as a reason to exit well.
        let polite = ended(Some(0), silent.fault);
        check(None, &polite, (RunState::Lost, "no word"));
        let broken = ended(None, Some(Fault::Executor("broken".to_owned())));
        check(None, &broken, (RunState::Failed, "broken"));
    }

    #[test]
    fn the_workers_own_reason_goes_first() {
        let silent = ended(None, Some(Fault::NoContact("no word".to_owned())));
        let timed_out = (RunState::TimedOut, "it ran longer than 5 s: declared");
        check(Some(Reason::TimedOut), &silent, timed_out);
        let ahead = Reason::ClockAhead(Duration::from_millis(3_600_250));
        let cause = "its worker ended it: the wall clock went ahead by 3600 s (it was set, or the \
                     machine slept), so that its session may be over";
        check(Some(ahead), &silent, (RunState::Lost, cause));
    }
}
