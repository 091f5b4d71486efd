//! The traits of parallel collections.

use super::{FastArt, FastSet};
use crate::value::Value;
use rayon::prelude::*;

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
