//! A set of byte strings.

use super::{FastArt, IntoKeys, Keys, MemoryUsage};
use crate::error::{BuildError, InsertError};
use std::fmt;
use std::ops::RangeBounds;

/// An ordered set of byte strings: a [`FastArt`] without values, which then take no memory.
///
/// ```
/// use memkv::FastSet;
///
/// let mut seen = FastSet::new();
/// assert!(seen.insert("https://example.org/"));
/// assert!(!seen.insert("https://example.org/"));
/// assert!(seen.contains("https://example.org/"));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FastSet {
    map: FastArt<()>,
}

impl FastSet {
    /// An empty set. Takes no memory besides itself.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of keys. O(1).
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Removes every key and gives the memory back.
    pub fn clear(&mut self) {
        self.map.clear();
    }

    /// Adds `key`, and says whether it is new.
    ///
    /// ```
    /// let mut set = memkv::FastSet::new();
    /// assert!(set.insert("a"));
    /// assert!(!set.insert("a"));
    /// ```
    ///
    /// # Panics
    /// As [`FastArt::insert`].
    #[inline]
    pub fn insert(&mut self, key: impl AsRef<[u8]>) -> bool {
        self.map.insert(key, ()).is_none()
    }

    /// [`insert`](Self::insert) that reports failure.
    ///
    /// # Errors
    /// As [`FastArt::try_insert`].
    #[inline]
    pub fn try_insert(&mut self, key: impl AsRef<[u8]>) -> Result<bool, InsertError> {
        Ok(self.map.try_insert(key, ())?.is_none())
    }

    /// Whether `key` is there.
    #[inline]
    pub fn contains(&self, key: impl AsRef<[u8]>) -> bool {
        self.map.contains_key(key)
    }

    /// Removes `key`, and says whether it was there.
    ///
    /// ```
    /// let mut set: memkv::FastSet = ["a"].into_iter().collect();
    /// assert!(set.remove("a"));
    /// assert!(!set.remove("a"));
    /// ```
    #[inline]
    pub fn remove(&mut self, key: impl AsRef<[u8]>) -> bool {
        self.map.remove(key).is_some()
    }

    /// The least key.
    ///
    /// ```
    /// let set: memkv::FastSet = ["b", "a"].into_iter().collect();
    /// assert_eq!(set.first(), Some(b"a".to_vec()));
    /// assert_eq!(set.last(), Some(b"b".to_vec()));
    /// ```
    pub fn first(&self) -> Option<Vec<u8>> {
        self.iter().next()
    }

    /// The greatest key.
    pub fn last(&self) -> Option<Vec<u8>> {
        self.iter().next_back()
    }

    /// Removes the least key.
    pub fn pop_first(&mut self) -> Option<Vec<u8>> {
        self.map.pop_first().map(|(key, ())| key)
    }

    /// Removes the greatest key.
    pub fn pop_last(&mut self) -> Option<Vec<u8>> {
        self.map.pop_last().map(|(key, ())| key)
    }

