//! Tests of the pool.

use super::classes::{PAGE, SIZES};
use super::drain::MAX_SMALL_BYTES;
use super::heap::BUSY_BYTES;
use super::slab::LARGE_SLAB;
use super::threads::{ALLOCS_PER_CONTENTION, CONTENTIONS_TO_LEAVE, HeapUser};
use super::*;

use std::collections::HashMap;
use std::sync::{Arc, mpsc};

mod measure;

thread_local! {
    static FAIL_AFTER: ThreadCell<Option<u64>> = const { ThreadCell::new(None) };
}

pub(super) fn fail_after(n: Option<u64>) {
    FAIL_AFTER.set(n);
}

/// Counts an allocation. Returns whether it is the one to fail.
pub(super) fn fails_now() -> bool {
    match FAIL_AFTER.get() {
        None => false,
        Some(0 | 1) => {
            FAIL_AFTER.set(None);
            true
        }
        Some(n) => {
            FAIL_AFTER.set(Some(n - 1));
            false
        }
    }
}

/// A small, fast random number generator (xorshift64*).
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        (high as usize) % n
    }
}

/// A cell filled with a pattern of its own.
struct Filled {
    ptr: NonNull<u8>,
    bytes: usize,
    size: usize,
    origin: Origin,
    seed: u8,
}

// SAFETY: (P3) a cell may be used and given back by any thread.
unsafe impl Send for Filled {}

impl Filled {
    fn new(pool: &Pool, bytes: usize, seed: u8) -> Filled {
        let cell = pool.alloc(bytes).expect("memory");
        assert!(cell.size >= bytes);
        assert_eq!(cell.ptr.as_ptr().addr() % 16, 0);
        for i in 0..cell.size {
            // SAFETY: (P4) the cell has `size` bytes and is this test's.
            unsafe { cell.ptr.as_ptr().add(i).write(seed ^ i as u8) };
        }
        // SAFETY: (P3) the cell is live.
        let size = unsafe { usable_size(cell.ptr, bytes, cell.origin) };
        assert_eq!(size, cell.size);
        Filled { ptr: cell.ptr, bytes, size, origin: cell.origin, seed }
    }

    fn free(self, pool: &Pool) -> usize {
        self.free_by(pool, false)
    }

    /// Frees the cell, or lets it be cached.
    fn free_by(self, pool: &Pool, cached: bool) -> usize {
        for i in 0..self.size {
            // SAFETY: (P4) the cell has `size` bytes and is this test's.
            let byte = unsafe { self.ptr.as_ptr().add(i).read() };
            assert_eq!(byte, self.seed ^ i as u8, "cells overlap");
        }
        // SAFETY: (P3) as `alloc` returned it, and last use.
        let size = unsafe {
            if cached {
                pool.free_to_cache(self.ptr, self.bytes, self.origin)
            } else {
                pool.free(self.ptr, self.bytes, self.origin)
            }
        };
        assert_eq!(size, self.size);
        size
    }
}

/// Returns a pool on the heap. It is too large for a test's stack, where unoptimized builds would
/// copy it several times.
fn new_pool() -> Box<Pool> {
    Box::new(const { Pool::new() })
}

/// Returns a pool past the stage of direct cells.
fn busy_pool() -> Box<Pool> {
    let pool = new_pool();
    pool.busy_heaps.fetch_add(1, Relaxed);
    pool
}

#[test]
fn homes_survive_two_bits() {
    for origin in [Origin::Direct, Origin::Small, Origin::Large] {
        assert!(origin.to_bits() < 4);
        assert_eq!(Origin::from_bits(origin.to_bits() | 0xFC), origin);
    }
}

#[test]
fn classes_are_tight() {
    for bytes in 0..=MAX_CELL {
        let class = class_of(bytes);
        assert!(SIZES[class] as usize >= bytes);
        assert!(class == 0 || (SIZES[class - 1] as usize) < bytes);
    }
    for size in SIZES.map(usize::from) {
        assert_eq!(size % GRAIN, 0);
        // No page loses more than 16 bytes a cell.
        assert!(PAGE % size < PAGE / size * GRAIN);
    }
}

