//! Scans across shards: runs of neighbouring keys, each read under one pin.
//!
//! ```text
//!   position ─▶ shard ─▶ run of keys, copied ─▶ same table? ─▶ returned one by one ─▶ position
//! ```
//!
//! A run is read under a pin from the shard of the position, up to the end of that shard's range.
//! If the table was replaced in the meantime, the run is read again, since its keys may have been
//! moved. A position is a key, so it means the same for every table. So each key that stays is
//! returned once, whatever happens to the shards.

#![forbid(unsafe_code)]

use super::ShardedArt;
use super::table::Table;
use crate::key;
use crate::reclaim::{self, Pin};
use crate::tree::SharedCursor;
use crate::value::{Bits, Value};
use std::fmt;
use std::iter::FusedIterator;
use std::ops::{Bound, RangeBounds};

/// The keys of a scan's first run.
const KEYS_PER_FIRST_RUN: usize = if cfg!(memkv_loom) { 1 } else { 32 };
/// The most keys of a run.
const MAX_KEYS_PER_RUN: usize = if cfg!(memkv_loom) { 2 } else { 256 };
/// The bytes of keys that end a run.
const MAX_BYTES_PER_RUN: usize = 64 << 10;

/// A run of pairs, in the order in which they were read.
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

    fn is_full(&self, max_keys: usize) -> bool {
        self.len() >= max_keys || self.bytes.len() >= MAX_BYTES_PER_RUN
    }

    #[inline]
    pub(super) fn get(&self, i: usize) -> (&[u8], B) {
        let start = if i == 0 { 0 } else { self.pairs[i - 1].0 };
        let (end, value) = self.pairs[i];
        (&self.bytes[start..end], value)
    }

    /// Adds up to `max_keys` keys of shard `i` from a position on, below `end`. Returns the next
    /// key if the run ended before the shard did.
    pub(super) fn read(
        &mut self,
        table: &Table<B>,
        i: usize,
        from: Bound<&[u8]>,
        end: Option<&[u8]>,
        max_keys: usize,
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
            if self.is_full(max_keys) {
                return Some(key.to_vec());
            }
            self.push(key, value);
        }
        None
    }

    fn read_back(&mut self, table: &Table<B>, i: usize, from: Bound<&[u8]>, max_keys: usize) {
        let mut cursor = SharedCursor::new(&table.shard(i).tree);
        match from {
            Bound::Included(key) => cursor.seek(key, true),
            Bound::Excluded(key) => cursor.seek(key, false),
            Bound::Unbounded => cursor.seek_end(),
        }
        while !self.is_full(max_keys)
            && let Some((key, value)) =
                cursor.previous().filter(|(key, _)| *key >= &table.low(i)[..])
        {
            self.push(key, value);
        }
    }
}

/// The position of a scan, relative to its key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// Before the key, present or not.
    Before,
    After,
    /// After all keys.
    End,
}

/// A position, and the run that was read from there in one direction.
pub(super) struct Scan<B> {
    key: Vec<u8>,
    side: Side,
    run: Run<B>,
    /// The pairs of the run that were returned.
    next: usize,
    back: bool,
    /// The most keys of the next run.
    max_keys: usize,
}

impl<B: Bits> Scan<B> {
    /// Creates a scan before all keys.
    pub(super) fn new() -> Self {
        Scan {
            key: Vec::new(),
            side: Side::Before,
            run: Run::new(),
            next: 0,
            back: false,
            max_keys: KEYS_PER_FIRST_RUN,
        }
    }

    pub(super) fn seek(&mut self, key: &[u8], after: bool) {
        self.forget();
        self.key.clear();
        self.key.extend_from_slice(key);
        self.side = if after { Side::After } else { Side::Before };
        self.max_keys = KEYS_PER_FIRST_RUN;
    }

    pub(super) fn seek_end(&mut self) {
        self.forget();
        self.side = Side::End;
        self.max_keys = KEYS_PER_FIRST_RUN;
    }

