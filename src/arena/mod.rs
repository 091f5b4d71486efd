//! `ArenaArt`: values of any type in the order of byte strings. Its iterators, cursors and entries are here; the map is
//! [`ArenaArt`].
//!
//! ```text
//!   FastArt<u32>                         arena
//!   key ──▶ slot ──────────────────────▶ value, a whole `T`
//! ```
//!
//! The index gives a key four bytes, the number of a slot. The arena keeps the values in segments of 64 slots, without holes, and costs
//! two thirds of a byte a slot.

#![forbid(unsafe_code)]

mod entry;
mod iter;
#[cfg(feature = "serde")]
mod serde;
pub mod shared;
mod traits;
mod values;

pub use entry::{Entry, OccupiedEntry, VacantEntry};
use iter::Ahead;
pub use iter::{Cursor, CursorMut, IntoIter, Iter, IterMut, Range, Values};

use crate::error::fail;
use crate::error::{BuildError, InsertError};
use crate::fast::{self, FastArt, Retain};
use crate::key;
use std::iter::FusedIterator;
use std::ops::{Bound, RangeBounds};
use values::Arena;

/// An ordered map from byte strings to values of any type, with one writer at a time: a [`FastArt`] of slots in an arena.
///
/// Like a [`FastArt`], but the values may be large, own memory, or not be [`Copy`], and are lent: [`get`](Self::get) gives `&T`. It takes
/// the place of a `BTreeMap<Box<[u8]>, T>`.
///
/// ```
/// use memkv::ArenaArt;
///
/// let mut art = ArenaArt::new();
/// art.insert(b"key1", 1);
/// assert_eq!(art.get(b"key1"), Some(&1));
///
/// let mut pages: ArenaArt<Vec<String>> = ArenaArt::new();
/// pages.entry("https://example.org/").or_default().push("a link".to_string());
/// assert_eq!(pages["https://example.org/"].len(), 1);
/// ```
///
/// # Memory
/// What a `FastArt<()>` of the same keys takes, `size_of::<T>()`, four bytes for the slot and two thirds of one for the arena, a key; and
/// what the values own elsewhere. Values come and go in segments of 64, so removing keys gives the room of their values back, but keeps 40 bytes
/// for each segment there was until the last key goes, or [`shrink_to_fit`](Self::shrink_to_fit) is called.
///
/// # Costs
/// A lookup is that of the index, and one or two cache misses more for the value. Storing a value into a segment with gaps, and removing one, moves
/// up to 63 neighbours: a `T` of hundreds of bytes is better off in a [`Box`]. Keys come out in order; their values lie in memory in the order
/// in which they were stored, or after [`shrink_to_fit`](Self::shrink_to_fit) in that of the keys, which makes scans several times faster.
///
/// # Limits
/// 2³² values. What stores more reports [`InsertError::TooManyKeys`], or panics where it reports nothing.
///
/// # Panics and aborts
/// As [`FastArt`]. The map drops each value just once, also where a value's `drop` or a closure panics, and is whole then.
///
/// ```
/// use memkv::ArenaArt;
/// use std::sync::Arc;
///
/// let shared = Arc::new("text");
/// let mut map: ArenaArt<_> = (0..100u8).map(|i| ([i], shared.clone())).collect();
/// map.remove_range(..[50]);
/// assert_eq!(Arc::strong_count(&shared), 51);
/// ```
pub struct ArenaArt<T> {
    /// Each slot that is taken has one key.
    index: FastArt<u32>,
    values: Arena<T>,
}

/// What a map holds, in bytes. See [`ArenaArt::memory_usage`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryUsage {
    /// What the keys take, with four bytes for each slot.
    pub index: fast::MemoryUsage,
    /// Bytes that values fill, without what they own elsewhere.
    pub values: usize,
    /// Bytes of the arena that no value fills: room for more, and what the segments take themselves.
    pub slack: usize,
    /// The map itself, without its index.
    pub own: usize,
}

