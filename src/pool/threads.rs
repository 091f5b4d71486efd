//! Which heap a thread allocates from.
//!
//! Each thread begins with heap 0. It moves to the heap of fewer threads if it often finds its own
//! locked.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The number of heaps.
pub(super) const HEAPS: usize = if cfg!(memkv_loom) { 2 } else { 8 };

/// Allocations for each of which one may find the heap locked, without the thread leaving it.
pub(super) const ALLOCS_PER_CONTENTION: u32 = 32;
/// Allocations that find the heap locked, beyond that, after which a thread leaves it.
pub(super) const CONTENTIONS_TO_LEAVE: u32 = 16;

/// The heap that a thread uses.
#[derive(Clone, Copy)]
pub(super) struct OwnHeap {
    pub(super) index: u32,
    /// [`ALLOCS_PER_CONTENTION`] for each allocation that found the heap locked, less one for each
    /// allocation.
    pub(super) contention: u32,
}

impl OwnHeap {
    pub(super) const FIRST: OwnHeap = OwnHeap { index: 0, contention: 0 };
}

thread_local! {
    pub(super) static OWN: Cell<OwnHeap> = const { Cell::new(OwnHeap::FIRST) };
    static USER: HeapUser = HeapUser::new(OWN.get().index as usize);
}

/// The threads that use each heap, of those that have ever found theirs locked.
static USERS: [AtomicUsize; HEAPS] = [const { AtomicUsize::new(0) }; HEAPS];

/// A thread that is counted in [`USERS`] until it ends.
pub(super) struct HeapUser {
    pub(super) heap: Cell<usize>,
}

impl HeapUser {
    pub(super) fn new(heap: usize) -> HeapUser {
        USERS[heap].fetch_add(1, Relaxed);
        HeapUser { heap: Cell::new(heap) }
    }

    /// Moves to the heap with the fewest users, unless it would then have as many as the current
    /// one. Returns the heap to use.
    ///
    /// So threads spread, and then stay: cells that they had in another heap would lie scattered
    /// over its pages. That other threads free cells of a heap is no reason to leave it. A thread
    /// that no longer allocates is counted until it ends.
    pub(super) fn spread(&self) -> usize {
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

impl Drop for HeapUser {
    fn drop(&mut self) {
        USERS[self.heap.get()].fetch_sub(1, Relaxed);
    }
}

/// Counts that this thread found its heap locked. Returns the heap to wait for: its own, or another
/// if it often finds its own locked.
pub(super) fn choose_heap(own: &Cell<OwnHeap>) -> usize {
    let OwnHeap { mut index, contention } = own.get();
    let mut contention = contention.saturating_add(ALLOCS_PER_CONTENTION);
    // A thread that is ending stays with its heap.
    let _ = USER.try_with(|user| {
        if contention > CONTENTIONS_TO_LEAVE * ALLOCS_PER_CONTENTION {
            (index, contention) = (user.spread() as u32, 0);
        }
    });
    own.set(OwnHeap { index, contention });
    index as usize
}

/// Moves this thread to the first heap.
pub(super) fn use_first_heap() {
    // A thread with another heap has found one locked, so it is counted.
    if OWN.replace(OwnHeap::FIRST).index != 0 {
        let _ = USER.try_with(|user| user.move_to(0));
    }
}
