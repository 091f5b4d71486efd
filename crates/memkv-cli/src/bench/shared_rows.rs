//! The rows of the suite `threads`, and their structures' implementations of [`SharedIndex`].
//!
//! To add a row, implement [`SharedIndex`] and add the row to [`rows`].

use super::coded::Symbols;
use super::index::{Index, SharedIndex};
use super::row::{Row, Suite};
use super::threads::measure;
use memkv::{ConcurrentArt, HybridStore, ShardedArt};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::ops::Bound::{Included, Unbounded};
use std::sync::atomic::{AtomicU64, Ordering};

/// Creates the row of a structure that threads share.
pub fn shared_row<I: SharedIndex>(name: &'static str, note: &'static str) -> Row {
    Row::new(Suite::Threads, name, measure::<I>).note(note)
}

/// Returns the rows of the suite `threads`.
pub fn rows() -> Vec<Row> {
    vec![
        shared_row::<ConcurrentArt>("concurrentart", ""),
        shared_row::<Symbols<ConcurrentArt>>(
            "concurrentart-symbols",
            "ConcurrentArt with KeyCoding::Symbols: keys are coded from some thousands on",
        )
        .on_request(),
        shared_row::<ShardedArt>("shardedart", "up to 64 shards, made as the map grows"),
        shared_row::<HybridStore>("hybridstore", "from an empty one, compacted in the background"),
        shared_row::<Locked>("rwlock-btreemap", "parking_lot::RwLock<BTreeMap<Box<[u8]>, u64>>"),
        shared_row::<Skip>(
            "crossbeam-skiplist",
            "SkipMap<Box<[u8]>, AtomicU64>; values are changed in place",
        ),
    ]
}

/// Implements [`SharedIndex`] for memkv's trees that threads share.
macro_rules! shared_trees {
    ($($map:ident { $($more:item)* })*) => {$(
        impl SharedIndex for $map {
            fn insert(&self, key: &[u8], value: u64) {
                $map::insert(self, key, value);
            }
            fn remove(&self, key: &[u8]) {
                $map::remove(self, key);
            }
            fn get(&self, key: &[u8]) -> Option<u64> {
                $map::get(self, key)
            }
            fn add(&self, key: &[u8], value: u64) {
                self.update(key, |old| old.wrapping_add(value));
            }
            fn scan(&self, from: &[u8], count: usize, visit: impl FnMut(&[u8], u64)) {
                Index::scan(self, from, count, visit);
            }
            fn reclaim(&self) {
                $map::reclaim(self);
            }
            $($more)*
        }
    )*};
}
shared_trees! {
    ConcurrentArt {
        #[cfg(feature = "_testing")]
        fn restarts() -> Option<usize> {
            Some(memkv::concurrent::restarts())
        }
        fn retired(&self) -> Option<usize> {
            Some(self.memory_usage().retired)
        }
        fn pinned(&self, work: impl FnOnce()) {
            let _pinned = self.pin();
            work();
        }
    }
    ShardedArt {}
}

impl SharedIndex for HybridStore {
    fn insert(&self, key: &[u8], value: u64) {
        // A failure shows as a missing key.
        let _ = HybridStore::insert(self, key, value);
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        HybridStore::get(self, key)
    }
    fn remove(&self, key: &[u8]) {
        let _ = HybridStore::remove(self, key);
    }
    fn add(&self, key: &[u8], value: u64) {
        let _ = self.compute(key, |old| old.map(|old| old.wrapping_add(value)));
    }
    fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
        let mut range = self.range(from..);
        for _ in 0..count {
            let Some((key, value)) = range.next_ref() else { break };
            visit(key, value);
        }
    }
}

/// A `BTreeMap` in one lock.
#[derive(Default)]
struct Locked(RwLock<BTreeMap<Box<[u8]>, u64>>);

impl SharedIndex for Locked {
    fn insert(&self, key: &[u8], value: u64) {
        self.0.write().insert(key.into(), value);
    }
    fn remove(&self, key: &[u8]) {
        self.0.write().remove(key);
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        self.0.read().get(key).copied()
    }
    fn add(&self, key: &[u8], value: u64) {
        if let Some(old) = self.0.write().get_mut(key) {
            *old = old.wrapping_add(value);
        }
    }
    fn scan(&self, from: &[u8], count: usize, visit: impl FnMut(&[u8], u64)) {
        Index::scan(&*self.0.read(), from, count, visit);
    }
}

/// A skip list. Its values are atomics, since it returns them by reference.
#[derive(Default)]
struct Skip(crossbeam_skiplist::SkipMap<Box<[u8]>, AtomicU64>);

impl SharedIndex for Skip {
    fn insert(&self, key: &[u8], value: u64) {
        match self.0.get(key) {
            Some(entry) => entry.value().store(value, Ordering::Release),
            None => _ = self.0.insert(key.into(), value.into()),
        }
    }
    fn remove(&self, key: &[u8]) {
        self.0.remove(key);
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        self.0.get(key).map(|entry| entry.value().load(Ordering::Acquire))
    }
    fn add(&self, key: &[u8], value: u64) {
        if let Some(entry) = self.0.get(key) {
            entry.value().fetch_add(value, Ordering::AcqRel);
        }
    }
    fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
        let range = self.0.range::<[u8], _>((Included(from), Unbounded));
        range
            .take(count)
            .for_each(|entry| visit(entry.key(), entry.value().load(Ordering::Acquire)));
    }
}
