//! Point operations: finding the shard of a key, and the handle that keeps its thread pinned.

#![forbid(unsafe_code)]

use super::ShardedArt;
use crate::concurrent::pinned::{Computed, Held, handle, operations};
use crate::reclaim::{self, Pin};
use crate::tree::{Expected, Outcome, SharedTree};
use crate::value::Value;

/// Keys of a batch lookup that are looked up under one table.
const KEYS_PER_TABLE: usize = 1024;

/// A handle to a [`ShardedArt`] for many calls of one thread. Returned by [`ShardedArt::pin`].
///
/// It is what [`concurrent::Pinned`](crate::concurrent::Pinned) is for a `ConcurrentArt`: it pins
/// once for several calls, and has all methods of the map.
///
/// **Warning:** a handle that is kept without being called, or is used beside another pin of its
/// thread, holds back everything that all maps retire. Drop a handle that is not in use.
///
/// The handle is not `Send`.
///
/// ```
/// let map = memkv::ShardedArt::new(8);
/// let pinned = map.pin();
/// for word in ["a", "b", "a"] {
///     pinned.compute(word, |count| Some(count.unwrap_or(0) + 1u32));
/// }
/// assert_eq!((pinned.get("a"), pinned.len()), (Some(2), 2));
/// ```
///
/// A handle cannot outlive its map:
///
/// ```compile_fail,E0505
/// let map = memkv::ShardedArt::from([("a", 1u64)]);
/// let pinned = map.pin();
/// drop(map);
/// pinned.get("a");
/// ```
///
/// ```
/// let map = memkv::ShardedArt::from([("a", 1u64)]);
/// let pinned = map.pin();
/// pinned.get("a");
/// drop(pinned);
/// drop(map);
/// ```
///
/// It cannot be sent to another thread:
///
/// ```compile_fail,E0277
/// let map = memkv::ShardedArt::from([("a", 1u64)]);
/// let pinned = map.pin();
/// std::thread::scope(|scope| scope.spawn(move || pinned.get("a")).join().unwrap());
/// ```
///
/// ```
/// let map = memkv::ShardedArt::from([("a", 1u64)]);
/// std::thread::scope(|scope| scope.spawn(|| map.pin().get("a")).join().unwrap());
/// ```
pub struct Pinned<'m, V: Value> {
    map: &'m ShardedArt<V>,
    held: Held,
}

impl<'m, V: Value> Pinned<'m, V> {
    #[inline]
    fn reading<R>(&self, key: &[u8], work: impl Fn(&SharedTree<V::Bits>, &Pin) -> R) -> R {
        self.held.with(|pin| self.map.read_under(pin, key, work))
    }

    #[inline]
    fn writing<R>(&self, key: &[u8], work: impl FnOnce(&SharedTree<V::Bits>, &Pin) -> R) -> R {
        let result = self.held.with(|pin| self.map.write_under(pin, key, work));
        self.map.wrote();
        result
    }

    fn look_up<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Option<V>> {
        self.map.look_up_by(keys, |work| self.held.with(|pin| work(pin)))
    }

    fn pop(&self, last: bool) -> Option<(Vec<u8>, V)> {
        self.held.with(|pin| self.map.pop_under(pin, last))
    }
}

impl<V: Value> ShardedArt<V> {
    /// Returns a handle that pins this thread once for several calls.
    ///
    /// ```
    /// let map = memkv::ShardedArt::new(8);
    /// let pinned = map.pin();
    /// pinned.insert("a", 1u64);
    /// assert_eq!(pinned.get("a"), Some(1));
    /// ```
    pub fn pin(&self) -> Pinned<'_, V> {
        Pinned { map: self, held: Held::new() }
    }

    /// Reads the tree of a key, and reads again if its keys may have been moved in the meantime.
    #[inline]
    fn read_under<R>(
        &self,
        pin: &Pin,
        key: &[u8],
        work: impl Fn(&SharedTree<V::Bits>, &Pin) -> R,
    ) -> R {
        loop {
            let table = self.table.load(pin);
            let result = work(&table.shard(table.route(key)).tree, pin);
            if self.table.is_current(table, pin) || mutant!(TableNotChecked) {
                return result;
            }
        }
    }

    /// Changes the tree of a key, with a stripe of its shard's lock held.
    #[inline]
    fn write_under<R>(
        &self,
        pin: &Pin,
        key: &[u8],
        work: impl FnOnce(&SharedTree<V::Bits>, &Pin) -> R,
    ) -> R {
        loop {
            let table = self.table.load(pin);
            let shard = table.shard(table.route(key));
            let _writing = shard.lock.read();
            if self.table.is_current(table, pin) || mutant!(WriterNotChecked) {
                return work(&shard.tree, pin);
            }
        }
    }

    /// Looks many keys up, whose descents in all their trees are interleaved.
    fn look_up_by<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
        mut under: impl FnMut(&mut dyn FnMut(&Pin)),
    ) -> Vec<Option<V>> {
        let mut values = Vec::with_capacity(keys.len());
        for part in keys.chunks(KEYS_PER_TABLE) {
            under(&mut |pin| {
                let done = values.len();
                loop {
                    let table = self.table.load(pin);
                    let keys = part
                        .iter()
                        .map(|key| (&table.shard(table.route(key.as_ref())).tree, key.as_ref()));
                    SharedTree::get_many_of(pin, keys, |bits| values.push(bits.map(V::from_bits)));
                    if self.table.is_current(table, pin) {
                        return;
                    }
                    values.truncate(done);
                }
            });
        }
        values
    }

    #[inline]
    fn reading<R>(&self, key: &[u8], work: impl Fn(&SharedTree<V::Bits>, &Pin) -> R) -> R {
        self.read_under(&reclaim::pin(), key, work)
    }

    #[inline]
    fn writing<R>(&self, key: &[u8], work: impl FnOnce(&SharedTree<V::Bits>, &Pin) -> R) -> R {
        let result = self.write_under(&reclaim::pin_to_write(), key, work);
        self.wrote();
        result
    }

    fn look_up<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Option<V>> {
        self.look_up_by(keys, |work| work(&reclaim::pin()))
    }

    fn pop(&self, last: bool) -> Option<(Vec<u8>, V)> {
        self.pop_under(&reclaim::pin_to_write(), last)
    }
}

/// Implements what differs between shards and one tree.
macro_rules! divided {
    ($owner:ident $(<$l:lifetime>)?) => {
        impl<$($l,)? V: Value> $owner<$($l,)? V> {
            /// Computes a value. `f` may write to the map, so it runs without the shard's lock.
            fn try_compute(
                &self,
                key: &[u8],
                mut f: impl FnMut(Option<V::Bits>) -> Option<V::Bits>,
            ) -> Computed<V> {
                let mut seen = self.reading(key, |tree, pin| tree.get(pin, key));
                loop {
                    let new = f(seen);
                    if new == seen {
                        return Ok((seen, new));
                    }
                    let expected = seen.map_or(Expected::Absent, Expected::Value);
                    match self.writing(key, |tree, pin| tree.change(pin, key, expected, new))? {
                        Outcome { done: true, .. } => return Ok((seen, new)),
                        Outcome { old, .. } => seen = old,
                    }
                }
            }
        }
    };
}

handle!(ShardedArt, V: Value);
divided!(ShardedArt);
divided!(Pinned<'m>);
operations!(ShardedArt, reading, writing, "let map = memkv::ShardedArt::from([(\"a\", 1u64)]);");
operations!(
    Pinned<'m>,
    reading,
    writing,
    "let shared = memkv::ShardedArt::from([(\"a\", 1u64)]);\nlet map = shared.pin();"
);
