//! The check of all parts.

use super::error::SetError;
use super::layer_set::LayerSet;
use super::parts::Opening;
use crate::error::FileError;
use crate::frozen::LayerValue;
use crate::io::dir::Access;
use std::io::Read;

/// Bytes of a file that are read at a time.
const BLOCK_BYTES: usize = 1 << 20;

impl<V: LayerValue + ?Sized + 'static> LayerSet<V> {
    /// Verifies every part: that its file has the checksum that the manifest has, and all that
    /// [`FrozenLayer::verify`](crate::FrozenLayer::verify) checks. Reads and decodes everything,
    /// one part after the other, on all threads.
    ///
    /// # Errors
    /// Returns the first part that is missing, damaged or not the one that the manifest names.
    pub fn verify(&self) -> Result<(), SetError> {
        (0..self.parts.count()).try_for_each(|part| self.verify_part(part))
    }

    /// Verifies one part. See [`verify`](Self::verify).
    ///
    /// # Errors
    /// See there.
    ///
    /// # Panics
    /// Panics if there is no part of that number.
    pub fn verify_part(&self, part: usize) -> Result<(), SetError> {
        let named = &self.parts.manifest.parts[part];
        let path = || self.parts.dir.path_of(&named.path);
        // It may be another file than the part that is open, and is the one that the next reader
        // opens.
        let layer = self.parts.read(part)?;
        // One that is read into memory has been verified.
        if let Opening::Mapped(_) = self.parts.opening {
            layer.verify().map_err(|error| SetError::Layer { part: path(), error })?;
        }
        let mut file = self.parts.dir.file(&named.path, Access::Read)?;
        let (mut crc32, mut block) = (crc32fast::Hasher::new(), vec![0; BLOCK_BYTES]);
        loop {
            match file.read(&mut block) {
                Ok(0) => break,
                Ok(read) => crc32.update(&block[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(FileError::new("read", path(), error).into()),
            }
        }
        match crc32.finalize() == named.crc32 {
            true => Ok(()),
            false => Err(SetError::Part { part: path(), problem: "it has another checksum" }),
        }
    }
}
