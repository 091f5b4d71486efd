//! The traits of parallel collections.

use super::ArenaArt;
use crate::sync::parallel::in_pool;
use rayon::prelude::*;
use std::iter;

impl<K: AsRef<[u8]> + Send, T: Send> FromParallelIterator<(K, T)> for ArenaArt<T> {
    /// Collects and sorts the pairs in parallel. One thread builds the map, bottom-up.
    ///
    /// Of equal keys the last one is kept.
    #[track_caller]
    fn from_par_iter<I: IntoParallelIterator<Item = (K, T)>>(pairs: I) -> Self {
        let pairs = pairs.into_par_iter();
        let sorted = in_pool(|| {
            let mut pairs: Vec<(K, T)> = pairs.collect();
            // Stable: equal keys stay in the order of the input.
            pairs.par_sort_by(|a, b| a.0.as_ref().cmp(b.0.as_ref()));
            pairs
        });
        let mut sorted = sorted.into_iter().peekable();
        let next = || loop {
            let pair = sorted.next()?;
            if sorted.peek().is_none_or(|next| next.0.as_ref() != pair.0.as_ref()) {
                return Some(pair);
            }
        };
        Self::from_iter(iter::from_fn(next))
    }
}

impl<K: AsRef<[u8]> + Send, T: Send> ParallelExtend<(K, T)> for ArenaArt<T> {
    /// Sorts the pairs in parallel, and builds a map of them. One thread moves it into this map, by
    /// [`append`](ArenaArt::append).
    #[track_caller]
    fn par_extend<I: IntoParallelIterator<Item = (K, T)>>(&mut self, pairs: I) {
        self.append(&mut Self::from_par_iter(pairs));
    }
}
