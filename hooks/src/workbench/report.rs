//! What comes of a case.

use serde_json::Value;

use super::Difference;
use crate::LogLine;

/// What came of a case.
#[derive(Clone, Debug)]
pub struct CaseReport {
    /// What the plugin did, in the form of the expectation.
    pub found: Value,
    /// Where that is not as expected; empty for a case that holds.
    pub differences: Vec<Difference>,
    /// Fuel of all calls that were asked for (of a redaction: with the input in one piece). The same in every run, on
    /// every machine.
    pub fuel: u64,
    /// Of a redaction: the other ways to cut the input.
    pub chunkings: Option<Chunkings>,
    /// What the plugin wrote to its log, its newest lines.
    pub log: Vec<LogLine>,
}

/// The ways to cut an input that were tried.
#[derive(Clone, Debug, Default)]
pub struct Chunkings {
    /// In two pieces.
    pub splits: usize,
    /// Byte by byte.
    pub single_bytes: usize,
    /// At random places.
    pub random: usize,
    /// How many of all these replaced the instance with every call.
    pub on_fresh_instances: usize,
    /// The first that did not come to the same output.
    pub apart: Option<Apart>,
}

/// A way to cut an input that does not come to the same output.
#[derive(Clone, Debug)]
pub struct Apart {
    /// Which one, in words.
    pub how: String,
    /// What came of it.
    pub found: Value,
}
