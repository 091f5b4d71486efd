//! `LayerSetBuilder`: a set from keys in order or in any order, part by part.
//!
//! ```text
//!   insert ─▶ (sorted, if they are in any order) ─▶ a FrozenLayerBuilder a part ─▶ part-…-00000
//!   finish ─▶ manifest.json, renamed last                                          part-…-00001
//! ```
//!
//! Parts have names that no other build has. While a builder works it holds the system's lock on a
//! file with the name of its build, so that [`vacuum`](super::vacuum) leaves its parts alone.

use super::error::SetError;
use super::manifest::{MANIFEST, Manifest, SetPart};
use super::unfinished::{LOCKS, UnfinishedSet};
use crate::frozen::{
    ExternalRecords, FinishedFile, FrozenError, FrozenLayerBuilder, FrozenOptions, LayerValue,
    MAX_VALUE_LEN, Stored, refused,
};
use crate::io::dir::Dir;
use crate::io::new_file::{NewName, create_private, remove_unfinished};
use crate::io::process::Process;
use crate::sharded::ShardedArt;
use crate::sync::parallel::in_pool_or;
use crate::value::Value;
use rayon::ThreadPool;
use rayon::prelude::*;
use std::fmt;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// Keys of a part, unless the options set them: a file of some hundred megabytes.
const DEFAULT_KEYS_PER_PART: u64 = 20_000_000;

/// Options for building a [`LayerSet`](crate::LayerSet).
///
/// ```
/// use memkv::{FrozenOptions, OnDuplicate, SetOptions};
///
/// let layers = FrozenOptions::new().memory(64 << 20).on_duplicate(OnDuplicate::Sum);
/// let options = SetOptions::new().keys_per_part(1_000_000).layers(layers);
/// ```
#[derive(Clone, Debug)]
pub struct SetOptions {
    layers: FrozenOptions,
    keys_per_part: u64,
}

impl Default for SetOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl SetOptions {
    /// Returns the defaults: 20 million keys a part, layers with default
    /// [options](FrozenOptions::new).
    pub fn new() -> Self {
        SetOptions { layers: FrozenOptions::new(), keys_per_part: DEFAULT_KEYS_PER_PART }
    }

    /// Sets the number of keys of a part, at least 1. The last part may have fewer.
    #[must_use]
    pub fn keys_per_part(mut self, keys: u64) -> Self {
        self.keys_per_part = keys;
        self
    }

    /// Sets the options of the layers, and with them the memory, the folder for temporary files and
    /// the rule for repeated keys of a build from keys in any order.
    #[must_use]
    pub fn layers(mut self, options: FrozenOptions) -> Self {
        self.layers = options;
        self
    }

    /// Builds a set from pairs in any order, in bounded memory. See [`LayerSetBuilder::external`].
    ///
    /// # Errors
    /// See there, and [`LayerSetBuilder::finish`].
    ///
    /// ```
    /// use memkv::{LayerSet, SetOptions};
    ///
    /// # let folder = std::env::temp_dir().join(format!("memkv-set-ext-{}", std::process::id()));
    /// let info = SetOptions::new().build_external(&folder, [("b", 2), ("a", 1), ("b", 3)])?;
    /// assert_eq!((info.keys, info.duplicates), (2, 1));
    /// assert_eq!(LayerSet::open(&folder)?.get("b")?, Some(3));
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build_external<K: AsRef<[u8]>>(
        &self,
        folder: impl AsRef<Path>,
        pairs: impl IntoIterator<Item = (K, u64)>,
    ) -> Result<SetInfo, SetError> {
        self.build_external_as(folder, pairs)
    }

