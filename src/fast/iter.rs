//! Cursors and iterators.

use crate::face::sealed::Sealed;
use crate::face::{self, Ends, OwnedEnds, Walk};
use crate::key;
use crate::tree::{OwnedCursors, RawCursor, RawTree};
use crate::value::Value;
use std::fmt;
use std::iter::FusedIterator;
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
    pub(super) fn new(tree: &'a RawTree<V::Bits>) -> Self {
        let mut raw = RawCursor::new(tree);
        raw.seek_first();
        FastWalk { raw, values: PhantomData }
    }

    pub(super) fn into_raw(self) -> RawCursor<'a, V::Bits> {
        self.raw
    }

    /// Returns the values of the next keys in the current leaf, and how many they are.
    pub(crate) fn upcoming(&mut self, mut each: impl FnMut(V)) -> usize {
        self.raw.upcoming(|bits| each(V::from_bits(bits)))
    }
}

impl<V: Value> Sealed for FastWalk<'_, V> {}

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
    front: RawCursor<'a, V::Bits>,
    back: RawCursor<'a, V::Bits>,
    values: PhantomData<V>,
}

impl<'a, V: Value> FastEnds<'a, V> {
    pub(super) fn new(tree: &'a RawTree<V::Bits>, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Self {
        let (mut front, mut back) = (RawCursor::new(tree), RawCursor::new(tree));
        if !key::is_empty(start, end) {
            match start {
                Bound::Unbounded => front.seek_first(),
                Bound::Included(key) => front.seek(key, false),
                Bound::Excluded(key) => front.seek(key, true),
            }
            match end {
                Bound::Unbounded => {}
                Bound::Included(key) => back.seek(key, true),
                Bound::Excluded(key) => back.seek(key, false),
            }
        }
        FastEnds { front, back, values: PhantomData }
    }

    /// Returns the values of the next keys in the current leaf, and how many they are.
    pub(crate) fn upcoming(&mut self, mut each: impl FnMut(V)) -> usize {
        self.front.upcoming(|bits| each(V::from_bits(bits)))
    }

    /// Steps, if something is known to be left.
    #[inline]
    fn step_inside(&mut self, back: bool) -> Option<(&[u8], V)> {
        let found = if back { self.back.previous() } else { self.front.next() };
        found.map(|(key, bits)| (key, V::from_bits(bits)))
    }
}

impl<V: Value> Sealed for FastEnds<'_, V> {}

impl<V: Value> Ends for FastEnds<'_, V> {
    type Value<'w>
        = V
    where
        Self: 'w;

    #[inline]
    fn step(&mut self, back: bool) -> Option<(&[u8], V)> {
        if self.front.peek() == self.back.peek() {
            return None;
        }
        self.step_inside(back)
    }

    fn count(mut self) -> usize {
        self.front.count_to(&mut self.back)
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
pub struct Iter<'a, V: Value> {
    ends: FastEnds<'a, V>,
    left: usize,
}

impl<'a, V: Value> Iter<'a, V> {
    pub(super) fn new(ends: FastEnds<'a, V>, left: usize) -> Self {
        Iter { ends, left }
    }

    /// Returns the values of the next keys in the current leaf, and how many they are.
    pub(crate) fn upcoming(&mut self, each: impl FnMut(V)) -> usize {
        self.ends.upcoming(each)
    }

    #[inline]
    fn next_ref(&mut self) -> Option<(&[u8], V)> {
        self.left = self.left.checked_sub(1)?;
        self.ends.step_inside(false)
    }

    #[inline]
    fn next_back_ref(&mut self) -> Option<(&[u8], V)> {
        self.left = self.left.checked_sub(1)?;
        self.ends.step_inside(true)
    }
}

impl<V: Value> Clone for Iter<'_, V> {
    fn clone(&self) -> Self {
        Iter { ends: self.ends.clone(), left: self.left }
    }
}

impl<V: Value + fmt::Debug> fmt::Debug for Iter<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        face::Range::new(self.ends.clone()).fmt(f)
    }
}

/// An iterator over all keys of a map, as copies. Returned by
/// [`FastArt::keys`](crate::FastArt::keys).
#[derive(Clone, Debug)]
pub struct Keys<'a, V: Value> {
    iter: Iter<'a, V>,
}

impl<'a, V: Value> Keys<'a, V> {
    pub(super) fn new(iter: Iter<'a, V>) -> Self {
        Keys { iter }
    }
}

