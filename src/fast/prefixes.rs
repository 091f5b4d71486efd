//! The stored keys that are prefixes of another.

use super::FastArt;
use crate::tree::common_prefix;
use crate::value::Value;
use std::iter::{self, FusedIterator};

impl<V: Value> FastArt<V> {
    /// Returns an iterator over the stored keys that are prefixes of `key`, as slices of `key`, and
    /// their values, shortest first.
    ///
    /// # Complexity
    /// One step for each result, and a search for each other key that is passed on the way: at most
    /// one for each byte of `key`.
    ///
    /// ```
    /// let routes = memkv::FastArt::from([("/", 1u64), ("/api/", 2), ("/api/v2/", 3)]);
    /// assert!(routes.prefixes_of("/api/v1/users").eq([(&b"/"[..], 1), (b"/api/", 2)]));
    /// ```
    pub fn prefixes_of<'k, K: AsRef<[u8]> + ?Sized>(
        &self,
        key: &'k K,
    ) -> impl FusedIterator<Item = (&'k [u8], V)> {
        let (key, mut cursor) = (key.as_ref(), self.cursor());
        let next = move || loop {
            let (found, value) = cursor.next()?;
            let shared = common_prefix(found, key);
            let Some(byte) = found.get(shared) else {
                return Some((&key[..shared], value));
            };
            // Longer prefixes of `key` are after `found` only if `key` is, too.
            if key.get(shared)? < byte {
                return None;
            }
            cursor.seek(&key[..=shared]);
        };
        iter::from_fn(next).fuse()
    }
}
