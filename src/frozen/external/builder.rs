//! `ExternalBuilder`: a layer from keys in any order, in bounded memory.

use super::records::{ExternalRecords, refused};
use crate::frozen::builder::FrozenLayerBuilder;
use crate::frozen::error::FrozenError;
use crate::frozen::frozen_layer::FrozenLayer;
use crate::frozen::layer_value::LayerValue;
use crate::frozen::options::FrozenOptions;
use crate::value::Value;
use std::fmt;
use std::path::{Path, PathBuf};

/// Builds a [`FrozenLayer`] from keys in any order, in bounded memory.
///
/// Records are sorted in memory, and through temporary files where they do not fit:
/// [`FrozenOptions::memory`] is the budget, 1 GiB by default, and [`FrozenOptions::temp_folder`]
/// the folder of the files. [`FrozenOptions::on_duplicate`] decides on keys that occur several
/// times.
///
/// ```
/// use memkv::{ExternalBuilder, FrozenLayer, FrozenOptions};
///
/// # let folder = std::env::temp_dir().join(format!("memkv-external-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let path = folder.join("layer");
/// let mut builder = ExternalBuilder::create(&path, FrozenOptions::new().memory(64 << 20))?;
/// for i in 0..10_000u64 {
///     builder.insert(format!("key {}", i * 7919 % 10_000), i)?;
/// }
/// assert_eq!(builder.finish_file()?, 10_000);
/// assert_eq!(FrozenLayer::open(&path)?.get("key 7919"), Some(1));
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Guarantees
/// The layer is the same, byte for byte, for any memory and any number of threads. It is also the
/// same for any order of the records, except where the rule for duplicates depends on it.
///
/// Temporary files are removed when they are closed, on Linux by the system however the process
/// ends.
///
/// # Errors
/// An error of a file, of a duplicate or of a sum stays: each later call returns it. In a fork of
/// the process that made it, a builder can only be dropped, and each call returns
/// [`FrozenError::Forked`].
///
/// # Complexity
/// O(n log n) comparisons of keys for n records, which are written and read once. From 128 runs on,
/// each of 7/16 of the budget, some are written and read again.
///
/// # Source
/// Knuth, "The Art of Computer Programming", volume 3, 5.4, for the sort. Cohen and Kaplan,
/// "Summarizing data using bottom-k sketches", PODC 2007, for the sample that symbols are chosen
/// from.
pub struct ExternalBuilder<V: ?Sized = u64> {
    builder: FrozenLayerBuilder<V>,
    records: ExternalRecords<V>,
}

impl ExternalBuilder {
    /// Creates a builder that makes a layer in memory. Temporary files are in the system's folder
    /// for them, unless the options name another.
    ///
    /// # Errors
    /// An option is out of its range, or the folder of temporary files cannot be opened.
    ///
    /// ```
    /// let mut builder = memkv::ExternalBuilder::new(memkv::FrozenOptions::new())?;
    /// builder.insert("b", 2)?;
    /// builder.insert("a", 1)?;
    /// assert_eq!(builder.finish()?.first_key_value(), Some((b"a".to_vec(), 1)));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn new(options: FrozenOptions) -> Result<Self, FrozenError> {
        Self::new_as(options)
    }

    /// Creates a builder that writes a file, in the folder of which also the temporary files are,
    /// unless the options name another.
    ///
    /// The file gets its name when [`finish`](Self::finish) or [`finish_file`](Self::finish_file)
    /// completes it. Until then it has another name in the same folder. It is removed if the
    /// builder is dropped.
    ///
    /// # Errors
    /// An option is out of its range, the file cannot be created, or the folder of temporary files
    /// cannot be opened.
    pub fn create(path: impl AsRef<Path>, options: FrozenOptions) -> Result<Self, FrozenError> {
        Self::create_as(path, options)
    }
}

