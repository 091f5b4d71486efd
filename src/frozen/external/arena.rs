//! Records in memory, and sorting them.
//!
//! Many records are sorted by a digit of their keys at a time, by all threads, until the groups of
//! equal digits are small: those are sorted as a load sorts its parts (load/sort.rs).
//!
//! Sinha and Zobel, "Cache-conscious sorting of large sets of strings with dynamic tries", 2004.

use super::merge::{RecordSource, Source};
use super::sample::Seek;
use super::varint;
use crate::frozen::error::FrozenError;
use crate::load::sort::{self, DIGIT_BYTES, SortRecord};
use rayon::prelude::*;

/// Most bytes of a record in an arena besides those of its key and its value.
pub(super) const MAX_BYTES_PER_ENTRY: usize =
    size_of::<SortRecord>() + 2 * varint::MAX_VARINT_BYTES;
/// Records from which on threads share the work.
const MIN_PARALLEL_RECORDS: usize = 1 << 14;

/// Records in the order in which they were added, or sorted.
#[derive(Debug, Default)]
pub(super) struct Arena {
    /// For each record: the lengths of the key and the value, the value, the key.
    bytes: Vec<u8>,
    entries: Vec<SortRecord>,
    room: usize,
    /// Most bytes and entries that were there at once, which are in memory.
    touched: (usize, usize),
}

impl Arena {
    /// Creates an arena of at most `room` bytes. Unused bytes are not resident.
    ///
    /// # Errors
    /// The bytes cannot be reserved.
    pub(super) fn with_room(room: usize) -> Result<Self, FrozenError> {
        let (mut bytes, mut entries) = (Vec::new(), Vec::new());
        let reserved = bytes.try_reserve_exact(room).is_ok()
            && entries.try_reserve_exact(room / size_of::<SortRecord>()).is_ok();
        if !reserved {
            return Err(FrozenError::Option("the memory of an external build cannot be reserved"));
        }
        Ok(Self { bytes, entries, room, touched: (0, 0) })
    }

    /// Returns an empty arena in place of this one, which takes no more memory than a new one.
    pub(super) fn cleared(mut self) -> Result<Self, FrozenError> {
        let (bytes, entries) = self.touched;
        self.touched = (bytes.max(self.bytes.len()), entries.max(self.entries.len()));
        if self.touched.0 + self.touched.1 * size_of::<SortRecord>() > self.room + self.room / 32 {
            let room = self.room;
            drop(self);
            return Self::with_room(room);
        }
        self.bytes.clear();
        self.entries.clear();
        Ok(self)
    }

    /// Adds a record, and returns `false` if it does not fit.
    #[inline]
    pub(super) fn push(&mut self, key: &[u8], value: &[u8]) -> bool {
        if self.bytes.len()
            + self.entries.len() * size_of::<SortRecord>()
            + key.len()
            + value.len()
            + MAX_BYTES_PER_ENTRY
            > self.room
        {
            return false;
        }
        self.entries.push(SortRecord::new(self.bytes.len() as u64));
        varint::put(&mut self.bytes, key.len() as u64);
        varint::put(&mut self.bytes, value.len() as u64);
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(key);
        true
    }

    /// Sorts the records by their keys. The sort is stable.
    pub(super) fn sort(&mut self) {
        let (bytes, entries) = (&self.bytes[..], &mut self.entries[..]);
        rayon::scope(|scope| sort(scope, bytes, entries, 0));
    }

    /// Returns the number of records.
    pub(super) fn count(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Returns a reader of the records in their current order.
    pub(super) fn reader(&self) -> ArenaReader<'_> {
        ArenaReader { arena: self, next: 0 }
    }
}

/// Returns the key and the value of the record at `at`.
#[inline]
fn record(bytes: &[u8], at: usize) -> (&[u8], &[u8]) {
    let mut rest = &bytes[at..];
    let mut len = || varint::take(&mut rest).expect("a record is whole") as usize;
    let (key, value) = (len(), len());
    let (value, rest) = rest.split_at(value);
    (&rest[..key], value)
}

