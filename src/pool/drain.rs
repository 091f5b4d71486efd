//! How a heap takes slabs from the global allocator, drains them, and gives them back.
//!
//! Pages empty all over the slabs, so hardly any slab would ever become empty by itself. So a heap
//! with many free pages *drains* its emptiest slab: it serves no allocation until all others are
//! full, and empties as maps replace their nodes.

use super::cell::Origin;
use super::classes::PAGE;
use super::heap::Heap;
use super::slab::{
    LARGE, MAX_SLAB_PAGES, Page, SMALL, Slab, advise_huge, all_pages, bytes_of, capacity, list_of,
    push, remove, shape, used_pages,
};
use std::alloc;
use std::mem;
use std::ptr;
use std::sync::atomic::Ordering::Relaxed;

/// Bytes of small slabs that a heap takes before it takes large ones: beside these, a large slab,
/// half idle on average, is little.
pub(super) const MAX_SMALL_BYTES: usize = 67 << 18;

/// Bytes of free pages elsewhere from which on no reserve slab is kept.
const RESERVE_FREE_BYTES: usize = 256 << 10;

/// Bytes of free pages that must remain in other slabs for a slab to be drained; and this part of
/// the heap's reserved bytes in addition.
const DRAIN_MARGIN_BYTES: usize = 64 << 10;
const DRAIN_MARGIN_DIVISOR: usize = 64;

/// The part of a heap that may be small slabs in place of large ones that were drained.
const SMALL_SLABS_DIVISOR: usize = 32;

