//! A chunk of the `Packed` codec.

use super::block::{self, KEYS_PER_BLOCK, MIN_BLOCK_BYTES};
use super::node::{Child, IndexTree, IndexTreeBuilder, NODE_PADDING_BYTES};
use super::prefetch::prefetch_block;
use crate::frozen::decoded_block::DecodedBlock;
use crate::frozen::front_coded::FrontCoded;
use crate::symbols::{Coder, Decoder, Encoder, SymbolKind};

/// Encodes the keys of a chunk.
pub(crate) fn encode(pending: &FrontCoded, encoder: &Encoder) -> (Vec<u8>, IndexTree) {
    let mut out = Vec::with_capacity(pending.suffix_bytes() + 4 * pending.len());
    let mut tree = IndexTreeBuilder::new(0);
    let (mut key, mut codes) = (Vec::new(), Vec::new());
    for first in (0..pending.len()).step_by(KEYS_PER_BLOCK) {
        let block = first..pending.len().min(first + KEYS_PER_BLOCK);
        if first > 0 {
            let (lcp, suffix) = pending.entry(first);
            key.truncate(lcp);
            key.extend_from_slice(&suffix[..1]);
            tree.push(&key, out.len() as u32);
        }
        block::write(block.clone().map(|i| pending.entry(i)), encoder, &mut out, &mut codes);
        for i in block {
            let (lcp, suffix) = pending.entry(i);
            key.truncate(lcp);
            key.extend_from_slice(suffix);
        }
    }
    let tree = tree.finish(&mut out);
    out.extend_from_slice(&[0; NODE_PADDING_BYTES]);
    (out, tree)
}

/// Returns whether `bytes` bytes can hold a chunk of `keys` keys, at least one, in a tree of some
/// height.
pub(crate) fn is_possible(keys: usize, height: u8, bytes: u64, decoder: &Decoder) -> bool {
    let blocks = keys.div_ceil(KEYS_PER_BLOCK);
    // Each key but the first has a code of its own.
    let codes = (keys - 1) * if decoder.kind() == SymbolKind::OnPair { 2 } else { 1 };
    let least = blocks * MIN_BLOCK_BYTES + codes + IndexTree::least_bytes(blocks);
    height == IndexTree::height_of(blocks) && least as u64 <= bytes
}

/// The keys of a chunk.
#[derive(Clone, Copy)]
pub(crate) struct PackedChunk<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) tree: IndexTree,
    pub(crate) len: usize,
}

impl PackedChunk<'_> {
    pub(super) fn blocks(&self) -> usize {
        self.len.div_ceil(KEYS_PER_BLOCK)
    }

    /// Returns the number of keys of a block.
    #[inline(always)]
    pub(super) fn keys(&self, block: usize) -> usize {
        self.len.saturating_sub(block.saturating_mul(KEYS_PER_BLOCK)).min(KEYS_PER_BLOCK)
    }

    /// Finds a key: `Ok` with its position, or `Err` with that of the first greater key.
    #[inline(always)]
    pub(crate) fn search<C: Coder>(&self, coder: C, key: &[u8]) -> Option<Result<usize, usize>> {
        let (child, m) = self.descend(key)?;
        self.search_block(coder, key, &child, m)
    }

    /// First half of [`search`](Self::search): returns the block in which the key belongs, and the
    /// number of bytes that it shares with the separator before that.
    #[inline(always)]
    pub(crate) fn descend(&self, key: &[u8]) -> Option<(Child, usize)> {
        let (child, m) = self.tree.search(self.data, key)?;
        prefetch_block(self.data, child.offset);
        Some((child, m))
    }

    /// Second half of [`search`](Self::search): searches the block.
    #[inline(always)]
    pub(crate) fn search_block<C: Coder>(
        &self,
        coder: C,
        key: &[u8],
        child: &Child,
        m: usize,
    ) -> Option<Result<usize, usize>> {
        // In a damaged chunk the number may be any, and overflow 32 bits.
        let base = child.index.wrapping_mul(KEYS_PER_BLOCK);
        match block::search(self.data.get(child.offset..)?, self.keys(child.index), coder, key, m)?
        {
            Ok(i) => Some(Ok(base.wrapping_add(i))),
            Err(i) => Some(Err(base.wrapping_add(i))),
        }
    }

    /// Passes the keys that are prefixes of `key` to `each`, with their positions and lengths, the
    /// longest first, until it returns something.
    pub(crate) fn prefixes<C: Coder, R>(
        &self,
        coder: C,
        key: &[u8],
        each: &mut impl FnMut(usize, usize) -> Option<R>,
    ) -> Option<R> {
        self.tree.walk_back(self.data, key, &mut |child, key, m| {
            let base = child.index.wrapping_mul(KEYS_PER_BLOCK);
            let block = self.data.get(child.offset..)?;
            block::prefixes(block, self.keys(child.index), coder, key, m, |i, len| {
                each(base.wrapping_add(i), len)
            })
        })
    }

    /// Returns the bytes of all blocks that are not codes.
    pub(crate) fn headers(&self) -> usize {
        let header = |block: usize| {
            let offset = self.tree.child(self.data, block)?;
            block::header(self.data.get(offset..)?, self.keys(block))
        };
        (0..self.blocks()).filter_map(header).sum()
    }

    /// Decodes a block into `decoded`. If `follows`, `decoded` holds the block before.
    pub(crate) fn read<C: Coder>(
        &self,
        coder: C,
        block: usize,
        follows: bool,
        decoded: &mut DecodedBlock,
    ) -> Option<()> {
        let Some(data) = self.block(block) else {
            decoded.clear(&[]);
            return None;
        };
        if follows && block > 0 {
            decoded.clear_to_last();
        } else {
            let mut before = Vec::new();
            if block > 0 {
                self.tree.separator(self.data, block, block::first_lcp(data)?, &mut before)?;
            }
            decoded.clear(&before);
        }
        block::read(data, self.keys(block), coder, decoded).map(|_| ())
    }

    /// Returns the bytes of a block, up to the next block; those of the last one with the nodes.
    ///
    /// In a damaged chunk too, the blocks of a scan share no byte, so its keys cannot grow from
    /// block to block by the same bytes.
    fn block(&self, block: usize) -> Option<&[u8]> {
        let next = block + 1;
        match self.blocks().checked_sub(next)? {
            0 => self.data.get(self.tree.child(self.data, block)?..),
            _ => {
                let end = self.tree.child(self.data, next)?;
                self.data.get(self.tree.child(self.data, block)?..end)
            }
        }
    }
}