    /// Builds a set of values of any type like [`build_external`](Self::build_external).
    ///
    /// # Errors
    /// See there; or sums were asked for, of a type that has none.
    pub fn build_external_as<K: AsRef<[u8]>, V: Value>(
        &self,
        folder: impl AsRef<Path>,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<SetInfo, SetError> {
        let mut builder = LayerSetBuilder::<V>::external_as(folder, self.clone())?;
        pairs.into_iter().try_for_each(|(key, value)| builder.insert(key, value))?;
        builder.finish()
    }

    /// Builds a set from a map, with a part for each shard that has keys, on the threads of rayon's
    /// pool. The number of [keys a part](Self::keys_per_part) is ignored.
    ///
    /// # Guarantees
    /// While other threads change the map, the set has every key that is in the map during the
    /// whole call. It may have a key that is inserted or removed during the call.
    ///
    /// # Errors
    /// A file cannot be written. A set that was in the folder is then unchanged.
    ///
    /// ```
    /// use memkv::{LayerSet, SetOptions, ShardedArt};
    ///
    /// # let folder = std::env::temp_dir().join(format!("memkv-shards-{}", std::process::id()));
    /// let map = ShardedArt::with_boundaries(["b"]);
    /// map.load(&[("b", 2u64), ("a", 1)]).unwrap();
    /// let info = SetOptions::new().build_from_shards(&folder, &map)?;
    /// assert_eq!((info.keys, info.parts), (2, 2));
    /// assert_eq!(LayerSet::open(&folder)?.get("b")?, Some(2));
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build_from_shards<V: Value + Send + Sync>(
        &self,
        folder: impl AsRef<Path>,
        map: &ShardedArt<V>,
    ) -> Result<SetInfo, SetError> {
        let mut writer = SetWriter::<V>::new(folder.as_ref(), self, None)?;
        let pool = self.layers.pool()?;
        let build = |(shard, mut range): (usize, crate::sharded::Range<'_, V>)| {
            let mut part: Option<OpenPart<V>> = None;
            while let Some((key, value)) = range.next_ref() {
                let part = match &mut part {
                    Some(part) => part,
                    // The shards have the threads already.
                    None => part.insert(OpenPart::begin(
                        &writer.dir,
                        writer.name_of(shard),
                        self.layers.clone().without_threads(),
                        key,
                    )?),
                };
                part.builder.insert(key, value)?;
            }
            part.map(|part| Ok(part.finish(&writer.dir)?.0)).transpose()
        };
        let built: Vec<Result<Option<SetPart>, FrozenError>> =
            in_pool_or(pool.as_ref(), || map.par_shards().enumerate().map(build).collect());
        let mut failed = None;
        for part in built {
            match part {
                // After an error too, so that its file is removed.
                Ok(part) => writer.parts.extend(part),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if let Some(error) = failed {
            return Err(error.into());
        }
        writer.commit(0)
    }
}

/// What a build has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetInfo {
    /// The number of keys of the set.
    pub keys: u64,
    /// The number of records, of this build and those before it that it appends to, that had the
    /// key of another one.
    pub duplicates: u64,
    /// The number of parts.
    pub parts: usize,
    /// The bytes of their files.
    pub bytes: u64,
}

impl SetInfo {
    pub(super) fn of(manifest: &Manifest) -> Self {
        SetInfo {
            keys: manifest.keys(),
            duplicates: manifest.duplicates,
            parts: manifest.parts.len(),
            bytes: manifest.parts.iter().map(|part| part.bytes).sum(),
        }
    }
}

/// Builds a [`LayerSet`](crate::LayerSet) in a folder, part by part, in bounded memory.
///
/// ```
/// use memkv::{LayerSet, LayerSetBuilder, SetOptions};
///
/// # let folder = std::env::temp_dir().join(format!("memkv-set-build-{}", std::process::id()));
/// let mut builder = LayerSetBuilder::create(&folder, SetOptions::new().keys_per_part(1000))?;
/// for i in 0..2500u64 {
///     builder.insert(format!("{i:04}"), i)?;
/// }
/// let info = builder.finish()?;
/// assert_eq!((info.keys, info.parts), (2500, 3));
///
/// // Later keys, as parts of their own.
/// let mut builder = LayerSetBuilder::append(&folder, SetOptions::new())?;
/// builder.insert("2500", 2500)?;
/// builder.finish()?;
/// assert_eq!(LayerSet::open(&folder)?.len(), 2501);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Guarantees
/// * [`finish`](Self::finish) replaces the manifest, once all parts are complete and synced. Until
///   then, and on any error, a set that was in the folder is unchanged. After a crash the folder
///   has the old set or the new one.
/// * Readers of the old set go on with it: its parts stay until
///   [`vacuum`](crate::LayerSet::vacuum) removes them.
/// * A builder that is dropped removes its parts. What a crash leaves, `vacuum` removes.
/// * Of two builders of new sets in one folder, the one that finishes last makes the set.
///
/// # Memory
/// That of a [`FrozenLayerBuilder`], or, from keys in any order, of an
/// [`ExternalBuilder`](crate::ExternalBuilder).
pub struct LayerSetBuilder<V: ?Sized = u64> {
    writer: SetWriter<V>,
    /// The records, if they come in any order.
    records: Option<(ExternalRecords<V>, Option<ThreadPool>)>,
}

impl LayerSetBuilder {
    /// Creates a builder of a new set from keys in ascending order. It replaces the set that may be
    /// in the folder. The folder is created if it is missing.
    ///
    /// # Errors
    /// An option is out of its range, or the folder cannot be written.
    pub fn create(folder: impl AsRef<Path>, options: SetOptions) -> Result<Self, SetError> {
        Self::create_as(folder, options)
    }

    /// Creates a builder that appends parts to the set in the folder, from keys in ascending order
    /// that are greater than all of its keys.
    ///
    /// # Errors
    /// An option is out of its range, the folder has no set, or one with values of another type, or
    /// it cannot be written.
    pub fn append(folder: impl AsRef<Path>, options: SetOptions) -> Result<Self, SetError> {
        Self::append_as(folder, options)
    }

    /// Creates a builder of a new set from keys in any order, which are sorted as an
    /// [`ExternalBuilder`](crate::ExternalBuilder) sorts them. Otherwise like
    /// [`create`](Self::create).
    ///
    /// # Errors
    /// An option is out of its range, or the folder or that of temporary files cannot be written.
    pub fn external(folder: impl AsRef<Path>, options: SetOptions) -> Result<Self, SetError> {
        Self::external_as(folder, options)
    }

    /// Creates a builder that appends parts to the set in the folder, from keys in any order that
    /// are greater than all of its keys. They are sorted as by [`external`](Self::external).
    ///
    /// # Errors
    /// See [`append`](Self::append) and [`external`](Self::external).
    ///
    /// ```
    /// use memkv::{LayerSet, LayerSetBuilder, SetError, SetOptions};
    ///
    /// # let folder = std::env::temp_dir().join(format!("memkv-set-add-{}", std::process::id()));
    /// SetOptions::new().build_external(&folder, [("b", 2), ("a", 1)])?;
    /// let mut builder = LayerSetBuilder::append_external(&folder, SetOptions::new())?;
    /// builder.insert("d", 4)?;
    /// builder.insert("c", 3)?;
    /// assert!(matches!(builder.insert("b", 5), Err(SetError::NotBeyond { .. })));
    /// assert_eq!(builder.finish()?.keys, 4);
    /// assert_eq!(LayerSet::open(&folder)?.get("c")?, Some(3));
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn append_external(
        folder: impl AsRef<Path>,
        options: SetOptions,
    ) -> Result<Self, SetError> {
        Self::append_external_as(folder, options)
    }
}

impl<V: LayerValue + ?Sized> LayerSetBuilder<V> {
    /// Creates a builder for values of this type, as [`create`](LayerSetBuilder::create) does for
    /// `u64`.
    ///
    /// # Errors
    /// See there.
    pub fn create_as(folder: impl AsRef<Path>, options: SetOptions) -> Result<Self, SetError> {
        let writer = SetWriter::new(folder.as_ref(), &options, None)?;
        Ok(LayerSetBuilder { writer, records: None })
    }

    /// Creates a builder for values of this type, as [`append`](LayerSetBuilder::append) does for
    /// `u64`.
    ///
    /// # Errors
    /// See there.
    pub fn append_as(folder: impl AsRef<Path>, options: SetOptions) -> Result<Self, SetError> {
        let before = Manifest::read_as(&Dir::open(folder.as_ref())?, V::STORED)?;
        let writer = SetWriter::new(folder.as_ref(), &options, Some(before))?;
        Ok(LayerSetBuilder { writer, records: None })
    }

    /// Creates a builder for values of this type, as [`external`](LayerSetBuilder::external) does
    /// for `u64`.
    ///
    /// # Errors
    /// See there; or the rule for repeated keys asks for sums of a type that has none.
    pub fn external_as(folder: impl AsRef<Path>, options: SetOptions) -> Result<Self, SetError> {
        Self::sorting(folder.as_ref(), &options, None)
    }

    /// Creates a builder for values of this type, as
    /// [`append_external`](LayerSetBuilder::append_external) does for `u64`.
    ///
    /// # Errors
    /// See there; or the rule for repeated keys asks for sums of a type that has none.
    pub fn append_external_as(
        folder: impl AsRef<Path>,
        options: SetOptions,
    ) -> Result<Self, SetError> {
        let before = Manifest::read_as(&Dir::open(folder.as_ref())?, V::STORED)?;
        Self::sorting(folder.as_ref(), &options, Some(before))
    }

    /// Creates a builder from keys in any order, of parts after those of a manifest.
    fn sorting(
        folder: &Path,
        options: &SetOptions,
        before: Option<(Manifest, Vec<u8>)>,
    ) -> Result<Self, SetError> {
        let mut writer = SetWriter::new(folder, options, before)?;
        let records = ExternalRecords::new(&mut writer.options.layers, folder)?;
        let pool = options.layers.pool()?;
        Ok(LayerSetBuilder { writer, records: Some((records, pool)) })
    }

    /// Returns the number of records inserted so far.
    pub fn len(&self) -> u64 {
        self.records.as_ref().map_or(self.writer.len, |(records, _)| records.len())
    }

    /// Returns whether no record was inserted yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the most bytes of a key and of a byte string as its value: for keys in any order,
    /// those for which the memory has room, and otherwise those that a layer takes.
    pub fn max_record_len(&self) -> usize {
        let of_layers = crate::MAX_KEY_LEN + MAX_VALUE_LEN;
        self.records.as_ref().map_or(of_layers, |(records, _)| records.max_record_len())
    }

    /// Returns the files that the builder has begun and will begin, for a program that is told to
    /// end without a drop, which would remove them.
    pub fn unfinished(&self) -> UnfinishedSet {
        self.writer.unfinished.clone()
    }

    /// Inserts a record. Waits while too many chunks are in work.
    ///
    /// # Errors
    /// The key or its value is too long; or, in a builder of ascending keys, the key is not greater
    /// than the one before it; or, in one that appends keys in any order, it is not greater than
    /// all of the set ([`NotBeyond`](SetError::NotBeyond)). The builder is unchanged and other keys
    /// can follow.
    ///
    /// A file cannot be written, a key is repeated though the options exclude that, or this process
    /// is a fork of the builder's: later calls return the same error.
    pub fn insert(&mut self, key: impl AsRef<[u8]>, value: V::Lent<'_>) -> Result<(), SetError> {
        match &mut self.records {
            Some((records, pool)) => {
                let key = key.as_ref();
                match &self.writer.last {
                    Some(last) if key <= last => Err(SetError::not_beyond(key, last)),
                    _ => Ok(records.insert(key, value, pool.as_ref())?),
                }
            }
            None => self.writer.insert(key.as_ref(), V::stored(value)),
        }
    }

    /// Completes the parts, and writes the manifest.
    ///
    /// # Errors
    /// A file cannot be written, or could not be written before; another builder has changed the
    /// set that this one appends to; a key is repeated or a sum does not fit; or this process is a
    /// fork of the builder's.
    pub fn finish(self) -> Result<SetInfo, SetError> {
        self.finish_with(|_, _| ())
    }

    /// Completes the set like [`finish`](Self::finish). From keys in any order, it passes to
    /// `progress`, every few thousand keys, how many of the sorted records are written and how many
    /// there are.
    ///
    /// # Errors
    /// See [`finish`](Self::finish).
    pub fn finish_with(self, progress: impl FnMut(u64, u64)) -> Result<SetInfo, SetError> {
        let LayerSetBuilder { mut writer, records } = self;
        let Some((records, pool)) = records else { return writer.commit(0) };
        let inserted = records.len();
        let mut sorted = records.finish(pool.as_ref())?;
        sorted.give_sample(&mut writer.options.layers);
        writer.shares_symbols = true;
        sorted.read(progress, |key, value| {
            writer.insert(key, value).map_err(|error| match error {
                SetError::Build(error) => SetError::Build(refused(error)),
                error => error,
            })
        })?;
        let duplicates = inserted - writer.len;
        writer.commit(duplicates)
    }
}

impl<V: ?Sized> fmt::Debug for LayerSetBuilder<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerSetBuilder")
            .field("folder", &self.writer.dir.path())
            .finish_non_exhaustive()
    }
}

