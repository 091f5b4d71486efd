//! `ShardedArt`: a range-partitioned front over trees behind `&self`.
//!
//! ```text
//!   key ─▶ table of boundaries (table.rs) ─▶ shard: tree, gate      pinned.rs: point operations    scan.rs: scans across shards
//!            replaced as a whole (split.rs)                         load/: bulk loading
//! ```

#![forbid(unsafe_code)]

#[cfg(feature = "parallel")]
mod load;
#[cfg(feature = "parallel")]
mod parallel;
mod pinned;
mod router;
mod scan;
mod split;
mod table;
mod traits;

pub use pinned::Pinned;
pub use scan::{Cursor, Range};
pub use traits::IntoIter;

use crate::error::{BuildError, fail_build};
use crate::fast::{FastArt, MemoryUsage, Sorted};
use crate::reclaim::{self, Swap};
use crate::sync::RwLock;
use crate::tree::{RawTree, SharedTree, Usage};
use crate::value::Value;
use crate::{MAX_KEY_LEN, key};
#[cfg(feature = "parallel")]
pub(crate) use router::Router;
use split::Admin;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
pub(crate) use table::quantiles;
use table::{Shard, Table};

/// Shards that a map strives for where nobody says how many.
const SHARDS: usize = 64;
/// The most shards.
const MOST: usize = 1 << 16;

/// An ordered map from byte strings to small values for many threads, divided into *shards*: trees of neighbouring keys, as
/// [`ConcurrentArt`](crate::ConcurrentArt) is one, with boundaries between them.
///
/// It has the operations of a `ConcurrentArt` with the same guarantees. Beyond that it is loaded in bulk from unsorted keys by all processors
/// ([`load`](Self::load), [`load_text`](Self::load_text)), is read and changed by parallel iterators, and spreads writers over many trees.
///
/// ```
/// use memkv::ShardedArt;
/// use std::thread;
///
/// let map = ShardedArt::new(16);
/// thread::scope(|scope| {
///     for part in 0..4 {
///         let map = &map;
///         scope.spawn(move || {
///             for i in (part..1000).step_by(4) {
///                 map.insert(format!("key/{i:03}"), i);
///             }
///         });
///     }
/// });
/// assert_eq!(map.len(), 1000);
/// assert_eq!(map.prefix("key/00").count(), 10);
/// ```
///
/// # Shards
/// Boundaries come from a [sample](Self::with_sample) of the keys, are [given](Self::with_boundaries), or arise as the map grows: a shard that has
/// grown far beyond its share is split ([`rebalance`](Self::rebalance) says when), a little at a time by each writer that notices, which costs it
/// about a millisecond once in 256 writes while a split is under way. Shards are not joined, but for empty ones that
/// [`pop_first`](Self::pop_first) and [`pop_last`](Self::pop_last) meet.
///
/// # Guarantees
/// * Point operations (all that take one key, [`pop_first`](Self::pop_first) and [`pop_last`](Self::pop_last)) and [`clear`](Self::clear) are
///   linearizable, as those of a `ConcurrentArt` are, also while shards are split.
/// * A scan yields every key that is there for the whole of it exactly once, and in order. A key that comes or goes meanwhile may be yielded or
///   not; a value is that of a moment of the scan.
/// * [`len`](Self::len) and [`memory_usage`](Self::memory_usage) are exact when nobody changes the map, nor splits a shard.
/// * No function of the caller's runs under a lock. Readers take no lock of the map, write no memory that threads share, and never wait for
///   a writer; now and then one frees retired memory. A writer waits while keys of its shard are moved, some hundred microseconds at a
///   time, and while the shard is loaded in bulk.
///
/// # Costs
/// The way to the shard is a search in an array of words, one for each boundary. A lookup takes one more load at its end, a write two more atomic
/// operations on a line of its stripe. Each shard takes some 3 KiB besides its keys.
///
/// # Source
/// Boundaries from a sample, as in DeWitt, Naughton, Schneider: "Parallel sorting on a shared-nothing architecture using probabilistic splitting",
/// 1991.
pub struct ShardedArt<V: Value = u64> {
    table: Swap<Table<V::Bits>>,
    admin: RwLock<Admin<V::Bits>>,
    /// Shards that the map strives for.
    target: usize,
    values: PhantomData<V>,
}

