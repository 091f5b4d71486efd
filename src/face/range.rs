//! The range of all maps.

use super::sealed::Sealed;
use std::fmt;
use std::iter::FusedIterator;

/// The two ends of a [`Range`]. Sealed.
pub trait Ends: Sealed {
    /// The value of a step.
    type Value<'w>
    where
        Self: 'w;

    /// Steps over the next key, or with `back` over the last one of the rest. Returns `None` again
    /// once it has.
    #[doc(hidden)]
    fn step(&mut self, back: bool) -> Option<(&[u8], Self::Value<'_>)>;

    /// Steps like [`step`](Self::step), without the value.
    #[doc(hidden)]
    #[inline]
    fn step_key(&mut self, back: bool) -> Option<&[u8]> {
        self.step(back).map(|(key, _)| key)
    }

    /// Steps over `n` keys, or all that are left if they are fewer.
    #[doc(hidden)]
    fn skip(&mut self, n: usize, back: bool) {
        for _ in 0..n {
            if self.step(back).is_none() {
                return;
            }
        }
    }

    /// Returns bounds of the number of keys left, like [`Iterator::size_hint`].
    #[doc(hidden)]
    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, None)
    }

    /// Returns the number of keys left.
    #[doc(hidden)]
    fn count(mut self) -> usize
    where
        Self: Sized,
    {
        if let (count, Some(most)) = self.size_hint()
            && count == most
        {
            return count;
        }
        let mut count = 0;
        while self.step(false).is_some() {
            count += 1;
        }
        count
    }
}

/// Ends whose values can be kept, so that the [`Range`] is an [`Iterator`]. Sealed.
pub trait OwnedEnds: Ends {
    /// The value that the iterator yields.
    type Owned;

    /// Returns a value to keep.
    #[doc(hidden)]
    fn own(value: Self::Value<'_>) -> Self::Owned;
}

/// Ends whose `size_hint` is exact, so that the [`Range`] is an [`ExactSizeIterator`]. Sealed.
pub trait ExactEnds: OwnedEnds {}

/// An iterator over the keys of a range, as copies, and their values. From the back, in descending
/// order.
///
/// [`next_ref`](Self::next_ref) and [`next_back_ref`](Self::next_back_ref) return the same keys
/// without a copy.
///
/// A range cannot outlive its map:
///
/// ```compile_fail,E0505
/// let map = memkv::ConcurrentArt::from([("a", 1u64)]);
/// let mut range = map.iter();
/// drop(map);
/// assert!(range.next().is_some());
/// ```
///
/// ```
/// let map = memkv::ConcurrentArt::from([("a", 1u64)]);
/// let mut range = map.iter();
/// assert!(range.next().is_some());
/// drop(range);
/// drop(map);
/// ```
#[derive(Clone)]
pub struct Range<E> {
    pub(crate) ends: E,
}

impl<E: Ends> Range<E> {
    pub(crate) fn new(ends: E) -> Self {
        Range { ends }
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
    pub fn next_ref(&mut self) -> Option<(&[u8], E::Value<'_>)> {
        self.ends.step(false)
    }

    /// Returns the next key from the back, borrowed until the next call, and its value.
    ///
    /// ```
    /// let map = memkv::FastArt::from([("a", 1u64), ("b", 2)]);
    /// let mut range = map.range("a"..);
    /// assert_eq!(range.next_back_ref(), Some((&b"b"[..], 2)));
    /// ```
    #[inline]
    pub fn next_back_ref(&mut self) -> Option<(&[u8], E::Value<'_>)> {
        self.ends.step(true)
    }

    /// Returns the number of keys left.
    ///
    /// # Complexity
    /// O(1) for frozen layers, O(leaves) for maps with one owner, O(keys) for shared maps and
    /// hybrid stores.
    pub fn count(self) -> usize {
        self.ends.count()
    }
}

impl<E: OwnedEnds<Owned: PartialEq>> Range<E> {
    /// Returns whether both ranges have the same keys and values.
    pub(crate) fn equals(mut self, mut other: Self) -> bool {
        loop {
            let is_same = match (self.next_ref(), other.next_ref()) {
                (None, None) => return true,
                (Some(a), Some(b)) => a.0 == b.0 && E::own(a.1) == E::own(b.1),
                _ => false,
            };
            if !is_same {
                return false;
            }
        }
    }
}

impl<E: OwnedEnds> Iterator for Range<E> {
    type Item = (Vec<u8>, E::Owned);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.ends.step(false).map(|(key, value)| (key.to_vec(), E::own(value)))
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ends.size_hint()
    }

    fn nth(&mut self, n: usize) -> Option<Self::Item> {
        self.ends.skip(n, false);
        self.next()
    }

    fn count(self) -> usize {
        self.ends.count()
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

impl<E: OwnedEnds> DoubleEndedIterator for Range<E> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        self.ends.step(true).map(|(key, value)| (key.to_vec(), E::own(value)))
    }

    fn nth_back(&mut self, n: usize) -> Option<Self::Item> {
        self.ends.skip(n, true);
        self.next_back()
    }
}

impl<E: ExactEnds> ExactSizeIterator for Range<E> {}

impl<E: OwnedEnds> FusedIterator for Range<E> {}

impl<E: OwnedEnds<Owned: fmt::Debug> + Clone> fmt::Debug for Range<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut map, mut ends) = (f.debug_map(), self.ends.clone());
        while let Some((key, value)) = ends.step(false) {
            map.entry(&format_args!("\"{}\"", key.escape_ascii()), &E::own(value));
        }
        map.finish()
    }
}

/// Iterators over ends whose `size_hint` is exact, which differ in what they make of a pair:
/// `[generics] type: path to the ends, item, closure`.
macro_rules! exact_iterators {
    ($([$($generic:tt)*] $type:ty: $(. $ends:ident)+, $item:ty,
        |$key:pat_param, $value:ident| $map:expr;)*) => {$(
        impl<$($generic)*> Iterator for $type {
            type Item = $item;

            #[inline]
            fn next(&mut self) -> Option<$item> {
                self $(.$ends)+ .step(false).map(|($key, $value)| $map)
            }

            #[inline]
            fn size_hint(&self) -> (usize, Option<usize>) {
                self $(.$ends)+ .size_hint()
            }

            fn count(self) -> usize {
                self.len()
            }

            fn last(mut self) -> Option<$item> {
                self.next_back()
            }
        }

        impl<$($generic)*> DoubleEndedIterator for $type {
            #[inline]
            fn next_back(&mut self) -> Option<$item> {
                self $(.$ends)+ .step(true).map(|($key, $value)| $map)
            }
        }

        impl<$($generic)*> ExactSizeIterator for $type {}
        impl<$($generic)*> std::iter::FusedIterator for $type {}
    )*};
}
pub(crate) use exact_iterators;
