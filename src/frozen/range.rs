//! `FrozenRange`: iterates over a range of ranks, from both ends.

use super::layer::Layer;
use super::layer_value::LayerValue;
use super::window::Window;
use crate::face::sealed::Sealed;
use crate::face::{Ends, ExactEnds, OwnedEnds, Range, exact_iterators};
use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::ops;
use std::sync::Arc;

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

/// An owning iterator over the keys of a [`FrozenLayer`](crate::FrozenLayer), as copies, and their
/// values. Returned by its `IntoIterator`.
pub type FrozenIntoIter<V = u64> = Range<FrozenOwnedEnds<V>>;

/// Both ends of a range of ranks. All calls must be with the same layer.
#[derive(Clone)]
struct Ranks {
    front: Window,
    back: Window,
    from: usize,
    to: usize,
}

impl Ranks {
    fn new(from: usize, to: usize) -> Self {
        Ranks { front: Window::default(), back: Window::default(), from, to: to.max(from) }
    }

    // Always: else a scan tests its direction at each key, some 10 % of its instructions.
    #[inline(always)]
    fn step<'w, V: LayerValue + ?Sized>(
        &'w mut self,
        layer: &'w Layer,
        back: bool,
    ) -> Option<(&'w [u8], V::Lent<'w>)> {
        if self.from >= self.to {
            return None;
        }
        // The iteration ends at a damaged chunk.
        if back {
            let found = self.back.get::<V>(layer, self.to - 1);
            self.to = if found.is_some() { self.to - 1 } else { self.from };
            found
        } else {
            let found = self.front.get::<V>(layer, self.from);
            self.from = if found.is_some() { self.from + 1 } else { self.to };
            found
        }
    }

    fn skip(&mut self, n: usize, back: bool) {
        let n = n.min(self.to - self.from);
        if back {
            self.to -= n;
        } else {
            self.from += n;
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.to - self.from, Some(self.to - self.from))
    }
}

/// Both ends of a range of a [`FrozenLayer`](crate::FrozenLayer).
#[expect(missing_debug_implementations, reason = "no user holds one")]
pub struct FrozenEnds<'a, V: ?Sized = u64> {
    layer: &'a Layer,
    ranks: Ranks,
    values: PhantomData<fn(&V)>,
}

impl<'a, V: ?Sized> FrozenEnds<'a, V> {
    pub(super) fn new(layer: &'a Layer, from: usize, to: usize) -> Self {
        FrozenEnds { layer, ranks: Ranks::new(from, to), values: PhantomData }
    }
}

/// Both ends of a range of a [`FrozenLayer`](crate::FrozenLayer), of which they are an owner.
#[expect(missing_debug_implementations, reason = "no user holds one")]
pub struct FrozenOwnedEnds<V: ?Sized = u64> {
    layer: Arc<Layer>,
    ranks: Ranks,
    values: PhantomData<fn(&V)>,
}

impl<V: ?Sized> FrozenOwnedEnds<V> {
    pub(super) fn new(layer: Arc<Layer>, from: usize, to: usize) -> Self {
        FrozenOwnedEnds { layer, ranks: Ranks::new(from, to), values: PhantomData }
    }
}

macro_rules! ends {
    ($($type:ty),*) => {$(
        impl<V: ?Sized> Clone for $type {
            fn clone(&self) -> Self {
                Self { layer: self.layer.clone(), ranks: self.ranks.clone(), values: PhantomData }
            }
        }

        impl<V: ?Sized> Sealed for $type {}

        impl<V: LayerValue + ?Sized> Ends for $type {
            type Value<'w>
                = V::Lent<'w>
            where
                Self: 'w;

            #[inline(always)]
            fn step(&mut self, back: bool) -> Option<(&[u8], V::Lent<'_>)> {
                self.ranks.step::<V>(&self.layer, back)
            }

            fn skip(&mut self, n: usize, back: bool) {
                self.ranks.skip(n, back);
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                self.ranks.size_hint()
            }
        }

        impl<V: LayerValue + ?Sized> OwnedEnds for $type {
            type Owned = V::Owned;

            #[inline]
            fn own(value: V::Lent<'_>) -> V::Owned {
                V::own(value)
            }
        }

        impl<V: LayerValue + ?Sized> ExactEnds for $type {}
    )*};
}
ends!(FrozenEnds<'_, V>, FrozenOwnedEnds<V>);

/// An iterator over the keys of a [`FrozenLayer`](crate::FrozenLayer), in ascending order; from the
/// back, descending. Returned by [`FrozenLayer::keys`](crate::FrozenLayer::keys).
pub struct FrozenKeys<'a, V: ?Sized = u64> {
    pub(super) ends: FrozenEnds<'a, V>,
}

/// An iterator over the values of a [`FrozenLayer`](crate::FrozenLayer), in the order of their
/// keys. Returned by [`FrozenLayer::values`](crate::FrozenLayer::values). It decodes no key.
pub struct FrozenValues<'a, V: ?Sized = u64> {
    layer: &'a Layer,
    ranks: ops::Range<usize>,
    values: PhantomData<fn(&V)>,
}

exact_iterators! {
    ['a, V: LayerValue + ?Sized] FrozenKeys<'a, V>: .ends, Vec<u8>, |key, _value| key.to_vec();
}

impl<'a, V: LayerValue + ?Sized> FrozenValues<'a, V> {
    pub(super) fn new(layer: &'a Layer) -> Self {
        FrozenValues { layer, ranks: 0..layer.len, values: PhantomData }
    }

    /// Returns the value of a rank. The iteration ends at a damaged one.
    fn get(&mut self, rank: usize) -> Option<V::Owned> {
        let layer = self.layer;
        let chunk = layer.chunk_at(rank).and_then(|chunk| layer.chunks.get(chunk));
        let value = chunk.and_then(|chunk| V::get(layer.value_at(chunk, rank - chunk.start)));
        if value.is_none() {
            self.ranks = 0..0;
        }
        value
    }
}

impl<V: LayerValue + ?Sized> Iterator for FrozenValues<'_, V> {
    type Item = V::Owned;

    fn next(&mut self) -> Option<V::Owned> {
        let rank = self.ranks.next()?;
        self.get(rank)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ranks.size_hint()
    }
}

impl<V: LayerValue + ?Sized> DoubleEndedIterator for FrozenValues<'_, V> {
    fn next_back(&mut self) -> Option<V::Owned> {
        let rank = self.ranks.next_back()?;
        self.get(rank)
    }
}

impl<V: LayerValue + ?Sized> ExactSizeIterator for FrozenValues<'_, V> {}
impl<V: LayerValue + ?Sized> FusedIterator for FrozenValues<'_, V> {}

impl<V: ?Sized> Clone for FrozenKeys<'_, V> {
    fn clone(&self) -> Self {
        FrozenKeys { ends: self.ends.clone() }
    }
}

impl<V: ?Sized> Clone for FrozenValues<'_, V> {
    fn clone(&self) -> Self {
        FrozenValues { layer: self.layer, ranks: self.ranks.clone(), values: PhantomData }
    }
}

impl<V: LayerValue + ?Sized> fmt::Debug for FrozenKeys<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrozenKeys").field("left", &self.len()).finish_non_exhaustive()
    }
}

impl<V: LayerValue + ?Sized> fmt::Debug for FrozenValues<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrozenValues").field("left", &self.len()).finish_non_exhaustive()
    }
}
