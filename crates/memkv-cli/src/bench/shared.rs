//! The structures that many threads can use at a time: a trait, and its implementation for each structure of the default table.
//!
//! To add a row, implement [`SharedIndex`] and name it in [`rows`].

use super::threads::{Job, Outcome, measure};
use anyhow::Result;
use memkv::{ConcurrentArt, HybridStore, ShardedArt};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::ops::Bound::{Included, Unbounded};

/// A map of byte strings to 64-bit words, as threads use it together.
pub trait SharedIndex: Sync + Sized {
    /// Creates an empty map.
    fn new() -> Self;
    /// Sets a key's value.
    fn insert(&self, key: &[u8], value: u64);
    /// Removes a key.
    fn remove(&self, key: &[u8]);
    /// Returns the value of a key.
    fn get(&self, key: &[u8]) -> Option<u64>;
    /// Adds to a key's value, as one atomic step.
    fn add(&self, key: &[u8], value: u64);
    /// Hands the first `count` pairs from the key `from` on to `visit`.
    fn scan(&self, from: &[u8], count: usize, visit: impl FnMut(&[u8], u64));
    /// Frees what waits to be freed.
    fn settle(&self) {}
    /// Changes that had to begin again so far, where that is counted.
    fn restarts() -> Option<usize> {
        None
    }
    /// Bytes that wait to be freed, where that is counted.
    fn retired(&self) -> Option<usize> {
        None
    }
    /// Does something while this thread reads, as the map's memory sees it.
    fn pinned(&self, work: impl FnOnce()) {
        work();
    }
}

/// A structure that can be measured.
#[derive(Debug)]
pub struct SharedRow {
    /// The name on the command line and in the table.
    pub name: &'static str,
    /// Printed under the table.
    pub note: &'static str,
    /// Measures the structure; runs in a process of its own.
    pub(crate) measure: fn(&Job) -> Result<Outcome>,
}

impl SharedRow {
    /// Creates the row of a structure.
    pub fn of<I: SharedIndex>(name: &'static str, note: &'static str) -> Self {
        Self { name, note, measure: measure::<I> }
    }
}

/// The structures of `memkv bench --suite threads`.
pub fn rows() -> Vec<SharedRow> {
    vec![
        SharedRow::of::<ConcurrentArt>("concurrent-art", ""),
        SharedRow::of::<ShardedArt>("sharded-art", "64 shards, which arise as the map grows"),
        SharedRow::of::<HybridStore>(
            "hybridstore",
            "from an empty one, compacted in the background",
        ),
        SharedRow::of::<Locked>("rwlock-btreemap", "parking_lot::RwLock<BTreeMap<Box<[u8]>, u64>>"),
        SharedRow::of::<Skip>(
            "crossbeam-skiplist",
            "SkipMap<Box<[u8]>, AtomicU64>; values are changed in place",
        ),
    ]
}

impl SharedIndex for ConcurrentArt {
    fn new() -> Self {
        ConcurrentArt::new()
    }
    fn insert(&self, key: &[u8], value: u64) {
        ConcurrentArt::insert(self, key, value);
    }
    fn remove(&self, key: &[u8]) {
        ConcurrentArt::remove(self, key);
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        ConcurrentArt::get(self, key)
    }
    fn add(&self, key: &[u8], value: u64) {
        self.update(key, |old| old.wrapping_add(value));
    }
    fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
        let mut cursor = self.cursor();
        cursor.seek(from);
        for _ in 0..count {
            let Some((key, value)) = cursor.next() else { break };
            visit(key, value);
        }
    }
    fn settle(&self) {
        self.reclaim();
    }
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

impl SharedIndex for HybridStore {
    fn new() -> Self {
        HybridStore::new()
    }
    fn insert(&self, key: &[u8], value: u64) {
        // What fails is found missing.
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
            let Some((key, value)) = range.lend() else { break };
            visit(key, value);
        }
    }
}

impl SharedIndex for ShardedArt {
    fn new() -> Self {
        ShardedArt::default()
    }
    fn insert(&self, key: &[u8], value: u64) {
        ShardedArt::insert(self, key, value);
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        ShardedArt::get(self, key)
    }
    fn remove(&self, key: &[u8]) {
        ShardedArt::remove(self, key);
    }
    fn add(&self, key: &[u8], value: u64) {
        self.update(key, |old| old.wrapping_add(value));
    }
    fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
        let mut cursor = self.cursor();
        cursor.seek(from);
        for _ in 0..count {
            let Some((key, value)) = cursor.next() else { break };
            visit(key, value);
        }
    }
    fn settle(&self) {
        self.reclaim();
    }
}

/// A `BTreeMap` behind one lock.
struct Locked(RwLock<BTreeMap<Box<[u8]>, u64>>);

impl SharedIndex for Locked {
    fn new() -> Self {
        Locked(RwLock::default())
    }
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
    fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
        let map = self.0.read();
        map.range::<[u8], _>((Included(from), Unbounded))
            .take(count)
            .for_each(|(key, value)| visit(key, *value));
    }
}

/// A skip list, whose values are atomics since it hands them out by reference.
struct Skip(crossbeam_skiplist::SkipMap<Box<[u8]>, std::sync::atomic::AtomicU64>);

impl SharedIndex for Skip {
    fn new() -> Self {
        Skip(crossbeam_skiplist::SkipMap::new())
    }
    fn insert(&self, key: &[u8], value: u64) {
        match self.0.get(key) {
            Some(entry) => entry.value().store(value, std::sync::atomic::Ordering::Release),
            None => _ = self.0.insert(key.into(), value.into()),
        }
    }
    fn remove(&self, key: &[u8]) {
        self.0.remove(key);
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        self.0.get(key).map(|entry| entry.value().load(std::sync::atomic::Ordering::Acquire))
    }
    fn add(&self, key: &[u8], value: u64) {
        if let Some(entry) = self.0.get(key) {
            entry.value().fetch_add(value, std::sync::atomic::Ordering::AcqRel);
        }
    }
    fn scan(&self, from: &[u8], count: usize, mut visit: impl FnMut(&[u8], u64)) {
        let range = self.0.range::<[u8], _>((Included(from), Unbounded));
        range.take(count).for_each(|entry| {
            visit(entry.key(), entry.value().load(std::sync::atomic::Ordering::Acquire))
        });
    }
}
