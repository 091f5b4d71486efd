//! The traits of the standard collections, for `ShardedArt`.

#![forbid(unsafe_code)]

use super::{DEFAULT_SHARDS, Range, ShardedArt};
use crate::concurrent::ConcurrentArt;
use crate::face::{self, ScanEnds, SharedEnds};
use crate::fast::FastArt;
use crate::reclaim;
use crate::value::Value;
use std::ops::Bound;
use std::sync::Arc;
use std::{fmt, iter};

impl<V: Value> Default for ShardedArt<V> {
    /// Creates an empty map that aims at 64 shards.
    fn default() -> Self {
        Self::new(DEFAULT_SHARDS)
    }
}

impl<V: Value> Clone for ShardedArt<V> {
    /// Returns a copy of the map with the same boundaries, built bottom-up from scans while other
    /// threads may change it.
    ///
    /// The guarantees are those of the [`clone`](ConcurrentArt#method.clone) of a `ConcurrentArt`,
    /// also while shards are split.
    ///
    /// # Complexity
    /// O(keys).
    ///
    /// # Panics
    /// Aborts when out of memory.
    ///
    /// ```
    /// let mut map = memkv::ShardedArt::with_boundaries(["b"]);
    /// map.extend([("a", 1u64), ("b", 2)]);
    /// let copy = map.clone();
    /// map.insert("a", 3);
    /// assert!(copy.values().eq([1, 2]));
    /// assert_eq!(copy.shards().len(), 2);
    /// ```
    #[track_caller]
    fn clone(&self) -> Self {
        let bounds: Vec<Arc<[u8]>> = {
            let pin = reclaim::pin();
            // The first shard has no lower bound.
            self.table.load(&pin).parts().iter().skip(1).map(|(low, _)| Arc::clone(low)).collect()
        };
        let starts = iter::once(Bound::Unbounded)
            .chain(bounds.iter().map(|bound| Bound::Included(&**bound)));
        let ends = (bounds.iter().map(|bound| Bound::Excluded(&**bound)))
            .chain(iter::once(Bound::Unbounded));
        let coder = self.coder();
        let trees = starts.zip(ends).map(|range| {
            FastArt::of_range(self.range::<[u8], _>(range), coder.clone()).into_tree()
        });
        Self::of(self.target, trees, &bounds)
    }
}

impl<V: Value> From<FastArt<V>> for ShardedArt<V> {
    /// Converts in O(1): the map becomes the one shard, which is split into 64 later.
    ///
    /// [`rebalance`](Self::rebalance) splits it at once.
    fn from(map: FastArt<V>) -> Self {
        Self::of(DEFAULT_SHARDS, [map.into_tree()], &[])
    }
}

impl<V: Value> From<ConcurrentArt<V>> for ShardedArt<V> {
    /// Converts in O(1): the map becomes the one shard, which is split into 64 later.
    ///
    /// [`rebalance`](Self::rebalance) splits it at once.
    fn from(map: ConcurrentArt<V>) -> Self {
        map.into_fast().into()
    }
}

impl<K: AsRef<[u8]>, V: Value> FromIterator<(K, V)> for ShardedArt<V> {
    /// Builds bottom-up while the keys ascend, and inserts the rest. For many unsorted keys use
    /// [`load`](Self::load).
    #[track_caller]
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut pairs = pairs.into_iter();
        let (map, unsorted) = FastArt::ascending(&mut pairs);
        let mut map = Self::from(map);
        map.extend(unsorted.into_iter().chain(pairs));
        map
    }
}

impl<K: AsRef<[u8]>, V: Value, const N: usize> From<[(K, V); N]> for ShardedArt<V> {
    #[track_caller]
    fn from(pairs: [(K, V); N]) -> Self {
        Self::from_iter(pairs)
    }
}

impl<K: AsRef<[u8]>, V: Value> Extend<(K, V)> for ShardedArt<V> {
    #[track_caller]
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, pairs: I) {
        (&*self).extend(pairs);
    }
}

impl<K: AsRef<[u8]>, V: Value> Extend<(K, V)> for &ShardedArt<V> {
    /// Inserts the pairs one by one.
    #[track_caller]
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, pairs: I) {
        for (key, value) in pairs {
            self.insert(key, value);
        }
    }
}

/// An owning iterator over a map's keys, as copies, and values, in ascending order.
pub type IntoIter<V> = face::Range<SharedEnds<ShardedArt<V>, V>>;

impl<V: Value> fmt::Debug for IntoIter<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntoIter").finish_non_exhaustive()
    }
}

impl<V: Value> IntoIterator for ShardedArt<V> {
    type Item = (Vec<u8>, V);
    type IntoIter = IntoIter<V>;

    fn into_iter(self) -> IntoIter<V> {
        IntoIter::new(SharedEnds::new(self, ScanEnds::new(Bound::Unbounded, Bound::Unbounded)))
    }
}

impl<'m, V: Value> IntoIterator for &'m ShardedArt<V> {
    type Item = (Vec<u8>, V);
    type IntoIter = Range<'m, V>;

    fn into_iter(self) -> Range<'m, V> {
        self.iter()
    }
}

impl<V: Value + fmt::Debug> fmt::Debug for ShardedArt<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().fmt(f)
    }
}
