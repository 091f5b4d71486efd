//! The options of a layer.

use super::chunk::ChunkForm;
use super::codec::Codec;
use super::error::FrozenError;
use super::external::duplicate::OnDuplicate;
use super::front_coded::Stored;
use super::limits::MAX_CHUNK_KEYS;
use crate::symbols::{Encoders, Sample};
use crate::sync::parallel;
use crate::value::ValueKind;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::path::PathBuf;

/// The symbols that keys are written in, with the codec `Packed`.
///
/// Symbols make keys smaller. A table takes time to train and makes lookups a little slower.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SymbolTable {
    /// The table with which a sample of the keys takes the fewest bytes: as a rule `Fsst` for small
    /// layers and `OnPair` for large ones.
    #[default]
    Auto,
    /// No symbols.
    None,
    /// Up to 255 symbols of up to 8 bytes.
    Fsst,
    /// Up to 65,535 symbols of up to 15 bytes. Smaller than `Fsst`, but takes about twice as long
    /// to build and up to 1 MB of memory.
    OnPair,
}

/// The way in which values are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueWidth {
    /// In each chunk, as few bits a value as the difference between the least and the greatest
    /// value needs.
    #[default]
    Auto,
    /// Not stored: the layer is a set of keys. Every value reads as 0, byte strings as empty ones.
    None,
}

/// Default number of keys of a chunk: two full levels of index nodes.
const KEYS_PER_CHUNK: usize = 1 << 16;

/// Bytes of keys that a caller's sample is assumed to stand for. For that many, the size of a table
/// of symbols does not matter.
const UNKNOWN_SAMPLED_BYTES: u64 = 1 << 40;

/// Strings that symbols are chosen from.
#[derive(Clone, Debug)]
pub(super) struct GivenSample {
    pub(super) strings: Sample,
    /// The approximate number of bytes that they stand for.
    pub(super) bytes: u64,
}

/// Options for building a [`FrozenLayer`](crate::FrozenLayer).
///
/// ```
/// use memkv::{FrozenOptions, SymbolTable, ValueWidth};
///
/// let options = FrozenOptions::new().symbols(SymbolTable::Fsst).values(ValueWidth::None);
/// let mut builder = options.builder()?;
/// builder.insert("a", 0)?;
/// assert!(builder.finish()?.contains_key("a"));
/// # Ok::<(), memkv::FrozenError>(())
/// ```
#[derive(Clone, Debug)]
pub struct FrozenOptions {
    pub(super) codec: Codec,
    pub(super) symbols: SymbolTable,
    pub(super) values: ValueWidth,
    pub(super) chunk_keys: usize,
    pub(super) memory: usize,
    /// The tables of another layer, which are taken over.
    pub(super) encoders: Option<Encoders>,
    pub(super) sample: Option<GivenSample>,
    /// A sample of the values, if they are byte strings.
    pub(super) value_sample: Option<GivenSample>,
    pub(crate) on_duplicate: OnDuplicate,
    pub(super) temp_folder: Option<PathBuf>,
    pub(super) threads: Option<usize>,
}

impl Default for FrozenOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl FrozenOptions {
    /// Returns the defaults: codec `Packed`, symbols `Auto`, values `Auto`, 65,536 keys a chunk.
    pub fn new() -> Self {
        FrozenOptions {
            codec: Codec::default(),
            symbols: SymbolTable::default(),
            values: ValueWidth::default(),
            chunk_keys: KEYS_PER_CHUNK,
            memory: usize::MAX,
            encoders: None,
            sample: None,
            value_sample: None,
            on_duplicate: OnDuplicate::default(),
            temp_folder: None,
            threads: None,
        }
    }

    /// Sets the codec of the keys.
    #[must_use]
    pub fn codec(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }

    /// Sets the kind of symbols. The codec `Fst` ignores it.
    #[must_use]
    pub fn symbols(mut self, symbols: SymbolTable) -> Self {
        self.symbols = symbols;
        self.encoders = None;
        self
    }

    /// Sets the way in which values are stored.
    #[must_use]
    pub fn values(mut self, values: ValueWidth) -> Self {
        self.values = values;
        self
    }

    /// Sets the number of keys of a chunk, 1 to 16,777,216.
    ///
    /// Chunks are encoded in parallel, and each is in memory until it is encoded. A chunk ends
    /// earlier when its keys take more than 64 MiB, when what is left of them after front coding
    /// takes 128 bytes for each of this number of keys, and at least 1 MiB, or when its values that
    /// are byte strings take 16 MiB.
    #[must_use]
    pub fn chunk_keys(mut self, keys: usize) -> Self {
        self.chunk_keys = keys;
        self
    }

