//! Operations of `ConcurrentArenaArt` on many keys.

use super::{ConcurrentArenaArt, Keys, Ref, Values};
use crate::InsertError;
use crate::error::or_fail;
use crate::face::many;
use crate::key::Prefixed;
use crate::reclaim;
use std::convert::Infallible;
use std::ops::RangeBounds;

impl<T: Send + Sync + 'static> ConcurrentArenaArt<T> {
    /// Returns an iterator over all keys, in ascending order.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("b", "y"), ("a", "x")]);
    /// assert!(map.keys().eq([b"a", b"b"]));
    /// ```
    pub fn keys(&self) -> Keys<'_, T> {
        Keys::new(self.iter())
    }

    /// Returns an iterator over clones of all values, in the order of their keys.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("b", "y"), ("a", "x")]);
    /// assert!(map.values().eq(["x", "y"]));
    /// ```
    pub fn values(&self) -> Values<'_, T>
    where
        T: Clone,
    {
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
    /// let map = memkv::ConcurrentArenaArt::from([("a", 'x'), ("ab", 'y'), ("b", 'z')]);
    /// assert_eq!(map.count_prefix("a"), 2);
    /// ```
    pub fn count_prefix(&self, prefix: impl AsRef<[u8]>) -> usize {
        self.prefix(prefix).count()
    }

    /// Returns the longest stored key that is a prefix of `key`, as a slice of `key`, and its
    /// value.
    ///
    /// Guarantees and complexity are those of
    /// [`ConcurrentArt::get_longest_prefix`](crate::ConcurrentArt::get_longest_prefix).
    ///
    /// ```
    /// let routes = memkv::ConcurrentArenaArt::from([("/", "root"), ("/api/", "api")]);
    /// let (key, value) = routes.get_longest_prefix("/api/v1/users").unwrap();
    /// assert_eq!((key, *value), (&b"/api/"[..], "api"));
    /// assert!(routes.get_longest_prefix("about").is_none());
    /// ```
    pub fn get_longest_prefix<'k, K: AsRef<[u8]> + ?Sized>(
        &self,
        key: &'k K,
    ) -> Option<(&'k [u8], Ref<'_, T>)> {
        let (key, mut longest) = (key.as_ref(), 0);
        let Ok(found) = self.tree.with_pin(reclaim::pin(), |at| {
            let found = at.longest_prefix(key);
            Ok::<_, Infallible>(found.map(|(len, value)| {
                longest = len;
                value
            }))
        });
        found.map(|value| (&key[..longest], value))
    }

    /// Returns all stored keys that are prefixes of `key`, as slices of `key`, with their values,
    /// the shortest first.
    ///
    /// Guarantees are those of [`ConcurrentArt::prefixes_of`](crate::ConcurrentArt::prefixes_of).
    ///
    /// # Complexity
    /// That of [`get_longest_prefix`](Self::get_longest_prefix) if the map has no prefix, and a
    /// lookup for each key returned.
    ///
    /// ```
    /// let routes = memkv::ConcurrentArenaArt::from([("/", "root"), ("/api/", "api")]);
    /// let found = routes.prefixes_of("/api/v1/users");
    /// assert!(found.iter().map(|(_, value)| **value).eq(["root", "api"]));
    /// ```
    pub fn prefixes_of<'k, K: AsRef<[u8]> + ?Sized>(
        &self,
        key: &'k K,
    ) -> Vec<(&'k [u8], Ref<'_, T>)> {
        let key = key.as_ref();
        let lens = self.tree.pinned(&reclaim::pin()).prefix_lens(key);
        let prefixes = lens.into_iter().map(|len| &key[..len]);
        prefixes.filter_map(|prefix| Some((prefix, self.get(prefix)?))).collect()
    }

    /// Removes the keys in a range, and returns how many it removed.
    ///
    /// Guarantees and complexity are those of
    /// [`ConcurrentArt::remove_range`](crate::ConcurrentArt::remove_range).
    ///
    /// # Panics
    /// Aborts when out of memory, as [`remove`](Self::remove) does.
    /// [`try_remove_range`](Self::try_remove_range) returns that as an error.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", 'x'), ("b", 'y'), ("c", 'z')]);
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
    /// let map = memkv::ConcurrentArenaArt::from([("a", 'x'), ("b", 'y'), ("c", 'z')]);
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
    /// let map = memkv::ConcurrentArenaArt::from([("a", 'x'), ("ab", 'y'), ("b", 'z')]);
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
