//! What a delta needs of a log. Models have none.

#![forbid(unsafe_code)]

use super::delta::Change;
use std::io;

/// Takes note of changes.
pub(crate) trait Journal: Send + Sync {
    /// Whether it takes notes. Where it does not, nothing may be changed.
    fn ready(&self) -> io::Result<()>;
    /// Takes note of a change, in memory: does not wait. Notes of one key come in the order of its changes. Gives the note's place.
    fn append(&self, key: &[u8], change: Change) -> u64;
    /// Returns when the note at a place is as durable as its writer was promised.
    fn settle(&self, place: u64) -> io::Result<()>;
    /// Bytes of all notes.
    fn bytes(&self) -> u64;
    /// Returns when all notes there are now are on the disk.
    fn sync(&self) -> io::Result<()>;
}