    /// Sets the approximate number of bytes that a build may take, at least 1 MiB. The layer does
    /// not depend on it.
    ///
    /// For an [`ExternalBuilder`](crate::ExternalBuilder) it is the budget of the whole build, by
    /// default 1 GiB.
    ///
    /// For a [`FrozenLayerBuilder`](crate::FrozenLayerBuilder) it bounds the chunks that are being
    /// encoded: [`insert`](crate::FrozenLayerBuilder::insert) waits while they take more. By
    /// default two chunks for each thread are in work.
    ///
    /// **Warning:** a `FrozenLayerBuilder` also keeps keys, and values that are byte strings, until
    /// the symbols are chosen, which this does not bound. With the [symbols](Self::symbols_of) of
    /// another layer it keeps none, nor with a [`sample`](Self::sample), except with such values,
    /// whose symbols are not chosen from it. To choose the symbols takes some 60 MB, also for an
    /// external build with a smaller budget.
    ///
    /// ```
    /// use memkv::FrozenOptions;
    ///
    /// let mut builder = FrozenOptions::new().memory(16 << 20).builder()?;
    /// for i in 0..100_000u64 {
    ///     builder.insert(i.to_be_bytes(), i)?;
    /// }
    /// assert_eq!(builder.finish()?.len(), 100_000);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    #[must_use]
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// Sets the keys from which their symbols are chosen, in ascending order. A few megabytes are
    /// enough.
    ///
    /// Without them a builder takes the first 32 MiB that are inserted, or all keys if there are
    /// fewer. Where later keys differ from the first ones, a sample of all keys makes better
    /// symbols.
    ///
    /// ```
    /// use memkv::FrozenOptions;
    ///
    /// let keys: Vec<String> = (0..1000).map(|i| format!("https://example.org/{i:04}")).collect();
    /// let mut builder = FrozenOptions::new().sample(keys.iter().step_by(10)).builder()?;
    /// for (key, i) in keys.iter().zip(0..) {
    ///     builder.insert(key, i)?;
    /// }
    /// assert_eq!(builder.finish()?.get("https://example.org/0700"), Some(700));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    #[must_use]
    pub fn sample<K: AsRef<[u8]>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        let mut sample = Sample::default();
        let mut last: Vec<u8> = Vec::new();
        for key in keys {
            let key = key.as_ref();
            let shared = crate::tree::common_prefix(&last, key);
            sample.push(&key[shared..]);
            last.truncate(shared);
            last.extend_from_slice(&key[shared..]);
        }
        self.sample = Some(GivenSample { strings: sample, bytes: UNKNOWN_SAMPLED_BYTES });
        self
    }

    /// Sets the rule for a key that occurs several times, for
    /// [`from_unsorted`](Self::from_unsorted), external builds and merges. By default the last
    /// value is kept. Builders of ascending keys refuse such a key.
    ///
    /// ```
    /// use memkv::{FrozenOptions, OnDuplicate};
    ///
    /// let options = FrozenOptions::new().on_duplicate(OnDuplicate::Sum);
    /// let layer = options.from_unsorted_as(vec![("b", 1.5f32), ("a", 1.0), ("b", -2.0)])?;
    /// assert_eq!(layer.get("b"), Some(-0.5));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    #[must_use]
    pub fn on_duplicate(mut self, rule: OnDuplicate) -> Self {
        self.on_duplicate = rule;
        self
    }

    /// Sets the folder for temporary files of an external build. By default it is that of the
    /// output, so that there is room, or the system's for a layer in memory.
    ///
    /// ```
    /// use memkv::{ExternalBuilder, FrozenOptions};
    ///
    /// let options = FrozenOptions::new().temp_folder(std::env::temp_dir());
    /// assert!(ExternalBuilder::new(options).is_ok());
    /// assert!(ExternalBuilder::new(FrozenOptions::new().temp_folder("not there")).is_err());
    /// ```
    #[must_use]
    pub fn temp_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.temp_folder = Some(folder.into());
        self
    }

    /// Sets the number of threads that build a layer, at least 1: threads of its own, which end
    /// with it. Without this, those of rayon's pool build.
    ///
    /// For a process that runs on few cores of a machine, such as a worker of an engine. The bytes
    /// of the layer do not depend on it.
    ///
    /// ```
    /// let options = memkv::FrozenOptions::new().threads(1);
    /// assert_eq!(options.from_sorted(&[("a", 1)])?.get("a"), Some(1));
    /// assert!(memkv::FrozenOptions::new().threads(0).builder().is_err());
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Returns the options of a layer that takes over the symbols of another.
    #[cfg(feature = "sets")]
    pub(crate) fn with_encoders(mut self, encoders: Encoders) -> Self {
        self.encoders = Some(encoders);
        self
    }

    /// Returns the options of a layer that is built on the threads that there are.
    #[cfg(feature = "sets")]
    pub(crate) fn without_threads(mut self) -> Self {
        self.threads = None;
        self
    }

    /// Returns the threads that build, if they are to be of their own.
    ///
    /// # Errors
    /// They cannot be started.
    pub(crate) fn pool(&self) -> Result<Option<ThreadPool>, FrozenError> {
        self.threads
            .map(|threads| ThreadPoolBuilder::new().num_threads(threads).build())
            .transpose()
            .map_err(|_| FrozenError::Option("the threads cannot be started"))
    }

    /// Runs `work` where a layer is built.
    ///
    /// # Errors
    /// See [`pool`](Self::pool).
    pub(super) fn in_pool<R: Send>(
        &self,
        work: impl FnOnce() -> R + Send,
    ) -> Result<R, FrozenError> {
        Ok(parallel::in_pool_or(self.pool()?.as_ref(), work))
    }

    /// Returns whether values are stored.
    pub(crate) fn has_values(&self) -> bool {
        self.values != ValueWidth::None
    }

    /// Returns what is kept of what is stored of a value.
    #[inline]
    pub(super) fn kept<'v>(&self, value: Stored<'v>) -> Stored<'v> {
        if self.has_values() { value } else { Stored::bytes(&[]) }
    }

    /// Returns what the chunks of a layer with values of a kind have in common.
    pub(super) fn form(&self, kind: ValueKind) -> ChunkForm {
        let constant = (!self.has_values()).then(|| kind.pack(0));
        ChunkForm { codec: self.codec, kind, constant }
    }

    pub(crate) fn check(&self) -> Result<(), FrozenError> {
        if self.memory < 1 << 20 {
            return Err(FrozenError::Option("a builder needs at least 1 MiB of memory"));
        }
        if self.threads == Some(0) {
            return Err(FrozenError::Option("a layer is built by at least one thread"));
        }
        match self.chunk_keys {
            1..=MAX_CHUNK_KEYS => Ok(()),
            _ => Err(FrozenError::Option("a chunk has 1 to 16,777,216 keys")),
        }
    }
}
