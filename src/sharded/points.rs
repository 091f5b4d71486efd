//! Point operations of `ShardedArt`, which find the shard of a key, and its handle for many of
//! them.

#![forbid(unsafe_code)]

use super::ShardedArt;
use super::table::Table;
use crate::InsertError;
use crate::error::or_fail;
use crate::face::points::{self, Changes};
use crate::face::sealed::Sealed;
use crate::face::{self, Pinnable, Renewed};
use crate::reclaim::{self, Pin};
use crate::tree::{Expected, Outcome, SharedTree};
use crate::value::Value;

/// Keys of a batch lookup that are looked up under one table.
const KEYS_PER_TABLE: usize = 1024;

/// A handle to a [`ShardedArt`] for many calls of one thread. Returned by [`ShardedArt::pin`].
pub type Pinned<'m, V> = face::Pinned<'m, ShardedArt<V>>;

impl<V: Value> Sealed for ShardedArt<V> {}

impl<V: Value> Pinnable for ShardedArt<V> {
    type Held = Renewed;
}

impl<V: Value> Changes<V::Bits> for ShardedArt<V> {
    /// Changes the tree of a key, with a stripe of its shard's lock held.
    #[inline]
    fn change(
        &self,
        key: &[u8],
        expected: Expected<V::Bits>,
        new: Option<V::Bits>,
    ) -> Result<Outcome<V::Bits>, InsertError> {
        let pin = reclaim::pin_to_write();
        let outcome = loop {
            let table = self.table.load(&pin);
            let shard = table.shard(table.route(key));
            let _writing = shard.lock.read();
            if self.table.is_current(table, &pin) || mutant!(WriterNotChecked) {
                break shard.tree.change(&pin, key, expected, new);
            }
        };
        drop(pin);
        self.wrote(key);
        outcome
    }

    /// Computes a value. `f` may write to the map, so it runs without the shard's lock.
    fn try_compute(
        &self,
        key: &[u8],
        mut f: impl FnMut(Option<V::Bits>) -> Option<V::Bits>,
    ) -> Result<(Option<V::Bits>, Option<V::Bits>), InsertError> {
        let mut seen = self.reading(|table, pin| table.tree_of(key).get(pin, key));
        loop {
            let new = f(seen);
            if new == seen {
                return Ok((seen, new));
            }
            let expected = seen.map_or(Expected::Absent, Expected::Value);
            match self.change(key, expected, new)? {
                Outcome { done: true, .. } => return Ok((seen, new)),
                Outcome { old, .. } => seen = old,
            }
        }
    }
}

impl<V: Value> ShardedArt<V> {
    /// Returns a handle that keeps this thread pinned for many calls.
    ///
    /// It is for convenience. In a map of a million URLs one thread inserts in 2 to 4 % less time
    /// through it, and looks up in the same. Its **warning** is at [`Pinned`](crate::face::Pinned).
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

    /// Reads by a table, and reads again if keys may have been moved in the meantime.
    #[inline]
    pub(super) fn reading<R>(&self, mut work: impl FnMut(&Table<V::Bits>, &Pin) -> R) -> R {
        let pin = reclaim::pin();
        loop {
            let table = self.table.load(&pin);
            let result = work(table, &pin);
            if self.table.is_current(table, &pin) || mutant!(TableNotChecked) {
                return result;
            }
        }
    }

