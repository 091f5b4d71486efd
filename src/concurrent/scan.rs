//! Cursors and ranges of a `ConcurrentArt`.

use super::ConcurrentArt;
use crate::face::{self, ScanEnds, SharedEnds, SharedWalk};
use crate::key;
use crate::tree::{LeafRun, Position, ScanSource};
use crate::value::Value;
use std::ops::{Bound, RangeBounds};

/// A position in a [`ConcurrentArt`].
///
/// Between two steps it holds neither a pin nor memory of the map, so it may be kept for any time,
/// and sent to another thread. It takes at most 32 KiB, or one leaf if that is more.
///
/// # Guarantees
/// * A step returns a pair that was in the map at a moment since the scan reached its leaf. Up to
///   30 KiB of leaves are read ahead.
/// * A key that is present for the whole scan is returned exactly once and in order. A key that is
///   inserted or removed during the scan may be returned or not.
/// * What the scanning thread itself changed before a step, the step sees.
///
/// A step in another direction than the one before takes a lookup. So does the first step after a
/// change that the thread made to any shared map.
///
/// ```
/// let map = memkv::ConcurrentArt::from([("a", 1u64), ("b", 2), ("c", 3)]);
/// let mut cursor = map.cursor();
/// cursor.seek("b");
/// assert_eq!(cursor.next(), Some((&b"b"[..], 2)));
/// map.insert("bb", 22);
/// assert_eq!(cursor.next(), Some((&b"bb"[..], 22)));
/// assert_eq!(cursor.prev(), Some((&b"bb"[..], 22)));
/// assert_eq!(cursor.prev(), Some((&b"b"[..], 2)));
/// ```
pub type Cursor<'m, V> = face::Cursor<SharedWalk<&'m ConcurrentArt<V>, V>>;

/// An iterator over a range of a [`ConcurrentArt`].
///
/// Returned by [`ConcurrentArt::range`], [`prefix`](ConcurrentArt::prefix) and
/// [`iter`](ConcurrentArt::iter). The guarantees are those of [`Cursor`]. It takes at most 64 KiB,
/// or two leaves if that is more.
pub type Range<'m, V> = face::Range<SharedEnds<&'m ConcurrentArt<V>, V>>;

/// An iterator over the keys of a [`ConcurrentArt`]. Returned by [`ConcurrentArt::keys`].
pub type Keys<'m, V> = face::Keys<SharedEnds<&'m ConcurrentArt<V>, V>>;

/// An iterator over the values of a [`ConcurrentArt`]. Returned by [`ConcurrentArt::values`].
pub type Values<'m, V> = face::Values<SharedEnds<&'m ConcurrentArt<V>, V>>;

impl<V: Value> ScanSource for &ConcurrentArt<V> {
    type Bits = V::Bits;

    fn read_run(
        &mut self,
        run: &mut LeafRun<V::Bits>,
        from: Position<'_>,
        limit: Bound<&[u8]>,
    ) -> bool {
        (&self.tree).read_run(run, from, limit)
    }
}

impl<V: Value> ConcurrentArt<V> {
    /// Returns the least key and its value.
    ///
    /// The guarantees are those of a scan: it is not one atomic step.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from([("b", 2u64), ("a", 1)]);
    /// assert_eq!(map.first_key_value(), Some((b"a".to_vec(), 1)));
    /// assert_eq!(map.last_key_value(), Some((b"b".to_vec(), 2)));
    /// ```
    pub fn first_key_value(&self) -> Option<(Vec<u8>, V)> {
        self.iter().next()
    }

    /// Returns the greatest key and its value.
    ///
    /// Otherwise like [`first_key_value`](Self::first_key_value).
    pub fn last_key_value(&self) -> Option<(Vec<u8>, V)> {
        self.iter().next_back()
    }

    /// Returns a cursor before the first key.
    ///
    /// It returns keys as slices of its own buffer, so a scan allocates nothing for each key.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from([("a", 1u64), ("b", 2)]);
    /// let mut cursor = map.cursor();
    /// assert_eq!(cursor.next(), Some((&b"a"[..], 1)));
    /// ```
    pub fn cursor(&self) -> Cursor<'_, V> {
        Cursor::new(SharedWalk::new(self))
    }

    /// Returns an iterator over all keys and values, in ascending order of the keys.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from([("b", 2u64), ("a", 1)]);
    /// assert!(map.iter().eq([(b"a".to_vec(), 1), (b"b".to_vec(), 2)]));
    /// ```
    pub fn iter(&self) -> Range<'_, V> {
        self.range::<&[u8], _>(..)
    }

    /// Returns an iterator over the keys in a range of byte strings and their values, in ascending
    /// order.
    ///
    /// A range that ends before it begins is empty.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from([("a", 1u64), ("b", 2), ("c", 3)]);
    /// assert!(map.range("b"..).map(|(_, v)| v).eq([2, 3]));
    /// assert!(map.range("a"..="b").rev().map(|(_, v)| v).eq([2, 1]));
    /// ```
    pub fn range<K: AsRef<[u8]> + ?Sized, R: RangeBounds<K>>(&self, range: R) -> Range<'_, V> {
        let (start, end) = key::bounds(&range);
        Range::new(SharedEnds::new(self, ScanEnds::new(start, end)))
    }

    /// Returns an iterator over the keys that begin with `prefix`, and their values.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from([("a", 1u64), ("ab", 2), ("b", 3)]);
    /// assert_eq!(map.prefix("a").count(), 2);
    /// ```
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Range<'_, V> {
        Range::new(SharedEnds::new(self, ScanEnds::prefix(prefix.as_ref())))
    }
}
