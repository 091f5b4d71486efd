//! Cursors and iterators.

use crate::face::sealed::Sealed;
use crate::face::{self, Ends, ExactEnds, OwnedEnds, Walk, exact_iterators};
use crate::key;
use crate::tree::{OwnedCursors, RawCursor, RawRange, RawTree};
use crate::value::Value;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Bound;

/// A position in a [`FastArt`](crate::FastArt). Returned by
/// [`FastArt::cursor`](crate::FastArt::cursor).
pub type Cursor<'a, V> = face::Cursor<FastWalk<'a, V>>;

/// An iterator over a range of a [`FastArt`](crate::FastArt). Returned by
/// [`FastArt::range`](crate::FastArt::range) and [`FastArt::prefix`](crate::FastArt::prefix).
pub type Range<'a, V> = face::Range<FastEnds<'a, V>>;

/// A position in a [`FastArt`](crate::FastArt).
#[expect(missing_debug_implementations, reason = "no user holds one")]
#[derive(Clone)]
pub struct FastWalk<'a, V: Value> {
    raw: RawCursor<'a, V::Bits>,
    values: PhantomData<V>,
}

impl<'a, V: Value> FastWalk<'a, V> {
    /// Returns the position before the first key.
    #[inline]
    pub(super) fn new(tree: &'a RawTree<V::Bits>) -> Self {
        FastWalk { raw: RawCursor::new(tree), values: PhantomData }
    }
}

/// A scan that knows what it returns next, so that it can be prefetched.
pub trait Upcoming<V> {
    /// Passes the values of the next keys in the current leaf to `each`. Returns how many they are.
    fn upcoming(&mut self, each: impl FnMut(V)) -> usize;
}

impl<V: Value> Sealed for FastWalk<'_, V> {}

impl<V: Value> Upcoming<V> for FastWalk<'_, V> {
    fn upcoming(&mut self, mut each: impl FnMut(V)) -> usize {
        self.raw.upcoming(|bits| each(V::from_bits(bits)))
    }
}

impl<V: Value> Walk for FastWalk<'_, V> {
    type Value<'w>
        = V
    where
        Self: 'w;

    #[inline]
    fn seek(&mut self, key: &[u8], after: bool) {
        self.raw.seek(key, after);
    }

    fn seek_to_last(&mut self) {
        self.raw.seek_end();
    }

    #[inline]
    fn step(&mut self, back: bool) -> Option<(&[u8], V)> {
        let found = if back { self.raw.previous() } else { self.raw.next() };
        found.map(|(key, bits)| (key, V::from_bits(bits)))
    }
}

/// Both ends of a range of a [`FastArt`](crate::FastArt).
#[expect(missing_debug_implementations, reason = "no user holds one")]
#[derive(Clone)]
pub struct FastEnds<'a, V: Value> {
    raw: RawRange<'a, V::Bits>,
    values: PhantomData<V>,
}

impl<'a, V: Value> FastEnds<'a, V> {
    pub(super) fn new(tree: &'a RawTree<V::Bits>, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Self {
        let (mut front, mut back) = (RawCursor::new(tree), RawCursor::new(tree));
        back.seek_end();
        if key::is_empty(start, end) {
            front.seek_end();
        } else {
            match start {
                Bound::Unbounded => {}
                Bound::Included(key) => front.seek(key, false),
                Bound::Excluded(key) => front.seek(key, true),
            }
            match end {
                Bound::Unbounded => {}
                Bound::Included(key) => back.seek(key, true),
                Bound::Excluded(key) => back.seek(key, false),
            }
        }
        FastEnds { raw: RawRange::new(front, back), values: PhantomData }
    }
}

impl<V: Value> Sealed for FastEnds<'_, V> {}

impl<V: Value> Upcoming<V> for FastEnds<'_, V> {
    fn upcoming(&mut self, mut each: impl FnMut(V)) -> usize {
        self.raw.upcoming(|bits| each(V::from_bits(bits)))
    }
}

impl<V: Value> Ends for FastEnds<'_, V> {
    type Value<'w>
        = V
    where
        Self: 'w;

    #[inline]
    fn step(&mut self, back: bool) -> Option<(&[u8], V)> {
        let found = if back { self.raw.previous() } else { self.raw.next() };
        found.map(|(key, bits)| (key, V::from_bits(bits)))
    }

    fn count(self) -> usize {
        self.raw.count()
    }
}

impl<V: Value> OwnedEnds for FastEnds<'_, V> {
    type Owned = V;

    #[inline]
    fn own(value: V) -> V {
        value
    }
}

