//! Cursors and iterators.

use crate::key;
use crate::tree::{OwnedCursors, RawCursor, RawTree};
use crate::value::Value;
use std::fmt;
use std::iter::FusedIterator;
use std::ops::Bound;

/// A position between two keys of a map, which steps in both directions and can seek any key.
///
/// The key that it returns is a slice of its own buffer, valid until the next step. So a scan
/// allocates nothing for each key, but a cursor is no [`Iterator`]. Returned by
/// [`FastArt::cursor`](crate::FastArt::cursor).
///
/// ```
/// let map: memkv::FastArt = (0..100u64).map(|i| (format!("{i:02}"), i)).collect();
/// let mut cursor = map.cursor();
/// cursor.seek("42");
/// let mut sum = 0;
/// while let Some((key, value)) = cursor.next() {
///     if key >= b"50" { break }
///     sum += value;
/// }
/// assert_eq!(sum, (42..50).sum());
/// ```
pub struct Cursor<'a, V: Value> {
    raw: RawCursor<'a, V::Bits>,
}

impl<'a, V: Value> Cursor<'a, V> {
    pub(super) fn new(raw: RawCursor<'a, V::Bits>) -> Self {
        Cursor { raw }
    }

    pub(super) fn into_raw(self) -> RawCursor<'a, V::Bits> {
        self.raw
    }

    /// Returns the values of the next keys in the current leaf, and how many they are.
    pub(crate) fn upcoming(&mut self, mut each: impl FnMut(V)) -> usize {
        self.raw.upcoming(|bits| each(V::from_bits(bits)))
    }

    /// Moves before the first key that is at least `key`, by one lookup.
    #[inline]
    pub fn seek(&mut self, key: impl AsRef<[u8]>) {
        self.raw.seek(key.as_ref(), false);
    }

    /// Moves before the first key that is greater than `key`.
    ///
    /// ```
    /// let map = memkv::FastArt::from([("a", 1u64), ("b", 2)]);
    /// let mut cursor = map.cursor();
    /// cursor.seek_after("a");
    /// assert_eq!(cursor.next(), Some((&b"b"[..], 2)));
    /// ```
    #[inline]
    pub fn seek_after(&mut self, key: impl AsRef<[u8]>) {
        self.raw.seek(key.as_ref(), true);
    }

    /// Moves before the first key of the map.
    pub fn seek_to_first(&mut self) {
        self.raw.seek_first();
    }

    /// Moves after the last key of the map.
    ///
    /// ```
    /// let map = memkv::FastArt::from([("a", 1u64), ("b", 2)]);
    /// let mut cursor = map.cursor();
    /// cursor.seek_to_last();
    /// assert_eq!(cursor.prev(), Some((&b"b"[..], 2)));
    /// cursor.seek_to_first();
    /// assert_eq!(cursor.next(), Some((&b"a"[..], 1)));
    /// ```
    pub fn seek_to_last(&mut self) {
        self.raw.seek_end();
    }

    /// Steps over the next key, and returns it with its value.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "the key borrows from the cursor")]
    pub fn next(&mut self) -> Option<(&[u8], V)> {
        self.raw.next().map(|(key, bits)| (key, V::from_bits(bits)))
    }

    /// Steps back over the previous key, and returns it with its value.
    #[inline]
    pub fn prev(&mut self) -> Option<(&[u8], V)> {
        self.raw.previous().map(|(key, bits)| (key, V::from_bits(bits)))
    }
}

impl<V: Value> Clone for Cursor<'_, V> {
    fn clone(&self) -> Self {
        Cursor { raw: self.raw.clone() }
    }
}

impl<V: Value> fmt::Debug for Cursor<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor").finish_non_exhaustive()
    }
}

/// An iterator over the keys of a range, as copies, and their values.
///
/// Returned by [`FastArt::range`](crate::FastArt::range) and
/// [`FastArt::prefix`](crate::FastArt::prefix). [`next_ref`](Self::next_ref) and
/// [`next_back_ref`](Self::next_back_ref) return the same keys without a copy.
pub struct Range<'a, V: Value> {
    front: RawCursor<'a, V::Bits>,
    back: RawCursor<'a, V::Bits>,
    values: std::marker::PhantomData<V>,
}

