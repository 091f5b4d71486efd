//! The decoded block around the last key that was asked for.

use super::decoded_block::DecodedBlock;
use super::layer::Layer;

/// A decoded block of a layer, replaced by another when a key of that is asked for.
#[derive(Clone)]
pub(super) struct Window<'a> {
    pub(super) layer: &'a Layer,
    /// The numbers of the chunk and of its block that is decoded.
    chunk: usize,
    block: usize,
    /// The rank of the block's first key.
    pub(super) start: usize,
    pub(super) decoded: DecodedBlock,
}

impl<'a> Window<'a> {
    pub(super) fn new(layer: &'a Layer) -> Self {
        Window { layer, chunk: 0, block: 0, start: 0, decoded: DecodedBlock::default() }
    }

    /// Returns the position of a rank's key in the decoded block.
    #[inline(always)]
    pub(super) fn position(&mut self, rank: usize) -> Option<usize> {
        match rank.checked_sub(self.start) {
            Some(i) if i < self.decoded.len() => Some(i),
            _ => self.load(rank),
        }
    }

    /// Returns the key of a rank and its value.
    #[inline(always)]
    pub(super) fn get(&mut self, rank: usize) -> Option<(&[u8], u64)> {
        let i = self.position(rank)?;
        let chunk = self.layer.chunks.get(self.chunk)?;
        Some((self.decoded.key(i)?, chunk.value(rank.checked_sub(chunk.start)?)?))
    }

    pub(super) fn load(&mut self, rank: usize) -> Option<usize> {
        let inside = |chunk: usize| {
            self.layer.chunks.get(chunk).is_some_and(|c| c.start <= rank && rank - c.start < c.len)
        };
        let loaded = self.decoded.len() > 0;
        let at = if inside(self.chunk) { self.chunk } else { self.layer.chunk_at(rank)? };
        let chunk = self.layer.chunks.get(at)?;
        let keys = self.layer.codec.keys_per_block();
        let block = (rank - chunk.start) / keys;
        let follows = loaded && at == self.chunk && block == self.block + 1;
        (self.chunk, self.block, self.start) = (at, block, chunk.start + block * keys);
        if chunk
            .read(self.layer.codec, &self.layer.decoder, block, follows, &mut self.decoded)
            .is_none()
        {
            self.decoded.clear(&[]);
            return None;
        }
        let i = rank - self.start;
        (i < self.decoded.len()).then_some(i)
    }
}
