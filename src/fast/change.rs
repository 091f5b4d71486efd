//! Changes of many values in place.

use super::FastArt;
use super::extract::first_from;
use crate::key;
use crate::tree::WriteCursor;
use crate::value::Value;
use std::ops::{Bound, RangeBounds};

impl<V: Value> FastArt<V> {
    /// Calls `change` for all keys in ascending order, with their values, which it may change.
    ///
    /// A value is copied out of its node and back, so there is no iterator over mutable references.
    /// If `change` panics, the value passed to it stays as it was.
    ///
    /// ```
    /// let mut map = memkv::FastArt::from([("a", 1u64), ("b", 2)]);
    /// map.for_each_mut(|_, value| *value *= 10);
    /// assert!(map.values().eq([10, 20]));
    /// ```
    pub fn for_each_mut(&mut self, change: impl FnMut(&[u8], &mut V)) {
        self.range_for_each_mut::<[u8], _>(.., change);
    }

    /// Calls `change` for the keys in a range like [`for_each_mut`](Self::for_each_mut).
    ///
    /// # Complexity
    /// One search, and O(keys in the range).
    ///
    /// ```
    /// let mut map = memkv::FastArt::from([("a", 1u64), ("b", 2), ("c", 3)]);
    /// map.range_for_each_mut("b".., |_, value| *value = 0);
    /// assert!(map.values().eq([1, 0, 0]));
    /// ```
    pub fn range_for_each_mut<K: AsRef<[u8]> + ?Sized, R: RangeBounds<K>>(
        &mut self,
        range: R,
        mut change: impl FnMut(&[u8], &mut V),
    ) {
        let (start, end) = key::bounds(&range);
        if key::is_empty(start, end) {
            return;
        }
        let rest = (Bound::Unbounded, end);
        let mut cursor = WriteCursor::new(&mut self.tree, &first_from(start));
        while let Some((key, bits)) = cursor.next() {
            if !rest.contains(key) {
                break;
            }
            let mut value = V::from_bits(bits);
            change(key, &mut value);
            cursor.set(value.into_bits());
        }
    }
}
