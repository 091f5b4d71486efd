//! The traits of parallel collections.

use super::values::Arena;
use super::{ArenaArt, ArenaWalk, Range};
use crate::face::sealed::Sealed;
use crate::face::{Divide, parallel_iterators};
use crate::fast::FastEnds;
use crate::sync::parallel::in_pool;
use rayon::prelude::*;
use std::iter;
use std::ops::Bound;

impl<T> Sealed for ArenaArt<T> {}

impl<T: Sync> Divide for ArenaArt<T> {
    type Ends<'m>
        = ArenaWalk<&'m Arena<T>, FastEnds<'m, u32>>
    where
        T: 'm;

    fn key_count(&self) -> usize {
        self.len()
    }

    fn split_points(&self, ranges: usize) -> Vec<Vec<u8>> {
        self.index.split_points(ranges)
    }

    fn between(&self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Range<'_, T> {
        self.range::<[u8], _>((start, end))
    }
}

parallel_iterators! {
    [T: Sync] ArenaArt<T>, &'m T;
}

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
