//! What a map holds, in bytes.

use crate::pool;
use crate::tree::Usage;

/// The bytes that a map holds. Returned by [`FastArt::memory_usage`](crate::FastArt::memory_usage).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryUsage {
    /// Used bytes of leaves: keys and values.
    pub leaves: usize,
    /// Used bytes of inner nodes.
    pub inner: usize,
    /// Unused bytes: in the cells of nodes, and this map's share of the pool's reserve.
    pub slack: usize,
    /// The map itself and its buffers.
    pub own: usize,
    /// Bytes that shared maps have retired and that some thread may still read, of all maps
    /// together. 0 except for shared maps, such as [`ConcurrentArt`](crate::ConcurrentArt).
    pub retired: usize,
}

impl MemoryUsage {
    pub(crate) fn of(usage: Usage, own: usize, retired: usize) -> Self {
        let cells = usage.leaves + usage.inner;
        let pool = pool::usage();
        let idle = pool.reserved.saturating_sub(pool.used) as u128;
        let share = (idle * cells as u128 / pool.used.max(cells).max(1) as u128) as usize;
        MemoryUsage {
            leaves: usage.leaves.saturating_sub(usage.slack_leaves),
            inner: usage.inner.saturating_sub(usage.slack_inner),
            slack: usage.slack_leaves + usage.slack_inner + share,
            own,
            retired,
        }
    }

    /// Returns the sum of all fields.
    pub fn total(&self) -> usize {
        self.leaves + self.inner + self.slack + self.own + self.retired
    }
}
