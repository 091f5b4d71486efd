//! `Change`, and the interface of the log that records changes. Models have no log.

#![forbid(unsafe_code)]

use super::error::HybridError;

/// What a delta records of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The key has this value.
    Stored(u64),
    /// The key is absent: a tombstone.
    Removed,
}

impl Change {
    #[inline]
    pub(crate) fn value(self) -> Option<u64> {
        match self {
            Self::Stored(value) => Some(value),
            Self::Removed => None,
        }
    }
}

impl From<Option<u64>> for Change {
    #[inline]
    fn from(value: Option<u64>) -> Self {
        value.map_or(Self::Removed, Self::Stored)
    }
}

/// A write-ahead log.
pub(crate) trait ChangeLog: Send + Sync {
    /// Returns an error if the log cannot record changes. No key may be changed then.
    fn check(&self) -> Result<(), HybridError>;

    /// Records a change in memory, without waiting, and returns its position in the log.
    ///
    /// The changes of one key are recorded in the order in which they were made.
    fn append(&self, key: &[u8], change: Change) -> u64;

    /// Returns once the change at `position` is as durable as the log's mode promises.
    fn await_durable(&self, position: u64) -> Result<(), HybridError>;

    /// Returns the bytes of all changes recorded.
    fn bytes(&self) -> u64;

    /// Returns once all changes recorded before the call are on disk.
    fn sync(&self) -> Result<(), HybridError>;

    /// Returns once all changes are on disk, and the log says that it was closed. No other thread
    /// uses the log.
    fn close(&self) -> Result<(), HybridError>;

    /// Returns whether the log takes changes again only after a compaction.
    fn needs_compaction(&self) -> bool;
}
