//! `ShardedArt`: a map divided into key ranges, each a shared tree.
//!
//! ```text
//!   key ─▶ shard table (table.rs, router.rs) ─▶ shard: tree, striped lock
//!            replaced as a whole (split.rs)
//! ```
//!
//! * `balance`: which shards are split, joined or added.
//! * `points`: point operations. `many`: operations on many keys. `scan`: scans across shards.
//!   `traits`: traits of the std collections.
//! * `load`: bulk loads. `parallel`: parallel iteration and removal.

#![forbid(unsafe_code)]

mod balance;
#[cfg(feature = "parallel")]
mod load;
mod many;
#[cfg(feature = "parallel")]
mod parallel;
mod points;
mod router;
mod scan;
mod split;
mod split_state;
mod table;
mod traits;

pub use points::Pinned;
pub use scan::{Cursor, Keys, Range, Values};
pub use traits::IntoIter;

use crate::MAX_KEY_LEN;
use crate::coding::KeyCoding;
use crate::error::BuildError;
use crate::fast::{FastArt, MemoryUsage};
use crate::reclaim::{self, Swap};
use crate::sync::RwLock;
use crate::tree::LeafCoder;
use crate::tree::{RawTree, Scan, SharedTree, Usage};
use crate::value::Value;
#[cfg(feature = "parallel")]
pub(crate) use router::Router;
use split_state::Admin;
use std::marker::PhantomData;
use std::ops::Bound;
use std::sync::Arc;
pub(crate) use table::quantiles;
use table::{Shard, Table};

/// The default of the number of shards that a map aims at.
const DEFAULT_SHARDS: usize = 64;
/// The largest number of shards that can be requested.
const MAX_SHARDS: usize = 1 << 16;

/// An ordered map from byte strings to small values, shared by many threads and divided into
/// shards.
///
/// A *shard* is a tree of one key range, like a [`ConcurrentArt`](crate::ConcurrentArt);
/// *boundaries* lie between shards. The map has the operations of a `ConcurrentArt` with the same
/// guarantees. It can also be loaded in bulk from unsorted keys on all cores ([`load`](Self::load),
/// [`load_text`](Self::load_text)), be read and changed by parallel iterators, and it spreads
/// writers over many trees.
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
/// Boundaries come from a [sample](Self::with_sample) of the keys, are
/// [given](Self::with_boundaries), or arise as the map grows: a shard that has grown far beyond its
/// share is split (see [`rebalance`](Self::rebalance)). Writers do that in small steps. While a
/// split is in progress, a writer spends about a millisecond on it once in 256 writes. Beside a
/// large shard to whose end, or beginning, keys are added, an empty one is made, and no key is
/// moved. With twice the number of shards that the map aims at, small neighbours are joined first.
/// Empty shards that [`pop_first`](Self::pop_first) or [`pop_last`](Self::pop_last) meets are
/// removed.
///
/// # Guarantees
/// * Point operations and [`clear`](Self::clear) are linearizable, like those of a `ConcurrentArt`,
///   also during splits. Point operations are all methods that take one key and ask for it alone,
///   [`pop_first`](Self::pop_first) and [`pop_last`](Self::pop_last).
/// * Methods that ask for the prefixes of a key, or remove many keys, are no atomic step.
/// * A scan yields every key that is present for the whole scan exactly once, and in order. A key
///   that is inserted or removed during the scan may be yielded or not. A value was present at a
///   moment of the scan.
/// * [`len`](Self::len) and [`memory_usage`](Self::memory_usage) are exact while no thread changes
///   the map or splits a shard.
/// * No function of the caller runs under a lock.
/// * Readers take no lock of the map, write no memory that threads share, and never wait for a
///   writer. A reader may have to free retired memory.
/// * A writer waits while keys of its shard are moved, some hundred microseconds at a time (some
///   milliseconds with tens of thousands of shards), and while its shard is loaded in bulk.
///
/// # Complexity
/// The shard of a key is found by a search in an array of words, one for each boundary. A lookup
/// takes one more load at its end, a write two more atomic operations on a cache line of its
/// stripe. Each shard takes some 3 KiB besides its keys.
///
/// # Source
/// Boundaries from a sample: DeWitt, Naughton, Schneider: "Parallel sorting on a shared-nothing
/// architecture using probabilistic splitting", 1991.
pub struct ShardedArt<V: Value = u64> {
    table: Swap<Table<V::Bits>>,
    admin: RwLock<Admin<V::Bits>>,
    /// The number of shards that the map aims at.
    target: usize,
    values: PhantomData<V>,
}

