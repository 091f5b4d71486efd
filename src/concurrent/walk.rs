//! What the ranges of shared maps have in common: a cursor that walks in from both ends.

use crate::key;
use crate::tree::{SharedCursor, ValueCursor};
use crate::value::Bits;
use std::ops::Bound;

/// A cursor over a map that others change meanwhile.
pub(crate) trait Walk {
    /// What a step gives besides the key.
    type Value<'a>
    where
        Self: 'a;
    /// Goes before the first entry whose key is at least `target`, or with `behind` greater than it.
    fn seek(&mut self, target: &[u8], behind: bool);
    /// Goes behind all entries.
    fn seek_end(&mut self);
    fn next(&mut self) -> Option<(&[u8], Self::Value<'_>)>;
    fn previous(&mut self) -> Option<(&[u8], Self::Value<'_>)>;
    /// The key of the last step.
    fn key(&self) -> &[u8];
}

macro_rules! walks {
    ($(<$parameter:ident: $($bound:path),*> $cursor:ident, $value:ty;)*) => {$(
        impl<$parameter: $($bound +)*> Walk for $cursor<'_, $parameter> {
            type Value<'a> = $value where Self: 'a;
            #[inline]
            fn seek(&mut self, target: &[u8], behind: bool) { self.seek(target, behind); }
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

/// The entries between two bounds, from both ends: one cursor, and so one pin, that stands at the end stepped from last, and is led over to the
/// other one where that changes.
pub(crate) struct Between<C> {
    cursor: C,
    side: Side,
    /// What is left: the side where the cursor stands is narrowed when it leaves.
    start: Bound<Vec<u8>>,
    end: Bound<Vec<u8>>,
    done: bool,
}

/// Where the cursor of a range stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Nowhere,
    /// Behind the last key handed out from the front.
    Front,
    /// Before the last key handed out from the back.
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

    /// Those whose keys begin with `prefix`.
    pub(crate) fn prefix(cursor: C, prefix: &[u8]) -> Self {
        let end = key::prefix_end(prefix);
        Self::new(cursor, Bound::Included(prefix), end.as_ref().map(Vec::as_slice))
    }

    /// Leads the cursor to an end of what is left. It has handed out a key at the other, or there would be nothing left.
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
