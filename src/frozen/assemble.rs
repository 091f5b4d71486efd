//! From encoded chunks to a layer, and where a chunk ends.

#![forbid(unsafe_code)]

use super::chunk::Chunk;
use super::codec::Codec;
use super::front_coded::FrontCoded;
use super::layer::Layer;
use super::options::FrozenOptions;
use super::packed::{IndexTreeBuilder, NODE_PADDING_BYTES};
use super::symbols::Encoder;
use crate::io::bytes::Bytes;
use crate::pool;

/// Bytes of keys that end a chunk at the latest, so that places inside it fit 32 bits.
const MAX_CHUNK_BYTES: usize = 64 << 20;
/// Bytes of chunks that are held together. While they are moved there, as many are in memory twice.
pub(super) const GATHERED_BYTES: usize = 64 << 20;

/// Bytes of keys that end a chunk.
pub(super) fn chunk_bytes(options: &FrozenOptions) -> usize {
    MAX_CHUNK_BYTES.min(options.memory / 16)
}

/// Whether a chunk ends here.
#[inline]
pub(super) fn is_full(pending: &FrontCoded, options: &FrozenOptions) -> bool {
    pending.len() >= options.chunk_keys || pending.raw_bytes() >= chunk_bytes(options)
}

/// Moves the bytes of chunks together, about so many, so that huge pages can hold them.
pub(super) fn gather(chunks: &mut [Chunk], most: usize) {
    let mut rest = chunks;
    while !rest.is_empty() {
        let (mut count, mut bytes) = (0, 0);
        while count < rest.len() && bytes < most {
            bytes += rest[count].data.len();
            count += 1;
        }
        let (group, behind) = rest.split_at_mut(count);
        let mut room = pool::room(bytes);
        for chunk in group.iter_mut() {
            room.extend_from_slice(chunk.data.as_slice());
            chunk.data = chunk.data.forget();
        }
        let gathered = Bytes::of_vec(room);
        let mut offset = 0;
        for chunk in group {
            let len = chunk.data.len() as u64;
            chunk.data = gathered.part(offset, len).expect("it was put there");
            offset += len;
        }
        rest = behind;
    }
}

/// Puts encoded chunks together.
pub(super) fn assemble(
    codec: Codec,
    encoder: &Encoder,
    mut chunks: Vec<Chunk>,
    separators: IndexTreeBuilder,
) -> Layer {
    let mut len = 0;
    for chunk in &mut chunks {
        chunk.start = len;
        len += chunk.len;
    }
    let mut index = Vec::new();
    let index_tree = separators.finish(&mut index);
    index.extend_from_slice(&[0; NODE_PADDING_BYTES]);
    Layer {
        codec,
        decoder: encoder.decoder(),
        index: Bytes::of_vec(index),
        index_tree,
        chunks,
        len,
    }
}
