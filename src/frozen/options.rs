//! The options of a layer.

use super::chunk::ChunkForm;
use super::codec::Codec;
use super::error::FrozenError;
use super::front_coded::Stored;
use super::limits::MAX_CHUNK_KEYS;
use super::symbols::Sample;
use crate::sync::parallel;
use crate::value::ValueKind;
use rayon::{ThreadPool, ThreadPoolBuilder};

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
    pub(super) sample: Option<Sample>,
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
            sample: None,
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
    /// earlier when its keys take 64 MiB, or its values that are byte strings 16 MiB.
    #[must_use]
    pub fn chunk_keys(mut self, keys: usize) -> Self {
        self.chunk_keys = keys;
        self
    }

    /// Sets the approximate number of bytes that the chunks of a builder may take while they are
    /// encoded, at least 1 MiB.
    ///
    /// A chunk ends when its keys take a sixteenth of that.
    /// [`insert`](crate::FrozenLayerBuilder::insert) waits while the chunks in work take more. By
    /// default two chunks for each thread are in work.
    ///
    /// **Warning:** this does not bound the keys that a builder keeps until the symbols are chosen,
    /// nor values that are byte strings, of which a chunk has up to 16 MiB. With a
    /// [`sample`](Self::sample) it keeps no keys, except with such values, whose symbols are not
    /// chosen from it.
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
        self.sample = Some(sample);
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

    /// Returns the threads that build, if they are to be of their own.
    ///
    /// # Errors
    /// They cannot be started.
    pub(super) fn pool(&self) -> Result<Option<ThreadPool>, FrozenError> {
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

    pub(super) fn check(&self) -> Result<(), FrozenError> {
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
