//! `FrozenLayer`: point reads and size.

use super::chunk::Chunk;
use super::codec::Codec;
use super::cursor::FrozenCursor;
use super::error::FrozenError;
use super::layer::Layer;
use super::layer_value::LayerValue;
use super::options::SymbolTable;
#[cfg(feature = "sets")]
use crate::symbols::SharedTables;
use crate::symbols::{Decoder, SymbolKind};
use crate::sync::parallel::in_pool;
use rayon::prelude::*;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// An immutable ordered map from byte strings to small values, compressed, in memory or in a mapped
/// file.
///
/// Values are of any [`Value`](crate::Value) type, `u64` if no other is named, or byte strings:
/// [`BytesLayer`](crate::BytesLayer).
///
/// It is meant for the large part of the data that does not change. Keys are front-coded, what is
/// left of them is written in symbols, and values take as many bits as they need. All reads work on
/// this form without decompressing it first. Keys are any byte strings of up to
/// [`MAX_KEY_LEN`](crate::MAX_KEY_LEN) bytes, in byte order.
///
/// Keys are numbered in order: [`rank`](Self::rank) and [`select`](Self::select) cost about as much
/// as a lookup. Clones share everything and cost O(1). Any number of threads may read.
///
/// # Complexity
/// A lookup searches the index of chunks, then two nodes and one block of 16 keys.
///
/// # Examples
/// ```
/// use memkv::FrozenLayer;
///
/// let layer = FrozenLayer::from_sorted(&[
///     ("https://example.com/", 3),
///     ("https://example.org/", 1),
///     ("https://example.org/a", 2),
/// ])?;
/// assert_eq!(layer.get("https://example.org/a"), Some(2));
/// assert_eq!(layer.get("https://example.org/b"), None);
/// assert_eq!(layer.prefix("https://example.org/").count(), 2);
/// assert_eq!(layer.select(0), Some((b"https://example.com/".to_vec(), 3)));
/// # Ok::<(), memkv::FrozenError>(())
/// ```
///
/// # Damaged files
/// [`open`](Self::open) and [`from_bytes`](Self::from_bytes) verify everything: checksums, the
/// order of the keys and their number. No bytes make a layer panic, not even bytes that were made
/// to deceive and have valid checksums. Time and memory are bounded by the bytes of the file and,
/// since few bytes may stand for many keys, by 64 MiB of keys a chunk. A value that is a byte
/// string takes at most eight times the bytes of its chunk.
///
/// Transducers of the codec [`Fst`](Codec::Fst) are checked when they are opened or first used. The
/// check takes eight bytes of memory for each byte of one chunk until it ends.
///
/// **Warning:** [`open_mapped`](Self::open_mapped) does not check the chunks;
/// [`verify`](Self::verify) does. Where a chunk is damaged, keys may be missing, out of order or
/// have wrong values, and a compaction over such a base is an error. Values that are byte strings
/// may then overlap, so that together they take far more bytes than the file.
///
/// # Source
/// Bayer, Unterauer: "Prefix B-trees", 1977, for the index; Boncz, Neumann, Leis: "FSST", 2020, and
/// Gargiulo, Venturini: "OnPair", 2025, for the symbols. [`format`](crate::format) describes the
/// file.
pub struct FrozenLayer<V: ?Sized = u64> {
    pub(super) layer: Arc<Layer>,
    values: PhantomData<fn(&V)>,
}

/// The size of a layer in bytes. Returned by [`FrozenLayer::memory_usage`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrozenUsage {
    /// Bytes of the keys, with the index nodes of their chunks.
    pub keys: usize,
    /// Bytes of the values.
    pub values: usize,
    /// Bytes of the index of chunks and of the table of chunks.
    pub index: usize,
    /// Bytes of the symbols.
    pub symbols: usize,
    /// Bytes of keys and values that are in a mapped file instead of the layer's own memory.
    pub mapped: usize,
}

impl FrozenUsage {
    /// Returns the sum of all parts, mapped or not.
    pub fn total(&self) -> usize {
        self.keys + self.values + self.index + self.symbols
    }
}

impl<V: ?Sized> Clone for FrozenLayer<V> {
    fn clone(&self) -> Self {
        FrozenLayer { layer: Arc::clone(&self.layer), values: PhantomData }
    }
}

impl<V: LayerValue + ?Sized> FrozenLayer<V> {
    /// Creates a layer from what was built for values of this type.
    pub(crate) fn of(layer: Layer) -> Self {
        FrozenLayer { layer: Arc::new(layer), values: PhantomData }
    }