    fn forget(&mut self) {
        self.run.clear();
        self.next = 0;
    }

    /// Sets the position to where the run was left, and drops the run.
    fn leave_run(&mut self) {
        if let Some(last) = self.next.checked_sub(1) {
            self.key.clear();
            self.key.extend_from_slice(self.run.get(last).0);
            self.side = if self.back { Side::Before } else { Side::After };
        }
        self.forget();
    }

    /// Steps over the next key, or the previous one, and returns it with its value.
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

    /// Returns the key of the last step.
    pub(super) fn key(&self) -> &[u8] {
        match self.next.checked_sub(1) {
            Some(last) => self.run.get(last).0,
            None => &self.key,
        }
    }

    #[cold]
    fn fill<V: Value<Bits = B>>(&mut self, map: &ShardedArt<V>, back: bool) -> bool {
        self.leave_run();
        self.back = back;
        let mut pin = reclaim::pin();
        while !self.try_fill(map, back, &pin) {
            self.run.clear();
            pin.renew();
        }
        // By half, so that a short scan has read few keys in vain.
        self.max_keys = (self.max_keys + self.max_keys.div_ceil(2)).min(MAX_KEYS_PER_RUN);
        self.run.len() > 0
    }

    /// Reads a run, and returns `false` if the table was replaced in the meantime.
    fn try_fill<V: Value<Bits = B>>(&mut self, map: &ShardedArt<V>, back: bool, pin: &Pin) -> bool {
        let table = map.table.load(pin);
        let mut from = match self.side {
            Side::End if back => Bound::Unbounded,
            Side::End => return true,
            Side::Before if back => Bound::Excluded(&self.key[..]),
            Side::After if !back => Bound::Excluded(&self.key[..]),
            _ => Bound::Included(&self.key[..]),
        };
        let mut i = match from {
            Bound::Unbounded => table.len() - 1,
            Bound::Included(key) | Bound::Excluded(key) => table.route(key),
        };
        loop {
            if back {
                self.run.read_back(table, i, from, self.max_keys);
            } else {
                self.run.read(table, i, from, table.high(i), self.max_keys);
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

impl<V: Value> ShardedArt<V> {
    /// Returns the least key and its value.
    ///
    /// The guarantees are those of a scan: it is not one atomic step.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("b", 2u64), ("a", 1)]);
    /// assert_eq!(map.first_key_value(), Some((b"a".to_vec(), 1)));
    /// assert_eq!(map.last_key_value(), Some((b"b".to_vec(), 2)));
    /// ```
    pub fn first_key_value(&self) -> Option<(Vec<u8>, V)> {
        self.iter().next()
    }

    /// Returns the greatest key and its value.
    ///
    /// Otherwise like [`first_key_value`](Self::first_key_value).
    pub fn last_key_value(&self) -> Option<(Vec<u8>, V)> {
        self.iter().next_back()
    }

    /// Returns a cursor before the first key.
    ///
    /// It returns keys as slices of its own buffer, so a scan allocates nothing for each key.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64), ("b", 2)]);
    /// let mut cursor = map.cursor();
    /// assert_eq!(cursor.next(), Some((&b"a"[..], 1)));
    /// ```
    pub fn cursor(&self) -> Cursor<'_, V> {
        Cursor::new(self)
    }

    /// Returns an iterator over all keys and values, in ascending order of the keys.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("b", 2u64), ("a", 1)]);
    /// assert!(map.iter().eq([(b"a".to_vec(), 1), (b"b".to_vec(), 2)]));
    /// ```
    pub fn iter(&self) -> Range<'_, V> {
        self.range::<&[u8], _>(..)
    }

    /// Returns an iterator over the keys in a range of byte strings and their values, in ascending
    /// order.
    ///
    /// A range that ends before it begins is empty.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64), ("b", 2), ("c", 3)]);
    /// assert!(map.range("b"..).map(|(_, v)| v).eq([2, 3]));
    /// assert!(map.range("a"..="b").rev().map(|(_, v)| v).eq([2, 1]));
    /// ```
    pub fn range<K: AsRef<[u8]> + ?Sized, R: RangeBounds<K>>(&self, range: R) -> Range<'_, V> {
        let (start, end) = key::bounds(&range);
        Range::new(self, start, end)
    }

    /// Returns an iterator over the keys that begin with `prefix`, and their values.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64), ("ab", 2), ("b", 3)]);
    /// assert_eq!(map.prefix("a").count(), 2);
    /// ```
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Range<'_, V> {
        let end = key::prefix_end(prefix.as_ref());
        Range::new(self, Bound::Included(prefix.as_ref()), end.as_ref().map(Vec::as_slice))
    }
}

