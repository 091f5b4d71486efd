//! The place of a key, looked up once.

use super::ArenaArt;
use crate::error::fail;
use std::fmt;

/// The place of a key in a map. From [`ArenaArt::entry`](crate::ArenaArt::entry).
#[derive(Debug)]
pub enum Entry<'a, K: AsRef<[u8]>, T> {
    /// The key is there.
    Occupied(OccupiedEntry<'a, K, T>),
    /// It is not.
    Vacant(VacantEntry<'a, K, T>),
}

/// A key that is there.
pub struct OccupiedEntry<'a, K: AsRef<[u8]>, T> {
    map: &'a mut ArenaArt<T>,
    key: K,
    slot: u32,
}

/// A key that is not there.
pub struct VacantEntry<'a, K: AsRef<[u8]>, T> {
    map: &'a mut ArenaArt<T>,
    key: K,
}

impl<'a, K: AsRef<[u8]>, T> Entry<'a, K, T> {
    pub(super) fn new(map: &'a mut ArenaArt<T>, key: K) -> Self {
        match map.index.get(&key) {
            Some(slot) => Entry::Occupied(OccupiedEntry { map, key, slot }),
            None => Entry::Vacant(VacantEntry { map, key }),
        }
    }

    /// The key asked for.
    pub fn key(&self) -> &K {
        match self {
            Entry::Occupied(entry) => &entry.key,
            Entry::Vacant(entry) => &entry.key,
        }
    }

    /// Stores `value` where there is none.
    ///
    /// # Panics
    /// As [`ArenaArt::insert`](crate::ArenaArt::insert).
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::new();
    /// map.entry("a").or_insert(vec![1]).push(2);
    /// assert_eq!(map["a"], [1, 2]);
    /// ```
    pub fn or_insert(self, value: T) -> &'a mut T {
        self.or_insert_with(|| value)
    }

    /// Stores what `value` gives where there is none. If that panics, the map is as it was before.
    ///
    /// # Panics
    /// As [`ArenaArt::insert`](crate::ArenaArt::insert).
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("a", 'x')]);
    /// assert_eq!(map.entry("a").or_insert_with(|| unreachable!()), &'x');
    /// ```
    pub fn or_insert_with(self, value: impl FnOnce() -> T) -> &'a mut T {
        match self {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let value = value();
                entry.insert(value)
            }
        }
    }

    /// Stores the default value where there is none.
    ///
    /// # Panics
    /// As [`ArenaArt::insert`](crate::ArenaArt::insert).
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::<Vec<u32>>::new();
    /// map.entry("a").or_default().push(1);
    /// assert_eq!(map["a"], [1]);
    /// ```
    pub fn or_default(self) -> &'a mut T
    where
        T: Default,
    {
        self.or_insert_with(T::default)
    }

    /// Changes the value where there is one.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("a", vec![1])]);
    /// map.entry("a").and_modify(|value| value.push(2)).or_default();
    /// assert_eq!(map["a"], [1, 2]);
    /// ```
    #[must_use]
    pub fn and_modify(mut self, change: impl FnOnce(&mut T)) -> Self {
        if let Entry::Occupied(entry) = &mut self {
            change(entry.get_mut());
        }
        self
    }
}

impl<'a, K: AsRef<[u8]>, T> OccupiedEntry<'a, K, T> {
    /// The key asked for.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// The value.
    pub fn get(&self) -> &T {
        self.map.values.get(self.slot)
    }

    /// The value, to change.
    pub fn get_mut(&mut self) -> &mut T {
        self.map.values.get_mut(self.slot)
    }

    /// The value, to change, for as long as the map is borrowed.
    pub fn into_mut(self) -> &'a mut T {
        self.map.values.get_mut(self.slot)
    }

    /// Overwrites the value, and gives the old one.
    ///
    /// ```
    /// use memkv::{ArenaArt, arena::Entry};
    ///
    /// let mut map = ArenaArt::from([("a", "x")]);
    /// if let Entry::Occupied(mut entry) = map.entry("a") {
    ///     assert_eq!(entry.insert("y"), "x");
    ///     assert_eq!(entry.remove(), "y");
    /// }
    /// assert!(map.is_empty());
    /// ```
    pub fn insert(&mut self, value: T) -> T {
        std::mem::replace(self.get_mut(), value)
    }

    /// Removes the key, and gives its value. Without memory it aborts as [`ArenaArt::remove`](crate::ArenaArt::remove) does.
    pub fn remove(self) -> T {
        self.map.remove(&self.key).expect("the key was found")
    }
}

impl<'a, K: AsRef<[u8]>, T> VacantEntry<'a, K, T> {
    /// The key asked for.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// Gives the key back.
    pub fn into_key(self) -> K {
        self.key
    }

    /// Stores `value` under the key.
    ///
    /// # Panics
    /// As [`ArenaArt::insert`](crate::ArenaArt::insert).
    ///
    /// ```
    /// use memkv::{ArenaArt, arena::Entry};
    ///
    /// let mut map = ArenaArt::new();
    /// if let Entry::Vacant(entry) = map.entry("a") {
    ///     entry.insert("x");
    /// }
    /// assert_eq!(map.get("a"), Some(&"x"));
    /// ```
    pub fn insert(self, value: T) -> &'a mut T {
        match self.map.store(self.key.as_ref(), value) {
            Ok((slot, _)) => self.map.values.get_mut(slot),
            Err(error) => fail(error),
        }
    }
}

impl<K: AsRef<[u8]>, T: fmt::Debug> fmt::Debug for OccupiedEntry<'_, K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.as_ref().escape_ascii();
        f.debug_struct("OccupiedEntry")
            .field("key", &format_args!("\"{key}\""))
            .field("value", self.get())
            .finish()
    }
}

impl<K: AsRef<[u8]>, T> fmt::Debug for VacantEntry<'_, K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VacantEntry(\"{}\")", self.key.as_ref().escape_ascii())
    }
}
