//! Entries, and guards through which a value is changed in place.

use crate::error::or_fail;
use crate::tree::{EntryPos, RawTree};
use crate::value::Value;
use std::fmt;
use std::ops::{Deref, DerefMut};

/// A guard through which a value of a map is read and changed.
///
/// The value is stored when the guard is dropped. A guard that is forgotten stores nothing.
/// Returned by [`FastArt::get_mut`](crate::FastArt::get_mut) and [`Entry`].
pub struct ValueMut<'a, V: Value> {
    tree: &'a mut RawTree<V::Bits>,
    pos: EntryPos,
    value: V,
}

impl<'a, V: Value> ValueMut<'a, V> {
    pub(super) fn new(tree: &'a mut RawTree<V::Bits>, pos: EntryPos) -> Self {
        let value = V::from_bits(tree.value(pos));
        ValueMut { tree, pos, value }
    }
}

impl<V: Value> Deref for ValueMut<'_, V> {
    type Target = V;
    fn deref(&self) -> &V {
        &self.value
    }
}

impl<V: Value> DerefMut for ValueMut<'_, V> {
    fn deref_mut(&mut self) -> &mut V {
        &mut self.value
    }
}

impl<V: Value> Drop for ValueMut<'_, V> {
    fn drop(&mut self) {
        self.tree.set_value(self.pos, self.value.into_bits());
    }
}

impl<V: Value + fmt::Debug> fmt::Debug for ValueMut<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// The entry of a key in a map. Returned by [`FastArt::entry`](crate::FastArt::entry).
#[derive(Debug)]
pub enum Entry<'a, K: AsRef<[u8]>, V: Value> {
    /// The key is present.
    Occupied(OccupiedEntry<'a, K, V>),
    /// The key is absent.
    Vacant(VacantEntry<'a, K, V>),
}

/// The entry of a key that is present.
pub struct OccupiedEntry<'a, K: AsRef<[u8]>, V: Value> {
    tree: &'a mut RawTree<V::Bits>,
    key: K,
    pos: EntryPos,
}

/// The entry of a key that is absent.
pub struct VacantEntry<'a, K: AsRef<[u8]>, V: Value> {
    tree: &'a mut RawTree<V::Bits>,
    key: K,
}

impl<'a, K: AsRef<[u8]>, V: Value> Entry<'a, K, V> {
    pub(super) fn new(tree: &'a mut RawTree<V::Bits>, key: K) -> Self {
        match tree.find(key.as_ref()) {
            Some(pos) => Entry::Occupied(OccupiedEntry { tree, key, pos }),
            None => Entry::Vacant(VacantEntry { tree, key }),
        }
    }

    /// Returns the key of the entry.
    pub fn key(&self) -> &K {
        match self {
            Entry::Occupied(entry) => &entry.key,
            Entry::Vacant(entry) => &entry.key,
        }
    }

    /// Inserts `value` if the key is absent, and returns a guard of the value.
    ///
    /// # Panics
    /// Panics and aborts as [`FastArt::insert`](crate::FastArt::insert) does.
    ///
    /// ```
    /// let mut map = memkv::FastArt::new();
    /// *map.entry("a").or_insert(1u64) += 1;
    /// assert_eq!(map.get("a"), Some(2));
    /// ```
    #[track_caller]
    pub fn or_insert(self, value: V) -> ValueMut<'a, V> {
        self.or_insert_with(|| value)
    }

    /// Inserts the result of `value` if the key is absent, and returns a guard of the value.
    ///
    /// # Panics
    /// Panics and aborts as [`FastArt::insert`](crate::FastArt::insert) does.
    #[track_caller]
    pub fn or_insert_with(self, value: impl FnOnce() -> V) -> ValueMut<'a, V> {
        match self {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let value = value();
                entry.insert(value)
            }
        }
    }

    /// Inserts the result of `value`, which is passed the key, if the key is absent, and returns a
    /// guard of the value.
    ///
    /// # Panics
    /// Panics and aborts as [`FastArt::insert`](crate::FastArt::insert) does.
    ///
    /// ```
    /// let mut map = memkv::FastArt::new();
    /// map.entry("abc").or_insert_with_key(|key| key.len() as u64);
    /// assert_eq!(map.get("abc"), Some(3));
    /// ```
    #[track_caller]
    pub fn or_insert_with_key(self, value: impl FnOnce(&K) -> V) -> ValueMut<'a, V> {
        match self {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let value = value(&entry.key);
                entry.insert(value)
            }
        }
    }

    /// Inserts the default value if the key is absent, and returns a guard of the value.
    ///
    /// # Panics
    /// Panics and aborts as [`FastArt::insert`](crate::FastArt::insert) does.
    ///
    /// ```
    /// let mut map = memkv::FastArt::<u32>::new();
    /// *map.entry("a").or_default() += 1;
    /// assert_eq!(map.get("a"), Some(1));
    /// ```
    #[track_caller]
    pub fn or_default(self) -> ValueMut<'a, V>
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }

    /// Changes the value in place if the key is present, and returns the entry.
    ///
    /// ```
    /// let mut map = memkv::FastArt::from([("a", 1u64)]);
    /// map.entry("a").and_modify(|value| *value += 1).or_insert(0);
    /// assert_eq!(map.get("a"), Some(2));
    /// ```
    #[must_use]
    pub fn and_modify(mut self, change: impl FnOnce(&mut V)) -> Self {
        if let Entry::Occupied(entry) = &mut self {
            change(&mut ValueMut::<V>::new(entry.tree, entry.pos));
        }
        self
    }
}

