//! Maps that code keys, as structures of the suites `map` and `threads`.

use super::index::{Index, SharedIndex};
use memkv::{ConcurrentArt, FastArt, KeyCoding};

/// A map that can be made to code keys in some way.
pub(super) trait WithCoding {
    /// Creates an empty map that stores keys in this way.
    fn with_coding(coding: KeyCoding) -> Self;
}

impl WithCoding for FastArt {
    fn with_coding(coding: KeyCoding) -> Self {
        FastArt::with_coding(coding)
    }
}

impl WithCoding for ConcurrentArt {
    fn with_coding(coding: KeyCoding) -> Self {
        ConcurrentArt::with_coding(coding)
    }
}

/// A map that codes keys from the beginning.
pub(super) struct Symbols<M>(M);

impl<M: WithCoding> Default for Symbols<M> {
    fn default() -> Self {
        Self(M::with_coding(KeyCoding::Symbols))
    }
}

impl<M: Index> Index for Symbols<M> {
    const VALUES: bool = M::VALUES;
    const GETS_MANY: bool = M::GETS_MANY;
    const SCANS: bool = M::SCANS;
    const REMOVES: bool = M::REMOVES;

    fn insert(&mut self, key: &[u8], value: u64) -> Option<u64> {
        self.0.insert(key, value)
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        self.0.get(key)
    }
    fn get_many(&self, keys: &[&[u8]]) -> Vec<Option<u64>> {
        self.0.get_many(keys)
    }
    fn scan(&self, from: &[u8], count: usize, visit: impl FnMut(&[u8], u64)) {
        self.0.scan(from, count, visit);
    }
    fn remove(&mut self, key: &[u8]) -> Option<u64> {
        self.0.remove(key)
    }
    fn reclaim(&self) {
        self.0.reclaim();
    }
    fn reported_bytes(&self) -> Option<usize> {
        self.0.reported_bytes()
    }
}

impl<M: SharedIndex + WithCoding> SharedIndex for Symbols<M> {
    fn insert(&self, key: &[u8], value: u64) {
        self.0.insert(key, value);
    }
    fn remove(&self, key: &[u8]) {
        self.0.remove(key);
    }
    fn get(&self, key: &[u8]) -> Option<u64> {
        self.0.get(key)
    }
    fn add(&self, key: &[u8], value: u64) {
        self.0.add(key, value);
    }
    fn scan(&self, from: &[u8], count: usize, visit: impl FnMut(&[u8], u64)) {
        self.0.scan(from, count, visit);
    }
    fn reclaim(&self) {
        self.0.reclaim();
    }
    fn restarts() -> Option<usize> {
        M::restarts()
    }
    fn retired(&self) -> Option<usize> {
        self.0.retired()
    }
    fn pinned(&self, work: impl FnOnce()) {
        self.0.pinned(work);
    }
}
