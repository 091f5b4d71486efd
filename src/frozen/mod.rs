//! `FrozenLayer`: an immutable sorted map in compressed chunks.
//!
//! ```text
//!   layer   ┌ index of the chunks ┬ symbols ┬ chunk 0 ┬ chunk 1 ┬ … ┐       layer.rs: finding; file.rs: as bytes
//!   chunk   ┌ keys: packed/ or fst.rs ┬ values: values.rs ┐                 chunk.rs
//! ```
//!
//! Chunks are encoded (build.rs) and read (cursor.rs, search.rs) independently of one another.

#![forbid(unsafe_code)]

mod build;
mod chunk;
mod cursor;
mod error;
pub(crate) mod file;
mod fst;
mod fst_check;
mod fst_walk;
mod layer;
mod merge;
mod options;
mod packed;
mod patch;
mod pending;
mod ranges;
#[cfg(feature = "regex")]
mod regex;
mod run;
mod search;
mod symbols;
mod values;

pub use self::fst_automaton::Automaton;
pub use build::FrozenLayerBuilder;
pub use chunk::Codec;
pub use cursor::{FrozenCursor, FrozenRange};
pub use error::FrozenError;
pub use options::{FrozenOptions, SymbolTable, ValueWidth};
#[cfg(feature = "regex")]
pub use regex::{RegexAutomaton, RegexError, RegexState};
pub use search::FrozenSearch;

mod fst_automaton {
    pub use ::fst::Automaton;
}

