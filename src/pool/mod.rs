//! The pool: the memory of all maps of the process, as *cells* of variable size, one for each node.
//!
//! A tree replaces a cell by a slightly larger one with each insert. So the pool is built for cells
//! of many similar sizes that are freed soon, and for losing little between them:
//!
//! ```text
//! pool ── heap 0 ── slab (2 MiB, aligned to its size)
//!      ├─ heap 1    ┌────────┬────────┬────────┬────────┬─ ─ ─┬────────┐
//!      └─ …         │ header │ page 1 │ page 2 │ page 3 │     │ page 31│
//!                   │ page 0 │ 1088 B │ free   │ 720 B  │     │ 1088 B │
//!                   └────────┴────────┴────────┴────────┴─ ─ ─┴────────┘
//!                       │        └ 60 cells of one size, freed ones linked
//!                       └ owner, free pages, and for each page:
//!                         class, live cells, first freed cell, list links
//! ```
//!
//! * A **heap** (`heap.rs`) owns slabs. There are a few, each with a lock. Threads begin with the
//!   first heap. They move to one with fewer threads when they often find theirs locked
//!   (`threads.rs`). So a program with one thread, or whose threads seldom allocate, uses one heap,
//!   and has the partly used pages and slabs of one only. A cell is freed to the heap of its slab,
//!   by any thread. Maps that reclaim memory *merge* the heaps: the first takes over all slabs.
//!   Cells that several threads free go to a small per-stripe cache first (`cache.rs`).
//! * A **slab** (`slab.rs`) comes from the global allocator. The first few MiB of a heap are small
//!   slabs, the rest large ones that Linux is asked to back by huge pages ([`set_huge_pages`]).
//!   Slabs are aligned to their size, so the address of a cell leads to its slab's header. An empty
//!   slab is freed at once, except for a *reserve* slab that a large heap with few other free pages
//!   keeps. When many pages are free the emptiest slab is *drained*: it serves no allocation, and
//!   empties as maps replace their cells (`drain.rs`).
//! * A **page** serves cells of one size class (`classes.rs`), and any class again once it is free.
//!   A request whose class has no free cell borrows one of the next classes if these have one. Only
//!   else does it get a free page.
//! * Requests above the largest class, and all requests while there is little memory in use, go to
//!   the global allocator **directly**. A program whose maps are small never takes a slab.
//!
//! The global allocator may be any. It must not use a map of this crate itself.
//!
//! The `unsafe` code relies on P1 to P8 of SAFETY.md.

mod cache;
mod cell;
mod classes;
mod drain;
mod heap;
#[cfg(memkv_loom)]
pub(crate) mod model;
mod slab;
mod spin;
#[cfg(test)]
mod tests;
mod threads;

use std::alloc::{self, Layout};
use std::cell::Cell as ThreadCell;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use crate::sync::stripes::{STRIPES, Striped};
use cache::CellCache;
pub(crate) use cell::{Cell, Origin, prefetch};
use classes::{GRAIN, MAX_CELL, class_of};
use crossbeam_utils::CachePadded;
use heap::Heap;
use spin::{SpinGuard, SpinLock};
use threads::{HEAPS, OWN, OwnHeap};

/// Bytes of direct cells up to the largest class, in all, below which cells are direct if no heap
/// is busy.
const MAX_DIRECT_BYTES: usize = 1 << 20;

/// Loom, Miri and the sanitizers see more if each cell is an allocation of its own.
const ALWAYS_DIRECT: bool = cfg!(any(memkv_loom, miri, memkv_plain_alloc));

/// Returns the size of a slab's cell for `bytes`.
pub(crate) fn cell_size(bytes: usize) -> usize {
    if bytes > MAX_CELL {
        bytes.next_multiple_of(GRAIN)
    } else {
        classes::SIZES[class_of(bytes)].into()
    }
}

/// Returns an empty buffer for `bytes` that are read at random, backed by huge pages where it
/// contains whole ones.
#[cfg(feature = "storage")]
pub(crate) fn huge_page_buffer(bytes: usize) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(bytes);
    let base: *mut u8 = buffer.as_mut_ptr();
    let skipped = base.align_offset(slab::LARGE_SLAB);
    let whole = bytes.saturating_sub(skipped) / slab::LARGE_SLAB * slab::LARGE_SLAB;
    if huge_pages() && whole > 0 {
        slab::advise_huge(base.wrapping_add(skipped), whole);
    }
    buffer
}

