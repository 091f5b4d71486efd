//! Operations on all shards, on the threads of rayon's pool.

#![forbid(unsafe_code)]

use super::{Range, ShardedArt};
use crate::face::{Divide, SharedEnds, parallel_iterators};
use crate::reclaim;
use crate::sync::parallel::{PooledIter, in_pool};
use crate::value::Value;
use rayon::prelude::*;
use std::ops::Bound;
use std::sync::Arc;

/// A key range: the lower bound, inclusive, and the upper bound, exclusive, if there is one.
type Span = (Arc<[u8]>, Option<Arc<[u8]>>);

impl<V: Value> ShardedArt<V> {
    /// Returns the current key ranges of the shards.
    fn spans(&self) -> Vec<Span> {
        let pin = reclaim::pin();
        let table = self.table.load(&pin);
        (0..table.len())
            .map(|i| {
                (
                    Arc::clone(table.low(i)),
                    (i + 1 < table.len()).then(|| Arc::clone(table.low(i + 1))),
                )
            })
            .collect()
    }
}

impl<V: Value + Sync> Divide for ShardedArt<V> {
    type Ends<'m>
        = SharedEnds<&'m ShardedArt<V>, V>
    where
        V: 'm;

    fn key_count(&self) -> usize {
        self.len()
    }

    /// Returns all boundaries and keys between them.
    fn split_points(&self, ranges: usize) -> Vec<Vec<u8>> {
        let keys = self.len();
        let pin = reclaim::pin();
        let mut points: Vec<Vec<u8>> = Vec::new();
        for (low, shard) in self.table.load(&pin).parts() {
            points.push(low.to_vec());
            let share = (ranges as u128 * shard.tree.len() as u128).div_ceil(keys.max(1) as u128);
            // While keys are moved, a tree may have some outside its range.
            let inside =
                shard.tree.split_points(share as usize).into_iter().filter(|key| key[..] > low[..]);
            points.extend(inside);
        }
        points.sort_unstable();
        points.dedup();
        // The first shard begins with the empty key.
        points.split_off(1)
    }

    fn between(&self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Range<'_, V> {
        self.range::<[u8], _>((start, end))
    }
}

parallel_iterators! {
    [V: Value + Send + Sync] ShardedArt<V>, V;
}

impl<V: Value + Send + Sync> ShardedArt<V> {
    /// Returns a parallel iterator over the shards, each as a range, in order.
    ///
    /// Work on a range allocates nothing for each key.
    ///
    /// **Warning:** in a forked process, rayon's `chain` and `skip` need a `ThreadPool` made there.
    ///
    /// ```
    /// use rayon::prelude::*;
    ///
    /// let map = memkv::ShardedArt::<u64>::with_boundaries(["b", "c"]);
    /// map.insert("a", 1);
    /// assert_eq!(map.par_shards().map(Iterator::count).collect::<Vec<_>>(), [1, 0, 0]);
    /// ```
    pub fn par_shards(&self) -> impl IndexedParallelIterator<Item = Range<'_, V>> + '_ {
        let range = |(start, end): Span| {
            let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            self.between(Bound::Included(&start), end)
        };
        PooledIter(self.spans().into_par_iter().map(range))
    }

    /// Removes keys in parallel, and returns how many of them were present.
    ///
    /// Each removal is atomic by itself.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64), ("b", 2)]);
    /// assert_eq!(map.par_remove(["b", "c"]), 1);
    /// ```
    pub fn par_remove<K: AsRef<[u8]>>(&self, keys: impl IntoParallelIterator<Item = K>) -> usize {
        let keys = keys.into_par_iter();
        in_pool(|| keys.filter(|key| self.remove(key).is_some()).count())
    }

    /// Removes all keys for which `keep` returns `false`, the shards in parallel.
    ///
    /// Each removal is atomic by itself. It only removes the value that `keep` was called with: if
    /// another thread replaced it, `keep` is called again.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64), ("b", 2)]);
    /// map.par_retain(|_, value| value > 1);
    /// assert_eq!(map.len(), 1);
    /// ```
    pub fn par_retain(&self, keep: impl Fn(&[u8], V) -> bool + Sync) {
        self.par_shards().for_each(|range| self.retain_in(range, &keep));
    }
}

impl<K: AsRef<[u8]> + Send, V: Value + Send + Sync> ParallelExtend<(K, V)> for ShardedArt<V> {
    fn par_extend<I: IntoParallelIterator<Item = (K, V)>>(&mut self, pairs: I) {
        ShardedArt::par_extend(self, pairs);
    }
}

impl<K: AsRef<[u8]> + Send, V: Value + Send + Sync> FromParallelIterator<(K, V)> for ShardedArt<V> {
    /// Loads the pairs into an empty map with 64 shards, by [`ShardedArt::par_extend`].
    fn from_par_iter<I: IntoParallelIterator<Item = (K, V)>>(pairs: I) -> Self {
        let map = Self::default();
        map.par_extend(pairs);
        map
    }
}
