//! What a shared tree counts, in stripes, so that threads do not count in the same place.

use crate::sync::stripes::{STRIPES, stripe};
use crate::tree::node::Usage;
use crossbeam_utils::CachePadded;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A stripe of the counts of a tree, modulo the word size.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) len: AtomicUsize,
    pub(super) leaves: AtomicUsize,
    pub(super) inner: AtomicUsize,
    pub(super) slack_leaves: AtomicUsize,
    pub(super) slack_inner: AtomicUsize,
}

/// Returns the number of stripes that pay on this machine, a power of two.
pub(crate) fn stripes() -> usize {
    static COUNT: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    let threads = || std::thread::available_parallelism().map_or(1, usize::from);
    *COUNT.get_or_init(|| threads().next_power_of_two().min(STRIPES))
}

/// Creates the stripes of one tree.
pub(super) fn striped() -> Box<[CachePadded<Counts>]> {
    (0..stripes()).map(|_| CachePadded::default()).collect()
}

/// Adds to the stripe of this thread. Both deltas are modulo the word size.
pub(super) fn add(stripes: &[CachePadded<Counts>], len: usize, usage: Usage) {
    let counts = &stripes[stripe() & (stripes.len() - 1)];
    let add = |count: &AtomicUsize, delta: usize| {
        if delta != 0 {
            count.fetch_add(delta, Relaxed);
        }
    };
    add(&counts.len, len);
    add(&counts.leaves, usage.leaves);
    add(&counts.slack_leaves, usage.slack_leaves);
    add(&counts.inner, usage.inner);
    add(&counts.slack_inner, usage.slack_inner);
}

/// Returns `base` and the sum of one count over all stripes.
pub(super) fn sum(
    stripes: &[CachePadded<Counts>],
    base: usize,
    count: impl Fn(&Counts) -> &AtomicUsize,
) -> usize {
    let sum =
        stripes.iter().fold(base, |sum, counts| sum.wrapping_add(count(counts).load(Relaxed)));
    // Stripes are read one after the other, so while other threads count, the sum may be below
    // zero.
    sum.cast_signed().max(0).cast_unsigned()
}