use crate::fast::Sorted;
use crate::io::bytes::Bytes;
use crate::{ConcurrentArt, FastArt, ShardedArt, Value, key};
use layer::Layer;
use ranges::Ranges;
use rayon::prelude::*;
use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::path::Path;
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
    layer: Arc<Layer>,
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

    /// A layer of keys that ascend strictly, built in parallel. The same, byte for byte, for any number of threads.
    ///
    /// # Errors
    /// Names the first key that is not greater than the one before it, or is over the limit, and its position.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1), ("b", 2)])?;
    /// assert_eq!(layer.len(), 2);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn from_sorted<K: AsRef<[u8]> + Sync>(pairs: &[(K, u64)]) -> Result<Self, FrozenError> {
        FrozenOptions::new().from_sorted(pairs)
    }

    /// A layer of keys in any order, which are sorted in parallel first. Of a key that is there several times, the last one's value stays.
    ///
    /// # Errors
    /// A key is over the limit.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_unsorted(vec![("b", 2), ("a", 1), ("b", 3)])?;
    /// assert_eq!((layer.get("a"), layer.get("b")), (Some(1), Some(3)));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn from_unsorted<K: AsRef<[u8]> + Send + Sync>(
        pairs: Vec<(K, u64)>,
    ) -> Result<Self, FrozenError> {
        FrozenOptions::new().from_unsorted(pairs)
    }

    /// [`from_sorted`](Self::from_sorted) of a parallel iterator, whose keys may be made in parallel and are needed once.
    ///
    /// Until the symbols are found, all keys are in memory front-coded, with 16 bytes for each.
    ///
    /// # Errors
    /// As there.
    ///
    /// ```
    /// use rayon::prelude::*;
    ///
    /// let pairs = (0..1000u32).into_par_iter().map(|i| (format!("{i:03}"), u64::from(i)));
    /// let layer = memkv::FrozenLayer::from_par_sorted(pairs)?;
    /// assert_eq!(layer.get("007"), Some(7));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn from_par_sorted<K, I>(pairs: I) -> Result<Self, FrozenError>
    where
        K: AsRef<[u8]>,
        I: IntoParallelIterator<Item = (K, u64)>,
        I::Iter: IndexedParallelIterator,
    {
        FrozenOptions::new().from_par_sorted(pairs)
    }

    /// A copy as a map that can be changed, built bottom-up by this thread from keys that others decode in parallel. O(keys).
    ///
    /// # Errors
    /// There is no memory for the map; or the layer is damaged, and its keys do not ascend.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1)])?;
    /// let mut map = layer.thaw().unwrap();
    /// map.insert("b", 2);
    /// assert_eq!(memkv::FrozenLayer::from(&map).len(), 2);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn thaw(&self) -> Result<FastArt, crate::BuildError> {
        let mut sorted = Sorted::new();
        ranges::read_all(self, |part| part.for_each(|key, value| sorted.push(key, value)))?;
        sorted.finish()
    }

    /// Keys that divide the layer into so many ranges of equal length, or fewer.
    fn bounds(&self, ranges: usize) -> Vec<Vec<u8>> {
        let place = |i: usize| (i as u128 * self.len() as u128 / ranges as u128) as usize;
        (1..ranges)
            .into_par_iter()
            .filter_map(|i| self.select(place(i)))
            .map(|(key, _)| key)
            .collect()
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
            symbols::Kind::Plain => SymbolTable::None,
            symbols::Kind::Fsst => SymbolTable::Fsst,
            symbols::Kind::OnPair => SymbolTable::OnPair,
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

    /// A cursor before the first key.
    pub fn cursor(&self) -> FrozenCursor<'_> {
        FrozenCursor::new(&self.layer, 0)
    }

    /// A cursor before the first key that is at least `key`.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1), ("c", 2)])?;
    /// assert_eq!(layer.lower_bound("b").next(), Some((&b"c"[..], 2)));
    /// assert_eq!(layer.upper_bound("a").next(), Some((&b"c"[..], 2)));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn lower_bound(&self, key: impl AsRef<[u8]>) -> FrozenCursor<'_> {
        let mut cursor = self.cursor();
        cursor.seek(key);
        cursor
    }

    /// A cursor before the first key that is greater than `key`.
    pub fn upper_bound(&self, key: impl AsRef<[u8]>) -> FrozenCursor<'_> {
        let mut cursor = self.cursor();
        cursor.seek_after(key);
        cursor
    }

    /// All keys and values, ascending; from the back, descending.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1), ("b", 2)])?;
    /// assert!(layer.iter().eq([(b"a".to_vec(), 1), (b"b".to_vec(), 2)]));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn iter(&self) -> FrozenRange<'_> {
        FrozenRange::new(&self.layer, 0, self.len())
    }

    /// The keys inside a range of byte strings, with their values. A range that ends before it begins is empty. Two lookups.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1), ("b", 2), ("c", 3)])?;
    /// assert!(layer.range("b"..).map(|(_, v)| v).eq([2, 3]));
    /// assert!(layer.range("a"..="b").rev().map(|(_, v)| v).eq([2, 1]));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn range<K: AsRef<[u8]> + ?Sized, R: RangeBounds<K>>(&self, range: R) -> FrozenRange<'_> {
        let (start, end) = key::bounds(&range);
        self.between(start, end)
    }

    fn between(&self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> FrozenRange<'_> {
        let not_less = |key: &[u8]| self.rank(key);
        let greater = |key: &[u8]| self.layer.search(key).map_or_else(|rank| rank, |rank| rank + 1);
        let from = match start {
            Bound::Unbounded => 0,
            Bound::Included(key) => not_less(key),
            Bound::Excluded(key) => greater(key),
        };
        let to = match end {
            Bound::Unbounded => self.len(),
            Bound::Included(key) => greater(key),
            Bound::Excluded(key) => not_less(key),
        };
        FrozenRange::new(&self.layer, from, to)
    }

    /// The keys that begin with `prefix`, with their values. Its [`len`](ExactSizeIterator::len) costs nothing more.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1), ("ab", 2), ("b", 3)])?;
    /// assert_eq!(layer.prefix("a").len(), 2);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> FrozenRange<'_> {
        let end = key::prefix_end(prefix.as_ref());
        self.between(Bound::Included(prefix.as_ref()), end.as_ref().map(Vec::as_slice))
    }

    /// All keys and values, chunk by chunk in parallel.
    ///
    /// ```
    /// use rayon::prelude::*;
    ///
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1), ("b", 2)])?;
    /// assert_eq!(layer.par_iter().map(|(_, value)| value).sum::<u64>(), 3);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn par_iter(&self) -> impl ParallelIterator<Item = (Vec<u8>, u64)> + '_ {
        self.par_chunks().flat_map_iter(|chunk| chunk)
    }

    /// The keys of each chunk, as ranges in order, for work in parallel that allocates nothing for each key.
    pub fn par_chunks(&self) -> impl IndexedParallelIterator<Item = FrozenRange<'_>> + '_ {
        self.layer
            .chunks
            .par_iter()
            .map(|chunk| FrozenRange::new(&self.layer, chunk.start, chunk.start + chunk.len))
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
        let index = size_of::<Layer>()
            + layer.top.len()
            + layer.chunks.capacity() * size_of::<chunk::Chunk>();
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

    /// Writes the layer to a file, which gets its name when it is complete and on the disk: whatever happens meanwhile, there is the file that was
    /// there before, or the new one, whole.
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
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), FrozenError> {
        Ok(file::save(&self.layer, path.as_ref())?)
    }

    /// The bytes that [`save`](Self::save) writes.
    pub fn to_bytes(&self) -> Vec<u8> {
        file::to_bytes(&self.layer)
    }

    /// Reads a file of [`save`](Self::save) into memory, and verifies it.
    ///
    /// # Errors
    /// The file cannot be read, or is not whole, or not of this format.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FrozenError> {
        use std::io::Read;
        let mut file = std::fs::File::open(path)?;
        let len = usize::try_from(file.metadata()?.len())
            .map_err(|_| FrozenError::Option("the file does not fit in memory"))?;
        let mut bytes = crate::pool::huge_page_buffer(len);
        file.read_to_end(&mut bytes)?;
        Self::from_bytes(bytes)
    }

    /// A layer of the bytes of a file, which are verified.
    ///
    /// # Errors
    /// The bytes are not whole, or not of this format.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1)])?;
    /// let copy = memkv::FrozenLayer::from_bytes(layer.to_bytes())?;
    /// assert_eq!(copy.get("a"), Some(1));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, FrozenError> {
        let layer = Self::of(file::parse(&Bytes::of_vec(bytes))?);
        layer.verify()?;
        Ok(layer)
    }

    /// Checks that every chunk is as it was written, and transducers also that they can be read, in parallel. Reads everything.
    ///
    /// # Errors
    /// Names the first chunk that is damaged.
    pub fn verify(&self) -> Result<(), FrozenError> {
        let codec = self.layer.codec;
        let whole: Vec<bool> = self
            .layer
            .chunks
            .par_iter()
            .map(|chunk| chunk.is_whole() && chunk.is_readable(codec))
            .collect();
        match whole.iter().position(|whole| !whole) {
            None => Ok(()),
            Some(chunk) => Err(FrozenError::Damaged { part: "content", chunk: Some(chunk) }),
        }
    }
}