/// An iterator over all keys of a map, as copies, and their values. Returned by
/// [`FastArt::iter`](crate::FastArt::iter).
pub type Iter<'a, V> = face::Range<AllEnds<'a, V>>;

/// Both ends of all keys of a [`FastArt`](crate::FastArt), which are counted.
#[expect(missing_debug_implementations, reason = "no user holds one")]
#[derive(Clone)]
pub struct AllEnds<'a, V: Value> {
    ends: FastEnds<'a, V>,
    left: usize,
}

impl<'a, V: Value> AllEnds<'a, V> {
    pub(super) fn new(tree: &'a RawTree<V::Bits>) -> Self {
        let ends = FastEnds::new(tree, Bound::Unbounded, Bound::Unbounded);
        AllEnds { ends, left: tree.len() }
    }
}

impl<V: Value> Sealed for AllEnds<'_, V> {}

impl<V: Value> Upcoming<V> for AllEnds<'_, V> {
    fn upcoming(&mut self, each: impl FnMut(V)) -> usize {
        self.ends.upcoming(each)
    }
}

impl<V: Value> Ends for AllEnds<'_, V> {
    type Value<'w>
        = V
    where
        Self: 'w;

    #[inline]
    fn step(&mut self, back: bool) -> Option<(&[u8], V)> {
        self.left = self.left.checked_sub(1)?;
        self.ends.step(back)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<V: Value> OwnedEnds for AllEnds<'_, V> {
    type Owned = V;

    #[inline]
    fn own(value: V) -> V {
        value
    }
}

impl<V: Value> ExactEnds for AllEnds<'_, V> {}

/// An iterator over all keys of a map, as copies. Returned by
/// [`FastArt::keys`](crate::FastArt::keys).
#[derive(Clone, Debug)]
pub struct Keys<'a, V: Value> {
    pub(super) iter: Iter<'a, V>,
}

/// An iterator over all values of a map, in the order of their keys. Returned by
/// [`FastArt::values`](crate::FastArt::values).
#[derive(Clone, Debug)]
pub struct Values<'a, V: Value> {
    pub(super) iter: Iter<'a, V>,
}

/// Both ends of all keys of a [`FastArt`](crate::FastArt), which it owns.
pub(crate) struct IntoEnds<V: Value> {
    cursors: OwnedCursors<V::Bits>,
    values: PhantomData<V>,
}

impl<V: Value> IntoEnds<V> {
    pub(super) fn new(tree: RawTree<V::Bits>) -> Self {
        IntoEnds { cursors: OwnedCursors::new(tree), values: PhantomData }
    }
}

impl<V: Value> Sealed for IntoEnds<V> {}

impl<V: Value> Ends for IntoEnds<V> {
    type Value<'w>
        = V
    where
        Self: 'w;

    #[inline]
    fn step(&mut self, back: bool) -> Option<(&[u8], V)> {
        let found = if back { self.cursors.previous() } else { self.cursors.next() };
        found.map(|(key, bits)| (key, V::from_bits(bits)))
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.cursors.left(), Some(self.cursors.left()))
    }
}

/// An owning iterator over a map's keys, as copies, and values. Returned by the `IntoIterator` of
/// [`FastArt`](crate::FastArt).
pub struct IntoIter<V: Value> {
    pub(super) ends: IntoEnds<V>,
}

impl<V: Value> fmt::Debug for IntoIter<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntoIter").field("left", &self.len()).finish()
    }
}

/// An owning iterator over a map's keys, as copies. Returned by
/// [`FastArt::into_keys`](crate::FastArt::into_keys).
#[derive(Debug)]
pub struct IntoKeys<V: Value> {
    pub(super) iter: IntoIter<V>,
}

/// An owning iterator over a map's values, in the order of their keys. Returned by
/// [`FastArt::into_values`](crate::FastArt::into_values).
#[derive(Debug)]
pub struct IntoValues<V: Value> {
    pub(super) iter: IntoIter<V>,
}

exact_iterators! {
    ['a, V: Value] Keys<'a, V>: .iter.ends, Vec<u8>, |key, _value| key.to_vec();
    ['a, V: Value] Values<'a, V>: .iter.ends, V, |_key, value| value;
    [V: Value] IntoIter<V>: .ends, (Vec<u8>, V), |key, value| (key.to_vec(), value);
    [V: Value] IntoKeys<V>: .iter.ends, Vec<u8>, |key, _value| key.to_vec();
    [V: Value] IntoValues<V>: .iter.ends, V, |_key, value| value;
}
