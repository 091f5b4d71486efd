//! Scans across shards: runs of neighbouring keys, each read at one moment.
//!
//! ```text
//!   position ─▶ shard of the table ─▶ run of keys, copied ─▶ table still the same? ─▶ handed out one by one ─▶ position
//! ```
//! A run is read under a pin from the one shard that has the position, as far as that shard's part goes. If the table was replaced meanwhile, what
//! was read may have been on its way to another shard, and is read anew. A position is a key, and means the same for every table. So each key that
//! stays is read once, whatever becomes of the shards.

#![forbid(unsafe_code)]

use super::ShardedArt;
use super::table::Table;
use crate::key;
use crate::reclaim::{self, Pin};
use crate::tree::SharedCursor;
use crate::value::{Bits, Value};
use std::fmt;
use std::iter::FusedIterator;
use std::ops::Bound;

/// Keys of a first run, and of those that follow at most; and bytes of keys that end it.
const FIRST: usize = if cfg!(loom) { 1 } else { 32 };
const MOST: usize = if cfg!(loom) { 2 } else { 256 };
const BYTES: usize = 64 << 10;

/// Some pairs, in the order in which they were read.
#[derive(Default)]
pub(super) struct Run<B> {
    bytes: Vec<u8>,
    pairs: Vec<(usize, B)>,
}

impl<B: Bits> Run<B> {
    pub(super) fn new() -> Self {
        Run { bytes: Vec::new(), pairs: Vec::new() }
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.pairs.clear();
    }

    pub(super) fn push(&mut self, key: &[u8], value: B) {
        self.bytes.extend_from_slice(key);
        self.pairs.push((self.bytes.len(), value));
    }

    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    fn is_full(&self, most: usize) -> bool {
        self.len() >= most || self.bytes.len() >= BYTES
    }

    #[inline]
    pub(super) fn get(&self, i: usize) -> (&[u8], B) {
        let start = if i == 0 { 0 } else { self.pairs[i - 1].0 };
        let (end, value) = self.pairs[i];
        (&self.bytes[start..end], value)
    }

    /// Adds what shard `i` of a table has from a position on, up to `most` keys and not past `end`. Gives the key behind, if the run ended
    /// before the shard did.
    pub(super) fn read(
        &mut self,
        table: &Table<B>,
        i: usize,
        from: Bound<&[u8]>,
        end: Option<&[u8]>,
        most: usize,
    ) -> Option<Vec<u8>> {
        let mut cursor = SharedCursor::new(&table.shard(i).tree);
        match from {
            Bound::Included(key) => cursor.seek(key, false),
            Bound::Excluded(key) => cursor.seek(key, true),
            Bound::Unbounded => cursor.seek(&[], false),
        }
        while let Some((key, value)) =
            cursor.next().filter(|(key, _)| end.is_none_or(|end| *key < end))
        {
            if self.is_full(most) {
                return Some(key.to_vec());
            }
            self.push(key, value);
        }
        None
    }

    fn read_back(&mut self, table: &Table<B>, i: usize, from: Bound<&[u8]>, most: usize) {
        let mut cursor = SharedCursor::new(&table.shard(i).tree);
        match from {
            Bound::Included(key) => cursor.seek(key, true),
            Bound::Excluded(key) => cursor.seek(key, false),
            Bound::Unbounded => cursor.seek_end(),
        }
        while !self.is_full(most)
            && let Some((key, value)) =
                cursor.previous().filter(|(key, _)| *key >= &table.low(i)[..])
        {
            self.push(key, value);
        }
    }
}

/// Between which keys a scan stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the noted key, or where it would be.
    Before,
    Behind,
    /// Behind all keys.
    End,
}

/// A position, and the run read from there in one direction.
pub(super) struct Scan<B> {
    key: Vec<u8>,
    place: Place,
    run: Run<B>,
    /// Pairs of the run that were handed out.
    next: usize,
    back: bool,
    /// Keys of the next run.
    most: usize,
}

