//! The words of the Go fleet's run log: what its master shows of a run of ours, and what its documents say
//! of a run of theirs.
//!
//! A Go worker logs what it executed: command, output, and the error text of Go's `os/exec`, which is all
//! that its master and people's scripts go by. Times there are Unix milliseconds.

use std::borrow::Cow;

use super::quote::shell_text;
use crate::job::Program;
use crate::run::{CANNOT_START, CORE_DUMPED, Outcome, RunState};
use crate::time::Timestamp;

/// How much of a run's output goes into its log document, in bytes before invalid ones are replaced. A Go
/// master sends twenty of these to its page at once and the store holds 16 MiB in a document at most.
pub const OUTPUT_BYTES: usize = 64 << 10;

/// What stands for the rest of an output that is longer than [`OUTPUT_BYTES`].
pub const OUTPUT_CUT: &str = "\n[the rest of the output is in Sandclock]";

/// The text of a command that was killed before it began.
const CANCELED: &str = "context canceled";

/// The text of a command whose time was over.
const DEADLINE: &str = "context deadline exceeded";

/// Go's words for Linux signals, from 1 on.
const SIGNALS: [&str; 31] = [
    "hangup",
    "interrupt",
    "quit",
    "illegal instruction",
    "trace/breakpoint trap",
    "aborted",
    "bus error",
    "floating point exception",
    "killed",
    "user defined signal 1",
    "segmentation fault",
    "user defined signal 2",
    "broken pipe",
    "alarm clock",
    "terminated",
    "stack fault",
    "child exited",
    "continued",
    "stopped (signal)",
    "stopped",
    "stopped (tty input)",
    "stopped (tty output)",
    "urgent I/O condition",
    "CPU time limit exceeded",
    "file size limit exceeded",
    "virtual timer expired",
    "profiling timer expired",
    "window changed",
    "I/O possible",
    "power failure",
    "bad system call",
];

/// Whether a Go worker would have logged a run that ended so: it logs what it executed, and a tick that it
/// passes over leaves nothing. A document for each would push what did run off the master's page, which
/// shows twenty.
pub fn is_logged(state: RunState) -> bool {
    state.is_terminal() && !matches!(state, RunState::Skipped | RunState::Missed)
}

/// The command as text, as a shell would take it.
pub fn command(program: &Program) -> String {
    match program {
        Program::Shell { text, .. } => text.clone(),
        Program::Argv(words) => shell_text(words),
    }
}

/// The `err` of a run that ended so: empty after success, else what Go says of such a process, and the cause
/// where there was none.
pub fn err(outcome: &Outcome) -> String {
    if outcome.state == RunState::Succeeded {
        return String::new();
    }
    match (outcome.signal, outcome.exit_code) {
        (Some(signal), _) => {
            let core = outcome.cause.ends_with(CORE_DUMPED);
            let core = if core { CORE_DUMPED } else { "" };
            format!("signal: {}{core}", signal_name(signal))
        }
        (None, Some(code)) if code != 0 => format!("exit status {code}"),
        // A command may catch the signal that ends it and still report success.
        _ => match outcome.state {
            RunState::Killed => CANCELED.to_owned(),
            RunState::TimedOut => DEADLINE.to_owned(),
            state if outcome.cause.is_empty() => state.to_string(),
            _ => not_started(&outcome.cause).unwrap_or_else(|| outcome.cause.clone()),
        },
    }
}

/// What Go says of a command that could not be started, from the cause that says so.
fn not_started(cause: &str) -> Option<String> {
    let why = cause.strip_prefix(CANNOT_START)?;
    if why.starts_with("exec: ") {
        let (told, _) = why.split_once("$PATH")?;
        return Some(format!("{told}$PATH"));
    }
    let (program, error) = why.strip_prefix("fork/exec ")?.rsplit_once(": ")?;
    // The system's words, which Go writes small and without what is told beside them.
    let (error, _) = error.split_once(" (").unwrap_or((error, ""));
    Some(format!("fork/exec {program}: {}", error.to_lowercase()))
}

fn signal_name(signal: i32) -> Cow<'static, str> {
    let known = usize::try_from(signal).ok().and_then(|n| n.checked_sub(1));
    match known.and_then(|at| SIGNALS.get(at)) {
        Some(name) => Cow::Borrowed(*name),
        None => Cow::Owned(format!("signal {signal}")),
    }
}