/// A shard of a map, as it was at some moment. See [`ShardedArt::shards`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardInfo {
    /// The shard has the keys from this one on, and below the next shard's.
    pub start: Vec<u8>,
    /// Number of keys.
    pub len: usize,
    /// Bytes that its nodes take.
    pub bytes: usize,
}

impl<V: Value> ShardedArt<V> {
    /// An empty map with one shard, which is split as it grows, until there are as many shards as asked for (from 1 to 65,536); and up to
    /// twice as many, where some outgrow the others.
    ///
    /// ```
    /// let map = memkv::ShardedArt::<u32>::new(64);
    /// assert!(map.is_empty());
    /// ```
    pub fn new(shards: usize) -> Self {
        Self::of(shards, [RawTree::new()], &[])
    }

    /// An empty map whose boundaries divide a sample of the keys to come into equal parts. Some hundred keys a shard make shards whose sizes
    /// differ by a tenth.
    ///
    /// ```
    /// let map = memkv::ShardedArt::<u64>::with_sample(4, (0..1000u32).map(|i| format!("{i:03}")));
    /// assert_eq!(map.shards().len(), 4);
    /// ```
    pub fn with_sample<K: AsRef<[u8]>>(shards: usize, sample: impl IntoIterator<Item = K>) -> Self {
        let mut sample: Vec<Vec<u8>> =
            sample.into_iter().map(|key| key.as_ref().to_vec()).collect();
        sample.sort_unstable();
        let shards = shards.clamp(1, MOST);
        Self::with_bounds(shards, &quantiles(&sample, shards))
    }

    /// An empty map with these boundaries: a shard for the keys below the first, and one from each on. They may come in any order, and
    /// more than once. Of more than 65,535, some are left out, evenly; of one with more than [`MAX_KEY_LEN`] bytes, what is behind these.
    ///
    /// ```
    /// let map = memkv::ShardedArt::<u64>::with_boundaries(["m"]);
    /// map.insert("a", 1);
    /// map.insert("z", 2);
    /// assert!(map.shards().iter().map(|shard| shard.len).eq([1, 1]));
    /// ```
    pub fn with_boundaries<K: AsRef<[u8]>>(boundaries: impl IntoIterator<Item = K>) -> Self {
        let cut = |key: &[u8]| Arc::from(&key[..key.len().min(MAX_KEY_LEN)]);
        let mut bounds: Vec<Arc<[u8]>> =
            boundaries.into_iter().map(|key| cut(key.as_ref())).collect();
        bounds.sort_unstable();
        bounds.dedup();
        bounds.retain(|bound| !bound.is_empty());
        if bounds.len() >= MOST {
            bounds = (1..MOST).map(|i| Arc::clone(&bounds[i * bounds.len() / MOST])).collect();
        }
        Self::with_bounds(bounds.len() + 1, &bounds)
    }

    fn with_bounds(target: usize, bounds: &[Arc<[u8]>]) -> Self {
        Self::of(target, (0..=bounds.len()).map(|_| RawTree::new()), bounds)
    }

    /// A map of trees, with the boundaries between them.
    fn of(
        target: usize,
        trees: impl IntoIterator<Item = RawTree<V::Bits>>,
        bounds: &[Arc<[u8]>],
    ) -> Self {
        let lows = std::iter::once(Arc::default()).chain(bounds.iter().cloned());
        let parts = lows.zip(trees).map(|(low, tree)| (low, Shard::new(tree))).collect();
        ShardedArt {
            table: Swap::new(Table::new(parts)),
            admin: RwLock::new(Admin::new()),
            target: target.clamp(1, MOST),
            values: PhantomData,
        }
    }

    /// A map of keys that ascend strictly, built bottom-up by this thread: see [`FastArt::from_sorted`]. It has one shard, which is split later, into 64;
    /// [`rebalance`](Self::rebalance) does so at once. [`load`](Self::load) builds shards in parallel.
    ///
    /// # Errors
    /// Names the first key that is not greater than the one before it, is over the limit, or finds no memory.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from_sorted([("a", 1u64), ("b", 2)])?;
    /// assert_eq!(map.get("b"), Some(2));
    /// # Ok::<(), memkv::BuildError>(())
    /// ```
    pub fn from_sorted<K: AsRef<[u8]>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, BuildError> {
        Ok(FastArt::from_sorted(pairs)?.into())
    }

