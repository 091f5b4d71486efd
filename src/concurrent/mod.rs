//! `ConcurrentArt`: the tree behind `&self`, for many threads.

#![forbid(unsafe_code)]

mod iter;
pub(crate) mod pinned;
mod traits;
mod walk;

pub use iter::{Cursor, Range};
pub use pinned::Pinned;
pub(crate) use walk::Between;

use crate::error::{BuildError, fail};
use crate::fast::{FastArt, MemoryUsage};
use crate::tree::{RawTree, SharedTree};
use crate::value::Value;
use crate::{key, reclaim};
use std::marker::PhantomData;
use std::ops::RangeBounds;

/// Changes of all shared maps that began again because another came between. For benchmarks.
#[doc(hidden)]
pub fn restarts() -> usize {
    crate::tree::restarts()
}

/// An ordered map from byte strings to small values that any number of threads read and change at a time, through `&self`.
///
/// The tree of [`FastArt`], node for node, with its memory: the two turn into each other in O(1). So a map can be built by one thread, or
/// [from sorted keys](Self::from_sorted), then shared, and taken back.
///
/// ```
/// use memkv::ConcurrentArt;
/// use std::thread;
///
/// let map = ConcurrentArt::new();
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
/// # Guarantees
/// * Point operations (all that take one key, [`pop_first`](Self::pop_first) and [`pop_last`](Self::pop_last)) and [`clear`](Self::clear)
///   are linearizable: each takes effect at one moment between its call and its return. On processors where a store does not become visible
///   to all others at once (POWER), two readers may see two unrelated writes in different order ([C6](crate::safety)).
/// * A scan yields every key that is there for the whole of it exactly once, and in order. A key that comes or goes meanwhile may be yielded or
///   not; what is yielded is there, with that value, at a moment within the step.
/// * [`len`](Self::len) and [`memory_usage`](Self::memory_usage) are exact when nobody changes the map.
/// * Values are handed out by copy. Nothing that a method returns holds a lock, and no function of the caller's runs under one, so
///   nothing can deadlock. Readers take no lock of the map and never wait for a writer; now and then one frees retired memory.
///
/// # Costs
/// A lookup goes down without a lock and writes no memory that threads share. An update of a value locks its leaf; an insert or a removal
/// writes a new leaf, and locks the old one and the place above that leads to it while it puts it there; a split, now and then, locks the nodes it
/// replaces. Threads that change different leaves do not meet, but where one splits.
///
/// # Memory
/// A node that was replaced is *retired*: it is freed when each thread that was reading at that time is done. That is after some hundred further
/// changes by its thread, or a flush, unless a thread keeps a [`Pinned`] handle, a [`Cursor`] or a [`Range`] without using it, or two at a time, or lost its
/// processor amid a call;
/// all that writers retire meanwhile, a kilobyte and more for an insert, is then held. `memory_usage().retired` says how much it is,
/// for all maps together, but for 128 KiB at most that another thread has gathered. [`flush`](Self::flush) frees what can be freed.
///
/// What a thread frees it keeps at hand for what it inserts next: in a large map up to 512 KiB, less in a small one, and nothing where maps shrink.
///
/// # Source
/// Lehman, Yao: "Efficient locking for concurrent operations on B-trees", 1981, for readers without locks; Leis, Scheibner, Kemper, Neumann:
/// "The ART of practical synchronization", 2016, for replacing nodes under the locks of a node and of what leads to it; Fraser: "Practical
/// lock-freedom", 2004, for epochs. [`safety`](crate::safety) has the argument.
pub struct ConcurrentArt<V: Value = u64> {
    tree: SharedTree<V::Bits>,
    values: PhantomData<V>,
}

impl<V: Value> ConcurrentArt<V> {
    /// An empty map.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::<u32>::new();
    /// assert!(map.is_empty());
    /// ```
    pub fn new() -> Self {
        Self::of(RawTree::new())
    }

    fn of(tree: RawTree<V::Bits>) -> Self {
        ConcurrentArt { tree: SharedTree::new(tree), values: PhantomData }
    }

    /// A map of keys that ascend strictly, built bottom-up: see [`FastArt::from_sorted`].
    ///
    /// # Errors
    /// Names the first key that is not greater than the one before it, is over the limit, or finds no memory.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from_sorted([("a", 1u64), ("b", 2)])?;
    /// assert_eq!(map.get("b"), Some(2));
    /// # Ok::<(), memkv::BuildError>(())
    /// ```
    pub fn from_sorted<K: AsRef<[u8]>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, BuildError> {
        Ok(FastArt::from_sorted(pairs)?.into())
    }

    /// The map for one owner. O(1): what was retired is freed in its own time.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::new();
    /// map.insert("a", 1u64);
    /// let mut alone = map.into_fast();
    /// *alone.get_mut("a").unwrap() += 1;
    /// assert_eq!(alone.get("a"), Some(2));
    /// ```
    pub fn into_fast(self) -> FastArt<V> {
        FastArt::of(self.tree.into_raw())
    }