/// A position in a [`ShardedArt`], which steps in both directions and can seek any key.
///
/// It returns keys as slices of its own buffer, valid until the next step. A key that is present
/// for the whole scan is returned exactly once and in order, also during splits. A key that is
/// inserted or removed during the scan may be returned or not.
///
/// Keys are read ahead in runs of up to 256, so a value was present at a moment since its run was
/// read. A step that changes the direction reads a new run.
///
/// Between two steps a cursor holds back no memory. It can be kept, or sent to another thread.
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
/// A cursor cannot outlive its map:
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
/// A key cannot outlive its step:
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

    /// Moves before the first key that is at least `key`.
    pub fn seek(&mut self, key: impl AsRef<[u8]>) {
        self.scan.seek(key.as_ref(), false);
    }

    /// Moves before the first key that is greater than `key`.
    pub fn seek_after(&mut self, key: impl AsRef<[u8]>) {
        self.scan.seek(key.as_ref(), true);
    }

    /// Moves before the first key of the map.
    pub fn seek_to_first(&mut self) {
        self.scan.seek(&[], false);
    }

    /// Moves after the last key of the map.
    pub fn seek_to_last(&mut self) {
        self.scan.seek_end();
    }

    /// Steps over the next key, and returns it with its value.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "the key borrows from the cursor")]
    pub fn next(&mut self) -> Option<(&[u8], V)> {
        self.scan.step(self.map, false).map(|(key, bits)| (key, V::from_bits(bits)))
    }

    /// Steps back over the previous key, and returns it with its value.
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
    /// Whether this end has returned a key.
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

    /// Returns `true` if a key from the other end has not passed this end.
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

/// An iterator over the keys of a range, as copies, and their values, in ascending order.
///
/// Returned by [`ShardedArt::range`], [`prefix`](ShardedArt::prefix) and
/// [`iter`](ShardedArt::iter). [`next_ref`](Self::next_ref) and
/// [`next_back_ref`](Self::next_back_ref) return the same keys without a copy. The guarantees are
/// those of [`Cursor`].
///
/// An iterator cannot outlive its map:
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

    /// Returns the next key, borrowed until the next call, and its value.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64), ("b", 2)]);
    /// let mut range = map.prefix("a");
    /// assert_eq!(range.next_ref(), Some((&b"a"[..], 1)));
    /// assert_eq!(range.next_ref(), None);
    /// ```
    #[inline]
    pub fn next_ref(&mut self) -> Option<(&[u8], V)> {
        self.ends.step(self.map, false)
    }

    /// Returns the next key from the back, borrowed until the next call, and its value.
    #[inline]
    pub fn next_back_ref(&mut self) -> Option<(&[u8], V)> {
        self.ends.step(self.map, true)
    }
}

impl<V: Value> Iterator for Range<'_, V> {
    type Item = (Vec<u8>, V);

    fn next(&mut self) -> Option<Self::Item> {
        self.next_ref().map(|(key, value)| (key.to_vec(), value))
    }

    fn count(mut self) -> usize {
        let mut count = 0;
        while self.next_ref().is_some() {
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
        self.next_back_ref().map(|(key, value)| (key.to_vec(), value))
    }
}

impl<V: Value> FusedIterator for Range<'_, V> {}

impl<V: Value> fmt::Debug for Range<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Range").finish_non_exhaustive()
    }
}
