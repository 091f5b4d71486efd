//! `FrozenRange`: iterates over a range of ranks, from both ends.

#![forbid(unsafe_code)]

use super::layer::Layer;
use super::window::Window;
use std::fmt;
use std::iter::FusedIterator;

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