impl<'a, V: Value> Range<'a, V> {
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
        Range { front, back, values: std::marker::PhantomData }
    }

    /// Returns the values of the next keys in the current leaf, and how many they are.
    pub(crate) fn upcoming(&mut self, mut each: impl FnMut(V)) -> usize {
        self.front.upcoming(|bits| each(V::from_bits(bits)))
    }

    #[inline]
    fn is_done(&mut self) -> bool {
        self.front.peek() == self.back.peek()
    }

    /// Returns the next key, borrowed until the next call, and its value.
    ///
    /// ```
    /// let map = memkv::FastArt::from([("a", 1u64), ("b", 2)]);
    /// let mut range = map.prefix("a");
    /// assert_eq!(range.next_ref(), Some((&b"a"[..], 1)));
    /// assert_eq!(range.next_ref(), None);
    /// ```
    #[inline]
    pub fn next_ref(&mut self) -> Option<(&[u8], V)> {
        if self.is_done() {
            return None;
        }
        self.front.next().map(|(key, bits)| (key, V::from_bits(bits)))
    }

    /// Returns the next key from the back, borrowed until the next call, and its value.
    ///
    /// ```
    /// let map = memkv::FastArt::from([("a", 1u64), ("b", 2)]);
    /// let mut range = map.range("a"..);
    /// assert_eq!(range.next_back_ref(), Some((&b"b"[..], 2)));
    /// ```
    #[inline]
    pub fn next_back_ref(&mut self) -> Option<(&[u8], V)> {
        if self.is_done() {
            return None;
        }
        self.back.previous().map(|(key, bits)| (key, V::from_bits(bits)))
    }
}

impl<V: Value> Iterator for Range<'_, V> {
    type Item = (Vec<u8>, V);

    fn next(&mut self) -> Option<Self::Item> {
        self.next_ref().map(|(key, value)| (key.to_vec(), value))
    }

    fn count(mut self) -> usize {
        self.front.count_to(&mut self.back)
    }

    fn last(mut self) -> Option<Self::Item> {
        self.next_back()
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

impl<V: Value> DoubleEndedIterator for Range<'_, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.next_back_ref().map(|(key, value)| (key.to_vec(), value))
    }
}

impl<V: Value> FusedIterator for Range<'_, V> {}

impl<V: Value> Clone for Range<'_, V> {
    fn clone(&self) -> Self {
        Range { front: self.front.clone(), back: self.back.clone(), values: self.values }
    }
}

impl<V: Value + fmt::Debug> fmt::Debug for Range<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        let mut range = self.clone();
        while let Some((key, value)) = range.next_ref() {
            map.entry(&format_args!("\"{}\"", key.escape_ascii()), &value);
        }
        map.finish()
    }
}

/// An iterator over all keys of a map, as copies, and their values. Returned by
/// [`FastArt::iter`](crate::FastArt::iter).
pub struct Iter<'a, V: Value> {
    range: Range<'a, V>,
    left: usize,
}

impl<'a, V: Value> Iter<'a, V> {
    pub(super) fn new(range: Range<'a, V>, left: usize) -> Self {
        Iter { range, left }
    }

    /// Returns the values of the next keys in the current leaf, and how many they are.
    pub(crate) fn upcoming(&mut self, each: impl FnMut(V)) -> usize {
        self.range.upcoming(each)
    }

    #[inline]
    fn next_ref(&mut self) -> Option<(&[u8], V)> {
        self.left = self.left.checked_sub(1)?;
        self.range.front.next().map(|(key, bits)| (key, V::from_bits(bits)))
    }

    #[inline]
    fn next_back_ref(&mut self) -> Option<(&[u8], V)> {
        self.left = self.left.checked_sub(1)?;
        self.range.back.previous().map(|(key, bits)| (key, V::from_bits(bits)))
    }
}

impl<V: Value> Clone for Iter<'_, V> {
    fn clone(&self) -> Self {
        Iter { range: self.range.clone(), left: self.left }
    }
}

impl<V: Value + fmt::Debug> fmt::Debug for Iter<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.range.fmt(f)
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
    values: std::marker::PhantomData<V>,
}

impl<V: Value> IntoIter<V> {
    pub(super) fn new(tree: RawTree<V::Bits>) -> Self {
        IntoIter { cursors: OwnedCursors::new(tree), values: std::marker::PhantomData }
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
