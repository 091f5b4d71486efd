//! Heads: the first bytes of an inner node's separators, as words that are searched first.
//!
//! ```text
//!   separators   "com/a"             "com/about/us"      "org"
//!   heads        com/a··· ········   com/abou t/us····   org····· ········
//! ```
//!
//! A head is one, two or four words: 8, 16 or 32 bytes of a separator without the strip, the first
//! one highest, and zeros where the separator ends. The highest bit of each pair of words, or of a
//! single one, is flipped, so that signed words, which vectors compare, have the bytes' order.
//!
//! A search counts the heads that are less than the key's. If none is equal, that is the child.
//! Otherwise the front-coded separators decide, from the first that is tied on; all of them, if a
//! head may have been filled up with zeros.
//!
//! A node's heads have as many words as pay for its separators.

use crate::tree::MAX_LEAF_BYTES;
use crate::tree::node::info::WORD_BYTES;
use crate::tree::node::simd::Compare;
use crate::tree::node::{Info, Kind};

/// The separators of a node one of whose separators may reach beyond its head before a longer head
/// pays, for nodes above leaves. Most of an index is in these.
const SEPARATORS_PER_TIE: usize = 5;
/// As above, for other nodes.
const SEPARATORS_PER_TIE_ABOVE: usize = 50;

/// Returns a word of the head of a separator or key, which are without the strip.
#[inline(always)]
pub(crate) fn word(key: &[u8], i: usize) -> i64 {
    let at = WORD_BYTES * i;
    let word = match key.get(at..at + WORD_BYTES) {
        Some(bytes) => u64::from_be_bytes(bytes.try_into().unwrap()),
        None => padded(key.get(at..).unwrap_or_default()),
    };
    (if i.is_multiple_of(2) { word ^ 1 << 63 } else { word }).cast_signed()
}

/// Returns fewer than 8 bytes as a word, the first one highest.
#[inline(never)]
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

/// Returns how many words of each head pay for a node that is narrow, whose keys have these lengths
/// without the strip.
pub(crate) fn words(kind: Kind, info: Info, lens: impl Iterator<Item = usize> + Clone) -> usize {
    let per_tie = match kind {
        Kind::Leaf => return 0,
        Kind::Parent => SEPARATORS_PER_TIE,
        Kind::Inner => SEPARATORS_PER_TIE_ABOVE,
    };
    let (n, room) = (info.count(), MAX_LEAF_BYTES.saturating_sub(info.size_without_heads()));
    let ties = |words: usize| lens.clone().filter(|&len| len >= WORD_BYTES * words).count();
    // The pool has pages for cells as large as a leaf's.
    let fits = |&words: &usize| words == 1 || WORD_BYTES * words * n <= room;
    let costs = [1, 2, 4].into_iter().filter(fits);
    costs.min_by_key(|&words| per_tie * ties(words) + words * n).unwrap_or(1)
}

/// What the heads tell of a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// As many separators are at most the key.
    Child(usize),
    /// The separators before this one are less than the key. It shares all bytes of its head with
    /// the key, and does not end before.
    Tied(usize),
    /// A head that ends with a zero is equal: the separator or the key may end there.
    Unknown,
}

/// Searches the heads of a node, which has some, for a key without the strip.
#[inline(always)]
pub(crate) fn find<C: Compare>(heads: &[i64], info: Info, key: &[u8]) -> Found {
    match info.head_words() {
        1 => find_among::<C, 1>(heads, [word(key, 0)]),
        2 => find_among::<C, 2>(heads, [word(key, 0), word(key, 1)]),
        _ => find_among::<C, 4>(heads, [word(key, 0), word(key, 1), word(key, 2), word(key, 3)]),
    }
}

#[inline(always)]
fn find_among<C: Compare, const N: usize>(heads: &[i64], head: [i64; N]) -> Found {
    let (heads, _) = heads.as_chunks::<N>();
    let less = C::count_less(heads, head);
    if heads.get(less) != Some(&head) {
        Found::Child(less)
    } else if head[N - 1].trailing_zeros() >= u8::BITS {
        Found::Unknown
    } else {
        Found::Tied(less)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::node::simd;
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
            words in prop_oneof![Just(1usize), Just(2), Just(4)],
        ) {
            let n = separators.len();
            let heads: Vec<i64> =
                separators.iter().flat_map(|key| (0..words).map(|i| word(key, i))).collect();
            let info = Info::narrow(Kind::Inner, n, 0, 0, false).with_head_words(words);
            let bytes = WORD_BYTES * words;
            let separators: Vec<_> = separators.into_iter().collect();
            match find::<simd::ByWords>(&heads, info, &key) {
                Found::Child(at) => {
                    prop_assert_eq!(at, separators.iter().filter(|&other| *other <= key).count());
                }
                Found::Tied(at) => {
                    prop_assert!(key.len() >= bytes);
                    prop_assert_eq!(separators[at].get(..bytes), key.get(..bytes));
                    prop_assert!(at == 0 || separators[at - 1][..] < key[..bytes]);
                }
                Found::Unknown => prop_assert!(key.get(bytes - 1).is_none_or(|&b| b == 0)),
            }
        }
    }

    #[test]
    fn longer_heads_pay_if_many_separators_are_long() {
        let words = |kind, lens: &[usize]| {
            let rest = lens.iter().map(|len| len - 1).sum();
            words(kind, Info::narrow(kind, lens.len(), rest, 0, false), lens.iter().copied())
        };
        assert_eq!(words(Kind::Leaf, &[20; 10]), 0);
        assert_eq!(words(Kind::Parent, &[3; 10]), 1);
        assert_eq!(words(Kind::Parent, &[12; 10]), 2);
        assert_eq!(words(Kind::Parent, &[3, 3, 3, 3, 3, 3, 12]), 1);
        assert_eq!(words(Kind::Inner, &[3, 3, 3, 3, 3, 3, 12]), 2);
        assert_eq!(words(Kind::Inner, &[30; 10]), 4);
        assert_eq!(words(Kind::Inner, &[200; 8]), 1);
        assert_eq!(words(Kind::Inner, &[30; 40]), 1);
    }
}