/// Sorts entries whose keys share their first `depth` bytes, large groups as tasks of their own.
///
/// It does not recurse, since keys may share millions of bytes.
fn sort<'a>(
    scope: &rayon::Scope<'a>,
    bytes: &'a [u8],
    entries: &'a mut [SortRecord],
    depth: usize,
) {
    let key = |at: u64| record(bytes, at as usize).0;
    if entries.len() < MIN_PARALLEL_RECORDS {
        return sort::sort(entries, depth, key, |_, _| ());
    }
    entries.par_iter_mut().for_each(|entry| entry.read(key(entry.at), depth));
    entries.par_sort_unstable();
    for group in sort::unsorted_groups(entries) {
        if group.len() < MIN_PARALLEL_RECORDS {
            sort::sort(group, depth + DIGIT_BYTES, key, |_, _| ());
        } else {
            scope.spawn(move |scope| sort(scope, bytes, group, depth + DIGIT_BYTES));
        }
    }
}

/// The records of a sorted arena.
pub(super) struct ArenaReader<'a> {
    arena: &'a Arena,
    /// The number of records that were stepped over.
    next: usize,
}

impl Source for ArenaReader<'_> {
    #[inline]
    fn advance(&mut self) -> Result<bool, FrozenError> {
        self.next += 1;
        Ok(self.next <= self.arena.entries.len())
    }

    #[inline]
    fn key(&self) -> &[u8] {
        self.record().0
    }
}

impl RecordSource for ArenaReader<'_> {
    #[inline]
    fn record(&self) -> (&[u8], &[u8]) {
        record(&self.arena.bytes, self.arena.entries[self.next - 1].at as usize)
    }
}

impl Seek for ArenaReader<'_> {
    fn seek(&mut self, target: &[u8]) -> Result<bool, FrozenError> {
        let Arena { bytes, entries, .. } = self.arena;
        self.next = entries.partition_point(|entry| record(bytes, entry.at as usize).0 < target);
        self.advance()
    }
}

#[cfg(test)]
mod tests {
    use super::{Arena, RecordSource, Seek, Source};

    fn check(keys: &[Vec<u8>]) {
        let mut arena = Arena::with_room(keys.iter().map(|key| key.len() + 64).sum()).unwrap();
        for (i, key) in keys.iter().enumerate() {
            assert!(arena.push(key, &i.to_le_bytes()));
        }
        arena.sort();
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_by_key(|&i| &keys[i]);
        let mut source = arena.reader();
        for i in order {
            assert!(source.advance().unwrap());
            assert_eq!(source.record(), (&keys[i][..], &i.to_le_bytes()[..]));
        }
        assert!(!source.advance().unwrap());
        for key in keys {
            assert!(source.seek(key).unwrap());
            assert_eq!(source.record().0, key);
            assert_eq!(source.seek(&[key, &b"\0"[..]].concat()).unwrap(), {
                keys.iter().any(|other| other > key)
            });
        }
        assert_eq!(arena.cleared().unwrap().count(), 0);
    }

    #[test]
    fn zeros_and_ends_are_told_apart() {
        let mut keys = Vec::new();
        for len in 0..20 {
            for tail in [&b""[..], b"\0", b"\0\0", b"\x01", b"\xFF", b"\x07", b"\x08"] {
                keys.push([&vec![0; len], tail].concat());
                keys.push([&vec![0xFF; len], tail].concat());
            }
        }
        keys.extend(keys.clone());
        keys.reverse();
        check(&keys);
    }

    #[test]
    fn deep_families_take_no_stack() {
        let keys: Vec<Vec<u8>> = (0..3000).rev().map(|i| vec![b'a'; i * 7]).collect();
        check(&keys);
        check(&[vec![b'x'; 3 << 20], vec![b'x'; 3 << 20], vec![b'x'; (3 << 20) - 1]]);
    }

    #[test]
    fn large_groups_are_sorted_in_parallel() {
        let keys: Vec<Vec<u8>> = (0..60_000u64)
            .map(|i| {
                format!("https://www.example.org/{:016x}", i.wrapping_mul(0x9E37_79B9_7F4A_7C15))
                    .into_bytes()
            })
            .collect();
        check(&keys);
    }

    #[test]
    fn a_full_arena_takes_no_more() {
        let mut arena = Arena::with_room(1000).unwrap();
        let mut count = 0;
        while arena.push(b"0123456789", &[7; 6]) {
            count += 1;
        }
        assert!((15..60).contains(&count), "{count}");
        assert!(!arena.push(&[0; 1000], &[]));
    }
}
