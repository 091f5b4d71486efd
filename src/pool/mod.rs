//! The memory of all maps of the process: a pool of cells, the variable-sized
//! pieces of memory that hold the nodes of the trees.
//!
//! A tree replaces a cell by a slightly larger one with each insert, so the
//! pool is built for cells of many sizes close to each other that come and go
//! quickly, and for giving as little as possible away between them:
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
//! * A **heap** owns slabs. There are a few, each behind a lock. Threads start
//!   with the first and leave it for one with fewer threads when they often find
//!   it locked, so a program with one thread, or with threads that seldom
//!   allocate, uses one heap: each has partly used pages and slabs of its own. A
//!   cell is given back to the heap its slab belongs to, whichever thread does it.
//!   A flush *merges* the heaps: the first takes over all slabs. What several threads retire each of them first keeps *at hand*
//!   (cache.rs), a little of it.
//! * A **slab** comes from the global allocator: the first few MiB of a heap in
//!   small slabs, the rest in large ones that Linux is asked to back by huge
//!   pages ([`set_huge_pages`]). Slabs are aligned to their size, which leads
//!   from a cell to its slab's header. An empty slab goes back at once, except
//!   for one that a large heap keeps when it has few free pages otherwise.
//!   When many pages are free the emptiest slab is *retired*: nothing is
//!   allocated from it any more, and as maps replace their cells it runs empty.
//! * A **page** serves cells of one class of sizes, and any class once it is
//!   free. A request whose class has no free cell is served from the next
//!   classes if they have one, and only else from a free page.
//! * What is larger than the largest class, and everything while there is little
//!   of it, comes from the global allocator **directly**. A program with small
//!   maps only never takes a slab.
//!
//! The global allocator may be any; it must not use a map of this crate itself.
//!
//! What the `unsafe` code rests on is in SAFETY.md, P1 to P8.

mod cache;
mod classes;
mod heap;
mod lock;
#[cfg(test)]
mod tests;

use std::alloc::{self, Layout};
use std::cell::Cell as ThreadCell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use crate::reclaim::{self, STRIPES};
use cache::Cache;
use classes::{GRAIN, MAX_CELL, class_of};
use heap::Heap;
use lock::{Guard, Lock};

/// Cells up to the largest class come from the global allocator as long as
/// they are fewer bytes than this in all and no heap is busy.
const DIRECT_BYTES: usize = 1 << 20;

/// The number of heaps.
const HEAPS: usize = 8;

/// Loom, Miri and the sanitizers see more if each cell is its own allocation.
const ALWAYS_DIRECT: bool = cfg!(any(loom, miri, memkv_plain_alloc));

/// A piece of memory for a node.
#[derive(Debug)]
pub(crate) struct Cell {
    /// The first byte, aligned to 16.
    pub(crate) ptr: NonNull<u8>,
    /// The bytes that may be used, at least those asked for.
    pub(crate) size: usize,
    /// To be handed back with the cell.
    pub(crate) home: Origin,
}

/// Where a cell came from.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Origin {
    /// The global allocator.
    Direct = 0,
    /// A small slab.
    Small = 1,
    /// A large slab.
    Large = 2,
}

impl Origin {
    /// The home that [`Origin::to_bits`] made the low two bits of `bits` from.
    #[inline]
    pub(crate) const fn from_bits(bits: u8) -> Origin {
        match bits & 3 {
            0 => Origin::Direct,
            1 => Origin::Small,
            _ => Origin::Large,
        }
    }

    /// Two bits.
    #[inline]
    pub(crate) const fn to_bits(self) -> u8 {
        self as u8
    }
}

/// The bytes of a cell for `bytes` in a slab.
pub(crate) fn cell_size(bytes: usize) -> usize {
    if bytes > MAX_CELL {
        bytes.next_multiple_of(GRAIN)
    } else {
        classes::SIZES[class_of(bytes)].into()
    }
}