/// The memory that the maps of the process use.
///
/// ```
/// let usage = memkv::pool::usage();
/// assert!(usage.used <= usage.reserved);
/// ```
#[non_exhaustive]
#[derive(Debug, Clone, Copy)]
pub struct PoolUsage {
    /// Bytes taken from the global allocator and not yet freed.
    pub reserved: usize,
    /// Bytes of these that maps use.
    pub used: usize,
}

/// The cache of a stripe.
struct StripeCache {
    /// Whether the cache may have cells or a limit above 0.
    in_use: AtomicBool,
    /// Locked before a heap, never after.
    cells: SpinLock<CellCache>,
}

impl StripeCache {
    const fn new() -> StripeCache {
        StripeCache { in_use: AtomicBool::new(false), cells: SpinLock::new(CellCache::new()) }
    }
}

/// The heaps, their caches, and the counts of direct cells.
struct Pool {
    heaps: [SpinLock<Heap>; HEAPS],
    caches: Striped<StripeCache>,
    /// [`CachesDisabled`] that exist.
    caches_disabled: AtomicUsize,
    /// Bytes of direct cells that a slab could serve.
    direct_small: AtomicUsize,
    /// Bytes of other direct cells.
    direct_large: AtomicUsize,
    /// Heaps that are busy: too full to wait for their slabs to drain.
    busy_heaps: AtomicUsize,
}

static POOL: Pool = Pool::new();
static HUGE_PAGES: AtomicBool = AtomicBool::new(true);
static ON_SHRINK: OnceLock<fn()> = OnceLock::new();

/// A cell that its heap took back.
struct Freed {
    size: usize,
    /// Bytes that are live in the heap now.
    live_bytes: usize,
    /// Whether the heap has lost half of its live bytes.
    shrunk: bool,
}

/// Returns the layout of a direct cell, or `None` if it would be too large to exist.
#[inline]
fn direct_layout(bytes: usize) -> Option<Layout> {
    let bytes = bytes.max(1).checked_next_multiple_of(GRAIN)?;
    Layout::from_size_align(bytes, GRAIN).ok()
}

impl Pool {
    const fn new() -> Pool {
        let mut heaps = [const { SpinLock::new(Heap::new(0)) }; HEAPS];
        let mut index = 0;
        while index < HEAPS {
            heaps[index] = SpinLock::new(Heap::new(index as u8));
            index += 1;
        }
        Pool {
            heaps,
            caches: Striped::new([const { CachePadded::new(StripeCache::new()) }; STRIPES]),
            caches_disabled: AtomicUsize::new(0),
            direct_small: AtomicUsize::new(0),
            direct_large: AtomicUsize::new(0),
            busy_heaps: AtomicUsize::new(0),
        }
    }

    #[inline]
    fn alloc(&self, bytes: usize) -> Option<Cell> {
        if ALWAYS_DIRECT || bytes > MAX_CELL || self.is_small() {
            return self.alloc_direct(bytes);
        }
        let class = class_of(bytes);
        let cache = self.caches.own();
        if cache.in_use.load(Relaxed)
            && let Some(cell) = cache.cells.lock().take(class)
        {
            return Some(cell);
        }
        OWN.with(|own| {
            let OwnHeap { index, contention } = own.get();
            own.set(OwnHeap { index, contention: contention.saturating_sub(1) });
            let mut heap = match self.heaps[index as usize].try_lock() {
                Some(heap) => heap,
                None => self.lock_contended(own),
            };
            let cell = heap.alloc(class);
            self.count_busy(&mut heap);
            cell
        })
    }

    /// Returns whether so little memory is in use that slabs would cost more than they save.
    #[inline]
    fn is_small(&self) -> bool {
        self.direct_small.load(Relaxed) < MAX_DIRECT_BYTES && self.busy_heaps.load(Relaxed) == 0
    }

