//! `FrozenLayer`: point reads, and what the layer is.

#![forbid(unsafe_code)]

use super::chunk::Chunk;
use super::codec::Codec;
use super::cursor::FrozenCursor;
use super::layer::Layer;
use super::options::SymbolTable;
use super::symbols::SymbolKind;
use rayon::prelude::*;
use std::fmt;
use std::sync::Arc;

/// An immutable ordered map from byte strings to `u64`, compressed, in memory or mapped from a file.
///
/// For the large part of the data that does not change: keys are front-coded, their rest written in symbols found in them, and values in as
/// many bits as they need. All reads work on this form. Keys are any byte strings up to [`MAX_KEY_LEN`](crate::MAX_KEY_LEN) bytes, in byte order.
/// The keys are numbered: [`rank`](Self::rank) and [`select`](Self::select) cost about a lookup.
///
/// A lookup searches an index of chunks, two nodes and a block. Clones share everything: O(1). Any number of threads may read.
///
/// ```
/// use memkv::FrozenLayer;
///
/// let layer = FrozenLayer::from_sorted(&[("https://example.com/", 3), ("https://example.org/", 1), ("https://example.org/a", 2)])?;
/// assert_eq!(layer.get("https://example.org/a"), Some(2));
/// assert_eq!(layer.get("https://example.org/b"), None);
/// assert_eq!(layer.prefix("https://example.org/").count(), 2);
/// assert_eq!(layer.select(0), Some((b"https://example.com/".to_vec(), 3)));
/// # Ok::<(), memkv::FrozenError>(())
/// ```
///
/// # Damaged files
/// [`open`](Self::open) and [`from_bytes`](Self::from_bytes) check everything, and nothing makes a layer panic: not bytes that were made to
/// deceive, with right checksums, either, though they may give wrong answers. Transducers of the codec [`Fst`](Codec::Fst) are walked
/// through for that, when they are opened, or first asked for, which takes four bytes of memory for each of a chunk's meanwhile. Of a file
/// that [`open_mapped`](Self::open_mapped) mapped, the chunks are not checked until [`verify`](Self::verify) is asked to: where one is
/// damaged, keys may be missing, or have wrong values.
///
/// # Source
/// Bayer, Unterauer: "Prefix B-trees", 1977, for the index; Boncz, Neumann, Leis: "FSST", 2020, and Gargiulo, Venturini: "OnPair", 2025,
/// for the symbols. [`format`](crate::format) describes the file.
#[derive(Clone)]
pub struct FrozenLayer {
    pub(super) layer: Arc<Layer>,
}

/// What a layer holds, in bytes. See [`FrozenLayer::memory_usage`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrozenUsage {
    /// Bytes of the keys, with the nodes of their chunks.
    pub keys: usize,
    /// Bytes of the values.
    pub values: usize,
    /// Bytes of the index of chunks, and of what is known about each.
    pub index: usize,
    /// Bytes of the symbols.
    pub symbols: usize,
    /// Bytes of keys and values that are not in memory of the layer's own, but in a mapped file.
    pub mapped: usize,
}

impl FrozenUsage {
    /// All of it, mapped or not.
    pub fn total(&self) -> usize {
        self.keys + self.values + self.index + self.symbols
    }
}

impl FrozenLayer {
    pub(crate) fn of(layer: Layer) -> Self {
        FrozenLayer { layer: Arc::new(layer) }
    }

    /// Number of keys. O(1).
    pub fn len(&self) -> usize {
        self.layer.len
    }

    /// Whether there is no key. O(1).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The codec of the keys.
    pub fn codec(&self) -> Codec {
        self.layer.codec
    }

    /// The kind of symbols, never `Auto`.
    pub fn symbols(&self) -> SymbolTable {
        match self.layer.decoder.kind() {
            SymbolKind::Plain => SymbolTable::None,
            SymbolKind::Fsst => SymbolTable::Fsst,
            SymbolKind::OnPair => SymbolTable::OnPair,
        }
    }

    /// How many chunks there are.
    pub fn chunks(&self) -> usize {
        self.layer.chunks.len()
    }