#[test]
fn cells_of_all_sizes() {
    for pool in [new_pool(), busy_pool()] {
        let mut cells = Vec::new();
        let mut used = 0;
        for bytes in (0..5000).chain([65_536, 1_000_003]) {
            let cell = Filled::new(&pool, bytes, bytes as u8);
            used += cell.size;
            cells.push(cell);
            assert_eq!(pool.usage().used, used);
        }
        // Every other cell first, so that pages are partly free for a while.
        for odd in [0, 1] {
            let mut rest = Vec::new();
            for (at, cell) in cells.into_iter().enumerate() {
                if odd == 1 || at % 2 == 0 {
                    used -= cell.free(&pool);
                    assert_eq!(pool.usage().used, used);
                } else {
                    rest.push(cell);
                }
            }
            cells = rest;
        }
        assert_eq!(pool.usage().reserved, 0);
    }
}

#[test]
fn impossible_sizes_fail() {
    let pool = new_pool();
    for bytes in [usize::MAX, usize::MAX - 15, isize::MAX as usize, isize::MAX as usize - 15] {
        // Without `black_box` the compiler may assume that an unused allocation succeeds.
        assert!(std::hint::black_box(pool.alloc(bytes)).is_none());
    }
    assert_eq!(pool.usage().reserved, 0);
}

#[test]
fn small_programs_take_no_slab() {
    let pool = new_pool();
    let cells: Vec<_> = (0..100).map(|i| Filled::new(&pool, 40 * i, 7)).collect();
    assert!(cells.iter().all(|cell| cell.origin == Origin::Direct));
    assert_eq!(pool.usage().used, pool.usage().reserved);
    for cell in cells {
        cell.free(&pool);
    }
    assert_eq!(pool.usage().reserved, 0);
}

#[test]
#[cfg_attr(any(memkv_loom, miri, memkv_plain_alloc), ignore)]
fn direct_then_small_then_large_and_back() {
    let pool = new_pool();
    let mut cells = Vec::new();
    while pool.usage().used < MAX_SMALL_BYTES + (8 << 20) {
        cells.push(Filled::new(&pool, 1000, cells.len() as u8));
    }
    let bytes = |origin| -> usize {
        let of = cells.iter().filter(|cell: &&Filled| cell.origin == origin);
        of.map(|cell| cell.size).sum()
    };
    assert!((MAX_DIRECT_BYTES..MAX_DIRECT_BYTES + 4096).contains(&bytes(Origin::Direct)));
    assert!((MAX_SMALL_BYTES - (1 << 20)..=MAX_SMALL_BYTES).contains(&bytes(Origin::Small)));
    assert!(bytes(Origin::Large) > 6 << 20);
    assert_eq!(pool.busy_heaps.load(Relaxed), 1);
    let mut rng = Rng(3);
    while cells.len() > 100 {
        let cell = cells.swap_remove(rng.below(cells.len()));
        cell.free(&pool);
        let usage = pool.usage();
        if usage.used < BUSY_BYTES / 2 {
            assert_eq!(pool.busy_heaps.load(Relaxed), 0);
        }
    }
    // With little left, new cells do not keep slabs alive.
    let cell = Filled::new(&pool, 1000, 1);
    assert_eq!(cell.origin, Origin::Direct);
    cell.free(&pool);
    for cell in cells {
        cell.free(&pool);
    }
    assert_eq!(pool.usage().reserved, 0);
}

#[test]
#[cfg_attr(any(memkv_loom, miri, memkv_plain_alloc), ignore)]
fn at_most_one_reserve_slab() {
    let pool = busy_pool();
    let mut cells = Vec::new();
    while pool.usage().used < 32 << 20 {
        cells.push(Filled::new(&pool, 4000, cells.len() as u8));
    }
    let full = pool.usage();
    assert!(full.reserved <= full.used + full.used / 50 + LARGE_SLAB);
    // In order of age, so that one slab after the other empties.
    for cell in cells {
        cell.free(&pool);
        let usage = pool.usage();
        let most = if usage.used > 4 << 20 {
            usage.used + usage.used / 20 + 3 * LARGE_SLAB
        } else {
            usage.used + usage.used / 20 + 2 * LARGE_SLAB
        };
        assert!(usage.reserved <= most, "{usage:?}");
    }
    assert_eq!(pool.usage().reserved, 0);
}

