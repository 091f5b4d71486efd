//! `ConcurrentArenaArt`: values of any type, for many threads. Its handles, cursors and iterators are here; the map is [`ConcurrentArenaArt`].

#![forbid(unsafe_code)]

mod iter;
mod pinned;
mod traits;

pub use crate::tree::Ref;
pub use iter::{Cursor, IntoIter, Range};
pub use pinned::Pinned;

use super::MemoryUsage;
use crate::concurrent::Between;
use crate::error::fail;
use crate::tree::{ValueCursor, ValueTree};
use crate::{fast, key, reclaim};
use std::ops::RangeBounds;

/// An ordered map from byte strings to values of any type, which any number of threads read and change at a time, through `&self`.
///
/// Like a [`ConcurrentArt`](crate::ConcurrentArt), but the values may be large, own memory, or not be [`Copy`], and are lent:
/// [`get`](Self::get) gives a [`Ref`], which is a `&T` that stays valid for as long as it is held, whatever other threads do.
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
/// A value is never changed where it is: it is replaced by another. What shall change in place is put into an atomic or a lock.
///
/// # Guarantees
/// * Point operations and [`clear`](Self::clear) are linearizable, scans yield what stays exactly once and in order, and [`len`](Self::len) is
///   exact when nobody changes the map: all as those of [`ConcurrentArt`](crate::ConcurrentArt).
/// * Readers take no lock of the map and never wait for a writer; now and then one frees retired memory. Nothing that a method returns
///   holds a lock, and no function of the caller's runs under one.
/// * A value that is replaced or removed is dropped just once: when no thread that was using the maps at that time still is. This may be on any
///   thread, in whatever call to a map, or after the map itself is gone, so `T` is `Send` and `'static`. A `drop` should not wait for
///   others. Should it panic, the panic ends there, and the other values are dropped all the same. The last 31 that a thread replaced or removed
///   wait until it does more of it, ends, or flushes a map.
///
/// # Costs
/// A lookup is that of the index, and one or two cache misses more for the value. A change takes a short lock that a sixteenth of the threads share.
///
/// # Memory
/// What a `ConcurrentArt<()>` of the same keys takes, `size_of::<T>()`, four bytes for the slot and up to one for the arena, a key; and what the values
/// own elsewhere. Values lie in segments of 64 and do not move: a segment goes back to the allocator when the last of its values goes, so what random
/// removals free is used again by later values, and not given back. A thread that inserts has a segment that is partly empty.
///
/// # Limits
/// 2³² − 64 values, those included that wait to be dropped. What stores more reports
/// [`InsertError::TooManyKeys`](crate::InsertError::TooManyKeys), or panics where it reports nothing.
///
/// # Source
/// As [`ConcurrentArt`](crate::ConcurrentArt).
pub struct ConcurrentArenaArt<T: Send + Sync + 'static> {
    tree: ValueTree<T>,
}

