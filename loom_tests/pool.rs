//! Models of the pool's heaps: slabs get another owner while threads allocate and free their cells.

use crate::shared::{model, models, pair};
use memkv::{LiveCell, ModelPool, mutant::Mutant::*};

models! {
    merge_and_free: [OwnerNotChecked, OldHeapNotLocked, SpinUnlockRelaxed];
    merge_and_alloc: [OldHeapNotLocked, SpinUnlockRelaxed];
    merge_and_alloc_of_the_first: [NewHeapNotLocked];
    merges_and_frees: [NewHeapNotLocked, SpinUnlockRelaxed];
    cached_cell_and_empty_caches: [SpinUnlockRelaxed];
    cached_cell_and_merge: [OwnerNotChecked, OldHeapNotLocked];
}

/// A pool whose second heap has this many live cells.
fn filled<const N: usize>() -> (ModelPool, [LiveCell; N]) {
    let pool = ModelPool::default();
    let cells = [(); N].map(|()| pool.alloc(1));
    (pool, cells)
}

/// Frees the cells that are left, and checks that the pool keeps no memory.
fn empty(pool: &ModelPool, left: impl IntoIterator<Item = LiveCell>) {
    for cell in left {
        pool.free(cell);
    }
    pool.empty_caches();
    pool.check(0);
}

fn merge_and_free() {
    let (pool, [first, second]) = filled();
    let pool = pair(pool, ModelPool::merge_heaps, |pool| pool.free(first));
    pool.check(1);
    empty(&pool, [second]);
}

fn merge_and_alloc() {
    let (pool, [cell]) = filled();
    let alloc = |pool: &ModelPool| {
        let (first, second) = (pool.alloc(1), pool.alloc(1));
        pool.free(first);
        pool.free(second);
    };
    let pool = pair(pool, ModelPool::merge_heaps, alloc);
    pool.check(1);
    empty(&pool, [cell]);
}

fn merge_and_alloc_of_the_first() {
    let (pool, [cell]) = filled();
    let other = pool.alloc(0);
    let alloc = |pool: &ModelPool| {
        let cell = pool.alloc(0);
        pool.free(cell);
    };
    let pool = pair(pool, ModelPool::merge_heaps, alloc);
    pool.check(2);
    empty(&pool, [cell, other]);
}

fn merges_and_frees() {
    let (pool, [first, second, third]) = filled();
    let free = |cell| {
        move |pool: &ModelPool| {
            pool.merge_heaps();
            pool.free(cell);
        }
    };
    let pool = pair(pool, free(first), free(second));
    pool.check(1);
    empty(&pool, [third]);
}

/// A thread caches a cell while another empties all caches. What is cached later is found by the
/// next one that does.
fn cached_cell_and_empty_caches() {
    let (pool, [first, second, third, fourth]) = filled();
    let cache = |pool: &ModelPool| {
        // The first one, also after the caches were emptied, only raises the cache's limit.
        for cell in [first, second, third] {
            pool.free_to_cache(cell);
        }
    };
    let pool = pair(pool, cache, ModelPool::empty_caches);
    pool.check(1);
    empty(&pool, [fourth]);
}

fn cached_cell_and_merge() {
    let (pool, [first, second, third]) = filled();
    let cache = |pool: &ModelPool| {
        pool.free_to_cache(first);
        pool.free_to_cache(second);
        pool.empty_caches();
    };
    let pool = pair(pool, cache, ModelPool::merge_heaps);
    pool.check(1);
    empty(&pool, [third]);
}
