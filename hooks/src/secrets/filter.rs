//! A quick answer to "could any of them be in here?", which is nearly always no.
//!
//! Wu and Manber's idea: look at two bytes at the end of a stretch as long as the shortest needle.
//! Most pairs stand in no needle at all, and then the whole stretch holds none. So most bytes are
//! never looked at, and the automaton only runs over windows where some needle begins.

/// Stretches are not longer than this: longer ones would gain nothing more.
const MAX_STRETCH: usize = 16;

/// The first bytes of all needles.
pub(super) struct Filter {
    /// The length of a stretch; at least 2.
    stretch: usize,
    /// For each pair of bytes, how far a stretch that ends with it can be moved on; 0 if it may be
    /// the beginning of a needle.
    moves: Vec<u8>,
    /// The beginnings, sorted.
    beginnings: Vec<Vec<u8>>,
}

impl Filter {
    /// A filter for needles of at least two bytes each.
    pub(super) fn new<'a>(needles: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let shortest = needles.clone().map(<[u8]>::len).min().unwrap_or(2);
        let stretch = shortest.clamp(2, MAX_STRETCH);
        let mut beginnings: Vec<Vec<u8>> = needles
            .map(|needle| needle.iter().take(stretch).copied().collect())
            .collect();
        beginnings.sort_unstable();
        beginnings.dedup();
        let furthest = u8::try_from(stretch - 1).unwrap_or(1);
        let mut moves = vec![furthest; 1 << 16];
        for beginning in &beginnings {
            for (pair, left) in beginning.windows(2).zip((0..furthest).rev()) {
                if let [first, second] = pair
                    && let Some(known) = moves.get_mut(index(*first, *second))
                {
                    *known = left.min(*known);
                }
            }
        }
        Self {
            stretch,
            moves,
            beginnings,
        }
    }

    /// Whether a needle begins in `window` and at least the first bytes of it are there.
    pub(super) fn may_match(&self, window: &[u8]) -> bool {
        let mut end = self.stretch;
        while let Some(stretch) = window.get(end - self.stretch..end) {
            let [.., first, second] = stretch else {
                return true;
            };
            let step = self
                .moves
                .get(index(*first, *second))
                .map_or(0, |step| *step);
            if step == 0 {
                let known = self
                    .beginnings
                    .binary_search_by(|beginning| beginning.as_slice().cmp(stretch));
                if known.is_ok() {
                    return true;
                }
            }
            end += usize::from(step.max(1));
        }
        false
    }
}

fn index(first: u8, second: u8) -> usize {
    usize::from(u16::from_le_bytes([first, second]))
}