impl<T: Send + Sync + 'static> ConcurrentArenaArt<T> {
    /// An empty map.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::<String>::new();
    /// assert!(map.is_empty());
    /// ```
    pub fn new() -> Self {
        ConcurrentArenaArt { tree: ValueTree::new() }
    }

    /// A handle for many calls of one thread, which pins once and lends values as plain references.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", "x"), ("b", "y")]);
    /// let pinned = map.pin();
    /// let (a, b) = (pinned.get("a"), pinned.get("b"));
    /// assert_eq!((a, b), (Some(&"x"), Some(&"y")));
    /// ```
    pub fn pin(&self) -> Pinned<'_, T> {
        Pinned::new(self)
    }

    /// A copy of the value of `key`.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", "x")]);
    /// assert_eq!(map.get_cloned("a"), Some("x"));
    /// ```
    pub fn get_cloned(&self, key: impl AsRef<[u8]>) -> Option<T>
    where
        T: Clone,
    {
        self.tree.at(&reclaim::pin()).get(key.as_ref()).map(|lent| lent.get().clone())
    }

    /// Number of keys; exact when nobody changes the map. O(threads of the machine).
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", "x"), ("b", "y")]);
    /// assert_eq!(map.len(), 2);
    /// ```
    pub fn len(&self) -> usize {
        self.tree.len()
    }

    /// Whether there is no key, as [`len`](Self::len) says.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes every key at one moment. O(keys); who wants to change the map waits meanwhile, who reads it does not.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", "x")]);
    /// map.clear();
    /// assert!(map.get("a").is_none());
    /// ```
    pub fn clear(&self) {
        self.tree.clear(&reclaim::pin_to_write()).unwrap_or_else(|error| fail(error));
    }

    /// Keeps the keys for which `keep` says so, asked in ascending order, each by the guarantees of a scan. A key that gets another value after it was
    /// asked about stays. `keep` runs without a lock, and may use the map.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", "x"), ("b", "")]);
    /// map.retain(|_, value| !value.is_empty());
    /// assert_eq!(map.len(), 1);
    /// ```
    pub fn retain(&self, keep: impl FnMut(&[u8], &T) -> bool) {
        self.tree.retain(keep).unwrap_or_else(|error| fail(error));
    }

    /// A cursor before the first key. It lends keys and values, so a scan allocates nothing for each.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", "x"), ("b", "y")]);
    /// let mut cursor = map.cursor();
    /// cursor.seek("b");
    /// assert_eq!(cursor.next(), Some((&b"b"[..], &"y")));
    /// ```
    pub fn cursor(&self) -> Cursor<'_, T> {
        Cursor::new(&self.tree)
    }

    /// All keys and values, ascending; from the back, descending.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("b", "y"), ("a", "x")]);
    /// assert!(map.iter().eq([(b"a".to_vec(), "x"), (b"b".to_vec(), "y")]));
    /// ```
    pub fn iter(&self) -> Range<'_, T> {
        self.range::<[u8], _>(..)
    }

    /// The keys inside a range of byte strings, with their values; ascending, from the back descending. A range that ends before it begins
    /// is empty.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", 'x'), ("b", 'y'), ("c", 'z')]);
    /// assert!(map.range("b"..).map(|(_, value)| value).eq(['y', 'z']));
    /// assert!(map.range("a"..="b").rev().map(|(_, value)| value).eq(['y', 'x']));
    /// ```
    pub fn range<K: AsRef<[u8]> + ?Sized, R: RangeBounds<K>>(&self, range: R) -> Range<'_, T> {
        let (start, end) = key::bounds(&range);
        Range::new(Between::new(ValueCursor::new(&self.tree), start, end))
    }

    /// The keys that begin with `prefix`, with their values.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", 'x'), ("ab", 'y'), ("b", 'z')]);
    /// assert_eq!(map.prefix("a").count(), 2);
    /// ```
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Range<'_, T> {
        Range::new(Between::prefix(ValueCursor::new(&self.tree), prefix.as_ref()))
    }

    /// The map for one owner. O(keys): the values move.
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

    /// What the map holds, in bytes, without what the values own elsewhere, and what all maps have retired. Values that are replaced or removed and
    /// not yet dropped are in `slack`. Exact when nobody changes the map. O(threads of the machine).
    ///
    /// ```
    /// let map: memkv::ConcurrentArenaArt<[u64; 3]> = (0..10_000u64).map(|i| (i.to_be_bytes(), [i; 3])).collect();
    /// map.flush();
    /// assert!(map.memory_usage().total() < (20 + 24) * map.len());
    /// ```
    pub fn memory_usage(&self) -> MemoryUsage {
        let (nodes, counts) = self.tree.index_usage();
        let (slots, rest) = self.tree.slot_bytes();
        let values = self.len() * size_of::<T>();
        MemoryUsage {
            index: fast::MemoryUsage::of(nodes, counts, reclaim::pending()),
            values: values.min(slots),
            slack: slots.saturating_sub(values) + rest,
            own: size_of::<Self>(),
        }
    }

    /// Frees what this thread retired, values and nodes, and what others did, as far as no thread is still reading. See
    /// [`ConcurrentArt::flush`](crate::ConcurrentArt::flush).
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", "x")]);
    /// map.remove("a");
    /// map.flush();
    /// ```
    pub fn flush(&self) {
        self.tree.flush();
    }

    /// Says what is wrong with the map's structure, if anything is. For tests.
    #[doc(hidden)]
    pub fn check(&mut self) -> Result<(), String> {
        self.tree.check()
    }
}
