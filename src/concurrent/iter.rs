//! Cursors and ranges of a `ConcurrentArt`.

use super::ConcurrentArt;
use crate::face::{self, SharedEnds, SharedWalk};
use crate::tree::{LeafRun, Position, ScanSource};
use crate::value::Value;
use std::ops::Bound;

/// A position in a [`ConcurrentArt`].
///
/// Between two steps it holds neither a pin nor memory of the map, so it may be kept for any time,
/// and sent to another thread. It takes at most 32 KiB, or one leaf if that is more.
///
/// # Guarantees
/// * A step returns a pair that was in the map at a moment since the scan reached its leaf. Up to
///   30 KiB of leaves are read ahead.
/// * A key that is present for the whole scan is returned exactly once and in order. A key that is
///   inserted or removed during the scan may be returned or not.
/// * What the scanning thread itself changed before a step, the step sees.
///
/// A step in another direction than the one before takes a lookup. So does the first step after a
/// change that the thread made to any shared map.
///
/// ```
/// let map = memkv::ConcurrentArt::from([("a", 1u64), ("b", 2), ("c", 3)]);
/// let mut cursor = map.cursor();
/// cursor.seek("b");
/// assert_eq!(cursor.next(), Some((&b"b"[..], 2)));
/// map.insert("bb", 22);
/// assert_eq!(cursor.next(), Some((&b"bb"[..], 22)));
/// assert_eq!(cursor.prev(), Some((&b"bb"[..], 22)));
/// assert_eq!(cursor.prev(), Some((&b"b"[..], 2)));
/// ```
pub type Cursor<'m, V> = face::Cursor<SharedWalk<'m, ConcurrentArt<V>, V>>;

/// An iterator over a range of a [`ConcurrentArt`].
///
/// Returned by [`ConcurrentArt::range`], [`prefix`](ConcurrentArt::prefix) and
/// [`iter`](ConcurrentArt::iter). The guarantees are those of [`Cursor`]. It takes at most 64 KiB,
/// or two leaves if that is more.
pub type Range<'m, V> = face::Range<SharedEnds<'m, ConcurrentArt<V>, V>>;

impl<V: Value> ScanSource for &ConcurrentArt<V> {
    type Bits = V::Bits;

    fn read_run(
        &mut self,
        run: &mut LeafRun<V::Bits>,
        from: Position<'_>,
        limit: Bound<&[u8]>,
    ) -> bool {
        (&self.tree).read_run(run, from, limit)
    }
}
