//! A per-stripe cache of recently freed cells, so that a thread reuses memory still in its CPU
//! cache.
//!
//! Were such a cell given back to its heap, the next thread to write it would often run on another
//! core, which first has to fetch each of its cache lines. The heap's own state would move between
//! cores, too.
//!
//! A cached cell counts as live for its heap, and keeps its page and slab from being freed or given
//! another class. So caches are small. There are none while heaps are small, and no cell of a
//! draining slab is cached. All caches are emptied when a heap has lost half of its live bytes, and
//! before nodes move out of sparse pages.

use super::cell::{Cell, Origin};
use super::classes::{CLASSES, SIZES};
use std::ptr::NonNull;

/// A cell's first byte, and its origin.
type CachedCell = (NonNull<u8>, Origin);

/// Cells of each class that a cache may hold.
const MAX_CELLS_PER_CLASS: usize = 8;
/// Bytes that a cache may hold.
const MAX_CACHE_BYTES: usize = 512 << 10;
/// A cache may also hold at most this part of the live bytes of a heap. In a model all of them.
const CACHE_DIVISOR: usize = if cfg!(memkv_loom) { 1 } else { 64 };
/// Live bytes of a heap from which on its cells are cached. In a model any.
const MIN_HEAP_BYTES: usize = if cfg!(memkv_loom) { 1 } else { 4 << 20 };
/// Classes that may serve a request: its own, and the next larger ones.
const CLASSES_TO_TRY: usize = 3;

/// The cache of one stripe.
pub(super) struct CellCache {
    cells: [[Option<CachedCell>; MAX_CELLS_PER_CLASS]; CLASSES],
    counts: [u8; CLASSES],
    /// Bytes of all cells.
    bytes: usize,
    /// Bytes that all cells may have, by the size of the heap.
    limit: usize,
}

// SAFETY: (P3) the cells belong to the cache.
unsafe impl Send for CellCache {}

impl CellCache {
    pub(super) const fn new() -> CellCache {
        let cells = [[None; MAX_CELLS_PER_CLASS]; CLASSES];
        CellCache { cells, counts: [0; CLASSES], bytes: 0, limit: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Raises the limit to what suits a heap with `live_bytes`.
    pub(super) fn raise_limit(&mut self, live_bytes: usize) {
        if live_bytes >= MIN_HEAP_BYTES {
            self.limit = self.limit.max((live_bytes / CACHE_DIVISOR).min(MAX_CACHE_BYTES));
        }
    }

    /// Adds a cell of a slab. Returns false if there is no room.
    #[inline]
    pub(super) fn put(&mut self, class: usize, ptr: NonNull<u8>, origin: Origin) -> bool {
        let (count, size) = (self.counts[class] as usize, SIZES[class] as usize);
        if count == MAX_CELLS_PER_CLASS || self.bytes + size > self.limit {
            return false;
        }
        self.cells[class][count] = Some((ptr, origin));
        self.counts[class] += 1;
        self.bytes += size;
        true
    }

    /// Takes a cell of this class or of a slightly larger one: the one that was added last.
    #[inline]
    pub(super) fn take(&mut self, class: usize) -> Option<Cell> {
        let mut classes = class..CLASSES.min(class + CLASSES_TO_TRY);
        let class = classes.find(|class| self.counts[*class] > 0)?;
        self.counts[class] -= 1;
        let (ptr, origin) = self.cells[class][self.counts[class] as usize]?;
        let size = SIZES[class] as usize;
        self.bytes -= size;
        Some(Cell { ptr, size, origin })
    }

    /// Takes all cells, and sets the limit to 0.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Cell> {
        self.limit = 0;
        std::iter::from_fn(|| self.take(self.counts.iter().position(|&count| count > 0)?))
    }
}