    /// Waits for the thread's own heap, or for another if it often has to.
    #[cold]
    fn lock_contended<'a>(&'a self, own: &ThreadCell<OwnHeap>) -> SpinGuard<'a, Heap> {
        self.heaps[threads::choose_heap(own)].lock()
    }

    /// Updates the count of busy heaps.
    #[inline]
    fn count_busy(&self, heap: &mut Heap) {
        match heap.turned_busy() {
            None => {}
            Some(true) => _ = self.busy_heaps.fetch_add(1, Relaxed),
            Some(false) => _ = self.busy_heaps.fetch_sub(1, Relaxed),
        }
    }

    /// # Safety
    /// As for [`free`] (P3).
    #[inline]
    unsafe fn free(&self, ptr: NonNull<u8>, bytes: usize, origin: Origin) -> usize {
        if origin == Origin::Direct {
            // SAFETY: (P3) by the caller.
            return unsafe { self.free_direct(ptr, bytes) };
        }
        // SAFETY: (P3) by the caller.
        let Freed { size, shrunk, .. } = unsafe { self.free_to_owner(ptr, origin) };
        if shrunk {
            self.shrink();
        }
        size
    }

    /// As [`free`](Self::free), but may put the cell into the cache.
    ///
    /// # Safety
    /// As for [`free`] (P3).
    #[inline]
    unsafe fn free_to_cache(&self, ptr: NonNull<u8>, bytes: usize, origin: Origin) -> usize {
        if origin == Origin::Direct || self.caches_disabled.load(Relaxed) > 0 {
            // SAFETY: (P3) by the caller.
            return unsafe { self.free(ptr, bytes, origin) };
        }
        // SAFETY: (P3) by the caller.
        let (class, size) = unsafe { slab::class(ptr, origin) };
        let cache = self.caches.own();
        let mut cells = cache.cells.lock();
        // Before a cell is added, so that `empty_caches` does not overlook it.
        cache.in_use.store(true, Relaxed);
        // SAFETY: (P3) by the caller.
        if unsafe { !slab::is_draining(ptr, origin) } && cells.put(class, ptr, origin) {
            return size;
        }
        // SAFETY: (P3) by the caller.
        let Freed { live_bytes, shrunk, .. } = unsafe { self.free_to_owner(ptr, origin) };
        cells.raise_limit(live_bytes);
        drop(cells);
        if shrunk {
            self.shrink();
        }
        size
    }

    /// # Safety
    /// As for [`free`] (P3), and not with [`Origin::Direct`].
    #[inline]
    unsafe fn free_to_owner(&self, ptr: NonNull<u8>, origin: Origin) -> Freed {
        // SAFETY: (P3) by the caller; no heap but the owner takes the cell.
        unsafe {
            self.with_owner(ptr, origin, |heap| {
                let size = heap.free(ptr, origin)?;
                self.count_busy(heap);
                let shrunk = heap.has_shrunk();
                Some(Freed { size, live_bytes: heap.live_bytes(), shrunk })
            })
        }
    }

    /// Frees what keeps pages and slabs from being freed after a heap has shrunk: cached cells, and
    /// what [`on_shrink`] was given.
    ///
    /// Holds no lock of the pool while it calls that, since it frees cells and so may call this
    /// again. Each time less is left.
    #[cold]
    #[inline(never)]
    fn shrink(&self) {
        if let Some(callback) = ON_SHRINK.get() {
            callback();
        }
        self.empty_caches();
    }

    /// Frees the cells of all caches. A cache gets a new limit by the size that its heap has then.
    #[cold]
    fn empty_caches(&self) {
        for cache in self.caches.iter() {
            if cache.in_use.swap(false, Relaxed) {
                for cell in cache.cells.lock().drain() {
                    // SAFETY: (P3, P8) the caller of `free_to_cache` freed the cell, and it is in
                    // the cache no more.
                    unsafe { self.free_to_owner(cell.ptr, cell.origin) };
                }
            }
        }
    }

    /// Calls `work` under the lock of the heap that owns a cell. `work` returns `None` if another
    /// heap has come to own it, and is called again.
    ///
    /// # Safety
    /// `ptr` is a cell of `origin`, which is not [`Origin::Direct`], and live until `work` is done
    /// (P3).
    #[inline]
    unsafe fn with_owner<R>(
        &self,
        ptr: NonNull<u8>,
        origin: Origin,
        mut work: impl FnMut(&mut Heap) -> Option<R>,
    ) -> R {
        loop {
            // SAFETY: (P3) by the caller.
            let owner = unsafe { slab::owner(ptr, origin) };
            if let Some(result) = work(&mut self.heaps[owner].lock()) {
                return result;
            }
        }
    }

    /// Moves the slabs of all heaps to the first.
    fn merge_heaps(&self) {
        #[cfg(memkv_loom)]
        if mutant!(OldHeapNotLocked) || mutant!(NewHeapNotLocked) {
            return self.merge_unlocked();
        }
        let mut first = self.heaps[0].lock();
        for other in &self.heaps[1..] {
            // The only place where a thread with one heap's lock waits for another's. It holds the
            // first, so no cycle is possible.
            let mut other = other.lock();
            first.merge(&mut other);
            self.count_busy(&mut other);
        }
        self.count_busy(&mut first);
    }

    /// Moves slabs without the lock of one heap: an error for a model to find.
    #[cfg(memkv_loom)]
    fn merge_unlocked(&self) {
        let first = &self.heaps[0];
        for other in &self.heaps[1..] {
            // SAFETY: (P7) except that another thread may have the guard, which the model finds.
            unsafe {
                if mutant!(OldHeapNotLocked) {
                    first.lock().merge(other.unlocked());
                } else {
                    first.unlocked().merge(&mut other.lock());
                }
            }
        }
    }

    #[cold]
    fn alloc_direct(&self, bytes: usize) -> Option<Cell> {
        let layout = direct_layout(bytes)?;
        // SAFETY: (P1) the layout's size is at least one grain.
        let ptr = NonNull::new(unsafe { alloc::alloc(layout) })?;
        self.direct(layout.size()).fetch_add(layout.size(), Relaxed);
        Some(Cell { ptr, size: layout.size(), origin: Origin::Direct })
    }

    /// # Safety
    /// As for [`free`] (P3), with [`Origin::Direct`].
    #[cold]
    unsafe fn free_direct(&self, ptr: NonNull<u8>, bytes: usize) -> usize {
        let size = bytes.max(1).next_multiple_of(GRAIN);
        // SAFETY: (P1, P3) the cell was allocated with this very layout.
        unsafe {
            let layout = Layout::from_size_align_unchecked(size, GRAIN);
            alloc::dealloc(ptr.as_ptr(), layout);
        }
        self.direct(size).fetch_sub(size, Relaxed);
        size
    }

    /// Returns the counter for direct cells of this size.
    fn direct(&self, size: usize) -> &AtomicUsize {
        if size > MAX_CELL { &self.direct_large } else { &self.direct_small }
    }

    fn usage(&self) -> PoolUsage {
        let direct = self.direct_small.load(Relaxed) + self.direct_large.load(Relaxed);
        let mut usage = PoolUsage { reserved: direct, used: direct };
        if ALWAYS_DIRECT {
            return usage;
        }
        for heap in &self.heaps {
            let heap = heap.lock();
            usage.reserved += heap.reserved_bytes();
            usage.used += heap.live_bytes();
        }
        // A heap counts cached cells as live. Some may have been cached only after its count.
        for cache in self.caches.iter() {
            usage.used = usage.used.saturating_sub(cache.cells.lock().bytes());
        }
        usage
    }
}

