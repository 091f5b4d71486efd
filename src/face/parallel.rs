//! The parallel iterator of all maps.

use super::sealed::Sealed;
use super::{OwnedEnds, Range};
use crate::sync::parallel::in_pool;
use rayon::iter::plumbing::UnindexedConsumer;
use rayon::prelude::*;
use std::fmt;
use std::ops::Bound;

/// Keys of a range, about. Fewer are not worth the two searches for the ends of the range.
const KEYS_PER_RANGE: usize = 256;
/// Ranges for each thread, so that threads whose ranges end early take some of the others'.
const RANGES_PER_THREAD: usize = 32;

/// A map that divides into ranges. Sealed.
pub trait Divide: Sealed + Sync {
    /// The ends of a range.
    type Ends<'m>: OwnedEnds
    where
        Self: 'm;

    /// Returns the number of keys, which need not be exact while threads change the map.
    #[doc(hidden)]
    fn key_count(&self) -> usize;

    /// Returns ascending keys that divide the map into about `ranges` ranges of about equal length.
    #[doc(hidden)]
    fn split_points(&self, ranges: usize) -> Vec<Vec<u8>>;

    /// Returns the range between two bounds.
    #[doc(hidden)]
    fn between(&self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Range<Self::Ends<'_>>;
}

/// Returns the bounds of one of the ranges that `points` divide a map into.
pub(crate) fn span(points: &[Vec<u8>], range: usize) -> (Bound<&[u8]>, Bound<&[u8]>) {
    let start = range.checked_sub(1).map_or(Bound::Unbounded, |i| Bound::Included(&points[i][..]));
    (start, points.get(range).map_or(Bound::Unbounded, |end| Bound::Excluded(&end[..])))
}

/// A parallel iterator over all keys of a map, as copies, and their values. Returned by the
/// `IntoParallelIterator` of borrowed maps, so also by rayon's `par_iter`.
///
/// The threads of rayon's pool scan ranges of neighbouring keys. What is collected is in ascending
/// order of the keys. The guarantees beside threads that change the map are those of its scans.
///
/// **Warning:** in a forked process, rayon's `chain` needs a `ThreadPool` made there.
///
/// ```
/// use rayon::prelude::*;
///
/// let map: memkv::FastArt = (0..10_000u64).map(|i| (i.to_be_bytes(), i)).collect();
/// assert_eq!(map.par_iter().map(|(_key, value)| value).sum::<u64>(), 49_995_000);
/// assert!(map.par_iter().collect::<Vec<_>>().into_iter().eq(&map));
/// ```
pub struct ParIter<'m, M: ?Sized> {
    map: &'m M,
}

impl<'m, M: ?Sized> ParIter<'m, M> {
    pub(crate) fn new(map: &'m M) -> Self {
        ParIter { map }
    }
}

impl<M: ?Sized> Clone for ParIter<'_, M> {
    fn clone(&self) -> Self {
        ParIter { map: self.map }
    }
}

impl<M: fmt::Debug + ?Sized> fmt::Debug for ParIter<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ParIter").field(&self.map).finish()
    }
}

impl<'m, M: Divide + ?Sized> ParallelIterator for ParIter<'m, M>
where
    <M::Ends<'m> as OwnedEnds>::Owned: Send,
{
    type Item = (Vec<u8>, <M::Ends<'m> as OwnedEnds>::Owned);

    fn drive_unindexed<C: UnindexedConsumer<Self::Item>>(self, consumer: C) -> C::Result {
        let map = self.map;
        in_pool(|| {
            let most = RANGES_PER_THREAD * rayon::current_num_threads();
            let points = map.split_points((map.key_count() / KEYS_PER_RANGE).clamp(1, most));
            let range = |i| {
                let (start, end) = span(&points, i);
                map.between(start, end)
            };
            (0..=points.len()).into_par_iter().flat_map_iter(range).drive_unindexed(consumer)
        })
    }
}

/// `IntoParallelIterator` for borrowed maps: `[generics of the map] map, value`.
macro_rules! parallel_iterators {
    ($([$($generic:tt)*] $map:ty, $value:ty;)*) => {$(
        impl<'m, $($generic)*> rayon::iter::IntoParallelIterator for &'m $map {
            type Item = (Vec<u8>, $value);
            type Iter = $crate::face::ParIter<'m, $map>;

            fn into_par_iter(self) -> Self::Iter {
                $crate::face::ParIter::new(self)
            }
        }
    )*};
}
pub(crate) use parallel_iterators;
