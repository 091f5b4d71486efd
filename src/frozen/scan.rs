//! `FrozenLayer`: cursors, ranges and parallel iteration.

use super::chunk::Chunk;
use super::cursor::FrozenCursor;
use super::frozen_layer::FrozenLayer;
use super::layer_value::LayerValue;
use super::range::{
    FrozenEnds, FrozenIntoIter, FrozenKeys, FrozenOwnedEnds, FrozenRange, FrozenValues,
};
use crate::face::sealed::Sealed;
use crate::face::{Divide, parallel_iterators};
use crate::key::{self, Prefixed};
use crate::sync::parallel::PooledIter;
use rayon::prelude::*;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

impl<V: LayerValue + ?Sized> Sealed for FrozenLayer<V> {}

impl<V: LayerValue + ?Sized> Divide for FrozenLayer<V> {
    type Ends<'m>
        = FrozenEnds<'m, V>
    where
        V: 'm;

    fn key_count(&self) -> usize {
        self.len()
    }

    /// Returns keys of equally distant ranks.
    fn split_points(&self, ranges: usize) -> Vec<Vec<u8>> {
        let rank = |i: usize| (i as u128 * self.len() as u128 / ranges as u128) as usize;
        (1..ranges).into_par_iter().filter_map(|i| Some(self.select(rank(i))?.0)).collect()
    }

    fn between(&self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> FrozenRange<'_, V> {
        self.range::<[u8], _>((start, end))
    }
}

parallel_iterators! {
    [V: LayerValue<Owned: Send> + ?Sized] FrozenLayer<V>, V::Owned;
}

impl<V: LayerValue + ?Sized> FrozenLayer<V> {
    /// Returns a cursor before the first key.
    pub fn cursor(&self) -> FrozenCursor<'_, V> {
        FrozenCursor::at(&self.layer, 0)
    }

    /// Returns a cursor before the first key that is at least `key`.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1), ("c", 2)])?;
    /// assert_eq!(layer.lower_bound("b").next(), Some((&b"c"[..], 2)));
    /// assert_eq!(layer.upper_bound("a").next(), Some((&b"c"[..], 2)));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn lower_bound(&self, key: impl AsRef<[u8]>) -> FrozenCursor<'_, V> {
        let mut cursor = self.cursor();
        cursor.seek(key);
        cursor
    }

    /// Returns a cursor before the first key that is greater than `key`.
    pub fn upper_bound(&self, key: impl AsRef<[u8]>) -> FrozenCursor<'_, V> {
        let mut cursor = self.cursor();
        cursor.seek_after(key);
        cursor
    }

    /// Returns an iterator over all keys and values, in ascending order; from the back, descending.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1), ("b", 2)])?;
    /// assert!(layer.iter().eq([(b"a".to_vec(), 1), (b"b".to_vec(), 2)]));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn iter(&self) -> FrozenRange<'_, V> {
        self.ranks(0, self.len())
    }

    /// Returns an iterator over the keys in a range of byte strings, with their values.
    ///
    /// A range that ends before it begins is empty. Two lookups.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1), ("b", 2), ("c", 3)])?;
    /// assert!(layer.range("b"..).map(|(_, v)| v).eq([2, 3]));
    /// assert!(layer.range("a"..="b").rev().map(|(_, v)| v).eq([2, 1]));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn range<K, R>(&self, range: R) -> FrozenRange<'_, V>
    where
        K: AsRef<[u8]> + ?Sized,
        R: RangeBounds<K>,
    {
        let (start, end) = key::bounds(&range);
        let (from, to) = self.ranks_between(start, end);
        self.ranks(from, to)
    }

    /// Returns the ranks between two bounds, from and to.
    pub(crate) fn ranks_between(&self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> (usize, usize) {
        let from = match start {
            Bound::Unbounded => 0,
            Bound::Included(key) => self.layer.rank(key, false),
            Bound::Excluded(key) => self.layer.rank(key, true),
        };
        let to = match end {
            Bound::Unbounded => self.len(),
            Bound::Included(key) => self.layer.rank(key, true),
            Bound::Excluded(key) => self.layer.rank(key, false),
        };
        (from, to)
    }

    /// Returns an iterator over a range that is an owner of the layer.
    #[cfg(feature = "sets")]
    pub(crate) fn owned_range(&self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> FrozenIntoIter<V> {
        let (from, to) = self.ranks_between(start, end);
        FrozenIntoIter::new(FrozenOwnedEnds::new(Arc::clone(&self.layer), from, to))
    }

    fn ranks(&self, from: usize, to: usize) -> FrozenRange<'_, V> {
        FrozenRange::new(FrozenEnds::new(&self.layer, from, to))
    }

    /// Returns an iterator over the keys that begin with `prefix`, with their values.
    ///
    /// Its [`len`](ExactSizeIterator::len) is known in advance.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1), ("ab", 2), ("b", 3)])?;
    /// assert_eq!(layer.prefix("a").len(), 2);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> FrozenRange<'_, V> {
        self.range(Prefixed::by(&prefix))
    }

    /// Returns a parallel iterator over the chunks, as ranges in order.
    ///
    /// Unlike rayon's `par_iter` it allows a scan that allocates nothing for each key.
    ///
    /// **Warning:** in a forked process, rayon's `chain` and `skip` need a `ThreadPool` made there.
    pub fn par_chunks(&self) -> impl IndexedParallelIterator<Item = FrozenRange<'_, V>> + '_ {
        let range = |chunk: &Chunk| self.ranks(chunk.start, chunk.start + chunk.len);
        PooledIter(self.layer.chunks.par_iter().map(range))
    }
}

