//! `FrozenLayerBuilder`: keys in ascending order are cut into chunks, which the threads of rayon's
//! pool encode.
//!
//! ```text
//!   insert ─▶ front-coded chunk ─▶ kept until there are enough keys to choose symbols
//!          ─▶ encoded in parallel ─▶ in order ─▶ memory or file
//! ```
//!
//! The keys alone determine where a chunk ends and which symbols are chosen. So the result is the
//! same for any number of threads.

use super::assemble::{GATHERED_BYTES, IndexBuilder, assemble, gather, is_full};
use super::choose_symbols::{choose_symbols, needs_no_keys};
use super::error::FrozenError;
use super::format;
use super::front_coded::{FrontCoded, Stored, check_lens};
use super::frozen_layer::FrozenLayer;
use super::layer::Layer;
use super::layer_value::LayerValue;
use super::options::FrozenOptions;
use super::pipeline::EncodePipeline;
#[cfg(feature = "sets")]
use crate::io::dir::Dir;
use crate::io::new_file::NewFile;
use crate::symbols::Encoders;
use rayon::ThreadPool;
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
#[cfg(feature = "sets")]
use std::sync::Arc;

/// Bytes of front-coded keys, and of byte strings as values, from which the symbols are chosen.
const TRAINING_BYTES: usize = 32 << 20;

/// Builds a [`FrozenLayer`] from keys in ascending order, in bounded memory beside the layer
/// itself. For keys in any order there is [`ExternalBuilder`](crate::ExternalBuilder).
///
/// A key that was inserted is refused, whatever the option
/// [`on_duplicate`](FrozenOptions::on_duplicate) says.
///
/// The threads of rayon's pool encode chunks while the caller continues to insert. In a fork of the
/// process that made it, a builder can only be dropped.
///
/// ```
/// use memkv::{FrozenLayer, FrozenLayerBuilder};
///
/// let mut builder = FrozenLayerBuilder::new()?;
/// builder.insert(b"key1", 1)?;
/// let frozen: FrozenLayer = builder.finish()?;
/// assert_eq!(frozen.get(b"key1"), Some(1));
/// # Ok::<(), memkv::FrozenError>(())
/// ```
///
/// # Memory
/// Until the symbols are chosen: the first 32 MiB of front-coded keys and of values that are byte
/// strings, and 16 bytes a key. From then on: the chunks in work, two for each thread of the pool.
pub struct FrozenLayerBuilder<V: ?Sized = u64> {
    options: FrozenOptions,
    pending: FrontCoded,
    /// Number of keys inserted.
    len: u64,
    /// The last key of the chunk before `pending`.
    last: Vec<u8>,
    index: IndexBuilder,
    /// Chunks that wait for the symbols.
    held: Vec<FrontCoded>,
    held_bytes: usize,
    encoders: Option<Encoders>,
    work: EncodePipeline,
    values: PhantomData<fn(&V)>,
}

impl FrozenLayerBuilder {
    /// Creates a builder with the default [options](FrozenOptions), which makes a layer in memory.
    ///
    /// # Errors
    /// None: the default options are valid.
    pub fn new() -> Result<Self, FrozenError> {
        Self::with_options(FrozenOptions::new())
    }

    /// Creates a builder with some options, which makes a layer in memory.
    ///
    /// # Errors
    /// An option is out of its range.
    pub fn with_options(options: FrozenOptions) -> Result<Self, FrozenError> {
        Self::typed_with(options)
    }

    /// Creates a builder that writes chunks to a file as they are encoded.
    ///
    /// The file gets its name when [`finish`](Self::finish) or [`finish_file`](Self::finish_file)
    /// completes it. Until then it has another name in the same folder. It is removed if the
    /// builder is dropped.
    ///
    /// # Errors
    /// An option is out of its range, or the file cannot be created.
    ///
    /// ```
    /// use memkv::{FrozenLayer, FrozenLayerBuilder, FrozenOptions};
    ///
    /// # let folder = std::env::temp_dir().join(format!("memkv-build-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("layer");
    /// let mut builder = FrozenLayerBuilder::create(&path, FrozenOptions::new())?;
    /// builder.insert("a", 1)?;
    /// assert_eq!(builder.finish_file()?, 1);
    /// assert_eq!(FrozenLayer::open(&path)?.get("a"), Some(1));
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn create(path: impl AsRef<Path>, options: FrozenOptions) -> Result<Self, FrozenError> {
        Self::create_as(path, options)
    }
}