#[test]
#[cfg_attr(any(memkv_loom, miri, memkv_plain_alloc), ignore)]
fn slabs_run_empty_as_cells_are_replaced() {
    let pool = busy_pool();
    let mut rng = Rng(9);
    let mut cells = Vec::new();
    while pool.usage().used < 40 << 20 {
        cells.push(Filled::new(&pool, 1000 + rng.below(1000), 1));
    }
    while pool.usage().used > 10 << 20 {
        cells.swap_remove(rng.below(cells.len())).free(&pool);
    }
    assert!(pool.usage().reserved > 30 << 20);
    for _ in 0..cells.len() * 10 {
        let at = rng.below(cells.len());
        let cell = Filled::new(&pool, 1000 + rng.below(1000), 2);
        std::mem::replace(&mut cells[at], cell).free(&pool);
    }
    assert!(pool.usage().reserved < 15 << 20, "{:?}", pool.usage());
    // Draining slabs are used again before new slabs are taken.
    while pool.usage().used < 40 << 20 {
        cells.push(Filled::new(&pool, 1000 + rng.below(1000), 3));
    }
    assert!(pool.usage().reserved < 44 << 20, "{:?}", pool.usage());
    for cell in cells {
        cell.free(&pool);
    }
    assert_eq!(pool.usage().reserved, 0);
}

/// Returns whether a cell for 1000 bytes is sparse in its heap.
fn is_sparse(pool: &Pool, cell: &Filled) -> bool {
    // SAFETY: (P3) the cell is live.
    unsafe {
        pool.with_owner(cell.ptr, cell.origin, |heap| {
            heap.is_sparse(cell.ptr, cell.origin, Some(class_of(1000)))
        })
    }
}

#[test]
#[cfg_attr(any(memkv_loom, miri, memkv_plain_alloc), ignore)]
fn a_sparse_large_slab_is_drained() {
    let pool = busy_pool();
    let mut cells = Vec::new();
    while pool.usage().reserved < MAX_SMALL_BYTES + 2 * LARGE_SLAB {
        cells.push(Filled::new(&pool, 1000, 1));
    }
    cells.extend((0..300).map(|_| Filled::new(&pool, 1000, 2)));
    let before = pool.usage();
    assert!(pool.heaps[0].lock().drain_large_slab());
    for cell in &mut cells {
        if is_sparse(&pool, cell) {
            std::mem::replace(cell, Filled::new(&pool, 1000, 3)).free(&pool);
        }
    }
    let after = pool.usage();
    assert_eq!(after.used, before.used);
    assert!(after.reserved <= before.reserved - LARGE_SLAB / 2, "{before:?}, {after:?}");
    // No large slab is left to drain.
    assert!(!pool.heaps[0].lock().drain_large_slab());
    cells.into_iter().for_each(|cell| _ = cell.free(&pool));
    assert_eq!(pool.usage().reserved, 0);
}

/// To move them would only take another page.
#[test]
fn cells_of_the_page_that_is_filled_next_are_not_sparse() {
    if ALWAYS_DIRECT {
        return;
    }
    let pool = busy_pool();
    let page_of = |cell: &Filled| cell.ptr.as_ptr().addr() / super::classes::PAGE;
    let mut cells: Vec<_> = (0..200).map(|_| Filled::new(&pool, 1000, 1)).collect();
    // Holes in every page.
    for i in (0..100).rev() {
        cells.swap_remove(2 * i).free(&pool);
    }
    let next = Filled::new(&pool, 1000, 2);
    let first = page_of(&next);
    cells.push(next);
    let sparse = |cell: &Filled| is_sparse(&pool, cell);
    assert!(cells.iter().all(|cell| sparse(cell) == (page_of(cell) != first)));
    // Cells of the other pages move to that page, and then to the next.
    let before = pool.usage();
    for cell in &mut cells {
        if sparse(cell) {
            std::mem::replace(cell, Filled::new(&pool, 1000, 3)).free(&pool);
        }
    }
    assert!(cells.iter().filter(|cell| sparse(cell)).count() < 10);
    assert_eq!(pool.usage().used, before.used);
    cells.into_iter().for_each(|cell| _ = cell.free(&pool));
    assert_eq!(pool.usage().reserved, 0);
}

