//! Assembles a layer from encoded chunks, and decides where a chunk ends.

use super::byte_values::MAX_VALUE_BYTES;
use super::chunk::{Chunk, ChunkForm};
use super::front_coded::FrontCoded;
use super::layer::Layer;
use super::limits::MAX_CHUNK_BYTES;
use super::options::FrozenOptions;
use super::packed::{IndexTreeBuilder, NODE_PADDING_BYTES};
use crate::io::bytes::Bytes;
use crate::pool;
use crate::symbols::Encoders;
use crate::tree::common_prefix;

/// Bytes of chunks that are stored together. While they are copied, they are in memory twice.
pub(super) const GATHERED_BYTES: usize = 64 << 20;

/// Bytes that are left of a chunk's keys after front coding, for each key that it may have, after
/// which it ends.
const CHUNK_SUFFIX_BYTES_PER_KEY: usize = 128;
/// Bytes that are left of a chunk's keys before it can end by them.
const MIN_CHUNK_SUFFIX_BYTES: usize = 1 << 20;

/// Returns whether a chunk ends here.
#[inline]
pub(super) fn is_full(pending: &FrontCoded, options: &FrozenOptions) -> bool {
    pending.len() >= options.chunk_keys || has_full_bytes(pending, options)
}

/// Returns whether a chunk ends here whatever the number of its keys.
#[inline]
pub(super) fn has_full_bytes(pending: &FrontCoded, options: &FrozenOptions) -> bool {
    let suffix_bytes = CHUNK_SUFFIX_BYTES_PER_KEY * options.chunk_keys;
    pending.raw_bytes() >= MAX_CHUNK_BYTES
        || pending.suffix_bytes() >= suffix_bytes.max(MIN_CHUNK_SUFFIX_BYTES)
        || pending.value_bytes().len() >= MAX_VALUE_BYTES
}

/// Builds the index of a layer's chunks.
pub(super) struct IndexBuilder {
    tree: IndexTreeBuilder,
    chunks: u32,
}

impl Default for IndexBuilder {
    fn default() -> Self {
        IndexBuilder { tree: IndexTreeBuilder::new(0), chunks: 0 }
    }
}

impl IndexBuilder {
    pub(super) fn is_empty(&self) -> bool {
        self.chunks == 0
    }

    /// Adds the next chunk, which begins with `first`. The chunk before it ends with `before`.
    pub(super) fn push(&mut self, before: &[u8], first: &[u8]) {
        if self.chunks > 0 {
            self.tree.push(&first[..=common_prefix(before, first)], self.chunks);
        }
        self.chunks += 1;
    }
}

/// Copies chunks into common allocations of about `most` bytes, which huge pages can back.
pub(super) fn gather(chunks: &mut [Chunk], most: usize) {
    let mut rest = chunks;
    while !rest.is_empty() {
        let (mut count, mut bytes) = (0, 0);
        while count < rest.len() && bytes < most {
            bytes += rest[count].data.len();
            count += 1;
        }
        let (group, later) = rest.split_at_mut(count);
        let mut together = pool::huge_page_buffer(bytes);
        for chunk in group.iter_mut() {
            together.extend_from_slice(chunk.data.as_slice());
            chunk.data = chunk.data.forget();
        }
        let gathered = Bytes::from_vec(together);
        let mut offset = 0;
        for chunk in group {
            let len = chunk.data.len() as u64;
            chunk.data = gathered.part(offset, len).expect("the bytes were copied there");
            offset += len;
        }
        rest = later;
    }
}

/// Assembles a layer from encoded chunks and the separators between them.
pub(super) fn assemble(
    form: ChunkForm,
    encoders: &Encoders,
    mut chunks: Vec<Chunk>,
    index: IndexBuilder,
) -> Layer {
    let mut len = 0;
    for chunk in &mut chunks {
        chunk.start = len;
        len += chunk.len;
    }
    let (tree, mut index) = (index.tree, Vec::new());
    let index_tree = tree.finish(&mut index);
    index.extend_from_slice(&[0; NODE_PADDING_BYTES]);
    Layer {
        codec: form.codec,
        kind: form.kind,
        decoder: encoders.keys.decoder(),
        value_decoder: encoders.values.as_ref().map(|values| values.decoder()),
        index: Bytes::from_vec(index),
        index_tree,
        chunks,
        len,
    }
}
