//! What a store found in its folder when it was opened.

#![forbid(unsafe_code)]

use std::path::PathBuf;

/// What a store found in its folder when it was opened.
///
/// Returned by [`HybridStore::recovery`](crate::HybridStore::recovery).
///
/// After a crash of the process, an incomplete end of the log is a write that had not returned.
/// After a crash of the machine it may also be writes that had returned and were not yet on disk:
/// see [`Wal`](crate::Wal). Damage by other causes is an error of the opening, as far as it can be
/// told from these: a log that was cut between two frames and was not closed cannot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Whether the store was closed or dropped by the last process that wrote to it. If not, that
    /// process crashed or is still running.
    pub was_closed: bool,
    /// Changes that were replayed from the log.
    pub replayed: u64,
    /// The incomplete ends of logs that were not replayed.
    pub cut: Vec<CutEnd>,
}

/// An incomplete end of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CutEnd {
    /// The log.
    pub file: PathBuf,
    /// Frames in it, as far as their headers can be read, at least 1.
    pub frames: u64,
    /// Bytes after the last whole frame.
    pub bytes: u64,
    /// The file that has them now, if there are several frames and the store was opened for
    /// writing. [`HybridStore::recover`](crate::HybridStore::recover) reads those that are whole.
    /// No one removes the file but its owner.
    pub kept: Option<PathBuf>,
}