impl<V: LayerValue + ?Sized> ExternalBuilder<V> {
    /// Creates a builder for values of this type, as [`new`](ExternalBuilder::new) does for `u64`.
    ///
    /// # Errors
    /// See there; or the option [`on_duplicate`](FrozenOptions::on_duplicate) asks for sums of a
    /// type that has none.
    pub fn new_as(options: FrozenOptions) -> Result<Self, FrozenError> {
        Self::with(options, &std::env::temp_dir(), FrozenLayerBuilder::typed_with)
    }

    /// Creates a builder for values of this type, as [`create`](ExternalBuilder::create) does for
    /// `u64`.
    ///
    /// # Errors
    /// See there; or the option [`on_duplicate`](FrozenOptions::on_duplicate) asks for sums of a
    /// type that has none.
    pub fn create_as(path: impl AsRef<Path>, options: FrozenOptions) -> Result<Self, FrozenError> {
        let path = path.as_ref();
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::with(options, folder, |options| FrozenLayerBuilder::create_as(path, options))
    }

    fn with(
        mut options: FrozenOptions,
        folder: &Path,
        create: impl FnOnce(FrozenOptions) -> Result<FrozenLayerBuilder<V>, FrozenError>,
    ) -> Result<Self, FrozenError> {
        let records = ExternalRecords::new(&mut options, folder)?;
        Ok(ExternalBuilder { builder: create(options)?, records })
    }

    /// Returns the path of the file of a builder made by [`create`](ExternalBuilder::create), as
    /// long as it is not complete: see [`FrozenLayerBuilder::unfinished_path`].
    pub fn unfinished_path(&self) -> Option<PathBuf> {
        self.builder.unfinished_path()
    }

    /// Returns the number of records inserted so far, duplicates included.
    pub fn len(&self) -> u64 {
        self.records.len()
    }

    /// Returns whether no record was inserted yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the most bytes of a key, and of a byte string as its value, for which the budget has
    /// room.
    pub fn max_record_len(&self) -> usize {
        self.records.max_record_len()
    }

    /// Inserts a record. Waits if an arena is full and the one before is still being written.
    ///
    /// # Errors
    /// The key or its value is too long, or the budget has no room for them: the builder is
    /// unchanged and other keys can follow.
    ///
    /// A temporary file cannot be written, a key is repeated though the options exclude that, or
    /// this process is a fork of the builder's: later calls return the same error.
    pub fn insert(&mut self, key: impl AsRef<[u8]>, value: V::Lent<'_>) -> Result<(), FrozenError> {
        self.records.insert(key.as_ref(), value, self.builder.pool())
    }

    /// Inserts all records into the builder of ascending keys.
    fn complete(
        self,
        progress: impl FnMut(u64, u64),
    ) -> Result<FrozenLayerBuilder<V>, FrozenError> {
        let mut builder = self.builder;
        let mut sorted = self.records.finish(builder.pool())?;
        sorted.give_sample(builder.options_mut());
        sorted.read(progress, |key, value| builder.insert_stored(key, value).map_err(refused))?;
        Ok(builder)
    }

    /// Completes the layer. Reads it back into memory if it was written to a file, which
    /// [`finish_file`](Self::finish_file) does not.
    ///
    /// # Errors
    /// A file cannot be written or read, or could not be written before; a temporary file is not
    /// as it was written; a key is repeated or a sum does not fit; or this process is a fork of the
    /// builder's.
    pub fn finish(self) -> Result<FrozenLayer<V>, FrozenError> {
        self.complete(|_, _| ())?.finish()
    }

    /// Completes the file of a builder made by [`create`](ExternalBuilder::create), and returns the
    /// number of its keys.
    ///
    /// # Errors
    /// See [`finish`](Self::finish); or the builder has no file.
    pub fn finish_file(self) -> Result<u64, FrozenError> {
        self.finish_file_with(|_, _| ())
    }

