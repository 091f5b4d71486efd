//! Cursors, and the iterators on them.

#![forbid(unsafe_code)]

use super::FrozenLayer;
use super::decoded_block::DecodedBlock;
use super::layer::Layer;
use std::fmt;
use std::iter::FusedIterator;

/// Some decoded keys, around the last one that was asked for.
#[derive(Clone)]
struct Window<'a> {
    layer: &'a Layer,
    /// The chunk and the block that are decoded.
    chunk: usize,
    block: usize,
    /// The rank of the run's first key.
    start: usize,
    run: DecodedBlock,
}

impl<'a> Window<'a> {
    fn new(layer: &'a Layer) -> Self {
        Window { layer, chunk: 0, block: 0, start: 0, run: DecodedBlock::default() }
    }

    /// Where the key of a rank is in the run.
    #[inline(always)]
    fn place(&mut self, rank: usize) -> Option<usize> {
        match rank.checked_sub(self.start) {
            Some(i) if i < self.run.len() => Some(i),
            _ => self.load(rank),
        }
    }

    /// The key of a rank, and its value.
    #[inline(always)]
    fn get(&mut self, rank: usize) -> Option<(&[u8], u64)> {
        let i = self.place(rank)?;
        let chunk = self.layer.chunks.get(self.chunk)?;
        Some((self.run.key(i)?, chunk.value(rank.checked_sub(chunk.start)?)?))
    }

    fn load(&mut self, rank: usize) -> Option<usize> {
        let inside = |chunk: usize| {
            self.layer.chunks.get(chunk).is_some_and(|c| c.start <= rank && rank - c.start < c.len)
        };
        let loaded = self.run.len() > 0;
        let at = if inside(self.chunk) { self.chunk } else { self.layer.chunk_at(rank)? };
        let chunk = self.layer.chunks.get(at)?;
        let keys = self.layer.codec.keys_per_block();
        let block = (rank - chunk.start) / keys;
        let follows = loaded && at == self.chunk && block == self.block + 1;
        (self.chunk, self.block, self.start) = (at, block, chunk.start + block * keys);
        if chunk
            .read(self.layer.codec, &self.layer.decoder, block, follows, &mut self.run)
            .is_none()
        {
            self.run.clear(&[]);
            return None;
        }
        let i = rank - self.start;
        (i < self.run.len()).then_some(i)
    }
}

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

/// The keys inside a range, as copies, with their values; from the back, descending. From [`FrozenLayer::range`],
/// [`prefix`](FrozenLayer::prefix) and [`iter`](FrozenLayer::iter).
///
/// [`lend`](Self::lend) and [`lend_back`](Self::lend_back) give the same keys without a copy. Its length is known, and
/// [`nth`](Iterator::nth) skips without decoding.
///
/// Of a damaged chunk of a mapped file that was not [verified](FrozenLayer::verify), keys may be missing.
#[derive(Clone)]
pub struct FrozenRange<'a> {
    front: Window<'a>,
    back: Window<'a>,
    from: usize,
    to: usize,
}

impl<'a> FrozenRange<'a> {
    pub(super) fn new(layer: &'a Layer, from: usize, to: usize) -> Self {
        FrozenRange { front: Window::new(layer), back: Window::new(layer), from, to: to.max(from) }
    }

    /// The next key, lent until the next call, and its value.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1), ("b", 2)])?;
    /// let mut range = layer.prefix("a");
    /// assert_eq!(range.lend(), Some((&b"a"[..], 1)));
    /// assert_eq!(range.lend(), None);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    #[inline]
    pub fn lend(&mut self) -> Option<(&[u8], u64)> {
        if self.from >= self.to {
            return None;
        }
        let found = self.front.get(self.from);
        // Behind a damaged chunk it goes nowhere.
        self.from = if found.is_some() { self.from + 1 } else { self.to };
        found
    }

    /// The next key from the back, lent until the next call, and its value.
    #[inline]
    pub fn lend_back(&mut self) -> Option<(&[u8], u64)> {
        if self.from >= self.to {
            return None;
        }
        let found = self.back.get(self.to - 1);
        self.to = if found.is_some() { self.to - 1 } else { self.from };
        found
    }
}

impl Iterator for FrozenRange<'_> {
    type Item = (Vec<u8>, u64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.lend().map(|(key, value)| (key.to_vec(), value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.to - self.from, Some(self.to - self.from))
    }

    fn count(self) -> usize {
        self.to - self.from
    }

    fn last(mut self) -> Option<Self::Item> {
        self.next_back()
    }

    fn nth(&mut self, n: usize) -> Option<Self::Item> {
        self.from = self.from.saturating_add(n).min(self.to);
        self.next()
    }

    fn min(mut self) -> Option<Self::Item>
    where
        Self::Item: Ord,
    {
        self.next()
    }

    fn max(mut self) -> Option<Self::Item>
    where
        Self::Item: Ord,
    {
        self.next_back()
    }
}

impl DoubleEndedIterator for FrozenRange<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        self.lend_back().map(|(key, value)| (key.to_vec(), value))
    }

    fn nth_back(&mut self, n: usize) -> Option<Self::Item> {
        self.to = self.to.saturating_sub(n).max(self.from);
        self.next_back()
    }
}

impl ExactSizeIterator for FrozenRange<'_> {}
impl FusedIterator for FrozenRange<'_> {}

impl fmt::Debug for FrozenRange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        let mut range = self.clone();
        while let Some((key, value)) = range.lend() {
            map.entry(&format_args!("\"{}\"", key.escape_ascii()), &value);
        }
        map.finish()
    }
}

impl<'a> IntoIterator for &'a FrozenLayer {
    type Item = (Vec<u8>, u64);
    type IntoIter = FrozenRange<'a>;

    fn into_iter(self) -> FrozenRange<'a> {
        self.iter()
    }
}
