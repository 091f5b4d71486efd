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
//! separators that are tied. Where there is none left, the front-coded separators decide, from the
//! first that is tied on; all of them, if an equal head may have been filled up with zeros.
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

/// What the heads tell of a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// As many separators are at most the key.
    Child(usize),
    /// The separators before this one are less than the key. It shares all bytes of its heads with
    /// the key, and does not end before.
    Tied(usize),
    /// A head that ends with a zero is equal: the separator or the key may end there.
    Unknown,
}

/// Searches the first column of a node, which has one, for a key without the strip.
///
/// # Errors
/// The first separator whose head equals the key's.
#[inline(always)]
pub(crate) fn find_in_first(
    heads: &[i64],
    info: Info,
    key: &[u8],
    count_less: impl Fn(&[i64], i64) -> usize,
) -> Result<usize, usize> {
    let (heads, head) = (&heads[..info.count()], head(key, 0));
    let less = count_less(heads, head);
    if heads.get(less) == Some(&head) { Err(less) } else { Ok(less) }
}

/// Searches the other columns, where the separator at `from` is the first one whose head equals
/// that of the key in the first column. The lcps and first bytes of the separators begin at
/// `payload`.
#[inline(always)]
pub(crate) fn find_in_others(
    heads: &[i64],
    payload: &[u8],
    info: Info,
    key: &[u8],
    mut from: usize,
) -> Found {
    let n = info.count();
    for column in 1.. {
        let m = HEAD_BYTES * column;
        if key.get(m - 1).is_none_or(|&last| last == 0) {
            return Found::Unknown;
        }
        if column == info.columns() {
            break;
        }
        let to = end_of_tied(payload, n, from, m);
        let (tied, head) = (&heads[n * column..][from..to], head(key, column));
        let less = simd::count_less(tied, head);
        from += less;
        if tied.get(less) != Some(&head) {
            return Found::Child(from);
        }
    }
    Found::Tied(from)
}

/// Returns the first separator after `from` that shares fewer than `m` bytes with the one before.
#[inline(always)]
fn end_of_tied(payload: &[u8], n: usize, from: usize, m: usize) -> usize {
    for block in (from + 1..n).step_by(simd::LANES) {
        let fewer = simd::candidates(payload, block, n + block, m as u8 - 1, 0).any;
        if fewer != 0 {
            return n.min(block + fewer.trailing_zeros() as usize);
        }
    }
    n
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
            let separators: Vec<_> = separators.into_iter().collect();
            let n = separators.len();
            let heads: Vec<i64> = (0..columns)
                .flat_map(|column| separators.iter().map(move |key| head(key, column)))
                .collect();
            let lcp = |i: usize| simd::common_prefix(&separators[i], &separators[i.max(1) - 1]);
            let mut payload: Vec<u8> = (0..n).map(|i| if i == 0 { 0 } else { lcp(i) as u8 }).collect();
            payload.resize(2 * n + simd::LANES, 0);
            let info = Info::narrow(Kind::Inner, n, 0, 0, false).with_columns(columns);
            let bytes = HEAD_BYTES * columns;
            let at_most = separators.iter().filter(|separator| **separator <= key).count();
            let found = match find_in_first(&heads, info, &key, simd::count_less) {
                Ok(at) => Found::Child(at),
                Err(at) => find_in_others(&heads, &payload, info, &key, at),
            };
            match found {
                Found::Child(at) => prop_assert_eq!(at, at_most),
                Found::Tied(at) => {
                    prop_assert_eq!(separators[at].get(..bytes), key.get(..bytes));
                    prop_assert!(key.len() >= bytes);
                    prop_assert!(at == 0 || separators[at - 1][..] < key[..bytes]);
                }
                Found::Unknown => prop_assert!(
                    key.len() < bytes || (1..=columns).any(|c| key[HEAD_BYTES * c - 1] == 0)
                ),
            }
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