    /// One map of all shards' keys, for one owner, built bottom-up by this thread. O(keys), and takes the new map's memory beside the old one's meanwhile:
    /// unlike [`ConcurrentArt::into_fast`](crate::ConcurrentArt::into_fast), since the trees of shards are not joined.
    ///
    /// ```
    /// let map = memkv::ShardedArt::with_boundaries(["b"]);
    /// map.insert("b", 1u64);
    /// map.insert("a", 2);
    /// let mut alone = map.into_fast();
    /// *alone.get_mut("a").unwrap() += 1;
    /// assert!(alone.values().eq([3, 1]));
    /// ```
    pub fn into_fast(self) -> FastArt<V> {
        let (mut sorted, mut cursor) = (Sorted::new(), self.cursor());
        let build = || {
            while let Some((key, value)) = cursor.next() {
                sorted.push(key, value)?;
            }
            sorted.finish()
        };
        build().unwrap_or_else(|error: BuildError| fail_build(&error))
    }

    /// The content as a stream of ascending keys, as a builder of sorted files takes it. The map is given up for it, so the stream is exactly what
    /// the map held. While others use the map, [`iter`](Self::iter) streams it with the guarantees of a scan.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("b", 2u64), ("a", 1)]);
    /// assert!(map.freeze().eq([(b"a".to_vec(), 1), (b"b".to_vec(), 2)]));
    /// ```
    pub fn freeze(self) -> IntoIter<V> {
        IntoIter::new(self)
    }

