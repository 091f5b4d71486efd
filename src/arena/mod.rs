//! The iterators, cursors and entries of [`ArenaArt`], a map to values of any type.
//!
//! ```text
//!   FastArt<u32>                         arena
//!   key ──▶ slot ──────────────────────▶ value, a whole `T`
//! ```
//!
//! The index stores four bytes for each key, the number of a slot. The arena stores the values in
//! segments of 64 slots, without holes, and takes two thirds of a byte for each slot.

#![forbid(unsafe_code)]

mod entry;
mod extract;
mod iter;
#[cfg(feature = "parallel")]
mod parallel;
pub mod shared;
mod traits;
mod values;

pub use entry::{Entry, OccupiedEntry, VacantEntry};
pub use iter::{ArenaWalk, Cursor, CursorMut, IntoIter, Iter, IterMut, Range, Values};

use crate::error::{BuildError, InsertError, or_fail};
use crate::face::Ends;
use crate::fast::{self, FastArt, Retain};
use crate::key::{self, Prefixed};
use std::iter::FusedIterator;
use std::ops::RangeBounds;
use values::Arena;

/// An ordered map from byte strings to values of any type, with one writer at a time.
///
/// It is a [`FastArt`] of slots in an arena. Unlike in a `FastArt` the values may be large, own
/// memory, or not be [`Copy`], and are returned by reference: [`get`](Self::get) returns
/// `Option<&T>`. It replaces a `BTreeMap<Box<[u8]>, T>`.
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
/// A key takes what it takes in a `FastArt<()>`, and `size_of::<T>()`, four bytes for the slot, and
/// two thirds of a byte for the arena. What the values own elsewhere is not included.
///
/// Values are allocated in segments of 64, so removing keys frees the memory of their values. Each
/// segment that existed keeps 40 bytes until the last key is removed, or
/// [`shrink_to_fit`](Self::shrink_to_fit) is called.
///
/// # Complexity
/// A lookup is one in the index, and one or two more cache misses for the value. Inserting a value
/// into a segment with gaps, and removing one, moves up to 63 neighbours: put a `T` of hundreds of
/// bytes into a [`Box`].
///
/// Values are in memory in the order in which they were inserted. After
/// [`shrink_to_fit`](Self::shrink_to_fit) they are in the order of their keys, which makes scans
/// several times faster.
///
/// # Panics
/// Panics and aborts as [`FastArt`] does. A map can hold 2³² values; beyond that, methods return
/// [`InsertError::TooManyKeys`], or panic if they return no errors.
///
/// Each value is dropped exactly once, even if a value's `drop` or a closure panics. The map is
/// intact after such a panic.
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
    /// Each occupied slot has exactly one key.
    index: FastArt<u32>,
    values: Arena<T>,
}

/// The bytes that a map holds. Returned by [`ArenaArt::memory_usage`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryUsage {
    /// Bytes of the index: the keys, and four bytes for each slot.
    pub index: fast::MemoryUsage,
    /// Bytes of values, without what they own elsewhere.
    pub values: usize,
    /// Other bytes of the arena: free slots, and the segments' own fields.
    pub slack: usize,
    /// The map itself, without its index.
    pub own: usize,
}

impl MemoryUsage {
    /// Returns the sum of all fields.
    pub fn total(&self) -> usize {
        self.index.total() + self.values + self.slack + self.own
    }
}

impl<T> ArenaArt<T> {
    /// Creates an empty map, which allocates nothing.
    ///
    /// ```
    /// let map = memkv::ArenaArt::<String>::new();
    /// assert!(map.is_empty());
    /// ```
    pub fn new() -> Self {
        ArenaArt { index: FastArt::new(), values: Arena::new() }
    }

    /// Returns the number of keys, in O(1).
    ///
    /// ```
    /// let map = memkv::ArenaArt::from([("a", "x"), ("b", "y")]);
    /// assert_eq!(map.len(), 2);
    /// ```
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Returns `true` if the map has no key.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Removes all keys, drops the values and frees the memory.
    ///
    /// The map is empty even if the drop of a value panics.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("a", "x")]);
    /// map.clear();
    /// assert_eq!(map.get("a"), None);
    /// ```
    pub fn clear(&mut self) {
        drop(std::mem::take(self));
    }