/// Returns a cell of at least `bytes`, or `None` if there is no memory for it.
#[inline]
pub(crate) fn alloc(bytes: usize) -> Option<Cell> {
    #[cfg(test)]
    if tests::fails_now() {
        return None;
    }
    POOL.alloc(bytes)
}

/// Frees a cell and returns its size.
///
/// # Safety
/// `ptr` and `origin` are from one call of [`alloc`], `bytes` rounds up to the same multiple of 16
/// as the bytes asked for then, and the cell is not used afterwards.
#[inline]
pub(crate) unsafe fn free(ptr: NonNull<u8>, bytes: usize, origin: Origin) -> usize {
    // SAFETY: (P3) by the caller.
    unsafe { POOL.free(ptr, bytes, origin) }
}

/// As [`free`], but may cache the cell for what this thread asks for next.
///
/// # Safety
/// As for [`free`].
#[inline]
pub(crate) unsafe fn free_to_cache(ptr: NonNull<u8>, bytes: usize, origin: Origin) -> usize {
    // SAFETY: (P3) by the caller.
    unsafe { POOL.free_to_cache(ptr, bytes, origin) }
}

/// While it lives no cell is cached. Used while nodes move out of sparse pages, which would get the
/// cached cells back.
#[derive(Debug)]
pub(crate) struct CachesDisabled(());

