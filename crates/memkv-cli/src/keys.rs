//! A list of byte strings in two arrays: 8 bytes a string besides its bytes.

use std::ops::Range;

/// An append-only list of byte strings.
#[derive(Debug, Default)]
pub struct KeyList {
    bytes: Vec<u8>,
    /// The end of each string, where the next one starts.
    ends: Vec<usize>,
}

impl KeyList {
    /// Creates an empty list with capacity for `keys` strings of `bytes` bytes in total.
    pub fn with_capacity(keys: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(keys) }
    }

    /// Appends a string.
    pub fn push(&mut self, key: &[u8]) {
        self.push_with(|bytes| bytes.extend_from_slice(key));
    }

    /// Appends a string that `write` writes to a buffer.
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// Removes all strings, and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Returns the number of strings.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns `true` if the list has no strings.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns the bytes of all strings together.
    pub fn raw_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the string at index `i`.
    pub fn get(&self, i: usize) -> &[u8] {
        &self.bytes[self.range(i)]
    }

    fn range(&self, i: usize) -> Range<usize> {
        i.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[i]
    }

    /// Returns the strings in the order of the list.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.len()).map(|i| self.get(i))
    }

    /// Returns the indices of the strings in sorted order. Equal strings are in the order of the
    /// list.
    pub fn sorted(&self) -> Vec<u32> {
        assert!(u32::try_from(self.len()).is_ok(), "at most 2^32 - 1 keys");
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        order.sort_unstable_by(|&a, &b| {
            self.get(a as usize).cmp(self.get(b as usize)).then(a.cmp(&b))
        });
        order
    }

    /// Returns the strings at `indices` as a list.
    pub fn select(&self, indices: &[u32]) -> Self {
        let bytes = indices.iter().map(|&i| self.range(i as usize).len()).sum();
        let mut selected = Self::with_capacity(indices.len(), bytes);
        for &i in indices {
            selected.push(self.get(i as usize));
        }
        selected
    }
}

#[cfg(test)]
mod tests {
    use super::KeyList;

    #[test]
    fn keeps_sorts_and_selects() {
        let mut keys = KeyList::default();
        for key in ["b", "", "abc", "b", "ab"] {
            keys.push(key.as_bytes());
        }
        assert_eq!((keys.len(), keys.raw_bytes()), (5, 7));
        assert_eq!(keys.get(1), b"");
        assert_eq!(keys.sorted(), [1, 4, 2, 0, 3]);
        let sorted = keys.select(&keys.sorted());
        assert!(sorted.iter().eq([&b""[..], b"ab", b"abc", b"b", b"b"]));
        keys.clear();
        assert!(keys.is_empty());
    }
}
