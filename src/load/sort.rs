//! Sorting places of records by their keys: a radix sort from the most significant digit on, with comparison inside a digit.
//!
//! The next seven bytes of each key are held in a word beside its place; entries are sorted by these, then those of each group that have
//! them in common by the next seven. A key is read once for each seven of its bytes that others share, not once for each comparison;
//! where hundreds are shared it is the other way round.
//!
//! Ng, Kakehi: "Cache efficient radix sort for string sorting", 2007, for key bytes held beside the pointers.

#![forbid(unsafe_code)]

/// Bytes of a key in a word.
const DIGIT: usize = 7;
/// Bytes that keys have in common from which on they are compared whole: reading a key may take as long as it is.
const DEEP: usize = 64 * DIGIT;
/// The key goes on behind the word.
const MORE: u8 = DIGIT as u8 + 1;

/// Where a record is, and some bytes of its key. Equal keys are in the order of their places.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// The next bytes of the key, the first one the most significant, then zeros; and in the lowest byte how many these are, or [`MORE`].
    word: u64,
    pub(super) at: u64,
}

impl Entry {
    pub(super) fn new(at: u64) -> Self {
        Entry { word: 0, at }
    }
}

/// A key from `depth` on. It reaches so far, unless the caller's keys are not the same each time.
fn rest(key: &[u8], depth: usize) -> &[u8] {
    key.get(depth..).unwrap_or_default()
}

/// The word of a key from `depth` on.
fn word(key: &[u8], depth: usize) -> u64 {
    let rest = rest(key, depth);
    if let Some(bytes) = rest.first_chunk::<8>() {
        return u64::from_be_bytes(*bytes) & !0xFF | u64::from(MORE);
    }
    let mut bytes = [0; 8];
    bytes[..rest.len()].copy_from_slice(rest);
    bytes[DIGIT] = rest.len() as u8;
    u64::from_be_bytes(bytes)
}

/// Sorts entries whose keys have their first `depth` bytes in common. No recursion: keys may have millions of bytes in common.
pub(super) fn sort<'k>(
    entries: &mut [Entry],
    depth: usize,
    key: impl Fn(u64) -> &'k [u8],
    soon: impl Fn(&[Entry], usize),
) {
    let mut groups = vec![(entries, depth)];
    while let Some((entries, depth)) = groups.pop() {
        if depth >= DEEP {
            entries.sort_unstable_by(|a, b| {
                rest(key(a.at), depth).cmp(rest(key(b.at), depth)).then(a.at.cmp(&b.at))
            });
            continue;
        }
        for i in 0..entries.len() {
            soon(entries, i);
            entries[i].word = word(key(entries[i].at), depth);
        }
        entries.sort_unstable();
        // Those of a key that ends in the word are equal, and in order.
        let more = |group: &&mut [Entry]| group.len() > 1 && group[0].word as u8 == MORE;
        groups.extend(
            entries
                .chunk_by_mut(|a, b| a.word == b.word)
                .filter(more)
                .map(|group| (group, depth + DIGIT)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(keys: &[Vec<u8>]) {
        let mut entries: Vec<Entry> = (0..keys.len() as u64).map(Entry::new).collect();
        sort(&mut entries, 0, |at| &keys[at as usize], |_, _| {});
        let mut want: Vec<usize> = (0..keys.len()).collect();
        want.sort_by_key(|&i| &keys[i]);
        assert!(entries.iter().map(|entry| entry.at as usize).eq(want));
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
        check(&(0..1000).rev().map(|i| vec![b'a'; i * 7]).collect::<Vec<_>>());
        check(&[vec![b'x'; 3 << 20], vec![b'x'; 3 << 20], vec![b'x'; (3 << 20) - 1]]);
    }
}
