//! The layout of slabs and pages, and the lists that link them.
//!
//! ```text
//!   slab, aligned to its size
//!   ┌──────┬────────┬────────┬─ ─┬──────┬──────────┬──────────┬─ ─
//!   │ Slab │ Page 0 │ Page 1 │   │ page 0's cells  │ page 1   │
//!   └──────┴────────┴────────┴─ ─┴──────┴──────────┴──────────┴─ ─
//!   └── header, `Shape::header` bytes ──┘          └ at PAGE   └ at 2 * PAGE
//! ```

use super::cell::Origin;
use super::classes::{PAGE, SIZES};
use crate::sync::AtomicU8;
use std::alloc::Layout;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Bytes of a small slab.
pub(super) const SMALL_SLAB: usize = 256 << 10;
/// Bytes of a large slab: the size of a huge page.
pub(super) const LARGE_SLAB: usize = 2 << 20;

/// Pages of a slab, at most.
pub(super) const MAX_SLAB_PAGES: usize = LARGE_SLAB / PAGE;

/// `free_pages` is one word with a bit for each page.
const _: () = assert!(LARGE.pages <= 64 && SMALL.pages >= 2 && SMALL.pages <= LARGE.pages);

/// The neighbours of a page or slab in its list.
pub(super) struct Links<T> {
    pub(super) next: *mut T,
    prev: *mut T,
}

impl<T> Links<T> {
    pub(super) const NONE: Links<T> = Links { next: ptr::null_mut(), prev: ptr::null_mut() };
}

/// A page or a slab: what a list links.
pub(super) trait Linked: Sized {
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

/// The state of one page, in the header of its slab.
#[repr(C)]
pub(super) struct Page {
    /// In the list of pages of the same class with a free cell.
    pub(super) links: Links<Page>,
    /// The first of the freed cells, which are linked.
    pub(super) freed: *mut u8,
    /// Live cells.
    pub(super) live: u16,
    /// Cells that fit; `u16::MAX` in a draining slab.
    pub(super) capacity: u16,
    /// Cells that have been live once. Those from here on were never touched.
    pub(super) fresh: u16,
    pub(super) class: u8,
    pub(super) origin: Origin,
}

/// The header of a slab, followed by its pages' states.
///
/// It begins with what holders of cells read without the lock, on a cache line that seldom changes.
#[repr(C)]
pub(super) struct Slab {
    /// The class of each page, equal to its state's.
    pub(super) classes: [u8; MAX_SLAB_PAGES],
    /// The index of the owning heap.
    pub(super) heap: AtomicU8,
    /// Whether the slab serves no allocation, so that it empties.
    pub(super) draining: AtomicBool,
    pub(super) origin: Origin,
    padding: [u8; 64 - MAX_SLAB_PAGES - 3],
    /// In the list of slabs with as many used pages, of full slabs, or of draining ones.
    pub(super) links: Links<Slab>,
    /// A bit for each page without a class.
    pub(super) free_pages: u64,
}

impl Slab {
    /// Returns the header of a slab whose pages are all free.
    pub(super) fn new(origin: Origin, heap: u8) -> Slab {
        Slab {
            classes: [0; MAX_SLAB_PAGES],
            heap: AtomicU8::new(heap),
            origin,
            draining: AtomicBool::new(false),
            padding: [0; 64 - MAX_SLAB_PAGES - 3],
            links: Links::NONE,
            free_pages: all_pages(origin),
        }
    }
}

/// The sizes of a slab, constant for each origin.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) bytes: usize,
    pub(super) pages: usize,
    /// Bytes of the header with the pages' states, a multiple of a cache line.
    header: usize,
}

impl Shape {
    const fn new(bytes: usize) -> Shape {
        let pages = bytes / PAGE;
        let header = size_of::<Slab>() + pages * size_of::<Page>();
        Shape { bytes, pages, header: header.next_multiple_of(64) }
    }

