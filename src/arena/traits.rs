//! The traits of the standard collections, for `ArenaArt`.

use super::values::Arena;
use super::{ArenaArt, IntoIter, Iter, IterMut};
use crate::error::or_fail;
use crate::fast::{FastArt, compare, hash};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Index;

impl<T> Default for ArenaArt<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Clone> Clone for ArenaArt<T> {
    fn clone(&self) -> Self {
        or_fail(self.try_clone())
    }
}

impl<T: fmt::Debug> fmt::Debug for ArenaArt<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.range::<[u8], _>(..).fmt(f)
    }
}

impl<T: PartialEq> PartialEq for ArenaArt<T> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().equals(other.iter())
    }
}

impl<T: Eq> Eq for ArenaArt<T> {}

impl<T: PartialOrd> PartialOrd for ArenaArt<T> {
    /// Compares the pairs of both maps in ascending order, as `BTreeMap` does.
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        compare(self.iter(), other.iter(), |a, b| a.partial_cmp(b))
    }
}

impl<T: Ord> Ord for ArenaArt<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(self.iter(), other.iter(), |a, b| Some(a.cmp(b))).expect("values have an order")
    }
}

impl<T: Hash> Hash for ArenaArt<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(self.iter(), self.len(), state);
    }
}

impl<T, K: AsRef<[u8]> + ?Sized> Index<&K> for ArenaArt<T> {
    type Output = T;

    /// Returns the value of `key`.
    ///
    /// # Panics
    /// Panics if the key is absent. [`get`](ArenaArt::get) returns `None` instead.
    fn index(&self, key: &K) -> &T {
        self.get(key).expect("no value of this key")
    }
}

impl<K: AsRef<[u8]>, T> FromIterator<(K, T)> for ArenaArt<T> {
    /// Builds bottom-up while the keys ascend, and inserts the rest.
    #[track_caller]
    fn from_iter<I: IntoIterator<Item = (K, T)>>(pairs: I) -> Self {
        let (mut pairs, mut values) = (pairs.into_iter(), Arena::new());
        let mut slots = pairs.by_ref().map(|(key, value)| (key, or_fail(values.add(value))));
        let (index, unsorted) = FastArt::ascending(&mut slots);
        let unsorted = unsorted.map(|(key, slot)| (key, values.remove(slot)));
        let mut map = ArenaArt { index, values };
        map.extend(unsorted.into_iter().chain(pairs));
        map
    }
}

impl<K: AsRef<[u8]>, T> Extend<(K, T)> for ArenaArt<T> {
    #[track_caller]
    fn extend<I: IntoIterator<Item = (K, T)>>(&mut self, pairs: I) {
        for (key, value) in pairs {
            self.insert(key, value);
        }
    }
}

impl<K: AsRef<[u8]>, T, const N: usize> From<[(K, T); N]> for ArenaArt<T> {
    #[track_caller]
    fn from(pairs: [(K, T); N]) -> Self {
        Self::from_iter(pairs)
    }
}

impl<K: AsRef<[u8]>, T> From<BTreeMap<K, T>> for ArenaArt<T> {
    /// Builds bottom-up if `K` has the order of its bytes.
    #[track_caller]
    fn from(pairs: BTreeMap<K, T>) -> Self {
        Self::from_iter(pairs)
    }
}

impl<T> IntoIterator for ArenaArt<T> {
    type Item = (Vec<u8>, T);
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter::new(self.index.into_ends(), self.values)
    }
}

impl<'a, T> IntoIterator for &'a ArenaArt<T> {
    type Item = (Vec<u8>, &'a T);
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<'a, T> IntoIterator for &'a mut ArenaArt<T> {
    type Item = (Vec<u8>, &'a mut T);
    type IntoIter = IterMut<'a, T>;

    fn into_iter(self) -> IterMut<'a, T> {
        self.iter_mut()
    }
}