/// A snapshot of a shard's size. Returned by [`ShardedArt::shards`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardInfo {
    /// The lower bound of the shard's keys, inclusive. The next shard's is the upper bound.
    pub start: Vec<u8>,
    /// The number of keys.
    pub len: usize,
    /// The bytes of its nodes.
    pub bytes: usize,
}

impl<V: Value> ShardedArt<V> {
    /// Creates an empty map with one shard, which is split as it grows.
    ///
    /// The map aims at `shards` shards, from 1 to 65,536. It may get up to twice as many if some
    /// outgrow the others, and then joins small ones.
    ///
    /// ```
    /// let map = memkv::ShardedArt::<u32>::new(64);
    /// assert!(map.is_empty());
    /// ```
    pub fn new(shards: usize) -> Self {
        Self::of(shards, [RawTree::new()], &[])
    }

    /// Creates an empty map with one shard, as [`new`](Self::new) does, that stores keys in this way.
    ///
    /// ```
    /// use memkv::{KeyCoding, ShardedArt};
    ///
    /// let map = ShardedArt::with_coding(64, KeyCoding::Plain);
    /// map.insert("a", 1u64);
    /// assert_eq!(map.get("a"), Some(1));
    /// ```
    pub fn with_coding(shards: usize, coding: KeyCoding) -> Self {
        Self::of(shards, [RawTree::with_coder(LeafCoder::asked(coding))], &[])
    }

    /// Creates an empty map whose boundaries divide a sample of the expected keys into equal parts.
    ///
    /// With some hundred keys of sample for each shard, shards differ in size by a tenth.
    ///
    /// ```
    /// let map = memkv::ShardedArt::<u64>::with_sample(4, (0..1000u32).map(|i| format!("{i:03}")));
    /// assert_eq!(map.shards().len(), 4);
    /// ```
    pub fn with_sample<K: AsRef<[u8]>>(shards: usize, sample: impl IntoIterator<Item = K>) -> Self {
        let mut sample: Vec<Vec<u8>> =
            sample.into_iter().map(|key| key.as_ref().to_vec()).collect();
        sample.sort_unstable();
        let shards = shards.clamp(1, MAX_SHARDS);
        Self::with_bounds(shards, &quantiles(&sample, shards))
    }