#[test]
fn a_request_borrows_a_slightly_larger_cell() {
    if ALWAYS_DIRECT {
        return;
    }
    let pool = busy_pool();
    let large = Filled::new(&pool, 1000, 1);
    let small = Filled::new(&pool, 980, 2);
    assert_eq!(small.size, large.size);
    let smaller = Filled::new(&pool, 500, 3);
    assert!(smaller.size < 520);
    for cell in [small, smaller, large] {
        cell.free(&pool);
    }
    assert_eq!(pool.usage().reserved, 0);
}

/// Allocates and frees at random, against a model.
fn churn(pool: &Pool, seed: u64, steps: usize, sizes: usize) {
    let mut rng = Rng(seed);
    let mut cells: Vec<Filled> = Vec::new();
    let mut held: HashMap<usize, usize> = HashMap::new();
    for step in 0..steps {
        // Grows and shrinks in turn.
        let grows = if step / 4096 % 2 == 0 { 6 } else { 4 };
        if cells.is_empty() || rng.below(10) < grows {
            let cell = Filled::new(pool, rng.below(sizes), rng.below(256) as u8);
            assert!(held.insert(cell.ptr.as_ptr().addr(), cell.size).is_none());
            cells.push(cell);
        } else {
            let cell = cells.swap_remove(rng.below(cells.len()));
            let size = held.remove(&cell.ptr.as_ptr().addr());
            assert_eq!(Some(cell.free_by(pool, rng.below(2) == 0)), size);
        }
    }
    let used: usize = held.values().sum();
    assert!(pool.usage().used >= used);
    for cell in cells {
        cell.free(pool);
    }
}

const STEPS: usize = if cfg!(miri) { 500 } else { 30_000 };
const MERGES: usize = 20_000;

/// Returns a pool with enough cells of one class for some to be cached.
fn large_pool() -> (Box<Pool>, Vec<Filled>) {
    let pool = busy_pool();
    let cells = (0..16 << 10).map(|i| Filled::new(&pool, 1024, i as u8)).collect();
    (pool, cells)
}

#[test]
#[cfg_attr(any(miri, memkv_plain_alloc), ignore = "all cells are direct")]
fn cached_cells_are_used_next() {
    let (pool, mut cells) = large_pool();
    let used = pool.usage().used;
    let cache = &pool.caches.own().cells;
    // The first sets the limit by the size of the heap.
    let sizes: usize = (0..4).map(|_| cells.pop().unwrap().free_by(&pool, true)).sum();
    assert_eq!(cache.lock().bytes(), 3 * 1024);
    assert_eq!(pool.usage().used, used - sizes);
    let last = cells.pop().unwrap();
    let ptr = last.ptr;
    last.free_by(&pool, true);
    // A slightly larger cell serves a request, a much larger or a smaller one does not.
    let other = [900, 1050].map(|bytes| Filled::new(&pool, bytes, 1));
    assert!(other.iter().all(|other| other.ptr != ptr));
    let next = Filled::new(&pool, 1000, 2);
    assert_eq!(next.ptr, ptr);
    assert_eq!(cache.lock().bytes(), 3 * 1024);
    // Disabled caches take no cells.
    pool.caches_disabled.fetch_add(1, Relaxed);
    next.free_by(&pool, true);
    assert_eq!(cache.lock().bytes(), 3 * 1024);
    pool.empty_caches();
    assert_eq!(cache.lock().bytes(), 0);
    cells.into_iter().chain(other).for_each(|cell| _ = cell.free(&pool));
    assert_eq!(pool.usage().reserved, 0);
}

#[test]
#[cfg_attr(any(miri, memkv_plain_alloc), ignore = "all cells are direct")]
fn caches_are_emptied_as_a_heap_shrinks() {
    for cached in [false, true] {
        let (pool, mut cells) = large_pool();
        // Some are freed by a thread that ends, from all over the slabs.
        let own = std::thread::scope(|scope| {
            let others: Vec<_> =
                (0..cells.len()).rev().step_by(1000).map(|i| cells.swap_remove(i)).collect();
            let bytes = scope.spawn(|| {
                others.into_iter().for_each(|cell| _ = cell.free_by(&pool, true));
                pool.caches.own().cells.lock().bytes()
            });
            bytes.join().unwrap()
        });
        assert!(own > 4 * 1024, "{own}");
        cells.into_iter().for_each(|cell| _ = cell.free_by(&pool, cached));
        let usage = pool.usage();
        assert!(usage.used == 0 && usage.reserved == 0, "{usage:?}");
    }
}