impl<V: LayerValue + ?Sized> FrozenLayerBuilder<V> {
    /// Creates a builder for values of this type with the default [options](FrozenOptions), which
    /// makes a layer in memory.
    ///
    /// # Errors
    /// None: the default options are valid.
    ///
    /// ```
    /// let mut builder = memkv::FrozenLayerBuilder::<i64>::typed()?;
    /// builder.insert("a", -1)?;
    /// assert_eq!(builder.finish()?.get("a"), Some(-1));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn typed() -> Result<Self, FrozenError> {
        Self::typed_with(FrozenOptions::new())
    }

    /// Creates a builder for values of this type with some options, which makes a layer in memory.
    ///
    /// # Errors
    /// An option is out of its range.
    pub fn typed_with(options: FrozenOptions) -> Result<Self, FrozenError> {
        options.check()?;
        let work = EncodePipeline::new(options.pool()?);
        Ok(FrozenLayerBuilder {
            options,
            pending: FrontCoded::default(),
            len: 0,
            last: Vec::new(),
            index: IndexBuilder::default(),
            held: Vec::new(),
            held_bytes: 0,
            encoders: None,
            work,
            values: PhantomData,
        })
    }

    /// Creates a builder for values of this type that writes to a file, as
    /// [`create`](FrozenLayerBuilder::create) does for `u64`.
    ///
    /// # Errors
    /// An option is out of its range, or the file cannot be created.
    pub fn create_as(path: impl AsRef<Path>, options: FrozenOptions) -> Result<Self, FrozenError> {
        Self::typed_with(options)?.write_to(NewFile::create(path.as_ref())?)
    }

    /// Creates a builder that writes to a file of an open folder.
    #[cfg(feature = "sets")]
    pub(crate) fn create_in(
        dir: &Arc<Dir>,
        name: &str,
        options: FrozenOptions,
    ) -> Result<Self, FrozenError> {
        Self::typed_with(options)?.write_to(NewFile::create_in(dir, name)?)
    }

    /// Lets chunks be written to a file.
    fn write_to(mut self, mut file: NewFile) -> Result<Self, FrozenError> {
        file.write(&format::header(V::STORED))?;
        self.work.file = Some(file);
        Ok(self)
    }

    /// Returns the path of the file of a builder made by [`create`](FrozenLayerBuilder::create), as
    /// long as it is not complete.
    ///
    /// A builder that is dropped removes it. A program that is told to end without that can.
    ///
    /// ```
    /// use memkv::{FrozenLayerBuilder, FrozenOptions};
    ///
    /// let path = std::env::temp_dir().join(format!("memkv-unfinished-{}", std::process::id()));
    /// let builder = FrozenLayerBuilder::create(&path, FrozenOptions::new())?;
    /// let unfinished = builder.unfinished_path().unwrap();
    /// assert!(unfinished.exists() && !path.exists());
    /// drop(builder);
    /// assert!(!unfinished.exists());
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn unfinished_path(&self) -> Option<PathBuf> {
        self.work.file.as_ref().map(NewFile::temporary_path)
    }

    /// Returns the name of its file until that is complete.
    #[cfg(feature = "sets")]
    pub(crate) fn temporary_name(&self) -> Option<&str> {
        self.work.file.as_ref().map(NewFile::temporary_name)
    }

    /// Returns the number of keys inserted so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns whether no key was inserted yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Inserts a key, which must be greater than the key before. Waits while too many chunks are in
    /// work.
    ///
    /// # Errors
    /// The key is not greater than the key before it, or key or value are too long: the builder is
    /// unchanged and other keys can follow.
    ///
    /// The file cannot be written, or this process is a fork of the builder's: the builder cannot
    /// be finished, and later calls return the same error.
    pub fn insert(&mut self, key: impl AsRef<[u8]>, value: V::Lent<'_>) -> Result<(), FrozenError> {
        self.insert_stored(key.as_ref(), V::stored(value))
    }

    pub(crate) fn options(&self) -> &FrozenOptions {
        &self.options
    }

    /// Returns the threads that build, if they are the builder's own.
    pub(super) fn pool(&self) -> Option<&ThreadPool> {
        self.work.pool.as_ref()
    }

    /// Returns the options, of which the sample may change until a key is inserted.
    pub(super) fn options_mut(&mut self) -> &mut FrozenOptions {
        &mut self.options
    }

    /// Inserts a key and what is stored of its value.
    pub(crate) fn insert_stored(
        &mut self,
        key: &[u8],
        value: Stored<'_>,
    ) -> Result<(), FrozenError> {
        check_lens(self.len, key, value)?;
        if self.pending.is_empty() {
            self.begin_chunk(key)?;
        }
        if !self.pending.push(key, self.options.kept(value)) {
            return Err(self.not_ascending(key));
        }
        self.inserted()
    }

    /// Inserts keys that are front-coded already.
    pub(super) fn insert_all(&mut self, part: &FrontCoded) -> Result<(), FrozenError> {
        for (i, value) in part.stored().enumerate() {
            let (lcp, suffix) = part.entry(i);
            if i > 0 && !self.pending.is_empty() {
                self.pending.follow(lcp, suffix, self.options.kept(value));
                self.inserted()?;
            } else {
                // The first key shares nothing with the key before, which is in another chunk or
                // part.
                self.insert_stored(&[&self.last[..lcp], suffix].concat(), value)?;
            }
        }
        Ok(())
    }

    /// Counts a key, and ends the chunk if it is full.
    #[inline]
    fn inserted(&mut self) -> Result<(), FrozenError> {
        self.len += 1;
        if is_full(&self.pending, &self.options) {
            let pending = std::mem::take(&mut self.pending);
            self.last = pending.last().to_vec();
            self.take(pending)?;
        }
        Ok(())
    }

    #[cold]
    fn not_ascending(&self, key: &[u8]) -> FrozenError {
        let before = if self.pending.is_empty() { &self.last } else { self.pending.last() };
        FrozenError::not_ascending(self.len, key, before)
    }

    /// Adds the separator before a chunk that begins with `key`.
    fn begin_chunk(&mut self, key: &[u8]) -> Result<(), FrozenError> {
        if !self.index.is_empty() && *key <= *self.last {
            return Err(self.not_ascending(key));
        }
        self.index.push(&self.last, key);
        Ok(())
    }

    /// Encodes a complete chunk, or keeps it until the symbols are chosen.
    fn take(&mut self, pending: FrontCoded) -> Result<(), FrozenError> {
        self.work.check()?;
        if let Some(encoders) = &self.encoders {
            let form = self.options.form(V::STORED);
            return self.work.send(pending, encoders, form, self.options.memory);
        }
        self.held_bytes += pending.suffix_bytes() + pending.value_bytes().len();
        self.held.push(pending);
        let enough = self.held_bytes >= TRAINING_BYTES || needs_no_keys(&self.options, V::STORED);
        if enough { self.release() } else { Ok(()) }
    }

    /// Chooses the symbols, and encodes the chunks that wait for them.
    fn release(&mut self) -> Result<(), FrozenError> {
        let choose = || choose_symbols(&self.options, V::STORED, &self.held);
        let encoders = self.work.run(choose);
        (self.options.sample, self.options.value_sample) = (None, None);
        let form = self.options.form(V::STORED);
        for pending in std::mem::take(&mut self.held) {
            self.work.send(pending, &encoders, form, self.options.memory)?;
        }
        self.encoders = Some(encoders);
        Ok(())
    }

    /// Passes the bytes of chunks that are encoded to `write`, and forgets them.
    pub(super) fn drain<E>(&mut self, write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        self.work.drain(write)
    }

    /// Encodes the remaining keys. Returns the layer, without the bytes of chunks that were
    /// [drained](Self::drain).
    pub(super) fn complete_drained(self) -> Result<Layer, FrozenError> {
        Ok(self.complete(false)?.layer)
    }

    /// Encodes the remaining keys. With `gathers`, chunks in memory are stored together.
    fn complete(mut self, gathers: bool) -> Result<Completed, FrozenError> {
        self.work.check()?;
        if !self.pending.is_empty() {
            let pending = std::mem::take(&mut self.pending);
            self.last.clear();
            self.last.extend_from_slice(pending.last());
            self.take(pending)?;
        }
        if self.encoders.is_none() {
            self.release()?;
        }
        self.work.finish()?;
        let encoders = self.encoders.take().expect("release chooses the symbols");
        if gathers && self.work.file.is_none() {
            gather(&mut self.work.done, GATHERED_BYTES);
        }
        let done = std::mem::take(&mut self.work.done);
        let form = self.options.form(V::STORED);
        let layer = assemble(form, &encoders, done, self.index);
        Ok(Completed { layer, last: self.last, file: self.work.file.take(), encoders })
    }

    /// Completes the layer. Reads it back into memory if it was written to a file, which
    /// [`finish_file`](Self::finish_file) does not.
    ///
    /// # Errors
    /// The file cannot be written or read, or could not be written before; or this process is a
    /// fork of the builder's.
    pub fn finish(self) -> Result<FrozenLayer<V>, FrozenError> {
        let completed = self.complete(true)?;
        if completed.file.is_none() {
            return Ok(FrozenLayer::of(completed.layer));
        }
        FrozenLayer::open_as(completed.commit()?.path)
    }

    /// Completes the file of a builder made by [`create`](Self::create), and returns the number of
    /// its keys.
    ///
    /// # Errors
    /// The file cannot be written, or could not be written before; the builder has no file; or this
    /// process is a fork of the builder's.
    pub fn finish_file(self) -> Result<u64, FrozenError> {
        Ok(self.finish_to_file()?.keys)
    }

    /// Completes the file like [`finish_file`](Self::finish_file).
    pub(crate) fn finish_to_file(self) -> Result<FinishedFile, FrozenError> {
        self.complete(true)?.commit()
    }
}

