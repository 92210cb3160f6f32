//! Starting other programs: run one, read its answer, or run tests and count them.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How often a child with a deadline is looked at.
const POLL: Duration = Duration::from_millis(50);

/// Runs a command with this terminal; an exit code other than 0 is an error that shows the command.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| not_started(command))?;
    if !status.success() {
        bail!("{} ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs a command quietly and returns its standard output; its standard error is part of the error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| not_started(command))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{} ended with {}\n{}",
            shown(command),
            output.status,
            said.trim_end()
        );
    }
    String::from_utf8(output.stdout).with_context(|| format!("{} printed UTF-8", shown(command)))
}

/// Whether a command can be started and succeeds; prints nothing.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Like [`succeeds`], but the child is ended, and counts as failed, after `deadline`.
pub(crate) fn succeeds_within(command: &mut Command, deadline: Duration) -> bool {
    let started = Instant::now();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else { return false };
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if started.elapsed() < deadline => std::thread::sleep(POLL),
            Ok(None) | Err(_) => {
                // It may have ended meanwhile; there is nothing else to do about either error.
                drop(child.kill());
                drop(child.wait());
                return false;
            }
        }
    }
}

/// Tests counted over all binaries of one `cargo test`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tests {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

/// Runs `cargo test`, passes its output on to `out` line by line and adds up the result lines. A run that ends
/// badly without a counted failure (a compile error, a crashed test binary) counts as one.
pub(crate) fn run_tests(command: &mut Command, out: &mut impl Write) -> Result<Tests> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| not_started(command))?;
    let stdout = child.stdout.take().context("standard output is a pipe")?;
    let mut tests = Tests::default();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.context("reading the output of cargo test")?;
        out.write_all(&line)
            .and_then(|()| out.write_all(b"\n"))
            .context("passing output on")?;
        if let Some(counted) = result_line(&String::from_utf8_lossy(&line)) {
            tests.passed += counted.passed;
            tests.failed += counted.failed;
        }
    }
    let status = child
        .wait()
        .with_context(|| format!("waiting for {}", shown(command)))?;
    if !status.success() && tests.failed == 0 {
        tests.failed = 1;
        writeln!(out, "{} ended with {status}", shown(command)).context("passing output on")?;
    }
    Ok(tests)
}

/// Reads libtest's `test result: ok. 12 passed; 0 failed; 0 ignored; …`.
fn result_line(line: &str) -> Option<Tests> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |what: &str| -> Option<u64> {
        counts
            .split("; ")
            .find_map(|part| part.strip_suffix(what))
            .and_then(|number| number.trim().parse().ok())
    };
    Some(Tests {
        passed: count(" passed")?,
        failed: count(" failed")?,
    })
}

fn not_started(command: &Command) -> String {
    format!("{} could not be started", shown(command))
}

/// A command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_result_lines_of_libtest() {
        let line = "test result: FAILED. 41 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.31s";
        assert_eq!(
            result_line(line),
            Some(Tests {
                passed: 41,
                failed: 2
            })
        );
        assert_eq!(result_line("test a::b ... ok"), None);
    }

    #[test]
    fn a_crashed_test_binary_counts_as_a_failure() {
        let script = "echo 'test result: ok. 3 passed; 0 failed; 0 ignored'; exit 101";
        let mut out = Vec::new();
        let tests = run_tests(Command::new("sh").args(["-c", script]), &mut out).unwrap();
        assert_eq!(
            tests,
            Tests {
                passed: 3,
                failed: 1
            }
        );
        assert!(String::from_utf8(out).unwrap().contains("3 passed"));
    }

    #[test]
    fn a_child_is_ended_at_its_deadline() {
        assert!(!succeeds_within(
            Command::new("sleep").arg("600"),
            Duration::from_millis(1)
        ));
        assert!(succeeds_within(
            &mut Command::new("true"),
            Duration::from_secs(60)
        ));
    }

    #[test]
    fn an_error_shows_the_command_and_what_it_said() {
        let error = output(Command::new("sh").args(["-c", "echo wrong >&2; exit 3"])).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("sh -c") && text.contains("wrong"), "{text}");
    }
}
