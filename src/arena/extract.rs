//! `extract_if`: removal of keys while an iterator returns them with their values.

use super::ArenaArt;
use crate::fast::Extract;
use crate::key;
use std::iter::{self, FusedIterator};
use std::ops::RangeBounds;

impl<T> ArenaArt<T> {
    /// Returns an iterator that visits the keys of a range in ascending order, and removes and
    /// returns those for which `goes` returns `true`, with their values.
    ///
    /// `goes` may change the values, also those that stay. Keys that the iterator has not visited
    /// when it is dropped stay in the map. [`retain`](Self::retain) is faster if the removed keys
    /// are not needed.
    ///
    /// # Complexity
    /// That of [`FastArt::extract_if`](crate::FastArt::extract_if).
    ///
    /// ```
    /// let mut map = memkv::ArenaArt::from([("a", "x"), ("b", ""), ("c", "")]);
    /// let blank = map.extract_if("b".., |_, value| value.is_empty());
    /// assert_eq!(blank.count(), 2);
    /// assert_eq!(map.len(), 1);
    /// ```
    pub fn extract_if<K: AsRef<[u8]> + ?Sized, R: RangeBounds<K>>(
        &mut self,
        range: R,
        mut goes: impl FnMut(&[u8], &mut T) -> bool,
    ) -> impl FusedIterator<Item = (Vec<u8>, T)> {
        let (start, end) = key::bounds(&range);
        let mut extract = Extract::new(start, end);
        let ArenaArt { index, values } = self;
        let next = move || {
            let goes = |key: &[u8], slot: &mut u32| goes(key, values.get_mut(*slot));
            let (key, slot) = extract.next(index, goes)?;
            Some((key, values.remove(slot)))
        };
        iter::from_fn(next).fuse()
    }
}