/// A file that is complete.
#[cfg_attr(not(feature = "sets"), expect(dead_code, reason = "sets have it in their manifest"))]
#[derive(Debug)]
pub(crate) struct FinishedFile {
    pub(crate) path: PathBuf,
    pub(crate) keys: u64,
    /// The greatest key.
    pub(crate) last: Vec<u8>,
    pub(crate) bytes: u64,
    pub(crate) crc32: u32,
    /// The symbols that its keys and values are written in.
    pub(crate) encoders: Encoders,
}

/// What a builder has made.
struct Completed {
    /// Without the bytes of chunks that are in a file, or were [drained](FrozenLayerBuilder::drain).
    layer: Layer,
    /// The greatest key.
    last: Vec<u8>,
    file: Option<NewFile>,
    encoders: Encoders,
}

impl Completed {
    /// Completes the file.
    fn commit(self) -> Result<FinishedFile, FrozenError> {
        let Completed { layer, last, file, encoders } = self;
        let no_file = FrozenError::Option("the builder was not made to write a file");
        let mut file = file.ok_or(no_file)?;
        file.write(&format::trailer(&layer))?;
        let (path, keys, (bytes, crc32)) = (file.path(), layer.len as u64, file.digest());
        file.commit()?;
        Ok(FinishedFile { path, keys, last, bytes, crc32, encoders })
    }
}

impl<V: ?Sized> fmt::Debug for FrozenLayerBuilder<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrozenLayerBuilder").field("len", &self.len).finish_non_exhaustive()
    }
}
