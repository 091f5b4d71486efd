//! Cells at hand: those that were retired by a thread and freed by it, until it asks for such again.
//!
//! The bytes of a cell that a thread has read not long ago are in its processor's cache. Were it given back to the heap it came from, the next to
//! write it would often be another processor, which first has to fetch each of its lines; and the heap's own state would go back and forth.
//!
//! A cell at hand counts as live for its heap, and keeps its page and slab from being used otherwise. So there are few, none while heaps are small, and
//! none is taken of a slab that is to be emptied. Whenever a heap has lost half of its live bytes, or nodes move out of sparse pages, all go back.

use super::classes::{CLASSES, SIZES};
use super::{Cell, Origin};
use std::ptr::NonNull;

/// Cells of one class at most.
const ROOM: usize = 8;
/// Bytes of cells at hand of the threads of a stripe, at most, and as a part of the live bytes of the heap that one of them gave a cell back to.
const MOST: usize = 512 << 10;
const PART: usize = 64;
/// Live bytes of a heap from which on cells are kept at hand.
const LEAST: usize = 4 << 20;

/// From so many classes a request is served: its own, and those of slightly larger cells.
const NEAR: usize = 3;

/// A cell of a known class.
type Kept = (NonNull<u8>, Origin);

/// Some cells of each class.
pub(super) struct Cache {
    cells: [[Option<Kept>; ROOM]; CLASSES],
    counts: [u8; CLASSES],
    /// Bytes of all these.
    bytes: usize,
    limit: usize,
}

// SAFETY: (P3) cells belong to whoever has the cache.
unsafe impl Send for Cache {}

impl Cache {
    pub(super) const fn new() -> Cache {
        Cache { cells: [[None; ROOM]; CLASSES], counts: [0; CLASSES], bytes: 0, limit: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Lets cells be kept as it befits a heap with so many live bytes.
    pub(super) fn allow(&mut self, used: usize) {
        if used >= LEAST {
            self.limit = self.limit.max((used / PART).min(MOST));
        }
    }

    /// Keeps a cell of a slab, if there is room.
    #[inline]
    pub(super) fn put(&mut self, class: usize, ptr: NonNull<u8>, home: Origin) -> bool {
        let (count, size) = (self.counts[class] as usize, SIZES[class] as usize);
        if count == ROOM || self.bytes + size > self.limit {
            return false;
        }
        self.cells[class][count] = Some((ptr, home));
        self.counts[class] += 1;
        self.bytes += size;
        true
    }

    /// A cell of this class or of one slightly larger, the one that was kept last.
    #[inline]
    pub(super) fn take(&mut self, class: usize) -> Option<Cell> {
        let class = (class..CLASSES.min(class + NEAR)).find(|class| self.counts[*class] > 0)?;
        self.counts[class] -= 1;
        let (ptr, home) = self.cells[class][self.counts[class] as usize]?;
        let size = SIZES[class] as usize;
        self.bytes -= size;
        Some(Cell { ptr, size, home })
    }

    /// Takes all cells, and allows no more.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Cell> {
        self.limit = 0;
        std::iter::from_fn(|| self.take(self.counts.iter().position(|&count| count > 0)?))
    }
}
