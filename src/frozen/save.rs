//! `FrozenLayer`: files and bytes.

use super::error::FrozenError;
use super::format;
use super::frozen_layer::FrozenLayer;
use super::layer_value::LayerValue;
use crate::error::FileError;
use crate::io::bytes::Bytes;
use crate::io::new_file::NewFile;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

impl<V: LayerValue + ?Sized> FrozenLayer<V> {
    /// Writes the layer to a file.
    ///
    /// # Guarantees
    /// The file gets its name when it is complete and synced. After a crash the folder has the old
    /// file or the whole new one.
    ///
    /// # Errors
    /// The file cannot be written.
    ///
    /// ```
    /// use memkv::FrozenLayer;
    ///
    /// # let folder = std::env::temp_dir().join(format!("memkv-save-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("layer");
    /// FrozenLayer::from_sorted(&[("a", 1), ("b", 2)])?.save(&path)?;
    /// assert_eq!(FrozenLayer::open(&path)?.get("b"), Some(2));
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), FrozenError> {
        self.write_file(NewFile::create(path.as_ref())?)?;
        Ok(())
    }

    /// Writes the layer to a new file. Returns the number of its bytes.
    pub(crate) fn write_file(&self, mut file: NewFile) -> Result<u64, FileError> {
        let bytes = self.write_parts(|part| file.write(part))?;
        file.commit()?;
        Ok(bytes)
    }

    /// Writes the bytes that [`save`](Self::save) writes, and returns their number. It does not
    /// flush.
    ///
    /// # Errors
    /// The first error of the writer.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1)])?;
    /// let mut bytes = Vec::new();
    /// assert_eq!(layer.write_to(&mut bytes)?, bytes.len() as u64);
    /// assert_eq!(memkv::FrozenLayer::from_owner(bytes)?.get("a"), Some(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write_to(&self, mut writer: impl Write) -> io::Result<u64> {
        self.write_parts(|part| writer.write_all(part))
    }

    fn write_parts<E>(&self, mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<u64, E> {
        let (header, trailer) = (format::header(self.layer.kind), format::trailer(&self.layer));
        let chunks = self.layer.chunks.iter().map(|chunk| chunk.data.as_slice());
        let mut bytes = 0;
        for part in [&header[..]].into_iter().chain(chunks).chain([&trailer[..]]) {
            write(part)?;
            bytes += part.len() as u64;
        }
        Ok(bytes)
    }

    /// Returns the bytes that [`save`](Self::save) writes.
    pub fn to_bytes(&self) -> Vec<u8> {
        format::to_bytes(&self.layer)
    }

    /// Reads a file of values of this type into memory, as [`open`](FrozenLayer::open) does for
    /// `u64`.
    ///
    /// # Errors
    /// The file cannot be read, is incomplete or damaged, is not a layer, or has values of another
    /// type.
    ///
    /// ```
    /// use memkv::{FrozenError, FrozenLayer};
    ///
    /// # let folder = std::env::temp_dir().join(format!("memkv-typed-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("layer");
    /// FrozenLayer::from_sorted_as(&[("a", -1i32), ("b", 2)])?.save(&path)?;
    /// assert_eq!(FrozenLayer::<i32>::open_as(&path)?.get("a"), Some(-1));
    /// assert!(matches!(FrozenLayer::open(&path), Err(FrozenError::Values { .. })));
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open_as(path: impl AsRef<Path>) -> Result<Self, FrozenError> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|error| FileError::new("open", path, error))?;
        Self::read(file, path)
    }

    /// Reads an open file. The path is for messages.
    pub(crate) fn read(mut file: File, path: &Path) -> Result<Self, FrozenError> {
        let failed = |error| FileError::new("read", path, error);
        let len = usize::try_from(file.metadata().map_err(failed)?.len())
            .map_err(|_| FrozenError::Option("the file does not fit in memory"))?;
        let mut bytes = crate::pool::huge_page_buffer(len);
        file.read_to_end(&mut bytes).map_err(failed)?;
        Self::from_bytes_as(bytes)
    }

    /// Creates a layer of values of this type from the bytes of a file, as
    /// [`from_bytes`](FrozenLayer::from_bytes) does for `u64`.
    ///
    /// # Errors
    /// The bytes are incomplete or damaged, are not a layer, or have values of another type.
    pub fn from_bytes_as(bytes: Vec<u8>) -> Result<Self, FrozenError> {
        Self::of_bytes(&Bytes::from_vec(bytes))
    }

    /// Creates a layer of values of this type from a file's bytes that `owner` has, as
    /// [`from_owner`](FrozenLayer::from_owner) does for `u64`.
    ///
    /// # Errors
    /// The bytes are incomplete or damaged, are not a layer, or have values of another type.
    pub fn from_owner_as(
        owner: impl AsRef<[u8]> + Send + Sync + 'static,
    ) -> Result<Self, FrozenError> {
        Self::of_bytes(&Bytes::from_owner(owner))
    }

    fn of_bytes(bytes: &Bytes) -> Result<Self, FrozenError> {
        let layer = Self::of_read(format::parse(bytes)?)?;
        layer.verify()?;
        Ok(layer)
    }
}

impl FrozenLayer {
    /// Reads a file that [`save`](Self::save) wrote into memory, and verifies it.
    ///
    /// # Errors
    /// The file cannot be read, is incomplete or damaged, is not a layer, or has values of another
    /// type than `u64`, which [`open_as`](Self::open_as) reads.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FrozenError> {
        Self::open_as(path)
    }

    /// Creates a layer from the bytes of a file, and verifies them.
    ///
    /// # Errors
    /// The bytes are incomplete or damaged, are not a layer, or have values of another type.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1)])?;
    /// let copy = memkv::FrozenLayer::from_bytes(layer.to_bytes())?;
    /// assert_eq!(copy.get("a"), Some(1));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, FrozenError> {
        Self::from_bytes_as(bytes)
    }

    /// Creates a layer from a file's bytes that `owner` has, such as a `&'static [u8]` or an
    /// `Arc<[u8]>`, and verifies them. It copies no chunk.
    ///
    /// An owner whose bytes change has a damaged layer: keys may be missing or have wrong values.
    ///
    /// # Errors
    /// The bytes are incomplete or damaged, are not a layer, or have values of another type.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1)])?;
    /// let bytes: Arc<[u8]> = layer.to_bytes().into();
    /// assert_eq!(memkv::FrozenLayer::from_owner(bytes)?.get("a"), Some(1));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn from_owner(
        owner: impl AsRef<[u8]> + Send + Sync + 'static,
    ) -> Result<Self, FrozenError> {
        Self::from_owner_as(owner)
    }
}