    /// The value of `key`.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1)])?;
    /// assert_eq!(layer.get("a"), Some(1));
    /// assert_eq!(layer.get("b"), None);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    #[inline]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<u64> {
        self.layer.get(key.as_ref())
    }

    /// The values of many keys, in their order. The lookups of a batch go on together so that their cache misses overlap, which makes this
    /// faster than [`get`](Self::get) one by one where the layer is larger than the caches.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1), ("b", 2)])?;
    /// assert_eq!(layer.get_many(&["b", "c", "a"]), [Some(2), None, Some(1)]);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Option<u64>> {
        let mut values = Vec::with_capacity(keys.len());
        self.layer.get_many(keys.iter().map(AsRef::as_ref), |value| values.push(value));
        values
    }

    /// Whether `key` is there.
    #[inline]
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> bool {
        self.layer.find(key.as_ref()).is_some()
    }

    /// How many keys are less than `key`, there or not. One lookup.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1), ("c", 2)])?;
    /// assert_eq!((layer.rank("a"), layer.rank("b"), layer.rank("c"), layer.rank("d")), (0, 1, 1, 2));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn rank(&self, key: impl AsRef<[u8]>) -> usize {
        self.layer.search(key.as_ref()).unwrap_or_else(|rank| rank)
    }

    /// The key that `rank` keys are less than, and its value. About the cost of a lookup.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1), ("c", 2)])?;
    /// assert_eq!(layer.select(1), Some((b"c".to_vec(), 2)));
    /// assert_eq!(layer.select(2), None);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn select(&self, rank: usize) -> Option<(Vec<u8>, u64)> {
        let mut cursor = FrozenCursor::new(&self.layer, rank);
        cursor.next().map(|(key, value)| (key.to_vec(), value))
    }

    /// The least key and its value.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1), ("b", 2)])?;
    /// assert_eq!(layer.first_key_value(), Some((b"a".to_vec(), 1)));
    /// assert_eq!(layer.last_key_value(), Some((b"b".to_vec(), 2)));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn first_key_value(&self) -> Option<(Vec<u8>, u64)> {
        self.select(0)
    }

    /// The greatest key and its value. As [`first_key_value`](Self::first_key_value), from the other end.
    pub fn last_key_value(&self) -> Option<(Vec<u8>, u64)> {
        self.select(self.len().checked_sub(1)?)
    }

    /// The longest key that `key` begins with, as a part of `key`, and its value.
    ///
    /// A lookup, and another for each key that is passed on the way back to it.
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
    ) -> Option<(&'k [u8], u64)> {
        let mut key = key.as_ref();
        loop {
            match self.layer.search(key) {
                Ok(rank) => return Some((key, FrozenCursor::new(&self.layer, rank).next()?.1)),
                Err(rank) => {
                    // The key before is the prefix that is looked for, or shares more bytes with it than any other prefix.
                    let mut cursor = FrozenCursor::new(&self.layer, rank);
                    let (before, value) = cursor.prev()?;
                    let shared = crate::tree::common_prefix(before, key);
                    if shared == before.len() {
                        return Some((&key[..shared], value));
                    }
                    // Nothing shorter is left only where a chunk is damaged, and the key before is not less.
                    key = key.get(..shared).filter(|rest| rest.len() < key.len())?;
                }
            }
        }
    }

    /// What the layer holds, in bytes. Clones share it. O(chunks).
    ///
    /// ```
    /// let pairs: Vec<(String, u64)> = (0..10_000).map(|i| (format!("https://example.org/{i:05}"), i)).collect();
    /// let layer = memkv::FrozenLayer::from_sorted(&pairs)?;
    /// assert!(layer.memory_usage().total() < 10 * layer.len());
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn memory_usage(&self) -> FrozenUsage {
        let layer = &*self.layer;
        let index =
            size_of::<Layer>() + layer.index.len() + layer.chunks.capacity() * size_of::<Chunk>();
        let mut usage =
            FrozenUsage { index, symbols: layer.decoder.heap_bytes(), ..FrozenUsage::default() };
        for chunk in &layer.chunks {
            usage.keys += chunk.key_bytes;
            usage.values += chunk.data.len() - chunk.key_bytes;
            if !chunk.data.in_memory() {
                usage.mapped += chunk.data.len();
            }
        }
        usage
    }

    /// Bytes of the keys' lengths, a part of what [`memory_usage`](Self::memory_usage) counts as keys; 0 with the codec `Fst`, which has none. O(keys), in
    /// parallel.
    ///
    /// ```
    /// let pairs: Vec<(String, u64)> = (0..10_000).map(|i| (format!("https://example.org/{i:05}"), i)).collect();
    /// let layer = memkv::FrozenLayer::from_sorted(&pairs)?;
    /// assert!(layer.header_bytes() * 10 < 17 * layer.len());
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn header_bytes(&self) -> usize {
        match self.codec() {
            Codec::Packed => {
                self.layer.chunks.par_iter().map(|chunk| chunk.packed().headers()).sum()
            }
            Codec::Fst => 0,
        }
    }
}

impl fmt::Debug for FrozenLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrozenLayer")
            .field("len", &self.len())
            .field("codec", &self.codec())
            .field("symbols", &self.symbols())
            .field("chunks", &self.chunks())
            .finish_non_exhaustive()
    }
}
