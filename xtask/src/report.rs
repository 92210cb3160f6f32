//! The steps of a long run: each is announced, timed and kept for the table at the end.
//!
//! A step that fails does not stop the next one, so that one run shows everything that is wrong.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::process::Tests;

/// What a step that could be carried out says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A single check that held.
    Held,
    /// A test run, counted test by test.
    Counted(Tests),
    /// Not this machine's fault and no verdict on the code: shown with its reason, counted nowhere.
    NotChecked(String),
}

#[derive(Debug)]
struct Step {
    name: String,
    took: Duration,
    verdict: Result<Verdict, String>,
}

/// Collects the steps of one run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    steps: Vec<Step>,
}

impl Report {
    /// Announces, runs and times one step.
    pub(crate) fn step(&mut self, name: &str, work: impl FnOnce() -> Result<Verdict>) {
        println!("\n==== {name}");
        let started = Instant::now();
        let verdict = work().map_err(|error| format!("{error:#}"));
        let took = started.elapsed();
        match &verdict {
            Ok(Verdict::Held) => println!("---- {name}: held, {}", seconds(took)),
            Ok(Verdict::Counted(Tests { passed, failed })) => {
                println!(
                    "---- {name}: {passed} passed, {failed} failed, {}",
                    seconds(took)
                );
            }
            Ok(Verdict::NotChecked(why)) => println!("---- {name}: not checked: {why}"),
            Err(error) => println!("{error}\n---- {name}: FAILED, {}", seconds(took)),
        }
        self.steps.push(Step {
            name: name.to_owned(),
            took,
            verdict,
        });
    }

    /// Prints the table and the closing line; an error when anything failed.
    pub(crate) fn finish(self) -> Result<()> {
        println!("\n{}", self.table());
        let Tests { passed, failed } = self.total();
        println!("{passed} passed, {failed} failed");
        if failed > 0 {
            bail!("{}", self.failures());
        }
        Ok(())
    }

    fn total(&self) -> Tests {
        self.steps.iter().fold(Tests::default(), |sum, step| {
            let counted = step.counted();
            Tests {
                passed: sum.passed + counted.passed,
                failed: sum.failed + counted.failed,
            }
        })
    }

    fn table(&self) -> String {
        let width = self
            .steps
            .iter()
            .map(|step| step.name.len())
            .max()
            .unwrap_or(0);
        let mut table = format!(
            "{:width$}  {:>8}  {:>6}  {:>6}",
            "step", "time", "passed", "failed"
        );
        for step in &self.steps {
            let Tests { passed, failed } = step.counted();
            let (name, took) = (&step.name, seconds(step.took));
            // Writing to a string cannot fail.
            let _ = write!(
                table,
                "\n{name:width$}  {took:>8}  {passed:>6}  {failed:>6}"
            );
            if let Ok(Verdict::NotChecked(why)) = &step.verdict {
                let _ = write!(table, "  not checked: {why}");
            }
        }
        table
    }

    fn failures(&self) -> String {
        let names: Vec<&str> = self
            .steps
            .iter()
            .filter(|step| step.counted().failed > 0)
            .map(|step| step.name.as_str())
            .collect();
        format!("failed: {}", names.join(", "))
    }
}

impl Step {
    fn counted(&self) -> Tests {
        match &self.verdict {
            Ok(Verdict::Held) => Tests {
                passed: 1,
                failed: 0,
            },
            Ok(Verdict::Counted(tests)) => *tests,
            Ok(Verdict::NotChecked(_)) => Tests::default(),
            Err(_) => Tests {
                passed: 0,
                failed: 1,
            },
        }
    }
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_count_once_and_tests_one_by_one() {
        let mut report = Report::default();
        report.step("format", || Ok(Verdict::Held));
        report.step("tests", || {
            Ok(Verdict::Counted(Tests {
                passed: 40,
                failed: 2,
            }))
        });
        report.step("advisories", || {
            Ok(Verdict::NotChecked("no answer".to_owned()))
        });
        report.step("tidy", || bail!("core/src/lib.rs: no module comment"));
        assert_eq!(
            report.total(),
            Tests {
                passed: 41,
                failed: 3
            }
        );
        assert_eq!(report.failures(), "failed: tests, tidy");
        assert!(report.table().contains("not checked: no answer"));
        assert!(report.finish().is_err());
    }

    #[test]
    fn an_unreachable_service_is_no_failure() {
        let mut report = Report::default();
        report.step("format", || Ok(Verdict::Held));
        report.step("advisories", || {
            Ok(Verdict::NotChecked("no answer".to_owned()))
        });
        assert!(report.finish().is_ok());
    }
}
