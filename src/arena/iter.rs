//! Cursors and iterators: those of the index, with values in the place of slots.

use super::values::Arena;
use crate::face::sealed::Sealed;
use crate::face::{self, Ends, ExactEnds, OwnedEnds, Walk, exact_iterators};
use crate::fast::{self, AllEnds, FastEnds, FastWalk, Upcoming};
use std::fmt;
use std::vec;

/// Steps before the first look ahead. A scan of a few keys is over before it pays.
const STEPS_WITHOUT_AHEAD: usize = 4;

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
pub type Cursor<'a, T> = face::Cursor<ArenaWalk<&'a Arena<T>, FastWalk<'a, u32>>>;

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
pub type CursorMut<'a, T> = face::Cursor<ArenaWalk<&'a mut Arena<T>, FastWalk<'a, u32>>>;

/// An iterator over a range of an [`ArenaArt`](crate::ArenaArt). Returned by
/// [`ArenaArt::range`](crate::ArenaArt::range) and [`ArenaArt::prefix`](crate::ArenaArt::prefix).
pub type Range<'a, T> = face::Range<ArenaWalk<&'a Arena<T>, FastEnds<'a, u32>>>;

/// A position in the index, or both ends of a range of it, and the values.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "no user holds one")]
pub struct ArenaWalk<A, S> {
    values: A,
    slots: S,
    /// Steps until the values of the next keys, which are scattered over memory, are prefetched.
    until_ahead: usize,
}

/// A borrow of an arena, by which a slot becomes a borrow of its value.
pub trait Lend {
    type Value<'w>
    where
        Self: 'w;

    fn prefetch(&self, slot: u32);

    fn value(&mut self, slot: u32) -> Self::Value<'_>;
}

impl<'a, T> Lend for &'a Arena<T> {
    type Value<'w>
        = &'a T
    where
        Self: 'w;

    #[inline]
    fn prefetch(&self, slot: u32) {
        Arena::prefetch(self, slot);
    }

    #[inline]
    fn value(&mut self, slot: u32) -> &'a T {
        self.get(slot)
    }
}

impl<T> Lend for &mut Arena<T> {
    type Value<'w>
        = &'w mut T
    where
        Self: 'w;

    #[inline]
    fn prefetch(&self, slot: u32) {
        Arena::prefetch(self, slot);
    }

    #[inline]
    fn value(&mut self, slot: u32) -> &mut T {
        self.get_mut(slot)
    }
}

impl<A, S> ArenaWalk<A, S> {
    pub(super) fn new(values: A, slots: S) -> Self {
        ArenaWalk { values, slots, until_ahead: STEPS_WITHOUT_AHEAD }
    }
}

impl<A: Lend, S: Upcoming<u32>> ArenaWalk<A, S> {
    /// Prefetches the values of the next keys now and then. To be called before each step.
    #[inline]
    fn look_ahead(&mut self, back: bool) {
        if back {
            self.until_ahead += 1;
            return;
        }
        if self.until_ahead == 0 {
            let values = &self.values;
            self.until_ahead = self.slots.upcoming(|slot| values.prefetch(slot)).max(1);
        }
        self.until_ahead -= 1;
    }
}

impl<A, S> Sealed for ArenaWalk<A, S> {}

impl<A: Lend> Walk for ArenaWalk<A, FastWalk<'_, u32>> {
    type Value<'w>
        = A::Value<'w>
    where
        Self: 'w;

    fn seek(&mut self, key: &[u8], after: bool) {
        self.until_ahead = STEPS_WITHOUT_AHEAD;
        self.slots.seek(key, after);
    }

    fn seek_to_last(&mut self) {
        self.slots.seek_to_last();
    }

    #[inline]
    fn step(&mut self, back: bool) -> Option<(&[u8], A::Value<'_>)> {
        self.look_ahead(back);
        let (key, slot) = self.slots.step(back)?;
        Some((key, self.values.value(slot)))
    }
}

impl<'a, T, S: OwnedEnds<Owned = u32> + Upcoming<u32>> Ends for ArenaWalk<&'a Arena<T>, S> {
    type Value<'w>
        = &'a T
    where
        Self: 'w;