impl<B: Bits> Scan<B> {
    /// A scan before all keys.
    pub(super) fn new() -> Self {
        Scan {
            key: Vec::new(),
            place: Place::Before,
            run: Run::new(),
            next: 0,
            back: false,
            most: FIRST,
        }
    }

    pub(super) fn seek(&mut self, key: &[u8], behind: bool) {
        self.forget();
        self.key.clear();
        self.key.extend_from_slice(key);
        self.place = if behind { Place::Behind } else { Place::Before };
        self.most = FIRST;
    }

    pub(super) fn seek_end(&mut self) {
        self.forget();
        self.place = Place::End;
        self.most = FIRST;
    }

    fn forget(&mut self) {
        self.run.clear();
        self.next = 0;
    }

    /// Lets the position be where the run was left.
    fn settle(&mut self) {
        if let Some(last) = self.next.checked_sub(1) {
            self.key.clear();
            self.key.extend_from_slice(self.run.get(last).0);
            self.place = if self.back { Place::Before } else { Place::Behind };
        }
        self.forget();
    }

    /// Steps over the next key, or the one before.
    #[inline]
    pub(super) fn step<V: Value<Bits = B>>(
        &mut self,
        map: &ShardedArt<V>,
        back: bool,
    ) -> Option<(&[u8], B)> {
        if (self.next == self.run.len() || self.back != back) && !self.fill(map, back) {
            return None;
        }
        self.next += 1;
        Some(self.run.get(self.next - 1))
    }

    /// The key stepped over last.
    pub(super) fn key(&self) -> &[u8] {
        match self.next.checked_sub(1) {
            Some(last) => self.run.get(last).0,
            None => &self.key,
        }
    }

    #[cold]
    fn fill<V: Value<Bits = B>>(&mut self, map: &ShardedArt<V>, back: bool) -> bool {
        self.settle();
        self.back = back;
        let mut pin = reclaim::pin();
        while !self.try_fill(map, back, &pin) {
            self.run.clear();
            pin.renew();
        }
        // By half, so that a scan that ends soon has read little in vain.
        self.most = (self.most + self.most.div_ceil(2)).min(MOST);
        self.run.len() > 0
    }

    /// Reads a run. False if the table was replaced meanwhile.
    fn try_fill<V: Value<Bits = B>>(&mut self, map: &ShardedArt<V>, back: bool, pin: &Pin) -> bool {
        let table = map.table.load(pin);
        let mut from = match self.place {
            Place::End if back => Bound::Unbounded,
            Place::End => return true,
            Place::Before if back => Bound::Excluded(&self.key[..]),
            Place::Behind if !back => Bound::Excluded(&self.key[..]),
            _ => Bound::Included(&self.key[..]),
        };
        let mut i = match from {
            Bound::Unbounded => table.len() - 1,
            Bound::Included(key) | Bound::Excluded(key) => table.route(key),
        };
        loop {
            if back {
                self.run.read_back(table, i, from, self.most);
            } else {
                self.run.read(table, i, from, table.high(i), self.most);
            }
            if !map.table.is_current(table, pin) && !mutant!(ScanNotChecked) {
                return false;
            }
            if self.run.len() > 0 || i == if back { 0 } else { table.len() - 1 } {
                return true;
            }
            if back {
                from = Bound::Excluded(table.low(i));
                i -= 1;
            } else {
                i += 1;
                from = Bound::Included(table.low(i));
            }
        }
    }
}

