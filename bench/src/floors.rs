//! The floors of the ratios: `bench/floors.toml`, each with the reason for its height.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::figure::Figure;

const TEXT: &str = include_str!("../floors.toml");

/// The lowest ratio that is accepted for one figure.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Floor {
    min: f64,
    why: String,
}

/// All floors by the name of their figure.
#[derive(Debug, Deserialize)]
pub(crate) struct Floors(BTreeMap<String, Floor>);

/// Reads the floors that were compiled in.
pub(crate) fn read() -> Result<Floors> {
    toml::from_str(TEXT).context("bench/floors.toml")
}

impl Floors {
    /// What is wrong, one line each: a ratio below its floor, a figure without a floor and, when `all` benches ran, a
    /// floor without a figure.
    pub(crate) fn judge(&self, figures: &[Figure], all: bool) -> Vec<String> {
        let mut wrong = Vec::new();
        for figure in figures {
            let (name, ratio) = (figure.name, figure.ratio());
            match self.0.get(name) {
                None => wrong.push(format!("{name}: has no floor in bench/floors.toml")),
                Some(floor) if ratio.is_nan() || ratio < floor.min => wrong.push(format!(
                    "{name}: {ratio:.3} is below its floor {:.3} ({})",
                    floor.min, floor.why
                )),
                Some(_) => {}
            }
        }
        let measured = |name: &String| figures.iter().any(|figure| figure.name == name);
        for name in self.0.keys().filter(|name| all && !measured(name)) {
            wrong.push(format!("{name}: has a floor but was not measured"));
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Side;

    fn figure(name: &'static str, ratio: f64) -> Figure {
        let side = |rate| Side {
            label: "side",
            rate,
        };
        Figure {
            name,
            unit: "runs",
            ours: side(ratio),
            other: side(1.0),
        }
    }

    #[test]
    fn the_committed_floors_can_be_read() {
        assert!(read().is_ok());
    }

    #[test]
    fn low_unknown_and_forgotten_figures_are_named() {
        let floors: Floors = toml::from_str(
            "spawn = { min = 0.5, why = \"x\" }\nhooks = { min = 0.1, why = \"y\" }",
        )
        .unwrap();
        assert_eq!(
            floors
                .judge(&[figure("spawn", 0.5), figure("hooks", 0.2)], true)
                .len(),
            0
        );
        assert_eq!(floors.judge(&[figure("spawn", 0.49)], false).len(), 1);
        assert_eq!(floors.judge(&[figure("spawn", f64::NAN)], false).len(), 1);
        assert_eq!(floors.judge(&[figure("new", 9.0)], false).len(), 1);
        assert_eq!(floors.judge(&[figure("spawn", 0.5)], true).len(), 1);
    }
}
