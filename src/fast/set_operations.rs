//! Unions, intersections and differences of sets.
//!
//! Two cursors step through both sets in ascending order. A cursor whose keys are not wanted seeks
//! the key of the other once it has taken some steps towards it.

use super::{Cursor, FastSet};
use std::cmp::Ordering;
use std::iter::FusedIterator;
use std::ops::{BitAnd, BitOr, BitXor, Sub};

/// Steps towards a key before the cursor seeks it. A search costs about as much.
const STEPS_BEFORE_SEEK: usize = 8;

/// A cursor, and a copy of the key that it returned last.
#[derive(Clone)]
struct Side<'a> {
    cursor: Cursor<'a, ()>,
    key: Vec<u8>,
    is_at_end: bool,
}

impl<'a> Side<'a> {
    fn new(set: &'a FastSet) -> Self {
        let cursor = set.as_map().cursor();
        let mut side = Side { cursor, key: Vec::new(), is_at_end: false };
        side.advance();
        side
    }

    fn advance(&mut self) {
        self.key.clear();
        match self.cursor.next() {
            Some((key, ())) => self.key.extend_from_slice(key),
            None => self.is_at_end = true,
        }
    }

    /// Advances to the first key that is at least `key`.
    fn advance_to(&mut self, key: &[u8]) {
        for _ in 0..STEPS_BEFORE_SEEK {
            self.advance();
            if self.is_at_end || *self.key >= *key {
                return;
            }
        }
        self.cursor.seek(key);
        self.advance();
    }
}

/// Which keys of two sets an operation yields.
#[derive(Clone, Copy)]
struct Wanted {
    left_only: bool,
    both: bool,
    right_only: bool,
}

/// An iterator over the keys that an operation on two sets yields, in ascending order.
#[derive(Clone)]
struct Merge<'a> {
    left: Side<'a>,
    right: Side<'a>,
    wanted: Wanted,
}

impl<'a> Merge<'a> {
    fn new(left: &'a FastSet, right: &'a FastSet, wanted: Wanted) -> Self {
        Merge { left: Side::new(left), right: Side::new(right), wanted }
    }
}

impl Iterator for Merge<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let Merge { left, right, wanted } = self;
        loop {
            let order = match (left.is_at_end, right.is_at_end) {
                (true, true) => return None,
                (true, false) if !wanted.right_only => return None,
                (false, true) if !wanted.left_only => return None,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => left.key.cmp(&right.key),
            };
            match order {
                Ordering::Less if wanted.left_only => {
                    let key = left.key.clone();
                    left.advance();
                    return Some(key);
                }
                Ordering::Greater if wanted.right_only => {
                    let key = right.key.clone();
                    right.advance();
                    return Some(key);
                }
                Ordering::Less => left.advance_to(&right.key),
                Ordering::Greater => right.advance_to(&left.key),
                Ordering::Equal => {
                    let key = wanted.both.then(|| left.key.clone());
                    left.advance();
                    right.advance();
                    if key.is_some() {
                        return key;
                    }
                }
            }
        }
    }
}

impl FusedIterator for Merge<'_> {}

impl FastSet {
    /// Returns an iterator over the keys of either set, in ascending order, each once.
    ///
    /// # Complexity
    /// O(keys of both sets).
    ///
    /// ```
    /// let (a, b) = (memkv::FastSet::from(["a", "b"]), memkv::FastSet::from(["b", "c"]));
    /// assert!(a.union(&b).eq([b"a", b"b", b"c"]));
    /// ```
    pub fn union<'a>(&'a self, other: &'a Self) -> impl FusedIterator<Item = Vec<u8>> + Clone + 'a {
        Merge::new(self, other, Wanted { left_only: true, both: true, right_only: true })
    }

