//! `FrozenCursor`: a position between two keys.

#![forbid(unsafe_code)]

use super::layer::Layer;
use super::window::Window;
use std::fmt;

/// A position between two keys of a layer, which steps in both directions and goes to any key or rank.
///
/// The key it hands out is a slice of its own buffer, valid until the next step: a scan allocates nothing for each key, but a cursor is no
/// [`Iterator`]. Keys are decoded a block at a time. From [`FrozenLayer::cursor`], [`lower_bound`](FrozenLayer::lower_bound) and
/// [`upper_bound`](FrozenLayer::upper_bound).
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

    /// How many keys are before the cursor.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Goes before the first key that is at least `key`. One lookup.
    pub fn seek(&mut self, key: impl AsRef<[u8]>) {
        self.rank = self.window.layer.search(key.as_ref()).unwrap_or_else(|rank| rank);
    }

    /// Goes before the first key that is greater than `key`. One lookup.
    pub fn seek_after(&mut self, key: impl AsRef<[u8]>) {
        self.rank =
            self.window.layer.search(key.as_ref()).map_or_else(|rank| rank, |rank| rank + 1);
    }

    /// Goes before the key of a rank, or behind the last key. O(1).
    pub fn seek_to_rank(&mut self, rank: usize) {
        self.rank = rank.min(self.window.layer.len);
    }

    /// Steps over the next key, and lends it with its value.
    #[inline]
    #[expect(
        clippy::should_implement_trait,
        reason = "what it lends lives until the next step only"
    )]
    pub fn next(&mut self) -> Option<(&[u8], u64)> {
        let found = self.window.get(self.rank)?;
        self.rank += 1;
        Some(found)
    }

    /// Steps back over the key before, and lends it with its value.
    #[inline]
    pub fn prev(&mut self) -> Option<(&[u8], u64)> {
        let rank = self.rank.checked_sub(1)?;
        let found = self.window.get(rank)?;
        self.rank = rank;
        Some(found)
    }

    /// The next key and its value, without a step.
    pub fn peek(&mut self) -> Option<(&[u8], u64)> {
        self.window.get(self.rank)
    }

    /// What the next key shares with the one before, or less where that is not known; and the rest.
    pub(super) fn peek_shared(&mut self) -> Option<(usize, &[u8])> {
        let i = self.window.place(self.rank)?;
        Some((self.window.run.lcp(i)?, self.window.run.key(i)?))
    }

    /// Steps over the next keys of the same block that share at least `depth` bytes with the one before each. False where the block ends before.
    pub(super) fn skip_shared(&mut self, depth: usize) -> bool {
        let Some(first) = self.rank.checked_sub(self.window.start) else { return false };
        for i in first..self.window.run.len() {
            if self.window.run.lcp(i).is_none_or(|lcp| lcp < depth) {
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