#[test]
fn random_churn() {
    for (seed, sizes) in [(1, 3000), (2, 200), (3, 6000)] {
        for pool in [new_pool(), busy_pool()] {
            churn(&pool, seed, STEPS, sizes);
            assert_eq!(pool.usage().reserved, 0);
            assert_eq!(pool.usage().used, 0);
        }
    }
}

#[test]
fn random_churn_by_threads() {
    let pool = busy_pool();
    std::thread::scope(|scope| {
        for seed in 1..=4 {
            let pool = &pool;
            scope.spawn(move || churn(pool, seed, STEPS, 2000));
        }
    });
    assert_eq!(pool.usage().reserved, 0);
    assert_eq!(pool.usage().used, 0);
}

/// Returns cells from a heap, after a third of them were freed.
fn some_of(pool: &Pool, heap: u32, seed: u64) -> Vec<Filled> {
    OWN.set(OwnHeap { index: heap, contention: 0 });
    let mut rng = Rng(seed);
    let mut cells = Vec::new();
    for _ in 0..if cfg!(miri) { 100 } else { 30_000 } {
        cells.push(Filled::new(pool, 100 + rng.below(1000), seed as u8));
    }
    for _ in 0..cells.len() / 3 {
        cells.swap_remove(rng.below(cells.len())).free(pool);
    }
    OWN.set(OwnHeap::FIRST);
    cells
}

#[test]
fn merged_heaps_go_on_as_one() {
    let pool = busy_pool();
    let mut cells: Vec<_> = (0..3).map(|heap| some_of(&pool, heap, 5 + u64::from(heap))).collect();
    let before = pool.usage();
    pool.merge_heaps();
    let after = pool.usage();
    assert_eq!(after.used, before.used);
    assert!(after.reserved <= before.reserved);
    assert!(pool.heaps[1..].iter().all(|heap| heap.lock().reserved_bytes() == 0));
    if !ALWAYS_DIRECT {
        assert_eq!(pool.busy_heaps.load(Relaxed), 2);
        // Free pages of each heap are used before new slabs are taken.
        let mut rng = Rng(17);
        let more = (after.reserved - after.used) / 2;
        let mut again = Vec::new();
        while pool.usage().used < after.used + more {
            again.push(Filled::new(&pool, 100 + rng.below(1000), 9));
        }
        assert!(
            pool.usage().reserved <= after.reserved + LARGE_SLAB,
            "{:?}, {after:?}",
            pool.usage()
        );
        cells.push(again);
    }
    cells.into_iter().flatten().for_each(|cell| _ = cell.free(&pool));
    assert_eq!(
        (pool.usage().reserved, pool.usage().used, pool.busy_heaps.load(Relaxed)),
        (0, 0, 1)
    );
}

#[test]
fn heaps_are_merged_while_threads_use_them() {
    let pool = busy_pool();
    let ended = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for seed in 1..=4 {
            let (pool, ended) = (&pool, &ended);
            scope.spawn(move || {
                OWN.set(OwnHeap { index: seed % 3, contention: 0 });
                churn(pool, seed.into(), STEPS, 2000);
                ended.fetch_add(1, Relaxed);
            });
        }
        // Bounded, since on a busy machine the merges leave the other threads little of the locks.
        for _ in (0..MERGES).take_while(|_| ended.load(Relaxed) < 4) {
            pool.merge_heaps();
            std::thread::yield_now();
        }
    });
    assert_eq!(
        (pool.usage().reserved, pool.usage().used, pool.busy_heaps.load(Relaxed)),
        (0, 0, 1)
    );
}

#[test]
fn threads_spread_over_the_heaps_and_stay() {
    // Many more than the threads of other tests.
    const MANY: usize = 1000;
    let users: Vec<HeapUser> = (0..MANY).map(|_| HeapUser::new(0)).collect();
    users.iter().for_each(|user| _ = user.spread());
    let in_heap = |heap: usize| users.iter().filter(|user| user.heap.get() == heap).count();
    assert!((0..HEAPS).all(|heap| in_heap(heap).abs_diff(MANY / HEAPS) < MANY / 20));
    let before: Vec<usize> = users.iter().map(|user| user.heap.get()).collect();
    let moved =
        users.iter().zip(&before).filter(|(user, before)| user.spread() != **before).count();
    assert!(moved < MANY / 20, "{moved}");
}

