//! What people see on a terminal: tables that fit its width, and complaints.
#![expect(clippy::print_stderr, reason = "the one place that prints")]

use std::io::IsTerminal as _;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use sandclock_core::Timestamp;
use sandclock_core::time::Clock as _;
use serde_json::Value;

use super::{Output, harmless};

/// Prints rows under a header, within the terminal's width or 80 columns. The first column is what
/// people copy, so it is never broken.
pub(super) fn print(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(width()).set_header(header).add_rows(rows);
    if let Some(first) = table.column_mut(0) {
        first.set_constraint(ColumnConstraint::ContentWidth);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    say(&table.trim_fmt());
}

/// The terminal's columns, 80 if it does not say or there is none.
fn width() -> u16 {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    size.ok()
        .map(|size| size.ws_col)
        .filter(|columns| *columns >= 40)
        .unwrap_or(80)
}

/// Prints a document as it came.
pub(super) fn json(value: &Value) {
    say(&serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string()));
}

/// Prints what suits: the document, or `people`'s form of it.
pub(super) fn either(output: Output, value: &Value, people: impl FnOnce(&Value)) {
    match output {
        Output::Json => json(value),
        Output::Table => people(value),
    }
}

/// Prints a line.
pub(crate) fn say(line: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    let line = harmless::line(line, out.is_terminal());
    // A closed pipe (`| head`) is no failure of ours.
    let _ = writeln!(out, "{line}");
}

/// Prints a line beside the output proper.
pub(super) fn aside(line: &str) {
    eprintln!("{}", harmless::line(line, std::io::stderr().is_terminal()));
}

/// Prints why a command failed, with the whole chain of causes.
pub(super) fn complain(error: &anyhow::Error) {
    aside(&format!("sandclock: {error:#}"));
}

/// A member as text; `-` if it is absent.
pub(super) fn text(value: &Value, member: &str) -> String {
    match &value[member] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// An instant without the parts that everybody knows: `2026-11-20T18:04:05Z` as `11-20 18:04:05`.
pub(super) fn short_instant(value: &Value, member: &str) -> String {
    let full = text(value, member);
    match (full.get(5..10), full.get(11..19)) {
        (Some(day), Some(time)) => format!("{day} {time}"),
        _ => full,
    }
}

/// How long ago an instant was: `12s`, `5m`, `3h`, `2d`; `-` if it is absent.
pub(super) fn age(value: &Value, member: &str) -> String {
    let Some(at) = value[member].as_str().and_then(Timestamp::parse) else {
        return "-".to_owned();
    };
    match crate::clock::SystemClock.now().since(at).as_secs() {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m", seconds / 60),
        seconds @ 7200..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}
