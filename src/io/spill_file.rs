//! Files without a name, for what does not fit in memory.
//!
//! The system removes such a file when it is closed, however the process ends. Where it has no
//! files without a name, the name is removed right after the file is created, or else when it is
//! closed.

#![forbid(unsafe_code)]

use super::dir::Dir;
use super::new_file::{self, NewName};
use crate::error::FileError;
use crate::testing::failpoint;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A file without a name, or with one that is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct SpillFile {
    file: File,
    /// The path of its folder, for messages.
    folder: PathBuf,
    /// The name, where the file must keep one while it is open. Dropped after the file is closed.
    _name: Option<NewName>,
}

impl SpillFile {
    /// Creates a file in a folder, for this user alone.
    pub(crate) fn create(dir: &Arc<Dir>) -> Result<Self, FileError> {
        failpoint::point();
        let folder = dir.path().to_owned();
        if let Ok(file) = dir.nameless() {
            return Ok(SpillFile { file, folder, _name: None });
        }
        let (file, name) = new_file::create_private(dir)?;
        let _name = if cfg!(unix) { None } else { Some(name) };
        Ok(SpillFile { file, folder, _name })
    }

    /// Appends bytes, without a buffer.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        failpoint::write(&mut self.file, bytes)
            .map_err(|error| FileError::new("write a temporary file in", &self.folder, error))
    }

    /// Reads bytes at a position. Returns fewer than asked for only at the end of the file.
    pub(crate) fn read_at(&self, mut bytes: &mut [u8], mut at: u64) -> Result<usize, FileError> {
        let asked = bytes.len();
        while !bytes.is_empty() {
            match read_some(&self.file, bytes, at) {
                Ok(0) => break,
                Ok(count) => {
                    bytes = &mut bytes[count..];
                    at += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(FileError::new("read a temporary file in", &self.folder, error));
                }
            }
        }
        Ok(asked - bytes.len())
    }
}

#[cfg(unix)]
fn read_some(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, bytes, at)
}

#[cfg(windows)]
fn read_some(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, bytes, at)
}

/// Reads at a position by two calls. Systems that are neither have no threads.
#[cfg(not(any(unix, windows)))]
fn read_some(mut file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(at))?;
    file.read(bytes)
}