    /// Returns the value of `key`.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64)]);
    /// assert_eq!(map.get("a"), Some(1));
    /// assert_eq!(map.get("b"), None);
    /// ```
    #[inline]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<V> {
        let key = key.as_ref();
        self.reading(|table, pin| table.tree_of(key).get(pin, key)).map(V::from_bits)
    }

    /// Returns `true` if the map contains `key`.
    #[inline]
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> bool {
        let key = key.as_ref();
        self.reading(|table, pin| table.tree_of(key).contains(pin, key))
    }

    /// Returns the values of many keys, in the order of `keys`.
    ///
    /// The lookups of a batch are interleaved so that their cache misses overlap. Each
    /// lookup is atomic by itself; the batch is not.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64)]);
    /// assert_eq!(map.get_many(&["b", "a"]), [None, Some(1)]);
    /// ```
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Option<V>> {
        let mut values = Vec::with_capacity(keys.len());
        for batch in keys.chunks(KEYS_PER_TABLE) {
            let done = values.len();
            self.reading(|table, pin| {
                values.truncate(done);
                let keys = batch.iter().map(AsRef::as_ref).map(|key| (table.tree_of(key), key));
                SharedTree::get_many_of(pin, keys, |bits| values.push(bits.map(V::from_bits)));
            });
        }
        values
    }

    /// Inserts `value` under `key`, and returns the value it replaces.
    ///
    /// # Panics
    /// Panics if the key has more than [`MAX_KEY_LEN`](crate::MAX_KEY_LEN) bytes. Calls
    /// [`handle_alloc_error`](std::alloc::handle_alloc_error) when out of memory. The
    /// other methods that store a value do the same. [`try_insert`](Self::try_insert)
    /// returns both as errors.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64)]);
    /// assert_eq!(map.insert("a", 2), Some(1));
    /// assert_eq!(map.insert("b", 3), None);
    /// ```
    #[inline]
    #[track_caller]
    pub fn insert(&self, key: impl AsRef<[u8]>, value: V) -> Option<V> {
        or_fail(self.try_insert(key, value))
    }

    /// Inserts `value` under `key` like [`insert`](Self::insert), but returns errors.
    ///
    /// # Errors
    /// Returns an error if the key is over the limit, or if there is no memory for a node.
    /// The map is then unchanged.
    ///
    /// The collector's own memory is not covered: some kilobytes for each 128 KiB or 192
    /// nodes retired, and two for a thread's first call. If it cannot be allocated, the
    /// process aborts by [`handle_alloc_error`](std::alloc::handle_alloc_error).
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64)]);
    /// assert_eq!(map.try_insert("a", 2), Ok(Some(1)));
    /// ```
    #[inline]
    pub fn try_insert(&self, key: impl AsRef<[u8]>, value: V) -> Result<Option<V>, InsertError> {
        points::set(self, key.as_ref(), Some(value))
    }

    /// Removes `key`, and returns its value.
    ///
    /// # Panics
    /// Aborts by [`handle_alloc_error`](std::alloc::handle_alloc_error) if there is no
    /// memory for the shortened leaf. [`try_remove`](Self::try_remove) returns that as an
    /// error.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64)]);
    /// assert_eq!(map.remove("a"), Some(1));
    /// assert_eq!(map.remove("a"), None);
    /// ```
    #[inline]
    #[track_caller]
    pub fn remove(&self, key: impl AsRef<[u8]>) -> Option<V> {
        or_fail(self.try_remove(key))
    }

    /// Removes `key` like [`remove`](Self::remove), but returns errors.
    ///
    /// # Errors
    /// Returns an error if there is no memory for the shortened leaf, which is a new node.
    /// The map is then unchanged. The collector's own memory is treated as in
    /// [`try_insert`](Self::try_insert).
    #[inline]
    pub fn try_remove(&self, key: impl AsRef<[u8]>) -> Result<Option<V>, InsertError> {
        points::set(self, key.as_ref(), None)
    }

    /// Stores, replaces or removes a value if the current one is `current`, as one atomic
    /// step.
    ///
    /// `None` stands for no value. Values are compared as they are stored, bit for bit.
    ///
    /// # Errors
    /// Returns the current value if it is not `current`.
    ///
    /// # Panics
    /// Panics and aborts as [`insert`](Self::insert) does.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64)]);
    /// assert_eq!(map.compare_exchange("a", Some(1), Some(2)), Ok(Some(1)));
    /// assert_eq!(map.compare_exchange("a", Some(1), None), Err(Some(2)));
    /// // Inserts only if the key is absent.
    /// assert_eq!(map.compare_exchange("b", None, Some(3)), Ok(None));
    /// ```
    #[track_caller]
    pub fn compare_exchange(
        &self,
        key: impl AsRef<[u8]>,
        current: Option<V>,
        new: Option<V>,
    ) -> Result<Option<V>, Option<V>> {
        points::compare_exchange(self, key.as_ref(), current, new)
    }

    /// Replaces the value of `key` by what `f` returns for the current one, as one atomic
    /// step, and returns the values before and after.
    ///
    /// `None` stands for no value. If `f` returns the value it was given, nothing is
    /// written. `f` runs without a lock, so it may call the map. It runs again if another
    /// thread changed the value in the meantime.
    ///
    /// **Warning:** while `f` runs, nothing that any map retires can be freed.
    ///
    /// # Panics
    /// Panics if `f` does; the map is then unchanged. Also panics and aborts as
    /// [`insert`](Self::insert) does. The same holds for [`update`](Self::update),
    /// [`fetch_update`](Self::fetch_update) and [`remove_if`](Self::remove_if).
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64)]);
    /// let plus_one = |value: Option<u64>| value.map(|value| value + 1);
    /// assert_eq!(map.compute("a", plus_one), (Some(1), Some(2)));
    /// assert_eq!(map.compute("b", |value| Some(value.unwrap_or(10))), (None, Some(10)));
    /// assert_eq!(map.compute("a", |_| None), (Some(2), None));
    /// ```
    #[track_caller]
    pub fn compute(
        &self,
        key: impl AsRef<[u8]>,
        f: impl FnMut(Option<V>) -> Option<V>,
    ) -> (Option<V>, Option<V>) {
        points::compute(self, key.as_ref(), f)
    }

    /// Replaces the value of `key`, if there is one, and returns the value before.
    ///
    /// `f` is treated as in [`compute`](Self::compute).
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64)]);
    /// assert_eq!(map.update("a", |value| value + 1), Some(1));
    /// assert_eq!(map.update("b", |value| value + 1), None);
    /// ```
    #[track_caller]
    pub fn update(&self, key: impl AsRef<[u8]>, mut f: impl FnMut(V) -> V) -> Option<V> {
        self.compute(key, |value| value.map(&mut f)).0
    }

    /// Replaces the value of `key` if there is one and `f` returns another, and returns
    /// the value before.
    ///
    /// Works like [`AtomicU64::fetch_update`](std::sync::atomic::AtomicU64::fetch_update).
    /// `f` is treated as in [`compute`](Self::compute).
    ///
    /// # Errors
    /// Returns the current value if `f` returns `None`, and `None` if the key is absent.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64)]);
    /// assert_eq!(map.fetch_update("a", |value| value.checked_add(1)), Ok(1));
    /// assert_eq!(map.fetch_update("a", |_| None), Err(Some(2)));
    /// ```
    #[track_caller]
    pub fn fetch_update(
        &self,
        key: impl AsRef<[u8]>,
        f: impl FnMut(V) -> Option<V>,
    ) -> Result<V, Option<V>> {
        points::fetch_update(self, key.as_ref(), f)
    }

    /// Returns the value of `key`, after inserting `f()` if it was absent.
    ///
    /// `f` runs once at most, and without a lock. If another thread stores a value in the
    /// meantime, that value is returned.
    ///
    /// # Panics
    /// Panics and aborts as [`insert`](Self::insert) does.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64)]);
    /// assert_eq!(map.get_or_insert_with("a", || 7), 1);
    /// assert_eq!(map.get_or_insert_with("b", || 7), 7);
    /// ```
    #[track_caller]
    pub fn get_or_insert_with(&self, key: impl AsRef<[u8]>, f: impl FnOnce() -> V) -> V {
        let key = key.as_ref();
        match self.get(key) {
            Some(value) => value,
            None => points::insert_absent(self, key, f()),
        }
    }

    /// Removes `key` if `f` returns `true` for its value, and returns the value removed.
    ///
    /// `f` is treated as in [`compute`](Self::compute).
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64)]);
    /// assert_eq!(map.remove_if("a", |value| value > 1), None);
    /// assert_eq!(map.remove_if("a", |value| value == 1), Some(1));
    /// ```
    #[track_caller]
    pub fn remove_if(&self, key: impl AsRef<[u8]>, f: impl FnMut(V) -> bool) -> Option<V> {
        points::remove_if(self, key.as_ref(), f)
    }

    /// Removes the least key as one atomic step, and returns it with its value.
    ///
    /// No two threads get the same key.
    ///
    /// # Panics
    /// Aborts when out of memory, as [`remove`](Self::remove) does.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64)]);
    /// assert_eq!(map.pop_first(), Some((b"a".to_vec(), 1)));
    /// assert_eq!(map.pop_first(), None);
    /// ```
    pub fn pop_first(&self) -> Option<(Vec<u8>, V)> {
        self.pop(false)
    }

    /// Removes the greatest key as one atomic step, and returns it with its value.
    ///
    /// Otherwise like [`pop_first`](Self::pop_first).
    pub fn pop_last(&self) -> Option<(Vec<u8>, V)> {
        self.pop(true)
    }
}
