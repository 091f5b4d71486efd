//! Mapping a file into memory: the one place outside `raw` with `unsafe`.

use super::bytes::Bytes;
use super::error::FrozenError;
use super::{FrozenLayer, file};
use std::fs::File;
use std::path::Path;

/// A file mapped for reading.
pub(super) struct Mapping(memmap2::Mmap);

impl Mapping {
    #[inline(always)]
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl FrozenLayer {
    /// Maps a file of [`save`](Self::save): reads only its directory, and takes the rest from the file as it is asked for. O(chunks).
    ///
    /// The checksums of the keys are not looked at: [`verify`](Self::verify) does that, once, at the cost of reading everything. Where a file was
    /// altered, what is read from it may be wrong or missing, but nothing worse happens.
    ///
    /// # Errors
    /// The file cannot be mapped, or is not a whole file of this format, by its length and its directory.
    ///
    /// # Safety
    /// While this layer or a clone of it lives, nobody truncates the file or writes to it, in this process or another. What is read
    /// is plain memory to the compiler, which must not change; and reading behind the end of a file that became shorter ends
    /// the process, which no library can prevent. A file that [`save`](Self::save) replaces is not written to: the layer keeps the old one.
    /// Where that cannot be promised, [`open`](Self::open) reads the file into memory.
    ///
    /// ```
    /// use memkv::FrozenLayer;
    ///
    /// # let folder = std::env::temp_dir().join(format!("memkv-map-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("layer");
    /// FrozenLayer::from_sorted(&[("a", 1), ("b", 2)])?.save(&path)?;
    ///
    /// // SAFETY: nobody else knows the file.
    /// let layer = unsafe { FrozenLayer::open_mapped(&path)? };
    /// assert_eq!(layer.get("b"), Some(2));
    /// # drop(layer);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub unsafe fn open_mapped(path: impl AsRef<Path>) -> Result<Self, FrozenError> {
        let opened = File::open(path)?;
        // Of an empty file there is nothing to map.
        if opened.metadata()?.len() == 0 {
            return Err(FrozenError::Truncated);
        }
        // SAFETY: (M1) the caller promises that the file does not change while the layer lives, which owns the mapping.
        let mapping = Mapping(unsafe { memmap2::Mmap::map(&opened) }?);
        Ok(Self::of(file::parse(&Bytes::of_mapping(mapping))?))
    }
}
