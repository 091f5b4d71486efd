//! Operations of `ConcurrentArt` on many keys.

use super::{ConcurrentArt, Keys, Values};
use crate::InsertError;
use crate::error::or_fail;
use crate::face::many;
use crate::key::Prefixed;
use crate::reclaim;
use crate::value::Value;
use std::convert::Infallible;
use std::ops::RangeBounds;

impl<V: Value> ConcurrentArt<V> {
    /// Returns an iterator over all keys, in ascending order.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from([("b", 2u64), ("a", 1)]);
    /// assert!(map.keys().eq([b"a", b"b"]));
    /// ```
    pub fn keys(&self) -> Keys<'_, V> {
        Keys::new(self.iter())
    }

    /// Returns an iterator over all values, in the order of their keys.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from([("b", 2u64), ("a", 1)]);
    /// assert!(map.values().eq([1, 2]));
    /// ```
    pub fn values(&self) -> Values<'_, V> {
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
    /// let map = memkv::ConcurrentArt::from([("a", 1u64), ("ab", 2), ("b", 3)]);
    /// assert_eq!(map.count_prefix("a"), 2);
    /// ```
    pub fn count_prefix(&self, prefix: impl AsRef<[u8]>) -> usize {
        self.prefix(prefix).count()
    }

    /// Returns the longest stored key that is a prefix of `key`, as a slice of `key`, and its
    /// value.
    ///
    /// # Guarantees
    /// The call is not one atomic step. The key returned had the value at a moment of the call. It
    /// is at least as long as every prefix that is present for the whole call.
    ///
    /// # Complexity
    /// One lookup, and the search of each other leaf that may have a shorter prefix: at most one
    /// for each byte of `key`. Together they compare as many bytes as a few lookups do.
    ///
    /// ```
    /// let routes = memkv::ConcurrentArt::from([("/", 1u64), ("/api/", 2), ("/api/v2/", 3)]);
    /// assert_eq!(routes.get_longest_prefix("/api/v1/users"), Some((&b"/api/"[..], 2)));
    /// assert_eq!(routes.get_longest_prefix("about"), None);
    /// ```
    pub fn get_longest_prefix<'k, K: AsRef<[u8]> + ?Sized>(
        &self,
        key: &'k K,
    ) -> Option<(&'k [u8], V)> {
        let key = key.as_ref();
        let (len, bits) = self.tree.read(&reclaim::pin()).longest_prefix(key)?;
        Some((&key[..len], V::from_bits(bits)))
    }

    /// Returns all stored keys that are prefixes of `key`, as slices of `key`, with their values,
    /// the shortest first.
    ///
    /// # Guarantees
    /// The call is not one atomic step. Each key had its value at a moment of the call, and every
    /// prefix that is present for the whole call is returned.
    ///
    /// # Complexity
    /// That of [`get_longest_prefix`](Self::get_longest_prefix) if the map has no prefix, and a
    /// step for each key returned.
    ///
    /// ```
    /// let routes = memkv::ConcurrentArt::from([("/", 1u64), ("/api/", 2), ("/api/v2/", 3)]);
    /// let found = routes.prefixes_of("/api/v1/users");
    /// assert_eq!(found, [(&b"/"[..], 1), (&b"/api/"[..], 2)]);
    /// ```
    pub fn prefixes_of<'k, K: AsRef<[u8]> + ?Sized>(&self, key: &'k K) -> Vec<(&'k [u8], V)> {
        let key = key.as_ref();
        let found = self.tree.read(&reclaim::pin()).ascending_prefixes(key);
        found.into_iter().map(|(len, bits)| (&key[..len], V::from_bits(bits))).collect()
    }

    /// Removes all keys for which `keep` returns `false`.
    ///
    /// Keys are visited in ascending order, with the guarantees of a scan. Each removal is atomic
    /// by itself. It only removes the value that `keep` was called with: if another thread replaced
    /// it, `keep` is called again. `keep` runs without a lock, and may use the map.
    ///
    /// # Panics
    /// Panics if `keep` does. Aborts when out of memory, as [`remove`](Self::remove) does. The keys
    /// visited before are then removed.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from([("a", 1u64), ("b", 2)]);
    /// map.retain(|_, value| value > 1);
    /// assert!(map.keys().eq([b"b"]));
    /// ```
    #[track_caller]
    pub fn retain(&self, keep: impl FnMut(&[u8], V) -> bool) {
        let Ok(()) = many::retain(self.iter(), keep, |key, value| {
            Ok::<_, Infallible>(self.compare_exchange(key, Some(value), None).err().flatten())
        });
    }

    /// Removes the keys in a range, and returns how many it removed.
    ///
    /// # Guarantees
    /// The call is not one atomic step: each removal is atomic by itself. All keys that are present
    /// for the whole call are removed. A key that another thread inserts during the call may be
    /// removed or not. A key that another thread removes is not counted.
    ///
    /// # Complexity
    /// A search and a removal for each key.
    ///
    /// # Panics
    /// Aborts when out of memory, as [`remove`](Self::remove) does.
    /// [`try_remove_range`](Self::try_remove_range) returns that as an error.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from([("a", 1u64), ("b", 2), ("c", 3)]);
    /// assert_eq!(map.remove_range("b"..), 2);
    /// assert_eq!(map.len(), 1);
    /// ```
    #[track_caller]
    pub fn remove_range<K: AsRef<[u8]> + ?Sized, R: RangeBounds<K>>(&self, range: R) -> usize {
        or_fail(self.try_remove_range(range))
    }

    /// Removes the keys in a range like [`remove_range`](Self::remove_range), but returns errors.
    ///
    /// # Errors
    /// Returns the first error of [`try_remove`](Self::try_remove). The keys before it are then
    /// removed, and the others are not.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from([("a", 1u64), ("b", 2), ("c", 3)]);
    /// assert_eq!(map.try_remove_range("b"..), Ok(2));
    /// ```
    pub fn try_remove_range<K: AsRef<[u8]> + ?Sized, R: RangeBounds<K>>(
        &self,
        range: R,
    ) -> Result<usize, InsertError> {
        many::remove_all(self.range(range), |key| Ok(self.try_remove(key)?.is_some()))
    }

    /// Removes the keys that begin with `prefix`, and returns how many it removed.
    ///
    /// Otherwise like [`remove_range`](Self::remove_range).
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from([("a", 1u64), ("ab", 2), ("b", 3)]);
    /// assert_eq!(map.remove_prefix("a"), 2);
    /// ```
    #[track_caller]
    pub fn remove_prefix(&self, prefix: impl AsRef<[u8]>) -> usize {
        or_fail(self.try_remove_prefix(prefix))
    }

    /// Removes the keys that begin with `prefix` like [`remove_prefix`](Self::remove_prefix), but
    /// returns errors.
    ///
    /// # Errors
    /// Returns the errors of [`try_remove_range`](Self::try_remove_range).
    pub fn try_remove_prefix(&self, prefix: impl AsRef<[u8]>) -> Result<usize, InsertError> {
        self.try_remove_range(Prefixed::by(&prefix))
    }
}
