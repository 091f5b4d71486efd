//! The handles, cursors and iterators of [`ConcurrentArenaArt`], a map to values of any type that
//! many threads share.

#![forbid(unsafe_code)]

mod iter;
mod many;
mod pinned;
mod points;
mod traits;

pub use crate::tree::Ref;
pub use iter::{Cursor, IntoIter, Keys, PinnedWalk, Range, ValueEnds, Values};
pub use pinned::Pinned;

use super::MemoryUsage;
use crate::error::fail;
use crate::face::ScanEnds;
use crate::tree::ValueTree;
use crate::{fast, key, reclaim};
use std::ops::RangeBounds;

/// An ordered map from byte strings to values of any type, shared by many threads through `&self`.
///
/// Unlike in a [`ConcurrentArt`](crate::ConcurrentArt) the values may be large, own memory, or not
/// be [`Copy`], and are returned by reference: [`get`](Self::get) returns a [`Ref`], a `&T` that
/// stays valid for as long as it is held, whatever other threads do.
///
/// **Warning:** a [`Ref`], an idle [`Cursor`] or a handle keeps replaced nodes and values from
/// being freed. Drop it.
///
/// ```
/// use memkv::ConcurrentArenaArt;
/// use std::thread;
///
/// let pages = ConcurrentArenaArt::new();
/// thread::scope(|scope| {
///     for part in 0..4 {
///         let pages = &pages;
///         scope.spawn(move || {
///             for i in (part..1000).step_by(4) {
///                 pages.insert(format!("page/{i:03}"), format!("Page no. {i}"));
///             }
///         });
///     }
/// });
/// assert_eq!(pages.len(), 1000);
/// assert_eq!(*pages.get("page/007").unwrap(), "Page no. 7");
/// pages.compute("page/007", |title| title.map(|title| title.to_uppercase()));
/// assert_eq!(*pages.get("page/007").unwrap(), "PAGE NO. 7");
/// ```
///
/// A value is never changed in place; it is replaced by another. Use an atomic or a lock as value
/// to change it in place.
///
/// # Guarantees
/// * Point operations, [`clear`](Self::clear), scans and [`len`](Self::len) have the guarantees of
///   [`ConcurrentArt`](crate::ConcurrentArt).
/// * Readers take no lock of the map and never wait for a writer. A reader may have to free retired
///   memory. Nothing that a method returns holds a lock, and no function of the caller runs under a
///   lock.
/// * A replaced or removed value is dropped exactly once: when no thread that was using the maps at
///   that time still is. The last 31 values that a thread replaced or removed wait until it
///   replaces or removes more, ends, or calls [`reclaim`](Self::reclaim).
///
/// **Warning:** `drop` of a value may run on any thread, in any call to a map, or after the map
/// itself is gone; so `T` is `Send` and `'static`. It should not wait for other threads. If it
/// panics, the panic is caught, and the other values are still dropped.
///
/// # Complexity
/// A lookup is one in the index, and one or two more cache misses for the value. A change takes a
/// short lock that a sixteenth of the threads share.
///
/// # Memory
/// A key takes what it takes in a `ConcurrentArt<()>`, and `size_of::<T>()`, four bytes for the
/// slot, and up to one for the arena. What the values own elsewhere is not included.
///
/// Values are in segments of 64 and do not move. A segment goes back to the allocator when its last
/// value is gone, so what random removals free is reused by later values, and not given back. Each
/// thread that inserts has a segment that is partly empty.
///
/// # Panics
/// Panics and aborts as [`ConcurrentArt`](crate::ConcurrentArt) does. A map can hold 2³² − 64
/// values, including those that wait to be dropped. Beyond that, methods return
/// [`InsertError::TooManyKeys`](crate::InsertError::TooManyKeys), or panic if they return no
/// errors.
///
/// # Source
/// That of [`ConcurrentArt`](crate::ConcurrentArt).
pub struct ConcurrentArenaArt<T: Send + Sync + 'static> {
    tree: ValueTree<T>,
}

