//! Entries: a key that is looked up once.

use super::ArenaArt;
use crate::error::or_fail;
use std::fmt;

/// The entry of a key in a map. Returned by [`ArenaArt::entry`](crate::ArenaArt::entry).
#[derive(Debug)]
pub enum Entry<'a, K: AsRef<[u8]>, T> {
    /// The key is present.
    Occupied(OccupiedEntry<'a, K, T>),
    /// The key is absent.
    Vacant(VacantEntry<'a, K, T>),
}

/// The entry of a key that is present.
pub struct OccupiedEntry<'a, K: AsRef<[u8]>, T> {
    map: &'a mut ArenaArt<T>,
    key: K,
    slot: u32,
}

/// The entry of a key that is absent.
pub struct VacantEntry<'a, K: AsRef<[u8]>, T> {
    map: &'a mut ArenaArt<T>,
    key: K,
}

impl<'a, K: AsRef<[u8]>, T> Entry<'a, K, T> {
    /// Returns the key of the entry.
    pub fn key(&self) -> &K {
        match self {
            Entry::Occupied(entry) => &entry.key,
            Entry::Vacant(entry) => &entry.key,
        }
    }

    /// Inserts `value` if the key is absent, and returns a reference to the value.
    ///
    /// # Panics
    /// Panics and aborts as [`ArenaArt::insert`](crate::ArenaArt::insert) does.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::new();
    /// map.entry("a").or_insert(vec![1]).push(2);
    /// assert_eq!(map["a"], [1, 2]);
    /// ```
    #[track_caller]
    pub fn or_insert(self, value: T) -> &'a mut T {
        self.or_insert_with(|| value)
    }

    /// Inserts the result of `value` if the key is absent, and returns a reference to the value.
    ///
    /// If `value` panics, the map is unchanged.
    ///
    /// # Panics
    /// Panics and aborts as [`ArenaArt::insert`](crate::ArenaArt::insert) does.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("a", 'x')]);
    /// assert_eq!(map.entry("a").or_insert_with(|| unreachable!()), &'x');
    /// ```
    #[track_caller]
    pub fn or_insert_with(self, value: impl FnOnce() -> T) -> &'a mut T {
        match self {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let value = value();
                entry.insert(value)
            }
        }
    }

    /// Inserts the result of `value`, which is passed the key, if the key is absent, and returns a
    /// reference to the value.
    ///
    /// # Panics
    /// Panics and aborts as [`ArenaArt::insert`](crate::ArenaArt::insert) does.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::new();
    /// map.entry("abc").or_insert_with_key(|key| key.len());
    /// assert_eq!(map.get("abc"), Some(&3));
    /// ```
    #[track_caller]
    pub fn or_insert_with_key(self, value: impl FnOnce(&K) -> T) -> &'a mut T {
        match self {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let value = value(&entry.key);
                entry.insert(value)
            }
        }
    }

    /// Inserts the default value if the key is absent, and returns a reference to the value.
    ///
    /// # Panics
    /// Panics and aborts as [`ArenaArt::insert`](crate::ArenaArt::insert) does.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::<Vec<u32>>::new();
    /// map.entry("a").or_default().push(1);
    /// assert_eq!(map["a"], [1]);
    /// ```
    #[track_caller]
    pub fn or_default(self) -> &'a mut T
    where
        T: Default,
    {
        self.or_insert_with(T::default)
    }

    /// Changes the value in place if the key is present, and returns the entry.
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
    fn find(map: &'a mut ArenaArt<T>, key: K) -> Option<Self> {
        let slot = map.index.get(&key)?;
        Some(OccupiedEntry { map, key, slot })
    }

    /// Returns the key of the entry.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// Returns the value.
    pub fn get(&self) -> &T {
        self.map.values.get(self.slot)
    }

    /// Returns the value as a mutable reference.
    pub fn get_mut(&mut self) -> &mut T {
        self.map.values.get_mut(self.slot)
    }

    /// Converts the entry into a mutable reference to its value, which lives as long as the map is
    /// borrowed.
    pub fn into_mut(self) -> &'a mut T {
        self.map.values.get_mut(self.slot)
    }

    /// Replaces the value, and returns the old one.
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
    #[track_caller]
    pub fn insert(&mut self, value: T) -> T {
        std::mem::replace(self.get_mut(), value)
    }

    /// Removes the key, and returns its value.
    ///
    /// # Panics
    /// Aborts when out of memory, as [`ArenaArt::remove`](crate::ArenaArt::remove) does.
    pub fn remove(self) -> T {
        self.remove_entry().1
    }

    /// Removes the key, and returns it with its value.
    ///
    /// # Panics
    /// Aborts when out of memory, as [`ArenaArt::remove`](crate::ArenaArt::remove) does.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("b", 'y'), ("a", 'x')]);
    /// let least = map.first_entry().unwrap();
    /// assert_eq!(least.remove_entry(), (b"a".to_vec(), 'x'));
    /// ```
    pub fn remove_entry(self) -> (K, T) {
        let value = self.map.remove(&self.key).expect("the key was found");
        (self.key, value)
    }
}

impl<'a, K: AsRef<[u8]>, T> VacantEntry<'a, K, T> {
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
    /// # Panics
    /// Panics and aborts as [`ArenaArt::insert`](crate::ArenaArt::insert) does.
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
    #[track_caller]
    pub fn insert(self, value: T) -> &'a mut T {
        let (slot, _) = or_fail(self.map.store(self.key.as_ref(), value));
        self.map.values.get_mut(slot)
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

impl<T> ArenaArt<T> {
    /// Returns the entry of `key`, occupied or vacant.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::<String>::new();
    /// for word in ["a", "b", "a"] {
    ///     map.entry(word).or_default().push_str(word);
    /// }
    /// assert_eq!(map["a"], "aa");
    /// ```
    pub fn entry<K: AsRef<[u8]>>(&mut self, key: K) -> Entry<'_, K, T> {
        match self.index.get(&key) {
            Some(slot) => Entry::Occupied(OccupiedEntry { map: self, key, slot }),
            None => Entry::Vacant(VacantEntry { map: self, key }),
        }
    }

    /// Returns the entry of the least key, with a copy of the key.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("b", 'y'), ("a", 'x')]);
    /// *map.first_entry().unwrap().get_mut() = 'z';
    /// assert_eq!(map.get("a"), Some(&'z'));
    /// ```
    pub fn first_entry(&mut self) -> Option<OccupiedEntry<'_, Vec<u8>, T>> {
        let key = self.index.first_key_value()?.0;
        OccupiedEntry::find(self, key)
    }

    /// Returns the entry of the greatest key, with a copy of the key.
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("b", 'y'), ("a", 'x')]);
    /// assert_eq!(map.last_entry().unwrap().remove(), 'y');
    /// assert_eq!(map.len(), 1);
    /// ```
    pub fn last_entry(&mut self) -> Option<OccupiedEntry<'_, Vec<u8>, T>> {
        let key = self.index.last_key_value()?.0;
        OccupiedEntry::find(self, key)
    }
}
