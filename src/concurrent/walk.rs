//! A range of a shared map: one cursor that is stepped from both ends.

use crate::key;
use crate::tree::{SharedCursor, ValueCursor};
use crate::value::Bits;
use std::ops::Bound;

/// A cursor over a map that other threads may change.
pub(crate) trait Walk {
    /// What a step returns besides the key.
    type Value<'a>
    where
        Self: 'a;
    /// Moves before the first entry whose key is at least `target`, or greater if `after`.
    fn seek(&mut self, target: &[u8], after: bool);
    /// Moves after the last entry.
    fn seek_end(&mut self);
    fn next(&mut self) -> Option<(&[u8], Self::Value<'_>)>;
    fn previous(&mut self) -> Option<(&[u8], Self::Value<'_>)>;
    /// Returns the key of the last step.
    fn key(&self) -> &[u8];
}

macro_rules! walks {
    ($(<$parameter:ident: $($bound:path),*> $cursor:ident, $value:ty;)*) => {$(
        impl<$parameter: $($bound +)*> Walk for $cursor<'_, $parameter> {
            type Value<'a> = $value where Self: 'a;
            #[inline]
            fn seek(&mut self, target: &[u8], after: bool) { self.seek(target, after); }
            #[inline]
            fn seek_end(&mut self) { self.seek_end(); }
            #[inline]
            fn next(&mut self) -> Option<(&[u8], Self::Value<'_>)> { self.next() }
            #[inline]
            fn previous(&mut self) -> Option<(&[u8], Self::Value<'_>)> { self.previous() }
            #[inline]
            fn key(&self) -> &[u8] { self.key() }
        }
    )*};
}
walks! {
    <B: Bits> SharedCursor, B;
    <T: Send, Sync> ValueCursor, &'a T;
}

/// The entries between two bounds, stepped from both ends.
///
/// One cursor, and so one pin, serves both ends. It stands at the end that was stepped last, and is
/// moved to the other one when the direction changes.
pub(crate) struct Between<C> {
    cursor: C,
    side: Side,
    /// The bounds of what is left. The bound at the cursor's side is updated when it leaves.
    start: Bound<Vec<u8>>,
    end: Bound<Vec<u8>>,
    done: bool,
}

/// The side of a range at which its cursor stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Nowhere,
    /// After the last key returned from the front.
    Front,
    /// Before the last key returned from the back.
    Back,
}

impl<C: Walk> Between<C> {
    pub(crate) fn new(cursor: C, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Self {
        let own = |bound: Bound<&[u8]>| bound.map(<[u8]>::to_vec);
        Between {
            cursor,
            side: Side::Nowhere,
            start: own(start),
            end: own(end),
            done: key::is_empty(start, end),
        }
    }

    /// The entries whose keys begin with `prefix`.
    pub(crate) fn prefix(cursor: C, prefix: &[u8]) -> Self {
        let end = key::prefix_end(prefix);
        Self::new(cursor, Bound::Included(prefix), end.as_ref().map(Vec::as_slice))
    }

    /// Moves the cursor to one side of what is left.
    ///
    /// The cursor has returned a key at the other side, since something is left.
    #[cold]
    fn turn(&mut self, side: Side) {
        let here = || Bound::Excluded(self.cursor.key().to_vec());
        match self.side {
            Side::Nowhere => {}
            Side::Front => self.start = here(),
            Side::Back => self.end = here(),
        }
        self.side = side;
        match (side, if side == Side::Back { &self.end } else { &self.start }) {
            (Side::Back, Bound::Unbounded) => self.cursor.seek_end(),
            (_, Bound::Unbounded) => self.cursor.seek(&[], false),
            (_, Bound::Included(key)) => self.cursor.seek(key, side == Side::Back),
            (_, Bound::Excluded(key)) => self.cursor.seek(key, side == Side::Front),
        }
    }

    #[inline]
    pub(crate) fn next(&mut self) -> Option<(&[u8], C::Value<'_>)> {
        if self.done {
            return None;
        }
        if self.side != Side::Front {
            self.turn(Side::Front);
        }
        let Between { cursor, end, done, .. } = self;
        let found = cursor.next().filter(|(key, _)| match end {
            Bound::Unbounded => true,
            Bound::Included(end) => *key <= &end[..],
            Bound::Excluded(end) => *key < &end[..],
        });
        *done = found.is_none();
        found
    }

    #[inline]
    pub(crate) fn next_back(&mut self) -> Option<(&[u8], C::Value<'_>)> {
        if self.done {
            return None;
        }
        if self.side != Side::Back {
            self.turn(Side::Back);
        }
        let Between { cursor, start, done, .. } = self;
        let found = cursor.previous().filter(|(key, _)| match start {
            Bound::Unbounded => true,
            Bound::Included(start) => *key >= &start[..],
            Bound::Excluded(start) => *key > &start[..],
        });
        *done = found.is_none();
        found
    }

    pub(crate) fn count(mut self) -> usize {
        let mut count = 0;
        while self.next().is_some() {
            count += 1;
        }
        count
    }
}
