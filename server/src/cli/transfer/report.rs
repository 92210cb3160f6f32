//! What an import did to each thing, or would do, and how that is told.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cli::Output;
use crate::cli::table;

/// What becomes of a thing that the document has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Outcome {
    /// It is new.
    Created,
    /// It is there as the document has it.
    Unchanged,
    /// These members differ.
    Changed(Vec<String>),
}

impl Outcome {
    /// For people, and in answers.
    pub(in crate::cli) fn word(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Unchanged => "unchanged",
            Self::Changed(_) => "changed",
        }
    }

    /// The members that differ.
    pub(in crate::cli) fn fields(&self) -> &[String] {
        match self {
            Self::Changed(fields) => fields,
            _ => &[],
        }
    }
}

/// One line of the report.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// `plugin`, `binding` or `job`.
    pub(super) kind: &'static str,
    pub(super) name: &'a str,
    pub(super) outcome: &'a Outcome,
}

/// The members in which two documents differ.
pub(in crate::cli) fn differing(one: &Value, other: &Value) -> Vec<String> {
    let members = |document: &Value| -> BTreeSet<String> {
        let members = document.as_object().into_iter().flatten();
        members.map(|(name, _)| name.clone()).collect()
    };
    let all = &members(one) | &members(other);
    all.into_iter()
        .filter(|name| one[name] != other[name])
        .collect()
}

/// Tells it, in the order in which it is written.
pub(super) fn report(lines: &[Line<'_>], dry_run: bool, output: Output) {
    let items: Vec<_> = lines
        .iter()
        .map(|line| {
            let outcome = line.outcome;
            json!({ line.kind: line.name, "outcome": outcome.word(), "fields": outcome.fields() })
        })
        .collect();
    table::either(
        output,
        &json!({ "dry_run": dry_run, "items": items }),
        |_| {
            let changes = lines
                .iter()
                .filter(|line| *line.outcome != Outcome::Unchanged);
            let rows: Vec<_> = changes
                .map(|line| {
                    vec![
                        line.kind.to_owned(),
                        line.name.to_owned(),
                        line.outcome.word().to_owned(),
                        line.outcome.fields().join(", "),
                    ]
                })
                .collect();
            if !rows.is_empty() {
                table::print(&["KIND", "NAME", "OUTCOME", "FIELDS THAT DIFFER"], rows);
            }
            let count = |word| {
                let mut words = lines.iter().map(|line| line.outcome.word());
                words.by_ref().filter(|it| *it == word).count()
            };
            let [created, changed, unchanged] = ["created", "changed", "unchanged"].map(count);
            let would = if dry_run { " (nothing is written)" } else { "" };
            table::say(&format!(
                "{created} created, {changed} changed, {unchanged} unchanged{would}"
            ));
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_members_that_differ_are_named() {
        let one = json!({ "name": "a", "command": "x", "owner": "ann" });
        let other = json!({ "name": "a", "command": "y", "schedule": "@daily" });
        assert_eq!(differing(&one, &other), ["command", "owner", "schedule"]);
    }
}
