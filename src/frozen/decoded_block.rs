//! Some neighbouring keys, decoded: what cursors hold.

#![forbid(unsafe_code)]

/// Keys one after the other, and of each how many bytes it shares with the one before.
#[derive(Clone, Debug, Default)]
pub(crate) struct DecodedBlock {
    /// The keys, and room for more.
    bytes: Vec<u8>,
    /// Where keys begin and end in `bytes`.
    bounds: Vec<(usize, usize)>,
    lcps: Vec<usize>,
    /// Where the bytes are from which the next key takes what it shares. It is written behind them.
    before: (usize, usize),
}

impl DecodedBlock {
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
        if self.bytes.len() < before.len() {
            self.bytes.resize(before.len(), 0);
        }
        self.bytes[..before.len()].copy_from_slice(before);
        self.forget(before.len());
    }

    /// Removes all keys; the next one may share bytes with the last of them.
    pub(crate) fn clear_to_last(&mut self) {
        let (start, end) = self.before;
        self.bytes.copy_within(start..end, 0);
        self.forget(end - start);
    }

    fn forget(&mut self, before: usize) {
        self.before = (0, before);
        self.bounds.clear();
        self.lcps.clear();
    }

    /// Adds a key, of which `write` writes the bytes behind the first `lcp`, `most` at most, and says how many they are.
    #[inline(always)]
    pub(crate) fn push(
        &mut self,
        lcp: usize,
        most: usize,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Option<()> {
        let (from, start) = self.before;
        if lcp > start - from {
            return None;
        }
        let room = start + lcp + most;
        if self.bytes.len() < room {
            self.bytes.resize(2 * room, 0);
        }
        self.bytes.copy_within(from..from + lcp, start);
        let end = start + lcp + write(self.bytes.get_mut(start + lcp..room)?)?;
        self.before = (start, end);
        self.bounds.push(self.before);
        self.lcps.push(lcp);
        Some(())
    }
}