/// Writes parts from keys in ascending order, and the manifest.
struct SetWriter<V: ?Sized> {
    dir: Arc<Dir>,
    options: SetOptions,
    /// Whether all parts take over the symbols of the first one: they were chosen from a sample of
    /// all keys.
    shares_symbols: bool,
    /// The name of the build, which its parts have, and the file whose lock is held.
    build: String,
    _lock: (File, NewName),
    unfinished: UnfinishedSet,
    process: Process,
    /// The manifest that is appended to, and its bytes.
    before: Option<(Manifest, Vec<u8>)>,
    current: Option<OpenPart<V>>,
    /// The greatest key before the current part, if there is one.
    last: Option<Vec<u8>>,
    /// The parts that are complete.
    parts: Vec<SetPart>,
    /// Number of keys of this build.
    len: u64,
    /// The error of a file, which stays.
    failed: Option<SetError>,
}

/// A part that is being written.
struct OpenPart<V: ?Sized> {
    name: String,
    first: Vec<u8>,
    builder: FrozenLayerBuilder<V>,
}

impl<V: LayerValue + ?Sized> OpenPart<V> {
    fn begin(
        dir: &Arc<Dir>,
        name: String,
        options: FrozenOptions,
        first: &[u8],
    ) -> Result<Self, FrozenError> {
        let builder = FrozenLayerBuilder::create_in(dir, &name, options)?;
        Ok(OpenPart { name, first: first.to_vec(), builder })
    }

