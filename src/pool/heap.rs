//! One heap: the cells and pages of its slabs. Single-threaded; the pool locks each heap.
//!
//! How a heap takes and frees slabs is in `drain.rs`.

use super::cell::{Cell, Origin, prefetch};
use super::classes::{CLASSES, PAGE, SIZES, borrow_limits};
use super::slab::{
    Links, MAX_SLAB_PAGES, Page, Slab, capacity, fresh_cell, page_at, page_of, push, remove,
    slab_of,
};
#[cfg(test)]
use super::slab::{bytes_of, shape};
use std::mem;
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering::Relaxed;

/// Live bytes above which a heap is busy, until it has fewer than half of them.
pub(super) const BUSY_BYTES: usize = 512 << 10;

/// How much larger a borrowed cell may be (1/4, 1/8, 1/16), by live bytes of the heap. Small heaps
/// borrow more: there a half-empty page costs more.
static BORROW_LIMITS: [[u8; CLASSES]; 3] = [borrow_limits(4), borrow_limits(8), borrow_limits(16)];
/// The live bytes above which the next level applies.
const BORROW_LEVEL_BYTES: [usize; 2] = [4 << 20, 24 << 20];
/// Cells of each class that may borrow as in a small heap, before the class gets a page of its own.
const MAX_EARLY_BORROWS: u8 = 16;

/// See the module documentation.
pub(super) struct Heap {
    /// The pages with a free cell, by class. Cells are taken from the first page of a list.
    open_pages: [*mut Page; CLASSES],
    /// A bit for each class whose list is not empty.
    open_classes: u128,
    /// The slabs with a free page, by the number of their used pages, and then the full ones.
    pub(super) slabs: [*mut Slab; MAX_SLAB_PAGES + 1],
    /// A bit for each of these lists, except the last, that is not empty.
    pub(super) open_lists: u64,
    /// An empty slab, in no list.
    pub(super) reserve: *mut Slab,
    /// The first of the draining slabs. Neither their free pages nor the free cells in their other
    /// pages are in any list.
    pub(super) draining: *mut Slab,
    /// Early borrows of each class, at most [`MAX_EARLY_BORROWS`].
    early_borrows: [u8; CLASSES],
    /// Bytes of the free pages of the listed slabs.
    pub(super) free_bytes: usize,
    /// Bytes of live cells.
    pub(super) live_bytes: usize,
    /// Live bytes below which the heap has lost half of what it had.
    shrink_bytes: usize,
    /// Bytes of slabs.
    pub(super) reserved_bytes: usize,
    /// Bytes of small slabs.
    pub(super) small_bytes: usize,
    /// Bytes of small slabs that came from other heaps, at most.
    pub(super) merged_bytes: usize,
    /// See [`BUSY_BYTES`].
    busy: bool,
    index: u8,
}

// SAFETY: (P5) the pointers lead to slabs that only the thread that holds this heap's lock touches.
unsafe impl Send for Heap {}

impl Heap {
    pub(super) const fn new(index: u8) -> Heap {
        Heap {
            open_pages: [ptr::null_mut(); CLASSES],
            open_classes: 0,
            slabs: [ptr::null_mut(); MAX_SLAB_PAGES + 1],
            open_lists: 0,
            reserve: ptr::null_mut(),
            draining: ptr::null_mut(),
            early_borrows: [0; CLASSES],
            free_bytes: 0,
            live_bytes: 0,
            shrink_bytes: 0,
            reserved_bytes: 0,
            small_bytes: 0,
            merged_bytes: 0,
            busy: false,
            index,
        }
    }

    /// Returns the bytes of the pages that have a class.
    #[cfg(test)]
    pub(super) fn page_bytes(&self) -> usize {
        // SAFETY: (P5) the reserve slab is live and this heap's.
        let reserve = unsafe { self.reserve.as_ref() };
        let mut free = self.free_bytes + reserve.map_or(0, |slab| shape(slab.origin).bytes);
        let mut slab = self.draining;
        // SAFETY: (P5) draining slabs are live and this heap's.
        while let Some(draining) = unsafe { slab.as_ref() } {
            free += bytes_of(draining.free_pages);
            slab = draining.links.next;
        }
        self.reserved_bytes - free
    }

    pub(super) fn index(&self) -> u8 {
        self.index
    }

    pub(super) fn live_bytes(&self) -> usize {
        self.live_bytes
    }

    pub(super) fn reserved_bytes(&self) -> usize {
        self.reserved_bytes
    }

    /// Returns `Some(true)` if the heap became busy since the last call, `Some(false)` if it ceased
    /// to be.
    #[inline]
    pub(super) fn turned_busy(&mut self) -> Option<bool> {
        let turned =
            if self.busy { self.live_bytes < BUSY_BYTES / 2 } else { self.live_bytes > BUSY_BYTES };
        turned.then(|| {
            self.busy = !self.busy;
            self.busy
        })
    }

