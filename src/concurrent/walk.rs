//! What the ranges of shared maps have in common: two cursors that walk towards each other.

use crate::key;
use crate::raw::{SharedCursor, ValueCursor};
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

/// One end of a range.
struct End<C> {
    cursor: C,
    bound: Bound<Vec<u8>>,
    /// Whether the cursor has been led to the bound.
    begun: bool,
    /// Whether it has handed out a key since, which is in its buffer.
    moved: bool,
}

impl<C: Walk> End<C> {
    fn new(cursor: C, bound: Bound<&[u8]>) -> Self {
        End { cursor, bound: bound.map(<[u8]>::to_vec), begun: false, moved: false }
    }

    /// Whether a key from the other end is on this side of where this end stands.
    fn admits(&self, key: &[u8], is_back: bool) -> bool {
        let inside = |key: &[u8], limit: &[u8]| if is_back { key < limit } else { key > limit };
        if self.moved {
            return inside(key, self.cursor.key());
        }
        match &self.bound {
            Bound::Unbounded => true,
            Bound::Included(limit) => key == limit || inside(key, limit),
            Bound::Excluded(limit) => inside(key, limit),
        }
    }
}

/// The entries between two bounds, from both ends.
pub(crate) struct Between<C> {
    front: End<C>,
    back: End<C>,
    done: bool,
}

impl<C: Walk> Between<C> {
    pub(crate) fn new(cursor: impl Fn() -> C, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Self {
        Between { front: End::new(cursor(), start), back: End::new(cursor(), end), done: key::is_empty(start, end) }
    }

    /// Those whose keys begin with `prefix`.
    pub(crate) fn prefix(cursor: impl Fn() -> C, prefix: &[u8]) -> Self {
        let end = key::prefix_end(prefix);
        Self::new(cursor, Bound::Included(prefix), end.as_ref().map(Vec::as_slice))
    }

    #[inline]
    pub(crate) fn next(&mut self) -> Option<(&[u8], C::Value<'_>)> {
        if self.done {
            return None;
        }
        let Between { front, back, done } = self;
        if !front.begun {
            front.begun = true;
            match &front.bound {
                Bound::Unbounded => front.cursor.seek(&[], false),
                Bound::Included(key) => front.cursor.seek(key, false),
                Bound::Excluded(key) => front.cursor.seek(key, true),
            }
        }
        let found = front.cursor.next().filter(|(key, _)| back.admits(key, true));
        front.moved |= found.is_some();
        *done = found.is_none();
        found
    }

    #[inline]
    pub(crate) fn next_back(&mut self) -> Option<(&[u8], C::Value<'_>)> {
        if self.done {
            return None;
        }
        let Between { front, back, done } = self;
        if !back.begun {
            back.begun = true;
            match &back.bound {
                Bound::Unbounded => back.cursor.seek_end(),
                Bound::Included(key) => back.cursor.seek(key, true),
                Bound::Excluded(key) => back.cursor.seek(key, false),
            }
        }
        let found = back.cursor.previous().filter(|(key, _)| front.admits(key, false));
        back.moved |= found.is_some();
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
