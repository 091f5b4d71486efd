//! How a layer is built.

#![forbid(unsafe_code)]

use super::codec::Codec;
use super::error::FrozenError;
use super::symbols::Sample;

/// What the bytes of keys are replaced by, in the `Packed` codec. A table takes time to find and makes lookups a little slower; the keys take less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SymbolTable {
    /// The one with which a sample of the keys takes the fewest bytes, found by trial: `Fsst` for small layers, `OnPair` for large ones, as a rule.
    #[default]
    Auto,
    /// No symbols.
    None,
    /// Up to 255 symbols of up to 8 bytes.
    Fsst,
    /// Up to 65,535 symbols of up to 15 bytes: smaller yet, but it takes about twice as long to build, and up to 1 MB in memory.
    OnPair,
}

/// How values are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueWidth {
    /// In each chunk, as few bits for each value as the difference between the least and the greatest takes.
    #[default]
    Auto,
    /// Not at all: a set of keys. Every value reads as 0.
    None,
}

/// Keys of a chunk, unless another number is asked for: two full levels of nodes.
const KEYS_PER_CHUNK: usize = 1 << 16;

/// How to build a [`FrozenLayer`](crate::FrozenLayer).
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
}

impl Default for FrozenOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl FrozenOptions {
    /// The defaults: the codec `Packed`, symbols `Auto`, values `Auto`, 65,536 keys a chunk.
    pub fn new() -> Self {
        FrozenOptions {
            codec: Codec::default(),
            symbols: SymbolTable::default(),
            values: ValueWidth::default(),
            chunk_keys: KEYS_PER_CHUNK,
            memory: usize::MAX,
            sample: None,
        }
    }

    /// How keys are encoded.
    #[must_use]
    pub fn codec(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }

    /// What the bytes of keys are replaced by. Of no account for the codec `Fst`.
    #[must_use]
    pub fn symbols(mut self, symbols: SymbolTable) -> Self {
        self.symbols = symbols;
        self
    }

    /// How values are stored.
    #[must_use]
    pub fn values(mut self, values: ValueWidth) -> Self {
        self.values = values;
        self
    }

    /// Keys of a chunk, 1 to 16,777,216. Chunks are encoded in parallel, and each is held in memory while it is. A chunk ends earlier where its keys
    /// take more than 64 MiB.
    #[must_use]
    pub fn chunk_keys(mut self, keys: usize) -> Self {
        self.chunk_keys = keys;
        self
    }

    /// Bytes that chunks of a builder may take while they are in work, about; at least 1 MiB. A chunk ends where its keys take a sixteenth of
    /// that, and [`insert`](crate::FrozenLayerBuilder::insert) waits while there are more in work than fit. Without it there are two for each thread.
    ///
    /// What a builder holds until the symbols are found is not bounded by this: give it a [`sample`](Self::sample), and it holds nothing.
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

    /// Keys to find the symbols with, in ascending order. Without them a builder takes the first 32 MiB that are inserted, or all, if there are
    /// fewer; where keys change on the way, a sample of all of them makes better symbols. A few megabytes are enough.
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

    /// Whether values are kept.
    pub(crate) fn has_values(&self) -> bool {
        self.values != ValueWidth::None
    }

    pub(super) fn check(&self) -> Result<(), FrozenError> {
        if self.memory < 1 << 20 {
            return Err(FrozenError::Option("a builder needs at least 1 MiB of memory"));
        }
        match self.chunk_keys {
            1..=0x0100_0000 => Ok(()),
            _ => Err(FrozenError::Option("a chunk has 1 to 16,777,216 keys")),
        }
    }
}
