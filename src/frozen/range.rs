//! `FrozenRange`: iterates over a range of ranks, from both ends.

use super::layer::Layer;
use super::number::unpack;
use super::window::Window;
use crate::face::sealed::Sealed;
use crate::face::{Ends, ExactEnds, OwnedEnds, Range};
use crate::value::Value;
use std::marker::PhantomData;

/// An iterator over the keys in a range, as copies, with their values. From the back, in descending
/// order.
///
/// Returned by [`FrozenLayer::range`](crate::FrozenLayer::range),
/// [`prefix`](crate::FrozenLayer::prefix) and [`iter`](crate::FrozenLayer::iter).
/// [`next_ref`](Range::next_ref) and [`next_back_ref`](Range::next_back_ref) return the same keys
/// without a copy. The length is known, and [`nth`](Iterator::nth) skips without decoding.
///
/// **Warning:** keys of a damaged chunk may be missing if the layer is a mapped file that was not
/// [verified](crate::FrozenLayer::verify).
///
/// ```
/// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1), ("b", 2), ("c", 3)])?;
/// let mut range = layer.range("b"..);
/// assert_eq!(range.len(), 2);
/// assert_eq!(range.next_ref(), Some((&b"b"[..], 2)));
/// assert_eq!(range.next_back(), Some((b"c".to_vec(), 3)));
/// assert_eq!(range.next_ref(), None);
/// # Ok::<(), memkv::FrozenError>(())
/// ```
pub type FrozenRange<'a, V = u64> = Range<FrozenEnds<'a, V>>;

/// Both ends of a range of a [`FrozenLayer`](crate::FrozenLayer).
#[expect(missing_debug_implementations, reason = "no user holds one")]
#[derive(Clone)]
pub struct FrozenEnds<'a, V = u64> {
    front: Window<'a>,
    back: Window<'a>,
    from: usize,
    to: usize,
    values: PhantomData<fn() -> V>,
}

impl<'a, V> FrozenEnds<'a, V> {
    pub(super) fn new(layer: &'a Layer, from: usize, to: usize) -> Self {
        let (front, back) = (Window::new(layer), Window::new(layer));
        FrozenEnds { front, back, from, to: to.max(from), values: PhantomData }
    }

    fn len(&self) -> usize {
        self.to - self.from
    }
}

impl<V> Sealed for FrozenEnds<'_, V> {}

impl<V: Value> Ends for FrozenEnds<'_, V> {
    type Value<'w>
        = V
    where
        Self: 'w;

    #[inline]
    fn step(&mut self, back: bool) -> Option<(&[u8], V)> {
        if self.from >= self.to {
            return None;
        }
        // The iteration ends at a damaged chunk.
        let found = if back {
            let found = self.back.get(self.to - 1);
            self.to = if found.is_some() { self.to - 1 } else { self.from };
            found
        } else {
            let found = self.front.get(self.from);
            self.from = if found.is_some() { self.from + 1 } else { self.to };
            found
        };
        found.map(|(key, value)| (key, unpack(value)))
    }

    fn skip(&mut self, n: usize, back: bool) {
        let n = n.min(self.len());
        if back {
            self.to -= n;
        } else {
            self.from += n;
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

impl<V: Value> OwnedEnds for FrozenEnds<'_, V> {
    type Owned = V;

    #[inline]
    fn own(value: V) -> V {
        value
    }
}

impl<V: Value> ExactEnds for FrozenEnds<'_, V> {}
