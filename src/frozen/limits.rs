//! The limits of a chunk, which builders keep and readers of files check, and its outermost keys.

/// Most keys of a chunk that the options allow.
pub(super) const MAX_CHUNK_KEYS: usize = 1 << 24;
/// Most keys of a chunk in a file: a compaction divides a chunk when it has grown by half.
pub(super) const MAX_GROWN_CHUNK_KEYS: usize = MAX_CHUNK_KEYS + MAX_CHUNK_KEYS / 2;
/// Bytes of whole keys after which a chunk ends, so that offsets in it fit 32 bits. Without its
/// last key a chunk has fewer. So this also bounds the time that a walk through a chunk takes, even
/// if few bytes stand for many keys.
pub(super) const MAX_CHUNK_BYTES: usize = 64 << 20;

/// The least and the greatest key of a chunk.
pub(crate) struct KeyBounds {
    pub(crate) first: Vec<u8>,
    pub(crate) last: Vec<u8>,
}
