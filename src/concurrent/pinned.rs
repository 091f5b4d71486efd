//! A handle to a map that keeps its thread pinned.

use super::ConcurrentArt;
use crate::error::fail;
use crate::reclaim::{self, Pin};
use crate::tree::SharedTree;
use crate::value::Value;
use std::cell::{Cell, RefCell};

/// Calls made under one pin before it is renewed.
const CALLS_PER_PIN: u32 = 64;

/// A handle to a [`ConcurrentArt`] for many calls of one thread. Returned by
/// [`ConcurrentArt::pin`].
///
/// A thread *pins* itself while it reads, so that nothing it reads is freed. This handle pins once
/// for several calls. It has all point operations of the map, with the same guarantees. The other
/// methods are reached through [`Deref`](std::ops::Deref); they pin for themselves.
///
/// **Warning:** a handle that is kept without being called holds back everything that all maps
/// retire. So does a handle whose thread has another pin, from a handle, a cursor or a range: only
/// a thread's sole pin can be renewed. Drop a handle that is not in use.
///
/// The handle is not `Send`.
///
/// ```
/// let map = memkv::ConcurrentArt::new();
/// let pinned = map.pin();
/// for word in ["a", "b", "a"] {
///     pinned.compute(word, |count| Some(count.unwrap_or(0) + 1u32));
/// }
/// assert_eq!((pinned.get("a"), pinned.len()), (Some(2), 2));
/// ```
///
/// A cursor or a range is a second pin. Start a long scan from the map, without a handle:
///
/// ```
/// let map = memkv::ConcurrentArt::from([("a", 1u64), ("b", 2)]);
/// let pinned = map.pin();
/// let range = pinned.map().iter();
/// drop(pinned);
/// assert_eq!(range.count(), 2);
/// ```
///
/// A handle cannot outlive its map:
///
/// ```compile_fail,E0505
/// let map = memkv::ConcurrentArt::from([("a", 1u64)]);
/// let pinned = map.pin();
/// drop(map);
/// pinned.get("a");
/// ```
///
/// ```
/// let map = memkv::ConcurrentArt::from([("a", 1u64)]);
/// let pinned = map.pin();
/// pinned.get("a");
/// drop(pinned);
/// drop(map);
/// ```
pub struct Pinned<'m, V: Value> {
    map: &'m ConcurrentArt<V>,
    held: Held,
}

impl<V: Value> ConcurrentArt<V> {
    /// Returns a handle that pins this thread once for several calls.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::new();
    /// let pinned = map.pin();
    /// pinned.insert("a", 1u64);
    /// assert_eq!(pinned.get("a"), Some(1));
    /// ```
    pub fn pin(&self) -> Pinned<'_, V> {
        Pinned { map: self, held: Held::new() }
    }
}

/// A pin that is renewed every few calls.
pub(crate) struct Held {
    pin: RefCell<Pin>,
    calls: Cell<u32>,
}

impl Held {
    pub(crate) fn new() -> Self {
        Held { pin: RefCell::new(reclaim::pin()), calls: Cell::new(CALLS_PER_PIN) }
    }

    /// Runs one operation, after renewing the pin if it is due.
    ///
    /// A caller's function may call the handle from inside an operation. The pin is borrowed then,
    /// and is not renewed.
    #[inline]
    pub(crate) fn with<R>(&self, work: impl FnOnce(&Pin) -> R) -> R {
        if self.calls.get() == 0 {
            self.renew();
        }
        self.calls.set(self.calls.get().saturating_sub(1));
        work(&self.pin.borrow())
    }

    #[cold]
    fn renew(&self) {
        let Ok(mut pin) = self.pin.try_borrow_mut() else { return };
        self.calls.set(CALLS_PER_PIN);
        pin.renew();
        drop(pin);
        // The drop of a value may call the handle, which then borrows the pin and cannot renew it.
        self.pin.borrow().help();
    }
}

