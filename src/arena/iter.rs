//! Cursors and iterators: those of the index, with values in the place of slots.

use super::values::Arena;
use crate::face::sealed::Sealed;
use crate::face::{self, Ends, OwnedEnds, Walk};
use crate::fast;
use std::fmt;
use std::iter::FusedIterator;
use std::vec;

/// Prefetches the values of the next keys, which are scattered over memory.
#[derive(Clone, Copy)]
pub(super) struct Ahead {
    /// Steps until it looks ahead again.
    left: usize,
}

impl Ahead {
    /// A scan of a few keys is over before looking ahead pays.
    pub(super) const START: Self = Ahead { left: 4 };

    /// To be called before each step, with the `upcoming` of what steps.
    #[inline]
    pub(super) fn step<T>(
        &mut self,
        values: &Arena<T>,
        back: bool,
        upcoming: impl FnOnce(&mut dyn FnMut(u32)) -> usize,
    ) {
        if back {
            self.left += 1;
            return;
        }
        if self.left == 0 {
            self.left = upcoming(&mut |slot| values.prefetch(slot)).max(1);
        }
        self.left -= 1;
    }
}

/// A position in an [`ArenaArt`](crate::ArenaArt). Returned by
/// [`ArenaArt::cursor`](crate::ArenaArt::cursor).
///
/// ```
/// let pairs = (0..100).map(|i| (format!("{i:02}"), i.to_string()));
/// let map: memkv::ArenaArt<String> = pairs.collect();
/// let mut cursor = map.cursor();
/// cursor.seek("42");
/// assert_eq!(cursor.next(), Some((&b"42"[..], &"42".to_string())));
/// assert_eq!(cursor.next(), Some((&b"43"[..], &"43".to_string())));
/// ```
pub type Cursor<'a, T> = face::Cursor<ArenaWalk<&'a Arena<T>, fast::FastWalk<'a, u32>>>;

/// A [`Cursor`] that returns values as mutable references.
///
/// Unlike [`IterMut`] it needs no memory for each key. Returned by
/// [`ArenaArt::cursor_mut`](crate::ArenaArt::cursor_mut).
///
/// ```
/// let mut map = memkv::ArenaArt::from([("a", vec![1]), ("b", vec![2])]);
/// let mut cursor = map.cursor_mut();
/// while let Some((key, value)) = cursor.next() {
///     value.extend_from_slice(key);
/// }
/// assert_eq!(map["b"], [2, b'b']);
/// ```
pub type CursorMut<'a, T> = face::Cursor<ArenaWalk<&'a mut Arena<T>, fast::FastWalk<'a, u32>>>;

/// An iterator over a range of an [`ArenaArt`](crate::ArenaArt). Returned by
/// [`ArenaArt::range`](crate::ArenaArt::range) and [`ArenaArt::prefix`](crate::ArenaArt::prefix).
pub type Range<'a, T> = face::Range<ArenaWalk<&'a Arena<T>, fast::FastEnds<'a, u32>>>;

/// A position in the index, or both ends of a range of it, and the values.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "no user holds one")]
pub struct ArenaWalk<A, S> {
    values: A,
    slots: S,
    ahead: Ahead,
}

impl<A, S> ArenaWalk<A, S> {
    pub(super) fn new(values: A, slots: S) -> Self {
        ArenaWalk { values, slots, ahead: Ahead::START }
    }
}

impl<A, S> Sealed for ArenaWalk<A, S> {}

impl<'a, T> Walk for ArenaWalk<&'a Arena<T>, fast::FastWalk<'a, u32>> {
    type Value<'w>
        = &'a T
    where
        Self: 'w;

    fn seek(&mut self, key: &[u8], after: bool) {
        self.ahead = Ahead::START;
        self.slots.seek(key, after);
    }

    fn seek_to_last(&mut self) {
        self.slots.seek_to_last();
    }

    #[inline]
    fn step(&mut self, back: bool) -> Option<(&[u8], &'a T)> {
        self.ahead.step(self.values, back, |each| self.slots.upcoming(each));
        let (key, slot) = self.slots.step(back)?;
        Some((key, self.values.get(slot)))
    }
}

impl<'a, T> Walk for ArenaWalk<&'a mut Arena<T>, fast::FastWalk<'a, u32>> {
    type Value<'w>
        = &'w mut T
    where
        Self: 'w;

    fn seek(&mut self, key: &[u8], after: bool) {
        self.ahead = Ahead::START;
        self.slots.seek(key, after);
    }

    fn seek_to_last(&mut self) {
        self.slots.seek_to_last();
    }

    #[inline]
    fn step(&mut self, back: bool) -> Option<(&[u8], &mut T)> {
        self.ahead.step(self.values, back, |each| self.slots.upcoming(each));
        let (key, slot) = self.slots.step(back)?;
        Some((key, self.values.get_mut(slot)))
    }
}

impl<'a, T> Ends for ArenaWalk<&'a Arena<T>, fast::FastEnds<'a, u32>> {
    type Value<'w>
        = &'a T
    where
        Self: 'w;

    #[inline]
    fn step(&mut self, back: bool) -> Option<(&[u8], &'a T)> {
        self.ahead.step(self.values, back, |each| self.slots.upcoming(each));
        let (key, slot) = self.slots.step(back)?;
        Some((key, self.values.get(slot)))
    }

    fn count(self) -> usize {
        self.slots.count()
    }
}