    /// Inserts `value` under `key`, and returns the value it replaces.
    ///
    /// # Panics
    /// Panics if the key has more than [`MAX_KEY_LEN`](crate::MAX_KEY_LEN) bytes, or the map is
    /// full. Aborts when out of memory. [`try_insert`](Self::try_insert) returns these as errors.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::new();
    /// assert_eq!(map.insert("a", "x"), None);
    /// assert_eq!(map.insert("a", "y"), Some("x"));
    /// ```
    #[inline]
    #[track_caller]
    pub fn insert(&mut self, key: impl AsRef<[u8]>, value: T) -> Option<T> {
        or_fail(self.try_insert(key, value))
    }

    /// Inserts `value` under `key` like [`insert`](Self::insert), but returns errors.
    ///
    /// # Errors
    /// Returns an error if the key is over the limit, if there is no memory, or if the map is full.
    /// The map is then unchanged, and `value` is dropped. Replacing a value never fails.
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

    /// Stores `value`, and returns its slot and the value it replaces.
    #[inline]
    fn store(&mut self, key: &[u8], value: T) -> Result<(u32, Option<T>), InsertError> {
        let slot = match self.values.reserve() {
            Ok(slot) => slot,
            Err(error) => {
                // A value that replaces another needs no slot.
                let slot = self.index.get(key).ok_or(error)?;
                return Ok((slot, Some(std::mem::replace(self.values.get_mut(slot), value))));
            }
        };
        let old = self.index.try_insert(key, slot)?;
        self.values.fill(slot, value);
        Ok((slot, old.map(|old| self.values.remove(old))))
    }

    /// Returns the value of `key`.
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

    /// Returns the values of many keys, in the order of `keys`.
    ///
    /// The lookups are interleaved as in [`FastArt::get_many`].
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

    /// Returns `true` if the map contains `key`.
    ///
    /// ```
    /// let map = memkv::ArenaArt::from([("a", "x")]);
    /// assert!(map.contains_key("a") && !map.contains_key(""));
    /// ```
    #[inline]
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> bool {
        self.index.contains_key(key)
    }

    /// Returns the value of `key` as a mutable reference.
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

    /// Removes `key`, and returns its value.
    ///
    /// # Panics
    /// Aborts by [`handle_alloc_error`](std::alloc::handle_alloc_error) if there is no memory for
    /// the shortened leaf. [`try_remove`](Self::try_remove) returns that as an error.
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