    /// Returns whether the heap has lost half of its live bytes since this last returned true, or
    /// since it had the most.
    #[inline]
    pub(super) fn has_shrunk(&mut self) -> bool {
        let shrunk = self.live_bytes < self.shrink_bytes;
        if shrunk {
            self.shrink_bytes = self.live_bytes / 2;
        }
        shrunk
    }

    /// Takes a cell of `class` or of a slightly larger class.
    #[inline]
    pub(super) fn alloc(&mut self, class: usize) -> Option<Cell> {
        let mut page = self.open_pages[class];
        if page.is_null() {
            page = self.another_page(class)?;
        }
        // SAFETY: (P4, P5) listed pages are live and have a free cell: a freed one, whose first
        // word links to the next, or an untouched one.
        unsafe {
            let class = (*page).class as usize;
            let size = SIZES[class] as usize;
            let freed = (*page).freed;
            let cell = if freed.is_null() {
                let cell = fresh_cell(page, size);
                (*page).fresh += 1;
                cell
            } else {
                let next = freed.cast::<*mut u8>().read();
                // The next cell is read, and then written, soon.
                prefetch(next);
                (*page).freed = next;
                freed
            };
            let live = (*page).live + 1;
            (*page).live = live;
            if live == (*page).capacity {
                self.unlist(page, class);
            }
            self.live_bytes += size;
            self.shrink_bytes = self.shrink_bytes.max(self.live_bytes / 2);
            Some(Cell { ptr: NonNull::new_unchecked(cell), size, origin: (*page).origin })
        }
    }

    /// Frees a cell and returns its size. Returns `None`, and does nothing, if another heap owns
    /// it.
    ///
    /// # Safety
    /// `ptr` is a live cell of a slab of `origin` (P3). It is not used afterwards.
    #[inline]
    pub(super) unsafe fn free(&mut self, ptr: NonNull<u8>, origin: Origin) -> Option<usize> {
        let cell = ptr.as_ptr();
        // SAFETY: (P2, P4, P5) the cell's slab and page are live and, once the owner is checked,
        // this heap's. The caller does not use the cell's bytes any more.
        unsafe {
            let slab = slab_of(cell, origin);
            let page = page_of(slab, cell, origin);
            if (*slab).heap.load(Relaxed) != self.index && !mutant!(OwnerNotChecked) {
                return None;
            }
            let class = (*page).class as usize;
            let size = SIZES[class] as usize;
            cell.cast::<*mut u8>().write((*page).freed);
            (*page).freed = cell;
            let live = (*page).live;
            debug_assert!(live > 0, "a cell was freed twice");
            (*page).live = live - 1;
            self.live_bytes -= size;
            if live == (*page).capacity {
                self.list(page, class);
            }
            if live == 1 {
                self.page_emptied(slab, page);
            }
            Some(size)
        }
    }

    /// Returns whether a copy of a cell in another place would help memory to be freed: its slab is
    /// draining, or an eighth of its page is free and the copy would be in another page.
    ///
    /// `wanted` is the class that the copy would be of, if it is for this heap. Returns `None` if
    /// another heap owns the cell.
    ///
    /// # Safety
    /// `ptr` is a live cell of a slab of `origin` (P3).
    pub(super) unsafe fn is_sparse(
        &self,
        ptr: NonNull<u8>,
        origin: Origin,
        wanted: Option<usize>,
    ) -> Option<bool> {
        // SAFETY: (P2, P5) the cell's slab and page are live and, once the owner is checked, this
        // heap's.
        unsafe {
            let slab = slab_of(ptr.as_ptr(), origin);
            let page = page_of(slab, ptr.as_ptr(), origin);
            let own = (*slab).heap.load(Relaxed) == self.index;
            let is_next = || {
                wanted
                    .and_then(|class| self.nearest_open(class))
                    .is_some_and(|class| self.open_pages[class] == page)
            };
            own.then(|| {
                let (live, capacity) = ((*page).live, (*page).capacity);
                (*slab).draining.load(Relaxed)
                    || (8 * usize::from(live) < 7 * usize::from(capacity) && !is_next())
            })
        }
    }

    /// Returns the first class from `class` on that has a free cell.
    #[inline]
    fn nearest_open(&self, class: usize) -> Option<usize> {
        let larger = self.open_classes >> class;
        (larger != 0).then(|| class + larger.trailing_zeros() as usize)
    }

