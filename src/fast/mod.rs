//! `FastArt`: the tree of one owner, with the names and habits of `BTreeMap`.
//!
//! * `entry`, `iter`, `retain`, `set`, `traits`: as their names say.
//! * `change`: changes of many values in place.
//! * `extract`: removal of keys while an iterator returns them.
//! * `parallel`: the traits of parallel collections.
//! * `prefixes`: the stored keys that are prefixes of another.
//! * `set_operations`: unions, intersections and differences of sets.
//! * `sorted`: building a map from ascending keys.
//! * `usage`: what a map holds, in bytes.

#![forbid(unsafe_code)]

mod change;
mod entry;
mod extract;
mod iter;
#[cfg(feature = "parallel")]
mod parallel;
mod prefixes;
mod retain;
mod set;
mod set_operations;
mod sorted;
mod traits;
mod usage;

pub use entry::{Entry, OccupiedEntry, VacantEntry, ValueMut};
pub(crate) use extract::Extract;
pub(crate) use iter::{AllEnds, FastEnds, FastWalk, IntoEnds, Upcoming};
pub use iter::{Cursor, IntoIter, IntoKeys, IntoValues, Iter, Keys, Range, Values};
pub(crate) use retain::Retain;
pub use set::FastSet;
#[cfg(feature = "parallel")]
pub(crate) use sorted::Sorted;
pub(crate) use traits::{compare, hash};
pub use usage::MemoryUsage;

use crate::coding::KeyCoding;
use crate::error::{InsertError, or_fail};
use crate::key::{self, Prefixed};
use crate::tree::{LeafCoder, RawTree};
use crate::value::Value;
use std::marker::PhantomData;
use std::ops::RangeBounds;

/// An ordered map from byte strings to small values, with one writer at a time.
///
/// It replaces a `BTreeMap<Box<[u8]>, V>` that takes too much memory or time. It is a shallow tree
/// whose nodes hold front-coded runs of neighbouring keys. Keys are byte strings of up to
/// [`MAX_KEY_LEN`](crate::MAX_KEY_LEN) bytes, in bytewise order: also the empty one, ones with NUL
/// bytes, and one that is a prefix of another. Values are of any type that implements [`Value`],
/// and take exactly their size.
///
/// A map of 2 million URLs of 51 bytes with 8-byte values takes 32 bytes a key in all, less than
/// the keys alone. Keys are not stored whole, so they are returned as copies or, by a [`Cursor`],
/// as slices of its buffer.
///
/// Any number of threads may read a shared map (`&FastArt`).
///
/// ```
/// use memkv::FastArt;
///
/// let mut map = FastArt::new();
/// map.insert("https://example.org/b", 2);
/// map.insert("https://example.org/a", 1);
/// assert_eq!(map.get("https://example.org/a"), Some(1));
/// assert_eq!(map.get("https://example.org/"), None);
///
/// let pages: Vec<(Vec<u8>, i32)> = map.prefix("https://example.org/").collect();
/// assert_eq!(pages[0], (b"https://example.org/a".to_vec(), 1));
/// ```
///
/// # Complexity
/// A point operation searches one node a level; there are O(log keys) levels of up to 65 children.
/// A search compares each byte of the key at most once, and steps over the node's keys many at a
/// time.
///
/// # Memory
/// Nodes live in a pool shared by all maps of the process ([`pool`](crate::pool)). A map without
/// keys takes only `size_of::<FastArt>()` bytes, and removing keys gives their memory back.
///
/// # Panics
/// Like `Vec`, methods that store a key panic on a key over the limit, and call
/// [`handle_alloc_error`](std::alloc::handle_alloc_error) when out of memory. So do, when out of
/// memory, the methods that make new nodes for what stays or is copied: [`remove`](Self::remove),
/// [`pop_first`](Self::pop_first), [`pop_last`](Self::pop_last), [`retain`](Self::retain),
/// [`extract_if`](Self::extract_if), [`remove_range`](Self::remove_range),
/// [`remove_prefix`](Self::remove_prefix), [`split_off`](Self::split_off),
/// [`shrink_to_fit`](Self::shrink_to_fit) and `clone`.
/// [`try_insert`](Self::try_insert), [`try_remove`](Self::try_remove) and
/// [`try_clone`](Self::try_clone) return errors instead.
///
/// # Source
/// Bayer, Unterauer: "Prefix B-trees", 1977. Runs of keys as leaves: Heinz, Zobel, Williams: "Burst
/// tries", 2002, and Askitis, Zobel: "B-tries for disk-based string management", 2009. The
/// [crate's page](crate#literature) has more.
pub struct FastArt<V: Value = u64> {
    tree: RawTree<V::Bits>,
    values: PhantomData<V>,
}

