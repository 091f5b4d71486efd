//! The traits of parallel collections.

use super::{FastArt, FastEnds, FastSet, Range};
use crate::face::sealed::Sealed;
use crate::face::{Divide, ParIter, parallel_iterators};
use crate::value::Value;
use rayon::iter::Map;
use rayon::prelude::*;
use std::ops::Bound;

impl<V: Value> Sealed for FastArt<V> {}

impl<V: Value + Sync> Divide for FastArt<V> {
    type Ends<'m>
        = FastEnds<'m, V>
    where
        V: 'm;

    fn key_count(&self) -> usize {
        self.len()
    }

    fn split_points(&self, ranges: usize) -> Vec<Vec<u8>> {
        self.tree.split_points(ranges)
    }

    fn between(&self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Range<'_, V> {
        self.range::<[u8], _>((start, end))
    }
}

parallel_iterators! {
    [V: Value + Send + Sync] FastArt<V>, V;
}

impl<'m> IntoParallelIterator for &'m FastSet {
    type Item = Vec<u8>;
    type Iter = Map<ParIter<'m, FastArt<()>>, fn((Vec<u8>, ())) -> Vec<u8>>;

    fn into_par_iter(self) -> Self::Iter {
        self.as_map().into_par_iter().map(|(key, ())| key)
    }
}

impl<K: AsRef<[u8]> + Send, V: Value + Send + Sync> ParallelExtend<(K, V)> for FastArt<V> {
    /// Sorts the pairs in parallel, and builds a map of them. One thread moves it into this map, by
    /// [`append`](FastArt::append).
    #[track_caller]
    fn par_extend<I: IntoParallelIterator<Item = (K, V)>>(&mut self, pairs: I) {
        self.append(&mut Self::from_par_iter(pairs));
    }
}

impl<K: AsRef<[u8]> + Send> FromParallelIterator<K> for FastSet {
    /// Copies the keys, then sorts and builds as [`FastArt::from_unsorted`] does.
    #[track_caller]
    fn from_par_iter<I: IntoParallelIterator<Item = K>>(keys: I) -> Self {
        FastArt::from_par_iter(keys.into_par_iter().map(|key| (key, ()))).into()
    }
}

impl<K: AsRef<[u8]> + Send> ParallelExtend<K> for FastSet {
    /// Sorts the keys in parallel, and builds a set of them. One thread moves it into this set, by
    /// [`append`](FastSet::append).
    #[track_caller]
    fn par_extend<I: IntoParallelIterator<Item = K>>(&mut self, keys: I) {
        self.append(&mut Self::from_par_iter(keys));
    }
}