    /// Returns a page with a free cell for `class`, which has none: one of a slightly larger class,
    /// or a free page.
    #[cold]
    #[inline(never)]
    fn another_page(&mut self, class: usize) -> Option<*mut Page> {
        let level = BORROW_LEVEL_BYTES.iter().filter(|bytes| self.live_bytes > **bytes).count();
        // The first cells of a class borrow as in a small heap: a page for a few of them would cost
        // more.
        let early = self.early_borrows[class] < MAX_EARLY_BORROWS;
        let limit = BORROW_LIMITS[if early { 0 } else { level }][class] as usize;
        loop {
            // Without borrowing, the partly filled last pages of all classes add up to a sizable
            // part of a small heap.
            let nearest = self.nearest_open(class);
            if let Some(nearest) = nearest.filter(|nearest| *nearest <= limit) {
                self.early_borrows[class] += u8::from(early && nearest > class);
                return Some(self.open_pages[nearest]);
            }
            if self.open_lists != 0 {
                return Some(self.open_page(class));
            }
            if !self.draining.is_null() {
                self.stop_draining();
            } else if !self.add_slab() {
                // A cell of any size is better than none.
                return nearest.map(|nearest| self.open_pages[nearest]);
            }
        }
    }

    /// Takes over all slabs of another heap.
    pub(super) fn merge(&mut self, other: &mut Heap) {
        let index = self.index;
        // SAFETY: (P4, P5, P6) both heaps are borrowed mutably, so both are locked. All slabs of
        // the other are in its lists, or are its reserve slab. They and their pages go into the
        // same lists of this heap.
        unsafe {
            let adopt = |slab: *mut Slab| (*slab).heap.store(index, Relaxed);
            for list in 0..other.slabs.len() {
                while !other.slabs[list].is_null() {
                    let slab = other.slabs[list];
                    other.unlist_slab(slab);
                    adopt(slab);
                    self.list_slab(slab);
                }
            }
            while !other.draining.is_null() {
                let slab = other.draining;
                remove(&mut other.draining, slab);
                adopt(slab);
                push(&mut self.draining, slab);
            }
            for class in 0..CLASSES {
                while !other.open_pages[class].is_null() {
                    let page = other.open_pages[class];
                    other.unlist(page, class);
                    self.list(page, class);
                }
            }
            if !other.reserve.is_null() {
                let reserve = mem::replace(&mut other.reserve, ptr::null_mut());
                other.free_slab(reserve);
            }
        }
        self.free_bytes += mem::take(&mut other.free_bytes);
        self.live_bytes += mem::take(&mut other.live_bytes);
        self.shrink_bytes = self.shrink_bytes.max(self.live_bytes / 2);
        other.shrink_bytes = 0;
        self.reserved_bytes += mem::take(&mut other.reserved_bytes);
        self.small_bytes += other.small_bytes;
        self.merged_bytes += mem::take(&mut other.small_bytes);
        other.early_borrows = [0; CLASSES];
    }

    /// Gives a free page, of which there is one, the class `class`.
    fn open_page(&mut self, class: usize) -> *mut Page {
        // The fullest slab, so that the emptier ones drain.
        let slab = self.slabs[self.open_lists.ilog2() as usize];
        // SAFETY: (P2, P4, P5) listed slabs are live, this heap's, and have a free page, whose
        // state nothing else refers to.
        unsafe {
            let index = (*slab).free_pages.trailing_zeros() as usize;
            self.unlist_slab(slab);
            (*slab).free_pages &= (*slab).free_pages - 1;
            self.list_slab(slab);
            self.free_bytes -= PAGE;
            (*slab).classes[index] = class as u8;
            let page = page_at(slab, index);
            page.write(Page {
                links: Links::NONE,
                freed: ptr::null_mut(),
                live: 0,
                capacity: capacity(slab, index, class),
                fresh: 0,
                class: class as u8,
                origin: (*slab).origin,
            });
            self.list(page, class);
            page
        }
    }

    /// Inserts a page with a free cell at the front of its class's list.
    ///
    /// A page that was full a moment ago is the fullest of them. Taking from it first lets the
    /// emptier ones drain.
    ///
    /// # Safety
    /// The page is live, this heap's, of `class`, and in no list.
    #[inline]
    pub(super) unsafe fn list(&mut self, page: *mut Page, class: usize) {
        self.open_classes |= 1 << class;
        // SAFETY: (P4, P5) listed pages are live and this heap's.
        unsafe { push(&mut self.open_pages[class], page) };
    }

    /// Removes a page from its class's list.
    ///
    /// # Safety
    /// The page is in the list of `class` of this heap.
    #[inline]
    pub(super) unsafe fn unlist(&mut self, page: *mut Page, class: usize) {
        // SAFETY: (P4, P5) listed pages are live and this heap's.
        unsafe { remove(&mut self.open_pages[class], page) };
        if self.open_pages[class].is_null() {
            self.open_classes &= !(1 << class);
        }
    }
}