impl<V: Value> FastArt<V> {
    /// Creates an empty map, which allocates nothing.
    ///
    /// ```
    /// let map = memkv::FastArt::<u32>::new();
    /// assert!(map.is_empty());
    /// ```
    pub fn new() -> Self {
        Self::of(RawTree::new())
    }

    /// Creates an empty map that stores keys in this way.
    ///
    /// ```
    /// use memkv::{FastArt, KeyCoding};
    ///
    /// let mut map = FastArt::with_coding(KeyCoding::Symbols);
    /// map.insert("a", 1u64);
    /// assert_eq!(map.get("a"), Some(1));
    /// ```
    pub fn with_coding(coding: KeyCoding) -> Self {
        Self::of(RawTree::with_coder(LeafCoder::asked(coding)))
    }

    pub(crate) fn of(tree: RawTree<V::Bits>) -> Self {
        FastArt { tree, values: PhantomData }
    }

    /// Returns the number of keys, in O(1).
    ///
    /// ```
    /// let map = memkv::FastArt::from([("a", 1u64), ("b", 2)]);
    /// assert_eq!(map.len(), 2);
    /// ```
    pub fn len(&self) -> usize {
        self.tree.len()
    }

    /// Returns `true` if the map has no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes all keys, and frees their memory.
    ///
    /// # Complexity
    /// O(nodes).
    ///
    /// ```
    /// let mut map = memkv::FastArt::from([("a", 1u64)]);
    /// map.clear();
    /// assert_eq!(map.get("a"), None);
    /// ```
    pub fn clear(&mut self) {
        self.tree.clear();
    }

    /// Inserts `value` under `key`, and returns the value it replaces.
    ///
    /// # Panics
    /// Panics if the key has more than [`MAX_KEY_LEN`](crate::MAX_KEY_LEN) bytes. Aborts when out
    /// of memory. [`try_insert`](Self::try_insert) returns both as errors.
    ///
    /// ```
    /// let mut map = memkv::FastArt::new();
    /// assert_eq!(map.insert("a", 1), None);
    /// assert_eq!(map.insert("a", 2), Some(1));
    /// ```
    #[inline]
    #[track_caller]
    pub fn insert(&mut self, key: impl AsRef<[u8]>, value: V) -> Option<V> {
        or_fail(self.try_insert(key, value))
    }

    /// Inserts `value` under `key` like [`insert`](Self::insert), but returns errors.
    ///
    /// # Errors
    /// Returns an error if the key is over the limit, or when out of memory. The map is then
    /// unchanged.
    ///
    /// ```
    /// let mut map = memkv::FastArt::new();
    /// assert_eq!(map.try_insert("a", 1), Ok(None));
    /// ```
    #[inline]
    pub fn try_insert(
        &mut self,
        key: impl AsRef<[u8]>,
        value: V,
    ) -> Result<Option<V>, InsertError> {
        Ok(self.tree.insert(key.as_ref(), value.into_bits())?.map(V::from_bits))
    }

