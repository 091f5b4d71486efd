//! Records in memory, and sorting them.
//!
//! Keys are sorted by their first seven bytes, which are in a word beside each record's position.
//! Each group of keys with the same seven bytes is then sorted by the next seven, and so on: a
//! radix sort from the most significant digit on, with comparisons within a digit. A key's bytes
//! are read once for each seven of them, not once for each comparison.
//!
//! Sinha and Zobel, "Cache-conscious sorting of large sets of strings with dynamic tries", 2004.
//! Key bytes beside the pointers: Ng and Kakehi, "Cache efficient radix sort for string sorting",
//! 2007.

use super::merge::Source;
use super::sample::Seek;
use super::varint;
use crate::frozen::error::FrozenError;
use rayon::prelude::*;

/// Most bytes of a record in an arena besides those of its key and its value.
pub(super) const MAX_BYTES_PER_ENTRY: usize = size_of::<Entry>() + 2 * varint::MAX_VARINT_BYTES;
/// The bytes of a key in a word.
const DIGIT: usize = 7;
/// The entries from which on threads share the work.
const PARALLEL: usize = 1 << 14;

/// The position of a record, and some bytes of its key. Equal keys are in the order of their
/// positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    /// The next bytes of the key, the first one most significant, then zeros. The lowest byte has
    /// their number, or [`MORE`].
    word: u64,
    at: usize,
}

/// The key continues after the word.
const MORE: u8 = DIGIT as u8 + 1;

/// Records in the order in which they were added, or sorted.
#[derive(Debug, Default)]
pub(super) struct Arena {
    /// For each record: the lengths of the key and the value, the value, the key.
    bytes: Vec<u8>,
    entries: Vec<Entry>,
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
            && entries.try_reserve_exact(room / size_of::<Entry>()).is_ok();
        if !reserved {
            return Err(FrozenError::Option("the memory of an external build cannot be reserved"));
        }
        Ok(Self { bytes, entries, room, touched: (0, 0) })
    }

    /// Returns an empty arena in place of this one, which takes no more memory than a new one.
    pub(super) fn cleared(mut self) -> Result<Self, FrozenError> {
        let (bytes, entries) = self.touched;
        self.touched = (bytes.max(self.bytes.len()), entries.max(self.entries.len()));
        if self.touched.0 + self.touched.1 * size_of::<Entry>() > self.room + self.room / 32 {
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
            + self.entries.len() * size_of::<Entry>()
            + key.len()
            + value.len()
            + MAX_BYTES_PER_ENTRY
            > self.room
        {
            return false;
        }
        self.entries.push(Entry { word: 0, at: self.bytes.len() });
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

/// Returns the word of a key from `depth` on.
fn word(key: &[u8], depth: usize) -> u64 {
    let rest = &key[depth..];
    if let Some(bytes) = rest.first_chunk::<8>() {
        return u64::from_be_bytes(*bytes) & !0xFF | u64::from(MORE);
    }
    let mut bytes = [0; 8];
    bytes[..rest.len()].copy_from_slice(rest);
    bytes[DIGIT] = rest.len() as u8;
    u64::from_be_bytes(bytes)
}

/// Sorts entries whose keys share their first `depth` bytes, large groups as tasks of their own.
///
/// It does not recurse, since keys may share millions of bytes.
fn sort<'a>(scope: &rayon::Scope<'a>, bytes: &'a [u8], entries: &'a mut [Entry], depth: usize) {
    let mut groups = vec![(entries, depth)];
    while let Some((entries, depth)) = groups.pop() {
        let read = |entry: &mut Entry| entry.word = word(record(bytes, entry.at).0, depth);
        if entries.len() >= PARALLEL {
            entries.par_iter_mut().for_each(read);
            entries.par_sort_unstable();
        } else {
            entries.iter_mut().for_each(read);
            entries.sort_unstable();
        }
        for group in entries.chunk_by_mut(|a, b| a.word == b.word) {
            // Keys that end in the word are equal, and in order.
            if group.len() > 1 && group[0].word as u8 == MORE {
                if group.len() >= PARALLEL {
                    scope.spawn(move |scope| sort(scope, bytes, group, depth + DIGIT));
                } else {
                    groups.push((group, depth + DIGIT));
                }
            }
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
    fn record(&self) -> (&[u8], &[u8]) {
        record(&self.arena.bytes, self.arena.entries[self.next - 1].at)
    }
}

impl Seek for ArenaReader<'_> {
    fn seek(&mut self, target: &[u8]) -> Result<bool, FrozenError> {
        let Arena { bytes, entries, .. } = self.arena;
        self.next = entries.partition_point(|entry| record(bytes, entry.at).0 < target);
        self.advance()
    }
}

#[cfg(test)]
mod tests {
    use super::{Arena, Seek, Source};

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