    /// Creates a layer from what was read.
    ///
    /// # Errors
    /// The values are of another type.
    pub(crate) fn of_read(layer: Layer) -> Result<Self, FrozenError> {
        match layer.kind {
            found if found == V::STORED => Ok(Self::of(layer)),
            found => Err(FrozenError::Values { found, expected: V::STORED }),
        }
    }

    /// Returns the number of keys. O(1).
    pub fn len(&self) -> usize {
        self.layer.len
    }

    /// Returns whether the layer has no key. O(1).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the codec of the keys.
    pub fn codec(&self) -> Codec {
        self.layer.codec
    }

    /// Returns the kind of symbols, which is never `Auto`.
    pub fn symbols(&self) -> SymbolTable {
        match self.layer.decoder.kind() {
            SymbolKind::Plain => SymbolTable::None,
            SymbolKind::Fsst => SymbolTable::Fsst,
            SymbolKind::OnPair => SymbolTable::OnPair,
        }
    }

    /// Returns the number of chunks.
    pub fn chunks(&self) -> usize {
        self.layer.chunks.len()
    }

    /// Returns the value of `key`.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1)])?;
    /// assert_eq!(layer.get("a"), Some(1));
    /// assert_eq!(layer.get("b"), None);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    #[inline]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<V::Owned> {
        self.layer.value_of(key.as_ref()).and_then(V::get)
    }

    /// Returns the values of many keys, in the order of the keys.
    ///
    /// The lookups of a group proceed together, so that their cache misses overlap. This is faster
    /// than repeated calls of [`get`](Self::get) when the layer is larger than the caches.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1), ("b", 2)])?;
    /// assert_eq!(layer.get_many(&["b", "c", "a"]), [Some(2), None, Some(1)]);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Option<V::Owned>> {
        let mut values = Vec::with_capacity(keys.len());
        self.layer.get_many(keys.iter(), |at| values.push(at.and_then(V::get)));
        values
    }

    /// Passes the value of each key to `found`, in the order of the keys, as
    /// [`get_many`](Self::get_many) returns them. It takes no memory for each key.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1), ("b", 2)])?;
    /// let mut sum = 0;
    /// layer.get_many_with(["b", "c", "a"], |value| sum += value.unwrap_or(0));
    /// assert_eq!(sum, 3);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn get_many_with<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
        mut found: impl FnMut(Option<V::Lent<'_>>),
    ) {
        let mut buffer = Vec::new();
        self.layer.get_many(keys.into_iter(), |at| {
            found(at.and_then(|at| V::lend(at, &mut buffer)));
        });
    }

    /// Returns whether the layer has each of many keys, in the order of the keys.
    ///
    /// It is as fast as [`get_many`](Self::get_many).
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1), ("b", 2)])?;
    /// assert_eq!(layer.contains_many(&["b", "c"]), [true, false]);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn contains_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<bool> {
        let mut contained = Vec::with_capacity(keys.len());
        self.layer.get_many(keys.iter(), |value| contained.push(value.is_some()));
        contained
    }

    /// Returns whether the layer has `key`.
    #[inline]
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> bool {
        self.layer.find(key.as_ref()).is_some()
    }

    /// Returns the number of keys that are less than `key`, which need not be in the layer. One
    /// lookup.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1), ("c", 2)])?;
    /// assert_eq!(["a", "b", "c", "d"].map(|key| layer.rank(key)), [0, 1, 1, 2]);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn rank(&self, key: impl AsRef<[u8]>) -> usize {
        self.layer.rank(key.as_ref(), false)
    }

    /// Returns the key of a rank and its value. About as fast as a lookup.
    ///
    /// The rank of a key is the number of keys that are less.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1), ("c", 2)])?;
    /// assert_eq!(layer.select(1), Some((b"c".to_vec(), 2)));
    /// assert_eq!(layer.select(2), None);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn select(&self, rank: usize) -> Option<(Vec<u8>, V::Owned)> {
        let mut cursor = FrozenCursor::<V>::at(&self.layer, rank);
        cursor.next().map(|(key, value)| (key.to_vec(), V::own(value)))
    }

    /// Takes symbols that others have too from them, in a layer that has no clone yet.
    #[cfg(feature = "sets")]
    pub(crate) fn share_symbols(&mut self, tables: &mut SharedTables) {
        if let Some(layer) = Arc::get_mut(&mut self.layer) {
            tables.share(&mut layer.decoder);
            layer.value_decoder.iter_mut().for_each(|decoder| tables.share(decoder));
        }
    }

    /// Returns the key of a rank.
    #[cfg(feature = "sets")]
    pub(crate) fn key_of(&self, rank: usize) -> Option<Vec<u8>> {
        let mut cursor = FrozenCursor::<V>::at(&self.layer, rank);
        cursor.peek_shared().map(|(_, key)| key.to_vec())
    }

    /// Returns the least key and its value.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1), ("b", 2)])?;
    /// assert_eq!(layer.first_key_value(), Some((b"a".to_vec(), 1)));
    /// assert_eq!(layer.last_key_value(), Some((b"b".to_vec(), 2)));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn first_key_value(&self) -> Option<(Vec<u8>, V::Owned)> {
        self.select(0)
    }

    /// Returns the greatest key and its value. See [`first_key_value`](Self::first_key_value) for
    /// an example.
    pub fn last_key_value(&self) -> Option<(Vec<u8>, V::Owned)> {
        self.select(self.len().checked_sub(1)?)
    }

    /// Returns the longest key of the layer that is a prefix of `key`, as a slice of `key`, and its
    /// value.
    ///
    /// # Complexity
    /// One lookup, and the search of each other block that may have a shorter prefix: at most one
    /// for each byte of `key`. Transducers are walked once, for all prefixes.
    ///
    /// # Examples
    ///
    /// ```
    /// let routes = memkv::FrozenLayer::from_sorted(&[("/", 1), ("/api/", 2), ("/api/v2/", 3)])?;
    /// assert_eq!(routes.get_longest_prefix("/api/v1/users"), Some((&b"/api/"[..], 2)));
    /// assert_eq!(routes.get_longest_prefix("about"), None);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn get_longest_prefix<'k, K: AsRef<[u8]> + ?Sized>(
        &self,
        key: &'k K,
    ) -> Option<(&'k [u8], V::Owned)> {
        let key = key.as_ref();
        let (len, at) = self.layer.longest_prefix(key)?;
        Some((&key[..len], V::get(at)?))
    }

    /// Returns the size of the layer in bytes. Clones share it. O(chunks).
    ///
    /// ```
    /// let pairs: Vec<(String, u64)> =
    ///     (0..10_000).map(|i| (format!("https://example.org/{i:05}"), i)).collect();
    /// let layer = memkv::FrozenLayer::from_sorted(&pairs)?;
    /// assert!(layer.memory_usage().total() < 10 * layer.len());
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn memory_usage(&self) -> FrozenUsage {
        let layer = &*self.layer;
        let index =
            size_of::<Layer>() + layer.index.len() + layer.chunks.capacity() * size_of::<Chunk>();
        let symbols = self.decoders().map(Decoder::heap_bytes).sum();
        let mut usage = FrozenUsage { index, symbols, ..FrozenUsage::default() };
        for chunk in &layer.chunks {
            usage.keys += chunk.key_bytes;
            usage.values += chunk.data.len() - chunk.key_bytes;
            if !chunk.data.in_memory() {
                usage.mapped += chunk.data.len();
            }
        }
        usage
    }

    /// Returns the symbols of the keys, and those of values that are byte strings.
    pub(crate) fn decoders(&self) -> impl Iterator<Item = &Decoder> {
        [Some(&self.layer.decoder), self.layer.value_decoder.as_ref()].into_iter().flatten()
    }

    /// Returns the number of bytes that the keys' lengths take.
    ///
    /// They are part of the keys in [`memory_usage`](Self::memory_usage). Returns 0 for the codec
    /// `Fst`, which stores no lengths.
    ///
    /// # Complexity
    /// O(keys), in parallel.
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs: Vec<(String, u64)> =
    ///     (0..10_000).map(|i| (format!("https://example.org/{i:05}"), i)).collect();
    /// let layer = memkv::FrozenLayer::from_sorted(&pairs)?;
    /// assert!(layer.header_bytes() * 10 < 17 * layer.len());
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn header_bytes(&self) -> usize {
        match self.codec() {
            Codec::Packed => {
                let chunks = &self.layer.chunks;
                in_pool(|| chunks.par_iter().map(|chunk| chunk.packed().headers()).sum())
            }
            Codec::Fst => 0,
        }
    }
}

impl<V: LayerValue + ?Sized> fmt::Debug for FrozenLayer<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrozenLayer")
            .field("len", &self.len())
            .field("codec", &self.codec())
            .field("symbols", &self.symbols())
            .field("chunks", &self.chunks())
            .finish_non_exhaustive()
    }
}
