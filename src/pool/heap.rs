//! One heap: slabs, their pages, and the cells in them. All of it is plain
//! single-threaded code; the pool puts each heap behind a lock.

use std::alloc::{self, Layout};
use std::mem;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};

use super::Origin;
use super::classes::{CLASSES, PAGE, SIZES, borrow_table};
use crate::tree::prefetch;

/// Bytes of a small slab.
pub(super) const SMALL_SLAB: usize = 256 << 10;
/// Bytes of a large slab: the size of a huge page.
pub(super) const LARGE_SLAB: usize = 2 << 20;
/// A heap takes small slabs until it holds this many bytes in them: then a large one, of which half is idle on average, is little beside it.
pub(super) const SMALL_BYTES: usize = 67 << 18;
/// A heap with more live bytes than this counts as busy, until it has fewer
/// than half of them.
pub(super) const BUSY: usize = 512 << 10;

/// An empty slab is not kept if this many bytes of pages are free elsewhere.
const SPARE: usize = 256 << 10;

/// How many bytes of free pages there must be to spare, and by which part of
/// all bytes more, for a slab to be retired.
const MARGIN: usize = 64 << 10;
const MARGIN_PART: usize = 64;

/// This part of a heap may be small slabs in place of large ones of which much would be idle.
const NARROW_PART: usize = 32;

/// The most pages a slab has.
const MOST_PAGES: usize = LARGE_SLAB / PAGE;

/// `free_pages` is one word with a bit per page.
const _: () = assert!(LARGE.pages <= 64 && SMALL.pages >= 2 && SMALL.pages <= LARGE.pages);

/// How far a class without a free cell borrows, for little, more and much that
/// is live: from cells larger by that part at most. The smaller the heap, the
/// more a partly used page costs beside it.
static BORROW: [[u8; CLASSES]; 3] = [borrow_table(4), borrow_table(8), borrow_table(16)];
/// Cells of a class that borrow as if little were live, before a page of its own is opened.
const EARLY: u8 = 16;
/// The live bytes above which it is the next.
const BORROW_LESS: [usize; 2] = [4 << 20, 24 << 20];

/// The neighbours of a page, or of a slab, in the list that it is in.
struct Links<T> {
    next: *mut T,
    prev: *mut T,
}

impl<T> Links<T> {
    const NONE: Links<T> = Links { next: ptr::null_mut(), prev: ptr::null_mut() };
}

/// What a list may be of.
trait Linked: Sized {
    /// # Safety
    /// `this` is live (P2).
    unsafe fn links(this: *mut Self) -> *mut Links<Self>;
}

impl Linked for Page {
    unsafe fn links(this: *mut Page) -> *mut Links<Page> {
        // SAFETY: (P2) by the caller.
        unsafe { &raw mut (*this).links }
    }
}

impl Linked for Slab {
    unsafe fn links(this: *mut Slab) -> *mut Links<Slab> {
        // SAFETY: (P2) by the caller.
        unsafe { &raw mut (*this).links }
    }
}

/// The state of one page; lives in the header of its slab.
#[repr(C)]
struct Page {
    /// In the list of pages of the same class with a free cell.
    links: Links<Page>,
    /// The first cell of the list of freed cells.
    freed: *mut u8,
    /// Live cells.
    used: u16,
    /// Cells that fit.
    cap: u16,
    /// Cells handed out at least once; those from here on were never touched.
    fresh: u16,
    class: u8,
    kind: Origin,
}

/// The header of a slab, followed by its pages' states. It begins with what holders of cells read without the lock, on a cache line that
/// seldom changes.
#[repr(C)]
struct Slab {
    /// The class of each page, as its state has it.
    classes: [u8; MOST_PAGES],
    /// The index of the owning heap.
    heap: AtomicU8,
    /// Whether the slab is in the list of those to be emptied.
    retired: AtomicBool,
    kind: Origin,
    rest: [u8; 64 - MOST_PAGES - 3],
    /// In the list of slabs with as many used pages, of full or of retired
    /// ones.
    links: Links<Slab>,
    /// A bit for each page that serves no class.
    free_pages: u64,
}

