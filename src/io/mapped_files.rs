//! Methods that read mapped files: `ShardedArt::load_file` and `FrozenLayer::open_mapped`.

#[cfg(feature = "sets")]
use super::mapped_layer::Unchanged;
use super::mapping::Mapping;
use crate::frozen::{FrozenError, FrozenLayer, LayerValue};
#[cfg(feature = "sets")]
use crate::sets::{LayerSet, Opening, SetError};
use crate::sharded::ShardedArt;
use crate::value::Value;
use std::path::Path;

impl<V: Value + Send + Sync> ShardedArt<V> {
    /// Maps a file, and loads its lines as [`load_text`](Self::load_text) does.
    ///
    /// The file's pages need not stay in memory, so this takes little more memory than the map.
    ///
    /// It is unsafe because a mapped file may change while it is read, also by another process.
    /// [`load_path`](Self::load_path) is the safe method: it reads the file, so it needs memory for
    /// copies of the keys. Its function may also skip lines and fail.
    ///
    /// # Errors
    /// Fails if the file cannot be mapped. Returns the errors of [`load`](Self::load) as the inner
    /// error of one of kind `Other`.
    ///
    /// # Safety
    /// During the call no one truncates the file or writes to it, in this process or another. The
    /// compiler takes the mapped bytes for plain memory, which must not change.
    ///
    /// **Warning:** reading past the end of a file that became shorter ends the process.
    ///
    /// ```
    /// # let path = std::env::temp_dir().join(format!("memkv-lines-{}", std::process::id()));
    /// std::fs::write(&path, "b\t2\na\t1\n")?;
    /// let map = memkv::ShardedArt::<u64>::default();
    /// // SAFETY: no one else uses the file.
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
        match unsafe { Mapping::open(path.as_ref()) }? {
            Some(mapping) => {
                self.load_text(mapping.as_slice(), parse).map_err(std::io::Error::other)
            }
            None => Ok(()),
        }
    }
}

impl FrozenLayer {
    /// Maps a file that [`save`](Self::save) wrote.
    ///
    /// It reads only the directory of the file. The rest is read when it is needed.
    ///
    /// The checksums of the keys are not checked: [`verify`](Self::verify) does that, and reads
    /// everything. In a damaged file, keys may have wrong values, be missing or be out of order.
    /// Calls return in bounded time, and none panics.
    ///
    /// # Complexity
    /// Takes time in O(chunks).
    ///
    /// # Errors
    /// Fails if the file cannot be mapped, or if by its length or directory it is not a whole file
    /// of this format.
    ///
    /// # Safety
    /// While this layer or a clone of it lives, no one truncates the file or writes to it, in this
    /// process or another. The compiler takes the mapped bytes for plain memory, which must not
    /// change. A file that [`save`](Self::save) replaces is not written to: the layer keeps the old
    /// one; on Windows `save` returns an error while the file is mapped. Where this cannot be
    /// promised, [`open`](Self::open) reads the file into memory.
    ///
    /// **Warning:** reading past the end of a file that became shorter ends the process, which no
    /// library can prevent.
    ///
    /// ```
    /// use memkv::FrozenLayer;
    ///
    /// # let folder = std::env::temp_dir().join(format!("memkv-map-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("layer");
    /// FrozenLayer::from_sorted(&[("a", 1), ("b", 2)])?.save(&path)?;
    ///
    /// // SAFETY: no one else uses the file.
    /// let layer = unsafe { FrozenLayer::open_mapped(&path)? };
    /// assert_eq!(layer.get("b"), Some(2));
    /// # drop(layer);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub unsafe fn open_mapped(path: impl AsRef<Path>) -> Result<Self, FrozenError> {
        // SAFETY: (M1) by the caller.
        unsafe { Self::open_mapped_as(path) }
    }
}

#[cfg(feature = "sets")]
impl LayerSet {
    /// Opens a set of layers in a folder, like [`open`](Self::open), and maps its parts when they
    /// are first needed.
    ///
    /// Of a part only the directory is read, and what lookups need. Its content is not checked:
    /// [`verify`](Self::verify) does that.
    ///
    /// # Errors
    /// See [`open`](Self::open).
    ///
    /// # Safety
    /// While this set or a clone of it lives, no one truncates a part or writes to it, in this
    /// process or another, as for [`FrozenLayer::open_mapped`]. Builders of sets and
    /// [`vacuum`](Self::vacuum) do neither: a part that they replace or remove stays as it is
    /// while it is mapped.
    ///
    /// ```
    /// use memkv::{LayerSet, LayerSetBuilder, SetOptions};
    ///
    /// # let folder = std::env::temp_dir().join(format!("memkv-set-map-{}", std::process::id()));
    /// let mut builder = LayerSetBuilder::create(&folder, SetOptions::new())?;
    /// builder.insert("a", 1)?;
    /// builder.finish()?;
    ///
    /// // SAFETY: no one changes the files.
    /// let set = unsafe { LayerSet::open_mapped(&folder)? };
    /// assert_eq!(set.get("a")?, Some(1));
    /// # drop(set);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub unsafe fn open_mapped(folder: impl AsRef<Path>) -> Result<Self, SetError> {
        // SAFETY: (M1) by the caller.
        unsafe { Self::open_mapped_as(folder) }
    }
}

#[cfg(feature = "sets")]
impl<V: LayerValue + ?Sized + 'static> LayerSet<V> {
    /// Opens a set of values of this type, as [`open_mapped`](LayerSet::open_mapped) does for
    /// `u64`.
    ///
    /// # Errors
    /// As there; or the set has values of another type.
    ///
    /// # Safety
    /// As there.
    pub unsafe fn open_mapped_as(folder: impl AsRef<Path>) -> Result<Self, SetError> {
        // SAFETY: (M1) the caller promises it, as long as the set lives.
        let unchanged = unsafe { Unchanged::promised() };
        Self::open_with(folder.as_ref(), Opening::Mapped(unchanged))
    }
}

impl<V: LayerValue + ?Sized> FrozenLayer<V> {
    /// Maps a file of values of this type, as [`open_mapped`](FrozenLayer::open_mapped) does for
    /// `u64`.
    ///
    /// # Errors
    /// As there; or the file has values of another type.
    ///
    /// # Safety
    /// As there.
    pub unsafe fn open_mapped_as(path: impl AsRef<Path>) -> Result<Self, FrozenError> {
        // SAFETY: (M1) the caller promises that the file does not change while the layer lives,
        // which owns the mapping.
        let mapping = unsafe { Mapping::open(path.as_ref()) };
        Self::of_mapping(mapping, path.as_ref())
    }
}
