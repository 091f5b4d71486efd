//! What a store tells about itself.

#![forbid(unsafe_code)]

use std::time::Duration;

/// What a [`HybridStore`](crate::HybridStore) holds, and what its compactions did since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HybridStats {
    /// Keys of the base.
    pub base_keys: usize,
    /// Bytes of the base.
    pub base_bytes: usize,
    /// Chunks of the base.
    pub base_chunks: usize,
    /// Keys changed since the base was built, tombstones among them. Not those of a delta that is being merged.
    pub delta_keys: usize,
    /// Bytes of these changes.
    pub delta_bytes: usize,
    /// Bytes of changes that are being merged.
    pub sealed_bytes: usize,
    /// Bytes of the log of these changes, made since the store was opened or compacted. What was read when it was opened is not in them.
    pub log_bytes: u64,
    /// Changes that were read from the log when the store was opened.
    pub replayed: u64,
    /// Compactions that succeeded.
    pub compactions: u64,
    /// Compactions that failed. What they were to merge stays, and the next one tries again.
    pub failures: u64,
    /// Why the last compaction failed; none if it succeeded.
    pub last_failure: Option<String>,
    /// Time that the last compaction took.
    pub last_compaction: Duration,
    /// Chunks that the last compaction took as they were.
    pub last_reused: usize,
    /// Chunks that the last compaction encoded.
    pub last_encoded: usize,
    /// The longest time that a compaction kept writers out.
    pub longest_pause: Duration,
}

/// What a [`HybridStore`](crate::HybridStore) takes, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HybridUsage {
    /// The base.
    pub base: usize,
    /// The changes since.
    pub delta: usize,
    /// Changes that are being merged.
    pub sealed: usize,
    /// The store itself.
    pub own: usize,
    /// Bytes that shared maps gave back and that some thread may still read, of all maps of the process together.
    pub retired: usize,
}

impl HybridUsage {
    /// All of it.
    pub fn total(&self) -> usize {
        self.base + self.delta + self.sealed + self.own + self.retired
    }
}