/// Empties all caches, and disables them until the returned value is dropped.
pub(crate) fn disable_caches() -> CachesDisabled {
    POOL.caches_disabled.fetch_add(1, Relaxed);
    POOL.empty_caches();
    CachesDisabled(())
}

impl Drop for CachesDisabled {
    fn drop(&mut self) {
        POOL.caches_disabled.fetch_sub(1, Relaxed);
    }
}

/// Sets what the pool calls when a heap has lost half of its live bytes: it frees cells that wait
/// for their thread. Only the first call has an effect.
pub(crate) fn on_shrink(callback: fn()) {
    // Direct cells keep no other memory from being freed.
    if !ALWAYS_DIRECT {
        let _ = ON_SHRINK.set(callback);
    }
}

/// Returns whether a cell for `bytes` is in a sparse page or a draining slab, so that a copy of it
/// elsewhere would help memory to be freed.
///
/// # Safety
/// `ptr` is a live cell of `origin` (P3).
pub(crate) unsafe fn is_sparse(ptr: NonNull<u8>, bytes: usize, origin: Origin) -> bool {
    if origin == Origin::Direct {
        return false;
    }
    let own = OWN.get().index;
    // SAFETY: (P3) by the caller.
    unsafe {
        POOL.with_owner(ptr, origin, |heap| {
            let wanted = (u32::from(heap.index()) == own).then(|| class_of(bytes));
            heap.is_sparse(ptr, origin, wanted)
        })
    }
}

/// Merges all heaps into the first, so that less of their memory is idle. This thread uses the
/// first heap from here on.
pub(crate) fn merge_heaps() {
    if ALWAYS_DIRECT {
        return;
    }
    POOL.merge_heaps();
    threads::use_first_heap();
}

/// Drains a large slab of which less than three quarters are used. Returns whether there was one.
/// Called after [`merge_heaps`].
pub(crate) fn drain_large_slab() -> bool {
    !ALWAYS_DIRECT && POOL.heaps[0].lock().drain_large_slab()
}

/// Returns the bytes of a cell that may be used.
///
/// # Safety
/// As for [`free`], but the cell remains in use.
pub(crate) unsafe fn usable_size(ptr: NonNull<u8>, bytes: usize, origin: Origin) -> usize {
    match origin {
        Origin::Direct => bytes.max(1).next_multiple_of(GRAIN),
        // SAFETY: (P3) by the caller.
        _ => unsafe { slab::class(ptr, origin).1 },
    }
}

/// Sets whether large blocks of memory taken from now on are backed by huge pages, where the system
/// has them.
///
/// It is on unless turned off. Huge pages make lookups in large maps faster. Only Linux has an
/// effect.
///
/// ```
/// memkv::pool::set_huge_pages(false);
/// assert!(!memkv::pool::huge_pages());
/// ```
pub fn set_huge_pages(on: bool) {
    HUGE_PAGES.store(on, Relaxed);
}

/// Returns whether [`set_huge_pages`] is on.
pub fn huge_pages() -> bool {
    HUGE_PAGES.load(Relaxed)
}

/// Returns how much memory the maps of the process use.
///
/// Changes by other threads during the call may be counted or not.
pub fn usage() -> PoolUsage {
    POOL.usage()
}

/// Makes the `n`-th [`alloc`] of this thread from now on fail, once. `None` turns it off.
#[cfg(test)]
pub(crate) fn fail_after(n: Option<u64>) {
    tests::fail_after(n);
}
