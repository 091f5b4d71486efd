//! A pool of its own for each execution of a model, with two heaps. The pool of all maps has direct
//! cells only, in a model.

#![expect(missing_docs, missing_debug_implementations, reason = "for models")]

use super::classes::class_of;
use super::threads::HEAPS;
use super::{Cell, Pool};

pub struct ModelPool(Box<Pool>);

/// A live cell of a slab. Not freed on drop.
pub struct LiveCell(Cell);

// SAFETY: (P3) a cell may be freed by any thread.
unsafe impl Send for LiveCell {}

/// Bytes of each cell.
const CELL_BYTES: usize = 1024;

impl Default for ModelPool {
    fn default() -> Self {
        // A model's threads have small stacks.
        let new = std::thread::spawn(|| Box::new(Pool::new()));
        let pool = ModelPool(new.join().expect("memory"));
        // Makes the locks before other threads use them.
        pool.check(0);
        pool
    }
}

impl ModelPool {
    /// Allocates a cell of a heap.
    pub fn alloc(&self, heap: usize) -> LiveCell {
        let cell = self.0.heaps[heap].lock().alloc(class_of(CELL_BYTES)).expect("memory");
        // SAFETY: (P3) the cell is this caller's.
        unsafe { cell.ptr.as_ptr().write_bytes(0xA5, cell.size) };
        LiveCell(cell)
    }

    fn is_intact(LiveCell(cell): &LiveCell) -> bool {
        // SAFETY: (P3) the cell is live, and was written when it was allocated.
        let bytes = unsafe { std::slice::from_raw_parts(cell.ptr.as_ptr(), cell.size) };
        bytes.iter().all(|byte| *byte == 0xA5)
    }

    pub fn free(&self, cell: LiveCell) {
        assert!(Self::is_intact(&cell), "a live cell was written");
        // SAFETY: (P3) a `LiveCell` exists once.
        unsafe { self.0.free(cell.0.ptr, CELL_BYTES, cell.0.origin) };
    }

    pub fn free_to_cache(&self, cell: LiveCell) {
        assert!(Self::is_intact(&cell), "a live cell was written");
        // SAFETY: (P3) a `LiveCell` exists once.
        unsafe { self.0.free_to_cache(cell.0.ptr, CELL_BYTES, cell.0.origin) };
    }

    pub fn merge_heaps(&self) {
        self.0.merge_heaps();
    }

    pub fn empty_caches(&self) {
        self.0.empty_caches();
    }

    /// Checks that the heaps have this many live cells, and no slab or cached cell if there are
    /// none.
    pub fn check(&self, live: usize) {
        let mut heaps = [(0, 0); HEAPS];
        for (bytes, heap) in heaps.iter_mut().zip(&self.0.heaps) {
            let heap = heap.lock();
            *bytes = (heap.live_bytes(), heap.reserved_bytes());
        }
        let cached: usize = self.0.caches.iter().map(|cache| cache.cells.lock().bytes()).sum();
        let size = super::cell_size(CELL_BYTES);
        let live_bytes = heaps.iter().map(|(live, _)| *live).fold(0, usize::wrapping_add);
        assert_eq!(live_bytes, cached + live * size, "{heaps:?}");
        assert!(live > 0 || cached == 0, "a cache was not emptied");
        for (live, reserved) in heaps {
            assert!(live <= reserved, "a heap has live cells, but no slab: {heaps:?}");
            assert!(live > 0 || reserved == 0, "an empty heap has slabs: {heaps:?}");
        }
    }
}
