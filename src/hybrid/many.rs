//! Operations of `HybridStore` on many keys, and those of one key that are made of others.
//!
//! Each change is one of store.rs, so each is logged by itself.

#![forbid(unsafe_code)]

use super::error::{ExchangeError, HybridError};
use super::scan::{HybridKeys, HybridValues};
use super::state::State;
use super::store::HybridStore;
use crate::FrozenLayer;
use crate::face::{Keys, Values, many};
use crate::key::Prefixed;
use crate::tree::Expected;
use std::ops::RangeBounds;

impl HybridStore {
    /// Returns an iterator over all keys, in ascending order.
    ///
    /// Its guarantees are those of [`HybridRange`](crate::HybridRange).
    ///
    /// ```
    /// let store = memkv::HybridStore::new();
    /// store.try_extend([("b", 2), ("a", 1)])?;
    /// assert!(store.keys().eq([b"a", b"b"]));
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    pub fn keys(&self) -> HybridKeys<'_> {
        Keys::new(self.iter())
    }

    /// Returns an iterator over all values, in the order of their keys.
    ///
    /// Its guarantees are those of [`HybridRange`](crate::HybridRange).
    ///
    /// ```
    /// let store = memkv::HybridStore::new();
    /// store.try_extend([("b", 2), ("a", 1)])?;
    /// assert!(store.values().eq([1, 2]));
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    pub fn values(&self) -> HybridValues<'_> {
        Values::new(self.iter())
    }

    /// Returns the number of keys that begin with `prefix`.
    ///
    /// A key that is inserted or removed during the call may be counted or not.
    ///
    /// # Complexity
    /// O(keys counted).
    ///
    /// ```
    /// let store = memkv::HybridStore::new();
    /// store.try_extend([("a", 1), ("ab", 2), ("b", 3)])?;
    /// assert_eq!(store.count_prefix("a"), 2);
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    pub fn count_prefix(&self, prefix: impl AsRef<[u8]>) -> usize {
        self.prefix(prefix).count()
    }

    /// Returns the longest stored key that is a prefix of `key`, as a slice of `key`, and its
    /// value.
    ///
    /// Guarantees are those of
    /// [`ConcurrentArt::get_longest_prefix`](crate::ConcurrentArt::get_longest_prefix).
    ///
    /// # Complexity
    /// That of [`ConcurrentArt::get_longest_prefix`](crate::ConcurrentArt::get_longest_prefix), and
    /// as much again for each longer prefix that was removed since the last compaction.
    ///
    /// ```
    /// let routes = memkv::HybridStore::new();
    /// routes.try_extend([("/", 1), ("/api/", 2), ("/api/v2/", 3)])?;
    /// assert_eq!(routes.get_longest_prefix("/api/v1/users"), Some((&b"/api/"[..], 2)));
    /// assert_eq!(routes.get_longest_prefix("about"), None);
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    pub fn get_longest_prefix<'k, K: AsRef<[u8]> + ?Sized>(
        &self,
        key: &'k K,
    ) -> Option<(&'k [u8], u64)> {
        let mut key = key.as_ref();
        self.inner.core.with(|state| {
            loop {
                key = &key[..longest_prefix(state, key)?];
                if let Some(value) = state.get(key) {
                    return Some((key, value));
                }
                // The uppermost part that has the key has a tombstone.
                key = key.split_last()?.1;
            }
        })
    }

    /// Returns all stored keys that are prefixes of `key`, as slices of `key`, with their values,
    /// the shortest first.
    ///
    /// Guarantees are those of [`ConcurrentArt::prefixes_of`](crate::ConcurrentArt::prefixes_of).
    ///
    /// # Complexity
    /// That of [`get_longest_prefix`](Self::get_longest_prefix) for each key returned.
    ///
    /// ```
    /// let routes = memkv::HybridStore::new();
    /// routes.try_extend([("/", 1), ("/api/", 2), ("/api/v2/", 3)])?;
    /// let found = routes.prefixes_of("/api/v1/users");
    /// assert_eq!(found, [(&b"/"[..], 1), (&b"/api/"[..], 2)]);
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    pub fn prefixes_of<'k, K: AsRef<[u8]> + ?Sized>(&self, key: &'k K) -> Vec<(&'k [u8], u64)> {
        let (mut key, mut found) = (key.as_ref(), Vec::new());
        while let Some((prefix, value)) = self.get_longest_prefix(key) {
            found.push((prefix, value));
            let Some((_, shorter)) = prefix.split_last() else { break };
            key = shorter;
        }
        found.reverse();
        found
    }

    /// Removes all keys for which `keep` returns `false`.
    ///
    /// Keys are visited in ascending order. `keep` is treated as in
    /// [`ConcurrentArt::retain`](crate::ConcurrentArt::retain).
    ///
    /// # Errors
    /// Returns the first error of [`remove`](Self::remove). The removals before it are done, and
    /// none after it.
    ///
    /// # Panics
    /// Panics if `keep` does.
    ///
    /// ```
    /// let store = memkv::HybridStore::new();
    /// store.try_extend([("a", 1), ("b", 2)])?;
    /// store.retain(|_, value| value > 1)?;
    /// assert!(store.keys().eq([b"b"]));
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    pub fn retain(&self, keep: impl FnMut(&[u8], u64) -> bool) -> Result<(), HybridError> {
        many::retain(self.iter(), keep, |key, value| {
            let outcome = self.change(key, Expected::Value(value), None)?;
            Ok(outcome.old.filter(|_| !outcome.done))
        })
    }

    /// Removes the keys in a range, and returns how many it removed.
    ///
    /// Guarantees are those of
    /// [`ConcurrentArt::remove_range`](crate::ConcurrentArt::remove_range). A crash may keep some
    /// of the removals and lose others.
    ///
    /// # Complexity
    /// A step of a range and a removal for each key. Until the next compaction each key of the base
    /// takes a tombstone. With [`Wal::Synced`](crate::Wal::Synced) each removal waits for the disk.
    ///
    /// # Errors
    /// Returns the first error of [`remove`](Self::remove). The removals before it are done, and
    /// none after it.
    ///
    /// ```
    /// let store = memkv::HybridStore::new();
    /// store.try_extend([("a", 1), ("b", 2), ("c", 3)])?;
    /// assert_eq!(store.remove_range("b"..)?, 2);
    /// assert_eq!(store.len(), 1);
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    pub fn remove_range<K: AsRef<[u8]> + ?Sized, R: RangeBounds<K>>(
        &self,
        range: R,
    ) -> Result<usize, HybridError> {
        many::remove_all(self.range(range), |key| Ok(self.remove(key)?.is_some()))
    }

    /// Removes the keys that begin with `prefix`, and returns how many it removed.
    ///
    /// Otherwise like [`remove_range`](Self::remove_range).
    ///
    /// # Errors
    /// Returns the errors of [`remove_range`](Self::remove_range).
    ///
    /// ```
    /// let store = memkv::HybridStore::new();
    /// store.try_extend([("a", 1), ("ab", 2), ("b", 3)])?;
    /// assert_eq!(store.remove_prefix("a")?, 2);
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    pub fn remove_prefix(&self, prefix: impl AsRef<[u8]>) -> Result<usize, HybridError> {
        self.remove_range(Prefixed::by(&prefix))
    }

    /// Removes all keys, one after the other. See [`remove_range`](Self::remove_range).
    ///
    /// Unlike [`ConcurrentArt::clear`](crate::ConcurrentArt::clear) it is not one atomic step. The
    /// memory of the base is freed by the next [compaction](Self::compact).
    ///
    /// # Errors
    /// Returns the errors of [`remove_range`](Self::remove_range).
    ///
    /// ```
    /// let store = memkv::HybridStore::new();
    /// store.insert("a", 1)?;
    /// store.clear()?;
    /// assert!(store.is_empty());
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    pub fn clear(&self) -> Result<(), HybridError> {
        self.remove_range::<[u8], _>(..).map(|_| ())
    }

    /// Inserts the pairs one by one.
    ///
    /// With [`Wal::Synced`](crate::Wal::Synced) each of them waits for the disk. A batch that is to
    /// be on disk as a whole is many times faster with [`Wal::Written`](crate::Wal::Written) and
    /// one [`sync`](Self::sync) after it.
    ///
    /// # Errors
    /// Returns the first error of [`insert`](Self::insert). The pairs before it are stored, and the
    /// others are not.
    ///
    /// ```
    /// let store = memkv::HybridStore::new();
    /// store.try_extend([("a", 1), ("b", 2)])?;
    /// assert_eq!(store.get("b"), Some(2));
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    pub fn try_extend<K: AsRef<[u8]>>(
        &self,
        pairs: impl IntoIterator<Item = (K, u64)>,
    ) -> Result<(), HybridError> {
        pairs.into_iter().try_for_each(|(key, value)| self.insert(key, value).map(|_| ()))
    }

    /// Replaces the value of `key`, if there is one, as one atomic step. Returns the value before.
    ///
    /// `f` is treated as in [`compute`](Self::compute).
    ///
    /// # Errors
    /// Returns the errors of [`insert`](Self::insert).
    ///
    /// # Panics
    /// Panics if `f` panics.
    ///
    /// ```
    /// let store = memkv::HybridStore::new();
    /// store.insert("a", 1)?;
    /// assert_eq!(store.update("a", |value| value + 1)?, Some(1));
    /// assert_eq!(store.update("b", |value| value + 1)?, None);
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    pub fn update(
        &self,
        key: impl AsRef<[u8]>,
        mut f: impl FnMut(u64) -> u64,
    ) -> Result<Option<u64>, HybridError> {
        Ok(self.compute(key, |value| value.map(&mut f))?.0)
    }

    /// Replaces the value of `key` if there is one and `f` returns another, as one atomic step.
    /// Returns the value before.
    ///
    /// `f` is treated as in [`compute`](Self::compute).
    ///
    /// # Errors
    /// Returns the current value if `f` returns `None`, no value if the key is absent, and the
    /// errors of [`insert`](Self::insert).
    ///
    /// # Panics
    /// Panics if `f` panics.
    ///
    /// ```
    /// use memkv::{ExchangeError, HybridStore};
    ///
    /// let store = HybridStore::new();
    /// store.insert("stock", 1)?;
    /// assert_eq!(store.fetch_update("stock", |left| left.checked_sub(1))?, 1);
    /// let refused = store.fetch_update("stock", |left| left.checked_sub(1));
    /// assert!(matches!(refused, Err(ExchangeError::Current(Some(0)))));
    /// # Ok::<(), ExchangeError>(())
    /// ```
    pub fn fetch_update(
        &self,
        key: impl AsRef<[u8]>,
        mut f: impl FnMut(u64) -> Option<u64>,
    ) -> Result<u64, ExchangeError> {
        let mut refused = false;
        let (old, _) = self.compute(key, |value| {
            let new = value.and_then(&mut f);
            refused = new.is_none();
            new.or(value)
        })?;
        old.filter(|_| !refused).ok_or(ExchangeError::Current(old))
    }

    /// Removes the least key, and returns it with its value.
    ///
    /// No two threads get the same key. Finding it and removing it is not one atomic step: a lesser
    /// key may come in between.
    ///
    /// # Errors
    /// Returns the errors of [`insert`](Self::insert).
    ///
    /// ```
    /// let store = memkv::HybridStore::new();
    /// store.try_extend([("a", 1), ("b", 2)])?;
    /// assert_eq!(store.pop_first()?, Some((b"a".to_vec(), 1)));
    /// assert_eq!(store.pop_last()?, Some((b"b".to_vec(), 2)));
    /// assert_eq!(store.pop_first()?, None);
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    pub fn pop_first(&self) -> Result<Option<(Vec<u8>, u64)>, HybridError> {
        self.pop(|store| store.iter().next())
    }

    /// Removes the greatest key, and returns it with its value.
    ///
    /// Otherwise like [`pop_first`](Self::pop_first).
    ///
    /// # Errors
    /// Returns the errors of [`insert`](Self::insert).
    pub fn pop_last(&self) -> Result<Option<(Vec<u8>, u64)>, HybridError> {
        self.pop(|store| store.iter().next_back())
    }

    fn pop(
        &self,
        end: impl Fn(&Self) -> Option<(Vec<u8>, u64)>,
    ) -> Result<Option<(Vec<u8>, u64)>, HybridError> {
        while let Some((key, _)) = end(self) {
            // Another thread may have removed it.
            if let Some(value) = self.remove(&key)? {
                return Ok(Some((key, value)));
            }
        }
        Ok(None)
    }

    /// Returns the value of `key`, after inserting `f()` if it was absent.
    ///
    /// `f` runs once at most, and without a lock. If another thread stores a value before that of
    /// `f` is stored, the value of that thread is returned.
    ///
    /// # Errors
    /// Returns the errors of [`insert`](Self::insert).
    ///
    /// # Panics
    /// Panics if `f` panics.
    ///
    /// ```
    /// let store = memkv::HybridStore::new();
    /// assert_eq!(store.get_or_insert_with("a", || 1)?, 1);
    /// assert_eq!(store.get_or_insert_with("a", || 2)?, 1);
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    pub fn get_or_insert_with(
        &self,
        key: impl AsRef<[u8]>,
        f: impl FnOnce() -> u64,
    ) -> Result<u64, HybridError> {
        let key = key.as_ref();
        if let Some(value) = self.get(key) {
            return Ok(value);
        }
        let value = f();
        Ok(self.change(key, Expected::Absent, Some(value))?.old.unwrap_or(value))
    }

    /// Removes `key` if `f` returns `true` for its value, as one atomic step. Returns the value
    /// removed.
    ///
    /// `f` is treated as in [`compute`](Self::compute).
    ///
    /// # Errors
    /// Returns the errors of [`insert`](Self::insert).
    ///
    /// # Panics
    /// Panics if `f` panics.
    ///
    /// ```
    /// let store = memkv::HybridStore::new();
    /// store.insert("a", 1)?;
    /// assert_eq!(store.remove_if("a", |value| value > 1)?, None);
    /// assert_eq!(store.remove_if("a", |value| value == 1)?, Some(1));
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    pub fn remove_if(
        &self,
        key: impl AsRef<[u8]>,
        mut f: impl FnMut(u64) -> bool,
    ) -> Result<Option<u64>, HybridError> {
        let (old, new) = self.compute(key, |value| value.filter(|&value| !f(value)))?;
        Ok(old.filter(|_| new.is_none()))
    }
}

/// Returns the length of the longest prefix of `key` that a part has, perhaps as a tombstone.
fn longest_prefix(state: &State<FrozenLayer>, key: &[u8]) -> Option<usize> {
    let deltas = [Some(&state.delta), state.frozen_delta.as_ref()];
    let changed = deltas.into_iter().flatten().filter_map(|delta| delta.longest_prefix(key));
    let stored = state.base.get_longest_prefix(key).map(|(prefix, _)| prefix.len());
    changed.chain(stored).max()
}
