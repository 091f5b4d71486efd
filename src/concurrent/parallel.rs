//! Parallel iteration.

use super::{ConcurrentArt, Range};
use crate::face::{Divide, SharedEnds, parallel_iterators};
use crate::value::Value;
use std::ops::Bound;

impl<V: Value + Sync> Divide for ConcurrentArt<V> {
    type Ends<'m>
        = SharedEnds<&'m ConcurrentArt<V>, V>
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
    [V: Value + Send + Sync] ConcurrentArt<V>, V;
}