/// Builds from a map's keys.
fn freeze(map: &impl Ranges) -> FrozenLayer {
    let mut builder = FrozenLayerBuilder::new().expect("the default options are possible");
    ranges::read_all(map, |part| builder.insert_all(&part))
        .expect("a map's keys ascend and are within the limit");
    builder.finish().expect("memory takes every write")
}

impl<V: Value + Sync> From<&FastArt<V>> for FrozenLayer {
    /// The map's keys, with the bits of their values, read and encoded in parallel. O(keys).
    fn from(map: &FastArt<V>) -> Self {
        freeze(map)
    }
}

impl<V: Value + Sync> From<&ConcurrentArt<V>> for FrozenLayer {
    /// The map's keys, with the bits of their values, read and encoded in parallel. O(keys).
    ///
    /// While others change the map, the layer has every key that is there for the whole of the call, and may have one that comes or goes
    /// meanwhile; a value is that of the moment when its key is read.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from([("a", 1u64), ("b", 2)]);
    /// assert!(memkv::FrozenLayer::from(&map).iter().eq(map.iter()));
    /// ```
    fn from(map: &ConcurrentArt<V>) -> Self {
        freeze(map)
    }
}

impl<V: Value + Sync> From<&ShardedArt<V>> for FrozenLayer {
    /// The map's keys, with the bits of their values, read and encoded in parallel. O(keys).
    ///
    /// While others change the map, the layer has every key that is there for the whole of the call, and may have one that comes or goes
    /// meanwhile.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64), ("b", 2)]);
    /// assert!(memkv::FrozenLayer::from(&map).iter().eq(map.iter()));
    /// ```
    fn from(map: &ShardedArt<V>) -> Self {
        freeze(map)
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
