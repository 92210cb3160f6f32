//! What is looked for in a window of a stream: every form of every known secret as it stands, and codes of it
//! over line ends.

use std::collections::BTreeSet;

use super::encodings;
use super::folded::Folded;
use super::needles::{Needles, Span, sort};

/// All forms of all known secrets.
#[derive(Default)]
pub(super) struct Wanted {
    forms: Needles,
    /// Those that tools wrap, looked for where line ends are taken out.
    codes: Needles,
}

/// What a window holds.
pub(super) struct Found {
    /// To be hidden, by start; of those that start together the longest first.
    pub(super) spans: Vec<Span>,
    /// From here on it may be the beginning of more.
    pub(super) undecided: usize,
}

impl Wanted {
    /// Of names with their values. What two secrets have in common shows the name that comes first.
    pub(super) fn new<'a, V>(secrets: impl Iterator<Item = (&'a str, V)> + Clone) -> Self
    where
        V: Iterator<Item = &'a [u8]>,
    {
        let all = |forms: fn(&[u8]) -> BTreeSet<Vec<u8>>| {
            let of_secret = |(name, values): (&'a str, V)| (name, values.flat_map(forms).collect());
            Needles::new(secrets.clone().map(of_secret))
        };
        Self {
            forms: all(encodings::forms),
            codes: all(encodings::codes),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }

    /// What is shown instead of a span.
    pub(super) fn mark(&self, span: &Span) -> &str {
        self.forms.mark(span)
    }

    /// Looks through a window; `last` if nothing follows it, `fold` is on but in a mutant.
    pub(super) fn find(&self, window: &[u8], last: bool, fold: bool) -> Found {
        let mut found = look(&self.forms, window, last);
        if let Some(folded) = fold.then(|| Folded::of(window)).flatten() {
            let codes = look(&self.codes, folded.bytes(), last);
            let spans = codes.spans.into_iter().map(|span| folded.unfolded(span));
            found.spans.extend(spans);
            sort(&mut found.spans);
            if codes.undecided < folded.bytes().len() {
                found.undecided = found.undecided.min(folded.place(codes.undecided));
            }
        }
        found
    }
}

fn look(needles: &Needles, window: &[u8], last: bool) -> Found {
    let mut spans = needles.spans(window);
    let mut undecided = window.len();
    if last {
        needles.add_broken_off(window, &mut spans);
    } else {
        undecided = needles.undecided_from(window);
    }
    Found { spans, undecided }
}
