//! Bytes behind one another, copied only if it has to be: most of an output passes its redaction as it came.

use bytes::{Bytes, BytesMut};

/// All parts in order; without a copy if only one of them is not empty.
pub(crate) fn joined(parts: impl IntoIterator<Item = Bytes>) -> Bytes {
    let mut parts = parts.into_iter().filter(|part| !part.is_empty());
    let Some(first) = parts.next() else {
        return Bytes::new();
    };
    let Some(second) = parts.next() else {
        return first;
    };
    let mut all = BytesMut::with_capacity(first.len() + second.len());
    for part in [first, second].into_iter().chain(parts) {
        all.extend_from_slice(&part);
    }
    all.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_part_is_not_copied() {
        let part = Bytes::from(vec![1, 2, 3]);
        let same = joined([Bytes::new(), part.clone(), Bytes::new()]);
        assert_eq!(same.as_ptr(), part.as_ptr());
        assert_eq!(same, part);
        assert!(joined([]).is_empty());
    }

    #[test]
    fn parts_stand_in_order() {
        let parts = ["a", "", "bc", "d"].map(|part| Bytes::from_static(part.as_bytes()));
        assert_eq!(joined(parts), "abcd");
    }
}
