//! Prefetches nodes, blocks and values.

use crate::tree::prefetch;

/// Bytes of a cache line.
const CACHE_LINE_BYTES: usize = 64;
/// Cache lines of a node and of a block that are prefetched together: most of them.
const PREFETCHED_NODE_LINES: usize = 10;
const PREFETCHED_BLOCK_LINES: usize = 5;

/// Prefetches a node, so that its cache lines arrive together instead of one after the other.
#[inline(always)]
pub(crate) fn prefetch_node(data: &[u8], at: usize) {
    for line in 0..PREFETCHED_NODE_LINES {
        prefetch(data.as_ptr().wrapping_add(at).wrapping_add(line * CACHE_LINE_BYTES));
    }
}

/// Prefetches a block.
#[inline(always)]
pub(crate) fn prefetch_block(data: &[u8], at: usize) {
    for line in 0..PREFETCHED_BLOCK_LINES {
        prefetch(data.as_ptr().wrapping_add(at).wrapping_add(line * CACHE_LINE_BYTES));
    }
}

/// Prefetches the values of a block, of which `first` is the first byte.
#[inline(always)]
pub(crate) fn prefetch_values(first: &u8) {
    for line in 0..3 {
        prefetch(std::ptr::from_ref(first).wrapping_add(line * CACHE_LINE_BYTES));
    }
}
