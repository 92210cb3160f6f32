//! What people see on a terminal: tables that fit its width, and complaints.

use std::io::{IsTerminal as _, Write as _};

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use sandclock_core::Timestamp;
use sandclock_core::time::Clock as _;
use serde_json::Value;

use super::{Output, harmless, out};
use crate::clock::SystemClock;
use crate::document::write_yaml;

/// What a column but the first keeps of its content before the first is cut, in columns of the terminal.
const LEAST: usize = 16;
/// What stands behind each column.
const GAP: u16 = 2;

/// Prints rows under a header, one line each. A terminal gets what fits its width, with an ellipsis where
/// something is cut; a pipe or a file gets everything. The first column is what people copy, so it is cut last.
pub(super) fn print(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    say(&laid_out(header, rows, Some(1)));
}

/// The same for texts that people read to their end: on a terminal a cell goes on in further lines.
pub(super) fn print_whole(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    say(&laid_out(header, rows, None));
}

/// The same with some rows to look at, which a terminal shows in red.
pub(super) fn print_marked(header: &[&str], rows: impl IntoIterator<Item = (Vec<String>, bool)>) {
    let (rows, marked): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    let terminal = std::io::stdout().is_terminal();
    let marked = std::iter::once(false).chain(marked);
    for (line, marked) in laid_out(header, rows, Some(1)).lines().zip(marked) {
        if marked && terminal {
            let line = harmless::line(line, true);
            out::write(format!("\x1b[31m{line}\x1b[0m\n").as_bytes());
        } else {
            say(line);
        }
    }
}

/// One line for the header, and for each row up to `lines`.
fn laid_out(
    header: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
    lines: Option<usize>,
) -> String {
    let one_line = |cell: String| cell.replace(|c: char| c.is_control(), " ");
    let rows: Vec<Vec<_>> = rows
        .into_iter()
        .map(|row| row.into_iter().map(one_line).collect())
        .collect();
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header)
        .add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    if let Some(width) = width() {
        let content = table.column_max_content_widths();
        table
            .set_width(width)
            .set_content_arrangement(ContentArrangement::Dynamic);
        for row in table.row_iter_mut() {
            if let Some(lines) = lines {
                row.max_height(lines);
            }
        }
        let kept = fit(&content, width);
        for (column, kept) in table.column_iter_mut().zip(kept) {
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(kept + GAP)));
        }
    }
    table.trim_fmt()
}

/// How much each column keeps of its content so that a line fits: all but the first at least [`LEAST`], then
/// the first what it can, and the others what is left, the widest giving up most.
fn fit(content: &[u16], width: u16) -> Vec<u16> {
    let content: Vec<_> = content.iter().copied().map(usize::from).collect();
    let gaps = content.len() * usize::from(GAP);
    let room = usize::from(width).saturating_sub(gaps);
    let capped = |cap: usize| -> usize { content.iter().skip(1).map(|own| (*own).min(cap)).sum() };
    let whole = content.first().copied().unwrap_or(0);
    let first = whole.min(room.saturating_sub(capped(LEAST)).max(1));
    let left = room.saturating_sub(first);
    let cap = (1..=room)
        .rev()
        .find(|cap| capped(*cap) <= left)
        .unwrap_or(1);
    let others = content.iter().skip(1).map(|own| (*own).min(cap));
    std::iter::once(first)
        .chain(others)
        .map(|kept| u16::try_from(kept).unwrap_or(width))
        .collect()
}

/// The terminal's columns, 80 if it does not say; `None` without a terminal.
fn width() -> Option<u16> {
    let stdout = std::io::stdout();
    let columns = || rustix::termios::tcgetwinsize(&stdout).map_or(0, |size| size.ws_col);
    let said = |columns: &u16| *columns >= 40;
    stdout
        .is_terminal()
        .then(|| Some(columns()).filter(said).unwrap_or(80))
}

/// Prints a document as it came: as YAML if that is asked for, else as JSON.
pub(super) fn document(output: Output, value: &Value) {
    let text = match output {
        Output::Yaml => write_yaml(value),
        Output::Json | Output::Table => {
            serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())
        }
    };
    say(text.trim_end_matches('\n'));
}

/// Prints a list as the API says it, a row for each item.
pub(super) fn rows(list: &Value, header: &[&str], row: impl Fn(&Value) -> Vec<String>) {
    let items = list["items"].as_array().into_iter().flatten();
    print(header, items.map(row));
}

/// Prints what suits: the document, or `people`'s form of it.
pub(super) fn either(output: Output, value: &Value, people: impl FnOnce(&Value)) {
    match output {
        Output::Json | Output::Yaml => document(output, value),
        Output::Table => people(value),
    }
}

/// Prints a line.
pub(crate) fn say(line: &str) {
    let line = harmless::line(line, std::io::stdout().is_terminal());
    out::write(format!("{line}\n").as_bytes());
}

/// Prints a line beside the output proper.
pub(super) fn aside(line: &str) {
    let mut err = std::io::stderr();
    let line = harmless::line(line, err.is_terminal());
    // There is no other place to say it.
    let _ = writeln!(err, "{line}");
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

/// An instant without the parts that everybody knows: `2026-11-20T18:04:05Z` is `11-20 18:04:05` within its
/// year, and `2026-11-20 18:04` in another.
pub(super) fn short_instant(value: &Value, member: &str) -> String {
    let (full, now) = (text(value, member), SystemClock.now().to_string());
    match (full.get(..10), full.get(11..16), full.get(11..19)) {
        (Some(day), _, Some(time)) if full.get(..4) == now.get(..4) => {
            format!("{} {time}", day.get(5..).unwrap_or(day))
        }
        (Some(day), Some(time), _) => format!("{day} {time}"),
        _ => full,
    }
}

/// A number of bytes: `640 B`, `12.5 KiB`, `1.0 MiB`.
pub(super) fn size(bytes: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    size_of(bytes as f64)
}

/// The same of a figure.
pub(super) fn size_of(bytes: f64) -> String {
    let in_units = |unit: f64, name: &str| match bytes / unit {
        whole if whole.fract() == 0.0 => format!("{whole:.0} {name}"),
        part => format!("{part:.1} {name}"),
    };
    if bytes < 1024.0 {
        format!("{bytes:.0} B")
    } else if bytes < 1024.0 * 1024.0 {
        in_units(1024.0, "KiB")
    } else {
        in_units(1024.0 * 1024.0, "MiB")
    }
}

/// How long ago an instant was: `12s`, `5m`, `3h`, `2d`; `-` if it is absent.
pub(super) fn age(value: &Value, member: &str) -> String {
    let Some(at) = value[member].as_str().and_then(Timestamp::parse) else {
        return "-".to_owned();
    };
    match SystemClock.now().since(at).as_secs() {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m", seconds / 60),
        seconds @ 7200..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::fit;

    #[test]
    fn a_line_fits_and_the_first_column_is_cut_last() {
        let cases: [(&[u16], u16, &[u16]); 5] = [
            (&[8, 9, 10], 80, &[8, 9, 10]),
            (&[32, 78, 9, 3], 80, &[32, 28, 9, 3]),
            (&[78, 40, 14, 200], 80, &[26, 16, 14, 16]),
            (&[20, 60, 14, 60], 80, &[20, 19, 14, 19]),
            (&[32, 32, 32, 32], 40, &[1, 10, 10, 10]),
        ];
        for (content, width, kept) in cases {
            assert_eq!(fit(content, width), kept, "{content:?} in {width}");
        }
    }
}
