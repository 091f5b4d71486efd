//! `FastArt`: the tree behind `&mut self`, with the names and habits of `BTreeMap`.

#![forbid(unsafe_code)]

mod entry;
mod iter;
mod retain;
#[cfg(feature = "serde")]
pub(crate) mod serde;
mod set;
mod traits;

pub use entry::{Entry, OccupiedEntry, VacantEntry, ValueMut};
pub use iter::{Cursor, IntoIter, IntoKeys, IntoValues, Iter, Keys, Range, Values};
pub(crate) use retain::Retain;
pub use set::FastSet;

use crate::error::{BuildError, InsertError, fail};
use crate::key;
use crate::pool;
use crate::tree::{Builder, MAX_KEY_LEN, RawCursor, RawTree, Usage, common_prefix};
use crate::value::Value;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};

/// An ordered map from byte strings to small values, with one writer at a time: a shallow tree whose nodes hold runs of neighbouring keys,
/// front-coded.
///
/// It takes the place of a `BTreeMap<Box<[u8]>, V>` where that takes too much memory or time. Keys are any byte strings up to
/// [`MAX_KEY_LEN`](crate::MAX_KEY_LEN) bytes (empty, with NUL bytes, one the prefix of another), in byte order; values are any
/// [`Value`], stored in their own size. A map of 2 million URLs of 51 bytes with 8-byte values takes 32 bytes a key in all, less
/// than the keys alone: they are not stored whole, so keys come back as copies or, from a [`Cursor`], as slices of its buffer.
///
/// A point operation searches one node a level, and there are O(log keys) levels of up to 65 children. A search compares each byte
/// of the key at most once and steps over the node's keys many at a time. A shared map (`&FastArt`) may be read by any number of
/// threads.
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
/// # Memory
/// Nodes live in a pool shared by all maps of the process ([`pool`](crate::pool)); a map without keys takes only
/// `size_of::<FastArt>()` bytes, and removing keys gives their memory back.
///
/// # Panics and aborts
/// Methods that store a key take the part of the standard collections where it cannot be stored: they panic on a key over the limit, and
/// call [`handle_alloc_error`](std::alloc::handle_alloc_error) without memory. So do, without memory, those that make new nodes for what
/// stays or is copied: [`remove`](Self::remove), [`pop_first`](Self::pop_first), [`pop_last`](Self::pop_last), [`retain`](Self::retain),
/// [`remove_range`](Self::remove_range), [`remove_prefix`](Self::remove_prefix), [`split_off`](Self::split_off),
/// [`shrink_to_fit`](Self::shrink_to_fit) and `clone`. [`try_insert`](Self::try_insert), [`try_remove`](Self::try_remove) and
/// [`try_clone`](Self::try_clone) report both instead.
///
/// # Source
/// Bayer, Unterauer: "Prefix B-trees", 1977; for runs of keys as leaves Heinz, Zobel, Williams: "Burst tries", 2002, and Askitis, Zobel:
/// "B-tries for disk-based string management", 2009. The [crate's page](crate#literature) has more.
pub struct FastArt<V: Value = u64> {
    tree: RawTree<V::Bits>,
    values: PhantomData<V>,
}

/// What a map holds, in bytes. See [`FastArt::memory_usage`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryUsage {
    /// Bytes that leaves fill: keys and values.
    pub leaves: usize,
    /// Bytes that inner nodes fill.
    pub inner: usize,
    /// Bytes that nothing fills: in the cells of nodes, and this map's share of what the pool holds in reserve.
    pub slack: usize,
    /// The map itself and its buffers.
    pub own: usize,
    /// Bytes that shared maps gave back and that some thread may still read, of all maps together. Only a
    /// [`ConcurrentArt`](crate::ConcurrentArt) says them.
    pub retired: usize,
}

impl MemoryUsage {
    pub(crate) fn of(usage: Usage, own: usize, retired: usize) -> Self {
        let cells = usage.leaves + usage.inner;
        let pool = pool::usage();
        let idle = pool.reserved.saturating_sub(pool.used) as u128;
        let share = (idle * cells as u128 / pool.used.max(cells).max(1) as u128) as usize;
        MemoryUsage {
            leaves: usage.leaves.saturating_sub(usage.slack_leaves),
            inner: usage.inner.saturating_sub(usage.slack_inner),
            slack: usage.slack_leaves + usage.slack_inner + share,
            own,
            retired,
        }
    }

