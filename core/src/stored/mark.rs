//! The form of a mark for stores that compare whole values but cannot look inside: one line of text.
//!
//! `0001800000000000 fedcba9876543210 timed_out 3`: the fire time, the generation, the last state (`-` if
//! there is none) and the failures in a row. The same mark is always the same text. Further words are those
//! of a later program: they are ignored, and kept when the mark moves (S13).

use super::later;
use crate::backend::{Generation, Mark};
use crate::policy::Streak;
use crate::run::RunState;
use crate::time::Timestamp;

/// How many words of a mark this program knows.
const WORDS: usize = 4;

/// The text of a mark.
pub fn mark_text(mark: &Mark) -> String {
    let Streak { last, failures } = mark.streak;
    let (at, generation) = (mark.at.as_millis(), mark.generation.0);
    let last = last.map_or("-", RunState::as_str);
    let text = format!("{at:016} {generation:016x} {last} {failures}");
    match later::addition() {
        Some(word) => format!("{text} {word}"),
        None => text,
    }
}

/// The text of a mark that replaces `previous`, with the words of it that this program does not know (S13).
pub fn mark_text_over(mark: &Mark, previous: &[u8]) -> String {
    let text = mark_text(mark);
    let previous = str::from_utf8(previous).unwrap_or_default();
    let known = text.split(' ').count().max(WORDS);
    let further = previous.split(' ').skip(known);
    further.fold(text, |text, word| format!("{text} {word}"))
}

/// The mark that a text says; `None` if it says none.
pub fn parse_mark(text: &str) -> Option<Mark> {
    let mut words = text.split(' ');
    let at = Timestamp::from_millis(words.next()?.parse().ok()?);
    let generation = Generation(u64::from_str_radix(words.next()?, 16).ok()?);
    let last = match words.next()? {
        "-" => None,
        state => Some(RunState::parse(state)?),
    };
    let failures = words.next()?.parse().ok()?;
    let streak = Streak { last, failures };
    Some(Mark {
        at,
        generation,
        streak,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(at: i64, last: Option<RunState>, failures: u32) -> Mark {
        Mark {
            at: Timestamp::from_millis(at),
            generation: Generation(0xfedc_ba98_7654_3210),
            streak: Streak { last, failures },
        }
    }

    #[test]
    fn a_mark_is_one_text_and_back() {
        let table = [
            (
                mark(1_800_000_000_000, Some(RunState::TimedOut), 3),
                "0001800000000000 fedcba9876543210 timed_out 3",
            ),
            (mark(0, None, 0), "0000000000000000 fedcba9876543210 - 0"),
            (mark(-1, None, 0), "-000000000000001 fedcba9876543210 - 0"),
        ];
        for (mark, text) in table {
            assert_eq!(mark_text(&mark), text);
            assert_eq!(parse_mark(text), Some(mark));
            assert_eq!(parse_mark(&format!("{text} later words")), Some(mark));
        }
    }

    #[test]
    fn further_words_are_kept() {
        let moved = mark(1_800_000_000_000, None, 0);
        let text = "0001800000000000 fedcba9876543210 - 0";
        for (previous, kept) in [
            ("0000000000000000 fedcba9876543210 failed 7", ""),
            (
                "0000000000000000 fedcba9876543210 - 0 later words",
                " later words",
            ),
            ("no mark", ""),
            ("", ""),
        ] {
            let written = mark_text_over(&moved, previous.as_bytes());
            assert_eq!(written, format!("{text}{kept}"));
        }
        assert_eq!(mark_text_over(&moved, b"\xff \xff \xff \xff \xff"), text);
    }

    #[test]
    fn other_texts_are_no_marks() {
        for text in [
            "",
            "1",
            "1 2",
            "1 2 -",
            "1 2 - x",
            "x 2 - 0",
            "1 g - 0",
            "1 2 slept 0",
        ] {
            assert_eq!(parse_mark(text), None, "{text:?}");
        }
    }
}
