//! Cursors and ranges over maps that other threads may change.

use super::cursor::Walk;
use super::range::{Ends, OwnedEnds};
use super::sealed::Sealed;
use crate::key;
use crate::tree::{Scan, ScanSource};
use crate::value::{Bits, Value};
use std::marker::PhantomData;
use std::ops::Bound;

/// A position in a shared map with small values. `S` is the map, borrowed.
#[expect(missing_debug_implementations, reason = "no user holds one")]
#[derive(Clone)]
pub struct SharedWalk<S, V: Value> {
    map: S,
    scan: Scan<V::Bits>,
    values: PhantomData<V>,
}

impl<S, V: Value> SharedWalk<S, V> {
    /// Returns the position before the first key.
    pub(crate) fn new(map: S) -> Self {
        SharedWalk { map, scan: Scan::new(), values: PhantomData }
    }
}

impl<S, V: Value> Sealed for SharedWalk<S, V> {}

impl<S: ScanSource<Bits = V::Bits>, V: Value> Walk for SharedWalk<S, V> {
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

    /// Creates the ends of the keys that begin with `prefix`.
    pub(crate) fn prefix(prefix: &[u8]) -> Self {
        let end = key::prefix_end(prefix);
        Self::new(Bound::Included(prefix), end.as_ref().map(Vec::as_slice))
    }

    /// Returns the scan of one end.
    pub(crate) fn scan(&self, is_back: bool) -> &Scan<B> {
        if is_back { &self.back.scan } else { &self.front.scan }
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

/// Both ends of a range of a shared map with small values. `S` is the map, as a rule borrowed.
#[expect(missing_debug_implementations, reason = "no user holds one")]
pub struct SharedEnds<S, V: Value> {
    map: S,
    ends: ScanEnds<V::Bits>,
    values: PhantomData<V>,
}

impl<S: Copy, V: Value> Clone for SharedEnds<S, V> {
    /// Copies the position in a borrowed map. An owned map is not copied with it.
    fn clone(&self) -> Self {
        SharedEnds { map: self.map, ends: self.ends.clone(), values: PhantomData }
    }
}

impl<S, V: Value> SharedEnds<S, V> {
    pub(crate) fn new(map: S, ends: ScanEnds<V::Bits>) -> Self {
        SharedEnds { map, ends, values: PhantomData }
    }
}

impl<S, V: Value> Sealed for SharedEnds<S, V> {}

impl<S: ScanSource<Bits = V::Bits>, V: Value> Ends for SharedEnds<S, V> {
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

impl<S: ScanSource<Bits = V::Bits>, V: Value> OwnedEnds for SharedEnds<S, V> {
    type Owned = V;

    fn own(value: V) -> V {
        value
    }
}