    /// All of it.
    pub fn total(&self) -> usize {
        self.leaves + self.inner + self.slack + self.own + self.retired
    }
}

impl<V: Value> FastArt<V> {
    /// An empty map. Takes no memory besides itself.
    ///
    /// ```
    /// let map = memkv::FastArt::<u32>::new();
    /// assert!(map.is_empty());
    /// ```
    pub fn new() -> Self {
        Self::of(RawTree::new())
    }

    pub(crate) fn of(tree: RawTree<V::Bits>) -> Self {
        FastArt { tree, values: PhantomData }
    }

    /// Number of keys. O(1).
    ///
    /// ```
    /// let map = memkv::FastArt::from([("a", 1u64), ("b", 2)]);
    /// assert_eq!(map.len(), 2);
    /// ```
    pub fn len(&self) -> usize {
        self.tree.len()
    }

    /// Whether there is no key. O(1).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes every key and gives the memory back. O(nodes).
    ///
    /// ```
    /// let mut map = memkv::FastArt::from([("a", 1u64)]);
    /// map.clear();
    /// assert_eq!(map.get("a"), None);
    /// ```
    pub fn clear(&mut self) {
        self.tree.clear();
    }

    /// Stores `value` under `key` and gives the value it replaces.
    ///
    /// # Panics
    /// If the key has more than [`MAX_KEY_LEN`](crate::MAX_KEY_LEN) bytes. [`try_insert`](Self::try_insert) reports that.
    ///
    /// ```
    /// let mut map = memkv::FastArt::new();
    /// assert_eq!(map.insert("a", 1), None);
    /// assert_eq!(map.insert("a", 2), Some(1));
    /// ```
    #[inline]
    pub fn insert(&mut self, key: impl AsRef<[u8]>, value: V) -> Option<V> {
        match self.try_insert(key, value) {
            Ok(old) => old,
            Err(error) => fail(error),
        }
    }

    /// [`insert`](Self::insert) that reports failure.
    ///
    /// # Errors
    /// The key is over the limit, or there is no memory. The map is then as it was before.
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

    /// The value of `key`.
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

    /// The values of many keys, in their order. The lookups of a batch go on together so that their cache misses overlap, which makes this
    /// faster than [`get`](Self::get) one by one from a few keys on, where the map is larger than the caches.
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

    /// Whether `key` is there.
    ///
    /// ```
    /// let map = memkv::FastArt::from([("a", 1u64)]);
    /// assert!(map.contains_key("a") && !map.contains_key(""));
    /// ```
    #[inline]
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> bool {
        self.tree.find(key.as_ref()).is_some()
    }

