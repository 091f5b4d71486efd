//! Heads: the first bytes of an inner node's separators, as words that are searched first.
//!
//! ```text
//!   separators   "com/a"   "com/about/us"   "org"
//!   column 0     com/a···  com/abou         org·····
//!   column 1     ········  t/us····         ········
//! ```
//!
//! A head has 8 bytes of a separator without the strip, the first one highest, and zeros where the
//! separator ends; its highest bit is flipped, so that signed words, which vectors compare, have
//! the order of the bytes. A search counts the heads of a column that are less than the key's. If
//! no head is equal, that is the child. Otherwise it goes on in the next column, among the
//! separators that are tied there. Where there is none left, the front-coded separators decide,
//! from the first that is tied on.
//!
//! A node has as many columns as pay for its separators.

use crate::tree::node::info::HEAD_BYTES;
use crate::tree::node::{Info, Kind, simd};

/// The separators of a node one of whose separators may reach beyond the heads before another
/// column pays, for nodes above leaves. Most of an index is in these.
const SEPARATORS_PER_TIE: usize = 5;
/// As above, for other nodes.
const SEPARATORS_PER_TIE_ABOVE: usize = 24;

/// Returns the head of a separator or key, both without the strip, in a column.
#[inline(always)]
pub(crate) fn head(key: &[u8], column: usize) -> i64 {
    let at = HEAD_BYTES * column;
    let word = match key.get(at..at + HEAD_BYTES) {
        Some(bytes) => u64::from_be_bytes(bytes.try_into().unwrap()),
        None => padded(key.get(at..).unwrap_or_default()),
    };
    (word ^ 1 << 63).cast_signed()
}

/// Returns fewer than 8 bytes as a word, the first one highest.
fn padded(bytes: &[u8]) -> u64 {
    let n = bytes.len();
    let half = |at: usize| u64::from(u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()));
    match n {
        0 => 0,
        1..4 => bytes.iter().fold(0, |word, &b| word << 8 | u64::from(b)) << (64 - 8 * n),
        // The halves overlap.
        _ => half(0) << 32 | half(n - 4) << (64 - 8 * n),
    }
}

/// Returns how many columns pay for `n` separators of these lengths, without the strip.
pub(crate) fn columns(
    kind: Kind,
    n: usize,
    lens: impl Iterator<Item = usize> + Clone,
) -> usize {
    let per_tie = match kind {
        Kind::Leaf => return 0,
        Kind::Parent => SEPARATORS_PER_TIE,
        Kind::Inner => SEPARATORS_PER_TIE_ABOVE,
    };
    let ties = |columns: usize| lens.clone().filter(|&len| len >= HEAD_BYTES * columns).count();
    (1..=Info::MAX_COLUMNS).min_by_key(|&c| per_tie * ties(c) + c * n).unwrap_or(0)
}

/// Returns the number of separators that are at most the key. `heads` are those of `n` separators
/// in all columns, of which there is at least one.
///
/// # Errors
/// The index of the first separator whose heads are all equal to the key's.
#[inline(always)]
pub(crate) fn find(heads: &[i64], n: usize, columns: usize, key: &[u8]) -> Result<usize, usize> {
    let (mut from, mut to, mut column) = (0, n, 0);
    loop {
        let head = head(key, column);
        let tied = &heads[n * column..][from..to];
        let less = simd::count_less(tied, head);
        if tied.get(less) != Some(&head) {
            return Ok(from + less);
        }
        column += 1;
        if column == columns {
            return Err(from + less);
        }
        if let Some(next) = head.checked_add(1) {
            to = from + simd::count_less(tied, next);
        }
        from += less;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![Just(0), Just(b'a'), Just(b'b'), Just(0xFF)];
        let tail = proptest::collection::vec(byte, 0..12);
        (prop_oneof![Just(0usize), Just(7), Just(8), Just(15), Just(24), Just(64)], tail)
            .prop_map(|(same, tail)| [&vec![b'a'; same][..], &tail].concat())
    }

    proptest! {
        #[test]
        fn heads_find_the_child_or_the_first_tied_separator(
            separators in proptest::collection::btree_set(key(), 1..64),
            key in key(),
            columns in 1..=Info::MAX_COLUMNS,
        ) {
            let heads: Vec<i64> = (0..columns)
                .flat_map(|column| separators.iter().map(move |key| head(key, column)))
                .collect();
            let padded = |key: &[u8]| {
                let mut key = key.to_vec();
                key.resize(HEAD_BYTES * columns, 0);
                key
            };
            let tied = separators.iter().position(|separator| padded(separator) == padded(&key));
            let at_most = separators.iter().filter(|separator| **separator <= key).count();
            let want = tied.map_or(Ok(at_most), Err);
            prop_assert_eq!(find(&heads, separators.len(), columns, &key), want);
        }
    }

    #[test]
    fn another_column_pays_if_many_separators_are_long() {
        let columns = |kind, lens: &[usize]| columns(kind, lens.len(), lens.iter().copied());
        assert_eq!(columns(Kind::Leaf, &[20; 10]), 0);
        assert_eq!(columns(Kind::Parent, &[3; 10]), 1);
        assert_eq!(columns(Kind::Parent, &[12; 10]), 2);
        assert_eq!(columns(Kind::Parent, &[3, 3, 3, 3, 3, 3, 12]), 1);
        assert_eq!(columns(Kind::Inner, &[3, 3, 3, 3, 3, 3, 12]), 2);
        assert_eq!(columns(Kind::Inner, &[10_000; 10]), 1);
    }
}