impl<'a, T> OwnedEnds for ArenaWalk<&'a Arena<T>, fast::FastEnds<'a, u32>> {
    type Owned = &'a T;

    #[inline]
    fn own(value: &'a T) -> &'a T {
        value
    }
}

/// An iterator over all keys of a map, as copies, and their values. Returned by
/// [`ArenaArt::iter`](crate::ArenaArt::iter).
pub struct Iter<'a, T> {
    pub(super) slots: fast::Iter<'a, u32>,
    pub(super) values: &'a Arena<T>,
    pub(super) ahead: Ahead,
}

impl<T> Clone for Iter<'_, T> {
    fn clone(&self) -> Self {
        Iter { slots: self.slots.clone(), values: self.values, ahead: self.ahead }
    }
}

impl<T: fmt::Debug> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (key, value) in self.clone() {
            map.entry(&format_args!("\"{}\"", key.escape_ascii()), value);
        }
        map.finish()
    }
}

/// An iterator over the keys of a range, as copies, and their values as mutable references.
///
/// Returned by [`ArenaArt::iter_mut`](crate::ArenaArt::iter_mut),
/// [`ArenaArt::range_mut`](crate::ArenaArt::range_mut) and
/// [`ArenaArt::prefix_mut`](crate::ArenaArt::prefix_mut).
///
/// It holds a borrow of each value, 8 bytes, collected when it is made; a [`CursorMut`] holds none.
pub struct IterMut<'a, T> {
    pub(super) slots: fast::Range<'a, u32>,
    pub(super) values: vec::IntoIter<Option<&'a mut T>>,
}

impl<T> fmt::Debug for IterMut<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IterMut").field("left", &self.values.len()).finish()
    }
}

/// An owning iterator over a map's keys, as copies, and values. Returned by the `IntoIterator` of
/// [`ArenaArt`](crate::ArenaArt).
///
/// The memory of values is freed as they are returned. Dropping the iterator drops those that are
/// left.
pub struct IntoIter<T> {
    pub(super) slots: fast::IntoIter<u32>,
    pub(super) values: Arena<T>,
}

impl<T> fmt::Debug for IntoIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntoIter").field("left", &self.slots.len()).finish()
    }
}

/// An iterator over all values of a map, in the order of their keys. Returned by
/// [`ArenaArt::values`](crate::ArenaArt::values).
pub struct Values<'a, T> {
    pub(super) slots: fast::Values<'a, u32>,
    pub(super) values: &'a Arena<T>,
    pub(super) ahead: Ahead,
}

impl<T> Clone for Values<'_, T> {
    fn clone(&self) -> Self {
        Values { slots: self.slots.clone(), values: self.values, ahead: self.ahead }
    }
}

impl<T: fmt::Debug> fmt::Debug for Values<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

/// The iterators of known length differ in what they do before a step, and in the item that they
/// make of the index's item, at the front and at the back.
macro_rules! iterators {
    ($($name:ident<$($l:lifetime)?>, left: $left:ident, $item:ty, $before:expr,
        |$this:ident, $got:pat_param| $front:expr, $back:expr;)*) => {$(
        impl<$($l,)? T> Iterator for $name<$($l,)? T> {
            type Item = $item;

            #[inline]
            fn next(&mut self) -> Option<$item> {
                let before: fn(&mut Self) = $before;
                before(self);
                let ($got, $this) = (self.slots.next()?, self);
                Some($front)
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                self.$left.size_hint()
            }

            fn count(self) -> usize {
                self.len()
            }

            fn last(mut self) -> Option<$item> {
                self.next_back()
            }
        }

        impl<$($l,)? T> DoubleEndedIterator for $name<$($l,)? T> {
            #[inline]
            fn next_back(&mut self) -> Option<$item> {
                let ($got, $this) = (self.slots.next_back()?, self);
                Some($back)
            }
        }

        impl<$($l,)? T> ExactSizeIterator for $name<$($l,)? T> {}
        impl<$($l,)? T> FusedIterator for $name<$($l,)? T> {}
    )*};
}

iterators! {
    Iter<'a>, left: slots, (Vec<u8>, &'a T),
        |this| this.ahead.step(this.values, false, |each| this.slots.upcoming(each)),
        |this, (key, slot)| (key, this.values.get(slot)), (key, this.values.get(slot));
    Values<'a>, left: slots, &'a T,
        |this| this.ahead.step(this.values, false, |each| this.slots.upcoming(each)),
        |this, slot| this.values.get(slot), this.values.get(slot);
    IterMut<'a>, left: values, (Vec<u8>, &'a mut T), |_| (),
        |this, (key, _slot)| (key, this.values.next()??), (key, this.values.next_back()??);
    IntoIter<>, left: slots, (Vec<u8>, T), |_| (),
        |this, (key, slot)| (key, this.values.remove(slot)), (key, this.values.remove(slot));
}
