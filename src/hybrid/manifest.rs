//! The manifest of a store's folder: the file that says which other files count.

#![forbid(unsafe_code)]

use super::error::HybridError;
use super::home::MANIFEST;
use super::options::Wal;
use crate::error::FileError;
use crate::io::dir::Dir;
use crate::io::new_file::NewFile;
use crate::words::{u32_at, u64_at};
use std::io;
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"memkvHYB";
const VERSION: u32 = 2;
/// It had no mode.
const VERSION_1: u32 = 1;
const HAS_LOG: u32 = 1;
const MODES: [Wal; 3] = [Wal::Written, Wal::Synced, Wal::Buffered];

/// The content of the manifest file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Manifest {
    /// The number of the base's layer, or 0 if there is none.
    pub(super) layer: u64,
    pub(super) layer_bytes: u64,
    pub(super) layer_keys: u64,
    /// The first log whose changes are not in the base.
    pub(super) first_log: u64,
    /// Keys that the base had when its symbols were found.
    pub(super) trained_keys: u64,
    /// Whether the first log exists.
    pub(super) has_log: bool,
    /// The mode in which the folder is opened unless another is asked for. Version 1 has none.
    pub(super) wal: Option<Wal>,
}

impl Manifest {
    /// Returns the manifest of an empty store.
    pub(super) fn empty() -> Self {
        Manifest { first_log: 1, ..Manifest::default() }
    }

    fn to_bytes(self) -> Vec<u8> {
        let version = if self.wal.is_some() { VERSION } else { VERSION_1 };
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&version.to_le_bytes());
        bytes.extend_from_slice(&(if self.has_log { HAS_LOG } else { 0 }).to_le_bytes());
        for word in
            [self.layer, self.layer_bytes, self.layer_keys, self.first_log, self.trained_keys]
        {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        if let Some(wal) = self.wal {
            let mode = MODES.iter().position(|&mode| mode == wal).map_or(0, |mode| mode as u32 + 1);
            bytes.extend_from_slice(&mode.to_le_bytes());
        }
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    /// Reads the manifest of a folder, or returns `None` if it has none.
    pub(super) fn read(dir: &Dir) -> Result<Option<Self>, HybridError> {
        let file = || dir.path_of(MANIFEST);
        let damaged = |part| HybridError::Damaged { file: file(), part };
        let bytes = match dir.read(MANIFEST) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        if bytes.get(..8) != Some(&MAGIC[..]) || bytes.len() < 16 {
            return Err(damaged("header"));
        }
        let word32 = |at| u32_at(&bytes, at).unwrap_or(0);
        let word64 = |at| u64_at(&bytes, at).unwrap_or(0);
        let is_of = |version: u32| {
            let Some((content, checksum)) = bytes.split_last_chunk() else { return false };
            let content = [&content[..8], &version.to_le_bytes(), &content[12..]].concat();
            crc32fast::hash(&content) == u32::from_le_bytes(*checksum)
        };
        let wal = match word32(8) {
            VERSION_1 => None,
            VERSION => MODES.get((word32(56) as usize).wrapping_sub(1)).copied(),
            // Only the version may be altered.
            _ if is_of(VERSION_1) || is_of(VERSION) => return Err(damaged("header")),
            found => return Err(HybridError::Version { file: file(), found }),
        };
        let manifest = Manifest {
            layer: word64(16),
            layer_bytes: word64(24),
            layer_keys: word64(32),
            first_log: word64(40),
            trained_keys: word64(48),
            has_log: word32(12) == HAS_LOG,
            wal,
        };
        if manifest.to_bytes() != bytes { Err(damaged("content")) } else { Ok(Some(manifest)) }
    }

    /// Replaces the manifest of a folder. On an error in the last step, the sync of the folder, a
    /// crash of the machine leaves either.
    pub(super) fn write(self, dir: &Arc<Dir>) -> Result<(), FileError> {
        let mut file = NewFile::create_in(dir, MANIFEST)?;
        file.write(&self.to_bytes())?;
        file.commit()
    }
}
