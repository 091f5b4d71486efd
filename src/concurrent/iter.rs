//! Cursors and ranges over a map that others change meanwhile.

use super::walk::Between;
use crate::tree::{SharedCursor, SharedTree};
use crate::value::Value;
use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::ops::Bound;

/// A position in a [`ConcurrentArt`](crate::ConcurrentArt), which steps in both directions and goes to any key.
///
/// It lends keys out of its own buffer, valid until the next step. A key that is there for the whole of a scan is lent exactly once and in
/// order; one that comes or goes meanwhile may be or not. What is lent is there, with that value, at a moment
/// within the step.
///
/// While it lives its thread is pinned, so that what it reads is not freed; it pins anew every few leaves and with each seek. One
/// that is kept without stepping holds back what all maps retire: drop it instead, and seek again. So does one that is stepped while the same
/// thread has another pin, of a handle or another cursor: only a thread's sole pin can be renewed. It is not `Send`.
///
/// ```
/// let map = memkv::ConcurrentArt::from([("a", 1u64), ("b", 2), ("c", 3)]);
/// let mut cursor = map.cursor();
/// cursor.seek("b");
/// map.insert("bb", 22);
/// assert_eq!(cursor.next(), Some((&b"b"[..], 2)));
/// assert_eq!(cursor.prev(), Some((&b"b"[..], 2)));
/// assert_eq!(cursor.prev(), Some((&b"a"[..], 1)));
/// ```
///
/// It cannot outlive its map:
///
/// ```compile_fail,E0505
/// let map = memkv::ConcurrentArt::from([("a", 1u64)]);
/// let mut cursor = map.cursor();
/// drop(map);
/// assert!(cursor.next().is_some());
/// ```
///
/// ```
/// let map = memkv::ConcurrentArt::from([("a", 1u64)]);
/// let mut cursor = map.cursor();
/// assert!(cursor.next().is_some());
/// drop(cursor);
/// drop(map);
/// ```
///
/// Nor can a key outlive the step:
///
/// ```compile_fail,E0499
/// let map = memkv::ConcurrentArt::from([("a", 1u64), ("b", 2)]);
/// let mut cursor = map.cursor();
/// let first = cursor.next();
/// cursor.next();
/// assert!(first.is_some());
/// ```
///
/// ```
/// let map = memkv::ConcurrentArt::from([("a", 1u64), ("b", 2)]);
/// let mut cursor = map.cursor();
/// let first = cursor.next();
/// assert!(first.is_some());
/// cursor.next();
/// ```
pub struct Cursor<'m, V: Value> {
    raw: SharedCursor<'m, V::Bits>,
}

impl<'m, V: Value> Cursor<'m, V> {
    pub(super) fn new(tree: &'m SharedTree<V::Bits>) -> Self {
        let mut cursor = Cursor { raw: SharedCursor::new(tree) };
        cursor.seek_to_first();
        cursor
    }

    /// Goes before the first key that is at least `key`. One lookup.
    pub fn seek(&mut self, key: impl AsRef<[u8]>) {
        self.raw.seek(key.as_ref(), false);
    }

    /// Goes before the first key that is greater than `key`.
    pub fn seek_after(&mut self, key: impl AsRef<[u8]>) {
        self.raw.seek(key.as_ref(), true);
    }

    /// Goes before the first key of all.
    pub fn seek_to_first(&mut self) {
        self.raw.seek(&[], false);
    }

    /// Goes behind the last key of all.
    pub fn seek_to_last(&mut self) {
        self.raw.seek_end();
    }

    /// Steps over the next key, and lends it with its value.
    #[inline]
    #[expect(
        clippy::should_implement_trait,
        reason = "what it lends lives until the next step only"
    )]
    pub fn next(&mut self) -> Option<(&[u8], V)> {
        self.raw.next().map(|(key, bits)| (key, V::from_bits(bits)))
    }

    /// Steps back over the key before, and lends it with its value.
    #[inline]
    pub fn prev(&mut self) -> Option<(&[u8], V)> {
        self.raw.previous().map(|(key, bits)| (key, V::from_bits(bits)))
    }
}

impl<V: Value> fmt::Debug for Cursor<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor").finish_non_exhaustive()
    }
}

/// The keys inside a range, as copies, with their values; ascending, from the back descending. From
/// [`ConcurrentArt::range`](crate::ConcurrentArt::range), [`prefix`](crate::ConcurrentArt::prefix) and [`iter`](crate::ConcurrentArt::iter).
///
/// What it yields while others change the map, and what it holds back, is said at [`Cursor`]. [`lend`](Self::lend) and
/// [`lend_back`](Self::lend_back) give the same keys without a copy. A step from the other end than the one before takes a lookup.
///
/// It cannot outlive its map:
///
/// ```compile_fail,E0505
/// let map = memkv::ConcurrentArt::from([("a", 1u64)]);
/// let mut range = map.iter();
/// drop(map);
/// assert!(range.next().is_some());
/// ```
///
/// ```
/// let map = memkv::ConcurrentArt::from([("a", 1u64)]);
/// let mut range = map.iter();
/// assert!(range.next().is_some());
/// drop(range);
/// drop(map);
/// ```
pub struct Range<'m, V: Value> {
    between: Between<SharedCursor<'m, V::Bits>>,
    values: PhantomData<V>,
}

impl<'m, V: Value> Range<'m, V> {
    pub(super) fn new(
        tree: &'m SharedTree<V::Bits>,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
    ) -> Self {
        Range { between: Between::new(SharedCursor::new(tree), start, end), values: PhantomData }
    }

    pub(super) fn prefix(tree: &'m SharedTree<V::Bits>, prefix: &[u8]) -> Self {
        Range { between: Between::prefix(SharedCursor::new(tree), prefix), values: PhantomData }
    }

    /// The next key, lent until the next call, and its value.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from([("a", 1u64), ("b", 2)]);
    /// let mut range = map.prefix("a");
    /// assert_eq!(range.lend(), Some((&b"a"[..], 1)));
    /// assert_eq!(range.lend(), None);
    /// ```
    #[inline]
    pub fn lend(&mut self) -> Option<(&[u8], V)> {
        self.between.next().map(|(key, bits)| (key, V::from_bits(bits)))
    }

    /// The next key from the back, lent until the next call, and its value.
    #[inline]
    pub fn lend_back(&mut self) -> Option<(&[u8], V)> {
        self.between.next_back().map(|(key, bits)| (key, V::from_bits(bits)))
    }
}

impl<V: Value> Iterator for Range<'_, V> {
    type Item = (Vec<u8>, V);

    fn next(&mut self) -> Option<Self::Item> {
        self.lend().map(|(key, value)| (key.to_vec(), value))
    }

    fn count(self) -> usize {
        self.between.count()
    }

    fn last(mut self) -> Option<Self::Item> {
        self.next_back()
    }
}

impl<V: Value> DoubleEndedIterator for Range<'_, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.lend_back().map(|(key, value)| (key.to_vec(), value))
    }
}

impl<V: Value> FusedIterator for Range<'_, V> {}

impl<V: Value> fmt::Debug for Range<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Range").finish_non_exhaustive()
    }
}
