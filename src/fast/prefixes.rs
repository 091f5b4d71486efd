//! The stored keys that are prefixes of another.

use super::FastArt;
use crate::value::Value;
use std::iter::FusedIterator;

impl<V: Value> FastArt<V> {
    /// Returns an iterator over the stored keys that are prefixes of `key`, as slices of `key`, and
    /// their values, shortest first.
    ///
    /// # Complexity
    /// That of [`get_longest_prefix`](Self::get_longest_prefix) if the map has no prefix, and a
    /// step for each result. All of them are found by this call.
    ///
    /// ```
    /// let routes = memkv::FastArt::from([("/", 1u64), ("/api/", 2), ("/api/v2/", 3)]);
    /// assert!(routes.prefixes_of("/api/v1/users").eq([(&b"/"[..], 1), (b"/api/", 2)]));
    /// ```
    pub fn prefixes_of<'k, K: AsRef<[u8]> + ?Sized>(
        &self,
        key: &'k K,
    ) -> impl FusedIterator<Item = (&'k [u8], V)> {
        let key = key.as_ref();
        let found = self.tree.ascending_prefixes(key);
        found.into_iter().map(|(len, bits)| (&key[..len], V::from_bits(bits)))
    }
}
