//! Files mapped into memory.

use std::fs::File;
use std::path::Path;

/// A file mapped for reading.
pub(crate) struct Mapping(memmap2::Mmap);

impl Mapping {
    #[inline(always)]
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// Maps a file. Returns `None` if it is empty.
    ///
    /// # Safety
    /// No one truncates the file or writes to it while it is mapped.
    pub(crate) unsafe fn open(path: &Path) -> std::io::Result<Option<Self>> {
        // SAFETY: (M1) by the caller.
        unsafe { Self::of(&File::open(path)?) }
    }

    /// Maps an open file. Returns `None` if it is empty.
    ///
    /// # Safety
    /// As for [`open`](Self::open).
    pub(crate) unsafe fn of(opened: &File) -> std::io::Result<Option<Self>> {
        if opened.metadata()?.len() == 0 {
            return Ok(None);
        }
        // SAFETY: (M1) the caller promises that the file does not change while this lives.
        Ok(Some(Mapping(unsafe { memmap2::Mmap::map(opened) }?)))
    }
}