    /// Removes `key`, and returns it, as a copy, with its value.
    ///
    /// # Panics
    /// Aborts when out of memory, as [`remove`](Self::remove) does.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("a", "x")]);
    /// assert_eq!(map.remove_entry("a"), Some((b"a".to_vec(), "x")));
    /// assert_eq!(map.remove_entry("a"), None);
    /// ```
    pub fn remove_entry(&mut self, key: impl AsRef<[u8]>) -> Option<(Vec<u8>, T)> {
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
    /// let mut map = memkv::ArenaArt::from([("a", "x")]);
    /// assert_eq!(map.try_remove("a"), Ok(Some("x")));
    /// ```
    #[inline]
    pub fn try_remove(&mut self, key: impl AsRef<[u8]>) -> Result<Option<T>, InsertError> {
        Ok(self.index.try_remove(key)?.map(|slot| self.values.remove(slot)))
    }

    /// Returns the least key and its value.
    ///
    /// ```
    /// let map = memkv::ArenaArt::from([("b", "y"), ("a", "x")]);
    /// assert_eq!(map.first_key_value(), Some((b"a".to_vec(), &"x")));
    /// assert_eq!(map.last_key_value(), Some((b"b".to_vec(), &"y")));
    /// ```
    pub fn first_key_value(&self) -> Option<(Vec<u8>, &T)> {
        self.iter().next()
    }

    /// Returns the greatest key and its value.
    pub fn last_key_value(&self) -> Option<(Vec<u8>, &T)> {
        self.iter().next_back()
    }

    /// Removes the least key, and returns it with its value.
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

    /// Removes the greatest key, and returns it with its value.
    pub fn pop_last(&mut self) -> Option<(Vec<u8>, T)> {
        self.index.pop_last().map(|(key, slot)| (key, self.values.remove(slot)))
    }

    /// Returns the longest stored key that is a prefix of `key`, as a slice of `key`, and its
    /// value.
    ///
    /// # Complexity
    /// That of [`FastArt::get_longest_prefix`].
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

    /// Returns an iterator over the stored keys that are prefixes of `key`, as slices of `key`, and
    /// their values, shortest first.
    ///
    /// # Complexity
    /// That of [`FastArt::prefixes_of`].
    ///
    /// ```
    /// let routes = memkv::ArenaArt::from([("/", "root"), ("/api/", "api")]);
    /// let found = routes.prefixes_of("/api/v1/users").map(|(_, route)| *route);
    /// assert!(found.eq(["root", "api"]));
    /// ```
    pub fn prefixes_of<'k, K: AsRef<[u8]> + ?Sized>(
        &self,
        key: &'k K,
    ) -> impl FusedIterator<Item = (&'k [u8], &T)> {
        self.index.prefixes_of(key).map(|(key, slot)| (key, self.values.get(slot)))
    }