    /// Returns an iterator over the keys of both sets, in ascending order.
    ///
    /// # Complexity
    /// At most O(keys of both sets). If one set is much smaller than the other, one search of the
    /// larger for each key of the smaller.
    ///
    /// ```
    /// let (a, b) = (memkv::FastSet::from(["a", "b"]), memkv::FastSet::from(["b", "c"]));
    /// assert!(a.intersection(&b).eq([b"b"]));
    /// ```
    pub fn intersection<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl FusedIterator<Item = Vec<u8>> + Clone + 'a {
        Merge::new(self, other, Wanted { left_only: false, both: true, right_only: false })
    }

    /// Returns an iterator over the keys of this set that `other` does not have, in ascending
    /// order.
    ///
    /// # Complexity
    /// At most O(keys of both sets). If `other` is much larger, one search of it for each key of
    /// this set.
    ///
    /// ```
    /// let (a, b) = (memkv::FastSet::from(["a", "b"]), memkv::FastSet::from(["b", "c"]));
    /// assert!(a.difference(&b).eq([b"a"]));
    /// ```
    pub fn difference<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl FusedIterator<Item = Vec<u8>> + Clone + 'a {
        Merge::new(self, other, Wanted { left_only: true, both: false, right_only: false })
    }

    /// Returns an iterator over the keys that exactly one of both sets has, in ascending order.
    ///
    /// # Complexity
    /// O(keys of both sets).
    ///
    /// ```
    /// let (a, b) = (memkv::FastSet::from(["a", "b"]), memkv::FastSet::from(["b", "c"]));
    /// assert!(a.symmetric_difference(&b).eq([b"a", b"c"]));
    /// ```
    pub fn symmetric_difference<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl FusedIterator<Item = Vec<u8>> + Clone + 'a {
        Merge::new(self, other, Wanted { left_only: true, both: false, right_only: true })
    }

    /// Returns `true` if `other` has all keys of this set.
    ///
    /// # Complexity
    /// At most that of [`difference`](Self::difference). O(1) if this set is the larger one.
    ///
    /// ```
    /// let (a, b) = (memkv::FastSet::from(["a"]), memkv::FastSet::from(["a", "b"]));
    /// assert!(a.is_subset(&b) && !b.is_subset(&a));
    /// ```
    pub fn is_subset(&self, other: &Self) -> bool {
        self.len() <= other.len() && self.difference(other).next().is_none()
    }

    /// Returns `true` if this set has all keys of `other`.
    ///
    /// # Complexity
    /// That of [`is_subset`](Self::is_subset) the other way round.
    ///
    /// ```
    /// let (a, b) = (memkv::FastSet::from(["a"]), memkv::FastSet::from(["a", "b"]));
    /// assert!(b.is_superset(&a) && !a.is_superset(&b));
    /// ```
    pub fn is_superset(&self, other: &Self) -> bool {
        other.is_subset(self)
    }

    /// Returns `true` if the sets have no key in common.
    ///
    /// # Complexity
    /// At most that of [`intersection`](Self::intersection).
    ///
    /// ```
    /// let (a, b) = (memkv::FastSet::from(["a"]), memkv::FastSet::from(["a", "b"]));
    /// assert!(!a.is_disjoint(&b));
    /// ```
    pub fn is_disjoint(&self, other: &Self) -> bool {
        self.intersection(other).next().is_none()
    }
}

impl BitOr for &FastSet {
    type Output = FastSet;

    /// Builds the [`union`](FastSet::union) of both sets.
    fn bitor(self, other: &FastSet) -> FastSet {
        self.union(other).collect()
    }
}

impl BitAnd for &FastSet {
    type Output = FastSet;

    /// Builds the [`intersection`](FastSet::intersection) of both sets.
    fn bitand(self, other: &FastSet) -> FastSet {
        self.intersection(other).collect()
    }
}

impl Sub for &FastSet {
    type Output = FastSet;

    /// Builds the [`difference`](FastSet::difference) of both sets.
    fn sub(self, other: &FastSet) -> FastSet {
        self.difference(other).collect()
    }
}

impl BitXor for &FastSet {
    type Output = FastSet;

    /// Builds the [`symmetric_difference`](FastSet::symmetric_difference) of both sets.
    fn bitxor(self, other: &FastSet) -> FastSet {
        self.symmetric_difference(other).collect()
    }
}
