//! `FrozenCursor`: a position between two keys.

use super::layer::Layer;
use super::layer_value::LayerValue;
use super::window::Window;
use crate::face::sealed::Sealed;
use crate::face::{Cursor, Walk};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

/// A position between two keys of a layer, which moves in both directions and to any key or rank.
///
/// The key that it returns is a slice of its own buffer and valid until the next move. So a scan
/// allocates nothing for each key, but a cursor is no [`Iterator`]. Keys are decoded a block at a
/// time. Returned by [`FrozenLayer::cursor`](crate::FrozenLayer::cursor),
/// [`lower_bound`](crate::FrozenLayer::lower_bound) and
/// [`upper_bound`](crate::FrozenLayer::upper_bound).
///
/// # Complexity
/// [`seek`](Cursor::seek) and [`seek_after`](Cursor::seek_after) are one lookup, other moves O(1).
///
/// ```
/// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1), ("b", 2), ("c", 3)])?;
/// let mut cursor = layer.cursor();
/// cursor.seek("b");
/// assert_eq!(cursor.next(), Some((&b"b"[..], 2)));
/// assert_eq!(cursor.rank(), 2);
/// assert_eq!(cursor.prev(), Some((&b"b"[..], 2)));
/// # Ok::<(), memkv::FrozenError>(())
/// ```
pub type FrozenCursor<'a, V = u64> = Cursor<FrozenWalk<'a, V>>;

/// A position in a [`FrozenLayer`](crate::FrozenLayer).
#[expect(missing_debug_implementations, reason = "no user holds one")]
pub struct FrozenWalk<'a, V: ?Sized = u64> {
    layer: &'a Layer,
    window: Window,
    rank: usize,
    values: PhantomData<fn(&V)>,
}

impl<V: ?Sized> Clone for FrozenWalk<'_, V> {
    fn clone(&self) -> Self {
        let FrozenWalk { layer, ref window, rank, values } = *self;
        FrozenWalk { layer, window: window.clone(), rank, values }
    }
}

impl<V: ?Sized> Sealed for FrozenWalk<'_, V> {}

impl<V: LayerValue + ?Sized> Walk for FrozenWalk<'_, V> {
    type Value<'w>
        = V::Lent<'w>
    where
        Self: 'w;

    fn seek(&mut self, key: &[u8], after: bool) {
        self.rank = self.layer.rank(key, after);
    }

    fn seek_to_last(&mut self) {
        self.rank = self.layer.len;
    }

    // Always: else a scan tests its direction at each key, some 10 % of its instructions.
    #[inline(always)]
    fn step(&mut self, back: bool) -> Option<(&[u8], V::Lent<'_>)> {
        let at = if back { self.rank.checked_sub(1)? } else { self.rank };
        let found = self.window.get::<V>(self.layer, at)?;
        self.rank = if back { at } else { at + 1 };
        Some(found)
    }

    fn describe(&self, output: &mut fmt::DebugStruct<'_, '_>) {
        output.field("rank", &self.rank);
    }
}

/// Cursors of a [`FrozenLayer`](crate::FrozenLayer) know their rank, and can look ahead.
impl<'a, V: LayerValue + ?Sized> Cursor<FrozenWalk<'a, V>> {
    pub(super) fn at(layer: &'a Layer, rank: usize) -> Self {
        Cursor::new(FrozenWalk { layer, window: Window::default(), rank, values: PhantomData })
    }

    /// Returns the number of keys before the cursor.
    pub fn rank(&self) -> usize {
        self.walk.rank
    }

    /// Moves before the key of a rank, or after the last key. O(1).
    pub fn seek_to_rank(&mut self, rank: usize) {
        self.walk.rank = rank.min(self.walk.layer.len);
    }

    /// Moves before the first key that is at least `key`, or to the nearest of the ranks. A chunk
    /// after them is not searched.
    pub(super) fn seek_within(&mut self, key: &[u8], ranks: Range<usize>) {
        self.walk.rank = self.walk.layer.rank_within(key, ranks);
    }

    /// Returns the next key and its value without a move.
    pub fn peek(&mut self) -> Option<(&[u8], V::Lent<'_>)> {
        let FrozenWalk { layer, window, rank, .. } = &mut self.walk;
        window.get::<V>(layer, *rank)
    }

    /// Returns the next key, after a [`peek_shared`](Self::peek_shared) without a move.
    #[inline]
    pub(super) fn peeked_key(&self) -> &[u8] {
        let FrozenWalk { window, rank, .. } = &self.walk;
        rank.checked_sub(window.start).and_then(|i| window.decoded.key(i)).unwrap_or_default()
    }

    /// Returns the lcp of the next key and the key, without a move. Where the lcp is unknown, a
    /// smaller number is returned.
    pub(super) fn peek_shared(&mut self) -> Option<(usize, &[u8])> {
        let FrozenWalk { layer, window, rank, .. } = &mut self.walk;
        let i = window.position(layer, *rank)?;
        Some((window.decoded.lcp(i)?, window.decoded.key(i)?))
    }

    /// Skips the next keys of the same block whose lcp is at least `depth`. Returns false if the
    /// block ends first.
    pub(super) fn skip_shared(&mut self, depth: usize) -> bool {
        let FrozenWalk { window, rank, .. } = &mut self.walk;
        let Some(first) = rank.checked_sub(window.start) else { return false };
        for i in first..window.decoded.len() {
            if window.decoded.lcp(i).is_none_or(|lcp| lcp < depth) {
                return true;
            }
            *rank += 1;
        }
        false
    }
}