/// Room for bytes that are read at random, backed by huge pages where there are enough of them.
#[cfg(feature = "storage")]
pub(crate) fn room(bytes: usize) -> Vec<u8> {
    let mut room = Vec::with_capacity(bytes);
    let base: *mut u8 = room.as_mut_ptr();
    let skipped = base.align_offset(heap::LARGE_SLAB);
    let whole = bytes.saturating_sub(skipped) / heap::LARGE_SLAB * heap::LARGE_SLAB;
    if huge_pages() && whole > 0 {
        heap::advise_huge(base.wrapping_add(skipped), whole);
    }
    room
}

/// How much memory the maps of the process use.
///
/// ```
/// let usage = memkv::pool::usage();
/// assert!(usage.used <= usage.reserved);
/// ```
#[non_exhaustive]
#[derive(Debug, Clone, Copy)]
pub struct PoolUsage {
    /// Bytes taken from the global allocator and not yet given back.
    pub reserved: usize,
    /// Bytes of these that are in use by maps.
    pub used: usize,
}

/// The cells at hand of the threads of a stripe.
#[repr(align(128))]
struct Hand {
    /// Whether there may be any, or it is known how many there may be.
    any: AtomicBool,
    /// Locked before a heap, never after.
    cache: Lock<Cache>,
}

/// The heaps, and what is taken directly.
struct Pool {
    heaps: [Lock<Heap>; HEAPS],
    hands: [Hand; STRIPES],
    /// Those who want no cells to be kept at hand.
    closed: AtomicUsize,
    /// Bytes of direct cells that a slab could serve.
    direct_small: AtomicUsize,
    /// Bytes of other direct cells.
    direct_large: AtomicUsize,
    /// Heaps that are busy: too full to wait for slabs to drain.
    busy: AtomicUsize,
}

static POOL: Pool = Pool::new();
static HUGE_PAGES: AtomicBool = AtomicBool::new(true);

/// A thread moves to a heap of fewer threads when of its allocations more than one in `RARE` finds its own locked, for a while: so much
/// that there are `OFTEN` more than that.
const RARE: u32 = 32;
const OFTEN: u32 = 16;

/// The heap that a thread uses.
#[derive(Clone, Copy)]
struct Own {
    heap: u32,
    /// `RARE` for each allocation that found it locked, less one for each allocation.
    crowd: u32,
}

thread_local! {
    static OWN: ThreadCell<Own> = const { ThreadCell::new(Own { heap: 0, crowd: 0 }) };
    static USER: User = User::new(OWN.get().heap as usize);
}

/// The threads that use each heap, of those that have ever found theirs locked.
static USERS: [AtomicUsize; HEAPS] = [const { AtomicUsize::new(0) }; HEAPS];

/// A thread that is counted, as long as it lives.
struct User {
    heap: ThreadCell<usize>,
}

impl User {
    fn new(heap: usize) -> User {
        USERS[heap].fetch_add(1, Relaxed);
        User { heap: ThreadCell::new(heap) }
    }

    /// Moves to the heap with the fewest users, unless that would have as many as the one left. The heap to use.
    ///
    /// So threads spread, and stay: what they had in another heap would lie scattered over its pages. That others give cells back to theirs is
    /// no reason to leave it. Who no longer allocates is counted as well, as long as it lives.
    fn spread(&self) -> usize {
        let users = |heap: &usize| USERS[*heap].load(Relaxed);
        let (own, least) = (self.heap.get(), (0..HEAPS).min_by_key(users).unwrap_or(0));
        if users(&least) + 1 < users(&own) {
            self.move_to(least);
        }
        self.heap.get()
    }

    fn move_to(&self, heap: usize) {
        USERS[heap].fetch_add(1, Relaxed);
        USERS[self.heap.replace(heap)].fetch_sub(1, Relaxed);
    }
}

impl Drop for User {
    fn drop(&mut self) {
        USERS[self.heap.get()].fetch_sub(1, Relaxed);
    }
}

/// What became of a cell that its heap took back.
struct Freed {
    size: usize,
    /// Bytes that are live in the heap now.
    used: usize,
    /// Whether these are half of what they were.
    shrunk: bool,
}

/// The layout of a direct cell; none if it would be too large to exist.
#[inline]
fn direct_layout(bytes: usize) -> Option<Layout> {
    let bytes = bytes.max(1).checked_next_multiple_of(GRAIN)?;
    Layout::from_size_align(bytes, GRAIN).ok()
}

