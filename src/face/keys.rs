//! The keys and the values of a range, as iterators of their own.

use super::range::{Ends, OwnedEnds, Range};
use std::fmt;
use std::iter::FusedIterator;

/// An iterator over the keys of a map, as copies, in ascending order; from the back, in descending
/// order.
///
/// Its guarantees are those of the map's [`Range`](super::Range).
///
/// ```
/// let map = memkv::ConcurrentArt::from([("b", 2u64), ("a", 1)]);
/// assert!(map.keys().eq([b"a", b"b"]));
/// assert!(map.keys().rev().eq([b"b", b"a"]));
/// ```
#[derive(Clone)]
pub struct Keys<E> {
    ends: E,
}

/// An iterator over the values of a map, in the order of their keys.
///
/// Its guarantees are those of the map's [`Range`](super::Range).
///
/// ```
/// let map = memkv::ConcurrentArt::from([("b", 2u64), ("a", 1)]);
/// assert!(map.values().eq([1, 2]));
/// assert!(map.values().rev().eq([2, 1]));
/// ```
#[derive(Clone)]
pub struct Values<E> {
    ends: E,
}

impl<E: Ends> Keys<E> {
    pub(crate) fn new(range: Range<E>) -> Self {
        Keys { ends: range.ends }
    }

    /// Returns the next key, borrowed until the next call.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from([("b", 2u64), ("a", 1)]);
    /// let mut keys = map.keys();
    /// assert_eq!(keys.next_ref(), Some(&b"a"[..]));
    /// ```
    #[inline]
    pub fn next_ref(&mut self) -> Option<&[u8]> {
        self.ends.step_key(false)
    }

    /// Returns the next key from the back, borrowed until the next call.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from([("b", 2u64), ("a", 1)]);
    /// let mut keys = map.keys();
    /// assert_eq!(keys.next_back_ref(), Some(&b"b"[..]));
    /// ```
    #[inline]
    pub fn next_back_ref(&mut self) -> Option<&[u8]> {
        self.ends.step_key(true)
    }
}

impl<E: OwnedEnds> Values<E> {
    pub(crate) fn new(range: Range<E>) -> Self {
        Values { ends: range.ends }
    }
}

impl<E: Ends> Iterator for Keys<E> {
    type Item = Vec<u8>;

    #[inline]
    fn next(&mut self) -> Option<Vec<u8>> {
        self.ends.step_key(false).map(<[u8]>::to_vec)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ends.size_hint()
    }

    fn nth(&mut self, n: usize) -> Option<Vec<u8>> {
        self.ends.skip(n, false);
        self.next()
    }

    fn count(self) -> usize {
        self.ends.count()
    }

    fn last(mut self) -> Option<Vec<u8>> {
        self.next_back()
    }

    fn min(mut self) -> Option<Vec<u8>> {
        self.next()
    }

    fn max(mut self) -> Option<Vec<u8>> {
        self.next_back()
    }
}

impl<E: Ends> DoubleEndedIterator for Keys<E> {
    #[inline]
    fn next_back(&mut self) -> Option<Vec<u8>> {
        self.ends.step_key(true).map(<[u8]>::to_vec)
    }

    fn nth_back(&mut self, n: usize) -> Option<Vec<u8>> {
        self.ends.skip(n, true);
        self.next_back()
    }
}

impl<E: OwnedEnds> Iterator for Values<E> {
    type Item = E::Owned;

    #[inline]
    fn next(&mut self) -> Option<E::Owned> {
        self.ends.step(false).map(|(_, value)| E::own(value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ends.size_hint()
    }

    fn nth(&mut self, n: usize) -> Option<E::Owned> {
        self.ends.skip(n, false);
        self.next()
    }

    fn count(self) -> usize {
        self.ends.count()
    }

    fn last(mut self) -> Option<E::Owned> {
        self.next_back()
    }
}

impl<E: OwnedEnds> DoubleEndedIterator for Values<E> {
    #[inline]
    fn next_back(&mut self) -> Option<E::Owned> {
        self.ends.step(true).map(|(_, value)| E::own(value))
    }

    fn nth_back(&mut self, n: usize) -> Option<E::Owned> {
        self.ends.skip(n, true);
        self.next_back()
    }
}

impl<E: Ends> FusedIterator for Keys<E> {}

impl<E: OwnedEnds> FusedIterator for Values<E> {}

impl<E: Ends + Clone> fmt::Debug for Keys<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut list, mut ends) = (f.debug_list(), self.ends.clone());
        while let Some(key) = ends.step_key(false) {
            list.entry(&format_args!("\"{}\"", key.escape_ascii()));
        }
        list.finish()
    }
}

impl<E: OwnedEnds<Owned: fmt::Debug> + Clone> fmt::Debug for Values<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}