/// The output as a log document holds it: its beginning, lossily as text, and a marker if that is not all.
pub fn output(head: &[u8], whole: bool) -> String {
    let fits = whole && head.len() <= OUTPUT_BYTES;
    let head = head.get(..OUTPUT_BYTES).unwrap_or(head);
    let mut text = String::from_utf8_lossy(head).into_owned();
    if !fits {
        text.push_str(OUTPUT_CUT);
    }
    text
}

/// How a run of the Go fleet ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoEnd {
    /// `Succeeded`, `Killed` if it never began, else `Failed`: who sent a signal is not recorded.
    pub state: RunState,
    /// The exit code, if the text tells.
    pub exit_code: Option<i32>,
    /// The signal, likewise.
    pub signal: Option<i32>,
}

/// What an `err` says.
pub fn read_err(err: &str) -> GoEnd {
    let failed = GoEnd {
        state: RunState::Failed,
        exit_code: None,
        signal: None,
    };
    match err {
        "" => GoEnd {
            state: RunState::Succeeded,
            exit_code: Some(0),
            ..failed
        },
        CANCELED => GoEnd {
            state: RunState::Killed,
            ..failed
        },
        _ => match (
            err.strip_prefix("exit status "),
            err.strip_prefix("signal: "),
        ) {
            (Some(code), _) => GoEnd {
                exit_code: code.parse().ok(),
                ..failed
            },
            (_, Some(name)) => GoEnd {
                signal: read_signal(name),
                ..failed
            },
            _ => failed,
        },
    }
}

fn read_signal(name: &str) -> Option<i32> {
    let name = name.strip_suffix(CORE_DUMPED).unwrap_or(name);
    if let Some(number) = name.strip_prefix("signal ") {
        return number.parse().ok();
    }
    let at = SIGNALS.iter().position(|known| *known == name)?;
    i32::try_from(at + 1).ok()
}