    /// Completes the file. Also returns the options with its symbols.
    fn finish(self, dir: &Dir) -> Result<(SetPart, FrozenOptions), FrozenError> {
        let OpenPart { name, first, builder } = self;
        let options = builder.options().clone();
        // It has its name already if only the sync of the folder failed.
        let finished = builder.finish_to_file().inspect_err(|_| dir.remove(&name))?;
        let FinishedFile { keys, last, bytes, crc32, encoders, .. } = finished;
        let part = SetPart { path: name, first, last, keys, bytes, crc32 };
        Ok((part, options.with_encoders(encoders)))
    }
}

impl<V: LayerValue + ?Sized> SetWriter<V> {
    fn new(
        folder: &Path,
        options: &SetOptions,
        before: Option<(Manifest, Vec<u8>)>,
    ) -> Result<Self, SetError> {
        if options.keys_per_part == 0 {
            return Err(FrozenError::Option("a part has at least one key").into());
        }
        options.layers.check()?;
        let dir = Arc::new(Dir::create(folder)?);
        remove_unfinished(&dir)?;
        let lock = create_private(&dir)?;
        let last = before.as_ref().and_then(|(before, _)| before.parts.last());
        Ok(SetWriter {
            build: lock.1.number().to_owned(),
            unfinished: UnfinishedSet::new(Arc::clone(&dir), lock.1.name().to_owned()),
            _lock: lock,
            dir,
            options: options.clone(),
            shares_symbols: false,
            process: Process::current(),
            last: last.map(|part| part.last.clone()),
            before,
            current: None,
            parts: Vec::new(),
            len: 0,
            failed: None,
        })
    }

