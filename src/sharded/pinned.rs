//! Point operations: the way to the shard of a key, and the handle that keeps its thread pinned.

#![forbid(unsafe_code)]

use super::ShardedArt;
use crate::concurrent::pinned::{Computed, Held, handle, operations};
use crate::reclaim::{self, Pin};
use crate::tree::{Expected, Outcome, SharedTree};
use crate::value::Value;

/// Keys of a batch lookup under one table.
const PART: usize = 1024;

/// A [`ShardedArt`] for many calls of one thread. From [`ShardedArt::pin`].
///
/// As [`concurrent::Pinned`](crate::concurrent::Pinned) is for a `ConcurrentArt`: it pins once for several calls, has the map's other methods too, holds
/// back what all maps retire where it is kept without a call or beside another pin, and is not `Send`.
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
/// It cannot outlive its map:
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
/// Nor can it go to another thread:
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
    pub(super) fn new(map: &'m ShardedArt<V>) -> Self {
        Pinned { map, held: Held::new() }
    }

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
    /// Reads the tree of a key: once more, where its keys may have moved meanwhile.
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

    /// Changes the tree of a key, inside the gate of its shard.
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
            let _inside = shard.gate.read();
            if self.table.is_current(table, pin) || mutant!(WriterNotChecked) {
                return work(&shard.tree, pin);
            }
        }
    }

    /// Lookups of many keys, which go down all their trees together.
    fn look_up_by<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
        mut under: impl FnMut(&mut dyn FnMut(&Pin)),
    ) -> Vec<Option<V>> {
        let mut values = Vec::with_capacity(keys.len());
        for part in keys.chunks(PART) {
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

/// What shards do otherwise than one tree.
macro_rules! divided {
    ($owner:ident $(<$l:lifetime>)?) => {
        impl<$($l,)? V: Value> $owner<$($l,)? V> {
            /// The function may write to the map, so it runs outside the gate.
            fn try_compute(&self, key: &[u8], mut f: impl FnMut(Option<V::Bits>) -> Option<V::Bits>) -> Computed<V> {
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