    /// Returns the value of `key`.
    ///
    /// ```
    /// let map = memkv::FastArt::from([("a", 1u64)]);
    /// assert_eq!(map.get("a"), Some(1));
    /// assert_eq!(map.get("b"), None);
    /// ```
    #[inline]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<V> {
        self.tree.get(key.as_ref()).map(V::from_bits)
    }

    /// Returns the values of many keys, in the order of `keys`.
    ///
    /// The lookups of a batch are interleaved so that their cache misses overlap. In a map larger
    /// than the caches this is faster than single calls of [`get`](Self::get) from a few keys on.
    ///
    /// ```
    /// let map = memkv::FastArt::from([("a", 1u64), ("b", 2)]);
    /// assert_eq!(map.get_many(&["b", "c", "a"]), [Some(2), None, Some(1)]);
    /// ```
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Option<V>> {
        let mut values = Vec::with_capacity(keys.len());
        self.tree
            .get_many(keys.iter().map(AsRef::as_ref), |bits| values.push(bits.map(V::from_bits)));
        values
    }

    /// Returns `true` if the map contains `key`.
    ///
    /// ```
    /// let map = memkv::FastArt::from([("a", 1u64)]);
    /// assert!(map.contains_key("a") && !map.contains_key(""));
    /// ```
    #[inline]
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> bool {
        self.tree.find(key.as_ref()).is_some()
    }

    /// Returns a guard through which the value of `key` can be changed in place.
    ///
    /// The change takes effect when the guard is dropped. A guard that is forgotten changes
    /// nothing.
    ///
    /// ```
    /// let mut map = memkv::FastArt::from([("a", 1u64)]);
    /// *map.get_mut("a").unwrap() += 1;
    /// assert_eq!(map.get("a"), Some(2));
    /// ```
    pub fn get_mut(&mut self, key: impl AsRef<[u8]>) -> Option<ValueMut<'_, V>> {
        let pos = self.tree.find(key.as_ref())?;
        Some(ValueMut::new(&mut self.tree, pos))
    }

    /// Returns the entry of `key`, occupied or vacant.
    ///
    /// ```
    /// let mut count = memkv::FastArt::<u32>::new();
    /// for word in ["a", "b", "a"] {
    ///     *count.entry(word).or_insert(0) += 1;
    /// }
    /// assert_eq!(count.get("a"), Some(2));
    /// ```
    pub fn entry<K: AsRef<[u8]>>(&mut self, key: K) -> Entry<'_, K, V> {
        Entry::new(&mut self.tree, key)
    }

    /// Removes `key`, and returns its value.
    ///
    /// # Panics
    /// Aborts by [`handle_alloc_error`](std::alloc::handle_alloc_error) if there is no memory for
    /// the shortened leaf. [`try_remove`](Self::try_remove) returns that as an error.
    ///
    /// ```
    /// let mut map = memkv::FastArt::from([("a", 1u64)]);
    /// assert_eq!(map.remove("a"), Some(1));
    /// assert_eq!(map.remove("a"), None);
    /// ```
    #[inline]
    pub fn remove(&mut self, key: impl AsRef<[u8]>) -> Option<V> {
        or_fail(self.try_remove(key))
    }

    /// Removes `key`, and returns it, as a copy, with its value.
    ///
    /// # Panics
    /// Aborts when out of memory, as [`remove`](Self::remove) does.
    ///
    /// ```
    /// let mut map = memkv::FastArt::from([("a", 1u64)]);
    /// assert_eq!(map.remove_entry("a"), Some((b"a".to_vec(), 1)));
    /// assert_eq!(map.remove_entry("a"), None);
    /// ```
    pub fn remove_entry(&mut self, key: impl AsRef<[u8]>) -> Option<(Vec<u8>, V)> {
        let key = key.as_ref();
        self.remove(key).map(|value| (key.to_vec(), value))
    }

    /// Removes `key` like [`remove`](Self::remove), but returns errors.
    ///
    /// # Errors
    /// Returns an error if there is no memory for the shortened leaf, which is a new node. The map
    /// is then unchanged.
    ///
    /// ```
    /// let mut map = memkv::FastArt::from([("a", 1u64)]);
    /// assert_eq!(map.try_remove("a"), Ok(Some(1)));
    /// ```
    #[inline]
    pub fn try_remove(&mut self, key: impl AsRef<[u8]>) -> Result<Option<V>, InsertError> {
        Ok(self.tree.remove(key.as_ref())?.map(V::from_bits))
    }

    /// Returns the least key and its value.
    ///
    /// ```
    /// let map = memkv::FastArt::from([("b", 2u64), ("a", 1)]);
    /// assert_eq!(map.first_key_value(), Some((b"a".to_vec(), 1)));
    /// assert_eq!(map.last_key_value(), Some((b"b".to_vec(), 2)));
    /// ```
    pub fn first_key_value(&self) -> Option<(Vec<u8>, V)> {
        self.iter().next()
    }

    /// Returns the greatest key and its value.
    pub fn last_key_value(&self) -> Option<(Vec<u8>, V)> {
        self.iter().next_back()
    }

    /// Removes the least key, and returns it with its value.
    ///
    /// ```
    /// let mut map = memkv::FastArt::from([("b", 2u64), ("a", 1)]);
    /// assert_eq!(map.pop_first(), Some((b"a".to_vec(), 1)));
    /// assert_eq!(map.pop_last(), Some((b"b".to_vec(), 2)));
    /// assert_eq!(map.pop_first(), None);
    /// ```
    pub fn pop_first(&mut self) -> Option<(Vec<u8>, V)> {
        let (key, value) = self.first_key_value()?;
        self.remove(&key);
        Some((key, value))
    }

    /// Removes the greatest key, and returns it with its value.
    pub fn pop_last(&mut self) -> Option<(Vec<u8>, V)> {
        let (key, value) = self.last_key_value()?;
        self.remove(&key);
        Some((key, value))
    }

    /// Returns the entry of the least key, with a copy of the key.
    ///
    /// ```
    /// let mut map = memkv::FastArt::from([("b", 2u64), ("a", 1)]);
    /// *map.first_entry().unwrap().get_mut() = 3;
    /// assert_eq!(map.get("a"), Some(3));
    /// ```
    pub fn first_entry(&mut self) -> Option<OccupiedEntry<'_, Vec<u8>, V>> {
        let (key, _value) = self.first_key_value()?;
        OccupiedEntry::find(&mut self.tree, key)
    }

    /// Returns the entry of the greatest key, with a copy of the key.
    ///
    /// ```
    /// let mut map = memkv::FastArt::from([("b", 2u64), ("a", 1)]);
    /// assert_eq!(map.last_entry().unwrap().remove(), 2);
    /// assert_eq!(map.len(), 1);
    /// ```
    pub fn last_entry(&mut self) -> Option<OccupiedEntry<'_, Vec<u8>, V>> {
        let (key, _value) = self.last_key_value()?;
        OccupiedEntry::find(&mut self.tree, key)
    }
    /// Returns the longest stored key that is a prefix of `key`, as a slice of `key`, and its
    /// value.
    ///
    /// # Complexity
    /// One lookup, and the search of each other leaf that may have a shorter prefix: at most one
    /// for each byte of `key`. Together they compare as many bytes as a few lookups do.
    ///
    /// ```
    /// let routes = memkv::FastArt::from([("/", 1u64), ("/api/", 2), ("/api/v2/", 3)]);
    /// assert_eq!(routes.get_longest_prefix("/api/v1/users"), Some((&b"/api/"[..], 2)));
    /// assert_eq!(routes.get_longest_prefix("about"), None);
    /// ```
    pub fn get_longest_prefix<'k, K: AsRef<[u8]> + ?Sized>(
        &self,
        key: &'k K,
    ) -> Option<(&'k [u8], V)> {
        let key = key.as_ref();
        let (len, bits) = self.tree.longest_prefix(key)?;
        Some((&key[..len], V::from_bits(bits)))
    }

    /// Returns a cursor before the first key.
    ///
    /// It returns keys as slices of its own buffer, so a scan allocates nothing for each key.
    ///
    /// ```
    /// let map = memkv::FastArt::from([("a", 1u64), ("b", 2), ("c", 3)]);
    /// let mut cursor = map.cursor();
    /// cursor.seek("b");
    /// assert_eq!(cursor.next(), Some((&b"b"[..], 2)));
    /// assert_eq!(cursor.prev(), Some((&b"b"[..], 2)));
    /// assert_eq!(cursor.prev(), Some((&b"a"[..], 1)));
    /// assert_eq!(cursor.prev(), None);
    /// ```
    pub fn cursor(&self) -> Cursor<'_, V> {
        Cursor::new(FastWalk::new(&self.tree))
    }

    /// Returns an iterator over all keys and values, in ascending order of the keys.
    ///
    /// It begins with one search. Each step copies a key.
    ///
    /// ```
    /// let map = memkv::FastArt::from([("b", 2u64), ("a", 1)]);
    /// assert!(map.iter().eq([(b"a".to_vec(), 1), (b"b".to_vec(), 2)]));
    /// ```
    pub fn iter(&self) -> Iter<'_, V> {
        Iter::new(AllEnds::new(&self.tree))
    }

    /// Returns an iterator over all keys, in ascending order.
    ///
    /// ```
    /// let map = memkv::FastArt::from([("b", 2u64), ("a", 1)]);
    /// assert!(map.keys().eq([b"a", b"b"]));
    /// ```
    pub fn keys(&self) -> Keys<'_, V> {
        Keys { iter: self.iter() }
    }

    /// Returns an iterator over all values, in the order of their keys.
    ///
    /// ```
    /// let map = memkv::FastArt::from([("b", 2u64), ("a", 1)]);
    /// assert!(map.values().eq([1, 2]));
    /// ```
    pub fn values(&self) -> Values<'_, V> {
        Values { iter: self.iter() }
    }

    /// Returns an iterator over the keys in a range of byte strings and their values, in ascending
    /// order.
    ///
    /// A range that ends before it begins is empty. Each end of the range takes one search, and
    /// each step copies a key.
    ///
    /// ```
    /// let map = memkv::FastArt::from([("a", 1u64), ("b", 2), ("c", 3)]);
    /// assert!(map.range("b"..).map(|(_, v)| v).eq([2, 3]));
    /// assert!(map.range("a"..="b").rev().map(|(_, v)| v).eq([2, 1]));
    /// ```
    pub fn range<K: AsRef<[u8]> + ?Sized, R: RangeBounds<K>>(&self, range: R) -> Range<'_, V> {
        let (start, end) = key::bounds(&range);
        Range::new(FastEnds::new(&self.tree, start, end))
    }

    /// Returns an iterator over the keys that begin with `prefix`, and their values.
    ///
    /// ```
    /// let map = memkv::FastArt::from([("a", 1u64), ("ab", 2), ("b", 3)]);
    /// assert_eq!(map.prefix("a").count(), 2);
    /// ```
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Range<'_, V> {
        self.range(Prefixed::by(&prefix))
    }

    /// Returns the number of keys that begin with `prefix`.
    ///
    /// # Complexity
    /// O(leaves with such keys): whole leaves are counted without reading their keys.
    ///
    /// ```
    /// let map = memkv::FastArt::from([("a", 1u64), ("ab", 2), ("b", 3)]);
    /// assert_eq!(map.count_prefix("a"), 2);
    /// ```
    pub fn count_prefix(&self, prefix: impl AsRef<[u8]>) -> usize {
        self.prefix(prefix).count()
    }

    /// Removes the keys in a range, and returns how many there were.
    ///
    /// # Complexity
    /// O(keys removed), with a search and a removal for each of their leaves.
    ///
    /// ```
    /// let mut map = memkv::FastArt::from([("a", 1u64), ("b", 2), ("c", 3)]);
    /// assert_eq!(map.remove_range("b"..), 2);
    /// assert_eq!(map.len(), 1);
    /// ```
    pub fn remove_range<K: AsRef<[u8]> + ?Sized, R: RangeBounds<K>>(&mut self, range: R) -> usize {
        let (start, end) = key::bounds(&range);
        if key::is_empty(start, end) {
            return 0;
        }
        or_fail(self.tree.remove_between(start, end))
    }

    /// Removes the keys that begin with `prefix`, and returns how many there were.
    ///
    /// # Complexity
    /// That of [`remove_range`](Self::remove_range).
    ///
    /// ```
    /// let mut map = memkv::FastArt::from([("a", 1u64), ("ab", 2), ("b", 3)]);
    /// assert_eq!(map.remove_prefix("a"), 2);
    /// ```
    pub fn remove_prefix(&mut self, prefix: impl AsRef<[u8]>) -> usize {
        self.remove_range(Prefixed::by(&prefix))
    }

    /// Splits the map at `key`, and returns a map of the keys from `key` on.
    ///
    /// # Complexity
    /// O(keys split off).
    ///
    /// ```
    /// let mut map = memkv::FastArt::from([("a", 1u64), ("b", 2), ("c", 3)]);
    /// let from_b = map.split_off("b");
    /// assert_eq!((map.len(), from_b.len()), (1, 2));
    /// ```
    pub fn split_off(&mut self, key: impl AsRef<[u8]>) -> Self {
        let tail = Self::of_range(self.range(key.as_ref()..), self.tree.coder().cloned());
        self.remove_range(key.as_ref()..);
        tail
    }

    /// Moves all keys of `other` into this map.
    ///
    /// If both have a key, the value of `other` is kept. Both maps keep their ways to code keys.
    ///
    /// # Complexity
    /// If this map is empty, O(1), or O(keys) if it codes keys in another way than `other`. Else
    /// one insert for each key.
    ///
    /// ```
    /// let mut map = memkv::FastArt::from([("a", 1u64), ("b", 2)]);
    /// let mut other = memkv::FastArt::from([("b", 3u64), ("c", 4)]);
    /// map.append(&mut other);
    /// assert!(map.values().eq([1, 3, 4]));
    /// assert!(other.is_empty());
    /// ```
    pub fn append(&mut self, other: &mut Self) {
        let coding = |map: &Self| map.tree.coder().map_or(KeyCoding::Plain, |coder| coder.coding());
        if !self.is_empty() {
            let mut cursor = other.cursor();
            while let Some((key, value)) = cursor.next() {
                self.insert(key, value);
            }
        } else if coding(self) == coding(other) {
            std::mem::swap(self, other);
        } else {
            *self = Self::of_range(other.iter(), self.tree.coder().cloned());
        }
        other.clear();
    }

    /// Packs the map as tightly as [`from_sorted`](Self::from_sorted) would.
    ///
    /// # Complexity
    /// O(keys). The old and the new map are both in memory while it runs.
    ///
    /// ```
    /// let mut map = memkv::FastArt::new();
    /// for i in 0..10_000u32 {
    ///     map.insert(i.wrapping_mul(0x9E37_79B1).to_be_bytes(), i);
    /// }
    /// let before = map.memory_usage();
    /// map.shrink_to_fit();
    /// assert!(map.memory_usage().leaves < before.leaves);
    /// ```
    pub fn shrink_to_fit(&mut self) {
        *self = Self::of_range(self.iter(), self.tree.coder().cloned());
        // The old nodes, which are free now, stood in the same slabs of the pool.
        self.tree.relocate_rebuilt();
    }

    /// Returns a copy of the map, node for node.
    ///
    /// # Errors
    /// Returns an error when out of memory.
    ///
    /// # Complexity
    /// O(nodes).
    ///
    /// ```
    /// let map = memkv::FastArt::from([("a", 1u64)]);
    /// assert_eq!(map.try_clone().as_ref(), Ok(&map));
    /// ```
    pub fn try_clone(&self) -> Result<Self, InsertError> {
        Ok(Self::of(self.tree.try_clone()?))
    }

    /// Returns the bytes that the map holds, in O(1).
    ///
    /// Its share of the pool's reserve is in proportion to its cells.
    ///
    /// ```
    /// let map: memkv::FastArt = (0..10_000u64).map(|i| (i.to_be_bytes(), i)).collect();
    /// assert!(map.memory_usage().total() < 20 * map.len());
    /// ```
    pub fn memory_usage(&self) -> MemoryUsage {
        MemoryUsage::of(self.tree.usage(), size_of::<Self>() + self.tree.heap_bytes(), 0)
    }

    pub(crate) fn into_tree(self) -> RawTree<V::Bits> {
        self.tree
    }

    /// Checks the invariants of the map's structure. For tests.
    ///
    /// # Errors
    /// Returns a description of the first violation.
    #[doc(hidden)]
    pub fn check(&self) -> Result<(), String> {
        self.tree.check()
    }
}
