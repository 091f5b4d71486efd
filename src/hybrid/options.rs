//! Options of a store.

#![forbid(unsafe_code)]

use super::error::HybridError;
use crate::FrozenOptions;
use std::fmt;
use std::sync::Arc;

/// What is kept of a write to a store in a folder. Ignored by in-memory stores.
///
/// | mode | kept if the process crashes | kept if the machine crashes |
/// |---|---|---|
/// | `Written` | every write that has returned | what was [synced](crate::HybridStore::sync) |
/// | `Synced` | every write that has returned | every write that has returned |
/// | `Buffered` | what was synced | what was synced |
/// | `Off` | what was [compacted](crate::HybridStore::compact) | what was compacted |
///
/// A folder remembers the mode it was last opened with, `Off` excepted, and is opened with it
/// unless another is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wal {
    /// There is no log. It has to be asked for each time.
    ///
    /// **Warning:** changes since the last [`compact`](crate::HybridStore::compact) are in memory
    /// only, and lost when the process ends.
    Off,
    /// A write returns once its change is in the log's file, which the system keeps if the process
    /// crashes. The default.
    #[default]
    Written,
    /// A write returns once its change is on disk. Concurrent writers share one `fsync`.
    Synced,
    /// A write returns at once. One that finds more than 4 MiB of changes not yet on disk writes
    /// them and waits.
    ///
    /// **Warning:** changes since the last [`sync`](crate::HybridStore::sync) may be lost if the
    /// process crashes.
    Buffered,
}

/// Called with the error of a compaction in the background.
pub(super) type FailureHook = Arc<dyn Fn(&HybridError) + Send + Sync>;

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
#[derive(Clone)]
pub struct HybridOptions {
    pub(super) frozen: FrozenOptions,
    /// The folder's own if there is none.
    pub(super) wal: Option<Wal>,
    pub(super) on_failure: Option<FailureHook>,
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
    /// A folder is opened in its own mode, which is [`Wal::Written`] at first. A background
    /// thread compacts when the changes take more than 8 MiB and more than 10 % of what the base
    /// takes, or when the log has more than 256 MiB. A compaction uses half of the machine's
    /// threads.
    pub fn new() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2);
        let frozen = FrozenOptions::new();
        HybridOptions {
            frozen,
            wal: None,
            on_failure: None,
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

    /// Sets what is kept of a write.
    #[must_use]
    pub fn wal(mut self, wal: Wal) -> Self {
        self.wal = Some(wal);
        self
    }

    /// Sets a function that is called with the error of each compaction in the background that
    /// fails, on its thread. Without one, the next write returns
    /// [`HybridError::Background`](crate::HybridError::Background).
    #[must_use]
    pub fn on_failure(mut self, hook: impl Fn(&HybridError) + Send + Sync + 'static) -> Self {
        self.on_failure = Some(Arc::new(hook));
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

impl fmt::Debug for HybridOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HybridOptions")
            .field("frozen", &self.frozen)
            .field("wal", &self.wal)
            .field("background", &self.background)
            .field("compact_bytes", &self.compact_bytes)
            .field("compact_percent", &self.compact_percent)
            .field("compact_log", &self.compact_log)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}