    /// Creates an empty map with the given boundaries, in any order.
    ///
    /// There is one shard for the keys below the first boundary, and one from each boundary on.
    /// Duplicates are ignored. Of more than 65,535 boundaries only as many, evenly chosen, are
    /// used. Boundaries are cut at [`MAX_KEY_LEN`] bytes.
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
        if bounds.len() >= MAX_SHARDS {
            bounds = (1..MAX_SHARDS)
                .map(|i| Arc::clone(&bounds[i * bounds.len() / MAX_SHARDS]))
                .collect();
        }
        Self::with_bounds(bounds.len() + 1, &bounds)
    }

    fn with_bounds(target: usize, bounds: &[Arc<[u8]>]) -> Self {
        Self::of(target, (0..=bounds.len()).map(|_| RawTree::new()), bounds)
    }

    /// Creates a map of trees, with the boundaries between them.
    fn of(
        target: usize,
        trees: impl IntoIterator<Item = RawTree<V::Bits>>,
        bounds: &[Arc<[u8]>],
    ) -> Self {
        let lows = std::iter::once(Arc::default()).chain(bounds.iter().cloned());
        // All shards share the first one's tables.
        let mut coder = None;
        let shard = |mut tree: RawTree<V::Bits>| {
            tree.share_coder(&mut coder);
            Shard::new(tree)
        };
        let parts = lows.zip(trees.into_iter().map(shard)).collect();
        ShardedArt {
            table: Swap::new(Table::new(parts)),
            admin: RwLock::new(Admin::new()),
            target: target.clamp(1, MAX_SHARDS),
            values: PhantomData,
        }
    }

    /// Builds a map bottom-up from strictly ascending keys, on this thread. See
    /// [`FastArt::from_sorted`].
    ///
    /// The map has one shard, which is split into 64 later; [`rebalance`](Self::rebalance) does so
    /// at once. [`load`](Self::load) builds shards in parallel.
    ///
    /// # Errors
    /// Returns an error for the first key that is not greater than the one before it, is over the
    /// limit, or cannot be allocated.
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

    /// Converts the map into a [`FastArt`] of all shards' keys, built bottom-up on this thread.
    ///
    /// # Complexity
    /// O(keys), with the old and the new map both in memory. The trees of shards cannot be joined
    /// in O(1), unlike in [`ConcurrentArt::into_fast`](crate::ConcurrentArt::into_fast).
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
        FastArt::of_range(self.iter(), self.coder())
    }

    /// Returns the symbol tables of the map, which its shards share.
    fn coder(&self) -> Option<Arc<LeafCoder>> {
        let pin = reclaim::pin();
        self.table.load(&pin).shard(0).tree.coder().cloned()
    }

    /// Returns the sum of `count` over the shards.
    fn sum(&self, count: impl Fn(&Shard<V::Bits>) -> usize) -> usize {
        let pin = reclaim::pin();
        self.table.load(&pin).parts().iter().map(|(_, shard)| count(shard)).sum()
    }

    /// Returns the number of keys, which is exact while no thread changes the map or splits a
    /// shard.
    ///
    /// During a split some hundred keys are counted twice.
    ///
    /// # Complexity
    /// O(shards).
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64), ("b", 2)]);
    /// assert_eq!(map.len(), 2);
    /// ```
    pub fn len(&self) -> usize {
        self.sum(|shard| shard.tree.len())
    }

    /// Returns `true` if [`len`](Self::len) is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes all keys as one atomic step, and keeps the boundaries.
    ///
    /// The memory is freed when no thread reads the old shards any more.
    ///
    /// # Complexity
    /// O(shards).
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64)]);
    /// map.clear();
    /// assert_eq!(map.get("a"), None);
    /// ```
    pub fn clear(&self) {
        self.clear_all();
    }

    /// Returns the boundaries and sizes of the shards, in the order of their keys.
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
        let info = |(low, shard): &table::TableEntry<V::Bits>| {
            let usage = shard.tree.usage();
            ShardInfo {
                start: low.to_vec(),
                len: shard.tree.len(),
                bytes: usage.leaves + usage.inner,
            }
        };
        self.table.load(&pin).parts().iter().map(info).collect()
    }

    /// Returns the bytes that the map holds, and the bytes that all maps have retired.
    ///
    /// Exact while no thread changes the map.
    ///
    /// # Complexity
    /// O(shards).
    ///
    /// ```
    /// let map: memkv::ShardedArt = (0..10_000u64).map(|i| (i.to_be_bytes(), i)).collect();
    /// map.reclaim();
    /// assert!(map.memory_usage().total() < 20 * map.len());
    /// ```
    pub fn memory_usage(&self) -> MemoryUsage {
        let pin = reclaim::pin();
        let coder = self.table.load(&pin).shard(0).tree.coder().map_or(0, |one| one.heap_bytes());
        let (mut usage, mut own) = (Usage::default(), size_of::<Self>() + coder);
        for (low, shard) in self.table.load(&pin).parts() {
            let one = shard.tree.usage();
            usage.leaves += one.leaves;
            usage.inner += one.inner;
            usage.slack_leaves += one.slack_leaves;
            usage.slack_inner += one.slack_inner;
            own += size_of::<Shard<V::Bits>>()
                + shard.tree.counts_bytes()
                + size_of::<table::TableEntry<V::Bits>>()
                + low.len()
                + size_of::<u64>();
        }
        MemoryUsage::of(usage, own, reclaim::retired_bytes())
    }

    /// Frees retired memory that no thread is still reading, and compacts all shards together. See
    /// [`ConcurrentArt::reclaim`](crate::ConcurrentArt::reclaim).
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

    /// Checks the invariants of the map's structure, while no thread changes it. For tests.
    ///
    /// # Errors
    /// Returns a description of the first violation.
    #[doc(hidden)]
    pub fn check(&self) -> Result<(), String> {
        let pin = reclaim::pin();
        let table = self.table.load(&pin);
        table.check()?;
        for (i, (low, shard)) in table.parts().iter().enumerate() {
            shard.tree.check(&pin).map_err(|error| format!("shard {i}: {error}"))?;
            let (mut scan, mut seen) = (Scan::new(), 0);
            while let Some((key, _)) = scan.step(&mut &shard.tree, false, Bound::Unbounded) {
                seen += 1;
                if key < &**low || table.high(i).is_some_and(|high| key >= high) {
                    return Err(format!("\"{}\" is in shard {i}", key.escape_ascii()));
                }
            }
            if seen != shard.tree.len() {
                let counted = shard.tree.len();
                return Err(format!("shard {i} has {seen} keys, but counts {counted}"));
            }
        }
        Ok(())
    }
}
