//! A chunk of the `Packed` codec.

#![forbid(unsafe_code)]

use super::block::{self, KEYS_PER_BLOCK};
use super::node::{Child, IndexTree, IndexTreeBuilder, NODE_PADDING_BYTES};
use super::prefetch::prefetch_block;
use crate::frozen::decoded_block::DecodedBlock;
use crate::frozen::front_coded::FrontCoded;
use crate::frozen::symbols::{Coder, Encoder};

/// Encodes a chunk's keys.
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

/// A chunk's keys, to read.
#[derive(Clone, Copy)]
pub(crate) struct PackedChunk<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) tree: IndexTree,
    pub(crate) len: usize,
}

impl PackedChunk<'_> {
    fn blocks(&self) -> usize {
        self.len.div_ceil(KEYS_PER_BLOCK)
    }

    /// Keys of a block.
    #[inline(always)]
    fn keys(&self, block: usize) -> usize {
        self.len.saturating_sub(block * KEYS_PER_BLOCK).min(KEYS_PER_BLOCK)
    }

    /// Finds a key: `Ok` with its place, or `Err` with that of the first greater one.
    #[inline(always)]
    pub(crate) fn search<C: Coder>(&self, coder: C, key: &[u8]) -> Option<Result<usize, usize>> {
        let (child, m) = self.descend(key)?;
        self.search_block(coder, key, &child, m)
    }

    /// The first half of [`search`](Self::search): the block where the key belongs, and how many bytes it shares with the separator before that.
    #[inline(always)]
    pub(crate) fn descend(&self, key: &[u8]) -> Option<(Child, usize)> {
        let (child, m) = self.tree.search(self.data, key)?;
        prefetch_block(self.data, child.offset);
        Some((child, m))
    }

    /// The second half of [`search`](Self::search): in the block that the tree leads to.
    #[inline(always)]
    pub(crate) fn search_block<C: Coder>(
        &self,
        coder: C,
        key: &[u8],
        child: &Child,
        m: usize,
    ) -> Option<Result<usize, usize>> {
        let base = child.index * KEYS_PER_BLOCK;
        match block::search(self.data.get(child.offset..)?, self.keys(child.index), coder, key, m)?
        {
            Ok(i) => Some(Ok(base + i)),
            Err(i) => Some(Err(base + i)),
        }
    }

    /// Bytes of all blocks that are not codes.
    pub(crate) fn headers(&self) -> usize {
        let header = |block: usize| {
            let offset = self.tree.child(self.data, block)?;
            block::header(self.data.get(offset..)?, self.keys(block))
        };
        (0..self.blocks()).filter_map(header).sum()
    }

    /// Reads the keys of a block into `run`. If `follows`, the run holds the block before.
    pub(crate) fn read<C: Coder>(
        &self,
        coder: C,
        block: usize,
        follows: bool,
        run: &mut DecodedBlock,
    ) -> Option<()> {
        let keys = if block < self.blocks() { self.tree.child(self.data, block) } else { None };
        let Some(data) = keys.and_then(|offset| self.data.get(offset..)) else {
            run.clear(&[]);
            return None;
        };
        if follows && block > 0 {
            run.clear_to_last();
        } else {
            let mut before = Vec::new();
            if block > 0 {
                self.tree.separator(self.data, block, block::first_lcp(data)?, &mut before)?;
            }
            run.clear(&before);
        }
        block::read(data, self.keys(block), coder, run)
    }
}
