//! A set of byte strings.

use super::{FastArt, IntoKeys, Keys, MemoryUsage};
use crate::coding::KeyCoding;
use crate::error::{BuildError, InsertError};
use std::collections::BTreeSet;
use std::fmt;
use std::iter::FusedIterator;
use std::ops::RangeBounds;

/// An ordered set of byte strings: a [`FastArt`] whose values take no memory.
///
/// ```
/// use memkv::FastSet;
///
/// let mut seen = FastSet::new();
/// assert!(seen.insert("https://example.org/"));
/// assert!(!seen.insert("https://example.org/"));
/// assert!(seen.contains("https://example.org/"));
/// ```
///
/// Sets are combined as `BTreeSet`s are:
///
/// ```
/// use memkv::FastSet;
///
/// let (yesterday, today) = (FastSet::from(["a", "b"]), FastSet::from(["b", "c"]));
/// assert!(today.difference(&yesterday).eq([b"c"]));
/// assert_eq!(&yesterday | &today, FastSet::from(["a", "b", "c"]));
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FastSet {
    map: FastArt<()>,
}

impl FastSet {
    /// Creates an empty set, which allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an empty set that stores keys in this way.
    ///
    /// ```
    /// use memkv::{FastSet, KeyCoding};
    ///
    /// let mut set = FastSet::with_coding(KeyCoding::Symbols);
    /// set.insert("a");
    /// assert!(set.contains("a"));
    /// ```
    pub fn with_coding(coding: KeyCoding) -> Self {
        FastSet { map: FastArt::with_coding(coding) }
    }

    /// Returns the number of keys, in O(1).
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Returns `true` if the set has no key.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Removes all keys, and frees their memory.
    pub fn clear(&mut self) {
        self.map.clear();
    }

    /// Inserts `key`, and returns `true` if it was absent.
    ///
    /// ```
    /// let mut set = memkv::FastSet::new();
    /// assert!(set.insert("a"));
    /// assert!(!set.insert("a"));
    /// ```
    ///
    /// # Panics
    /// Panics and aborts as [`FastArt::insert`] does.
    #[inline]
    #[track_caller]
    pub fn insert(&mut self, key: impl AsRef<[u8]>) -> bool {
        self.map.insert(key, ()).is_none()
    }

    /// Inserts `key` like [`insert`](Self::insert), but returns errors.
    ///
    /// # Errors
    /// Returns the errors of [`FastArt::try_insert`].
    #[inline]
    pub fn try_insert(&mut self, key: impl AsRef<[u8]>) -> Result<bool, InsertError> {
        Ok(self.map.try_insert(key, ())?.is_none())
    }

    /// Returns `true` if the set contains `key`.
    #[inline]
    pub fn contains(&self, key: impl AsRef<[u8]>) -> bool {
        self.map.contains_key(key)
    }

    /// Returns for each of many keys whether the set contains it, in the order of `keys`.
    ///
    /// The lookups are interleaved as in [`FastArt::get_many`].
    ///
    /// ```
    /// let set = memkv::FastSet::from(["a", "b"]);
    /// assert_eq!(set.contains_many(&["b", "c", "a"]), [true, false, true]);
    /// ```
    pub fn contains_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<bool> {
        self.map.get_many(keys).into_iter().map(|found| found.is_some()).collect()
    }

    /// Removes `key`, and returns `true` if it was present.
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

    /// Returns the least key.
    ///
    /// ```
    /// let set: memkv::FastSet = ["b", "a"].into_iter().collect();
    /// assert_eq!(set.first(), Some(b"a".to_vec()));
    /// assert_eq!(set.last(), Some(b"b".to_vec()));
    /// ```
    pub fn first(&self) -> Option<Vec<u8>> {
        self.iter().next()
    }

    /// Returns the greatest key.
    pub fn last(&self) -> Option<Vec<u8>> {
        self.iter().next_back()
    }

