//! Parallel iteration.

#![forbid(unsafe_code)]

use super::scan::{HybridEnds, HybridRange};
use super::store::HybridStore;
use crate::face::sealed::Sealed;
use crate::face::{Divide, parallel_iterators};
use std::ops::Bound;

impl Sealed for HybridStore {}

impl Divide for HybridStore {
    type Ends<'m> = HybridEnds<'m>;

    fn key_count(&self) -> usize {
        self.len()
    }

    /// Returns keys that divide the base, and keys that divide the changes.
    fn split_points(&self, ranges: usize) -> Vec<Vec<u8>> {
        let state = self.inner.core.snapshot();
        let mut points = state.base.split_points(ranges);
        points.extend(state.delta.split_points(ranges));
        points.sort_unstable();
        points.dedup();
        points
    }

    fn between(&self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> HybridRange<'_> {
        self.range::<[u8], _>((start, end))
    }
}

parallel_iterators! {
    [] HybridStore, u64;
}