/// Where a slab's parts are; constant per kind.
#[derive(Clone, Copy)]
struct Shape {
    bytes: usize,
    pages: usize,
    /// Bytes of the header with the pages' states, a multiple of a cache line.
    header: usize,
}

impl Shape {
    const fn new(bytes: usize) -> Shape {
        let pages = bytes / PAGE;
        let header = size_of::<Slab>() + pages * size_of::<Page>();
        Shape { bytes, pages, header: header.next_multiple_of(64) }
    }

    /// The layout of a slab of this shape.
    fn layout(self) -> Layout {
        // Never fails: both are the same small power of two.
        Layout::from_size_align(self.bytes, self.bytes).expect("slab layout")
    }
}

const SMALL: Shape = Shape::new(SMALL_SLAB);
const LARGE: Shape = Shape::new(LARGE_SLAB);

const _: () = assert!(LARGE.header + 4096 <= PAGE);

#[inline]
fn shape(kind: Origin) -> Shape {
    if kind == Origin::Large { LARGE } else { SMALL }
}

/// The set of all pages of a slab.
fn all_pages(kind: Origin) -> u64 {
    u64::MAX >> (64 - shape(kind).pages)
}

/// The bytes of a set of pages.
fn bytes_of(pages: u64) -> usize {
    pages.count_ones() as usize * PAGE
}

/// The header of the slab that `inside` points into.
///
/// # Safety
/// `inside` points into a live slab of `kind` (P2).
#[inline]
unsafe fn slab_of(inside: *mut u8, kind: Origin) -> *mut Slab {
    let within = inside.addr() & (shape(kind).bytes - 1);
    // SAFETY: (P2) slabs are aligned to their size, so their start lies in the
    // allocation that `inside` points into.
    unsafe { inside.sub(within).cast() }
}

/// The index of the heap that owns the cell at `ptr`, which may change unless that heap is locked.
///
/// # Safety
/// `ptr` is a live cell of a slab of `kind` (P3).
#[inline]
pub(super) unsafe fn owner(ptr: NonNull<u8>, kind: Origin) -> usize {
    // SAFETY: (P2, P6) the slab lives as long as one of its cells, and `heap`
    // is written before the first of them is handed out, and then changed
    // atomically.
    unsafe { (*slab_of(ptr.as_ptr(), kind)).heap.load(Relaxed) as usize }
}

/// The index of the page that `inside` points into.
#[inline]
fn page_index(inside: *mut u8, kind: Origin) -> usize {
    (inside.addr() & (shape(kind).bytes - 1)) / PAGE
}

/// The page that `inside` points into.
///
/// # Safety
/// `slab` is the header of the live slab of `kind` that `inside` points into.
#[inline]
unsafe fn page_of(slab: *mut Slab, inside: *mut u8, kind: Origin) -> *mut Page {
    let index = page_index(inside, kind);
    // SAFETY: (P2) the header is followed by one state per page.
    unsafe { slab.add(1).cast::<Page>().add(index) }
}

/// Whether the slab of a live cell was to be emptied a moment ago.
///
/// # Safety
/// `ptr` is a live cell of a slab of `kind` (P3).
#[inline]
pub(super) unsafe fn is_retired(ptr: NonNull<u8>, kind: Origin) -> bool {
    // SAFETY: (P2, P6) the slab lives as long as one of its cells.
    unsafe { (*slab_of(ptr.as_ptr(), kind)).retired.load(Relaxed) }
}