impl<'a, K: AsRef<[u8]>, V: Value> OccupiedEntry<'a, K, V> {
    /// Returns the entry of `key` if it is present.
    pub(super) fn find(tree: &'a mut RawTree<V::Bits>, key: K) -> Option<Self> {
        let pos = tree.find(key.as_ref())?;
        Some(OccupiedEntry { tree, key, pos })
    }

    /// Returns the key of the entry.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// Returns the value.
    pub fn get(&self) -> V {
        V::from_bits(self.tree.value(self.pos))
    }

    /// Returns a guard through which the value can be changed in place.
    pub fn get_mut(&mut self) -> ValueMut<'_, V> {
        ValueMut::new(self.tree, self.pos)
    }

    /// Converts the entry into a guard of its value that lives as long as the map is borrowed.
    pub fn into_mut(self) -> ValueMut<'a, V> {
        ValueMut::new(self.tree, self.pos)
    }

    /// Replaces the value, and returns the old one.
    ///
    /// ```
    /// use memkv::{Entry, FastArt};
    ///
    /// let mut map = FastArt::from([("a", 1u64)]);
    /// if let Entry::Occupied(mut entry) = map.entry("a") {
    ///     assert_eq!(entry.insert(2), 1);
    ///     assert_eq!(entry.remove(), 2);
    /// }
    /// assert!(map.is_empty());
    /// ```
    #[track_caller]
    pub fn insert(&mut self, value: V) -> V {
        V::from_bits(self.tree.set_value(self.pos, value.into_bits()))
    }

    /// Removes the key, and returns its value.
    ///
    /// # Panics
    /// Aborts when out of memory, as [`FastArt::remove`](crate::FastArt::remove) does.
    pub fn remove(self) -> V {
        self.remove_entry().1
    }

    /// Removes the key, and returns it with its value.
    ///
    /// # Panics
    /// Aborts when out of memory, as [`FastArt::remove`](crate::FastArt::remove) does.
    ///
    /// ```
    /// let mut map = memkv::FastArt::from([("b", 2u64), ("a", 1)]);
    /// let least = map.first_entry().unwrap();
    /// assert_eq!(least.remove_entry(), (b"a".to_vec(), 1));
    /// ```
    pub fn remove_entry(self) -> (K, V) {
        let value = self.get();
        or_fail(self.tree.remove(self.key.as_ref()));
        (self.key, value)
    }
}

impl<'a, K: AsRef<[u8]>, V: Value> VacantEntry<'a, K, V> {
    /// Returns the key of the entry.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// Returns the key, and gives up the entry.
    pub fn into_key(self) -> K {
        self.key
    }

    /// Inserts `value` under the key, and returns a guard of it.
    ///
    /// ```
    /// use memkv::{Entry, FastArt};
    ///
    /// let mut map = FastArt::new();
    /// if let Entry::Vacant(entry) = map.entry("a") {
    ///     entry.insert(1u64);
    /// }
    /// assert_eq!(map.get("a"), Some(1));
    /// ```
    ///
    /// # Panics
    /// Panics and aborts as [`FastArt::insert`](crate::FastArt::insert) does.
    #[track_caller]
    pub fn insert(self, value: V) -> ValueMut<'a, V> {
        let key = self.key.as_ref();
        or_fail(self.tree.insert(key, value.into_bits()));
        let pos = self.tree.find(key).expect("the key was just stored");
        ValueMut::new(self.tree, pos)
    }
}

impl<K: AsRef<[u8]>, V: Value + fmt::Debug> fmt::Debug for OccupiedEntry<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.as_ref().escape_ascii();
        f.debug_struct("OccupiedEntry")
            .field("key", &format_args!("\"{key}\""))
            .field("value", &self.get())
            .finish()
    }
}

impl<K: AsRef<[u8]>, V: Value> fmt::Debug for VacantEntry<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VacantEntry(\"{}\")", self.key.as_ref().escape_ascii())
    }
}