    /// Returns a cursor before the first key.
    ///
    /// It returns keys as slices of its own buffer, so a scan allocates nothing for each key.
    ///
    /// ```
    /// let map = memkv::ArenaArt::from([("a", "x"), ("b", "y")]);
    /// let mut cursor = map.cursor();
    /// cursor.seek("b");
    /// assert_eq!(cursor.next(), Some((&b"b"[..], &"y")));
    /// assert_eq!(cursor.next(), None);
    /// ```
    pub fn cursor(&self) -> Cursor<'_, T> {
        Cursor::new(ArenaWalk::new(&self.values, self.index.cursor().walk))
    }

    /// Returns a cursor before the first key, which returns values as mutable references.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("a", "x"), ("b", "y")]);
    /// let mut cursor = map.cursor_mut();
    /// cursor.seek("b");
    /// *cursor.next().unwrap().1 = "z";
    /// assert_eq!(map["b"], "z");
    /// ```
    pub fn cursor_mut(&mut self) -> CursorMut<'_, T> {
        CursorMut::new(ArenaWalk::new(&mut self.values, self.index.cursor().walk))
    }

    /// Returns an iterator over all keys and values, in ascending order of the keys.
    ///
    /// ```
    /// let map = memkv::ArenaArt::from([("b", "y"), ("a", "x")]);
    /// assert!(map.iter().eq([(b"a".to_vec(), &"x"), (b"b".to_vec(), &"y")]));
    /// ```
    pub fn iter(&self) -> Iter<'_, T> {
        Iter::new(ArenaWalk::new(&self.values, self.index.iter().ends))
    }

    /// Returns an iterator over all keys and mutable values, in ascending order of the keys.
    ///
    /// Like [`range_mut`](Self::range_mut) it first collects a borrow of each value.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("b", 2), ("a", 1)]);
    /// map.iter_mut().for_each(|(_, value)| *value *= 10);
    /// assert!(map.values().eq(&[10, 20]));
    /// ```
    pub fn iter_mut(&mut self) -> IterMut<'_, T> {
        self.range_mut::<[u8], _>(..)
    }

    /// Returns an iterator over all keys, in ascending order.
    ///
    /// ```
    /// let map = memkv::ArenaArt::from([("b", "y"), ("a", "x")]);
    /// assert!(map.keys().eq([b"a", b"b"]));
    /// ```
    pub fn keys(
        &self,
    ) -> impl DoubleEndedIterator<Item = Vec<u8>> + ExactSizeIterator + FusedIterator + Clone {
        self.index.keys()
    }

    /// Returns an iterator over all values, in the order of their keys.
    ///
    /// ```
    /// let map = memkv::ArenaArt::from([("b", "y"), ("a", "x")]);
    /// assert!(map.values().eq(&["x", "y"]));
    /// ```
    pub fn values(&self) -> Values<'_, T> {
        Values { iter: self.iter() }
    }

    /// Returns an iterator over all values as mutable references, in the order of their keys.
    ///
    /// Like [`range_mut`](Self::range_mut) it first collects a borrow of each value.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("b", 2), ("a", 1)]);
    /// map.values_mut().for_each(|value| *value += 1);
    /// assert!(map.values().eq(&[2, 3]));
    /// ```
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut T> + FusedIterator {
        self.values.disjoint_mut(self.index.values()).into_iter().flatten()
    }

    /// Converts the map into an iterator over its keys, in ascending order, and drops the values.
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

    /// Converts the map into an iterator over its values, in the order of their keys.
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

    /// Returns an iterator over the keys in a range of byte strings and their values, in ascending
    /// order.
    ///
    /// A range that ends before it begins is empty.
    ///
    /// ```
    /// let map = memkv::ArenaArt::from([("a", 'x'), ("b", 'y'), ("c", 'z')]);
    /// assert!(map.range("b"..).map(|(_, value)| *value).eq(['y', 'z']));
    /// assert!(map.range("a"..="b").rev().map(|(_, value)| *value).eq(['y', 'x']));
    /// ```
    pub fn range<K: AsRef<[u8]> + ?Sized, R: RangeBounds<K>>(&self, range: R) -> Range<'_, T> {
        Range::new(ArenaWalk::new(&self.values, self.index.range(range).ends))
    }

    /// Returns an iterator over the keys in a range and their values as mutable references.
    ///
    /// It first collects a borrow of each value; a [`cursor_mut`](Self::cursor_mut) does not.
    ///
    /// # Complexity
    /// O(n log n) for n keys. It takes 8 bytes a key while it lives, and 8 more to be made.
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
        let slots = self.index.range(range);
        let values = self.values.disjoint_mut(slots_of(slots.clone()));
        IterMut::new(slots.ends, values)
    }

    /// Returns an iterator over the keys that begin with `prefix`, and their values.
    ///
    /// ```
    /// let map = memkv::ArenaArt::from([("a", 'x'), ("ab", 'y'), ("b", 'z')]);
    /// assert_eq!(map.prefix("a").count(), 2);
    /// ```
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Range<'_, T> {
        Range::new(ArenaWalk::new(&self.values, self.index.prefix(prefix).ends))
    }

    /// Returns an iterator over the keys that begin with `prefix` and their values as mutable
    /// references.
    ///
    /// # Complexity
    /// That of [`range_mut`](Self::range_mut).
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("a", 1), ("ab", 2), ("b", 3)]);
    /// map.prefix_mut("a").for_each(|(_, value)| *value = 0);
    /// assert!(map.values().eq(&[0, 0, 3]));
    /// ```
    pub fn prefix_mut(&mut self, prefix: impl AsRef<[u8]>) -> IterMut<'_, T> {
        self.range_mut(Prefixed::by(&prefix))
    }

    /// Returns the number of keys that begin with `prefix`, like [`FastArt::count_prefix`].
    ///
    /// ```
    /// let map = memkv::ArenaArt::from([("a", 'x'), ("ab", 'y'), ("b", 'z')]);
    /// assert_eq!(map.count_prefix("a"), 2);
    /// ```
    pub fn count_prefix(&self, prefix: impl AsRef<[u8]>) -> usize {
        self.index.count_prefix(prefix)
    }

    /// Removes all keys for which `keep` returns `false`.
    ///
    /// Keys are visited in ascending order, and `keep` may change the values. If it or a value's
    /// `drop` panics, the map is intact, with some of the keys removed.
    ///
    /// # Complexity
    /// O(keys), and one removal for each key that goes.
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

    /// Removes the keys in a range, drops their values, and returns how many there were.
    ///
    /// # Complexity
    /// That of [`FastArt::remove_range`], and O(values removed). It takes 4 bytes a key while it
    /// runs.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("a", 'x'), ("b", 'y'), ("c", 'z')]);
    /// assert_eq!(map.remove_range("b"..), 2);
    /// assert_eq!(map.len(), 1);
    /// ```
    pub fn remove_range<K: AsRef<[u8]> + ?Sized, R: RangeBounds<K>>(&mut self, range: R) -> usize {
        let range = key::bounds(&range);
        let slots: Vec<u32> = slots_of(self.index.range::<[u8], _>(range)).collect();
        let removed = self.index.remove_range::<[u8], _>(range);
        debug_assert_eq!(removed, slots.len());
        Leavers { values: &mut self.values, slots: slots.into_iter() }.leave();
        removed
    }

    /// Removes the keys that begin with `prefix`, drops their values, and returns how many there
    /// were.
    ///
    /// # Complexity
    /// That of [`remove_range`](Self::remove_range).
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("a", 'x'), ("ab", 'y'), ("b", 'z')]);
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
    /// let mut map = memkv::ArenaArt::from([("a", 'x'), ("b", 'y'), ("c", 'z')]);
    /// let from_b = map.split_off("b");
    /// assert_eq!((map.len(), from_b.len()), (1, 2));
    /// ```
    pub fn split_off(&mut self, key: impl AsRef<[u8]>) -> Self {
        let mut index = self.index.split_off(key);
        let values = move_values(&mut index, &mut self.values);
        ArenaArt { index, values }
    }

    /// Moves all keys of `other` into this map.
    ///
    /// If both have a key, the value of `other` is kept.
    ///
    /// # Complexity
    /// O(1) if this map is empty, else one insert for each key.
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
            let mut slots = index.into_ends();
            while let Some((key, slot)) = slots.step(false) {
                drop(self.insert(key, values.remove(slot)));
            }
        }
    }

    /// Builds a map bottom-up from strictly ascending keys.
    ///
    /// Its leaves are full, so it is smaller than a map filled by [`insert`](Self::insert), and its
    /// values are in the order of their keys. Building is several times faster, too.
    ///
    /// # Errors
    /// Returns an error for the first key that is not greater than the one before it, is over the
    /// limit, cannot be allocated, or finds the map full.
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

    /// Packs the map as tightly as [`from_sorted`](Self::from_sorted) would, with the values in the
    /// order of their keys.
    ///
    /// # Complexity
    /// O(keys). The old and the new index are both in memory while it runs; the values are moved
    /// segment by segment.
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

    /// Returns a copy of the map, slot for slot.
    ///
    /// # Errors
    /// Returns an error when out of memory.
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

    /// Returns the bytes that the map holds, without what the values own elsewhere.
    ///
    /// # Complexity
    /// O(keys / 64).
    ///
    /// ```
    /// let pairs = (0..10_000u64).map(|i| (i.to_be_bytes(), [i; 3]));
    /// let map: memkv::ArenaArt<[u64; 3]> = pairs.collect();
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

    /// Checks the invariants of the map's structure. For tests.
    ///
    /// # Errors
    /// Returns a description of the first violation.
    #[doc(hidden)]
    pub fn check(&self) -> Result<(), String> {
        self.index.check()?;
        self.values.check(self.index.values())
    }
}

fn slots_of(mut range: fast::Range<'_, u32>) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || range.next_ref().map(|(_, slot)| slot))
}

/// Moves the values that `index` names from one arena to another, in the order of their keys.
fn move_values<T>(index: &mut FastArt<u32>, from: &mut Arena<T>) -> Arena<T> {
    let mut to = Arena::new();
    index.retain(|_, slot| {
        *slot = or_fail(to.add(from.remove(*slot)));
        true
    });
    to
}

/// Slots whose keys are gone. The slots that are left when the drop of a value panics are freed by
/// this type's drop.
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