    /// Removes and returns the least key.
    pub fn pop_first(&mut self) -> Option<Vec<u8>> {
        self.map.pop_first().map(|(key, ())| key)
    }

    /// Removes and returns the greatest key.
    pub fn pop_last(&mut self) -> Option<Vec<u8>> {
        self.map.pop_last().map(|(key, ())| key)
    }

    /// Returns an iterator over all keys, in ascending order.
    ///
    /// ```
    /// let set: memkv::FastSet = ["b", "a"].into_iter().collect();
    /// assert!(set.iter().eq([b"a", b"b"]));
    /// ```
    pub fn iter(&self) -> Keys<'_, ()> {
        self.map.keys()
    }

    /// Returns an iterator over the keys in a range, in ascending order.
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

    /// Returns an iterator over the keys that begin with `prefix`, in ascending order.
    ///
    /// ```
    /// let set: memkv::FastSet = ["a", "ab", "b"].into_iter().collect();
    /// assert_eq!(set.prefix("a").count(), 2);
    /// ```
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> impl DoubleEndedIterator<Item = Vec<u8>> {
        self.map.prefix(prefix).map(|(key, ())| key)
    }

    /// Returns the number of keys that begin with `prefix`.
    ///
    /// # Complexity
    /// That of [`FastArt::count_prefix`].
    ///
    /// ```
    /// let set = memkv::FastSet::from(["a", "ab", "b"]);
    /// assert_eq!(set.count_prefix("a"), 2);
    /// ```
    pub fn count_prefix(&self, prefix: impl AsRef<[u8]>) -> usize {
        self.map.count_prefix(prefix)
    }

    /// Returns the longest stored key that is a prefix of `key`, as a slice of `key`.
    ///
    /// ```
    /// let set: memkv::FastSet = ["/api", "/api/v2"].into_iter().collect();
    /// assert_eq!(set.get_longest_prefix("/api/v1"), Some(&b"/api"[..]));
    /// ```
    pub fn get_longest_prefix<'k, K: AsRef<[u8]> + ?Sized>(&self, key: &'k K) -> Option<&'k [u8]> {
        self.map.get_longest_prefix(key).map(|(key, ())| key)
    }

    /// Returns an iterator over the stored keys that are prefixes of `key`, as slices of `key`,
    /// shortest first.
    ///
    /// # Complexity
    /// That of [`FastArt::prefixes_of`].
    ///
    /// ```
    /// let set = memkv::FastSet::from(["/", "/api", "/api/v2"]);
    /// assert!(set.prefixes_of("/api/v1").eq([&b"/"[..], b"/api"]));
    /// ```
    pub fn prefixes_of<'k, K: AsRef<[u8]> + ?Sized>(
        &self,
        key: &'k K,
    ) -> impl FusedIterator<Item = &'k [u8]> {
        self.map.prefixes_of(key).map(|(key, ())| key)
    }

    /// Removes all keys for which `keep` returns `false`, in ascending order.
    ///
    /// ```
    /// let mut set: memkv::FastSet = ["a", "bb"].into_iter().collect();
    /// set.retain(|key| key.len() > 1);
    /// assert_eq!(set.len(), 1);
    /// ```
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8]) -> bool) {
        self.map.retain(|key, ()| keep(key));
    }

    /// Returns an iterator that visits the keys of a range in ascending order, and removes and
    /// returns those for which `goes` returns `true`.
    ///
    /// Keys that the iterator has not visited when it is dropped stay in the set.
    ///
    /// # Complexity
    /// That of [`FastArt::extract_if`].
    ///
    /// ```
    /// let mut set = memkv::FastSet::from(["a", "bb", "cc", "d"]);
    /// assert!(set.extract_if("b".., |key| key.len() == 2).eq([b"bb", b"cc"]));
    /// assert_eq!(set.len(), 2);
    /// ```
    pub fn extract_if<K: AsRef<[u8]> + ?Sized, R: RangeBounds<K>>(
        &mut self,
        range: R,
        mut goes: impl FnMut(&[u8]) -> bool,
    ) -> impl FusedIterator<Item = Vec<u8>> {
        self.map.extract_if(range, move |key, ()| goes(key)).map(|(key, ())| key)
    }

    /// Removes the keys in a range, and returns how many there were.
    ///
    /// # Complexity
    /// That of [`FastArt::remove_range`].
    ///
    /// ```
    /// let mut set = memkv::FastSet::from(["a", "b", "c"]);
    /// assert_eq!(set.remove_range("b"..), 2);
    /// assert_eq!(set.len(), 1);
    /// ```
    pub fn remove_range<K: AsRef<[u8]> + ?Sized, R: RangeBounds<K>>(&mut self, range: R) -> usize {
        self.map.remove_range(range)
    }

    /// Removes the keys that begin with `prefix`, and returns how many there were.
    ///
    /// # Complexity
    /// That of [`FastArt::remove_range`].
    ///
    /// ```
    /// let mut set = memkv::FastSet::from(["a", "ab", "b"]);
    /// assert_eq!(set.remove_prefix("a"), 2);
    /// ```
    pub fn remove_prefix(&mut self, prefix: impl AsRef<[u8]>) -> usize {
        self.map.remove_prefix(prefix)
    }

    /// Splits the set at `key`, and returns a set of the keys from `key` on.
    ///
    /// # Complexity
    /// O(keys split off).
    ///
    /// ```
    /// let mut set = memkv::FastSet::from(["a", "b", "c"]);
    /// let from_b = set.split_off("b");
    /// assert_eq!((set.len(), from_b.len()), (1, 2));
    /// ```
    pub fn split_off(&mut self, key: impl AsRef<[u8]>) -> Self {
        FastSet { map: self.map.split_off(key) }
    }

    /// Moves all keys of `other` into this set.
    ///
    /// # Complexity
    /// That of [`FastArt::append`].
    ///
    /// ```
    /// let mut set = memkv::FastSet::from(["a", "b"]);
    /// let mut other = memkv::FastSet::from(["b", "c"]);
    /// set.append(&mut other);
    /// assert_eq!((set.len(), other.len()), (3, 0));
    /// ```
    pub fn append(&mut self, other: &mut Self) {
        self.map.append(&mut other.map);
    }

    /// Builds a set bottom-up, with full leaves, from strictly ascending keys.
    ///
    /// # Errors
    /// Returns the errors of [`FastArt::from_sorted`].
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

    /// Returns the bytes that the set holds, like [`FastArt::memory_usage`].
    pub fn memory_usage(&self) -> MemoryUsage {
        self.map.memory_usage()
    }

    /// Returns the set as a map without values, with all methods of a map.
    ///
    /// ```
    /// let set = memkv::FastSet::from(["a", "b"]);
    /// assert_eq!(set.as_map().get("a"), Some(()));
    /// ```
    pub fn as_map(&self) -> &FastArt<()> {
        &self.map
    }

    /// Returns the set as a mutable map without values.
    ///
    /// ```
    /// let mut set = memkv::FastSet::from(["a", "b"]);
    /// set.as_map_mut().shrink_to_fit();
    /// assert_eq!(set.len(), 2);
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
    #[track_caller]
    fn from_iter<I: IntoIterator<Item = K>>(keys: I) -> Self {
        FastSet { map: FastArt::from_iter(keys.into_iter().map(|key| (key, ()))) }
    }
}

impl<K: AsRef<[u8]>, const N: usize> From<[K; N]> for FastSet {
    #[track_caller]
    fn from(keys: [K; N]) -> Self {
        Self::from_iter(keys)
    }
}

impl<K: AsRef<[u8]>> From<BTreeSet<K>> for FastSet {
    /// Builds bottom-up if `K` has the order of its bytes.
    #[track_caller]
    fn from(keys: BTreeSet<K>) -> Self {
        Self::from_iter(keys)
    }
}

impl<K: AsRef<[u8]>> Extend<K> for FastSet {
    #[track_caller]
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