/// An instant of a log document, whatever unit its writer took: the courses that the fleet stems from
/// have written seconds and nanoseconds into the same collection. `None` if it says nothing: zero, and
/// Go's zero time, are before the epoch in every unit.
pub fn instant(number: i64) -> Option<Timestamp> {
    // Seconds reach the year 5138 below this, milliseconds begin in 1973 above it; and so on.
    const MILLIS: i64 = 100_000_000_000;
    let millis = match number {
        ..=0 => return None,
        seconds if seconds < MILLIS => seconds.saturating_mul(1000),
        millis if millis < MILLIS * 1000 => millis,
        micros if micros < MILLIS * 1_000_000 => micros / 1000,
        nanos => nanos / 1_000_000,
    };
    Some(Timestamp::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(state: RunState, exit_code: Option<i32>, signal: Option<i32>) -> Outcome {
        Outcome {
            exit_code,
            signal,
            ..Outcome::without_process(state, "because", Timestamp::default())
        }
    }

    #[test]
    fn what_happened_to_a_command_is_said_in_gos_words() {
        let failed = |cause: &str, signal| Outcome {
            cause: cause.to_owned(),
            ..outcome(RunState::Failed, None, signal)
        };
        for (cause, signal, want) in [
            (
                "died of signal 6 (core dumped)",
                Some(6),
                "signal: aborted (core dumped)",
            ),
            ("died of signal 6", Some(6), "signal: aborted"),
            (
                "cannot start: fork/exec /bin/no bash: No such file or directory (os error 2)",
                None,
                "fork/exec /bin/no bash: no such file or directory",
            ),
            (
                "cannot start: fork/exec /bin/bash: Invalid argument (argv[2] holds a NUL byte; take it out)",
                None,
                "fork/exec /bin/bash: invalid argument",
            ),
            (
                "cannot start: exec: \"a\": executable file not found in $PATH: No such file or directory (os error 2)",
                None,
                "exec: \"a\": executable file not found in $PATH",
            ),
            (
                "cannot start: user \"ann\"",
                None,
                "cannot start: user \"ann\"",
            ),
        ] {
            assert_eq!(err(&failed(cause, signal)), want);
        }
    }

    #[test]
    fn an_end_is_said_in_gos_words() {
        use RunState::{Failed, Killed, Lost, Succeeded, TimedOut};
        let table = [
            (Succeeded, Some(0), None, ""),
            (Failed, Some(3), None, "exit status 3"),
            (Failed, Some(127), None, "exit status 127"),
            (Failed, None, Some(11), "signal: segmentation fault"),
            (Failed, None, Some(13), "signal: broken pipe"),
            (Failed, None, Some(10), "signal: user defined signal 1"),
            (Failed, None, Some(31), "signal: bad system call"),
            (Failed, None, Some(40), "signal: signal 40"),
            (Failed, None, Some(0), "signal: signal 0"),
            (Failed, Some(-1), Some(9), "signal: killed"),
            (Failed, None, None, "because"),
            (Killed, None, Some(9), "signal: killed"),
            (Killed, None, Some(15), "signal: terminated"),
            (Killed, Some(143), None, "exit status 143"),
            (Killed, Some(0), None, "context canceled"),
            (Killed, None, None, "context canceled"),
            (TimedOut, None, Some(9), "signal: killed"),
            (TimedOut, Some(0), None, "context deadline exceeded"),
            (Lost, None, None, "because"),
        ];
        for (state, code, signal, want) in table {
            assert_eq!(err(&outcome(state, code, signal)), want, "{state} {code:?}");
        }
        let silent = Outcome::without_process(RunState::Lost, "", Timestamp::default());
        assert_eq!(
            err(&silent),
            "lost",
            "an end that is no success says something"
        );
    }

    #[test]
    fn gos_words_are_understood() {
        let failed = |exit_code, signal| GoEnd {
            state: RunState::Failed,
            exit_code,
            signal,
        };
        let table = [
            ("exit status 3", failed(Some(3), None)),
            ("exit status many", failed(None, None)),
            ("signal: killed", failed(None, Some(9))),
            ("signal: aborted (core dumped)", failed(None, Some(6))),
            ("signal: signal 40", failed(None, Some(40))),
            (
                "fork/exec /bin/bash: no such file or directory",
                failed(None, None),
            ),
            ("锁已被占用", failed(None, None)),
        ];
        for (err, want) in table {
            assert_eq!(read_err(err), want, "{err}");
        }
        assert_eq!(read_err("").state, RunState::Succeeded);
        assert_eq!(read_err("context canceled").state, RunState::Killed);
    }

    #[test]
    fn what_never_ran_is_not_in_a_go_log() {
        let logged = RunState::ALL.into_iter().filter(|state| is_logged(*state));
        let names: Vec<_> = logged.map(RunState::as_str).collect();
        assert_eq!(
            names,
            ["succeeded", "failed", "timed_out", "killed", "lost"]
        );
    }

    #[test]
    fn a_command_is_text_for_a_shell() {
        let shell = Program::Shell {
            shell: vec!["/bin/bash".to_owned(), "-c".to_owned()],
            text: "a | b > c".to_owned(),
        };
        assert_eq!(command(&shell), "a | b > c");
        let argv = Program::Argv(vec!["/bin/echo".to_owned(), "a b".to_owned()]);
        assert_eq!(command(&argv), "/bin/echo 'a b'");
    }

    #[test]
    fn an_output_is_text_of_bounded_length() {
        assert_eq!(output(b"whole\n", true), "whole\n");
        assert_eq!(output(b"a\xffb\0", true), "a\u{fffd}b\0");
        assert_eq!(output(b"part", false), format!("part{OUTPUT_CUT}"));
        let long = output(&vec![0xff; OUTPUT_BYTES * 2], true);
        assert!(long.ends_with(OUTPUT_CUT));
        assert_eq!(
            long.chars().count(),
            OUTPUT_BYTES + OUTPUT_CUT.chars().count()
        );
    }

    #[test]
    fn an_instant_is_read_in_any_unit() {
        let at = |ms| Some(Timestamp::from_millis(ms));
        let table = [
            (1_795_189_862, at(1_795_189_862_000)),
            (1_795_189_862_084, at(1_795_189_862_084)),
            (1_795_189_862_084_123, at(1_795_189_862_084)),
            (1_795_189_862_084_123_456, at(1_795_189_862_084)),
            (0, None),
            (-6_795_364_578_871, None),
            (i64::MIN, None),
            (i64::MAX, at(9_223_372_036_854)),
        ];
        for (number, want) in table {
            assert_eq!(instant(number), want, "{number}");
        }
    }
}
