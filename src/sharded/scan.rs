//! Scans across shards.
//!
//! A run is read under a pin, from the shard of the position on. Each shard is read up to the end
//! of its range. If the table was replaced in the meantime, the run is read again, since keys may
//! have been moved. A position is a key, so it means the same for every table. So each key that
//! stays is returned once, whatever happens to the shards.

#![forbid(unsafe_code)]

use super::ShardedArt;
use super::table::Table;
use crate::face::{self, ScanEnds, SharedEnds, SharedWalk};
use crate::key;
use crate::reclaim::{self, Pin};
use crate::tree::{LeafRun, Position, ScanSource};
use crate::value::{Bits, Value};
use std::ops::{Bound, RangeBounds};

impl<V: Value> ScanSource for &ShardedArt<V> {
    type Bits = V::Bits;

    fn read_run(
        &mut self,
        run: &mut LeafRun<V::Bits>,
        from: Position<'_>,
        limit: Bound<&[u8]>,
    ) -> bool {
        let mut pin = reclaim::pin();
        run.keep_origin();
        loop {
            let table = self.table.load(&pin);
            let is_whole = read_shards(table, &pin, run, from, limit);
            if self.table.is_current(table, &pin) || mutant!(ScanNotChecked) {
                return is_whole;
            }
            run.restart();
            pin.renew();
        }
    }
}

impl<V: Value> ScanSource for ShardedArt<V> {
    type Bits = V::Bits;

    fn read_run(
        &mut self,
        run: &mut LeafRun<V::Bits>,
        from: Position<'_>,
        limit: Bound<&[u8]>,
    ) -> bool {
        (&*self).read_run(run, from, limit)
    }
}

/// Reads the shards from a position on, until the run is full.
fn read_shards<'k, B: Bits>(
    table: &'k Table<B>,
    pin: &Pin,
    run: &mut LeafRun<B>,
    mut from: Position<'k>,
    limit: Bound<&[u8]>,
) -> bool {
    let back = run.is_back();
    let mut i = match from {
        Position::BeforeOwn | Position::AfterOwn => table.route(run.key()),
        Position::Before(key) => table.route(key),
        Position::End => table.len() - 1,
    };
    loop {
        // Trees may have keys outside their range.
        let end = if back { Some(&table.low(i)[..]) } else { table.high(i) };
        let is_limited = match (limit, end) {
            (Bound::Unbounded, _) => false,
            (_, None) => true,
            (Bound::Included(limit) | Bound::Excluded(limit), Some(end)) => {
                if back {
                    limit >= end
                } else {
                    limit < end
                }
            }
        };
        let limit_here = match end {
            _ if is_limited => limit,
            Some(low) if back => Bound::Included(low),
            Some(high) => Bound::Excluded(high),
            None => Bound::Unbounded,
        };
        let is_whole = run.read(&table.shard(i).tree, pin, from, limit_here);
        if !is_whole || is_limited || i == if back { 0 } else { table.len() - 1 } {
            return is_whole;
        }
        if back {
            from = Position::Before(table.low(i));
            i -= 1;
        } else {
            i += 1;
            from = Position::Before(table.low(i));
        }
    }
}

impl<V: Value> ShardedArt<V> {
    /// Returns the least key and its value.
    ///
    /// The guarantees are those of a scan: it is not one atomic step.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("b", 2u64), ("a", 1)]);
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
    /// let map = memkv::ShardedArt::from([("a", 1u64), ("b", 2)]);
    /// let mut cursor = map.cursor();
    /// assert_eq!(cursor.next(), Some((&b"a"[..], 1)));
    /// ```
    pub fn cursor(&self) -> Cursor<'_, V> {
        Cursor::new(SharedWalk::new(self))
    }

    /// Returns an iterator over all keys and values, in ascending order of the keys.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("b", 2u64), ("a", 1)]);
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
    /// let map = memkv::ShardedArt::from([("a", 1u64), ("b", 2), ("c", 3)]);
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
    /// let map = memkv::ShardedArt::from([("a", 1u64), ("ab", 2), ("b", 3)]);
    /// assert_eq!(map.prefix("a").count(), 2);
    /// ```
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Range<'_, V> {
        Range::new(SharedEnds::new(self, ScanEnds::prefix(prefix.as_ref())))
    }
}

/// A position in a [`ShardedArt`].
///
/// It is what [`concurrent::Cursor`](crate::concurrent::Cursor) is for a `ConcurrentArt`, with the
/// same guarantees, also while shards are split.
///
/// ```
/// let map = memkv::ShardedArt::from([("a", 1u64), ("b", 2), ("c", 3)]);
/// let mut cursor = map.cursor();
/// cursor.seek("b");
/// assert_eq!(cursor.next(), Some((&b"b"[..], 2)));
/// assert_eq!(cursor.prev(), Some((&b"b"[..], 2)));
/// assert_eq!(cursor.prev(), Some((&b"a"[..], 1)));
/// ```
pub type Cursor<'m, V> = face::Cursor<SharedWalk<&'m ShardedArt<V>, V>>;

/// An iterator over a range of a [`ShardedArt`].
///
/// Returned by [`ShardedArt::range`], [`prefix`](ShardedArt::prefix) and
/// [`iter`](ShardedArt::iter). The guarantees are those of [`Cursor`].
pub type Range<'m, V> = face::Range<SharedEnds<&'m ShardedArt<V>, V>>;

/// An iterator over the keys of a [`ShardedArt`]. Returned by [`ShardedArt::keys`].
pub type Keys<'m, V> = face::Keys<SharedEnds<&'m ShardedArt<V>, V>>;

/// An iterator over the values of a [`ShardedArt`]. Returned by [`ShardedArt::values`].
pub type Values<'m, V> = face::Values<SharedEnds<&'m ShardedArt<V>, V>>;
