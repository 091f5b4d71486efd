//! The operations that the benchmark needs of a structure, as traits.

use anyhow::Result;

/// A map of byte strings to 64-bit words. Constants tell what a structure cannot do.
pub trait Index: Sized {
    /// Whether it stores values. A set returns 0 for each.
    const VALUES: bool = true;
    /// Whether it looks up many keys in one call.
    const GETS_MANY: bool = false;
    /// Whether it scans in order.
    const SCANS: bool = true;
    /// Whether it removes keys.
    const REMOVES: bool = true;

    /// Inserts a key, or updates its value, and returns the old value.
    fn insert(&mut self, _key: &[u8], _value: u64) -> Option<u64> {
        unimplemented!("only built from sorted pairs")
    }

    /// Returns the value of a key.
    fn get(&self, key: &[u8]) -> Option<u64>;

    /// Returns the values of the keys, in their order.
    fn get_many(&self, _keys: &[&[u8]]) -> Vec<Option<u64>> {
        unimplemented!("GETS_MANY is false")
    }

    /// Calls `visit` with the first `count` pairs from the key `from` on.
    fn scan(&self, _from: &[u8], _count: usize, _visit: impl FnMut(&[u8], u64)) {
        unimplemented!("SCANS is false")
    }

    /// Removes a key and returns its value.
    fn remove(&mut self, _key: &[u8]) -> Option<u64> {
        unimplemented!("REMOVES is false")
    }

    /// Frees retired memory, before memory is measured.
    fn reclaim(&self) {}

    /// Returns the bytes that the structure reports as its own.
    fn reported_bytes(&self) -> Option<usize> {
        None
    }
}

/// An [`Index`] that can be built from sorted pairs.
pub trait Built: Index {
    /// Builds the map.
    ///
    /// # Errors
    ///
    /// If it cannot be built from these pairs.
    fn build<'a>(pairs: impl Iterator<Item = (&'a [u8], u64)>) -> Result<Self>;
}

/// A map of byte strings to 64-bit words that threads share. It is empty by default.
pub trait SharedIndex: Default + Sync {
    /// Inserts a key or updates its value.
    fn insert(&self, key: &[u8], value: u64);

    /// Removes a key.
    fn remove(&self, key: &[u8]);

    /// Returns the value of a key.
    fn get(&self, key: &[u8]) -> Option<u64>;

    /// Adds to a key's value, atomically.
    fn add(&self, key: &[u8], value: u64);

    /// Calls `visit` with the first `count` pairs from the key `from` on.
    fn scan(&self, from: &[u8], count: usize, visit: impl FnMut(&[u8], u64));

    /// Frees retired memory.
    fn reclaim(&self) {}

    /// Returns the number of restarted changes so far, if it is counted.
    fn restarts() -> Option<usize> {
        None
    }

    /// Returns the bytes of retired memory, if they are counted.
    fn retired(&self) -> Option<usize> {
        None
    }

    /// Runs `work` while this thread is pinned.
    fn pinned(&self, work: impl FnOnce()) {
        work();
    }
}