impl MemoryUsage {
    /// All of it.
    pub fn total(&self) -> usize {
        self.index.total() + self.values + self.slack + self.own
    }
}

impl<T> ArenaArt<T> {
    /// An empty map. Takes no memory besides itself.
    ///
    /// ```
    /// let map = memkv::ArenaArt::<String>::new();
    /// assert!(map.is_empty());
    /// ```
    pub fn new() -> Self {
        ArenaArt { index: FastArt::new(), values: Arena::new() }
    }

    /// Number of keys. O(1).
    ///
    /// ```
    /// let map = memkv::ArenaArt::from([("a", "x"), ("b", "y")]);
    /// assert_eq!(map.len(), 2);
    /// ```
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no key. O(1).
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Removes every key, drops the values and gives the memory back. The map is empty also when a value panics as it is dropped.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("a", "x")]);
    /// map.clear();
    /// assert_eq!(map.get("a"), None);
    /// ```
    pub fn clear(&mut self) {
        drop(std::mem::take(self));
    }

    /// Stores `value` under `key` and gives the value it replaces.
    ///
    /// # Panics
    /// If the key has more than [`MAX_KEY_LEN`](crate::MAX_KEY_LEN) bytes, or the map has all the values it can have.
    /// [`try_insert`](Self::try_insert) reports that.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::new();
    /// assert_eq!(map.insert("a", "x"), None);
    /// assert_eq!(map.insert("a", "y"), Some("x"));
    /// ```
    #[inline]
    pub fn insert(&mut self, key: impl AsRef<[u8]>, value: T) -> Option<T> {
        match self.try_insert(key, value) {
            Ok(old) => old,
            Err(error) => fail(error),
        }
    }

    /// [`insert`](Self::insert) that reports failure.
    ///
    /// # Errors
    /// The key is over the limit, there is no memory, or the map has all the values it can have. The map is then as it was before; `value` is
    /// dropped. Replacing a value never fails.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::new();
    /// assert_eq!(map.try_insert("a", "x"), Ok(None));
    /// ```
    #[inline]
    pub fn try_insert(
        &mut self,
        key: impl AsRef<[u8]>,
        value: T,
    ) -> Result<Option<T>, InsertError> {
        self.store(key.as_ref(), value).map(|(_, old)| old)
    }

    /// Stores `value`, and gives its slot and the value it replaces.
    #[inline]
    fn store(&mut self, key: &[u8], value: T) -> Result<(u32, Option<T>), InsertError> {
        let slot = match self.values.reserve() {
            Ok(slot) => slot,
            Err(error) => {
                // A value to replace has room already.
                let slot = self.index.get(key).ok_or(error)?;
                return Ok((slot, Some(std::mem::replace(self.values.get_mut(slot), value))));
            }
        };
        let old = self.index.try_insert(key, slot)?;
        self.values.fill(slot, value);
        Ok((slot, old.map(|old| self.values.remove(old))))
    }

    /// The value of `key`.
    ///
    /// ```
    /// let map = memkv::ArenaArt::from([("a", "x")]);
    /// assert_eq!(map.get("a"), Some(&"x"));
    /// assert_eq!(map.get("b"), None);
    /// ```
    #[inline]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<&T> {
        self.index.get(key).map(|slot| self.values.get(slot))
    }

    /// The values of many keys, in their order. As [`FastArt::get_many`], the lookups go on together.
    ///
    /// ```
    /// let map = memkv::ArenaArt::from([("a", "x"), ("b", "y")]);
    /// assert_eq!(map.get_many(&["b", "c", "a"]), [Some(&"y"), None, Some(&"x")]);
    /// ```
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Option<&T>> {
        self.index
            .get_many(keys)
            .into_iter()
            .map(|slot| slot.map(|slot| self.values.get(slot)))
            .collect()
    }

    /// Whether `key` is there.
    ///
    /// ```
    /// let map = memkv::ArenaArt::from([("a", "x")]);
    /// assert!(map.contains_key("a") && !map.contains_key(""));
    /// ```
    #[inline]
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> bool {
        self.index.contains_key(key)
    }

    /// The value of `key`, to change.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("a", vec![1])]);
    /// map.get_mut("a").unwrap().push(2);
    /// assert_eq!(map["a"], [1, 2]);
    /// ```
    #[inline]
    pub fn get_mut(&mut self, key: impl AsRef<[u8]>) -> Option<&mut T> {
        self.index.get(key).map(|slot| self.values.get_mut(slot))
    }

    /// The place of `key`, occupied or vacant.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::<String>::new();
    /// for word in ["a", "b", "a"] {
    ///     map.entry(word).or_default().push_str(word);
    /// }
    /// assert_eq!(map["a"], "aa");
    /// ```
    pub fn entry<K: AsRef<[u8]>>(&mut self, key: K) -> Entry<'_, K, T> {
        Entry::new(self, key)
    }

    /// Removes `key` and gives its value.
    ///
    /// Aborts by [`handle_alloc_error`](std::alloc::handle_alloc_error) where there is no memory for the shortened leaf;
    /// [`try_remove`](Self::try_remove) reports that.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("a", "x")]);
    /// assert_eq!(map.remove("a"), Some("x"));
    /// assert_eq!(map.remove("a"), None);
    /// ```
    #[inline]
    pub fn remove(&mut self, key: impl AsRef<[u8]>) -> Option<T> {
        self.index.remove(key).map(|slot| self.values.remove(slot))
    }

    /// [`remove`](Self::remove) that reports failure: a shortened leaf is a new one, which takes memory for a moment.
    ///
    /// # Errors
    /// There is no memory. The map is then as it was before.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("a", "x")]);
    /// assert_eq!(map.try_remove("a"), Ok(Some("x")));
    /// ```
    #[inline]
    pub fn try_remove(&mut self, key: impl AsRef<[u8]>) -> Result<Option<T>, InsertError> {
        Ok(self.index.try_remove(key)?.map(|slot| self.values.remove(slot)))
    }

    /// The least key and its value.
    ///
    /// ```
    /// let map = memkv::ArenaArt::from([("b", "y"), ("a", "x")]);
    /// assert_eq!(map.first_key_value(), Some((b"a".to_vec(), &"x")));
    /// assert_eq!(map.last_key_value(), Some((b"b".to_vec(), &"y")));
    /// ```
    pub fn first_key_value(&self) -> Option<(Vec<u8>, &T)> {
        self.iter().next()
    }

    /// The greatest key and its value. As [`first_key_value`](Self::first_key_value), from the other end.
    pub fn last_key_value(&self) -> Option<(Vec<u8>, &T)> {
        self.iter().next_back()
    }

    /// Removes the least key and gives it with its value.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("a", "x"), ("b", "y")]);
    /// assert_eq!(map.pop_first(), Some((b"a".to_vec(), "x")));
    /// assert_eq!(map.pop_last(), Some((b"b".to_vec(), "y")));
    /// assert_eq!(map.pop_first(), None);
    /// ```
    pub fn pop_first(&mut self) -> Option<(Vec<u8>, T)> {
        self.index.pop_first().map(|(key, slot)| (key, self.values.remove(slot)))
    }

    /// Removes the greatest key and gives it with its value. As [`pop_first`](Self::pop_first), from the other end.
    pub fn pop_last(&mut self) -> Option<(Vec<u8>, T)> {
        self.index.pop_last().map(|(key, slot)| (key, self.values.remove(slot)))
    }

    /// The longest stored key that `key` begins with, as a part of `key`, and its value. Costs what [`FastArt::get_longest_prefix`] does.
    ///
    /// ```
    /// let routes = memkv::ArenaArt::from([("/", "root"), ("/api/", "api")]);
    /// assert_eq!(routes.get_longest_prefix("/api/v1/users"), Some((&b"/api/"[..], &"api")));
    /// assert_eq!(routes.get_longest_prefix("about"), None);
    /// ```
    pub fn get_longest_prefix<'k, K: AsRef<[u8]> + ?Sized>(
        &self,
        key: &'k K,
    ) -> Option<(&'k [u8], &T)> {
        self.index.get_longest_prefix(key).map(|(key, slot)| (key, self.values.get(slot)))
    }

    /// A cursor before the first key. It lends keys out of its own buffer, so a scan allocates nothing for each.
    ///
    /// ```
    /// let map = memkv::ArenaArt::from([("a", "x"), ("b", "y")]);
    /// let mut cursor = map.cursor();
    /// cursor.seek("b");
    /// assert_eq!(cursor.next(), Some((&b"b"[..], &"y")));
    /// assert_eq!(cursor.next(), None);
    /// ```
    pub fn cursor(&self) -> Cursor<'_, T> {
        Cursor { slots: self.index.cursor(), values: &self.values, ahead: Ahead::START }
    }

    /// A cursor before the first key that lends values to change.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("a", "x"), ("b", "y")]);
    /// let mut cursor = map.cursor_mut();
    /// cursor.seek("b");
    /// *cursor.next().unwrap().1 = "z";
    /// assert_eq!(map["b"], "z");
    /// ```
    pub fn cursor_mut(&mut self) -> CursorMut<'_, T> {
        CursorMut { slots: self.index.cursor(), values: &mut self.values, ahead: Ahead::START }
    }

    /// All keys and values, ascending; from the back, descending.
    ///
    /// ```
    /// let map = memkv::ArenaArt::from([("b", "y"), ("a", "x")]);
    /// assert!(map.iter().eq([(b"a".to_vec(), &"x"), (b"b".to_vec(), &"y")]));
    /// ```
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { slots: self.index.iter(), values: &self.values, ahead: Ahead::START }
    }

    /// All keys and values, ascending, the values to change. As [`range_mut`](Self::range_mut), it collects a borrow of each value.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("b", 2), ("a", 1)]);
    /// map.iter_mut().for_each(|(_, value)| *value *= 10);
    /// assert!(map.values().eq(&[10, 20]));
    /// ```
    pub fn iter_mut(&mut self) -> IterMut<'_, T> {
        self.range_mut::<[u8], _>(..)
    }

    /// All keys, ascending; from the back, descending.
    ///
    /// ```
    /// let map = memkv::ArenaArt::from([("b", "y"), ("a", "x")]);
    /// assert!(map.keys().eq([b"a", b"b"]));
    /// ```
    pub fn keys(
        &self,
    ) -> impl DoubleEndedIterator<Item = Vec<u8>> + ExactSizeIterator + FusedIterator + Clone + use<'_, T>
    {
        self.index.keys()
    }

    /// All values, in the order of their keys.
    ///
    /// ```
    /// let map = memkv::ArenaArt::from([("b", "y"), ("a", "x")]);
    /// assert!(map.values().eq(&["x", "y"]));
    /// ```
    pub fn values(&self) -> Values<'_, T> {
        Values { slots: self.index.values(), values: &self.values, ahead: Ahead::START }
    }

    /// All values, in the order of their keys, to change. As [`range_mut`](Self::range_mut), it collects a borrow of each value.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("b", 2), ("a", 1)]);
    /// map.values_mut().for_each(|value| *value += 1);
    /// assert!(map.values().eq(&[2, 3]));
    /// ```
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut T> + FusedIterator {
        self.values.disjoint_mut(self.index.values()).into_iter().flatten()
    }

    /// The map's keys, ascending. The values are dropped now.
    ///
    /// ```
    /// let map = memkv::ArenaArt::from([("b", "y"), ("a", "x")]);
    /// assert!(map.into_keys().eq([b"a", b"b"]));
    /// ```
    pub fn into_keys(
        self,
    ) -> impl DoubleEndedIterator<Item = Vec<u8>> + ExactSizeIterator + FusedIterator {
        self.index.into_keys()
    }

    /// The map's values, in the order of their keys.
    ///
    /// ```
    /// let map = memkv::ArenaArt::from([("b", "y"), ("a", "x")]);
    /// assert!(map.into_values().eq(["x", "y"]));
    /// ```
    pub fn into_values(
        self,
    ) -> impl DoubleEndedIterator<Item = T> + ExactSizeIterator + FusedIterator {
        let mut values = self.values;
        self.index.into_values().map(move |slot| values.remove(slot))
    }

    /// The keys inside a range of byte strings, with their values; ascending, from the back descending. A range that ends before it begins
    /// is empty.
    ///
    /// ```
    /// let map = memkv::ArenaArt::from([("a", 'x'), ("b", 'y'), ("c", 'z')]);
    /// assert!(map.range("b"..).map(|(_, value)| *value).eq(['y', 'z']));
    /// assert!(map.range("a"..="b").rev().map(|(_, value)| *value).eq(['y', 'x']));
    /// ```
    pub fn range<K: AsRef<[u8]> + ?Sized, R: RangeBounds<K>>(&self, range: R) -> Range<'_, T> {
        Range { slots: self.index.range(range), values: &self.values, ahead: Ahead::START }
    }

    /// [`range`](Self::range) with the values to change.
    ///
    /// It collects a borrow of each value first: for n keys O(n log n), 8 bytes a key while it lives, and 8 more until it is there. A
    /// [`cursor_mut`](Self::cursor_mut) does without.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("a", 1), ("b", 2), ("c", 3)]);
    /// map.range_mut("b"..).rev().for_each(|(_, value)| *value *= 10);
    /// assert!(map.values().eq(&[1, 20, 30]));
    /// ```
    pub fn range_mut<K: AsRef<[u8]> + ?Sized, R: RangeBounds<K>>(
        &mut self,
        range: R,
    ) -> IterMut<'_, T> {
        let (start, end) = key::bounds(&range);
        self.between_mut(start, end)
    }

    fn between_mut(&mut self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> IterMut<'_, T> {
        let slots = self.index.range::<[u8], _>((start, end));
        let values = self.values.disjoint_mut(slots_of(slots.clone()));
        IterMut { slots, values: values.into_iter() }
    }

    /// The keys that begin with `prefix`, with their values.
    ///
    /// ```
    /// let map = memkv::ArenaArt::from([("a", 'x'), ("ab", 'y'), ("b", 'z')]);
    /// assert_eq!(map.prefix("a").count(), 2);
    /// ```
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Range<'_, T> {
        Range { slots: self.index.prefix(prefix), values: &self.values, ahead: Ahead::START }
    }

    /// [`prefix`](Self::prefix) with the values to change, at the cost of [`range_mut`](Self::range_mut).
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("a", 1), ("ab", 2), ("b", 3)]);
    /// map.prefix_mut("a").for_each(|(_, value)| *value = 0);
    /// assert!(map.values().eq(&[0, 0, 3]));
    /// ```
    pub fn prefix_mut(&mut self, prefix: impl AsRef<[u8]>) -> IterMut<'_, T> {
        let end = key::prefix_end(prefix.as_ref());
        self.between_mut(Bound::Included(prefix.as_ref()), end.as_ref().map(Vec::as_slice))
    }

    /// How many keys begin with `prefix`. As [`FastArt::count_prefix`].
    ///
    /// ```
    /// let map = memkv::ArenaArt::from([("a", 'x'), ("ab", 'y'), ("b", 'z')]);
    /// assert_eq!(map.count_prefix("a"), 2);
    /// ```
    pub fn count_prefix(&self, prefix: impl AsRef<[u8]>) -> usize {
        self.index.count_prefix(prefix)
    }

    /// Keeps the keys for which `keep` says so, asked in ascending order. It may change the values. If it or a value's `drop` panics, the map is
    /// whole, with some of the keys removed. O(keys), and a removal for each that goes.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("a", "x".to_string()), ("b", String::new())]);
    /// map.retain(|_, value| !value.is_empty());
    /// assert_eq!(map.len(), 1);
    /// ```
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &mut T) -> bool) {
        let mut walk = Retain::new();
        while walk.note(&mut self.index, |key, slot| keep(key, self.values.get_mut(*slot))) {
            walk.noted().for_each(|key| drop(self.remove(key)));
        }
    }

    /// Removes the keys inside a range, drops their values, and says how many there were. As [`FastArt::remove_range`], and O(values
    /// removed); takes 4 bytes a key meanwhile.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("a", 'x'), ("b", 'y'), ("c", 'z')]);
    /// assert_eq!(map.remove_range("b"..), 2);
    /// assert_eq!(map.len(), 1);
    /// ```
    pub fn remove_range<K: AsRef<[u8]> + ?Sized, R: RangeBounds<K>>(&mut self, range: R) -> usize {
        let (start, end) = key::bounds(&range);
        self.remove_between(start, end)
    }

    /// Removes the keys that begin with `prefix`, drops their values, and says how many there were. As
    /// [`remove_range`](Self::remove_range).
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("a", 'x'), ("ab", 'y'), ("b", 'z')]);
    /// assert_eq!(map.remove_prefix("a"), 2);
    /// ```
    pub fn remove_prefix(&mut self, prefix: impl AsRef<[u8]>) -> usize {
        let end = key::prefix_end(prefix.as_ref());
        self.remove_between(Bound::Included(prefix.as_ref()), end.as_ref().map(Vec::as_slice))
    }

    fn remove_between(&mut self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> usize {
        let slots: Vec<u32> = slots_of(self.index.range::<[u8], _>((start, end))).collect();
        let removed = self.index.remove_range::<[u8], _>((start, end));
        debug_assert_eq!(removed, slots.len());
        Leavers { values: &mut self.values, slots: slots.into_iter() }.leave();
        removed
    }

    /// Splits off the keys from `key` on as a map of their own. O(keys split off).
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("a", 'x'), ("b", 'y'), ("c", 'z')]);
    /// let behind = map.split_off("b");
    /// assert_eq!((map.len(), behind.len()), (1, 2));
    /// ```
    pub fn split_off(&mut self, key: impl AsRef<[u8]>) -> Self {
        let mut index = self.index.split_off(key);
        let values = move_values(&mut index, &mut self.values);
        ArenaArt { index, values }
    }

    /// Moves all keys of `other` here; where both have one, the value of `other` stays. O(1) if this map is empty, else an insert
    /// for each key.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("a", 1), ("b", 2)]);
    /// let mut other = memkv::ArenaArt::from([("b", 3), ("c", 4)]);
    /// map.append(&mut other);
    /// assert!(map.values().eq(&[1, 3, 4]));
    /// assert!(other.is_empty());
    /// ```
    pub fn append(&mut self, other: &mut Self) {
        if self.is_empty() {
            std::mem::swap(self, other);
        } else {
            let ArenaArt { index, mut values } = std::mem::take(other);
            let mut slots = index.into_iter();
            while let Some((key, slot)) = slots.lend() {
                drop(self.insert(key, values.remove(slot)));
            }
        }
    }

    /// A map of keys that ascend strictly, built bottom-up with full leaves: smaller than one filled by [`insert`](Self::insert),
    /// and several times faster. The values lie in the order of their keys.
    ///
    /// # Errors
    /// Names the first key that is not greater than the one before it, is over the limit, or finds no memory or no number for its value.
    ///
    /// ```
    /// let map = memkv::ArenaArt::from_sorted([("a", "x"), ("b", "y")])?;
    /// assert_eq!(map.get("b"), Some(&"y"));
    /// # Ok::<(), memkv::BuildError>(())
    /// ```
    pub fn from_sorted<K: AsRef<[u8]>>(
        pairs: impl IntoIterator<Item = (K, T)>,
    ) -> Result<Self, BuildError> {
        let (mut values, mut failed) = (Arena::new(), None);
        let slots = pairs.into_iter().map_while(|(key, value)| match values.add(value) {
            Ok(slot) => Some((key, slot)),
            Err(error) => {
                failed = Some(error);
                None
            }
        });
        let index = FastArt::from_sorted(slots)?;
        match failed {
            None => Ok(ArenaArt { index, values }),
            Some(error) => Err(error.into()),
        }
    }

    /// Packs the keys as tightly as [`from_sorted`](Self::from_sorted) would, and the values in the order of their keys. O(keys), and takes the new
    /// index's memory beside the old one's meanwhile; the values move segment by segment.
    ///
    /// ```
    /// let mut map: memkv::ArenaArt<u64> = (0..10_000u64).map(|i| (i.to_be_bytes(), i)).collect();
    /// map.retain(|_, i| *i % 100 == 0);
    /// let before = map.memory_usage();
    /// map.shrink_to_fit();
    /// assert!(map.memory_usage().slack < before.slack);
    /// ```
    pub fn shrink_to_fit(&mut self) {
        self.index.shrink_to_fit();
        self.values = move_values(&mut self.index, &mut self.values);
    }

    /// A copy of the map, slot for slot.
    ///
    /// # Errors
    /// There is no memory.
    ///
    /// ```
    /// let map = memkv::ArenaArt::from([("a", "x")]);
    /// assert_eq!(map.try_clone().as_ref(), Ok(&map));
    /// ```
    pub fn try_clone(&self) -> Result<Self, InsertError>
    where
        T: Clone,
    {
        Ok(ArenaArt { index: self.index.try_clone()?, values: self.values.try_clone()? })
    }

    /// What the map holds, in bytes, without what the values own elsewhere. O(keys / 64).
    ///
    /// ```
    /// let map: memkv::ArenaArt<[u64; 3]> = (0..10_000u64).map(|i| (i.to_be_bytes(), [i; 3])).collect();
    /// assert!(map.memory_usage().total() < (20 + 24) * map.len());
    /// ```
    pub fn memory_usage(&self) -> MemoryUsage {
        let (room, segments) = self.values.bytes();
        let values = self.values.len() * size_of::<T>();
        MemoryUsage {
            index: self.index.memory_usage(),
            values,
            slack: room - values + segments,
            own: size_of::<Self>() - size_of::<FastArt<u32>>(),
        }
    }

    /// Says what is wrong with the map's structure, if anything is. For tests.
    #[doc(hidden)]
    pub fn check(&self) -> Result<(), String> {
        self.index.check()?;
        self.values.check(self.index.values())
    }
}

fn slots_of(mut range: fast::Range<'_, u32>) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || range.lend().map(|(_, slot)| slot))
}

/// Moves the values that `index` names from one arena to another, in the order of their keys.
fn move_values<T>(index: &mut FastArt<u32>, from: &mut Arena<T>) -> Arena<T> {
    let mut to = Arena::new();
    index.retain(|_, slot| {
        *slot = to.add(from.remove(*slot)).unwrap_or_else(|error| fail(error));
        true
    });
    to
}

/// Slots that no key names any more. Those that are left when a value panics as it is dropped go with this.
struct Leavers<'a, T> {
    values: &'a mut Arena<T>,
    slots: std::vec::IntoIter<u32>,
}

impl<T> Leavers<'_, T> {
    fn leave(&mut self) {
        for slot in self.slots.by_ref() {
            drop(self.values.remove(slot));
        }
    }
}

impl<T> Drop for Leavers<'_, T> {
    fn drop(&mut self) {
        self.leave();
    }
}