    /// The value of `key`, to change in place. The change takes effect when the guard is dropped; one that is forgotten changes nothing.
    ///
    /// ```
    /// let mut map = memkv::FastArt::from([("a", 1u64)]);
    /// *map.get_mut("a").unwrap() += 1;
    /// assert_eq!(map.get("a"), Some(2));
    /// ```
    pub fn get_mut(&mut self, key: impl AsRef<[u8]>) -> Option<ValueMut<'_, V>> {
        let place = self.tree.find(key.as_ref())?;
        Some(ValueMut::new(&mut self.tree, place))
    }

    /// The place of `key`, occupied or vacant.
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

    /// Removes `key` and gives its value.
    ///
    /// Aborts by [`handle_alloc_error`](std::alloc::handle_alloc_error) where there is no memory for the shortened leaf;
    /// [`try_remove`](Self::try_remove) reports that.
    ///
    /// ```
    /// let mut map = memkv::FastArt::from([("a", 1u64)]);
    /// assert_eq!(map.remove("a"), Some(1));
    /// assert_eq!(map.remove("a"), None);
    /// ```
    #[inline]
    pub fn remove(&mut self, key: impl AsRef<[u8]>) -> Option<V> {
        match self.try_remove(key) {
            Ok(old) => old,
            Err(error) => fail(error),
        }
    }

    /// [`remove`](Self::remove) that reports failure: a shortened leaf is a new one, which takes memory for a moment.
    ///
    /// # Errors
    /// There is no memory. The map is then as it was before.
    ///
    /// ```
    /// let mut map = memkv::FastArt::from([("a", 1u64)]);
    /// assert_eq!(map.try_remove("a"), Ok(Some(1)));
    /// ```
    #[inline]
    pub fn try_remove(&mut self, key: impl AsRef<[u8]>) -> Result<Option<V>, InsertError> {
        Ok(self.tree.remove(key.as_ref())?.map(V::from_bits))
    }

    /// The least key and its value.
    ///
    /// ```
    /// let map = memkv::FastArt::from([("b", 2u64), ("a", 1)]);
    /// assert_eq!(map.first_key_value(), Some((b"a".to_vec(), 1)));
    /// assert_eq!(map.last_key_value(), Some((b"b".to_vec(), 2)));
    /// ```
    pub fn first_key_value(&self) -> Option<(Vec<u8>, V)> {
        self.iter().next()
    }

    /// The greatest key and its value. As [`first_key_value`](Self::first_key_value), from the other end.
    pub fn last_key_value(&self) -> Option<(Vec<u8>, V)> {
        self.iter().next_back()
    }

    /// Removes the least key and gives it with its value.
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

    /// Removes the greatest key and gives it with its value. As [`pop_first`](Self::pop_first), from the other end.
    pub fn pop_last(&mut self) -> Option<(Vec<u8>, V)> {
        let (key, value) = self.last_key_value()?;
        self.remove(&key);
        Some((key, value))
    }

    /// The longest stored key that `key` begins with, as a part of `key`, and its value. A search, and another for each key that is passed
    /// on the way back to it, at most one for each byte of `key`.
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

    /// A cursor before the first key. It lends keys out of its own buffer, so a scan allocates nothing for each.
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
        let mut cursor = RawCursor::new(&self.tree);
        cursor.seek_first();
        Cursor::new(cursor)
    }

    /// All keys and values, ascending; from the back, descending. One search to begin; each step copies a key.
    ///
    /// ```
    /// let map = memkv::FastArt::from([("b", 2u64), ("a", 1)]);
    /// assert!(map.iter().eq([(b"a".to_vec(), 1), (b"b".to_vec(), 2)]));
    /// ```
    pub fn iter(&self) -> Iter<'_, V> {
        Iter::new(self.range::<&[u8], _>(..), self.len())
    }

    /// All keys, ascending; from the back, descending.
    ///
    /// ```
    /// let map = memkv::FastArt::from([("b", 2u64), ("a", 1)]);
    /// assert!(map.keys().eq([b"a", b"b"]));
    /// ```
    pub fn keys(&self) -> Keys<'_, V> {
        Keys::new(self.iter())
    }

    /// All values, in the order of their keys.
    ///
    /// ```
    /// let map = memkv::FastArt::from([("b", 2u64), ("a", 1)]);
    /// assert!(map.values().eq([1, 2]));
    /// ```
    pub fn values(&self) -> Values<'_, V> {
        Values::new(self.iter())
    }

    /// The keys inside a range of byte strings, with their values; ascending, from the back descending. A range that ends before it begins
    /// is empty. A search to begin, and one for the end; each step copies a key.
    ///
    /// ```
    /// let map = memkv::FastArt::from([("a", 1u64), ("b", 2), ("c", 3)]);
    /// assert!(map.range("b"..).map(|(_, v)| v).eq([2, 3]));
    /// assert!(map.range("a"..="b").rev().map(|(_, v)| v).eq([2, 1]));
    /// ```
    pub fn range<K: AsRef<[u8]> + ?Sized, R: RangeBounds<K>>(&self, range: R) -> Range<'_, V> {
        let (start, end) = key::bounds(&range);
        Range::new(&self.tree, start, end)
    }

    /// The keys that begin with `prefix`, with their values. Costs what [`range`](Self::range) does.
    ///
    /// ```
    /// let map = memkv::FastArt::from([("a", 1u64), ("ab", 2), ("b", 3)]);
    /// assert_eq!(map.prefix("a").count(), 2);
    /// ```
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Range<'_, V> {
        let end = key::prefix_end(prefix.as_ref());
        Range::new(&self.tree, Bound::Included(prefix.as_ref()), end.as_ref().map(Vec::as_slice))
    }

    /// How many keys begin with `prefix`. O(leaves with such keys): counts leaf by leaf, without reading the keys.
    ///
    /// ```
    /// let map = memkv::FastArt::from([("a", 1u64), ("ab", 2), ("b", 3)]);
    /// assert_eq!(map.count_prefix("a"), 2);
    /// ```
    pub fn count_prefix(&self, prefix: impl AsRef<[u8]>) -> usize {
        let (mut from, mut to) = (RawCursor::new(&self.tree), RawCursor::new(&self.tree));
        from.seek(prefix.as_ref(), false);
        if let Bound::Excluded(end) = key::prefix_end(prefix.as_ref()) {
            to.seek(&end, false);
        }
        from.count_to(&mut to)
    }

    /// Keeps the keys for which `keep` says so, asked in ascending order. It may change the values. If it panics, the map is whole,
    /// with some of the keys removed. O(keys), and a removal for each that goes.
    ///
    /// ```
    /// let mut map = memkv::FastArt::from([("a", 1u64), ("b", 2)]);
    /// map.retain(|_, value| *value > 1);
    /// assert_eq!(map.len(), 1);
    /// ```
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &mut V) -> bool) {
        let mut walk = Retain::new();
        while walk.note(self, &mut keep) {
            walk.noted().for_each(|key| _ = self.remove(key));
        }
    }

    /// Removes the keys inside a range, and says how many there were. O(keys removed), with a search and a removal for each of their
    /// leaves.
    ///
    /// ```
    /// let mut map = memkv::FastArt::from([("a", 1u64), ("b", 2), ("c", 3)]);
    /// assert_eq!(map.remove_range("b"..), 2);
    /// assert_eq!(map.len(), 1);
    /// ```
    pub fn remove_range<K: AsRef<[u8]> + ?Sized, R: RangeBounds<K>>(&mut self, range: R) -> usize {
        let (start, end) = key::bounds(&range);
        self.remove_between(start, end)
    }

    /// Removes the keys that begin with `prefix`, and says how many there were. As [`remove_range`](Self::remove_range).
    ///
    /// ```
    /// let mut map = memkv::FastArt::from([("a", 1u64), ("ab", 2), ("b", 3)]);
    /// assert_eq!(map.remove_prefix("a"), 2);
    /// ```
    pub fn remove_prefix(&mut self, prefix: impl AsRef<[u8]>) -> usize {
        let end = key::prefix_end(prefix.as_ref());
        self.remove_between(Bound::Included(prefix.as_ref()), end.as_ref().map(Vec::as_slice))
    }

    fn remove_between(&mut self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> usize {
        if key::is_empty(start, end) {
            return 0;
        }
        match self.tree.remove_between(start, end) {
            Ok(removed) => removed,
            Err(error) => fail(error),
        }
    }

    /// Splits off the keys from `key` on as a map of their own. O(keys split off).
    ///
    /// ```
    /// let mut map = memkv::FastArt::from([("a", 1u64), ("b", 2), ("c", 3)]);
    /// let behind = map.split_off("b");
    /// assert_eq!((map.len(), behind.len()), (1, 2));
    /// ```
    pub fn split_off(&mut self, key: impl AsRef<[u8]>) -> Self {
        let mut cursor = RawCursor::new(&self.tree);
        cursor.seek(key.as_ref(), false);
        let behind = Self::rebuild(cursor);
        self.remove_between(Bound::Included(key.as_ref()), Bound::Unbounded);
        behind
    }

    /// Moves all keys of `other` here; where both have one, the value of `other` stays. O(1) if this map is empty, else an insert
    /// for each key.
    ///
    /// ```
    /// let mut map = memkv::FastArt::from([("a", 1u64), ("b", 2)]);
    /// let mut other = memkv::FastArt::from([("b", 3u64), ("c", 4)]);
    /// map.append(&mut other);
    /// assert!(map.values().eq([1, 3, 4]));
    /// assert!(other.is_empty());
    /// ```
    pub fn append(&mut self, other: &mut Self) {
        if self.is_empty() {
            std::mem::swap(self, other);
        } else {
            let mut cursor = other.cursor();
            while let Some((key, value)) = cursor.next() {
                self.insert(key, value);
            }
        }
        other.clear();
    }

    /// A map of keys that ascend strictly, built bottom-up with full leaves: smaller than one filled by [`insert`](Self::insert),
    /// and several times faster.
    ///
    /// # Errors
    /// Names the first key that is not greater than the one before it, is over the limit, or finds no memory.
    ///
    /// ```
    /// let map = memkv::FastArt::from_sorted([("a", 1u64), ("b", 2)])?;
    /// assert_eq!(map.get("b"), Some(2));
    /// # Ok::<(), memkv::BuildError>(())
    /// ```
    pub fn from_sorted<K: AsRef<[u8]>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, BuildError> {
        let mut sorted = Sorted::new();
        pairs.into_iter().try_for_each(|(key, value)| sorted.push(key.as_ref(), value))?;
        sorted.finish()
    }

    /// A map of the keys from a cursor's position on.
    fn rebuild(mut cursor: RawCursor<'_, V::Bits>) -> Self {
        let mut build = || {
            let mut builder = Builder::new();
            while let Some((key, bits)) = cursor.next() {
                let shared = common_prefix(builder.last(), key);
                let ascends = builder.push(key, shared, bits)?;
                debug_assert!(ascends, "a map's keys ascend");
            }
            builder.finish()
        };
        match build() {
            Ok(tree) => Self::of(tree),
            Err(failed) => fail(failed.into()),
        }
    }

    /// Packs the map as tightly as [`from_sorted`](Self::from_sorted) would. O(keys), and takes the new map's memory beside the old
    /// one's meanwhile.
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
        *self = Self::rebuild(self.cursor().into_raw());
    }

    /// A copy of the map, node for node. O(nodes).
    ///
    /// # Errors
    /// There is no memory.
    ///
    /// ```
    /// let map = memkv::FastArt::from([("a", 1u64)]);
    /// assert_eq!(map.try_clone().as_ref(), Ok(&map));
    /// ```
    pub fn try_clone(&self) -> Result<Self, InsertError> {
        Ok(Self::of(self.tree.try_clone()?))
    }

    /// What the map holds, in bytes. Its share of the pool's reserve is in proportion to its cells. O(1).
    ///
    /// ```
    /// let map: memkv::FastArt = (0..10_000u64).map(|i| (i.to_be_bytes(), i)).collect();
    /// assert!(map.memory_usage().total() < 20 * map.len());
    /// ```
    pub fn memory_usage(&self) -> MemoryUsage {
        MemoryUsage::of(self.tree.usage(), size_of::<Self>() + self.tree.heap_bytes(), 0)
    }

    /// Keys that divide the map into so many ranges of about equal length, or fewer.
    #[cfg(feature = "storage")]
    pub(crate) fn bounds(&self, ranges: usize) -> Vec<Vec<u8>> {
        self.tree.bounds(ranges)
    }

    pub(crate) fn into_tree(self) -> RawTree<V::Bits> {
        self.tree
    }

    /// Says what is wrong with the map's structure, if anything is. For tests.
    #[doc(hidden)]
    pub fn check(&self) -> Result<(), String> {
        self.tree.check()
    }
}

/// Builds a map of keys that have to ascend.
pub(crate) struct Sorted<V: Value> {
    builder: Builder<V::Bits>,
}

impl<V: Value> Sorted<V> {
    pub(crate) fn new() -> Self {
        Sorted { builder: Builder::new() }
    }

    #[inline]
    pub(crate) fn push(&mut self, key: &[u8], value: V) -> Result<(), BuildError> {
        self.push_behind(key, common_prefix(self.builder.last(), key), value)
    }

    /// [`push`](Self::push) of a key that is known to share `shared` bytes with the last one.
    #[inline]
    pub(crate) fn push_behind(
        &mut self,
        key: &[u8],
        shared: usize,
        value: V,
    ) -> Result<(), BuildError> {
        if key.len() > MAX_KEY_LEN {
            return Err(InsertError::KeyTooLong { len: key.len() }.into());
        }
        if !self.builder.push(key, shared, value.into_bits()).map_err(InsertError::from)? {
            return Err(BuildError::NotAscending {
                position: self.builder.len(),
                key: key.to_vec(),
            });
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<FastArt<V>, BuildError> {
        Ok(FastArt::of(self.builder.finish().map_err(InsertError::from)?))
    }
}
