//! `FrozenRange`: iterates over a range of ranks, from both ends.

use super::layer::Layer;
use super::window::Window;
use std::fmt;
use std::iter::FusedIterator;

/// An iterator over the keys in a range, as copies, with their values. From the back, in descending
/// order.
///
/// Returned by [`FrozenLayer::range`](crate::FrozenLayer::range),
/// [`prefix`](crate::FrozenLayer::prefix) and [`iter`](crate::FrozenLayer::iter).
/// [`next_ref`](Self::next_ref) and [`next_back_ref`](Self::next_back_ref) return the same keys
/// without a copy. The length is known, and [`nth`](Iterator::nth) skips without decoding.
///
/// **Warning:** keys of a damaged chunk may be missing if the layer is a mapped file that was not
/// [verified](crate::FrozenLayer::verify).
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

    /// Returns the next key, borrowed until the next call, and its value.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1), ("b", 2)])?;
    /// let mut range = layer.prefix("a");
    /// assert_eq!(range.next_ref(), Some((&b"a"[..], 1)));
    /// assert_eq!(range.next_ref(), None);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    #[inline]
    pub fn next_ref(&mut self) -> Option<(&[u8], u64)> {
        if self.from >= self.to {
            return None;
        }
        let found = self.front.get(self.from);
        // The iteration ends at a damaged chunk.
        self.from = if found.is_some() { self.from + 1 } else { self.to };
        found
    }

    /// Returns the next key from the back, borrowed until the next call, and its value.
    #[inline]
    pub fn next_back_ref(&mut self) -> Option<(&[u8], u64)> {
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
        self.next_ref().map(|(key, value)| (key.to_vec(), value))
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
        self.next_back_ref().map(|(key, value)| (key.to_vec(), value))
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
        while let Some((key, value)) = range.next_ref() {
            map.entry(&format_args!("\"{}\"", key.escape_ascii()), &value);
        }
        map.finish()
    }
}
