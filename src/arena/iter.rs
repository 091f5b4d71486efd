//! Cursors and iterators: those of the index, with values in the place of slots.

use super::values::Arena;
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
        upcoming: impl FnOnce(&mut dyn FnMut(u32)) -> usize,
    ) {
        if self.left == 0 {
            self.left = upcoming(&mut |slot| values.prefetch(slot)).max(1);
        }
        self.left -= 1;
    }
}

/// A position between two keys of a map, which steps in both directions and can seek any key.
///
/// The key that it returns is a slice of its own buffer, valid until the next step, so a scan
/// allocates nothing for each key. Returned by [`ArenaArt::cursor`](crate::ArenaArt::cursor).
///
/// ```
/// let pairs = (0..100).map(|i| (format!("{i:02}"), i.to_string()));
/// let map: memkv::ArenaArt<String> = pairs.collect();
/// let mut cursor = map.cursor();
/// cursor.seek("42");
/// assert_eq!(cursor.next(), Some((&b"42"[..], &"42".to_string())));
/// assert_eq!(cursor.next(), Some((&b"43"[..], &"43".to_string())));
/// ```
pub struct Cursor<'a, T> {
    pub(super) slots: fast::Cursor<'a, u32>,
    pub(super) values: &'a Arena<T>,
    pub(super) ahead: Ahead,
}

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
pub struct CursorMut<'a, T> {
    pub(super) slots: fast::Cursor<'a, u32>,
    pub(super) values: &'a mut Arena<T>,
    pub(super) ahead: Ahead,
}

macro_rules! cursors {
    ($($name:ident, $get:ident: $value:ty;)*) => {$(
        impl<'a, T> $name<'a, T> {
            /// Moves before the first key that is at least `key`, by one lookup.
            #[inline]
            pub fn seek(&mut self, key: impl AsRef<[u8]>) {
                self.ahead = Ahead::START;
                self.slots.seek(key);
            }

            /// Moves before the first key that is greater than `key`.
            #[inline]
            pub fn seek_after(&mut self, key: impl AsRef<[u8]>) {
                self.ahead = Ahead::START;
                self.slots.seek_after(key);
            }

            /// Moves before the first key of the map.
            pub fn seek_to_first(&mut self) {
                self.ahead = Ahead::START;
                self.slots.seek_to_first();
            }

            /// Moves after the last key of the map.
            pub fn seek_to_last(&mut self) {
                self.slots.seek_to_last();
            }

            /// Steps over the next key, and returns it with its value.
            #[inline]
            #[expect(clippy::should_implement_trait, reason = "the key borrows from the cursor")]
            pub fn next(&mut self) -> Option<(&[u8], $value)> {
                self.ahead.step(&*self.values, |each| self.slots.upcoming(each));
                let (key, slot) = self.slots.next()?;
                Some((key, self.values.$get(slot)))
            }

            /// Steps back over the previous key, and returns it with its value.
            #[inline]
            pub fn prev(&mut self) -> Option<(&[u8], $value)> {
                self.ahead.left += 1;
                let (key, slot) = self.slots.prev()?;
                Some((key, self.values.$get(slot)))
            }
        }

        impl<T> fmt::Debug for $name<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}

cursors! {
    Cursor, get: &'a T;
    CursorMut, get_mut: &mut T;
}

impl<T> Clone for Cursor<'_, T> {
    fn clone(&self) -> Self {
        Cursor { slots: self.slots.clone(), values: self.values, ahead: self.ahead }
    }
}

/// An iterator over the keys of a range, as copies, and their values.
///
/// Returned by [`ArenaArt::range`](crate::ArenaArt::range) and
/// [`ArenaArt::prefix`](crate::ArenaArt::prefix). [`next_ref`](Self::next_ref) and
/// [`next_back_ref`](Self::next_back_ref) return the same keys without a copy.
pub struct Range<'a, T> {
    pub(super) slots: fast::Range<'a, u32>,
    pub(super) values: &'a Arena<T>,
    pub(super) ahead: Ahead,
}

impl<'a, T> Range<'a, T> {
    /// Returns the next key, borrowed until the next call, and its value.
    ///
    /// ```
    /// let map = memkv::ArenaArt::from([("a", "x"), ("b", "y")]);
    /// let mut range = map.prefix("a");
    /// assert_eq!(range.next_ref(), Some((&b"a"[..], &"x")));
    /// assert_eq!(range.next_ref(), None);
    /// ```
    #[inline]
    pub fn next_ref(&mut self) -> Option<(&[u8], &'a T)> {
        self.ahead.step(self.values, |each| self.slots.upcoming(each));
        self.slots.next_ref().map(|(key, slot)| (key, self.values.get(slot)))
    }

    /// Returns the next key from the back, borrowed until the next call, and its value.
    #[inline]
    pub fn next_back_ref(&mut self) -> Option<(&[u8], &'a T)> {
        self.slots.next_back_ref().map(|(key, slot)| (key, self.values.get(slot)))
    }
}

impl<'a, T> Iterator for Range<'a, T> {
    type Item = (Vec<u8>, &'a T);

    fn next(&mut self) -> Option<Self::Item> {
        self.next_ref().map(|(key, value)| (key.to_vec(), value))
    }

    fn count(self) -> usize {
        self.slots.count()
    }

    fn last(mut self) -> Option<Self::Item> {
        self.next_back()
    }
}

impl<T> DoubleEndedIterator for Range<'_, T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.slots.next_back().map(|(key, slot)| (key, self.values.get(slot)))
    }
}

impl<T> FusedIterator for Range<'_, T> {}

impl<T> Clone for Range<'_, T> {
    fn clone(&self) -> Self {
        Range { slots: self.slots.clone(), values: self.values, ahead: self.ahead }
    }
}

impl<T: fmt::Debug> fmt::Debug for Range<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        let mut range = self.clone();
        while let Some((key, value)) = range.next_ref() {
            map.entry(&format_args!("\"{}\"", key.escape_ascii()), value);
        }
        map.finish()
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
        |this| this.ahead.step(this.values, |each| this.slots.upcoming(each)),
        |this, (key, slot)| (key, this.values.get(slot)), (key, this.values.get(slot));
    Values<'a>, left: slots, &'a T,
        |this| this.ahead.step(this.values, |each| this.slots.upcoming(each)),
        |this, slot| this.values.get(slot), this.values.get(slot);
    IterMut<'a>, left: values, (Vec<u8>, &'a mut T), |_| (),
        |this, (key, _slot)| (key, this.values.next()??), (key, this.values.next_back()??);
    IntoIter<>, left: slots, (Vec<u8>, T), |_| (),
        |this, (key, slot)| (key, this.values.remove(slot)), (key, this.values.remove(slot));
}