#[test]
fn a_thread_leaves_a_heap_it_often_finds_locked() {
    if ALWAYS_DIRECT {
        return;
    }
    let pool = busy_pool();
    let mut cells = Vec::new();
    let others: Vec<HeapUser> = (0..100).map(|_| HeapUser::new(0)).collect();
    let cell = std::thread::scope(|scope| {
        let leaves = scope.spawn(|| {
            let _held = pool.heaps[0].lock();
            OWN.set(OwnHeap { index: 0, contention: CONTENTIONS_TO_LEAVE * ALLOCS_PER_CONTENTION });
            let cell = Filled::new(&pool, 500, 1);
            assert_ne!(OWN.get().index, 0);
            cell
        });
        leaves.join().expect("thread")
    });
    cells.push(cell);
    drop(others);
    // A thread waits for a heap that it does not often find locked. Repeated, since the thread may
    // come too late to find it locked.
    let waited = (0..1000).any(|_| {
        let held = pool.heaps[0].lock();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| (Filled::new(&pool, 500, 2), OWN.get()));
            std::thread::sleep(std::time::Duration::from_millis(5));
            assert!(!waits.is_finished());
            drop(held);
            let (cell, own) = waits.join().expect("thread");
            cells.push(cell);
            assert_eq!(own.index, 0);
            own.contention == ALLOCS_PER_CONTENTION
        })
    });
    assert!(waited);
    // Allocations without contention reset the count.
    OWN.set(OwnHeap { index: 0, contention: ALLOCS_PER_CONTENTION });
    cells.extend((0..ALLOCS_PER_CONTENTION as usize).map(|_| Filled::new(&pool, 500, 3)));
    assert_eq!((OWN.get().index, OWN.get().contention), (0, 0));
    cells.into_iter().for_each(|cell| _ = cell.free(&pool));
    assert_eq!(pool.usage().reserved, 0);
}

#[test]
fn cells_are_freed_by_other_threads() {
    const THREADS: usize = 4;
    let pool = Arc::new(busy_pool());
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| mpsc::channel()).unzip();
    let threads: Vec<_> = receivers
        .into_iter()
        .enumerate()
        .map(|(me, receiver)| {
            let pool = Arc::clone(&pool);
            let senders = senders.clone();
            std::thread::spawn(move || {
                let mut rng = Rng(me as u64 + 1);
                for _ in 0..STEPS / 4 {
                    let cell = Filled::new(&pool, rng.below(2500), rng.below(256) as u8);
                    let to: &mpsc::Sender<Filled> = &senders[rng.below(THREADS)];
                    to.send(cell).expect("receiver");
                    while let Ok(cell) = receiver.try_recv() {
                        cell.free(&pool);
                    }
                }
                drop(senders);
                for cell in receiver {
                    cell.free(&pool);
                }
            })
        })
        .collect();
    drop(senders);
    for thread in threads {
        thread.join().expect("thread");
    }
    assert_eq!(pool.usage().reserved, 0);
    assert_eq!(pool.usage().used, 0);
}

#[test]
fn cells_outlive_their_thread() {
    let pool = Arc::new(busy_pool());
    let cells = {
        let pool = Arc::clone(&pool);
        std::thread::spawn(move || {
            (0..1000).map(|i| Filled::new(&pool, i, i as u8)).collect::<Vec<_>>()
        })
    };
    for cell in cells.join().expect("thread") {
        cell.free(&pool);
    }
    assert_eq!(pool.usage().reserved, 0);
}

#[test]
fn the_nth_allocation_fails() {
    super::fail_after(Some(3));
    let mut cells = Vec::new();
    for n in 1..=6 {
        match super::alloc(100) {
            Some(cell) => cells.push(cell),
            None => assert_eq!(n, 3),
        }
    }
    assert_eq!(cells.len(), 5);
    super::fail_after(Some(1));
    super::fail_after(None);
    let before = super::usage();
    assert!(before.used >= 5 * 112 && before.reserved >= before.used);
    for cell in cells {
        // SAFETY: (P3) as `alloc` returned it.
        unsafe { super::free(cell.ptr, 100, cell.origin) };
    }
}
