//! Checks chunks from files: afterwards every read finds what a scan finds.
//!
//! A chunk is valid if its blocks are adjacent, its nodes too, every lcp is exact, keys ascend, and
//! each separator is the shortest one before its block. Searches rely on all of that.

use super::block;
use super::chunk::PackedChunk;
use crate::MAX_KEY_LEN;
use crate::frozen::decoded_block::KeySink;
use crate::frozen::limits::KeyBounds;
use crate::frozen::limits::MAX_CHUNK_BYTES;
use crate::symbols::Coder;

impl PackedChunk<'_> {
    /// Decodes the whole chunk. Returns its first and its last key, or `None` if it is invalid.
    ///
    /// # Complexity
    /// O(bytes), with memory for one key.
    pub(crate) fn check<C: Coder>(&self, coder: C) -> Option<KeyBounds> {
        let blocks_end = self.tree.check(self.data, self.blocks())?;
        let blocks = self.data.get(..blocks_end)?;
        let mut keys = AscendingKeys::default();
        let mut at = 0;
        for block in 0..self.blocks() {
            if self.tree.child(self.data, block)? != at {
                return None;
            }
            if block > 0 {
                keys.separator = Some(self.tree.separator_parts(self.data, block)?);
            }
            at += block::read(blocks.get(at..)?, self.keys(block), coder, &mut keys)?;
        }
        keys.bytes.truncate(keys.len);
        (at == blocks_end).then_some(KeyBounds { first: keys.first?, last: keys.bytes })
    }
}

/// Keys of which each must be greater than the key before. Keeps the first and the last one.
#[derive(Default)]
struct AscendingKeys<'a> {
    first: Option<Vec<u8>>,
    /// The last key, and space for more.
    bytes: Vec<u8>,
    len: usize,
    /// Bytes of all keys.
    passed: usize,
    /// The separator before the next key, if that begins a block.
    separator: Option<[&'a [u8]; 2]>,
}

impl KeySink for AscendingKeys<'_> {
    #[inline(always)]
    fn push(
        &mut self,
        lcp: usize,
        most: usize,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Option<()> {
        if lcp > self.len || self.passed >= MAX_CHUNK_BYTES {
            return None;
        }
        let room = lcp.checked_add(most)?;
        if self.bytes.len() < room {
            self.bytes.resize(room.checked_mul(2)?, 0);
        }
        let before = if lcp < self.len { self.bytes.get(lcp).copied() } else { None };
        let rest = self.bytes.get_mut(lcp..room)?;
        let suffix = write(rest)?;
        // The first byte after the lcp tells that the lcp is exact and that the key is greater.
        let ascends = suffix > 0 && before < rest.first().copied();
        self.len = lcp + suffix;
        if self.len > MAX_KEY_LEN {
            return None;
        }
        self.passed += self.len;
        if self.first.is_none() {
            self.first = Some(self.bytes.get(..self.len)?.to_vec());
            return Some(());
        }
        if let Some([prefix, rest]) = self.separator.take() {
            let key = self.bytes.get(..=lcp)?;
            if key.strip_prefix(prefix)? != rest {
                return None;
            }
        }
        ascends.then_some(())
    }
}
