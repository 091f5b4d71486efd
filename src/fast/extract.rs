//! `extract_if`: removal of keys while an iterator returns them.

use super::FastArt;
use crate::error::or_fail;
use crate::key;
use crate::tree::WriteCursor;
use crate::value::Value;
use std::iter::{self, FusedIterator};
use std::ops::{Bound, RangeBounds};

/// The rest of a range whose keys are visited, and some of them removed.
///
/// Nothing refers to nodes between two keys that go, since each removal replaces a node.
pub(crate) struct Extract {
    /// The walk continues at the first key that is at least this one; `None` at the end.
    from: Option<Vec<u8>>,
    end: Bound<Vec<u8>>,
}

/// Returns the least byte string that is not before a range.
pub(super) fn first_from(start: Bound<&[u8]>) -> Vec<u8> {
    match start {
        Bound::Unbounded => Vec::new(),
        Bound::Included(key) => key.to_vec(),
        Bound::Excluded(key) => [key, &[0]].concat(),
    }
}

impl Extract {
    pub(crate) fn new(start: Bound<&[u8]>, end: Bound<&[u8]>) -> Self {
        let from = (!key::is_empty(start, end)).then(|| first_from(start));
        Extract { from, end: end.map(<[u8]>::to_vec) }
    }

    /// Removes and returns the next key for which `goes` returns `true`. `goes` may change values.
    ///
    /// If `goes` panics, the walk is at its end.
    pub(crate) fn next<V: Value>(
        &mut self,
        map: &mut FastArt<V>,
        mut goes: impl FnMut(&[u8], &mut V) -> bool,
    ) -> Option<(Vec<u8>, V)> {
        let mut from = self.from.take()?;
        let rest = (Bound::Unbounded, self.end.as_ref().map(Vec::as_slice));
        let mut cursor = WriteCursor::new(&mut map.tree, &from);
        while let Some((key, bits)) = cursor.next() {
            if !rest.contains(key) {
                break;
            }
            let mut value = V::from_bits(bits);
            if goes(key, &mut value) {
                let key = key.to_vec();
                from.clear();
                from.extend_from_slice(&key);
                self.from = Some(from);
                or_fail(map.tree.remove(&key));
                return Some((key, value));
            }
            cursor.set(value.into_bits());
        }
        None
    }
}

impl<V: Value> FastArt<V> {
    /// Returns an iterator that visits the keys of a range in ascending order, and removes and
    /// returns those for which `goes` returns `true`.
    ///
    /// `goes` may change the values, also those that stay. Keys that the iterator has not visited
    /// when it is dropped stay in the map. [`retain`](Self::retain) is faster if the removed keys
    /// are not needed.
    ///
    /// # Complexity
    /// O(keys visited), and a search and a removal for each key that goes.
    ///
    /// ```
    /// let mut map: memkv::FastArt = (0..8u64).map(|i| ([i as u8], i)).collect();
    /// let odd = map.extract_if([2].., |_, value| *value % 2 == 1);
    /// assert!(odd.map(|(_, value)| value).eq([3, 5, 7]));
    /// assert!(map.values().eq([0, 1, 2, 4, 6]));
    /// ```
    pub fn extract_if<K: AsRef<[u8]> + ?Sized, R: RangeBounds<K>>(
        &mut self,
        range: R,
        mut goes: impl FnMut(&[u8], &mut V) -> bool,
    ) -> impl FusedIterator<Item = (Vec<u8>, V)> {
        let (start, end) = key::bounds(&range);
        let mut extract = Extract::new(start, end);
        iter::from_fn(move || extract.next(self, &mut goes)).fuse()
    }
}