/// The class of a live cell, and its size.
///
/// # Safety
/// `ptr` is a live cell of a slab of `kind` (P3).
#[inline]
pub(super) unsafe fn class(ptr: NonNull<u8>, kind: Origin) -> (usize, usize) {
    // SAFETY: (P2, P6) a page keeps its class as long as it has a live cell.
    unsafe {
        let slab = slab_of(ptr.as_ptr(), kind);
        let class = (*slab).classes[page_index(ptr.as_ptr(), kind)];
        (class as usize, SIZES[class as usize] as usize)
    }
}

/// See the module documentation.
pub(super) struct Heap {
    /// The pages with a free cell, by class; the first is taken from first.
    avail: [*mut Page; CLASSES],
    /// A bit for each class whose list is not empty.
    open: u128,
    /// The slabs with a free page, by the number of the other pages, and then
    /// those without.
    slabs: [*mut Slab; MOST_PAGES + 1],
    /// A bit for each of these lists, but the last, that is not empty.
    roomy: u64,
    /// An empty slab, in no list.
    spare: *mut Slab,
    /// The first of the slabs that are to be emptied: neither their free pages
    /// nor the free cells in their other pages are in any list.
    retired: *mut Slab,
    /// Cells of each class that were borrowed that early, [`EARLY`] at most.
    early: [u8; CLASSES],
    /// Bytes of the free pages of the listed slabs.
    free: usize,
    /// Bytes of live cells.
    used: usize,
    /// Fewer are half of what they were.
    floor: usize,
    /// Bytes of slabs.
    reserved: usize,
    /// Bytes of small slabs.
    small: usize,
    /// Bytes of small slabs that came from other heaps, at most.
    merged: usize,
    /// See [`BUSY`].
    busy: bool,
    index: u8,
}

// SAFETY: (P5) the pointers lead to slabs that only this heap's holder touches.
unsafe impl Send for Heap {}

impl Heap {
    pub(super) const fn new(index: u8) -> Heap {
        Heap {
            avail: [ptr::null_mut(); CLASSES],
            open: 0,
            slabs: [ptr::null_mut(); MOST_PAGES + 1],
            roomy: 0,
            spare: ptr::null_mut(),
            retired: ptr::null_mut(),
            early: [0; CLASSES],
            free: 0,
            used: 0,
            floor: 0,
            reserved: 0,
            small: 0,
            merged: 0,
            busy: false,
            index,
        }
    }

    /// Bytes of the pages that serve a class.
    #[cfg(test)]
    pub(super) fn pages(&self) -> usize {
        // SAFETY: (P5) the spare slab is live and this heap's.
        let spare = unsafe { self.spare.as_ref() };
        let mut free = self.free + spare.map_or(0, |slab| shape(slab.kind).bytes);
        let mut slab = self.retired;
        // SAFETY: (P5) retired slabs are live and this heap's.
        while let Some(retired) = unsafe { slab.as_ref() } {
            free += bytes_of(retired.free_pages);
            slab = retired.links.next;
        }
        self.reserved - free
    }

    pub(super) fn index(&self) -> u8 {
        self.index
    }

    pub(super) fn used(&self) -> usize {
        self.used
    }

    pub(super) fn reserved(&self) -> usize {
        self.reserved
    }

    /// Whether the heap became busy (`Some(true)`) or ceased to be.
    #[inline]
    pub(super) fn turned_busy(&mut self) -> Option<bool> {
        let turned = if self.busy { self.used < BUSY / 2 } else { self.used > BUSY };
        turned.then(|| {
            self.busy = !self.busy;
            self.busy
        })
    }

    /// Whether there are half as many live bytes as there were when it last said so, or have ever been since.
    #[inline]
    pub(super) fn has_shrunk(&mut self) -> bool {
        let shrunk = self.used < self.floor;
        if shrunk {
            self.floor = self.used / 2;
        }
        shrunk
    }

