//! `ConcurrentArt`: the tree, read and changed through `&self` by many threads.

#![forbid(unsafe_code)]

mod many;
#[cfg(feature = "parallel")]
mod parallel;
mod points;
mod scan;
mod traits;

pub use points::Pinned;
pub use scan::{Cursor, Keys, Range, Values};

use crate::coding::KeyCoding;
use crate::error::{BuildError, fail};
use crate::fast::{FastArt, MemoryUsage};
use crate::reclaim;
use crate::tree::{LeafCoder, RawTree, SharedTree};
use crate::value::Value;
use std::marker::PhantomData;

/// Returns how many changes of all shared maps began again because of a conflict. For benchmarks.
#[cfg(feature = "_testing")]
#[doc(hidden)]
pub fn restarts() -> usize {
    crate::tree::restarts()
}

/// An ordered map from byte strings to small values, shared by many threads through `&self`.
///
/// It is the tree of [`FastArt`], node for node, and takes the same memory. Each turns into the
/// other in O(1). A map can be built by one thread, or [from sorted keys](Self::from_sorted), then
/// shared, and taken back.
///
/// **Warning:** an idle [`Pinned`] handle keeps replaced nodes from being freed, about 1 kB for
/// each insert of any map. Drop it.
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
/// * Point operations are linearizable: each takes effect at one moment between its call and its
///   return. These are all methods that take one key and ask for it alone,
///   [`pop_first`](Self::pop_first), [`pop_last`](Self::pop_last) and [`clear`](Self::clear). On
///   processors where a store does not become visible to all others at once (POWER), two readers
///   may see two unrelated writes in different orders ([C6](crate::safety)).
/// * Methods that ask for the prefixes of a key, or remove many keys, are no atomic step.
/// * A scan yields every key that is present for the whole scan exactly once, and in order. A key
///   that is inserted or removed during the scan may be yielded or not. A yielded pair was in the
///   map at a moment since the scan reached its leaf, and the scanning thread's own earlier changes
///   are seen. See [`Cursor`].
/// * [`len`](Self::len) and [`memory_usage`](Self::memory_usage) are exact while no thread changes
///   the map.
/// * Values are returned by copy. Nothing that a method returns holds a lock, and no function of
///   the caller runs under a lock, so no deadlock is possible.
/// * Readers take no lock of the map and never wait for a writer. A reader may have to free
///   retired memory.
///
/// # Complexity
/// A lookup takes no lock and writes no memory that threads share. An update of a value locks its
/// leaf. An insert or a removal writes a new leaf; to publish it, it locks the old leaf and the
/// slot that leads to it. A split locks the nodes that it replaces. Threads that change different
/// leaves meet only at splits.
///
/// # Memory
/// A replaced node is *retired*: it is freed once every thread that was reading at that time has
/// finished. This takes some hundred further changes by the thread that retired it, or a call of
/// [`reclaim`](Self::reclaim).
///
/// It takes longer while a thread keeps a [`Pinned`] handle without using it, keeps two of them, or
/// was preempted inside a call. A [`Cursor`] or a [`Range`] may be kept. Until then everything that
/// writers retire is held, a kilobyte and more for an insert. `memory_usage().retired` returns how
/// much that is for all maps together; up to 128 KiB that each other thread has gathered are
/// missing from it.
///
/// A thread reuses what it frees: it keeps up to 512 KiB of freed memory for its next inserts in a
/// large map, less in a small one, and none while maps shrink.
///
/// # Source
/// * Lehman, Yao: "Efficient locking for concurrent operations on B-trees", 1981: readers without
///   locks.
/// * Leis, Scheibner, Kemper, Neumann: "The ART of practical synchronization", 2016: replacing
///   nodes under the locks of the node and of what leads to it.
/// * Fraser: "Practical lock-freedom", 2004: epochs.
///
/// [`safety`](crate::safety) has the correctness argument.
pub struct ConcurrentArt<V: Value = u64> {
    tree: SharedTree<V::Bits>,
    values: PhantomData<V>,
}

impl<V: Value> ConcurrentArt<V> {
    /// Creates an empty map.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::<u32>::new();
    /// assert!(map.is_empty());
    /// ```
    pub fn new() -> Self {
        Self::of(RawTree::new())
    }

    /// Creates an empty map that stores keys in this way.
    ///
    /// ```
    /// use memkv::{ConcurrentArt, KeyCoding};
    ///
    /// let map = ConcurrentArt::with_coding(KeyCoding::Plain);
    /// map.insert("a", 1u64);
    /// assert_eq!(map.get("a"), Some(1));
    /// ```
    pub fn with_coding(coding: KeyCoding) -> Self {
        Self::of(RawTree::with_coder(LeafCoder::asked(coding)))
    }

    fn of(tree: RawTree<V::Bits>) -> Self {
        ConcurrentArt { tree: SharedTree::new(tree), values: PhantomData }
    }

    /// Builds a map bottom-up from strictly ascending keys. See [`FastArt::from_sorted`].
    ///
    /// # Errors
    /// Returns an error for the first key that is not greater than the one before it, is over the
    /// limit, or cannot be allocated.
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

    /// Converts the map into a [`FastArt`] in O(1).
    ///
    /// Retired memory is freed later, as usual.
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

    /// Returns the number of keys, which is exact while no thread changes the map.
    ///
    /// # Complexity
    /// O(threads of the machine).
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from([("a", 1u64), ("b", 2)]);
    /// assert_eq!(map.len(), 2);
    /// ```
    pub fn len(&self) -> usize {
        self.tree.len()
    }

    /// Returns `true` if [`len`](Self::len) is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes all keys as one atomic step.
    ///
    /// Threads that change the map wait until it is done; readers do not.
    ///
    /// # Complexity
    /// O(nodes).
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

    /// Returns the bytes that the map holds, and the bytes that all maps have retired.
    ///
    /// Exact while no thread changes the map.
    ///
    /// # Complexity
    /// O(threads of the machine).
    ///
    /// ```
    /// let map: memkv::ConcurrentArt = (0..10_000u64).map(|i| (i.to_be_bytes(), i)).collect();
    /// map.reclaim();
    /// assert!(map.memory_usage().total() < 20 * map.len());
    /// ```
    pub fn memory_usage(&self) -> MemoryUsage {
        MemoryUsage::of(
            self.tree.usage(),
            size_of::<Self>() + self.tree.heap_bytes(),
            reclaim::retired_bytes(),
        )
    }

    /// Frees retired memory that no thread is still reading, and compacts the map.
    ///
    /// Up to 128 KiB that each other thread has retired stay with that thread until it retires
    /// more, or ends. If much of the pool is unused, the map's leaves are moved together, so that
    /// memory can go back to the allocator. Other threads may use the map while this runs.
    ///
    /// # Complexity
    /// O(leaves) if leaves are moved.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from([("a", 1u64)]);
    /// map.remove("a");
    /// map.reclaim();
    /// ```
    pub fn reclaim(&self) {
        self.tree.reclaim();
    }

    /// Moves the leaves, or the inner nodes, as [`reclaim`](Self::reclaim) does in sparse pages.
    /// Returns `true` if it moved any. For models.
    #[cfg(memkv_loom)]
    #[doc(hidden)]
    pub fn relocate(&self, leaves: bool) -> bool {
        self.tree.relocate(leaves)
    }

    /// Checks the invariants of the map's structure. For tests.
    ///
    /// # Errors
    /// Returns a description of the first violation.
    #[doc(hidden)]
    pub fn check(&mut self) -> Result<(), String> {
        self.tree.check(&reclaim::pin())
    }
}
