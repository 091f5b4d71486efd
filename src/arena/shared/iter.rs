//! Cursors and ranges over a map that other threads may change, and the owning iterator.

use crate::face::sealed::Sealed;
use crate::face::{self, Ends, OwnedEnds, ScanEnds, Walk};
use crate::tree::{Drain, Ref, ValueCursor, ValueTree};
use std::fmt;
use std::iter::FusedIterator;

/// A position in a [`ConcurrentArenaArt`](crate::ConcurrentArenaArt).
///
/// **Warning:** a cursor that is kept without being stepped holds back everything that all maps
/// retire. Drop it, and seek again later.
///
/// It lends values until the next step, so it keeps its thread pinned, and is not `Send`. The pin
/// is renewed every few leaves, but only if it is the thread's sole pin. A [`Range`] holds nothing
/// between two steps. Otherwise the guarantees are those of
/// [`concurrent::Cursor`](crate::concurrent::Cursor).
///
/// ```
/// let map = memkv::ConcurrentArenaArt::from([("a", "x"), ("b", "y")]);
/// let mut cursor = map.cursor();
/// assert_eq!(cursor.next(), Some((&b"a"[..], &"x")));
/// assert_eq!(cursor.prev(), Some((&b"a"[..], &"x")));
/// ```
///
/// A value does not outlive the step:
///
/// ```compile_fail,E0499
/// let map = memkv::ConcurrentArenaArt::from([("a", "x"), ("b", "y")]);
/// let mut cursor = map.cursor();
/// let first = cursor.next();
/// cursor.next();
/// assert!(first.is_some());
/// ```
///
/// ```
/// let map = memkv::ConcurrentArenaArt::from([("a", "x"), ("b", "y")]);
/// let mut cursor = map.cursor();
/// let first = cursor.next();
/// assert!(first.is_some());
/// cursor.next();
/// ```
///
/// A cursor cannot be sent to another thread:
///
/// ```compile_fail,E0277
/// let map = memkv::ConcurrentArenaArt::from([("a", "x")]);
/// let mut cursor = map.cursor();
/// std::thread::scope(|scope| scope.spawn(move || cursor.next().is_some()).join().unwrap());
/// ```
///
/// ```
/// let map = memkv::ConcurrentArenaArt::from([("a", "x")]);
/// let mut range = map.iter();
/// std::thread::scope(|scope| scope.spawn(move || range.next().is_some()).join().unwrap());
/// ```
pub type Cursor<'m, T> = face::Cursor<PinnedWalk<'m, T>>;

/// An iterator over a range of a [`ConcurrentArenaArt`](crate::ConcurrentArenaArt).
///
/// Returned by [`ConcurrentArenaArt::range`](crate::ConcurrentArenaArt::range),
/// [`prefix`](crate::ConcurrentArenaArt::prefix) and [`iter`](crate::ConcurrentArenaArt::iter). It
/// yields clones of the values, if `T` is [`Clone`]; [`next_ref`](face::Range::next_ref) lends each
/// as a [`Ref`], which holds a pin.
///
/// Between two steps it holds nothing back, and can be sent to another thread. So a step looks its
/// key up again if memory was reclaimed since the key was read ahead. The guarantees are those of
/// [`concurrent::Cursor`](crate::concurrent::Cursor).
pub type Range<'m, T> = face::Range<ValueEnds<'m, T>>;

/// An iterator over the keys of a [`ConcurrentArenaArt`](crate::ConcurrentArenaArt). Returned by
/// [`ConcurrentArenaArt::keys`](crate::ConcurrentArenaArt::keys).
pub type Keys<'m, T> = face::Keys<ValueEnds<'m, T>>;

/// An iterator over clones of the values of a [`ConcurrentArenaArt`](crate::ConcurrentArenaArt).
/// Returned by [`ConcurrentArenaArt::values`](crate::ConcurrentArenaArt::values).
pub type Values<'m, T> = face::Values<ValueEnds<'m, T>>;

/// A position in a [`ConcurrentArenaArt`](crate::ConcurrentArenaArt), with a pin.
#[expect(missing_debug_implementations, reason = "no user holds one")]
pub struct PinnedWalk<'m, T: Send + Sync + 'static> {
    raw: ValueCursor<'m, T>,
}

