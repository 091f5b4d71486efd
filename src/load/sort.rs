//! Sorts positions of records by key: an MSD radix sort whose digits are sorted by comparison.
//!
//! A digit is the next seven bytes of each key, in a word beside its position. Sort records are
//! sorted by these words, then each group of equal words by the next seven bytes. So a key is read
//! once for each seven bytes that it shares with others, not once for each comparison. Keys that
//! share hundreds of bytes are compared whole, because there each read would be slower.
//!
//! Ng, Kakehi: "Cache efficient radix sort for string sorting", 2007, for key bytes beside the
//! pointers.

#![forbid(unsafe_code)]

/// Bytes of a key in a digit.
pub(crate) const DIGIT_BYTES: usize = 7;
/// Shared bytes from which on keys are compared whole: reading a key may take time in O(its
/// length).
const MAX_RADIX_DEPTH: usize = 64 * DIGIT_BYTES;
/// The low byte of a word whose key continues after it.
const CONTINUES: u8 = DIGIT_BYTES as u8 + 1;

/// The position of a record, and a digit of its key. Records with equal keys sort by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SortRecord {
    /// The next bytes of the key, the first in the most significant byte, padded with zeros. The
    /// lowest byte is their number, or [`CONTINUES`].
    word: u64,
    pub(crate) at: u64,
}

impl SortRecord {
    pub(crate) fn new(at: u64) -> Self {
        SortRecord { word: 0, at }
    }

    /// Takes the digit of its key from `depth` on.
    pub(crate) fn read(&mut self, key: &[u8], depth: usize) {
        self.word = word(key, depth);
    }
}

/// Returns the groups of sorted records whose keys are not in order yet: they share the digit, and
/// continue after it. Keys that end in the digit are equal, and in order.
pub(crate) fn unsorted_groups(
    entries: &mut [SortRecord],
) -> impl Iterator<Item = &mut [SortRecord]> {
    let is_unsorted =
        |group: &&mut [SortRecord]| group.len() > 1 && group[0].word as u8 == CONTINUES;
    entries.chunk_by_mut(|a, b| a.word == b.word).filter(is_unsorted)
}

/// Returns a key from `depth` on. It is that long, unless the caller's `as_ref` returns other bytes
/// each time.
fn rest(key: &[u8], depth: usize) -> &[u8] {
    key.get(depth..).unwrap_or_default()
}

/// Returns the word of a key from `depth` on.
fn word(key: &[u8], depth: usize) -> u64 {
    let rest = rest(key, depth);
    if let Some(bytes) = rest.first_chunk::<8>() {
        return u64::from_be_bytes(*bytes) & !0xFF | u64::from(CONTINUES);
    }
    let mut bytes = [0; 8];
    bytes[..rest.len()].copy_from_slice(rest);
    bytes[DIGIT_BYTES] = rest.len() as u8;
    u64::from_be_bytes(bytes)
}

/// Sorts records whose keys share their first `depth` bytes.
///
/// `prefetch` is called before the key of each record is read. Not recursive, since keys may share
/// millions of bytes.
pub(crate) fn sort<'k>(
    entries: &mut [SortRecord],
    depth: usize,
    key: impl Fn(u64) -> &'k [u8],
    prefetch: impl Fn(&[SortRecord], usize),
) {
    let mut groups = vec![(entries, depth)];
    while let Some((entries, depth)) = groups.pop() {
        if depth >= MAX_RADIX_DEPTH {
            entries.sort_unstable_by(|a, b| {
                rest(key(a.at), depth).cmp(rest(key(b.at), depth)).then(a.at.cmp(&b.at))
            });
            continue;
        }
        for i in 0..entries.len() {
            prefetch(entries, i);
            let at = entries[i].at;
            entries[i].read(key(at), depth);
        }
        entries.sort_unstable();
        groups.extend(unsorted_groups(entries).map(|group| (group, depth + DIGIT_BYTES)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(keys: &[Vec<u8>]) {
        let mut entries: Vec<SortRecord> = (0..keys.len() as u64).map(SortRecord::new).collect();
        sort(&mut entries, 0, |at| &keys[at as usize], |_, _| {});
        let mut want: Vec<usize> = (0..keys.len()).collect();
        want.sort_by_key(|&i| &keys[i]);
        assert!(entries.iter().map(|entry| entry.at as usize).eq(want));
    }

    #[test]
    fn zeros_and_ends_are_distinguished() {
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
    fn long_shared_prefixes_take_no_stack() {
        check(&(0..1000).rev().map(|i| vec![b'a'; i * 7]).collect::<Vec<_>>());
        check(&[vec![b'x'; 3 << 20], vec![b'x'; 3 << 20], vec![b'x'; (3 << 20) - 1]]);
    }
}