impl Pool {
    const fn new() -> Pool {
        let mut heaps = [const { Lock::new(Heap::new(0)) }; HEAPS];
        let mut index = 0;
        while index < HEAPS {
            heaps[index] = Lock::new(Heap::new(index as u8));
            index += 1;
        }
        Pool {
            heaps,
            hands: [const { Hand { any: AtomicBool::new(false), cache: Lock::new(Cache::new()) } };
                STRIPES],
            closed: AtomicUsize::new(0),
            direct_small: AtomicUsize::new(0),
            direct_large: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
        }
    }

    #[inline]
    fn alloc(&self, bytes: usize) -> Option<Cell> {
        if ALWAYS_DIRECT || bytes > MAX_CELL || self.is_small() {
            return self.alloc_direct(bytes);
        }
        let class = class_of(bytes);
        let hand = &self.hands[reclaim::stripe()];
        if hand.any.load(Relaxed)
            && let Some(cell) = hand.cache.lock().take(class)
        {
            return Some(cell);
        }
        OWN.with(|own| {
            let Own { heap, crowd } = own.get();
            own.set(Own { heap, crowd: crowd.saturating_sub(1) });
            let mut heap = match self.heaps[heap as usize].try_lock() {
                Some(heap) => heap,
                None => self.lock_uncrowded(own),
            };
            let cell = heap.alloc(class);
            self.note_busy(&mut heap);
            cell
        })
    }

    /// Whether slabs would cost more than they save.
    #[inline]
    fn is_small(&self) -> bool {
        self.direct_small.load(Relaxed) < DIRECT_BYTES && self.busy.load(Relaxed) == 0
    }