    /// The content as a stream of ascending keys, as a builder of sorted files takes it. The map is given up for it, so the stream is exactly what
    /// the map held. While others use the map, [`iter`](Self::iter) streams it with the guarantees of a scan.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from([("b", 2u64), ("a", 1)]);
    /// assert!(map.freeze().eq([(b"a".to_vec(), 1), (b"b".to_vec(), 2)]));
    /// ```
    pub fn freeze(self) -> crate::IntoIter<V> {
        self.into_fast().into_iter()
    }

    /// Keys that divide the map into so many ranges of about equal length, or fewer.
    #[cfg(all(feature = "rayon", not(loom)))]
    pub(crate) fn bounds(&self, ranges: usize) -> Vec<Vec<u8>> {
        self.tree.bounds(ranges)
    }

    /// A handle for many calls, which pins once for several of them.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::new();
    /// let pinned = map.pin();
    /// pinned.insert("a", 1u64);
    /// assert_eq!(pinned.get("a"), Some(1));
    /// ```
    pub fn pin(&self) -> Pinned<'_, V> {
        Pinned::new(self)
    }

    /// Number of keys; exact when nobody changes the map. O(threads of the machine).
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from([("a", 1u64), ("b", 2)]);
    /// assert_eq!(map.len(), 2);
    /// ```
    pub fn len(&self) -> usize {
        self.tree.len()
    }

    /// Whether there is no key, as [`len`](Self::len) says.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes every key at one moment. O(nodes); who wants to change the map waits meanwhile, who reads it does not.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from([("a", 1u64)]);
    /// map.clear();
    /// assert_eq!(map.get("a"), None);
    /// ```
    pub fn clear(&self) {
        if let Err(error) = self.tree.clear(&reclaim::pin_to_write(), |_| ()) {
            fail(error);
        }
    }

    /// The least key and its value, by the guarantees of a scan: not as one atomic step.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from([("b", 2u64), ("a", 1)]);
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
    /// let map = memkv::ConcurrentArt::from([("a", 1u64), ("b", 2)]);
    /// let mut cursor = map.cursor();
    /// assert_eq!(cursor.next(), Some((&b"a"[..], 1)));
    /// ```
    pub fn cursor(&self) -> Cursor<'_, V> {
        Cursor::new(&self.tree)
    }

    /// All keys and values, ascending; from the back, descending.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from([("b", 2u64), ("a", 1)]);
    /// assert!(map.iter().eq([(b"a".to_vec(), 1), (b"b".to_vec(), 2)]));
    /// ```
    pub fn iter(&self) -> Range<'_, V> {
        self.range::<&[u8], _>(..)
    }

    /// The keys inside a range of byte strings, with their values; ascending, from the back descending. A range that ends before it begins
    /// is empty.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from([("a", 1u64), ("b", 2), ("c", 3)]);
    /// assert!(map.range("b"..).map(|(_, v)| v).eq([2, 3]));
    /// assert!(map.range("a"..="b").rev().map(|(_, v)| v).eq([2, 1]));
    /// ```
    pub fn range<K: AsRef<[u8]> + ?Sized, R: RangeBounds<K>>(&self, range: R) -> Range<'_, V> {
        let (start, end) = key::bounds(&range);
        Range::new(&self.tree, start, end)
    }

    /// The keys that begin with `prefix`, with their values.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from([("a", 1u64), ("ab", 2), ("b", 3)]);
    /// assert_eq!(map.prefix("a").count(), 2);
    /// ```
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Range<'_, V> {
        Range::prefix(&self.tree, prefix.as_ref())
    }

    /// What the map holds, in bytes, and what all maps have retired. Exact when nobody changes the map. O(threads of the machine).
    ///
    /// ```
    /// let map: memkv::ConcurrentArt = (0..10_000u64).map(|i| (i.to_be_bytes(), i)).collect();
    /// map.flush();
    /// assert!(map.memory_usage().total() < 20 * map.len());
    /// ```
    pub fn memory_usage(&self) -> MemoryUsage {
        MemoryUsage::of(
            self.tree.usage(),
            size_of::<Self>() + self.tree.heap_bytes(),
            reclaim::pending(),
        )
    }

    /// Frees what this thread retired, and what others did, as far as no thread is still reading. Up to 128 KiB retired by
    /// each other thread wait until that thread retires more, or ends. Then, where much of the pool lies idle, moves the map's leaves together
    /// so that it can go back to the allocator, which takes O(leaves); others may use the map meanwhile.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from([("a", 1u64)]);
    /// map.remove("a");
    /// map.flush();
    /// ```
    pub fn flush(&self) {
        self.tree.reclaim();
    }

    /// Moves the leaves, or the inner nodes, as [`flush`](Self::flush) does in sparse pages. Says whether it moved any. For models.
    #[cfg(loom)]
    #[doc(hidden)]
    pub fn relocate(&self, leaves: bool) -> bool {
        self.tree.relocate(leaves)
    }

    /// Says what is wrong with the map's structure, if anything is. For tests.
    #[doc(hidden)]
    pub fn check(&mut self) -> Result<(), String> {
        self.tree.check(&reclaim::pin())
    }
}
