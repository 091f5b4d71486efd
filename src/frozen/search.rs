//! Search by an automaton, with both codecs.
//!
//! The automaton's state before each byte of the current key is kept, so only the bytes that the
//! next key does not share are fed to it. When a state cannot match any more, all keys with the
//! same beginning are skipped. In transducers (fst_walk.rs) that is a branch not taken. In packed
//! blocks, keys are skipped by their lcps up to the end of the block, and then by a search for the
//! least string that the automaton does not exclude.
//!
//! A range of keys is one of ranks: two lookups find where a search begins and ends.

use super::Automaton;
use super::automaton_path::AutomatonPath;
use super::codec::Codec;
use super::cursor::FrozenCursor;
use super::frozen_layer::FrozenLayer;
use super::fst_walk::FstWalk;
use super::layer_value::LayerValue;
use crate::key;
use std::fmt;
use std::ops::{Range, RangeBounds};

/// An iterator over the keys that an automaton matches, in ascending order, with their values.
///
/// Returned by [`FrozenLayer::search`] and [`FrozenLayer::search_range`].
pub struct FrozenSearch<'a, A: Automaton, V: ?Sized = u64> {
    /// The last key, up to the byte after which it could not match any more.
    path: AutomatonPath<A>,
    walk: Walk<'a, V>,
    /// The last value that is a decoded byte string.
    value: Vec<u8>,
}

enum Walk<'a, V: ?Sized> {
    Packed(PackedWalk<'a, V>),
    Fst(FstWalk<'a>),
}

/// A walk through packed blocks.
struct PackedWalk<'a, V: ?Sized> {
    cursor: FrozenCursor<'a, V>,
    /// The rank at which the search ends.
    end: usize,
    /// Whether the next key's lcp is relative to the path.
    follows: bool,
}

impl<V: LayerValue + ?Sized> FrozenLayer<V> {
    /// Returns an iterator over the keys that an automaton matches, in ascending order, with their
    /// values.
    ///
    /// The automaton can be any of the `fst` crate, such as prefixes, subsequences, edit distances
    /// and unions of them, or any other implementation of its trait. Parts of the layer that
    /// [`can_match`](Automaton::can_match) excludes are not decoded.
    ///
    /// # Examples
    ///
    /// ```
    /// use fst::automaton::{Automaton, Str, Subsequence};
    ///
    /// let layer = memkv::FrozenLayer::from_sorted(&[("abc", 1), ("axbxc", 2), ("b", 3)])?;
    /// assert!(layer.search(Subsequence::new("abc")).map(|(_, value)| value).eq([1, 2]));
    /// assert!(layer.search(Str::new("ax").starts_with()).map(|(key, _)| key).eq([b"axbxc"]));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn search<A: Automaton>(&self, automaton: A) -> FrozenSearch<'_, A, V> {
        self.search_range::<A, [u8], _>(automaton, ..)
    }

    /// Returns an iterator like [`search`](Self::search) over the matches in a range of byte
    /// strings.
    ///
    /// A range that ends before it begins is empty.
    ///
    /// # Complexity
    /// Two lookups find the first and the last key of the range. No key outside it is searched.
    ///
    /// # Examples
    ///
    /// ```
    /// use fst::automaton::Subsequence;
    ///
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a1", 1), ("b1", 2), ("b2", 3), ("c1", 4)])?;
    /// let found = layer.search_range(Subsequence::new("1"), "b"..);
    /// assert!(found.map(|(key, _)| key).eq([b"b1", b"c1"]));
    /// let found = layer.search_range(Subsequence::new("1"), "b"..="b2");
    /// assert!(found.map(|(_, value)| value).eq([2]));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn search_range<A, K, R>(&self, automaton: A, range: R) -> FrozenSearch<'_, A, V>
    where
        A: Automaton,
        K: AsRef<[u8]> + ?Sized,
        R: RangeBounds<K>,
    {
        let (start, end) = key::bounds(&range);
        let (from, to) = self.ranks_between(start, end);
        self.search_ranks(automaton, from..to)
    }

    /// Returns an iterator over the matches in a range of ranks.
    pub(crate) fn search_ranks<A: Automaton>(
        &self,
        automaton: A,
        ranks: Range<usize>,
    ) -> FrozenSearch<'_, A, V> {
        let walk = match self.codec() {
            Codec::Packed => Walk::Packed(PackedWalk {
                cursor: FrozenCursor::at(&self.layer, ranks.start),
                end: ranks.end,
                follows: false,
            }),
            Codec::Fst => Walk::Fst(FstWalk::new(&self.layer, ranks)),
        };
        FrozenSearch { path: AutomatonPath::new(automaton), walk, value: Vec::new() }
    }
}

impl<A: Automaton, V: LayerValue + ?Sized> FrozenSearch<'_, A, V> {
    /// Returns the next key that matches, borrowed until the next call, and its value.
    pub fn next_ref(&mut self) -> Option<(&[u8], V::Lent<'_>)> {
        match &mut self.walk {
            Walk::Packed(walk) => walk.next(&mut self.path),
            Walk::Fst(walk) => {
                let (key, at) = walk.next(&mut self.path)?;
                Some((key, V::lend(at, &mut self.value)?))
            }
        }
    }

    /// Returns the rank after the last match, from which another search can go on.
    #[cfg(feature = "sets")]
    pub(crate) fn rank(&self) -> usize {
        match &self.walk {
            Walk::Packed(walk) => walk.cursor.rank(),
            Walk::Fst(walk) => walk.rank(),
        }
    }
}

impl<V: LayerValue + ?Sized> PackedWalk<'_, V> {
    fn next<A: Automaton>(&mut self, path: &mut AutomatonPath<A>) -> Option<(&[u8], V::Lent<'_>)> {
        loop {
            if !path.can_match_from_start()? || self.cursor.rank() >= self.end {
                return None;
            }
            let (lcp, key) = self.cursor.peek_shared()?;
            let shared = if self.follows {
                lcp.min(path.key().len())
            } else {
                crate::tree::common_prefix(path.key(), key)
            };
            path.truncate(shared);
            if !key[shared..].iter().all(|&byte| path.push(byte)) {
                self.pass(path);
                continue;
            }
            self.follows = true;
            if path.is_match() {
                return self.cursor.next();
            }
            self.cursor.seek_to_rank(self.cursor.rank() + 1);
        }
    }

    /// Skips the keys that begin with the path, which is excluded.
    fn pass<A: Automaton>(&mut self, path: &mut AutomatonPath<A>) {
        let after = self.cursor.rank() + 1;
        self.cursor.seek_to_rank(after);
        if self.cursor.skip_shared(path.key().len()) {
            self.follows = true;
        } else if path.skip() {
            self.cursor.seek_within(path.key(), after..self.end);
            self.follows = false;
        } else {
            self.cursor.seek_to_rank(usize::MAX);
        }
    }
}

impl<A: Automaton, V: LayerValue + ?Sized> Iterator for FrozenSearch<'_, A, V> {
    type Item = (Vec<u8>, V::Owned);

    fn next(&mut self) -> Option<Self::Item> {
        self.next_ref().map(|(key, value)| (key.to_vec(), V::own(value)))
    }
}

impl<A: Automaton, V: ?Sized> fmt::Debug for FrozenSearch<'_, A, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrozenSearch")
            .field("key", &format_args!("\"{}\"", self.path.key().escape_ascii()))
            .finish_non_exhaustive()
    }
}
