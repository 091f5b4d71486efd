//! The decoded keys of a block, for cursors.

use super::limits::MAX_CHUNK_BYTES;
use crate::MAX_KEY_LEN;

/// What takes keys as they are decoded, each as its lcp and the rest.
pub(crate) trait KeySink {
    /// Appends a key. `write` writes the bytes after the first `lcp`, at most `most` of them, and
    /// returns their number. Returns `None` if there cannot be such a key.
    fn push(
        &mut self,
        lcp: usize,
        most: usize,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Option<()>;
}

/// The place of a key in a block's bytes, and the number of bytes that it shares with the key
/// before.
#[derive(Clone, Copy, Debug)]
struct DecodedKey {
    start: usize,
    end: usize,
    lcp: usize,
}

/// Consecutive keys, with the number of bytes that each shares with the key before.
#[derive(Clone, Debug, Default)]
pub(crate) struct DecodedBlock {
    /// The keys, and space for more.
    bytes: Vec<u8>,
    keys: Vec<DecodedKey>,
    /// Bounds of the key before. The next key copies its shared bytes from there, and is written
    /// after it.
    before: (usize, usize),
    /// Bytes of the keys decoded one after the other so far, which may include those of blocks
    /// before. A damaged chunk cannot make a scan longer than the limit of a chunk allows.
    passed: usize,
}

impl DecodedBlock {
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    #[inline(always)]
    pub(crate) fn key(&self, i: usize) -> Option<&[u8]> {
        let &DecodedKey { start, end, .. } = self.keys.get(i)?;
        self.bytes.get(start..end)
    }

    /// Returns the number of bytes that key `i` shares with the key before, which may be in another
    /// block.
    pub(crate) fn lcp(&self, i: usize) -> Option<usize> {
        self.keys.get(i).map(|key| key.lcp)
    }

    /// Removes all keys. The next key may share bytes with `before`.
    pub(crate) fn clear(&mut self, before: &[u8]) {
        if self.bytes.len() < before.len() {
            self.bytes.resize(before.len(), 0);
        }
        self.bytes[..before.len()].copy_from_slice(before);
        self.passed = 0;
        self.forget(before.len());
    }

    /// Removes all keys. The next key may share bytes with the last one.
    pub(crate) fn clear_to_last(&mut self) {
        let (start, end) = self.before;
        self.bytes.copy_within(start..end, 0);
        self.forget(end - start);
    }

    fn forget(&mut self, before: usize) {
        self.before = (0, before);
        self.keys.clear();
    }
}

impl KeySink for DecodedBlock {
    #[inline(always)]
    fn push(
        &mut self,
        lcp: usize,
        most: usize,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Option<()> {
        let (from, start) = self.before;
        if lcp > start - from || self.passed >= MAX_CHUNK_BYTES {
            return None;
        }
        let room = start.checked_add(lcp)?.checked_add(most)?;
        if self.bytes.len() < room {
            self.bytes.resize(room.checked_mul(2)?, 0);
        }
        self.bytes.copy_within(from..from + lcp, start);
        let end = start + lcp + write(self.bytes.get_mut(start + lcp..room)?)?;
        if end - start > MAX_KEY_LEN {
            return None;
        }
        self.passed += end - start;
        self.before = (start, end);
        self.keys.push(DecodedKey { start, end, lcp });
        Some(())
    }
}