    /// Completes the file like [`finish_file`](Self::finish_file), and passes to `progress`, every
    /// few thousand keys, how many of the sorted records are written and how many there are.
    ///
    /// There are fewer than were inserted where duplicates were combined before.
    ///
    /// # Errors
    /// See [`finish_file`](Self::finish_file).
    ///
    /// ```
    /// # let folder = std::env::temp_dir().join(format!("memkv-progress-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// # let path = folder.join("layer");
    /// let mut builder = memkv::ExternalBuilder::create(&path, memkv::FrozenOptions::new())?;
    /// builder.insert("b", 1)?;
    /// builder.insert("a", 2)?;
    /// let mut last = (0, 0);
    /// builder.finish_file_with(|written, all| last = (written, all))?;
    /// assert_eq!(last, (2, 2));
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn finish_file_with(self, progress: impl FnMut(u64, u64)) -> Result<u64, FrozenError> {
        self.complete(progress)?.finish_file()
    }
}

impl<V: ?Sized> fmt::Debug for ExternalBuilder<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalBuilder").field("len", &self.records.len()).finish_non_exhaustive()
    }
}

impl FrozenOptions {
    /// Builds a file from pairs in any order, in bounded memory, and returns the number of its
    /// keys. See [`ExternalBuilder`].
    ///
    /// # Errors
    /// An option is out of its range, a key is too long, a file cannot be written, a key is
    /// repeated or a sum does not fit. The file that was there stays.
    ///
    /// ```
    /// use memkv::{FrozenLayer, FrozenOptions, OnDuplicate};
    ///
    /// # let folder = std::env::temp_dir().join(format!("memkv-build-ext-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// # let path = folder.join("layer");
    /// let words = ["to", "be", "or", "not", "to", "be"];
    /// let options = FrozenOptions::new().memory(32 << 20).on_duplicate(OnDuplicate::Sum);
    /// let keys = options.build_external(&path, words.iter().map(|word| (word, 1)))?;
    /// assert_eq!((keys, FrozenLayer::open(&path)?.get("to")), (4, Some(2)));
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build_external<K: AsRef<[u8]>>(
        &self,
        path: impl AsRef<Path>,
        pairs: impl IntoIterator<Item = (K, u64)>,
    ) -> Result<u64, FrozenError> {
        self.build_external_as(path, pairs)
    }

    /// Builds a file of values of any type like [`build_external`](Self::build_external).
    ///
    /// # Errors
    /// See there; or sums were asked for, of a type that has none.
    pub fn build_external_as<K: AsRef<[u8]>, V: Value>(
        &self,
        path: impl AsRef<Path>,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<u64, FrozenError> {
        let mut builder = ExternalBuilder::<V>::create_as(path, self.clone())?;
        pairs.into_iter().try_for_each(|(key, value)| builder.insert(key, value))?;
        builder.finish_file()
    }

    /// Builds a file of byte strings as values like [`build_external`](Self::build_external).
    ///
    /// # Errors
    /// See there; or sums were asked for, which byte strings do not have.
    ///
    /// ```
    /// use memkv::{BytesLayer, FrozenOptions};
    ///
    /// # let folder = std::env::temp_dir().join(format!("memkv-bytes-ext-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// # let path = folder.join("layer");
    /// FrozenOptions::new().build_external_bytes(&path, [("b", "second"), ("a", "first")])?;
    /// assert_eq!(BytesLayer::open_as(&path)?.get("a").unwrap(), b"first");
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build_external_bytes<K: AsRef<[u8]>, B: AsRef<[u8]>>(
        &self,
        path: impl AsRef<Path>,
        pairs: impl IntoIterator<Item = (K, B)>,
    ) -> Result<u64, FrozenError> {
        let mut builder = ExternalBuilder::<[u8]>::create_as(path, self.clone())?;
        pairs.into_iter().try_for_each(|(key, value)| builder.insert(key, value.as_ref()))?;
        builder.finish_file()
    }
}