/// A position in a [`ShardedArt`], which steps in both directions and goes to any key.
///
/// It lends keys out of its own buffer, valid until the next step. A key that is there for the whole of a scan is lent exactly once and in
/// order, also while shards are split; one that comes or goes meanwhile may be or not. Keys are read ahead in runs of up to 256, so a value is that of
/// a moment since the step before the run began. A step that changes its direction reads anew.
///
/// Between two steps it holds back nothing, and can be kept, or sent to another thread.
///
/// ```
/// let map = memkv::ShardedArt::from([("a", 1u64), ("b", 2), ("c", 3)]);
/// let mut cursor = map.cursor();
/// cursor.seek("b");
/// assert_eq!(cursor.next(), Some((&b"b"[..], 2)));
/// assert_eq!(cursor.prev(), Some((&b"b"[..], 2)));
/// assert_eq!(cursor.prev(), Some((&b"a"[..], 1)));
/// ```
///
/// It cannot outlive its map:
///
/// ```compile_fail,E0505
/// let map = memkv::ShardedArt::from([("a", 1u64)]);
/// let mut cursor = map.cursor();
/// drop(map);
/// assert!(cursor.next().is_some());
/// ```
///
/// ```
/// let map = memkv::ShardedArt::from([("a", 1u64)]);
/// let mut cursor = map.cursor();
/// assert!(cursor.next().is_some());
/// drop(cursor);
/// drop(map);
/// ```
///
/// Nor can a key outlive the step:
///
/// ```compile_fail,E0499
/// let map = memkv::ShardedArt::from([("a", 1u64), ("b", 2)]);
/// let mut cursor = map.cursor();
/// let first = cursor.next();
/// cursor.next();
/// assert!(first.is_some());
/// ```
///
/// ```
/// let map = memkv::ShardedArt::from([("a", 1u64), ("b", 2)]);
/// let mut cursor = map.cursor();
/// let first = cursor.next();
/// assert!(first.is_some());
/// cursor.next();
/// ```
pub struct Cursor<'m, V: Value> {
    map: &'m ShardedArt<V>,
    scan: Scan<V::Bits>,
}

impl<'m, V: Value> Cursor<'m, V> {
    pub(super) fn new(map: &'m ShardedArt<V>) -> Self {
        Cursor { map, scan: Scan::new() }
    }

    /// Goes before the first key that is at least `key`.
    pub fn seek(&mut self, key: impl AsRef<[u8]>) {
        self.scan.seek(key.as_ref(), false);
    }

    /// Goes before the first key that is greater than `key`.
    pub fn seek_after(&mut self, key: impl AsRef<[u8]>) {
        self.scan.seek(key.as_ref(), true);
    }

    /// Goes before the first key of all.
    pub fn seek_to_first(&mut self) {
        self.scan.seek(&[], false);
    }

    /// Goes behind the last key of all.
    pub fn seek_to_last(&mut self) {
        self.scan.seek_end();
    }

    /// Steps over the next key, and lends it with its value.
    #[inline]
    #[expect(
        clippy::should_implement_trait,
        reason = "what it lends lives until the next step only"
    )]
    pub fn next(&mut self) -> Option<(&[u8], V)> {
        self.scan.step(self.map, false).map(|(key, bits)| (key, V::from_bits(bits)))
    }

    /// Steps back over the key before, and lends it with its value.
    #[inline]
    pub fn prev(&mut self) -> Option<(&[u8], V)> {
        self.scan.step(self.map, true).map(|(key, bits)| (key, V::from_bits(bits)))
    }
}

impl<V: Value> fmt::Debug for Cursor<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor").finish_non_exhaustive()
    }
}

/// One end of a range.
struct End<B> {
    scan: Scan<B>,
    bound: Bound<Vec<u8>>,
    /// Whether it has handed out a key.
    moved: bool,
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
        End { scan, bound: bound.map(<[u8]>::to_vec), moved: false }
    }

    /// Whether a key from the other end is on this side of where this end stands.
    fn admits(&self, key: &[u8], is_back: bool) -> bool {
        let inside = |key: &[u8], limit: &[u8]| if is_back { key < limit } else { key > limit };
        if self.moved {
            return inside(key, self.scan.key());
        }
        match &self.bound {
            Bound::Unbounded => true,
            Bound::Included(limit) => key == limit || inside(key, limit),
            Bound::Excluded(limit) => inside(key, limit),
        }
    }
}