    /// Returns the layout of a slab of this shape.
    pub(super) fn layout(self) -> Layout {
        // Never fails: both are the same small power of two.
        Layout::from_size_align(self.bytes, self.bytes).expect("slab layout")
    }
}

pub(super) const SMALL: Shape = Shape::new(SMALL_SLAB);
pub(super) const LARGE: Shape = Shape::new(LARGE_SLAB);

const _: () = assert!(LARGE.header + 4096 <= PAGE);

/// Returns the shape of slabs of an origin.
#[inline]
pub(super) fn shape(origin: Origin) -> Shape {
    if origin == Origin::Large { LARGE } else { SMALL }
}

/// Returns the set of all pages of a slab.
#[inline]
pub(super) fn all_pages(origin: Origin) -> u64 {
    u64::MAX >> (64 - shape(origin).pages)
}

/// Returns the bytes of a set of pages.
#[inline]
pub(super) fn bytes_of(pages: u64) -> usize {
    pages.count_ones() as usize * PAGE
}

/// Returns the header of the slab that `inside` points into.
///
/// # Safety
/// `inside` points into a live slab of `origin` (P2).
#[inline]
pub(super) unsafe fn slab_of(inside: *mut u8, origin: Origin) -> *mut Slab {
    let within = inside.addr() & (shape(origin).bytes - 1);
    // SAFETY: (P2) slabs are aligned to their size, so their start lies in the allocation that
    // `inside` points into.
    unsafe { inside.sub(within).cast() }
}

/// Returns the state of a slab's page.
///
/// # Safety
/// The slab is live and has a page of this index.
#[inline]
pub(super) unsafe fn page_at(slab: *mut Slab, index: usize) -> *mut Page {
    // SAFETY: (P2) the header is followed by one state for each page.
    unsafe { slab.add(1).cast::<Page>().add(index) }
}

/// Returns the index of the page that `inside` points into.
#[inline]
fn page_index(inside: *mut u8, origin: Origin) -> usize {
    (inside.addr() & (shape(origin).bytes - 1)) / PAGE
}

/// Returns the page that `inside` points into.
///
/// # Safety
/// `slab` is the header of the live slab of `origin` that `inside` points into.
#[inline]
pub(super) unsafe fn page_of(slab: *mut Slab, inside: *mut u8, origin: Origin) -> *mut Page {
    // SAFETY: (P2) the header is followed by one state for each page.
    unsafe { page_at(slab, page_index(inside, origin)) }
}

/// Returns the index of the heap that owns the cell at `ptr`. May change unless that heap is
/// locked.
///
/// # Safety
/// `ptr` is a live cell of a slab of `origin` (P3).
#[inline]
pub(super) unsafe fn owner(ptr: NonNull<u8>, origin: Origin) -> usize {
    // SAFETY: (P2, P6) the slab lives as long as one of its cells. `heap` is written before the
    // slab's first cell is served, and then changed atomically.
    unsafe { (*slab_of(ptr.as_ptr(), origin)).heap.load(Relaxed) as usize }
}

/// Returns whether the slab of a live cell was draining a moment ago.
///
/// # Safety
/// `ptr` is a live cell of a slab of `origin` (P3).
#[inline]
pub(super) unsafe fn is_draining(ptr: NonNull<u8>, origin: Origin) -> bool {
    // SAFETY: (P2, P6) the slab lives as long as one of its cells.
    unsafe { (*slab_of(ptr.as_ptr(), origin)).draining.load(Relaxed) }
}

/// Returns the class of a live cell, and its size.
///
/// # Safety
/// `ptr` is a live cell of a slab of `origin` (P3).
#[inline]
pub(super) unsafe fn class(ptr: NonNull<u8>, origin: Origin) -> (usize, usize) {
    // SAFETY: (P2, P6) a page keeps its class as long as it has a live cell.
    unsafe {
        let slab = slab_of(ptr.as_ptr(), origin);
        let class = (*slab).classes[page_index(ptr.as_ptr(), origin)];
        (class as usize, SIZES[class as usize] as usize)
    }
}