    /// All keys, ascending; from the back, descending.
    ///
    /// ```
    /// let set: memkv::FastSet = ["b", "a"].into_iter().collect();
    /// assert!(set.iter().eq([b"a", b"b"]));
    /// ```
    pub fn iter(&self) -> Keys<'_, ()> {
        self.map.keys()
    }

    /// The keys inside a range, ascending; from the back, descending.
    ///
    /// ```
    /// let set: memkv::FastSet = ["a", "b", "c"].into_iter().collect();
    /// assert!(set.range("a".."c").eq([b"a", b"b"]));
    /// ```
    pub fn range<'a, K: AsRef<[u8]> + ?Sized + 'a>(
        &'a self,
        range: impl RangeBounds<K> + 'a,
    ) -> impl DoubleEndedIterator<Item = Vec<u8>> + 'a {
        self.map.range(range).map(|(key, ())| key)
    }

    /// The keys that begin with `prefix`, ascending; from the back, descending.
    ///
    /// ```
    /// let set: memkv::FastSet = ["a", "ab", "b"].into_iter().collect();
    /// assert_eq!(set.prefix("a").count(), 2);
    /// ```
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> impl DoubleEndedIterator<Item = Vec<u8>> {
        self.map.prefix(prefix).map(|(key, ())| key)
    }

    /// The longest stored key that `key` begins with, as a part of `key`.
    ///
    /// ```
    /// let set: memkv::FastSet = ["/api", "/api/v2"].into_iter().collect();
    /// assert_eq!(set.get_longest_prefix("/api/v1"), Some(&b"/api"[..]));
    /// ```
    pub fn get_longest_prefix<'k, K: AsRef<[u8]> + ?Sized>(&self, key: &'k K) -> Option<&'k [u8]> {
        self.map.get_longest_prefix(key).map(|(key, ())| key)
    }

    /// Keeps the keys for which `keep` says so, asked in ascending order.
    ///
    /// ```
    /// let mut set: memkv::FastSet = ["a", "bb"].into_iter().collect();
    /// set.retain(|key| key.len() > 1);
    /// assert_eq!(set.len(), 1);
    /// ```
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8]) -> bool) {
        self.map.retain(|key, ()| keep(key));
    }

    /// A set of keys that ascend strictly, built bottom-up with full leaves.
    ///
    /// # Errors
    /// As [`FastArt::from_sorted`].
    ///
    /// ```
    /// let set = memkv::FastSet::from_sorted(["a", "b"])?;
    /// assert!(set.contains("b"));
    /// # Ok::<(), memkv::BuildError>(())
    /// ```
    pub fn from_sorted<K: AsRef<[u8]>>(
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Self, BuildError> {
        Ok(FastSet { map: FastArt::from_sorted(keys.into_iter().map(|key| (key, ())))? })
    }

    /// What the set holds, in bytes. As [`FastArt::memory_usage`].
    pub fn memory_usage(&self) -> MemoryUsage {
        self.map.memory_usage()
    }

    /// The set as a map without values, with all of a map's methods.
    ///
    /// ```
    /// let set: memkv::FastSet = ["a", "ab", "b"].into_iter().collect();
    /// assert_eq!(set.as_map().count_prefix("a"), 2);
    /// ```
    pub fn as_map(&self) -> &FastArt<()> {
        &self.map
    }

    /// As [`as_map`](Self::as_map), to change.
    ///
    /// ```
    /// let mut set: memkv::FastSet = ["a", "ab", "b"].into_iter().collect();
    /// set.as_map_mut().remove_prefix("a");
    /// assert_eq!(set.len(), 1);
    /// ```
    pub fn as_map_mut(&mut self) -> &mut FastArt<()> {
        &mut self.map
    }
}

impl fmt::Debug for FastSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut set = f.debug_set();
        let mut cursor = self.map.cursor();
        while let Some((key, ())) = cursor.next() {
            set.entry(&format_args!("\"{}\"", key.escape_ascii()));
        }
        set.finish()
    }
}

impl<K: AsRef<[u8]>> FromIterator<K> for FastSet {
    fn from_iter<I: IntoIterator<Item = K>>(keys: I) -> Self {
        FastSet { map: keys.into_iter().map(|key| (key, ())).collect() }
    }
}

impl<K: AsRef<[u8]>> Extend<K> for FastSet {
    fn extend<I: IntoIterator<Item = K>>(&mut self, keys: I) {
        self.map.extend(keys.into_iter().map(|key| (key, ())));
    }
}

impl IntoIterator for FastSet {
    type Item = Vec<u8>;
    type IntoIter = IntoKeys<()>;

    fn into_iter(self) -> IntoKeys<()> {
        self.map.into_keys()
    }
}

impl<'a> IntoIterator for &'a FastSet {
    type Item = Vec<u8>;
    type IntoIter = Keys<'a, ()>;

    fn into_iter(self) -> Keys<'a, ()> {
        self.iter()
    }
}

impl From<FastArt<()>> for FastSet {
    fn from(map: FastArt<()>) -> Self {
        FastSet { map }
    }
}

impl From<FastSet> for FastArt<()> {
    fn from(set: FastSet) -> Self {
        set.map
    }
}
