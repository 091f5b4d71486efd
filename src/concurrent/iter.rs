//! Cursors and ranges over a map that other threads may change.

use super::walk::Between;
use crate::tree::{SharedCursor, SharedTree};
use crate::value::Value;
use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::ops::Bound;

/// A position in a [`ConcurrentArt`](crate::ConcurrentArt), which steps in both directions and can
/// seek any key.
///
/// It returns keys as slices of its own buffer, valid until the next step. A key that is present
/// for the whole scan is returned exactly once and in order. A key that is inserted or removed
/// during the scan may be returned or not. A returned key was present, with the returned value, at
/// a moment within the step.
///
/// **Warning:** a cursor that is kept without being stepped holds back everything that all maps
/// retire. Drop it, and seek again later.
///
/// While a cursor lives its thread is pinned. The pin is renewed every few leaves and with each
/// seek, but only if it is the thread's sole pin: a cursor that is stepped beside another cursor
/// or handle of the same thread holds memory back too. A cursor is not `Send`.
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
/// A cursor cannot outlive its map:
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
/// A key cannot outlive its step:
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

    /// Moves before the first key that is at least `key`, by one lookup.
    pub fn seek(&mut self, key: impl AsRef<[u8]>) {
        self.raw.seek(key.as_ref(), false);
    }

    /// Moves before the first key that is greater than `key`.
    pub fn seek_after(&mut self, key: impl AsRef<[u8]>) {
        self.raw.seek(key.as_ref(), true);
    }

    /// Moves before the first key of the map.
    pub fn seek_to_first(&mut self) {
        self.raw.seek(&[], false);
    }

    /// Moves after the last key of the map.
    pub fn seek_to_last(&mut self) {
        self.raw.seek_end();
    }

    /// Steps over the next key, and returns it with its value.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "the key borrows from the cursor")]
    pub fn next(&mut self) -> Option<(&[u8], V)> {
        self.raw.next().map(|(key, bits)| (key, V::from_bits(bits)))
    }

    /// Steps back over the previous key, and returns it with its value.
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

/// An iterator over the keys of a range, as copies, and their values, in ascending order.
///
/// Returned by [`ConcurrentArt::range`](crate::ConcurrentArt::range),
/// [`prefix`](crate::ConcurrentArt::prefix) and [`iter`](crate::ConcurrentArt::iter).
/// [`next_ref`](Self::next_ref) and [`next_back_ref`](Self::next_back_ref) return the same keys
/// without a copy. A step from the other end than the step before takes a lookup. The guarantees
/// are those of [`Cursor`].
///
/// **Warning:** an iterator that is kept without being stepped holds back everything that all maps
/// retire. Drop it.
///
/// An iterator cannot outlive its map:
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

    /// Returns the next key, borrowed until the next call, and its value.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from([("a", 1u64), ("b", 2)]);
    /// let mut range = map.prefix("a");
    /// assert_eq!(range.next_ref(), Some((&b"a"[..], 1)));
    /// assert_eq!(range.next_ref(), None);
    /// ```
    #[inline]
    pub fn next_ref(&mut self) -> Option<(&[u8], V)> {
        self.between.next().map(|(key, bits)| (key, V::from_bits(bits)))
    }

    /// Returns the next key from the back, borrowed until the next call, and its value.
    #[inline]
    pub fn next_back_ref(&mut self) -> Option<(&[u8], V)> {
        self.between.next_back().map(|(key, bits)| (key, V::from_bits(bits)))
    }
}

impl<V: Value> Iterator for Range<'_, V> {
    type Item = (Vec<u8>, V);

    fn next(&mut self) -> Option<Self::Item> {
        self.next_ref().map(|(key, value)| (key.to_vec(), value))
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
        self.next_back_ref().map(|(key, value)| (key.to_vec(), value))
    }
}

impl<V: Value> FusedIterator for Range<'_, V> {}

impl<V: Value> fmt::Debug for Range<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Range").finish_non_exhaustive()
    }
}
