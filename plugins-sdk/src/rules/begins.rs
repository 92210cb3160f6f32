//! What a match may begin with: a table of byte pairs that passes over ordinary text without a walk.
//!
//! Most of the time of a redactor is spent here. So only every second position is looked at: a match that begins there shows its
//! first two bytes, and one that begins just before it shows its second and third.

use core::ops::RangeInclusive;

/// How many bytes are judged together: a branch for each pair would cost more than to look at all.
const BLOCK: usize = 16;

/// Of a pair: it may be the first two bytes of a match.
const FIRST: u8 = 1;
/// It may be the second and the third, or what stands there behind a shorter match.
const SECOND: u8 = 2;
const ROLE_BITS: u32 = 2;

/// The roles of each pair of bytes.
pub(super) struct Begins(Box<[u8; 1 << 16]>);

impl core::fmt::Debug for Begins {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let pairs = self.0.iter().filter(|roles| **roles != 0).count();
        f.debug_tuple("Begins").field(&pairs).finish()
    }
}

impl Begins {
    pub(super) fn new() -> Self {
        Self(Box::new([0; 1 << 16]))
    }

    /// A match may begin with any of these bytes before any of those.
    pub(super) fn add_first(&mut self, these: RangeInclusive<u8>, those: RangeInclusive<u8>) {
        self.add(FIRST, these, those);
    }

    /// A match may go on, after its first byte, with any of these bytes before any of those.
    pub(super) fn add_second(&mut self, these: RangeInclusive<u8>, those: RangeInclusive<u8>) {
        self.add(SECOND, these, those);
    }

    fn add(&mut self, role: u8, these: RangeInclusive<u8>, those: RangeInclusive<u8>) {
        for a in these {
            for b in those.clone() {
                if let Some(roles) = self.0.get_mut(index([a, b])) {
                    *roles |= role;
                }
            }
        }
    }

    /// The first position from `from` on where a match may begin. The last bytes count whatever may follow.
    pub(super) fn find(&self, bytes: &[u8], from: usize) -> Option<usize> {
        let mut at = from;
        while let Some(block) = bytes.get(at..)?.first_chunk::<BLOCK>() {
            let (pairs, _) = block.as_chunks();
            let roles = pairs.iter().rev().map(|&pair| u32::from(self.roles(pair)));
            let mut hits = roles.fold(0, |hits, roles| hits << ROLE_BITS | roles);
            while hits != 0 {
                let pair = hits.trailing_zeros() / ROLE_BITS;
                let here = at + 2 * pair as usize;
                for start in here.saturating_sub(1).max(from)..=here {
                    if self.holds(bytes, start) {
                        return Some(start);
                    }
                }
                hits &= !(0b11 << (pair * ROLE_BITS));
            }
            at += BLOCK;
        }
        let mut rest = at.saturating_sub(1).max(from)..bytes.len();
        rest.find(|&start| self.holds(bytes, start))
    }

    fn holds(&self, bytes: &[u8], start: usize) -> bool {
        match bytes.get(start..) {
            Some(&[a, b, c, ..]) => self.is([a, b], FIRST) && self.is([b, c], SECOND),
            Some(&[a, b]) => self.is([a, b], FIRST),
            Some(&[a]) => (0..=u8::MAX).any(|b| self.is([a, b], FIRST)),
            _ => false,
        }
    }

    fn is(&self, pair: [u8; 2], role: u8) -> bool {
        self.roles(pair) & role != 0
    }

    #[inline]
    fn roles(&self, pair: [u8; 2]) -> u8 {
        self.0.get(index(pair)).copied().unwrap_or_default()
    }
}

#[inline]
fn index(pair: [u8; 2]) -> usize {
    usize::from(u16::from_le_bytes(pair))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_find_what_looking_at_each_position_finds() {
        let mut begins = Begins::new();
        begins.add_first(b'a'..=b'b', b'c'..=b'c');
        begins.add_second(b'c'..=b'c', b'a'..=b'b');
        begins.add_second(b'd'..=b'd', b'd'..=b'd');
        let mut state = 11_u32;
        let mut text = Vec::new();
        for _ in 0..4000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.extend(b"abcdxxxx".get((state >> 28) as usize / 2));
        }
        let mut found = 0;
        for (from, len) in
            (0..text.len()).zip([0, 1, 2, 15, 16, 17, 18, 31, 33, 47, 200].iter().cycle())
        {
            let bytes = &text[..text.len().min(from + len)];
            let each = (from..bytes.len()).find(|&start| begins.holds(bytes, start));
            assert_eq!(begins.find(bytes, from), each, "{len} bytes from {from}");
            found += usize::from(each.is_some());
        }
        assert!(
            (500..3500).contains(&found),
            "{found} of 4000 searches found something"
        );
    }
}
