//! The traits of the standard collections, for `ConcurrentArt`.

use super::{ConcurrentArt, Range};
use crate::fast::{FastArt, IntoIter};
use crate::value::Value;
use std::fmt;

impl<V: Value> Default for ConcurrentArt<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: Value> Clone for ConcurrentArt<V> {
    /// Returns a copy of the map, built bottom-up from a scan while other threads may change it.
    ///
    /// # Guarantees
    /// The copy is no snapshot of one moment. It has every key that is present for the whole call.
    /// A key that is inserted or removed during the call may be in it or not. Each key has a value
    /// that it had at a moment of the call. If no thread changes the map, the copy is equal to it.
    ///
    /// # Complexity
    /// O(keys).
    ///
    /// # Panics
    /// Aborts when out of memory.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from([("a", 1u64), ("b", 2)]);
    /// let copy = map.clone();
    /// map.insert("a", 3);
    /// assert!(copy.values().eq([1, 2]));
    /// ```
    #[track_caller]
    fn clone(&self) -> Self {
        FastArt::of_range(self.iter(), self.tree.coder().cloned()).into()
    }
}

impl<V: Value> From<FastArt<V>> for ConcurrentArt<V> {
    /// Converts in O(1).
    fn from(map: FastArt<V>) -> Self {
        Self::of(map.into_tree())
    }
}

impl<V: Value> From<ConcurrentArt<V>> for FastArt<V> {
    /// Converts in O(1).
    fn from(map: ConcurrentArt<V>) -> Self {
        map.into_fast()
    }
}

impl<K: AsRef<[u8]>, V: Value> FromIterator<(K, V)> for ConcurrentArt<V> {
    /// Builds bottom-up for as long as the keys ascend, and inserts from there on.
    #[track_caller]
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        FastArt::from_iter(pairs).into()
    }
}

impl<K: AsRef<[u8]>, V: Value, const N: usize> From<[(K, V); N]> for ConcurrentArt<V> {
    #[track_caller]
    fn from(pairs: [(K, V); N]) -> Self {
        Self::from_iter(pairs)
    }
}

impl<K: AsRef<[u8]>, V: Value> Extend<(K, V)> for ConcurrentArt<V> {
    #[track_caller]
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, pairs: I) {
        (&*self).extend(pairs);
    }
}

impl<K: AsRef<[u8]>, V: Value> Extend<(K, V)> for &ConcurrentArt<V> {
    /// Inserts the pairs one by one, through a shared map.
    #[track_caller]
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, pairs: I) {
        for (key, value) in pairs {
            self.insert(key, value);
        }
    }
}

impl<V: Value> IntoIterator for ConcurrentArt<V> {
    type Item = (Vec<u8>, V);
    type IntoIter = IntoIter<V>;

    fn into_iter(self) -> IntoIter<V> {
        self.into_fast().into_iter()
    }
}

impl<'m, V: Value> IntoIterator for &'m ConcurrentArt<V> {
    type Item = (Vec<u8>, V);
    type IntoIter = Range<'m, V>;

    fn into_iter(self) -> Range<'m, V> {
        self.iter()
    }
}

impl<V: Value + fmt::Debug> fmt::Debug for ConcurrentArt<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().fmt(f)
    }
}