impl Heap {
    /// Frees a page whose last live cell was freed, and its slab if that is empty now.
    ///
    /// # Safety
    /// `page` is a page without live cells of the live `slab` of this heap, and listed unless the
    /// slab is draining.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn page_emptied(&mut self, slab: *mut Slab, page: *mut Page) {
        cover!(PageDrained);
        // SAFETY: (P2, P4, P5) by the caller.
        unsafe {
            let index = page.offset_from(slab.add(1).cast::<Page>());
            let bit = 1 << index;
            let shape = shape((*slab).origin);
            let empty = (*slab).free_pages | bit == all_pages((*slab).origin);
            if (*slab).draining.load(Relaxed) {
                (*slab).free_pages |= bit;
                if empty {
                    remove(&mut self.draining, slab);
                    self.free_slab(slab);
                }
                return;
            }
            self.unlist(page, (*page).class as usize);
            self.unlist_slab(slab);
            (*slab).free_pages |= bit;
            if !empty {
                self.list_slab(slab);
                self.free_bytes += PAGE;
            } else {
                self.free_bytes -= shape.bytes - PAGE;
                if self.reserve.is_null() {
                    self.reserve = slab;
                } else {
                    self.free_slab(slab);
                }
            }
            // Without a reserve slab a heap whose last page fills and empties would take and free
            // one each time. A small heap keeps none.
            if !self.reserve.is_null()
                && (self.free_bytes >= RESERVE_FREE_BYTES
                    || self.live_bytes < 2 * self::shape((*self.reserve).origin).bytes)
            {
                let reserve = mem::replace(&mut self.reserve, ptr::null_mut());
                self.free_slab(reserve);
            }
            self.drain_emptiest_slab();
        }
    }

    /// Drains the slab with the fewest used pages if enough free pages remain in the others.
    fn drain_emptiest_slab(&mut self) {
        if self.open_lists == 0 {
            return;
        }
        let slab = self.slabs[self.open_lists.trailing_zeros() as usize];
        // SAFETY: (P4, P5) listed slabs are live and this heap's.
        unsafe {
            let remaining = self.free_bytes - bytes_of((*slab).free_pages);
            if remaining >= DRAIN_MARGIN_BYTES + self.reserved_bytes / DRAIN_MARGIN_DIVISOR {
                self.start_draining(slab);
            }
        }
    }

    /// Drains a large slab of which less than three quarters are used, and takes small slabs for
    /// what moves out of it. Returns whether there was such a slab, and memory.
    pub(super) fn drain_large_slab(&mut self) -> bool {
        let max_small =
            MAX_SMALL_BYTES + self.merged_bytes + self.reserved_bytes / SMALL_SLABS_DIVISOR;
        if self.small_bytes > max_small {
            return false;
        }
        let sparse = self.slabs[..LARGE.pages * 3 / 4].iter();
        // SAFETY: (P4, P5) listed slabs are live and this heap's.
        unsafe {
            let large = |slab: &*mut Slab| !slab.is_null() && (**slab).origin == Origin::Large;
            let Some((used, &slab)) = sparse.enumerate().find(|(_, slab)| large(slab)) else {
                return false;
            };
            // One page more than is used: the first page of a slab contains the header.
            let wanted =
                ((used + 1) * PAGE).saturating_sub(self.free_bytes - bytes_of((*slab).free_pages));
            let added = (0..wanted.div_ceil(SMALL.bytes)).all(|_| self.add_slab_of(Origin::Small));
            if added {
                self.start_draining(slab);
            }
            added
        }
    }

    /// Drains a slab. If it is empty, frees it.
    ///
    /// # Safety
    /// The slab is this heap's, with a free page, and listed.
    unsafe fn start_draining(&mut self, slab: *mut Slab) {
        // SAFETY: (P2, P4, P5) listed slabs are live and this heap's, and their pages with a free
        // cell are listed.
        unsafe {
            self.unlist_slab(slab);
            self.free_bytes -= bytes_of((*slab).free_pages);
            if (*slab).free_pages == all_pages((*slab).origin) {
                return self.free_slab(slab);
            }
            for (page, _) in used_pages(slab) {
                if (*page).live < (*page).capacity {
                    self.unlist(page, (*page).class as usize);
                }
                // So that it is never full, and is not listed when a cell is freed.
                (*page).capacity = u16::MAX;
            }
            (*slab).draining.store(true, Relaxed);
            push(&mut self.draining, slab);
        }
    }

    /// Lists the slab that was drained last, of which there is one, for allocations.
    pub(super) fn stop_draining(&mut self) {
        let slab = self.draining;
        // SAFETY: (P2, P4, P5) draining slabs are live and this heap's, and neither they nor their
        // pages are listed elsewhere.
        unsafe {
            remove(&mut self.draining, slab);
            (*slab).draining.store(false, Relaxed);
            self.free_bytes += bytes_of((*slab).free_pages);
            for (page, index) in used_pages(slab) {
                let class = (*page).class as usize;
                (*page).capacity = capacity(slab, index, class);
                if (*page).live < (*page).capacity {
                    self.list(page, class);
                }
            }
            self.list_slab(slab);
        }
    }

    /// Returns a slab to the global allocator.
    ///
    /// # Safety
    /// The slab is this heap's, has no used page and is not listed.
    pub(super) unsafe fn free_slab(&mut self, slab: *mut Slab) {
        cover!(SlabFreed);
        // SAFETY: (P1, P2, P4) no cell is live, so nothing refers to the slab.
        unsafe {
            let origin = (*slab).origin;
            let shape = shape(origin);
            alloc::dealloc(slab.cast(), shape.layout());
            self.reserved_bytes -= shape.bytes;
            if origin == Origin::Small {
                self.small_bytes -= shape.bytes;
                self.merged_bytes = self.merged_bytes.min(self.small_bytes);
            }
        }
    }

    /// Lists an empty slab. Returns false if there is no memory for one.
    pub(super) fn add_slab(&mut self) -> bool {
        if !self.reserve.is_null() {
            let reserve = mem::replace(&mut self.reserve, ptr::null_mut());
            // SAFETY: (P4, P5) the reserve slab is live and in no list.
            unsafe {
                self.free_bytes += shape((*reserve).origin).bytes;
                self.list_slab(reserve);
            }
            return true;
        }
        let small = self.small_bytes < MAX_SMALL_BYTES;
        (!small && self.add_slab_of(Origin::Large)) || self.add_slab_of(Origin::Small)
    }

    fn add_slab_of(&mut self, origin: Origin) -> bool {
        let shape = shape(origin);
        // SAFETY: (P1) the layout's size is not zero.
        let base = unsafe { alloc::alloc(shape.layout()) };
        if base.is_null() {
            return false;
        }
        if origin == Origin::Large && super::huge_pages() {
            advise_huge(base, shape.bytes);
        }
        // SAFETY: (P1, P2) the header lies within the first page of the fresh allocation, which
        // nothing else refers to.
        unsafe {
            let slab = base.cast::<Slab>();
            slab.write(Slab::new(origin, self.index()));
            self.list_slab(slab);
        }
        self.free_bytes += shape.bytes;
        self.reserved_bytes += shape.bytes;
        if origin == Origin::Small {
            self.small_bytes += shape.bytes;
        }
        true
    }

    /// Inserts a slab at the front of its list.
    ///
    /// # Safety
    /// The slab is live, this heap's, and in no list.
    pub(super) unsafe fn list_slab(&mut self, slab: *mut Slab) {
        // SAFETY: (P4, P5) listed slabs are live and this heap's.
        unsafe {
            let list = list_of(slab);
            if list < MAX_SLAB_PAGES {
                self.open_lists |= 1 << list;
            }
            push(&mut self.slabs[list], slab);
        }
    }

    /// Removes a slab from its list.
    ///
    /// # Safety
    /// The slab is live, this heap's, and listed.
    pub(super) unsafe fn unlist_slab(&mut self, slab: *mut Slab) {
        // SAFETY: (P4, P5) listed slabs are live and this heap's.
        unsafe {
            let list = list_of(slab);
            remove(&mut self.slabs[list], slab);
            if list < MAX_SLAB_PAGES && self.slabs[list].is_null() {
                self.open_lists &= !(1 << list);
            }
        }
    }
}
