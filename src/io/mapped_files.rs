//! What maps read from mapped files: whole layers, and texts to load.

use super::mapping::Mapping;
use crate::frozen::FrozenError;
use crate::frozen::{FrozenLayer, format};
use crate::io::bytes::Bytes;
use crate::sharded::ShardedArt;
use crate::value::Value;
use std::path::Path;

impl<V: Value + Send + Sync> ShardedArt<V> {
    /// Maps a file, and loads its lines as [`load_text`](Self::load_text) does. Its pages need not stay in memory, so this takes little more memory than the
    /// map.
    ///
    /// # Errors
    /// The file cannot be mapped; or as [`load`](Self::load), inside an error of the kind `Other`.
    ///
    /// # Safety
    /// During the call nobody truncates the file or writes to it, in this process or another. What is read is plain memory to the compiler, which must
    /// not change; and reading behind the end of a file that became shorter ends the process.
    ///
    /// ```
    /// # let path = std::env::temp_dir().join(format!("memkv-lines-{}", std::process::id()));
    /// std::fs::write(&path, "b\t2\na\t1\n")?;
    /// let map = memkv::ShardedArt::<u64>::default();
    /// // SAFETY: nobody else knows the file.
    /// unsafe { map.load_file(&path, |line, _| (&line[..1], u64::from(line[2] - b'0')))? };
    /// assert_eq!(map.get("a"), Some(1));
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub unsafe fn load_file(
        &self,
        path: impl AsRef<Path>,
        parse: impl Fn(&[u8], u64) -> (&[u8], V) + Sync,
    ) -> std::io::Result<()> {
        // SAFETY: (M1) by the caller, until the mapping is dropped here.
        match unsafe { Mapping::of(path.as_ref()) }? {
            Some(mapping) => {
                self.load_text(mapping.as_slice(), parse).map_err(std::io::Error::other)
            }
            None => Ok(()),
        }
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
        // SAFETY: (M1) the caller promises that the file does not change while the layer lives, which owns the mapping.
        let mapping = unsafe { Mapping::of(path.as_ref()) }?.ok_or(FrozenError::Truncated)?;
        Ok(Self::of(format::parse(&Bytes::of_mapping(mapping))?))
    }
}
