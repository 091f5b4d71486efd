//! The decoded block around the last key that was asked for.

use super::decoded_block::DecodedBlock;
use super::layer::Layer;
use super::layer_value::LayerValue;

/// A decoded block of a layer, replaced by another when a key of that is asked for. All calls must
/// be with the same layer.
#[derive(Clone, Default)]
pub(super) struct Window {
    /// The numbers of the chunk and of its block that is decoded.
    chunk: usize,
    block: usize,
    /// The rank of the block's first key.
    pub(super) start: usize,
    pub(super) decoded: DecodedBlock,
    /// The last value that is a decoded byte string.
    value: Vec<u8>,
}

impl Window {
    /// Returns the position of a rank's key in the decoded block.
    #[inline(always)]
    pub(super) fn position(&mut self, layer: &Layer, rank: usize) -> Option<usize> {
        match rank.checked_sub(self.start) {
            Some(i) if i < self.decoded.len() => Some(i),
            _ => self.load(layer, rank),
        }
    }

    /// Returns the key of a rank and its value.
    #[inline(always)]
    pub(super) fn get<'w, V: LayerValue + ?Sized>(
        &'w mut self,
        layer: &'w Layer,
        rank: usize,
    ) -> Option<(&'w [u8], V::Lent<'w>)> {
        let i = self.position(layer, rank)?;
        let chunk = layer.chunks.get(self.chunk)?;
        let at = layer.value_at(chunk, rank.checked_sub(chunk.start)?);
        Some((self.decoded.key(i)?, V::lend(at, &mut self.value)?))
    }

    pub(super) fn load(&mut self, layer: &Layer, rank: usize) -> Option<usize> {
        let inside = |chunk: usize| {
            layer.chunks.get(chunk).is_some_and(|c| c.start <= rank && rank - c.start < c.len)
        };
        let loaded = self.decoded.len() > 0;
        let at = if inside(self.chunk) { self.chunk } else { layer.chunk_at(rank)? };
        let chunk = layer.chunks.get(at)?;
        let keys = layer.codec.keys_per_block();
        let block = (rank - chunk.start) / keys;
        let follows = loaded && at == self.chunk && block == self.block + 1;
        (self.chunk, self.block, self.start) = (at, block, chunk.start + block * keys);
        if chunk.read(layer.codec, &layer.decoder, block, follows, &mut self.decoded).is_none() {
            self.decoded.clear(&[]);
            return None;
        }
        let i = rank - self.start;
        (i < self.decoded.len()).then_some(i)
    }
}