impl<T: Send + Sync + 'static> ConcurrentArenaArt<T> {
    /// Creates an empty map.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::<String>::new();
    /// assert!(map.is_empty());
    /// ```
    pub fn new() -> Self {
        ConcurrentArenaArt { tree: ValueTree::new() }
    }

    /// Returns a clone of the value of `key`.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", "x")]);
    /// assert_eq!(map.get_cloned("a"), Some("x"));
    /// ```
    pub fn get_cloned(&self, key: impl AsRef<[u8]>) -> Option<T>
    where
        T: Clone,
    {
        self.tree.pinned(&reclaim::pin()).get(key.as_ref()).map(|value| value.get().clone())
    }

    /// Returns the number of keys, which is exact while no thread changes the map.
    ///
    /// # Complexity
    /// O(threads of the machine).
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", "x"), ("b", "y")]);
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
    /// O(keys).
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", "x")]);
    /// map.clear();
    /// assert!(map.get("a").is_none());
    /// ```
    pub fn clear(&self) {
        self.tree.clear(&reclaim::pin_to_write()).unwrap_or_else(|error| fail(error));
    }

    /// Removes all keys for which `keep` returns `false`.
    ///
    /// Keys are visited in ascending order, with the guarantees of a scan. A key whose value is
    /// replaced after it was visited stays. `keep` runs without a lock, and may use the map.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", "x"), ("b", "")]);
    /// map.retain(|_, value| !value.is_empty());
    /// assert_eq!(map.len(), 1);
    /// ```
    pub fn retain(&self, keep: impl FnMut(&[u8], &T) -> bool) {
        self.tree.retain(keep).unwrap_or_else(|error| fail(error));
    }

    /// Returns the least key and a copy of its value.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("b", "y"), ("a", "x")]);
    /// assert_eq!(map.first_key_value(), Some((b"a".to_vec(), "x")));
    /// assert_eq!(map.last_key_value(), Some((b"b".to_vec(), "y")));
    /// ```
    pub fn first_key_value(&self) -> Option<(Vec<u8>, T)>
    where
        T: Clone,
    {
        self.iter().next()
    }

    /// Returns the greatest key and a copy of its value.
    ///
    /// Otherwise like [`first_key_value`](Self::first_key_value).
    pub fn last_key_value(&self) -> Option<(Vec<u8>, T)>
    where
        T: Clone,
    {
        self.iter().next_back()
    }

    /// Returns a cursor before the first key.
    ///
    /// It returns borrowed keys and values, so a scan allocates nothing for each.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", "x"), ("b", "y")]);
    /// let mut cursor = map.cursor();
    /// cursor.seek("b");
    /// assert_eq!(cursor.next(), Some((&b"b"[..], &"y")));
    /// ```
    pub fn cursor(&self) -> Cursor<'_, T> {
        Cursor::new(PinnedWalk::new(&self.tree))
    }

    /// Returns an iterator over all keys and values, in ascending order of the keys.
    ///
    /// As an [`Iterator`] it yields clones of the values. [`next_ref`](crate::face::Range::next_ref)
    /// and a [`cursor`](Self::cursor) lend them, and need no `Clone`.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("b", "y"), ("a", "x")]);
    /// assert!(map.iter().eq([(b"a".to_vec(), "x"), (b"b".to_vec(), "y")]));
    /// ```
    pub fn iter(&self) -> Range<'_, T> {
        self.range::<[u8], _>(..)
    }

    /// Returns an iterator over the keys in a range of byte strings and their values, in ascending
    /// order.
    ///
    /// A range that ends before it begins is empty.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", 'x'), ("b", 'y'), ("c", 'z')]);
    /// assert!(map.range("b"..).map(|(_, value)| value).eq(['y', 'z']));
    /// assert!(map.range("a"..="b").rev().map(|(_, value)| value).eq(['y', 'x']));
    /// ```
    pub fn range<K: AsRef<[u8]> + ?Sized, R: RangeBounds<K>>(&self, range: R) -> Range<'_, T> {
        let (start, end) = key::bounds(&range);
        Range::new(ValueEnds::new(&self.tree, ScanEnds::new(start, end)))
    }

    /// Returns an iterator over the keys that begin with `prefix`, and their values.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", 'x'), ("ab", 'y'), ("b", 'z')]);
    /// assert_eq!(map.prefix("a").count(), 2);
    /// ```
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Range<'_, T> {
        Range::new(ValueEnds::new(&self.tree, ScanEnds::prefix(prefix.as_ref())))
    }

    /// Converts the map into an [`ArenaArt`](crate::ArenaArt).
    ///
    /// # Complexity
    /// O(keys): the values are moved.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", "x".to_string())]);
    /// let mut alone = map.into_arena();
    /// alone.get_mut("a").unwrap().push('y');
    /// assert_eq!(alone["a"], "xy");
    /// ```
    pub fn into_arena(self) -> crate::ArenaArt<T> {
        self.into_iter().collect()
    }

    /// Returns the bytes that the map holds, without what the values own elsewhere, and the bytes
    /// that all maps have retired.
    ///
    /// Replaced or removed values that are not yet dropped are in `slack`. Exact while no thread
    /// changes the map.
    ///
    /// # Complexity
    /// O(threads of the machine).
    ///
    /// ```
    /// let pairs = (0..10_000u64).map(|i| (i.to_be_bytes(), [i; 3]));
    /// let map: memkv::ConcurrentArenaArt<[u64; 3]> = pairs.collect();
    /// map.reclaim();
    /// assert!(map.memory_usage().total() < (20 + 24) * map.len());
    /// ```
    pub fn memory_usage(&self) -> MemoryUsage {
        let (nodes, counts) = self.tree.index_usage();
        let (slots, rest) = self.tree.slot_bytes();
        let values = self.len() * size_of::<T>();
        MemoryUsage {
            index: fast::MemoryUsage::of(nodes, counts, reclaim::retired_bytes()),
            values: values.min(slots),
            slack: slots.saturating_sub(values) + rest,
            own: size_of::<Self>(),
        }
    }

    /// Frees retired values and nodes that no thread is still reading, and compacts the map. See
    /// [`ConcurrentArt::reclaim`](crate::ConcurrentArt::reclaim).
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", "x")]);
    /// map.remove("a");
    /// map.reclaim();
    /// ```
    pub fn reclaim(&self) {
        self.tree.reclaim();
    }

    /// Checks the invariants of the map's structure. For tests.
    ///
    /// # Errors
    /// Returns a description of the first violation.
    #[doc(hidden)]
    pub fn check(&mut self) -> Result<(), String> {
        self.tree.check()
    }
}
