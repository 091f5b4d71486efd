//! `FrozenCursor`: a position between two keys.

use super::layer::Layer;
use super::window::Window;
use std::fmt;

/// A position between two keys of a layer, which moves in both directions and to any key or rank.
///
/// The key that it returns is a slice of its own buffer and valid until the next move. So a scan
/// allocates nothing for each key, but a cursor is no [`Iterator`]. Keys are decoded a block at a
/// time. Returned by [`FrozenLayer::cursor`](crate::FrozenLayer::cursor),
/// [`lower_bound`](crate::FrozenLayer::lower_bound) and
/// [`upper_bound`](crate::FrozenLayer::upper_bound).
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
#[derive(Clone)]
pub struct FrozenCursor<'a> {
    window: Window<'a>,
    rank: usize,
}

impl<'a> FrozenCursor<'a> {
    pub(super) fn new(layer: &'a Layer, rank: usize) -> Self {
        FrozenCursor { window: Window::new(layer), rank }
    }

    /// Returns the number of keys before the cursor.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Moves before the first key that is at least `key`. One lookup.
    pub fn seek(&mut self, key: impl AsRef<[u8]>) {
        self.rank = self.window.layer.search(key.as_ref()).unwrap_or_else(|rank| rank);
    }

    /// Moves before the first key that is greater than `key`. One lookup.
    pub fn seek_after(&mut self, key: impl AsRef<[u8]>) {
        self.rank =
            self.window.layer.search(key.as_ref()).map_or_else(|rank| rank, |rank| rank + 1);
    }

    /// Moves before the key of a rank, or after the last key. O(1).
    pub fn seek_to_rank(&mut self, rank: usize) {
        self.rank = rank.min(self.window.layer.len);
    }

    /// Returns the next key, borrowed until the next move, and its value. Moves after it.
    #[inline]
    #[expect(
        clippy::should_implement_trait,
        reason = "the borrowed key is valid until the next move only"
    )]
    pub fn next(&mut self) -> Option<(&[u8], u64)> {
        let found = self.window.get(self.rank)?;
        self.rank += 1;
        Some(found)
    }

    /// Returns the key before, borrowed until the next move, and its value. Moves before it.
    #[inline]
    pub fn prev(&mut self) -> Option<(&[u8], u64)> {
        let rank = self.rank.checked_sub(1)?;
        let found = self.window.get(rank)?;
        self.rank = rank;
        Some(found)
    }

    /// Returns the next key and its value without a move.
    pub fn peek(&mut self) -> Option<(&[u8], u64)> {
        self.window.get(self.rank)
    }

    /// Returns the lcp of the next key and the key, without a move. Where the lcp is unknown, a
    /// smaller number is returned.
    pub(super) fn peek_shared(&mut self) -> Option<(usize, &[u8])> {
        let i = self.window.position(self.rank)?;
        Some((self.window.decoded.lcp(i)?, self.window.decoded.key(i)?))
    }

    /// Skips the next keys of the same block whose lcp is at least `depth`. Returns false if the
    /// block ends first.
    pub(super) fn skip_shared(&mut self, depth: usize) -> bool {
        let Some(first) = self.rank.checked_sub(self.window.start) else { return false };
        for i in first..self.window.decoded.len() {
            if self.window.decoded.lcp(i).is_none_or(|lcp| lcp < depth) {
                return true;
            }
            self.rank += 1;
        }
        false
    }
}

impl fmt::Debug for FrozenCursor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrozenCursor").field("rank", &self.rank).finish_non_exhaustive()
    }
}
