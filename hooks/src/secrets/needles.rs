//! What is searched for: every form of every known secret, as one automaton.
//!
//! Two questions are asked of a window of a stream: where do forms occur in it (all of them, also
//! those inside of others), and from where on could it still be the beginning of one? The first
//! is Aho and Corasick's; the second is a binary search for each of the last bytes that could begin
//! a form.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::MIN_SECRET_BYTES;
use super::filter::Filter;

/// Up to this many bytes of needles the automaton is a full table, which is faster and larger.
const DENSE_BYTES: usize = 16 << 10;
/// The longest name that is shown in full.
const MAX_NAME_CHARS: usize = 64;

/// A stretch of a window that is to be hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Which secret, as an index for [`Needles::mark`].
    pub(super) owner: usize,
}

#[derive(Default)]
pub(super) struct Needles {
    /// Sorted, distinct, each with its owner; the automaton's patterns are in this order.
    sorted: Vec<(Vec<u8>, usize)>,
    /// The names of the secrets, by owner.
    names: Vec<String>,
    /// Whether a needle begins with this byte.
    is_first: Vec<bool>,
    longest: usize,
    filter: Option<Filter>,
    /// Made when it is first needed: most secrets never turn up in any output.
    search: OnceLock<Option<Search>>,
}

struct Search {
    automaton: AhoCorasick,
    /// What is shown, by owner.
    marks: Vec<String>,
}

impl Needles {
    pub(super) fn new<'a>(secrets: impl Iterator<Item = (&'a str, BTreeSet<Vec<u8>>)>) -> Self {
        let mut owners = BTreeMap::new();
        let mut names = Vec::new();
        for (owner, (name, forms)) in secrets.enumerate() {
            names.push(name.to_owned());
            for form in forms {
                // What two secrets have in common shows the name that sorts first.
                owners.entry(form).or_insert(owner);
            }
        }
        let mut is_first = vec![false; 1 << 8];
        for first in owners.keys().filter_map(|needle| needle.first()) {
            if let Some(is_first) = is_first.get_mut(usize::from(*first)) {
                *is_first = true;
            }
        }
        Self {
            longest: owners.keys().map(Vec::len).max().unwrap_or(0),
            filter: Some(Filter::new(owners.keys().map(Vec::as_slice))),
            sorted: owners.into_iter().collect(),
            names,
            is_first,
            search: OnceLock::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// What is shown instead of a span.
    pub(super) fn mark(&self, span: &Span) -> &str {
        let marks = self.search().map(|search| &search.marks);
        let mark = marks.and_then(|marks| marks.get(span.owner));
        mark.map_or("[secret]", String::as_str)
    }

    /// Every occurrence, by start; of those that start together the longest first.
    pub(super) fn spans(&self, window: &[u8]) -> Vec<Span> {
        if !self
            .filter
            .as_ref()
            .is_some_and(|filter| filter.may_match(window))
        {
            return Vec::new();
        }
        let Some(search) = self.search() else {
            // Without a search nothing can be told apart, so nothing is shown.
            return vec![Span {
                start: 0,
                end: window.len(),
                owner: usize::MAX,
            }];
        };
        let mut spans: Vec<Span> = search
            .automaton
            .find_overlapping_iter(window)
            .map(|found| Span {
                start: found.start(),
                end: found.end(),
                owner: self.owner(found.pattern().as_usize()),
            })
            .collect();
        sort(&mut spans);
        spans
    }

    /// `None` if they are more than an automaton can hold.
    fn search(&self) -> Option<&Search> {
        let make = || {
            let total: usize = self.sorted.iter().map(|(needle, _)| needle.len()).sum();
            let automaton = AhoCorasick::builder()
                .match_kind(MatchKind::Standard)
                .kind((total <= DENSE_BYTES).then_some(AhoCorasickKind::DFA))
                .build(self.sorted.iter().map(|(needle, _)| needle))
                .inspect_err(
                    |error| tracing::error!(%error, "known secrets cannot be searched for"),
                )
                .ok()?;
            let marks = self.names.iter().map(|name| mark(name, &automaton));
            Some(Search {
                marks: marks.collect(),
                automaton,
            })
        };
        self.search.get_or_init(make).as_ref()
    }

    /// From where on the window could be the beginning of a needle that is longer than what is
    /// there; its length if from nowhere.
    pub(super) fn undecided_from(&self, window: &[u8]) -> usize {
        let earliest = window.len().saturating_sub(self.longest.saturating_sub(1));
        self.suffixes(window, earliest)
            .find(|(_, suffix)| self.longer_than(suffix).next().is_some())
            .map_or(window.len(), |(start, _)| start)
    }

    /// Adds the end of a stream that breaks off in the middle of a needle, when at least half of it
    /// is there: most of a secret is a secret too.
    pub(super) fn add_broken_off(&self, window: &[u8], spans: &mut Vec<Span>) {
        let earliest = window.len().saturating_sub(self.longest.saturating_sub(1));
        for (start, suffix) in self.suffixes(window, earliest) {
            let enough = |needle: &[u8]| suffix.len() * 2 >= needle.len();
            if suffix.len() < MIN_SECRET_BYTES {
                break;
            }
            let found = self.longer_than(suffix).find(|(needle, _)| enough(needle));
            if let Some((_, owner)) = found {
                spans.push(Span {
                    start,
                    end: window.len(),
                    owner: *owner,
                });
            }
        }
        sort(spans);
    }

    fn owner(&self, pattern: usize) -> usize {
        self.sorted
            .get(pattern)
            .map_or(usize::MAX, |(_, owner)| *owner)
    }

    /// The suffixes of the window that begin as some needle does, longest first.
    fn suffixes<'w>(
        &self,
        window: &'w [u8],
        earliest: usize,
    ) -> impl Iterator<Item = (usize, &'w [u8])> {
        (earliest..window.len()).filter_map(move |start| {
            let suffix = window.get(start..)?;
            let first = usize::from(*suffix.first()?);
            self.is_first
                .get(first)
                .is_some_and(|is| *is)
                .then_some((start, suffix))
        })
    }

    /// The needles that begin with `prefix` and go on.
    fn longer_than(&self, prefix: &[u8]) -> impl Iterator<Item = &(Vec<u8>, usize)> {
        let from = self
            .sorted
            .partition_point(|(needle, _)| needle.as_slice() <= prefix);
        self.sorted
            .iter()
            .skip(from)
            .take_while(move |(needle, _)| needle.starts_with(prefix))
    }
}

/// By start; of those that start together the longest first.
pub(super) fn sort(spans: &mut [Span]) {
    spans.sort_unstable_by_key(|span| (span.start, Reverse(span.end), span.owner));
}

/// The first of some texts in which no secret occurs: a secret may be a part of its own name.
fn mark(name: &str, automaton: &AhoCorasick) -> String {
    let allowed = |char: &char| char.is_ascii_alphanumeric() || "_-./".contains(*char);
    let name: String = name.chars().filter(allowed).take(MAX_NAME_CHARS).collect();
    [
        format!("[secret:{name}]"),
        "[secret]".to_owned(),
        "[***]".to_owned(),
    ]
    .into_iter()
    .find(|mark| !automaton.is_match(mark))
    .unwrap_or_default()
}
