//! What jobs print, on a terminal: shown, never obeyed.
//!
//! A job's output may hold control characters, by accident or because somebody wants to change a reader's
//! window title, clear the screen or forge a line. A terminal gets them as `less` shows them (`^[` for escape);
//! a pipe or a file gets every byte as it is.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::IsTerminal as _;

use super::out;
use crate::api::stream::whole_characters;

/// Prints output on its way to standard output.
#[derive(Debug)]
pub(super) struct Shown {
    terminal: bool,
    /// The beginning of a character whose rest is still to come.
    partial: Vec<u8>,
    /// Whether the last line is open.
    mid_line: bool,
}

impl Shown {
    /// By what standard output is.
    pub(super) fn new() -> Self {
        Self {
            terminal: std::io::stdout().is_terminal(),
            partial: Vec::new(),
            mid_line: false,
        }
    }

    /// Prints the next piece.
    pub(super) fn print(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last() {
            self.mid_line = *last != b'\n';
        }
        if !self.terminal {
            return out::write(bytes);
        }
        self.partial.extend_from_slice(bytes);
        let rest = self.partial.split_off(whole_characters(&self.partial));
        let whole = std::mem::replace(&mut self.partial, rest);
        out::write(line(&String::from_utf8_lossy(&whole), true).as_bytes());
    }

    /// Ends the line that the output has left open on a terminal, for what else is said there.
    pub(super) fn end_line(&mut self) {
        self.end_character();
        if self.terminal && std::mem::take(&mut self.mid_line) {
            out::write(b"\n");
        }
    }

    /// Prints what has not become a character.
    fn end_character(&mut self) {
        let partial = std::mem::take(&mut self.partial);
        out::write(String::from_utf8_lossy(&partial).as_bytes());
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.end_character();
    }
}

/// The text as a terminal may have it: without control characters but tabs and ends of lines.
pub(super) fn line(text: &str, terminal: bool) -> Cow<'_, str> {
    let obeyed = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !terminal || !text.contains(obeyed) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match u8::try_from(c) {
            Ok(byte) if obeyed(c) && byte < 0x80 => {
                shown.push('^');
                shown.push(char::from(byte ^ 0x40));
            }
            Ok(byte) if obeyed(c) => {
                let _ = write!(shown, "<U+{byte:04X}>");
            }
            _ => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_terminal_obeys_nothing_that_a_job_printed() {
        let cases = [
            ("plain\ttext\n", "plain\ttext\n"),
            ("\u{1b}[31mred\u{1b}[0m", "^[[31mred^[[0m"),
            ("\u{1b}]0;title\u{7}", "^[]0;title^G"),
            ("over\rwritten\u{8}\u{7f}\0", "over^Mwritten^H^?^@"),
            ("\u{9b}2J \u{a0}ß😀", "<U+009B>2J \u{a0}ß😀"),
        ];
        for (text, shown) in cases {
            assert_eq!(line(text, true), shown);
            assert_eq!(line(text, false), text);
        }
    }
}