/// An iterator over all values of a map, in the order of their keys. Returned by
/// [`FastArt::values`](crate::FastArt::values).
#[derive(Clone, Debug)]
pub struct Values<'a, V: Value> {
    iter: Iter<'a, V>,
}

impl<'a, V: Value> Values<'a, V> {
    pub(super) fn new(iter: Iter<'a, V>) -> Self {
        Values { iter }
    }

    /// Returns the values of the next keys in the current leaf, and how many they are.
    pub(crate) fn upcoming(&mut self, each: impl FnMut(V)) -> usize {
        self.iter.upcoming(each)
    }
}

/// An owning iterator over a map's keys, as copies, and values. Returned by the `IntoIterator` of
/// [`FastArt`](crate::FastArt).
pub struct IntoIter<V: Value> {
    cursors: OwnedCursors<V::Bits>,
    values: PhantomData<V>,
}

impl<V: Value> IntoIter<V> {
    pub(super) fn new(tree: RawTree<V::Bits>) -> Self {
        IntoIter { cursors: OwnedCursors::new(tree), values: PhantomData }
    }

    pub(crate) fn next_ref(&mut self) -> Option<(&[u8], V)> {
        self.cursors.next().map(|(key, bits)| (key, V::from_bits(bits)))
    }

    fn next_back_ref(&mut self) -> Option<(&[u8], V)> {
        self.cursors.previous().map(|(key, bits)| (key, V::from_bits(bits)))
    }
}

impl<V: Value> fmt::Debug for IntoIter<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntoIter").field("left", &self.cursors.left()).finish()
    }
}

/// An owning iterator over a map's keys, as copies. Returned by
/// [`FastArt::into_keys`](crate::FastArt::into_keys).
#[derive(Debug)]
pub struct IntoKeys<V: Value> {
    iter: IntoIter<V>,
}

impl<V: Value> IntoKeys<V> {
    pub(super) fn new(iter: IntoIter<V>) -> Self {
        IntoKeys { iter }
    }
}

/// An owning iterator over a map's values, in the order of their keys. Returned by
/// [`FastArt::into_values`](crate::FastArt::into_values).
#[derive(Debug)]
pub struct IntoValues<V: Value> {
    iter: IntoIter<V>,
}

impl<V: Value> IntoValues<V> {
    pub(super) fn new(iter: IntoIter<V>) -> Self {
        IntoValues { iter }
    }
}

/// The iterators differ in what they make of a borrowed pair.
macro_rules! iterators {
    ($($name:ident<$($l:lifetime,)? V> $(. $iter:ident)? , left: $($left:ident).+,
        $item:ty: |$key:ident, $value:ident| $map:expr;)*) => {$(
        impl<$($l,)? V: Value> Iterator for $name<$($l,)? V> {
            type Item = $item;

            #[inline]
            fn next(&mut self) -> Option<$item> {
                self $(.$iter)? .next_ref().map(|($key, $value)| $map)
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                let left = iterators!(@left self $($left).+);
                (left, Some(left))
            }

            fn count(self) -> usize {
                iterators!(@left self $($left).+)
            }

            fn last(mut self) -> Option<$item> {
                self.next_back()
            }
        }

        impl<$($l,)? V: Value> DoubleEndedIterator for $name<$($l,)? V> {
            #[inline]
            fn next_back(&mut self) -> Option<$item> {
                self $(.$iter)? .next_back_ref().map(|($key, $value)| $map)
            }
        }

        impl<$($l,)? V: Value> ExactSizeIterator for $name<$($l,)? V> {}
        impl<$($l,)? V: Value> FusedIterator for $name<$($l,)? V> {}
    )*};
    (@left $self:ident cursors) => { $self.cursors.left() };
    (@left $self:ident iter.cursors) => { $self.iter.cursors.left() };
    (@left $self:ident $($left:ident).+) => { $self.$($left).+ };
}

iterators! {
    Iter<'a, V>, left: left, (Vec<u8>, V): |key, value| (key.to_vec(), value);
    Keys<'a, V>.iter, left: iter.left, Vec<u8>: |key, _value| key.to_vec();
    Values<'a, V>.iter, left: iter.left, V: |_key, value| value;
    IntoIter<V>, left: cursors, (Vec<u8>, V): |key, value| (key.to_vec(), value);
    IntoKeys<V>.iter, left: iter.cursors, Vec<u8>: |key, _value| key.to_vec();
    IntoValues<V>.iter, left: iter.cursors, V: |_key, value| value;
}