/// Implements what the handles of all maps have besides point operations.
///
/// The map's other methods pin for themselves, so a caller's function that one of them runs may
/// use the handle.
macro_rules! handle {
    ($map:ident, $value:ident: $($bound:tt)+) => {
        impl<'m, $value: $($bound)+> Pinned<'m, $value> {
            /// Returns the map that this handle belongs to.
            pub fn map(&self) -> &'m $map<$value> {
                self.map
            }
        }

        /// Gives access to the map's other methods.
        impl<$value: $($bound)+> std::ops::Deref for Pinned<'_, $value> {
            type Target = $map<$value>;

            #[inline]
            fn deref(&self) -> &$map<$value> {
                self.map
            }
        }

        impl<K: AsRef<[u8]>, $value: $($bound)+> Extend<(K, $value)> for Pinned<'_, $value> {
            /// Inserts the pairs one by one.
            fn extend<I: IntoIterator<Item = (K, $value)>>(&mut self, pairs: I) {
                pairs.into_iter().for_each(|(key, value)| _ = self.insert(key, value));
            }
        }

        impl<$value: $($bound)+> std::fmt::Debug for Pinned<'_, $value> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct("Pinned").finish_non_exhaustive()
            }
        }
    };
}
pub(crate) use handle;

/// Implements the point operations, for each map and for its handle.
///
/// `$read` and `$write` take the key and run a function on the tree that holds it, under a pin.
/// The owner provides `look_up`, `try_compute` and `pop`.
macro_rules! operations {
    ($owner:ident $(<$l:lifetime>)?, $read:ident, $write:ident, $docs:literal) => {
        impl<$($l,)? V: Value> $owner<$($l,)? V> {
            /// Returns the value of `key`.
            ///
            /// ```
            #[doc = $docs]
            /// assert_eq!(map.get("a"), Some(1));
            /// assert_eq!(map.get("b"), None);
            /// ```
            #[inline]
            pub fn get(&self, key: impl AsRef<[u8]>) -> Option<V> {
                let key = key.as_ref();
                self.$read(key, |tree, pin| tree.get(pin, key)).map(V::from_bits)
            }

            /// Returns `true` if the map contains `key`.
            #[inline]
            pub fn contains_key(&self, key: impl AsRef<[u8]>) -> bool {
                let key = key.as_ref();
                self.$read(key, |tree, pin| tree.contains(pin, key))
            }

            /// Returns the values of many keys, in the order of `keys`.
            ///
            /// The lookups of a batch are interleaved so that their cache misses overlap. Each
            /// lookup is atomic by itself; the batch is not.
            ///
            /// ```
            #[doc = $docs]
            /// assert_eq!(map.get_many(&["b", "a"]), [None, Some(1)]);
            /// ```
            pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Option<V>> {
                self.look_up(keys)
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
            #[doc = $docs]
            /// assert_eq!(map.insert("a", 2), Some(1));
            /// assert_eq!(map.insert("b", 3), None);
            /// ```
            #[inline]
            #[track_caller]
            pub fn insert(&self, key: impl AsRef<[u8]>, value: V) -> Option<V> {
                $crate::error::or_fail(self.try_insert(key, value))
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
            #[doc = $docs]
            /// assert_eq!(map.try_insert("a", 2), Ok(Some(1)));
            /// ```
            #[inline]
            pub fn try_insert(
                &self,
                key: impl AsRef<[u8]>,
                value: V,
            ) -> Result<Option<V>, $crate::InsertError> {
                let (key, bits) = (key.as_ref(), Some(value.into_bits()));
                let outcome = self.$write(key, |tree, pin| {
                    tree.change(pin, key, $crate::tree::Expected::Any, bits)
                })?;
                Ok(outcome.old.map(V::from_bits))
            }

            /// Removes `key`, and returns its value.
            ///
            /// # Panics
            /// Aborts by [`handle_alloc_error`](std::alloc::handle_alloc_error) if there is no
            /// memory for the shortened leaf. [`try_remove`](Self::try_remove) returns that as an
            /// error.
            ///
            /// ```
            #[doc = $docs]
            /// assert_eq!(map.remove("a"), Some(1));
            /// assert_eq!(map.remove("a"), None);
            /// ```
            #[inline]
            #[track_caller]
            pub fn remove(&self, key: impl AsRef<[u8]>) -> Option<V> {
                $crate::error::or_fail(self.try_remove(key))
            }

            /// Removes `key` like [`remove`](Self::remove), but returns errors.
            ///
            /// # Errors
            /// Returns an error if there is no memory for the shortened leaf, which is a new node.
            /// The map is then unchanged. The collector's own memory is treated as in
            /// [`try_insert`](Self::try_insert).
            #[inline]
            pub fn try_remove(
                &self,
                key: impl AsRef<[u8]>,
            ) -> Result<Option<V>, $crate::InsertError> {
                let key = key.as_ref();
                let outcome = self.$write(key, |tree, pin| {
                    tree.change(pin, key, $crate::tree::Expected::Any, None)
                })?;
                Ok(outcome.old.map(V::from_bits))
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
            #[doc = $docs]
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
                use $crate::tree::{Expected, Outcome};
                let expected = current
                    .map_or(Expected::Absent, |value| Expected::Value(value.into_bits()));
                let (key, new) = (key.as_ref(), new.map(V::into_bits));
                let outcome = self.$write(key, |tree, pin| tree.change(pin, key, expected, new));
                let Outcome { old, done } = $crate::error::or_fail(outcome);
                let old = old.map(V::from_bits);
                if done { Ok(old) } else { Err(old) }
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
            #[doc = $docs]
            /// let plus_one = |value: Option<u64>| value.map(|value| value + 1);
            /// assert_eq!(map.compute("a", plus_one), (Some(1), Some(2)));
            /// assert_eq!(map.compute("b", |value| Some(value.unwrap_or(10))), (None, Some(10)));
            /// assert_eq!(map.compute("a", |_| None), (Some(2), None));
            /// ```
            #[track_caller]
            pub fn compute(
                &self,
                key: impl AsRef<[u8]>,
                mut f: impl FnMut(Option<V>) -> Option<V>,
            ) -> (Option<V>, Option<V>) {
                let f = |bits: Option<V::Bits>| f(bits.map(V::from_bits)).map(V::into_bits);
                let (old, new) = $crate::error::or_fail(self.try_compute(key.as_ref(), f));
                (old.map(V::from_bits), new.map(V::from_bits))
            }

            /// Replaces the value of `key`, if there is one, and returns the value before.
            ///
            /// `f` is treated as in [`compute`](Self::compute).
            ///
            /// ```
            #[doc = $docs]
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
            #[doc = $docs]
            /// assert_eq!(map.fetch_update("a", |value| value.checked_add(1)), Ok(1));
            /// assert_eq!(map.fetch_update("a", |_| None), Err(Some(2)));
            /// ```
            #[track_caller]
            pub fn fetch_update(
                &self,
                key: impl AsRef<[u8]>,
                mut f: impl FnMut(V) -> Option<V>,
            ) -> Result<V, Option<V>> {
                let mut refused = false;
                let (old, _) = self.compute(key, |value| {
                    let new = value.and_then(&mut f);
                    refused = new.is_none();
                    new.or(value)
                });
                old.filter(|_| !refused).ok_or(old)
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
            #[doc = $docs]
            /// assert_eq!(map.get_or_insert_with("a", || 7), 1);
            /// assert_eq!(map.get_or_insert_with("b", || 7), 7);
            /// ```
            #[track_caller]
            pub fn get_or_insert_with(&self, key: impl AsRef<[u8]>, f: impl FnOnce() -> V) -> V {
                let key = key.as_ref();
                if let Some(value) = self.get(key) {
                    return value;
                }
                let value = f();
                match self.compare_exchange(key, None, Some(value)) {
                    Err(Some(current)) => current,
                    _ => value,
                }
            }

            /// Removes `key` if `f` returns `true` for its value, and returns the value removed.
            ///
            /// `f` is treated as in [`compute`](Self::compute).
            ///
            /// ```
            #[doc = $docs]
            /// assert_eq!(map.remove_if("a", |value| value > 1), None);
            /// assert_eq!(map.remove_if("a", |value| value == 1), Some(1));
            /// ```
            #[track_caller]
            pub fn remove_if(
                &self,
                key: impl AsRef<[u8]>,
                mut f: impl FnMut(V) -> bool,
            ) -> Option<V> {
                let (old, new) = self.compute(key, |value| value.filter(|&value| !f(value)));
                old.filter(|_| new.is_none())
            }

            /// Removes the least key as one atomic step, and returns it with its value.
            ///
            /// No two threads get the same key.
            ///
            /// # Panics
            /// Aborts when out of memory, as [`remove`](Self::remove) does.
            ///
            /// ```
            #[doc = $docs]
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
    };
}
pub(crate) use operations;

/// Keys of a batch lookup that are looked up under one pin.
const KEYS_PER_PIN: usize = 1024;

/// The values before and after a computation.
pub(crate) type Computed<V> =
    Result<(Option<<V as Value>::Bits>, Option<<V as Value>::Bits>), crate::InsertError>;

/// Implements what `operations` needs for an owner with one tree for all keys.
macro_rules! whole {
    ($owner:ident $(<$l:lifetime>)?, $read:ident, $write:ident) => {
        impl<$($l,)? V: Value> $owner<$($l,)? V> {
            fn look_up<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Option<V>> {
                let mut values = Vec::with_capacity(keys.len());
                for batch in keys.chunks(KEYS_PER_PIN) {
                    self.$read(&[], |tree, pin| {
                        let keys = batch.iter().map(AsRef::as_ref);
                        tree.get_many(pin, keys, |bits| values.push(bits.map(V::from_bits)));
                    });
                }
                values
            }

            fn try_compute(
                &self,
                key: &[u8],
                f: impl FnMut(Option<V::Bits>) -> Option<V::Bits>,
            ) -> Computed<V> {
                self.$write(key, |tree, pin| tree.compute(pin, key, f))
            }

            fn pop(&self, last: bool) -> Option<(Vec<u8>, V)> {
                let mut key = Vec::new();
                let popped = self.$write(&[], |tree, pin| tree.pop(pin, last, &mut key));
                let bits = popped.unwrap_or_else(|error| fail(error))?;
                Some((key, V::from_bits(bits)))
            }
        }
    };
}

impl<V: Value> Pinned<'_, V> {
    #[inline]
    fn on<R>(&self, _: &[u8], work: impl FnOnce(&SharedTree<V::Bits>, &Pin) -> R) -> R {
        self.held.with(|pin| work(&self.map.tree, pin))
    }
}

impl<V: Value> ConcurrentArt<V> {
    #[inline]
    fn reading<R>(&self, _: &[u8], work: impl FnOnce(&SharedTree<V::Bits>, &Pin) -> R) -> R {
        work(&self.tree, &reclaim::pin())
    }

    #[inline]
    fn writing<R>(&self, _: &[u8], work: impl FnOnce(&SharedTree<V::Bits>, &Pin) -> R) -> R {
        work(&self.tree, &reclaim::pin_to_write())
    }
}

handle!(ConcurrentArt, V: Value);
whole!(ConcurrentArt, reading, writing);
whole!(Pinned<'m>, on, on);
operations!(
    ConcurrentArt,
    reading,
    writing,
    "let map = memkv::ConcurrentArt::from([(\"a\", 1u64)]);"
);
operations!(
    Pinned<'m>,
    on,
    on,
    "let shared = memkv::ConcurrentArt::from([(\"a\", 1u64)]);\nlet map = shared.pin();"
);