impl<'m, T: Send + Sync + 'static> PinnedWalk<'m, T> {
    pub(super) fn new(tree: &'m ValueTree<T>) -> Self {
        PinnedWalk { raw: ValueCursor::new(tree) }
    }
}

impl<T: Send + Sync + 'static> Sealed for PinnedWalk<'_, T> {}

impl<T: Send + Sync + 'static> Walk for PinnedWalk<'_, T> {
    type Value<'w>
        = &'w T
    where
        Self: 'w;

    fn seek(&mut self, key: &[u8], after: bool) {
        self.raw.seek(key, after);
    }

    fn seek_to_last(&mut self) {
        self.raw.seek_end();
    }

    #[inline]
    fn step(&mut self, back: bool) -> Option<(&[u8], &T)> {
        self.raw.step(back)
    }
}

/// Both ends of a range of a [`ConcurrentArenaArt`](crate::ConcurrentArenaArt).
#[expect(missing_debug_implementations, reason = "no user holds one")]
pub struct ValueEnds<'m, T: Send + Sync + 'static> {
    tree: &'m ValueTree<T>,
    ends: ScanEnds<u32>,
}

impl<'m, T: Send + Sync + 'static> ValueEnds<'m, T> {
    pub(super) fn new(tree: &'m ValueTree<T>, ends: ScanEnds<u32>) -> Self {
        ValueEnds { tree, ends }
    }
}

impl<T: Send + Sync + 'static> Clone for ValueEnds<'_, T> {
    fn clone(&self) -> Self {
        ValueEnds { tree: self.tree, ends: self.ends.clone() }
    }
}

impl<T: Send + Sync + 'static> Sealed for ValueEnds<'_, T> {}

impl<'m, T: Send + Sync + 'static> Ends for ValueEnds<'m, T> {
    type Value<'w>
        = Ref<'m, T>
    where
        Self: 'w;

    fn step(&mut self, back: bool) -> Option<(&[u8], Ref<'m, T>)> {
        // The value of a key that was read ahead may be gone.
        let value = loop {
            self.ends.step(&mut self.tree.index(), back)?;
            if let Some(value) = self.tree.get_passed(self.ends.scan(back)) {
                break value;
            }
        };
        Some((self.ends.scan(back).key(), value))
    }

    fn step_key(&mut self, back: bool) -> Option<&[u8]> {
        self.ends.step(&mut self.tree.index(), back).map(|(key, _)| key)
    }

    fn count(mut self) -> usize {
        let mut count = 0;
        while self.ends.step(&mut self.tree.index(), false).is_some() {
            count += 1;
        }
        count
    }
}

impl<T: Clone + Send + Sync + 'static> OwnedEnds for ValueEnds<'_, T> {
    type Owned = T;

    fn own(value: Ref<'_, T>) -> T {
        T::clone(&value)
    }
}

/// An owning iterator over a map's keys, as copies, and values. Returned by the `IntoIterator` of
/// [`ConcurrentArenaArt`](crate::ConcurrentArenaArt).
///
/// Dropping it drops the values that are left.
pub struct IntoIter<T: Send + Sync + 'static> {
    drain: Drain<T>,
}

impl<T: Send + Sync + 'static> IntoIter<T> {
    pub(super) fn new(tree: ValueTree<T>) -> Self {
        IntoIter { drain: tree.into_drain() }
    }
}

impl<T: Send + Sync + 'static> Iterator for IntoIter<T> {
    type Item = (Vec<u8>, T);

    fn next(&mut self) -> Option<Self::Item> {
        self.drain.next().map(|(key, value)| (key.to_vec(), value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.drain.left(), Some(self.drain.left()))
    }
}

impl<T: Send + Sync + 'static> DoubleEndedIterator for IntoIter<T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.drain.previous().map(|(key, value)| (key.to_vec(), value))
    }
}

impl<T: Send + Sync + 'static> ExactSizeIterator for IntoIter<T> {}
impl<T: Send + Sync + 'static> FusedIterator for IntoIter<T> {}

impl<T: Send + Sync + 'static> fmt::Debug for IntoIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntoIter").field("left", &self.drain.left()).finish()
    }
}
