//! What the standard collections implement.

#![forbid(unsafe_code)]

use super::scan::Ends;
use super::{Range, SHARDS, ShardedArt};
use crate::concurrent::ConcurrentArt;
use crate::fast::FastArt;
use crate::value::Value;
use std::fmt;
use std::iter::FusedIterator;
use std::ops::Bound;

impl<V: Value> Default for ShardedArt<V> {
    /// [`new`](Self::new) with 64 shards.
    fn default() -> Self {
        Self::new(SHARDS)
    }
}

impl<V: Value> From<FastArt<V>> for ShardedArt<V> {
    /// O(1): the map is the one shard, which is split later, into 64. [`rebalance`](Self::rebalance) does so at once.
    fn from(map: FastArt<V>) -> Self {
        Self::of(SHARDS, [map.into_tree()], &[])
    }
}

impl<V: Value> From<ConcurrentArt<V>> for ShardedArt<V> {
    /// O(1): the map is the one shard, which is split later, into 64. [`rebalance`](Self::rebalance) does so at once.
    fn from(map: ConcurrentArt<V>) -> Self {
        map.into_fast().into()
    }
}

impl<K: AsRef<[u8]>, V: Value> FromIterator<(K, V)> for ShardedArt<V> {
    /// Builds bottom-up for as long as the keys ascend, and inserts from there on. [`load`](Self::load) is for more keys.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut pairs = pairs.into_iter();
        let (map, unsorted) = FastArt::ascending(&mut pairs);
        let mut map = Self::from(map);
        map.extend(unsorted.into_iter().chain(pairs));
        map
    }
}

impl<K: AsRef<[u8]>, V: Value, const N: usize> From<[(K, V); N]> for ShardedArt<V> {
    fn from(pairs: [(K, V); N]) -> Self {
        pairs.into_iter().collect()
    }
}

impl<K: AsRef<[u8]>, V: Value> Extend<(K, V)> for ShardedArt<V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, pairs: I) {
        (&*self).extend(pairs);
    }
}

impl<K: AsRef<[u8]>, V: Value> Extend<(K, V)> for &ShardedArt<V> {
    /// Inserts the pairs one by one, through a shared map.
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, pairs: I) {
        for (key, value) in pairs {
            self.insert(key, value);
        }
    }
}

/// The keys of a map that is gone when this is, with their values; ascending, from the back descending.
pub struct IntoIter<V: Value> {
    map: ShardedArt<V>,
    ends: Ends<V::Bits>,
}

impl<V: Value> IntoIter<V> {
    pub(super) fn new(map: ShardedArt<V>) -> Self {
        IntoIter { map, ends: Ends::new(Bound::Unbounded, Bound::Unbounded) }
    }
}

impl<V: Value> Iterator for IntoIter<V> {
    type Item = (Vec<u8>, V);

    fn next(&mut self) -> Option<Self::Item> {
        self.ends.step(&self.map, false).map(|(key, value)| (key.to_vec(), value))
    }
}

impl<V: Value> DoubleEndedIterator for IntoIter<V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.ends.step(&self.map, true).map(|(key, value)| (key.to_vec(), value))
    }
}

impl<V: Value> FusedIterator for IntoIter<V> {}

impl<V: Value> fmt::Debug for IntoIter<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntoIter").finish_non_exhaustive()
    }
}

impl<V: Value> IntoIterator for ShardedArt<V> {
    type Item = (Vec<u8>, V);
    type IntoIter = IntoIter<V>;

    fn into_iter(self) -> IntoIter<V> {
        self.freeze()
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
        let (mut range, mut map) = (self.iter(), f.debug_map());
        while let Some((key, value)) = range.lend() {
            map.entry(&format_args!("\"{}\"", key.escape_ascii()), &value);
        }
        map.finish()
    }
}