/// Both ends of a range, without the map.
pub(super) struct Ends<B> {
    front: End<B>,
    back: End<B>,
    done: bool,
}

impl<B: Bits> Ends<B> {
    pub(super) fn new(start: Bound<&[u8]>, end: Bound<&[u8]>) -> Self {
        Ends {
            front: End::new(start, false),
            back: End::new(end, true),
            done: key::is_empty(start, end),
        }
    }

    #[inline]
    pub(super) fn step<V: Value<Bits = B>>(
        &mut self,
        map: &ShardedArt<V>,
        is_back: bool,
    ) -> Option<(&[u8], V)> {
        if self.done {
            return None;
        }
        let (mine, other) =
            if is_back { (&mut self.back, &self.front) } else { (&mut self.front, &self.back) };
        match mine
            .scan
            .step(map, is_back)
            .filter(|(key, _)| other.admits(key, !is_back))
            .map(|(_, bits)| bits)
        {
            Some(bits) => {
                mine.moved = true;
                Some((mine.scan.key(), V::from_bits(bits)))
            }
            None => {
                self.done = true;
                None
            }
        }
    }
}

/// The keys inside a range, as copies, with their values; ascending, from the back descending. From
/// [`ShardedArt::range`], [`prefix`](ShardedArt::prefix) and [`iter`](ShardedArt::iter).
///
/// What it yields while others change the map is said at [`Cursor`]. [`lend`](Self::lend) and [`lend_back`](Self::lend_back) give the same
/// keys without a copy.
///
/// It cannot outlive its map:
///
/// ```compile_fail,E0505
/// let map = memkv::ShardedArt::from([("a", 1u64)]);
/// let mut range = map.iter();
/// drop(map);
/// assert!(range.next().is_some());
/// ```
///
/// ```
/// let map = memkv::ShardedArt::from([("a", 1u64)]);
/// let mut range = map.iter();
/// assert!(range.next().is_some());
/// drop(range);
/// drop(map);
/// ```
pub struct Range<'m, V: Value> {
    map: &'m ShardedArt<V>,
    ends: Ends<V::Bits>,
}

impl<'m, V: Value> Range<'m, V> {
    pub(super) fn new(map: &'m ShardedArt<V>, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Self {
        Range { map, ends: Ends::new(start, end) }
    }

    /// The next key, lent until the next call, and its value.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64), ("b", 2)]);
    /// let mut range = map.prefix("a");
    /// assert_eq!(range.lend(), Some((&b"a"[..], 1)));
    /// assert_eq!(range.lend(), None);
    /// ```
    #[inline]
    pub fn lend(&mut self) -> Option<(&[u8], V)> {
        self.ends.step(self.map, false)
    }

    /// The next key from the back, lent until the next call, and its value.
    #[inline]
    pub fn lend_back(&mut self) -> Option<(&[u8], V)> {
        self.ends.step(self.map, true)
    }
}

impl<V: Value> Iterator for Range<'_, V> {
    type Item = (Vec<u8>, V);

    fn next(&mut self) -> Option<Self::Item> {
        self.lend().map(|(key, value)| (key.to_vec(), value))
    }

    fn count(mut self) -> usize {
        let mut count = 0;
        while self.lend().is_some() {
            count += 1;
        }
        count
    }

    fn last(mut self) -> Option<Self::Item> {
        self.next_back()
    }
}

impl<V: Value> DoubleEndedIterator for Range<'_, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.lend_back().map(|(key, value)| (key.to_vec(), value))
    }
}

impl<V: Value> FusedIterator for Range<'_, V> {}

impl<V: Value> fmt::Debug for Range<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Range").finish_non_exhaustive()
    }
}
