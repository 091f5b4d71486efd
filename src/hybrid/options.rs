//! How a store works.

#![forbid(unsafe_code)]

use super::error::HybridError;
use crate::FrozenOptions;

/// What of a folder's changes is kept in a log between compactions. Of no account for a store in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wal {
    /// There is no log: what was changed since the last [`compact`](crate::HybridStore::compact) is in memory only.
    #[default]
    Off,
    /// A change is on the disk when the call that made it returns. Threads that write at a time share the wait for the disk.
    Synced,
    /// A change is on the disk when a later [`sync`](crate::HybridStore::sync) returns; at the latest when 4 MiB of them wait for it.
    Buffered,
}

/// How a [`HybridStore`](crate::HybridStore) works.
///
/// ```
/// use memkv::{FrozenOptions, HybridOptions, HybridStore, SymbolTable};
///
/// let options = HybridOptions::new().frozen(FrozenOptions::new().symbols(SymbolTable::Fsst)).background(false);
/// let store = HybridStore::with_options(options)?;
/// store.insert("a", 1)?;
/// assert_eq!(store.get("a"), Some(1));
/// # Ok::<(), memkv::HybridError>(())
/// ```
#[derive(Clone, Debug)]
pub struct HybridOptions {
    pub(super) frozen: FrozenOptions,
    pub(super) wal: Wal,
    pub(super) background: bool,
    pub(super) compact_bytes: usize,
    pub(super) compact_percent: usize,
    pub(super) compact_log: u64,
    pub(super) threads: usize,
}

impl Default for HybridOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl HybridOptions {
    /// The defaults: no log; compaction in the background, by half of the machine's threads, when the changes take more than 8 MiB and more than 10 % of
    /// what the base takes, or the log has more than 256 MiB.
    pub fn new() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2);
        let frozen = FrozenOptions::new();
        HybridOptions {
            frozen,
            wal: Wal::Off,
            background: true,
            compact_bytes: 8 << 20,
            compact_percent: 10,
            compact_log: 256 << 20,
            threads,
        }
    }

    /// How the base is built.
    #[must_use]
    pub fn frozen(mut self, options: FrozenOptions) -> Self {
        self.frozen = options;
        self
    }

    /// Whether changes are logged.
    #[must_use]
    pub fn wal(mut self, wal: Wal) -> Self {
        self.wal = wal;
        self
    }

    /// Whether a thread of its own compacts when the changes are over the limits; else only [`compact`](crate::HybridStore::compact) does.
    #[must_use]
    pub fn background(mut self, background: bool) -> Self {
        self.background = background;
        self
    }

    /// Bytes of memory that changes may take before the background compacts, if they are over the other limit, too.
    #[must_use]
    pub fn compact_bytes(mut self, bytes: usize) -> Self {
        self.compact_bytes = bytes;
        self
    }

    /// Per cent of the base's bytes that changes may take before the background compacts, if they are over the other limit, too.
    #[must_use]
    pub fn compact_percent(mut self, percent: usize) -> Self {
        self.compact_percent = percent;
        self
    }

    /// Bytes of the log at which the background compacts, however little the changes take: the same keys may have been changed over and
    /// over. What was read of it when the store was opened counts, too.
    #[must_use]
    pub fn compact_log(mut self, bytes: u64) -> Self {
        self.compact_log = bytes;
        self
    }

    /// Threads that compact, at least 1. The fewer they are, the less a compaction takes from those who read and write meanwhile.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    pub(super) fn check(&self) -> Result<(), HybridError> {
        if self.threads == 0 {
            return Err(HybridError::Option("a compaction needs a thread"));
        }
        if !self.frozen.has_values() {
            return Err(HybridError::Option(
                "a store without values would lose them when it is compacted",
            ));
        }
        self.frozen.builder().map(drop).map_err(|error| HybridError::Base { file: None, error })
    }
}