/// Returns the number of the list that a slab belongs in: its used pages, or [`MAX_SLAB_PAGES`] if
/// it has no free one.
///
/// # Safety
/// The slab is live, and the caller has locked its heap (P5).
pub(super) unsafe fn list_of(slab: *mut Slab) -> usize {
    // SAFETY: (P5) by the caller.
    unsafe {
        match (*slab).free_pages.count_ones() as usize {
            0 => MAX_SLAB_PAGES,
            free => shape((*slab).origin).pages - free,
        }
    }
}

/// Inserts a page or a slab at the front of a list.
///
/// # Safety
/// All elements of the list are live, of one heap that the caller has locked (P5). So is `new`,
/// which is in no list.
#[inline]
pub(super) unsafe fn push<T: Linked>(first: &mut *mut T, new: *mut T) {
    // SAFETY: (P4, P5) by the caller.
    unsafe {
        *T::links(new) = Links { next: *first, prev: ptr::null_mut() };
        if !first.is_null() {
            (*T::links(*first)).prev = new;
        }
    }
    *first = new;
}

/// Removes a page or a slab from the list that begins at `first`.
///
/// # Safety
/// `old` is in the list, and the caller has locked its heap (P5).
#[inline]
pub(super) unsafe fn remove<T: Linked>(first: &mut *mut T, old: *mut T) {
    // SAFETY: (P4, P5) by the caller.
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

/// Returns the pages of a slab that have a class, and their indices.
///
/// # Safety
/// The slab is live, and the caller has locked its heap (P5).
pub(super) unsafe fn used_pages(slab: *mut Slab) -> impl Iterator<Item = (*mut Page, usize)> {
    // SAFETY: (P5) by the caller.
    let (free, origin) = unsafe { ((*slab).free_pages, (*slab).origin) };
    (0..shape(origin).pages)
        .filter(move |index| free >> index & 1 == 0)
        // SAFETY: (P2) the header is followed by one state for each page.
        .map(move |index| (unsafe { page_at(slab, index) }, index))
}

/// Returns how many cells of `class` fit into the page of this index.
///
/// # Safety
/// The slab is live.
pub(super) unsafe fn capacity(slab: *mut Slab, index: usize, class: usize) -> u16 {
    // SAFETY: (P6) the origin never changes.
    let from = page_start(unsafe { (*slab).origin }, index);
    ((PAGE - from % PAGE) / SIZES[class] as usize) as u16
}

/// Returns the offset in the slab of a page's first cell. In the first page it follows the header.
#[inline]
fn page_start(origin: Origin, index: usize) -> usize {
    if index == 0 { shape(origin).header } else { index * PAGE }
}

/// Returns the first cell of a page that was never live.
///
/// # Safety
/// The page is live and has such a cell; its cells are of `size`.
#[inline]
pub(super) unsafe fn fresh_cell(page: *mut Page, size: usize) -> *mut u8 {
    // SAFETY: (P2, P4) the page's state lies in its slab, and the cell in the page of the state's
    // index, after the header.
    unsafe {
        let origin = (*page).origin;
        let slab = slab_of(page.cast(), origin);
        let index = page.offset_from(slab.add(1).cast::<Page>()) as usize;
        let offset = page_start(origin, index) + (*page).fresh as usize * size;
        slab.cast::<u8>().add(offset)
    }
}

/// Asks the system to back memory by huge pages, where it contains whole ones.
pub(super) fn advise_huge(base: *mut u8, bytes: usize) {
    #[cfg(target_os = "linux")]
    // SAFETY: (P1) the range is a fresh allocation. The advice changes only how it is backed, and
    // may fail without harm.
    unsafe {
        libc::madvise(base.cast(), bytes, libc::MADV_HUGEPAGE);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (base, bytes);
}