    /// Waits for the thread's own heap, or where it often has to, for that of fewer threads.
    #[cold]
    fn lock_uncrowded<'a>(&'a self, own: &ThreadCell<Own>) -> Guard<'a, Heap> {
        let Own { mut heap, crowd } = own.get();
        let mut crowd = crowd.saturating_add(RARE);
        // A thread that is ending stays where it is.
        let _ = USER.try_with(|user| {
            if crowd > OFTEN * RARE {
                (heap, crowd) = (user.spread() as u32, 0);
            }
        });
        own.set(Own { heap, crowd });
        self.heaps[heap as usize].lock()
    }

    #[inline]
    fn note_busy(&self, heap: &mut Heap) {
        match heap.turned_busy() {
            None => {}
            Some(true) => _ = self.busy.fetch_add(1, Relaxed),
            Some(false) => _ = self.busy.fetch_sub(1, Relaxed),
        }
    }

    /// # Safety
    /// As for [`free`] (P3).
    #[inline]
    unsafe fn free(&self, ptr: NonNull<u8>, bytes: usize, home: Origin) -> usize {
        if home == Origin::Direct {
            // SAFETY: (P3) as the caller promises.
            return unsafe { self.free_direct(ptr, bytes) };
        }
        // SAFETY: (P3) as the caller promises.
        let Freed { size, shrunk, .. } = unsafe { self.free_to_owner(ptr, home) };
        if shrunk {
            self.shrink();
        }
        size
    }

    /// [`free`](Self::free), but the cell may be kept at hand.
    ///
    /// # Safety
    /// As for [`free`] (P3).
    #[inline]
    unsafe fn keep(&self, ptr: NonNull<u8>, bytes: usize, home: Origin) -> usize {
        if home == Origin::Direct || self.closed.load(Relaxed) > 0 {
            // SAFETY: (P3) as the caller promises.
            return unsafe { self.free(ptr, bytes, home) };
        }
        // SAFETY: (P3) as the caller promises.
        let (class, size) = unsafe { heap::class(ptr, home) };
        let hand = &self.hands[reclaim::stripe()];
        let mut cache = hand.cache.lock();
        // Before there is any, so that nobody who empties all overlooks it.
        hand.any.store(true, Relaxed);
        // SAFETY: (P3) as the caller promises.
        if unsafe { !heap::is_retired(ptr, home) } && cache.put(class, ptr, home) {
            return size;
        }
        // SAFETY: (P3) as the caller promises.
        let Freed { used, shrunk, .. } = unsafe { self.free_to_owner(ptr, home) };
        cache.allow(used);
        drop(cache);
        if shrunk {
            self.shrink();
        }
        size
    }

    /// # Safety
    /// As for [`free`] (P3), and not with [`Origin::Direct`].
    #[inline]
    unsafe fn free_to_owner(&self, ptr: NonNull<u8>, home: Origin) -> Freed {
        // SAFETY: (P3) as the caller promises; no heap but the owner takes the cell.
        unsafe {
            self.by_owner(ptr, home, |heap| {
                let size = heap.free(ptr, home)?;
                self.note_busy(heap);
                Some(Freed { size, used: heap.used(), shrunk: heap.has_shrunk() })
            })
        }
    }

    /// Nobody is to hold pages and slabs for what is no more. No lock of the pool's is held: batches lead back here, where there is less each time.
    #[cold]
    #[inline(never)]
    fn shrink(&self) {
        reclaim::free_ripe();
        self.empty_hands();
    }

    /// Gives back the cells of all hands.
    #[cold]
    fn empty_hands(&self) {
        self.hands.iter().for_each(|hand| self.empty(hand));
    }

    /// Gives back the cells of a hand. It is filled again when it is known how much a heap has by then.
    #[cold]
    fn empty(&self, hand: &Hand) {
        if hand.any.swap(false, Relaxed) {
            for cell in hand.cache.lock().drain() {
                // SAFETY: (P3) who kept it was to give it back, and it is in the hand no more.
                unsafe { self.free_to_owner(cell.ptr, cell.home) };
            }
        }
    }

    /// Does something under the lock of the heap that owns a cell. `work` says by `None` that another one has come to own it.
    ///
    /// # Safety
    /// `ptr` is a cell of `home`, which is not [`Origin::Direct`], and live until `work` is done (P3).
    #[inline]
    unsafe fn by_owner<R>(
        &self,
        ptr: NonNull<u8>,
        home: Origin,
        mut work: impl FnMut(&mut Heap) -> Option<R>,
    ) -> R {
        loop {
            // SAFETY: (P3) as the caller promises.
            let owner = unsafe { heap::owner(ptr, home) };
            if let Some(result) = work(&mut self.heaps[owner].lock()) {
                return result;
            }
        }
    }

    /// Gives all that the heaps have to the first.
    fn merge(&self) {
        let mut first = self.heaps[0].lock();
        for other in &self.heaps[1..] {
            // Nobody who holds one waits for another but here, from the first on.
            let mut other = other.lock();
            first.merge(&mut other);
            self.note_busy(&mut other);
        }
        self.note_busy(&mut first);
    }

    #[cold]
    fn alloc_direct(&self, bytes: usize) -> Option<Cell> {
        let layout = direct_layout(bytes)?;
        // SAFETY: (P1) the layout's size is at least one grain.
        let ptr = NonNull::new(unsafe { alloc::alloc(layout) })?;
        self.direct(layout.size()).fetch_add(layout.size(), Relaxed);
        Some(Cell { ptr, size: layout.size(), home: Origin::Direct })
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

    /// The counter for direct cells of this size.
    fn direct(&self, size: usize) -> &AtomicUsize {
        if size > MAX_CELL { &self.direct_large } else { &self.direct_small }
    }

    fn usage(&self) -> PoolUsage {
        let direct = self.direct_small.load(Relaxed) + self.direct_large.load(Relaxed);
        let mut usage = PoolUsage { reserved: direct, used: direct };
        for heap in &self.heaps {
            let heap = heap.lock();
            usage.reserved += heap.reserved();
            usage.used += heap.used();
        }
        // To a heap cells at hand are live. Some may have been put there only since.
        usage.used = self
            .hands
            .iter()
            .fold(usage.used, |used, hand| used.saturating_sub(hand.cache.lock().bytes()));
        usage
    }
}

/// A cell of at least `bytes`; none if there is no memory for it.
#[inline]
pub(crate) fn alloc(bytes: usize) -> Option<Cell> {
    #[cfg(test)]
    if tests::fails_now() {
        return None;
    }
    POOL.alloc(bytes)
}

