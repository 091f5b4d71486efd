//! Cursors and ranges over a map that other threads may change, and the owning iterator.

use crate::concurrent::Between;
use crate::tree::{Drain, ValueCursor, ValueTree};
use std::fmt;
use std::iter::FusedIterator;

/// A position in a [`ConcurrentArenaArt`](crate::ConcurrentArenaArt), which steps in both
/// directions and can seek any key.
///
/// It returns keys and values that are borrowed until the next step. Its guarantees are those of
/// the [`Cursor`](crate::concurrent::Cursor) of a `ConcurrentArt`.
///
/// **Warning:** a cursor that is kept without being stepped holds back everything that all maps
/// retire. Drop it, and seek again later.
///
/// ```
/// let map = memkv::ConcurrentArenaArt::from([("a", "x"), ("b", "y")]);
/// let mut cursor = map.cursor();
/// assert_eq!(cursor.next(), Some((&b"a"[..], &"x")));
/// assert_eq!(cursor.prev(), Some((&b"a"[..], &"x")));
/// ```
///
/// A value does not outlive the step:
///
/// ```compile_fail,E0499
/// let map = memkv::ConcurrentArenaArt::from([("a", "x"), ("b", "y")]);
/// let mut cursor = map.cursor();
/// let first = cursor.next();
/// cursor.next();
/// assert!(first.is_some());
/// ```
///
/// ```
/// let map = memkv::ConcurrentArenaArt::from([("a", "x"), ("b", "y")]);
/// let mut cursor = map.cursor();
/// let first = cursor.next();
/// assert!(first.is_some());
/// cursor.next();
/// ```
pub struct Cursor<'m, T: Send + Sync + 'static> {
    raw: ValueCursor<'m, T>,
}

impl<'m, T: Send + Sync + 'static> Cursor<'m, T> {
    pub(super) fn new(tree: &'m ValueTree<T>) -> Self {
        let mut cursor = Cursor { raw: ValueCursor::new(tree) };
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
    pub fn next(&mut self) -> Option<(&[u8], &T)> {
        self.raw.next()
    }

    /// Steps back over the previous key, and returns it with its value.
    #[inline]
    pub fn prev(&mut self) -> Option<(&[u8], &T)> {
        self.raw.previous()
    }
}

impl<T: Send + Sync + 'static> fmt::Debug for Cursor<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor").finish_non_exhaustive()
    }
}

/// An iterator over the keys of a range and their values, in ascending order.
///
/// Returned by [`ConcurrentArenaArt::range`](crate::ConcurrentArenaArt::range),
/// [`prefix`](crate::ConcurrentArenaArt::prefix) and [`iter`](crate::ConcurrentArenaArt::iter).
/// [`next_ref`](Self::next_ref) and [`next_back_ref`](Self::next_back_ref) return pairs that are
/// borrowed until the next call. As an iterator it returns copies, if `T` is [`Clone`]. The
/// guarantees are those of [`Cursor`].
///
/// **Warning:** an iterator that is kept without being stepped holds back everything that all maps
/// retire. Drop it.
pub struct Range<'m, T: Send + Sync + 'static> {
    between: Between<ValueCursor<'m, T>>,
}

impl<'m, T: Send + Sync + 'static> Range<'m, T> {
    pub(super) fn new(between: Between<ValueCursor<'m, T>>) -> Self {
        Range { between }
    }

    /// Returns the next key and its value, borrowed until the next call.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", "x"), ("b", "y")]);
    /// let mut range = map.prefix("a");
    /// assert_eq!(range.next_ref(), Some((&b"a"[..], &"x")));
    /// assert_eq!(range.next_ref(), None);
    /// ```
    #[inline]
    pub fn next_ref(&mut self) -> Option<(&[u8], &T)> {
        self.between.next()
    }

    /// Returns the next key from the back and its value, borrowed until the next call.
    #[inline]
    pub fn next_back_ref(&mut self) -> Option<(&[u8], &T)> {
        self.between.next_back()
    }

    /// Returns the number of keys left, in O(keys).
    pub fn count(self) -> usize {
        self.between.count()
    }
}

impl<T: Clone + Send + Sync + 'static> Iterator for Range<'_, T> {
    type Item = (Vec<u8>, T);

    fn next(&mut self) -> Option<Self::Item> {
        self.next_ref().map(|(key, value)| (key.to_vec(), value.clone()))
    }

    fn count(self) -> usize {
        self.between.count()
    }

    fn last(mut self) -> Option<Self::Item> {
        self.next_back()
    }
}

impl<T: Clone + Send + Sync + 'static> DoubleEndedIterator for Range<'_, T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.next_back_ref().map(|(key, value)| (key.to_vec(), value.clone()))
    }
}

impl<T: Clone + Send + Sync + 'static> FusedIterator for Range<'_, T> {}

impl<T: Send + Sync + 'static> fmt::Debug for Range<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Range").finish_non_exhaustive()
    }
}

/// An owning iterator over a map's keys, as copies, and values. Returned by the `IntoIterator` of
/// [`ConcurrentArenaArt`](crate::ConcurrentArenaArt).
///
/// Dropping it drops the values that are left.
pub struct IntoIter<T: Send + Sync + 'static> {
    drain: Drain<T>,
}

impl<T: Send + Sync + 'static> IntoIter<T> {
    pub(super) fn new(tree: ValueTree<T>) -> Self {
        IntoIter { drain: tree.into_drain() }
    }
}

impl<T: Send + Sync + 'static> Iterator for IntoIter<T> {
    type Item = (Vec<u8>, T);

    fn next(&mut self) -> Option<Self::Item> {
        self.drain.next().map(|(key, value)| (key.to_vec(), value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.drain.left(), Some(self.drain.left()))
    }
}

impl<T: Send + Sync + 'static> DoubleEndedIterator for IntoIter<T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.drain.previous().map(|(key, value)| (key.to_vec(), value))
    }
}

impl<T: Send + Sync + 'static> ExactSizeIterator for IntoIter<T> {}
impl<T: Send + Sync + 'static> FusedIterator for IntoIter<T> {}

impl<T: Send + Sync + 'static> fmt::Debug for IntoIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntoIter").field("left", &self.drain.left()).finish()
    }
}