    /// A handle for many calls, which pins once for several of them.
    ///
    /// ```
    /// let map = memkv::ShardedArt::new(8);
    /// let pinned = map.pin();
    /// pinned.insert("a", 1u64);
    /// assert_eq!(pinned.get("a"), Some(1));
    /// ```
    pub fn pin(&self) -> Pinned<'_, V> {
        Pinned::new(self)
    }

    /// Adds up what `count` says of the shards.
    fn sum(&self, count: impl Fn(&Shard<V::Bits>) -> usize) -> usize {
        let pin = reclaim::pin();
        self.table.load(&pin).parts().iter().map(|(_, shard)| count(shard)).sum()
    }

    /// Number of keys; exact when nobody changes the map, nor splits a shard, which counts some hundred keys twice. O(shards).
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64), ("b", 2)]);
    /// assert_eq!(map.len(), 2);
    /// ```
    pub fn len(&self) -> usize {
        self.sum(|shard| shard.tree.len())
    }

    /// Whether there is no key, as [`len`](Self::len) says.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes every key at one moment; the boundaries stay. O(shards), and the memory comes back when nobody reads the old shards any more.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64)]);
    /// map.clear();
    /// assert_eq!(map.get("a"), None);
    /// ```
    pub fn clear(&self) {
        self.clear_all();
    }

    /// The shards in the order of their keys: boundaries, lengths, bytes.
    ///
    /// ```
    /// let map = memkv::ShardedArt::<u64>::with_boundaries(["b"]);
    /// map.insert("c", 1);
    /// let shards = map.shards();
    /// assert_eq!((shards[0].len, shards[1].len), (0, 1));
    /// assert_eq!(shards[1].start, b"b");
    /// ```
    pub fn shards(&self) -> Vec<ShardInfo> {
        let pin = reclaim::pin();
        let info = |(low, shard): &table::Part<V::Bits>| {
            let usage = shard.tree.usage();
            ShardInfo {
                start: low.to_vec(),
                len: shard.tree.len(),
                bytes: usage.leaves + usage.inner,
            }
        };
        self.table.load(&pin).parts().iter().map(info).collect()
    }

    /// The least key and its value, by the guarantees of a scan: not as one atomic step.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("b", 2u64), ("a", 1)]);
    /// assert_eq!(map.first_key_value(), Some((b"a".to_vec(), 1)));
    /// assert_eq!(map.last_key_value(), Some((b"b".to_vec(), 2)));
    /// ```
    pub fn first_key_value(&self) -> Option<(Vec<u8>, V)> {
        self.iter().next()
    }

    /// The greatest key and its value. As [`first_key_value`](Self::first_key_value), from the other end.
    pub fn last_key_value(&self) -> Option<(Vec<u8>, V)> {
        self.iter().next_back()
    }

    /// A cursor before the first key. It lends keys out of its own buffer, so a scan allocates nothing for each.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64), ("b", 2)]);
    /// let mut cursor = map.cursor();
    /// assert_eq!(cursor.next(), Some((&b"a"[..], 1)));
    /// ```
    pub fn cursor(&self) -> Cursor<'_, V> {
        Cursor::new(self)
    }

    /// All keys and values, ascending; from the back, descending.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("b", 2u64), ("a", 1)]);
    /// assert!(map.iter().eq([(b"a".to_vec(), 1), (b"b".to_vec(), 2)]));
    /// ```
    pub fn iter(&self) -> Range<'_, V> {
        self.range::<&[u8], _>(..)
    }

    /// The keys inside a range of byte strings, with their values; ascending, from the back descending. A range that ends before it begins
    /// is empty.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64), ("b", 2), ("c", 3)]);
    /// assert!(map.range("b"..).map(|(_, v)| v).eq([2, 3]));
    /// assert!(map.range("a"..="b").rev().map(|(_, v)| v).eq([2, 1]));
    /// ```
    pub fn range<K: AsRef<[u8]> + ?Sized, R: RangeBounds<K>>(&self, range: R) -> Range<'_, V> {
        let (start, end) = key::bounds(&range);
        Range::new(self, start, end)
    }

    /// The keys that begin with `prefix`, with their values.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64), ("ab", 2), ("b", 3)]);
    /// assert_eq!(map.prefix("a").count(), 2);
    /// ```
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Range<'_, V> {
        let end = key::prefix_end(prefix.as_ref());
        Range::new(self, Bound::Included(prefix.as_ref()), end.as_ref().map(Vec::as_slice))
    }

    /// What the map holds, in bytes, and what all maps have retired. Exact when nobody changes the map. O(shards).
    ///
    /// ```
    /// let map: memkv::ShardedArt = (0..10_000u64).map(|i| (i.to_be_bytes(), i)).collect();
    /// map.reclaim();
    /// assert!(map.memory_usage().total() < 20 * map.len());
    /// ```
    pub fn memory_usage(&self) -> MemoryUsage {
        let pin = reclaim::pin();
        let (mut usage, mut own) = (Usage::default(), size_of::<Self>());
        for (low, shard) in self.table.load(&pin).parts() {
            let one = shard.tree.usage();
            usage.leaves += one.leaves;
            usage.inner += one.inner;
            usage.slack_leaves += one.slack_leaves;
            usage.slack_inner += one.slack_inner;
            own += size_of::<Shard<V::Bits>>()
                + shard.tree.heap_bytes()
                + size_of::<table::Part<V::Bits>>()
                + low.len()
                + size_of::<u64>();
        }
        MemoryUsage::of(usage, own, reclaim::retired_bytes())
    }

    /// Frees what this thread retired, and what others did, as far as no thread is still reading; and compacts: as
    /// [`ConcurrentArt::flush`](crate::ConcurrentArt::flush) does, for all shards together.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64)]);
    /// map.remove("a");
    /// map.reclaim();
    /// ```
    pub fn reclaim(&self) {
        let shards: Vec<Arc<Shard<V::Bits>>> = {
            let pin = reclaim::pin();
            self.table.load(&pin).parts().iter().map(|(_, shard)| Arc::clone(shard)).collect()
        };
        SharedTree::reclaim_all(&shards.iter().map(|shard| &shard.tree).collect::<Vec<_>>());
    }

    /// Says what is wrong with the map's structure, if anything is. For tests, while nobody changes it.
    #[doc(hidden)]
    pub fn check(&self) -> Result<(), String> {
        let pin = reclaim::pin();
        let table = self.table.load(&pin);
        table.check()?;
        for (i, (low, shard)) in table.parts().iter().enumerate() {
            shard.tree.check(&pin).map_err(|error| format!("shard {i}: {error}"))?;
            let mut cursor = crate::tree::SharedCursor::new(&shard.tree);
            cursor.seek(&[], false);
            let mut seen = 0;
            while let Some((key, _)) = cursor.next() {
                seen += 1;
                if key < &**low || table.high(i).is_some_and(|high| key >= high) {
                    return Err(format!("\"{}\" is in shard {i}", key.escape_ascii()));
                }
            }
            if seen != shard.tree.len() {
                return Err(format!("shard {i} has {seen} keys, and says {}", shard.tree.len()));
            }
        }
        Ok(())
    }
}