    // Always: else a scan tests its direction at each key.
    #[inline(always)]
    fn step(&mut self, back: bool) -> Option<(&[u8], &'a T)> {
        self.look_ahead(back);
        let (key, slot) = self.slots.step(back)?;
        Some((key, self.values.get(S::own(slot))))
    }

    fn skip(&mut self, n: usize, back: bool) {
        self.slots.skip(n, back);
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.slots.size_hint()
    }

    fn count(self) -> usize {
        self.slots.count()
    }
}

impl<'a, T, S: OwnedEnds<Owned = u32> + Upcoming<u32>> OwnedEnds for ArenaWalk<&'a Arena<T>, S> {
    type Owned = &'a T;

    #[inline]
    fn own(value: &'a T) -> &'a T {
        value
    }
}

impl<T, S: ExactEnds<Owned = u32> + Upcoming<u32>> ExactEnds for ArenaWalk<&Arena<T>, S> {}

/// An iterator over all keys of a map, as copies, and their values. Returned by
/// [`ArenaArt::iter`](crate::ArenaArt::iter).
pub type Iter<'a, T> = face::Range<ArenaWalk<&'a Arena<T>, AllEnds<'a, u32>>>;

/// An iterator over all values of a map, in the order of their keys. Returned by
/// [`ArenaArt::values`](crate::ArenaArt::values).
pub struct Values<'a, T> {
    pub(super) iter: Iter<'a, T>,
}

impl<T> Clone for Values<'_, T> {
    fn clone(&self) -> Self {
        Values { iter: self.iter.clone() }
    }
}

impl<T: fmt::Debug> fmt::Debug for Values<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

/// Both ends of a range of the index, and a borrow of each value.
struct MutEnds<'a, T> {
    slots: FastEnds<'a, u32>,
    values: vec::IntoIter<Option<&'a mut T>>,
}

impl<T> Sealed for MutEnds<'_, T> {}

impl<'a, T> Ends for MutEnds<'a, T> {
    type Value<'w>
        = &'a mut T
    where
        Self: 'w;

    #[inline]
    fn step(&mut self, back: bool) -> Option<(&[u8], &'a mut T)> {
        let (key, _slot) = self.slots.step(back)?;
        let value = if back { self.values.next_back() } else { self.values.next() };
        Some((key, value??))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.values.size_hint()
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
    ends: MutEnds<'a, T>,
}

impl<'a, T> IterMut<'a, T> {
    pub(super) fn new(slots: FastEnds<'a, u32>, values: Vec<Option<&'a mut T>>) -> Self {
        IterMut { ends: MutEnds { slots, values: values.into_iter() } }
    }
}

impl<T> fmt::Debug for IterMut<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IterMut").field("left", &self.len()).finish()
    }
}

/// Both ends of all keys of a map, with its values.
struct IntoEnds<T> {
    slots: fast::IntoEnds<u32>,
    values: Arena<T>,
}

impl<T> Sealed for IntoEnds<T> {}

impl<T> Ends for IntoEnds<T> {
    type Value<'w>
        = T
    where
        Self: 'w;

    #[inline]
    fn step(&mut self, back: bool) -> Option<(&[u8], T)> {
        let (key, slot) = self.slots.step(back)?;
        Some((key, self.values.remove(slot)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.slots.size_hint()
    }
}

/// An owning iterator over a map's keys, as copies, and values. Returned by the `IntoIterator` of
/// [`ArenaArt`](crate::ArenaArt).
///
/// The memory of values is freed as they are returned. Dropping the iterator drops those that are
/// left.
pub struct IntoIter<T> {
    ends: IntoEnds<T>,
}

impl<T> IntoIter<T> {
    pub(super) fn new(slots: fast::IntoEnds<u32>, values: Arena<T>) -> Self {
        IntoIter { ends: IntoEnds { slots, values } }
    }
}

impl<T> fmt::Debug for IntoIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntoIter").field("left", &self.len()).finish()
    }
}

exact_iterators! {
    ['a, T] Values<'a, T>: .iter.ends, &'a T, |_key, value| value;
    ['a, T] IterMut<'a, T>: .ends, (Vec<u8>, &'a mut T), |key, value| (key.to_vec(), value);
    [T] IntoIter<T>: .ends, (Vec<u8>, T), |key, value| (key.to_vec(), value);
}
