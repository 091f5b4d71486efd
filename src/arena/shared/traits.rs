//! The traits of the standard collections, for `ConcurrentArenaArt`.

use super::iter::Range;
use super::{ConcurrentArenaArt, IntoIter};
use crate::ArenaArt;
use crate::error::or_fail;
use crate::tree::ValueTree;
use std::fmt;

impl<T: Send + Sync + 'static> Default for ConcurrentArenaArt<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Send + Sync + 'static> From<ArenaArt<T>> for ConcurrentArenaArt<T> {
    /// Converts in O(keys): the values are moved.
    fn from(map: ArenaArt<T>) -> Self {
        map.into_iter().collect()
    }
}

impl<T: Send + Sync + 'static> From<ConcurrentArenaArt<T>> for ArenaArt<T> {
    /// Converts in O(keys): the values are moved.
    fn from(map: ConcurrentArenaArt<T>) -> Self {
        map.into_arena()
    }
}

impl<K: AsRef<[u8]>, T: Send + Sync + 'static> FromIterator<(K, T)> for ConcurrentArenaArt<T> {
    #[track_caller]
    fn from_iter<I: IntoIterator<Item = (K, T)>>(pairs: I) -> Self {
        ConcurrentArenaArt { tree: or_fail(ValueTree::build(pairs.into_iter())) }
    }
}

impl<K: AsRef<[u8]>, T: Send + Sync + 'static, const N: usize> From<[(K, T); N]>
    for ConcurrentArenaArt<T>
{
    #[track_caller]
    fn from(pairs: [(K, T); N]) -> Self {
        Self::from_iter(pairs)
    }
}

impl<K: AsRef<[u8]>, T: Send + Sync + 'static> Extend<(K, T)> for ConcurrentArenaArt<T> {
    #[track_caller]
    fn extend<I: IntoIterator<Item = (K, T)>>(&mut self, pairs: I) {
        (&*self).extend(pairs);
    }
}

impl<K: AsRef<[u8]>, T: Send + Sync + 'static> Extend<(K, T)> for &ConcurrentArenaArt<T> {
    /// Inserts the pairs one by one, through a shared map.
    #[track_caller]
    fn extend<I: IntoIterator<Item = (K, T)>>(&mut self, pairs: I) {
        for (key, value) in pairs {
            self.insert(key, value);
        }
    }
}

impl<T: Send + Sync + 'static> IntoIterator for ConcurrentArenaArt<T> {
    type Item = (Vec<u8>, T);
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter::new(self.tree)
    }
}

impl<'m, T: Clone + Send + Sync + 'static> IntoIterator for &'m ConcurrentArenaArt<T> {
    type Item = (Vec<u8>, T);
    type IntoIter = Range<'m, T>;

    fn into_iter(self) -> Range<'m, T> {
        self.iter()
    }
}

impl<T: Clone + Send + Sync + 'static> Clone for ConcurrentArenaArt<T> {
    /// Returns a copy of the map and its values, built from a scan while other threads may change
    /// it. The guarantees are those of the [`clone`](crate::ConcurrentArt#method.clone) of a
    /// `ConcurrentArt`.
    ///
    /// # Complexity
    /// O(keys).
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", "x".to_string())]);
    /// let copy = map.clone();
    /// map.remove("a");
    /// assert_eq!(*copy.get("a").unwrap(), "x");
    /// ```
    #[track_caller]
    fn clone(&self) -> Self {
        self.iter().collect()
    }
}

impl<T: fmt::Debug + Send + Sync + 'static> fmt::Debug for ConcurrentArenaArt<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut range, mut map) = (self.iter(), f.debug_map());
        while let Some((key, value)) = range.next_ref() {
            map.entry(&format_args!("\"{}\"", key.escape_ascii()), &*value);
        }
        map.finish()
    }
}