    /// Returns the name of a part of this build.
    fn name_of(&self, part: usize) -> String {
        part_name(&self.build, part)
    }

    fn insert(&mut self, key: &[u8], value: Stored<'_>) -> Result<(), SetError> {
        if let Some(failed) = &self.failed {
            return Err(failed.copy());
        }
        let part = match &mut self.current {
            Some(part) if part.builder.len() < self.options.keys_per_part => part,
            _ => self.begin_part(key)?,
        };
        match part.builder.insert_stored(key, value) {
            Ok(()) => {
                self.len += 1;
                Ok(())
            }
            Err(error) => Err(self.of_part(error)),
        }
    }

    /// Returns the error of a builder as that of the set: with the position among all keys.
    fn of_part(&mut self, error: FrozenError) -> SetError {
        let position = self.len;
        let error = match error {
            FrozenError::NotAscending { key, .. } => FrozenError::NotAscending { position, key },
            FrozenError::Duplicate { key, .. } => FrozenError::Duplicate { position, key },
            FrozenError::KeyTooLong { len, .. } => FrozenError::KeyTooLong { position, len },
            FrozenError::ValueTooLong { len, .. } => FrozenError::ValueTooLong { position, len },
            // The part cannot be completed.
            error => return self.fail(error.into()),
        };
        SetError::Build(error)
    }