/// Gives a cell back and returns the size it had.
///
/// # Safety
/// `ptr` and `home` are from one call of [`alloc`], `bytes` rounds up to the
/// same multiple of 16 as the bytes asked for then, and the cell is not used
/// afterwards.
#[inline]
pub(crate) unsafe fn free(ptr: NonNull<u8>, bytes: usize, home: Origin) -> usize {
    // SAFETY: (P3) as the caller promises.
    unsafe { POOL.free(ptr, bytes, home) }
}

/// [`free`], but the cell may be kept for what this thread asks for next.
///
/// # Safety
/// As for [`free`].
#[inline]
pub(crate) unsafe fn keep(ptr: NonNull<u8>, bytes: usize, home: Origin) -> usize {
    // SAFETY: (P3) as the caller promises.
    unsafe { POOL.keep(ptr, bytes, home) }
}

/// As long as it lives no thread keeps cells at hand: nodes are moved out of sparse pages, and would come back to them.
#[derive(Debug)]
pub(crate) struct Closed(());

/// Has all threads give back what they keep at hand.
pub(crate) fn close() -> Closed {
    POOL.closed.fetch_add(1, Relaxed);
    POOL.empty_hands();
    Closed(())
}

impl Drop for Closed {
    fn drop(&mut self) {
        POOL.closed.fetch_sub(1, Relaxed);
    }
}

/// Whether a cell for `bytes` stands where little else is live, so that a copy of it elsewhere would help memory to come back.
///
/// # Safety
/// `ptr` is a live cell of `home` (P3).
pub(crate) unsafe fn is_sparse(ptr: NonNull<u8>, bytes: usize, home: Origin) -> bool {
    if home == Origin::Direct {
        return false;
    }
    let own = OWN.get().heap;
    // SAFETY: (P3) as the caller promises.
    unsafe {
        POOL.by_owner(ptr, home, |heap| {
            heap.is_sparse(ptr, home, (u32::from(heap.index()) == own).then(|| class_of(bytes)))
        })
    }
}

/// Brings together what the threads' heaps have left over, so that less of it lies idle, in the first heap, which this thread goes on with.
pub(crate) fn merge() {
    POOL.merge();
    // Who uses another has waited before, and is counted.
    if OWN.replace(Own { heap: 0, crowd: 0 }).heap != 0 {
        let _ = USER.try_with(|user| user.move_to(0));
    }
}

/// Has a large slab emptied of which less than three quarters are used, after [`merge`]. Says whether there was one.
pub(crate) fn narrow() -> bool {
    POOL.heaps[0].lock().narrow()
}

/// The bytes of a cell that may be used.
///
/// # Safety
/// As for [`free`], but the cell remains in use.
pub(crate) unsafe fn usable_size(ptr: NonNull<u8>, bytes: usize, home: Origin) -> usize {
    match home {
        Origin::Direct => bytes.max(1).next_multiple_of(GRAIN),
        // SAFETY: (P3) as the caller promises.
        _ => unsafe { heap::class(ptr, home).1 },
    }
}

/// Whether large blocks of memory taken from now on shall be backed by huge
/// pages, where the system has them.
///
/// It is on unless turned off. Huge pages make look-ups in large maps faster.
/// Only Linux heeds this; elsewhere it changes nothing.
///
/// ```
/// memkv::pool::set_huge_pages(false);
/// assert!(!memkv::pool::huge_pages());
/// ```
pub fn set_huge_pages(on: bool) {
    HUGE_PAGES.store(on, Relaxed);
}

/// Whether [`set_huge_pages`] is on.
pub fn huge_pages() -> bool {
    HUGE_PAGES.load(Relaxed)
}

/// How much memory the maps of the process use at this moment.
///
/// What other threads do meanwhile may be in it or not.
pub fn usage() -> PoolUsage {
    POOL.usage()
}

/// Lets the `n`-th [`alloc`] of this thread from now fail, once; `None` lets
/// none fail.
#[cfg(test)]
pub(crate) fn fail_after(n: Option<u64>) {
    tests::fail_after(n);
}