    /// A cell of `class` or of one of slightly larger cells, with its size.
    #[inline]
    pub(super) fn alloc(&mut self, class: usize) -> Option<super::Cell> {
        let mut page = self.avail[class];
        if page.is_null() {
            page = self.another_page(class)?;
        }
        // SAFETY: (P4, P5) listed pages are live and have a free cell: a freed
        // one, whose first word links to the next, or an untouched one.
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
                // The next one is read, and then written, soon.
                prefetch(next);
                (*page).freed = next;
                freed
            };
            let used = (*page).used + 1;
            (*page).used = used;
            if used == (*page).cap {
                self.unlist(page, class);
            }
            self.used += size;
            self.floor = self.floor.max(self.used / 2);
            Some(super::Cell { ptr: NonNull::new_unchecked(cell), size, home: (*page).kind })
        }
    }

    /// Takes a cell back and returns its size; none, and nothing done, if
    /// another heap owns it.
    ///
    /// # Safety
    /// `ptr` is a live cell of a slab of `kind` (P3); it is not used after it
    /// was taken back.
    #[inline]
    pub(super) unsafe fn free(&mut self, ptr: NonNull<u8>, kind: Origin) -> Option<usize> {
        let cell = ptr.as_ptr();
        // SAFETY: (P2, P4, P5) the cell's slab and page are live and, once
        // that is looked at, this heap's; the cell is the caller's last use of
        // these bytes.
        unsafe {
            let slab = slab_of(cell, kind);
            let page = page_of(slab, cell, kind);
            if (*slab).heap.load(Relaxed) != self.index {
                return None;
            }
            let class = (*page).class as usize;
            let size = SIZES[class] as usize;
            cell.cast::<*mut u8>().write((*page).freed);
            (*page).freed = cell;
            let used = (*page).used;
            debug_assert!(used > 0, "a cell was freed twice");
            (*page).used = used - 1;
            self.used -= size;
            if used == (*page).cap {
                self.list(page, class);
            }
            if used == 1 {
                self.drained(slab, page);
            }
            Some(size)
        }
    }

    /// Whether the cell's slab is to be emptied, or an eighth of its page is
    /// free and a cell in its place would stand in another one; none if another
    /// heap owns it. `wanted`: the class that is asked for then, of this heap.
    ///
    /// # Safety
    /// `ptr` is a live cell of a slab of `kind` (P3).
    pub(super) unsafe fn is_sparse(
        &self,
        ptr: NonNull<u8>,
        kind: Origin,
        wanted: Option<usize>,
    ) -> Option<bool> {
        // SAFETY: (P2, P5) the cell's slab and page are live and, once that is
        // looked at, this heap's.
        unsafe {
            let slab = slab_of(ptr.as_ptr(), kind);
            let page = page_of(slab, ptr.as_ptr(), kind);
            let own = (*slab).heap.load(Relaxed) == self.index;
            let is_next = || {
                wanted
                    .and_then(|class| self.nearest(class))
                    .is_some_and(|class| self.avail[class] == page)
            };
            own.then(|| {
                (*slab).retired.load(Relaxed)
                    || (8 * usize::from((*page).used) < 7 * usize::from((*page).cap) && !is_next())
            })
        }
    }

    /// The first class from `class` on that has a free cell.
    #[inline]
    fn nearest(&self, class: usize) -> Option<usize> {
        let larger = self.open >> class;
        (larger != 0).then(|| class + larger.trailing_zeros() as usize)
    }

    /// A page with a free cell for `class`, which has none: one of slightly
    /// larger cells, or a free page.
    #[cold]
    #[inline(never)]
    fn another_page(&mut self, class: usize) -> Option<*mut Page> {
        let live = BORROW_LESS.iter().filter(|least| self.used > **least).count();
        // The first cells of a class borrow as far as in a small heap: a page for a few of them would cost more.
        let early = self.early[class] < EARLY;
        let most = BORROW[if early { 0 } else { live }][class] as usize;
        loop {
            // Without this the half filled last pages of all classes add up to
            // a sizable part of a small heap.
            let nearest = self.nearest(class);
            if let Some(nearest) = nearest.filter(|nearest| *nearest <= most) {
                self.early[class] += u8::from(early && nearest > class);
                return Some(self.avail[nearest]);
            }
            if self.roomy != 0 {
                return Some(self.open_page(class));
            }
            if !self.retired.is_null() {
                self.unretire();
            } else if !self.add_slab() {
                // A cell of any size is better than none.
                return nearest.map(|nearest| self.avail[nearest]);
            }
        }
    }

    /// Takes over all that another heap has.
    pub(super) fn merge(&mut self, other: &mut Heap) {
        let index = self.index;
        // SAFETY: (P4, P5, P6) both heaps are borrowed, that is, locked. All slabs of the other are in its lists, or its spare one; they
        // and their pages go into the same lists of this one.
        unsafe {
            let adopt = |slab: *mut Slab| (*slab).heap.store(index, Relaxed);
            for at in 0..other.slabs.len() {
                while !other.slabs[at].is_null() {
                    let slab = other.slabs[at];
                    other.unlist_slab(slab);
                    adopt(slab);
                    self.list_slab(slab);
                }
            }
            while !other.retired.is_null() {
                let slab = other.retired;
                remove(&mut other.retired, slab);
                adopt(slab);
                push(&mut self.retired, slab);
            }
            for class in 0..CLASSES {
                while !other.avail[class].is_null() {
                    let page = other.avail[class];
                    other.unlist(page, class);
                    self.list(page, class);
                }
            }
            if !other.spare.is_null() {
                let spare = mem::replace(&mut other.spare, ptr::null_mut());
                other.give_back(spare);
            }
        }
        self.free += mem::take(&mut other.free);
        self.used += mem::take(&mut other.used);
        self.floor = self.floor.max(self.used / 2);
        other.floor = 0;
        self.reserved += mem::take(&mut other.reserved);
        self.small += other.small;
        self.merged += mem::take(&mut other.small);
        other.early = [0; CLASSES];
    }

    /// Makes a free page, of which there is one, serve `class`.
    fn open_page(&mut self, class: usize) -> *mut Page {
        // The fullest slab, so that the emptier ones drain.
        let slab = self.slabs[self.roomy.ilog2() as usize];
        // SAFETY: (P2, P4, P5) listed slabs are live, this heap's, and have a
        // free page, whose state nothing else refers to.
        unsafe {
            let index = (*slab).free_pages.trailing_zeros() as usize;
            self.unlist_slab(slab);
            (*slab).free_pages &= (*slab).free_pages - 1;
            self.list_slab(slab);
            self.free -= PAGE;
            (*slab).classes[index] = class as u8;
            let page = slab.add(1).cast::<Page>().add(index);
            page.write(Page {
                links: Links::NONE,
                freed: ptr::null_mut(),
                used: 0,
                cap: capacity(slab, index, class),
                fresh: 0,
                class: class as u8,
                kind: (*slab).kind,
            });
            self.list(page, class);
            page
        }
    }

    /// Puts a page with a free cell first in its class's list. A page that
    /// was full a moment ago is the fullest of them; taking from it first
    /// leaves the emptier ones to drain.
    ///
    /// # Safety
    /// The page is live, this heap's, of `class`, and in no list.
    #[inline]
    unsafe fn list(&mut self, page: *mut Page, class: usize) {
        self.open |= 1 << class;
        // SAFETY: (P4, P5) listed pages are live and this heap's.
        unsafe { push(&mut self.avail[class], page) };
    }

    /// Takes a page out of its class's list.
    ///
    /// # Safety
    /// The page is in the list of `class` of this heap.
    #[inline]
    unsafe fn unlist(&mut self, page: *mut Page, class: usize) {
        // SAFETY: (P4, P5) listed pages are live and this heap's.
        unsafe { remove(&mut self.avail[class], page) };
        if self.avail[class].is_null() {
            self.open &= !(1 << class);
        }
    }

    /// A page has no live cell any more.
    ///
    /// # Safety
    /// `page` is a page without live cells of the live `slab` of this heap, and
    /// listed unless the slab is retired.
    #[cold]
    #[inline(never)]
    unsafe fn drained(&mut self, slab: *mut Slab, page: *mut Page) {
        cover!(PageDrained);
        // SAFETY: (P2, P4, P5) as the caller promises.
        unsafe {
            let index = page.offset_from(slab.add(1).cast::<Page>());
            let bit = 1 << index;
            let shape = shape((*slab).kind);
            let empty = (*slab).free_pages | bit == all_pages((*slab).kind);
            if (*slab).retired.load(Relaxed) {
                (*slab).free_pages |= bit;
                if empty {
                    remove(&mut self.retired, slab);
                    self.give_back(slab);
                }
                return;
            }
            self.unlist(page, (*page).class as usize);
            self.unlist_slab(slab);
            (*slab).free_pages |= bit;
            if !empty {
                self.list_slab(slab);
                self.free += PAGE;
            } else {
                self.free -= shape.bytes - PAGE;
                if self.spare.is_null() {
                    self.spare = slab;
                } else {
                    self.give_back(slab);
                }
            }
            // Without a spare slab a heap at the edge of one would take and
            // return it again and again; a small heap had better be small.
            if !self.spare.is_null()
                && (self.free >= SPARE || self.used < 2 * self::shape((*self.spare).kind).bytes)
            {
                let spare = mem::replace(&mut self.spare, ptr::null_mut());
                self.give_back(spare);
            }
            self.retire();
        }
    }

    /// Retires the slab with the fewest used pages if the others have free pages
    /// enough.
    ///
    /// Pages drain all over the slabs, so hardly any slab would ever become
    /// empty by itself. In a retired one nothing is allocated any more until all
    /// others are full; what is in it moves out as the maps are changed.
    fn retire(&mut self) {
        if self.roomy == 0 {
            return;
        }
        let slab = self.slabs[self.roomy.trailing_zeros() as usize];
        // SAFETY: (P4, P5) listed slabs are live and this heap's.
        unsafe {
            let room = self.free - bytes_of((*slab).free_pages);
            if room >= MARGIN + self.reserved / MARGIN_PART {
                self.retire_slab(slab);
            }
        }
    }

    /// Retires a large slab of which less than three quarters are used, and takes small
    /// ones for what moves out of it. Says whether there was one, and memory.
    pub(super) fn narrow(&mut self) -> bool {
        if self.small > SMALL_BYTES + self.merged + self.reserved / NARROW_PART {
            return false;
        }
        let sparse = self.slabs[..LARGE.pages * 3 / 4].iter();
        // SAFETY: (P4, P5) listed slabs are live and this heap's.
        unsafe {
            let large = |slab: &*mut Slab| !slab.is_null() && (**slab).kind == Origin::Large;
            let Some((used, &slab)) = sparse.enumerate().find(|(_, slab)| large(slab)) else {
                return false;
            };
            // A page more: the first of a slab has the header in it.
            let wanted =
                ((used + 1) * PAGE).saturating_sub(self.free - bytes_of((*slab).free_pages));
            let room = (0..wanted.div_ceil(SMALL.bytes)).all(|_| self.add_slab_of(Origin::Small));
            if room {
                self.retire_slab(slab);
            }
            room
        }
    }

    /// Retires a slab; one that has nothing to move out goes back at once.
    ///
    /// # Safety
    /// The slab is this heap's, with a free page, and listed.
    unsafe fn retire_slab(&mut self, slab: *mut Slab) {
        // SAFETY: (P2, P4, P5) listed slabs are live and this heap's, and their
        // pages with a free cell are listed.
        unsafe {
            self.unlist_slab(slab);
            self.free -= bytes_of((*slab).free_pages);
            if (*slab).free_pages == all_pages((*slab).kind) {
                return self.give_back(slab);
            }
            for (page, _) in used_pages(slab) {
                if (*page).used < (*page).cap {
                    self.unlist(page, (*page).class as usize);
                }
                // It does not become listed by not being full any more.
                (*page).cap = u16::MAX;
            }
            (*slab).retired.store(true, Relaxed);
            push(&mut self.retired, slab);
        }
    }

    /// Puts the last retired slab, of which there is one, to use again.
    fn unretire(&mut self) {
        let slab = self.retired;
        // SAFETY: (P2, P4, P5) retired slabs are live and this heap's, and
        // neither they nor their pages are listed elsewhere.
        unsafe {
            remove(&mut self.retired, slab);
            (*slab).retired.store(false, Relaxed);
            self.free += bytes_of((*slab).free_pages);
            for (page, index) in used_pages(slab) {
                let class = (*page).class as usize;
                (*page).cap = capacity(slab, index, class);
                if (*page).used < (*page).cap {
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
    unsafe fn give_back(&mut self, slab: *mut Slab) {
        cover!(SlabFreed);
        // SAFETY: (P1, P2, P4) no cell is live, so nothing refers to the slab.
        unsafe {
            let kind = (*slab).kind;
            let shape = shape(kind);
            alloc::dealloc(slab.cast(), shape.layout());
            self.reserved -= shape.bytes;
            if kind == Origin::Small {
                self.small -= shape.bytes;
                self.merged = self.merged.min(self.small);
            }
        }
    }

    /// Lists an empty slab; false if there is no memory for one.
    fn add_slab(&mut self) -> bool {
        if !self.spare.is_null() {
            let spare = mem::replace(&mut self.spare, ptr::null_mut());
            // SAFETY: (P4, P5) the spare slab is live and in no list.
            unsafe {
                self.free += shape((*spare).kind).bytes;
                self.list_slab(spare);
            }
            return true;
        }
        let small = self.small < SMALL_BYTES;
        (!small && self.add_slab_of(Origin::Large)) || self.add_slab_of(Origin::Small)
    }

    fn add_slab_of(&mut self, kind: Origin) -> bool {
        let shape = shape(kind);
        // SAFETY: (P1) the layout's size is not zero.
        let base = unsafe { alloc::alloc(shape.layout()) };
        if base.is_null() {
            return false;
        }
        if kind == Origin::Large && super::huge_pages() {
            advise_huge(base, shape.bytes);
        }
        // SAFETY: (P1, P2) the header lies within the first page of the fresh
        // allocation, which nothing else refers to.
        unsafe {
            let slab = base.cast::<Slab>();
            slab.write(Slab {
                classes: [0; MOST_PAGES],
                heap: AtomicU8::new(self.index),
                kind,
                retired: AtomicBool::new(false),
                rest: [0; 64 - MOST_PAGES - 3],
                links: Links::NONE,
                free_pages: all_pages(kind),
            });
            self.list_slab(slab);
        }
        self.free += shape.bytes;
        self.reserved += shape.bytes;
        if kind == Origin::Small {
            self.small += shape.bytes;
        }
        true
    }

    /// Puts a slab first in its list.
    ///
    /// # Safety
    /// The slab is live, this heap's, and in no list.
    unsafe fn list_slab(&mut self, slab: *mut Slab) {
        // SAFETY: (P4, P5) listed slabs are live and this heap's.
        unsafe {
            let at = list_of(slab);
            if at < MOST_PAGES {
                self.roomy |= 1 << at;
            }
            push(&mut self.slabs[at], slab);
        }
    }

    /// Takes a slab out of its list.
    ///
    /// # Safety
    /// The slab is live, this heap's, and listed.
    unsafe fn unlist_slab(&mut self, slab: *mut Slab) {
        // SAFETY: (P4, P5) listed slabs are live and this heap's.
        unsafe {
            let at = list_of(slab);
            remove(&mut self.slabs[at], slab);
            if at < MOST_PAGES && self.slabs[at].is_null() {
                self.roomy &= !(1 << at);
            }
        }
    }
}

/// The number of the list that a slab belongs in.
///
/// # Safety
/// The slab is live, and the caller holds its heap (P5).
unsafe fn list_of(slab: *mut Slab) -> usize {
    // SAFETY: (P5) as the caller promises.
    unsafe {
        match (*slab).free_pages.count_ones() as usize {
            0 => MOST_PAGES,
            free => shape((*slab).kind).pages - free,
        }
    }
}

/// Puts a page or a slab first in a list.
///
/// # Safety
/// All that is in the list is live, of one heap that the caller holds (P5), and so is this, which is in no list.
#[inline]
unsafe fn push<T: Linked>(first: &mut *mut T, new: *mut T) {
    // SAFETY: (P4, P5) as the caller promises.
    unsafe {
        *T::links(new) = Links { next: *first, prev: ptr::null_mut() };
        if !first.is_null() {
            (*T::links(*first)).prev = new;
        }
    }
    *first = new;
}

/// Takes a page or a slab out of the list that begins at `first`.
///
/// # Safety
/// It is in it, and the caller holds the heap (P5).
#[inline]
unsafe fn remove<T: Linked>(first: &mut *mut T, old: *mut T) {
    // SAFETY: (P4, P5) as the caller promises.
    unsafe {
        let Links { next, prev } = T::links(old).read();
        if !next.is_null() {
            (*T::links(next)).prev = prev;
        }
        if !prev.is_null() {
            (*T::links(prev)).next = next;
        } else {
            *first = next;
        }
    }
}

/// The pages of a slab that serve a class, and their indices.
///
/// # Safety
/// The slab is live, and the caller holds its heap (P5).
unsafe fn used_pages(slab: *mut Slab) -> impl Iterator<Item = (*mut Page, usize)> {
    // SAFETY: (P5) as the caller promises.
    let (free, kind) = unsafe { ((*slab).free_pages, (*slab).kind) };
    (0..shape(kind).pages)
        .filter(move |index| free >> index & 1 == 0)
        // SAFETY: (P2) the header is followed by one state per page.
        .map(move |index| (unsafe { slab.add(1).cast::<Page>().add(index) }, index))
}

/// How many cells of `class` the page of this index holds.
///
/// # Safety
/// The slab is live.
unsafe fn capacity(slab: *mut Slab, index: usize, class: usize) -> u16 {
    // SAFETY: (P6) the kind never changes.
    let from = page_start(unsafe { (*slab).kind }, index);
    ((PAGE - from % PAGE) / SIZES[class] as usize) as u16
}

/// Where in a slab the cells of a page begin; the first page begins with the
/// header.
fn page_start(kind: Origin, index: usize) -> usize {
    if index == 0 { shape(kind).header } else { index * PAGE }
}

/// The first cell of a page that was never handed out.
///
/// # Safety
/// The page is live and has such a cell; its cells are of `size`.
unsafe fn fresh_cell(page: *mut Page, size: usize) -> *mut u8 {
    // SAFETY: (P2, P4) the page's state lies in its slab, and the cell in
    // the page that the state's position names, behind the header.
    unsafe {
        let kind = (*page).kind;
        let slab = slab_of(page.cast(), kind);
        let index = page.offset_from(slab.add(1).cast::<Page>()) as usize;
        let at = page_start(kind, index) + (*page).fresh as usize * size;
        slab.cast::<u8>().add(at)
    }
}

/// Asks the system to back a fresh allocation, or the whole huge pages in it, by huge pages.
pub(super) fn advise_huge(base: *mut u8, bytes: usize) {
    #[cfg(target_os = "linux")]
    // SAFETY: (P1) the range is a fresh allocation; the advice changes nothing
    // but how it is backed, and may fail without harm.
    unsafe {
        libc::madvise(base.cast(), bytes, libc::MADV_HUGEPAGE);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (base, bytes);
}
