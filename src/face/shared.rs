//! Cursors and ranges over maps that other threads may change.

use super::cursor::Walk;
use super::range::{Ends, OwnedEnds};
use super::sealed::Sealed;
use crate::key;
use crate::tree::{Scan, ScanSource};
use crate::value::{Bits, Value};
use std::marker::PhantomData;
use std::ops::Bound;

/// A position in a shared map with small values.
#[expect(missing_debug_implementations, reason = "no user holds one")]
pub struct SharedWalk<'m, M, V: Value> {
    map: &'m M,
    scan: Scan<V::Bits>,
    values: PhantomData<V>,
}

impl<'m, M, V: Value> SharedWalk<'m, M, V> {
    /// Returns the position before the first key.
    pub(crate) fn new(map: &'m M) -> Self {
        SharedWalk { map, scan: Scan::new(), values: PhantomData }
    }
}

impl<M, V: Value> Clone for SharedWalk<'_, M, V> {
    fn clone(&self) -> Self {
        SharedWalk { map: self.map, scan: self.scan.clone(), values: PhantomData }
    }
}

impl<M, V: Value> Sealed for SharedWalk<'_, M, V> {}

impl<'m, M, V: Value> Walk for SharedWalk<'m, M, V>
where
    &'m M: ScanSource<Bits = V::Bits>,
{
    type Value<'w>
        = V
    where
        Self: 'w;

    fn seek(&mut self, key: &[u8], after: bool) {
        self.scan.seek(key, after);
    }

    fn seek_to_last(&mut self) {
        self.scan.seek_end();
    }

    #[inline]
    fn step(&mut self, back: bool) -> Option<(&[u8], V)> {
        let (key, bits) = self.scan.step(&mut self.map, back, Bound::Unbounded)?;
        Some((key, V::from_bits(bits)))
    }
}

/// One end of a range of a shared map.
#[derive(Clone)]
struct End<B: Bits> {
    scan: Scan<B>,
    /// The kind of the range's bound here. Its key is that of the scan until this end moves.
    bound: Bound<()>,
    /// Whether this end has returned a key.
    has_moved: bool,
}

impl<B: Bits> End<B> {
    fn new(bound: Bound<&[u8]>, is_back: bool) -> Self {
        let mut scan = Scan::new();
        match bound {
            Bound::Included(key) => scan.seek(key, is_back),
            Bound::Excluded(key) => scan.seek(key, !is_back),
            Bound::Unbounded if is_back => scan.seek_end(),
            Bound::Unbounded => {}
        }
        End { scan, bound: bound.map(|_| ()), has_moved: false }
    }

    /// Returns the bound that keys from the other end must keep.
    fn limit(&self) -> Bound<&[u8]> {
        if self.has_moved {
            Bound::Excluded(self.scan.key())
        } else {
            self.bound.map(|()| self.scan.key())
        }
    }
}

/// Both ends of a range, each with its own scan.
#[derive(Clone)]
pub(crate) struct ScanEnds<B: Bits> {
    front: End<B>,
    back: End<B>,
    is_done: bool,
}

impl<B: Bits> ScanEnds<B> {
    pub(crate) fn new(start: Bound<&[u8]>, end: Bound<&[u8]>) -> Self {
        ScanEnds {
            front: End::new(start, false),
            back: End::new(end, true),
            is_done: key::is_empty(start, end),
        }
    }

    /// Returns the key of the last step at one end.
    pub(crate) fn key(&self, is_back: bool) -> &[u8] {
        if is_back { self.back.scan.key() } else { self.front.scan.key() }
    }

    /// Steps over a key at one end.
    #[inline]
    pub(crate) fn step<S: ScanSource<Bits = B>>(
        &mut self,
        source: &mut S,
        is_back: bool,
    ) -> Option<(&[u8], B)> {
        if self.is_done {
            return None;
        }
        let (mine, other) =
            if is_back { (&mut self.back, &self.front) } else { (&mut self.front, &self.back) };
        // What was read ahead ends at the limit of that time. Only another step moves it.
        let passed = |key: &[u8]| {
            other.has_moved
                && if is_back { key <= other.scan.key() } else { key >= other.scan.key() }
        };
        match mine.scan.step(source, is_back, other.limit()).filter(|(key, _)| !passed(key)) {
            Some((_, bits)) => {
                mine.has_moved = true;
                Some((mine.scan.key(), bits))
            }
            None => {
                self.is_done = true;
                None
            }
        }
    }
}

/// Both ends of a range of a shared map with small values.
#[expect(missing_debug_implementations, reason = "no user holds one")]
pub struct SharedEnds<'m, M, V: Value> {
    map: &'m M,
    ends: ScanEnds<V::Bits>,
    values: PhantomData<V>,
}

impl<'m, M, V: Value> SharedEnds<'m, M, V> {
    pub(crate) fn new(map: &'m M, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Self {
        SharedEnds { map, ends: ScanEnds::new(start, end), values: PhantomData }
    }

    /// Returns the ends of the keys that begin with `prefix`.
    pub(crate) fn prefix(map: &'m M, prefix: &[u8]) -> Self {
        let end = key::prefix_end(prefix);
        Self::new(map, Bound::Included(prefix), end.as_ref().map(Vec::as_slice))
    }
}

impl<M, V: Value> Clone for SharedEnds<'_, M, V> {
    fn clone(&self) -> Self {
        SharedEnds { map: self.map, ends: self.ends.clone(), values: PhantomData }
    }
}

impl<M, V: Value> Sealed for SharedEnds<'_, M, V> {}

impl<'m, M, V: Value> Ends for SharedEnds<'m, M, V>
where
    &'m M: ScanSource<Bits = V::Bits>,
{
    type Value<'w>
        = V
    where
        Self: 'w;

    #[inline]
    fn step(&mut self, back: bool) -> Option<(&[u8], V)> {
        let (key, bits) = self.ends.step(&mut self.map, back)?;
        Some((key, V::from_bits(bits)))
    }
}

impl<'m, M, V: Value> OwnedEnds for SharedEnds<'m, M, V>
where
    &'m M: ScanSource<Bits = V::Bits>,
{
    type Owned = V;

    fn own(value: V) -> V {
        value
    }
}
