//! Options of a store.

#![forbid(unsafe_code)]

use super::error::HybridError;
use crate::FrozenOptions;

/// Write-ahead log mode of a store in a folder. Ignored by in-memory stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wal {
    /// There is no log.
    ///
    /// **Warning:** changes since the last [`compact`](crate::HybridStore::compact) are in memory
    /// only, and lost in a crash.
    #[default]
    Off,
    /// A write returns once its change is on disk. Concurrent writers share one `fsync`.
    Synced,
    /// A change is on disk once a later [`sync`](crate::HybridStore::sync) returns. A write that
    /// finds more than 4 MiB of changes not yet on disk writes them and waits.
    ///
    /// **Warning:** changes since the last `sync` may be lost in a crash.
    Buffered,
}

/// Options of a [`HybridStore`](crate::HybridStore).
///
/// ```
/// use memkv::{FrozenOptions, HybridOptions, HybridStore, SymbolTable};
///
/// let options = HybridOptions::new()
///     .frozen(FrozenOptions::new().symbols(SymbolTable::Fsst))
///     .background(false);
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
    /// Creates the default options.
    ///
    /// There is no log. A background thread compacts when the changes take more than 8 MiB and more
    /// than 10 % of what the base takes, or when the log has more than 256 MiB. A compaction uses
    /// half of the machine's threads.
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

    /// Sets how the base is built.
    #[must_use]
    pub fn frozen(mut self, options: FrozenOptions) -> Self {
        self.frozen = options;
        self
    }

    /// Sets the write-ahead log mode.
    #[must_use]
    pub fn wal(mut self, wal: Wal) -> Self {
        self.wal = wal;
        self
    }

    /// Sets whether a background thread compacts when the changes exceed the limits. If not, only
    /// [`compact`](crate::HybridStore::compact) does.
    #[must_use]
    pub fn background(mut self, background: bool) -> Self {
        self.background = background;
        self
    }

    /// Sets the bytes of memory that changes may take. The background thread compacts when they
    /// exceed both this limit and [`compact_percent`](Self::compact_percent).
    #[must_use]
    pub fn compact_bytes(mut self, bytes: usize) -> Self {
        self.compact_bytes = bytes;
        self
    }

    /// Sets the limit of the changes as a percentage of the base's bytes. The background thread
    /// compacts when they exceed both this limit and [`compact_bytes`](Self::compact_bytes).
    #[must_use]
    pub fn compact_percent(mut self, percent: usize) -> Self {
        self.compact_percent = percent;
        self
    }

    /// Sets the bytes of the log at which the background thread compacts, however little memory
    /// the changes take: the same keys may have been changed many times. Bytes of the log that were
    /// replayed when the store was opened count too.
    #[must_use]
    pub fn compact_log(mut self, bytes: u64) -> Self {
        self.compact_log = bytes;
        self
    }

    /// Sets the number of threads that compact, at least 1. With fewer threads a compaction takes
    /// less processor time from concurrent readers and writers.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    pub(super) fn check(&self) -> Result<(), HybridError> {
        if self.threads == 0 {
            return Err(HybridError::Option("a compaction needs at least one thread"));
        }
        if !self.frozen.has_values() {
            return Err(HybridError::Option(
                "a store cannot have a base without values: a compaction would lose them",
            ));
        }
        self.frozen.builder().map(drop).map_err(|error| HybridError::Base { file: None, error })
    }
}
