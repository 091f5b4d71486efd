//! Some neighbouring keys, decoded: what cursors hold.

/// Keys one after the other, and of each how many bytes it shares with the one before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    bytes: Vec<u8>,
    /// Where keys begin and end in `bytes`.
    bounds: Vec<(usize, usize)>,
    lcps: Vec<usize>,
    /// Where the bytes are from which the next key takes what it shares.
    shared: (usize, usize),
}

impl Run {
    pub(crate) fn len(&self) -> usize {
        self.bounds.len()
    }

    #[inline(always)]
    pub(crate) fn key(&self, i: usize) -> Option<&[u8]> {
        let &(start, end) = self.bounds.get(i)?;
        self.bytes.get(start..end)
    }

    /// Bytes that key `i` shares with the one before, in this run or not.
    pub(crate) fn lcp(&self, i: usize) -> Option<usize> {
        self.lcps.get(i).copied()
    }

    /// Removes all keys; the next one may share bytes with `before`.
    pub(crate) fn clear(&mut self, before: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(before);
        self.shared = (0, before.len());
        self.bounds.clear();
        self.lcps.clear();
    }

    /// Removes all keys; the next one may share bytes with the last of them.
    pub(crate) fn clear_to_last(&mut self) {
        let (start, end) = self.shared;
        self.bytes.copy_within(start..end, 0);
        self.bytes.truncate(end - start);
        self.shared = (0, end - start);
        self.bounds.clear();
        self.lcps.clear();
    }

    /// Adds a key, of which `append` appends the bytes behind the first `lcp`.
    #[inline(always)]
    pub(crate) fn push(&mut self, lcp: usize, append: impl FnOnce(&mut Vec<u8>)) -> Option<()> {
        let (from, to) = self.shared;
        if lcp > to - from {
            return None;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_within(from..from + lcp);
        append(&mut self.bytes);
        self.shared = (start, self.bytes.len());
        self.bounds.push(self.shared);
        self.lcps.push(lcp);
        Some(())
    }
}