impl<V: LayerValue + ?Sized> FrozenLayer<V> {
    /// Returns an iterator over all keys, as copies, in ascending order; from the back, descending.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1), ("b", 2)])?;
    /// assert!(layer.keys().rev().eq([b"b", b"a"]));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn keys(&self) -> FrozenKeys<'_, V> {
        FrozenKeys { ends: FrozenEnds::new(&self.layer, 0, self.len()) }
    }

    /// Returns an iterator over all values, in the order of their keys.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1), ("b", 2)])?;
    /// assert_eq!(layer.values().sum::<u64>(), 3);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn values(&self) -> FrozenValues<'_, V> {
        FrozenValues::new(&self.layer)
    }
}

impl<V: LayerValue + ?Sized> IntoIterator for FrozenLayer<V> {
    type Item = (Vec<u8>, V::Owned);
    type IntoIter = FrozenIntoIter<V>;

    fn into_iter(self) -> FrozenIntoIter<V> {
        let len = self.len();
        FrozenIntoIter::new(FrozenOwnedEnds::new(self.layer, 0, len))
    }
}

impl<V: LayerValue<Owned: PartialEq> + ?Sized> PartialEq for FrozenLayer<V> {
    /// Returns whether both layers have the same keys and values, however they are encoded.
    ///
    /// # Complexity
    /// O(keys) if both have as many keys.
    fn eq(&self, other: &Self) -> bool {
        if Arc::ptr_eq(&self.layer, &other.layer) {
            return true;
        }
        let (mut a, mut b) = (self.iter(), other.iter());
        let mut next_are_equal = || match (a.next_ref(), b.next_ref()) {
            (Some(a), Some(b)) => a.0 == b.0 && V::equal(a.1, b.1),
            _ => false,
        };
        self.len() == other.len() && (0..self.len()).all(|_| next_are_equal())
    }
}

impl<V: LayerValue<Owned: Eq> + ?Sized> Eq for FrozenLayer<V> {}

impl<'a, V: LayerValue + ?Sized> IntoIterator for &'a FrozenLayer<V> {
    type Item = (Vec<u8>, V::Owned);
    type IntoIter = FrozenRange<'a, V>;

    fn into_iter(self) -> FrozenRange<'a, V> {
        self.iter()
    }
}