    fn fail(&mut self, error: SetError) -> SetError {
        self.failed = Some(error.copy());
        error
    }

    /// Completes the current part, and begins one with `key`.
    #[cold]
    fn begin_part(&mut self, key: &[u8]) -> Result<&mut OpenPart<V>, SetError> {
        // The key may be refused, and the part before it then gets no others.
        self.finish_part()?;
        if let Some(last) = &self.last
            && key <= last
        {
            return Err(FrozenError::not_ascending(self.len, key, last).into());
        }
        let (name, options) = (self.name_of(self.parts.len()), self.options.layers.clone());
        let mut names = self.unfinished.names();
        let begun = OpenPart::begin(&self.dir, name, options, key);
        if let Ok(part) = &begun {
            names.extend(part.builder.temporary_name().map(str::to_owned));
            names.push(part.name.clone());
        }
        drop(names);
        match begun {
            Ok(part) => Ok(self.current.insert(part)),
            Err(error) => Err(self.fail(error.into())),
        }
    }

    /// Completes the current part, if there is one. A part without keys, whose first key was
    /// refused, is dropped.
    fn finish_part(&mut self) -> Result<(), SetError> {
        let Some(part) = self.current.take().filter(|part| !part.builder.is_empty()) else {
            return Ok(());
        };
        let (part, options) = part.finish(&self.dir).map_err(|error| self.fail(error.into()))?;
        if self.shares_symbols {
            self.options.layers = options;
        }
        self.last = Some(part.last.clone());
        self.parts.push(part);
        Ok(())
    }

    /// Writes the manifest.
    fn commit(mut self, duplicates: u64) -> Result<SetInfo, SetError> {
        if let Some(failed) = &self.failed {
            return Err(failed.copy());
        }
        if !self.process.is_current() {
            return Err(FrozenError::Forked.into());
        }
        self.finish_part()?;
        let (rule, before) = (self.options.layers.on_duplicate, self.before.as_ref());
        let mut manifest = match before {
            Some((before, _)) => before.clone(),
            None => Manifest { kind: V::STORED, duplicates: 0, rule, parts: Vec::new() },
        };
        manifest.duplicates += duplicates;
        manifest.parts.extend_from_slice(&self.parts);
        let unfinished = self.unfinished.clone();
        let mut names = unfinished.names();
        let replaced = self.replace_manifest(&manifest);
        if replaced.is_ok() {
            // They belong to the set now.
            self.parts.clear();
        }
        if self.parts.is_empty() {
            names.truncate(LOCKS);
        }
        drop(names);
        replaced?;
        Ok(SetInfo::of(&manifest))
    }

    /// Replaces the manifest of the folder, if it is the one that was appended to.
    fn replace_manifest(&mut self, manifest: &Manifest) -> Result<(), SetError> {
        let before = self.before.as_ref().map(|(_, bytes)| &**bytes);
        manifest.replace(&self.dir, before).inspect_err(|_| {
            // If only the sync of its name failed, the set has the parts.
            if self.dir.read(MANIFEST).is_ok_and(|bytes| bytes == manifest.to_bytes()) {
                self.parts.clear();
            }
        })
    }
}

impl<V: ?Sized> Drop for SetWriter<V> {
    fn drop(&mut self) {
        if self.process.is_current() {
            self.parts.iter().for_each(|part| self.dir.remove(&part.path));
        }
    }
}

/// Returns the name of a part.
fn part_name(build: &str, part: usize) -> String {
    format!("part-{build}-{part:05}.frozen")
}

/// Returns the build of a part's name, or `None` if it is no name of parts.
pub(super) fn build_of(name: &str) -> Option<&str> {
    let (build, part) = name.strip_prefix("part-")?.strip_suffix(".frozen")?.split_once('-')?;
    let is_number = part.parse().is_ok_and(|part| part_name(build, part) == name);
    (is_number && build.len() == 12 && build.bytes().all(|b| b.is_ascii_hexdigit()))
        .then_some(build)
}
