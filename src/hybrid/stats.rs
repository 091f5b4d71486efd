//! Sizes and statistics of a store.

#![forbid(unsafe_code)]

use std::time::Duration;

/// The sizes of a [`HybridStore`](crate::HybridStore), and what its compactions did since it was
/// opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HybridStats {
    /// Keys of the base.
    pub base_keys: usize,
    /// Bytes of the base.
    pub base_bytes: usize,
    /// Chunks of the base.
    pub base_chunks: usize,
    /// Keys changed since the base was built, tombstones included. Without those of a delta that is
    /// being merged.
    pub delta_keys: usize,
    /// Bytes of these changes.
    pub delta_bytes: usize,
    /// Bytes of the frozen delta: changes that are being merged.
    pub frozen_delta_bytes: usize,
    /// Bytes of the log of these changes. Without what was replayed when the store was opened.
    pub log_bytes: u64,
    /// Changes that were replayed from the log when the store was opened.
    pub replayed: u64,
    /// Compactions that succeeded.
    pub compactions: u64,
    /// Compactions that failed. Their changes are kept, and the next compaction merges them.
    pub failures: u64,
    /// Why the last compaction failed, or `None` if it succeeded.
    pub last_failure: Option<String>,
    /// Duration of the last compaction.
    pub last_compaction: Duration,
    /// Chunks that the last compaction reused unchanged.
    pub last_reused: usize,
    /// Chunks that the last compaction encoded.
    pub last_encoded: usize,
    /// The longest time for which a compaction blocked writers.
    pub longest_pause: Duration,
}

/// The memory of a [`HybridStore`](crate::HybridStore), in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HybridUsage {
    /// The base.
    pub base: usize,
    /// The changes since the base was built.
    pub delta: usize,
    /// The frozen delta: changes that are being merged.
    pub frozen_delta: usize,
    /// The store itself.
    pub own: usize,
    /// Retired memory of all shared maps of the process: some thread may still read it.
    pub retired: usize,
}

impl HybridUsage {
    /// Returns the sum.
    pub fn total(&self) -> usize {
        self.base + self.delta + self.frozen_delta + self.own + self.retired
    }
}
