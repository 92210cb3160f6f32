//! Quiet hours: when a target is left alone, and where its alerts go meanwhile.

use crate::schedule::Hours;

/// When a target is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quiet {
    /// The hours.
    pub hours: Hours,
    /// Where alerts go meanwhile; `None` lets them wait.
    pub instead: Option<String>,
}
