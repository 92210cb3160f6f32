//! A figure is a ratio of two rates, and [`compare`] is how both are measured.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

/// Rounds per side; the median of them counts, so that a disturbed round does not.
const ROUNDS: usize = 7;

/// How long one round of one side lasts at least.
const ROUND: Duration = Duration::from_millis(150);

/// One side of a figure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Side {
    /// What ran, as a reader of the table understands it.
    pub(crate) label: &'static str,
    /// Units of work per second.
    pub(crate) rate: f64,
}

/// Two rates from one run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figure {
    /// The name of its floor, `group.what`.
    pub(crate) name: &'static str,
    /// What a unit of work is: `runs`, `calls`, `MiB`.
    pub(crate) unit: &'static str,
    /// The product's side.
    pub(crate) ours: Side,
    /// What it is measured against.
    pub(crate) other: Side,
}

impl Figure {
    /// Ours over the other: higher is better.
    pub(crate) fn ratio(&self) -> f64 {
        self.ours.rate / self.other.rate
    }
}

/// One side to be measured: a label and a piece of work that says how many units it did.
pub(crate) struct Work<'a> {
    /// See [`Side::label`].
    pub(crate) label: &'static str,
    /// Does some work and returns the units done; called until a round is over.
    pub(crate) step: &'a mut dyn FnMut() -> Result<f64>,
}

/// Measures both sides in turns (after one unmeasured turn each, which warms caches and tables up) and takes the
/// median rate of each. Errors of the work end the measurement.
pub(crate) fn compare(
    name: &'static str,
    unit: &'static str,
    ours: Work<'_>,
    other: Work<'_>,
) -> Result<Figure> {
    (ours.step)()?;
    (other.step)()?;
    let (mut our_rates, mut other_rates) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        our_rates.push(rate(ours.step)?);
        other_rates.push(rate(other.step)?);
    }
    Ok(Figure {
        name,
        unit,
        ours: Side {
            label: ours.label,
            rate: median(our_rates),
        },
        other: Side {
            label: other.label,
            rate: median(other_rates),
        },
    })
}

/// Units per second in one round.
pub(crate) fn rate(step: &mut dyn FnMut() -> Result<f64>) -> Result<f64> {
    let started = Instant::now();
    let mut units = 0.0;
    while started.elapsed() < ROUND {
        units += step()?;
    }
    ensure!(units > 0.0, "a bench that does no work has no rate");
    Ok(units / started.elapsed().as_secs_f64())
}

/// The middle one.
pub(crate) fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

/// The figures as a table for people.
pub(crate) fn table(figures: &[Figure]) -> String {
    let mut table = format!(
        "{:<28} {:>7}  {:<44} {:<44}",
        "figure", "ratio", "ours", "against"
    );
    for figure in figures {
        let side = |side: &Side| format!("{} {}/s {}", grouped(side.rate), figure.unit, side.label);
        let (ours, other) = (side(&figure.ours), side(&figure.other));
        // Writing to a string cannot fail.
        let _ = write!(
            table,
            "\n{:<28} {:>7.3}  {ours:<44} {other:<44}",
            figure.name,
            figure.ratio()
        );
    }
    table
}

/// A rate with thousands apart: `12,345`, or `3.21` when small.
fn grouped(rate: f64) -> String {
    if rate < 100.0 {
        return format!("{rate:.2}");
    }
    let digits = format!("{rate:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_grouped_and_the_median_ignores_a_disturbed_round() {
        assert_eq!(grouped(1_234_567.2), "1,234,567");
        assert_eq!(grouped(999.6), "1,000");
        assert_eq!(grouped(3.214), "3.21");
        assert_eq!(median(vec![10.0, 0.1, 11.0]).to_bits(), 10.0_f64.to_bits());
    }
}
