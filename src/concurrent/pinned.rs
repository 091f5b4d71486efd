//! A map's handle that keeps its thread pinned.

use super::ConcurrentArt;
use crate::error::fail;
use crate::reclaim::{self, Pin};
use crate::tree::SharedTree;
use crate::value::Value;
use std::cell::{Cell, RefCell};

/// Calls under one pin.
const CALLS: u32 = 64;

/// A [`ConcurrentArt`] for many calls of one thread. From [`ConcurrentArt::pin`].
///
/// To call a method of the map, a thread pins itself: it says that it reads, so that what it reads is not freed. This handle does so once for
/// several calls, which saves some ten nanoseconds for each; all point operations of the map are here too, with the same
/// guarantees. The map's other methods can be called by it as well ([`Deref`](std::ops::Deref)), and pin for themselves. The handle pins anew
/// every few calls. One that is kept without a call holds back what all maps retire, and so does one that is used while the same thread has another
/// pin, of a handle, a cursor or a range: only a thread's sole pin can be renewed. It is not `Send`.
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
/// A cursor or a range is a second pin, so a long scan is taken from the map, without a handle beside it:
///
/// ```
/// let map = memkv::ConcurrentArt::from([("a", 1u64), ("b", 2)]);
/// let pinned = map.pin();
/// let range = pinned.map().iter();
/// drop(pinned);
/// assert_eq!(range.count(), 2);
/// ```
///
/// It cannot outlive its map:
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

impl<'m, V: Value> Pinned<'m, V> {
    pub(super) fn new(map: &'m ConcurrentArt<V>) -> Self {
        Pinned { map, held: Held::new() }
    }
}

/// A pin that is renewed every few calls.
pub(crate) struct Held {
    pin: RefCell<Pin>,
    calls: Cell<u32>,
}

impl Held {
    pub(crate) fn new() -> Self {
        Held { pin: RefCell::new(reclaim::pin()), calls: Cell::new(CALLS) }
    }

    /// Runs one operation, pinning anew where it is time; not inside an operation, which a caller's function may call from.
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
        self.calls.set(CALLS);
        pin.renew();
        drop(pin);
        // Values that are dropped now may call the handle in their turn, which borrows the pin as this does, and cannot renew it.
        self.pin.borrow().help();
    }
}

/// What every map's handle has besides its own operations. The map's other methods pin for themselves: they know nothing of the handle's pin, so a
/// function of the caller's that one of them calls may use the handle.
macro_rules! handle {
    ($map:ident, $value:ident: $($bound:tt)+) => {
        impl<'m, $value: $($bound)+> Pinned<'m, $value> {
            /// The map it is for.
            pub fn map(&self) -> &'m $map<$value> {
                self.map
            }
        }

        /// The map's other methods.
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

/// The operations, which differ in who pins, and in the tree that has the key: the macro writes them for each map and for its handle. `$read`
/// and `$write` get the key, and run a function on that tree under a pin. `look_up` and `pop` are the owner's.
macro_rules! operations {
    ($owner:ident $(<$l:lifetime>)?, $read:ident, $write:ident, $docs:literal) => {
        impl<$($l,)? V: Value> $owner<$($l,)? V> {
            /// The value of `key`.
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

            /// Whether `key` is there.
            #[inline]
            pub fn contains_key(&self, key: impl AsRef<[u8]>) -> bool {
                let key = key.as_ref();
                self.$read(key, |tree, pin| tree.contains(pin, key))
            }

            /// The values of many keys, in their order. The lookups of a batch go on together so that their cache misses overlap. Each is atomic
            /// by itself, not all of them together.
            ///
            /// ```
            #[doc = $docs]
            /// assert_eq!(map.get_many(&["b", "a"]), [None, Some(1)]);
            /// ```
            pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Option<V>> {
                self.look_up(keys)
            }

            /// Stores `value` under `key`, and gives the value it replaces.
            ///
            /// # Panics
            /// If the key has more than [`MAX_KEY_LEN`](crate::MAX_KEY_LEN) bytes. Without memory it calls
            /// [`handle_alloc_error`](std::alloc::handle_alloc_error). [`try_insert`](Self::try_insert) reports both. So do the other methods that
            /// store.
            ///
            /// ```
            #[doc = $docs]
            /// assert_eq!(map.insert("a", 2), Some(1));
            /// assert_eq!(map.insert("b", 3), None);
            /// ```
            #[inline]
            pub fn insert(&self, key: impl AsRef<[u8]>, value: V) -> Option<V> {
                self.try_insert(key, value).unwrap_or_else(|error| $crate::error::fail(error))
            }

            /// [`insert`](Self::insert) that reports failure.
            ///
            /// # Errors
            /// The key is over the limit, or there is no memory. The map is then as it was before.
            ///
            /// Memory of the collector itself cannot be reported: some kilobytes for each 128 KiB or 192 nodes retired, and two for a thread's first call.
            /// Without it the process aborts, by [`handle_alloc_error`](std::alloc::handle_alloc_error).
            ///
            /// ```
            #[doc = $docs]
            /// assert_eq!(map.try_insert("a", 2), Ok(Some(1)));
            /// ```
            #[inline]
            pub fn try_insert(&self, key: impl AsRef<[u8]>, value: V) -> Result<Option<V>, $crate::InsertError> {
                let (key, bits) = (key.as_ref(), value.into_bits());
                let outcome = self.$write(key, |tree, pin| tree.change(pin, key, $crate::tree::Expected::Any, Some(bits)))?;
                Ok(outcome.old.map(V::from_bits))
            }

            /// Removes `key`, and gives its value.
            ///
            /// Aborts by [`handle_alloc_error`](std::alloc::handle_alloc_error) where there is no memory for the shortened leaf;
            /// [`try_remove`](Self::try_remove) reports that.
            ///
            /// ```
            #[doc = $docs]
            /// assert_eq!(map.remove("a"), Some(1));
            /// assert_eq!(map.remove("a"), None);
            /// ```
            #[inline]
            pub fn remove(&self, key: impl AsRef<[u8]>) -> Option<V> {
                self.try_remove(key).unwrap_or_else(|error| $crate::error::fail(error))
            }

            /// [`remove`](Self::remove) that reports failure: a shortened leaf is a new one, which takes memory for a while.
            ///
            /// # Errors
            /// There is no memory. The map is then as it was before. The collector's is as in [`try_insert`](Self::try_insert).
            #[inline]
            pub fn try_remove(&self, key: impl AsRef<[u8]>) -> Result<Option<V>, $crate::InsertError> {
                let key = key.as_ref();
                let outcome = self.$write(key, |tree, pin| tree.change(pin, key, $crate::tree::Expected::Any, None))?;
                Ok(outcome.old.map(V::from_bits))
            }

            /// Stores, replaces or removes a value if the current one is `current`, as one atomic step; `None` stands for no value. Values are
            /// compared as they are stored, bit for bit.
            ///
            /// # Errors
            /// Gives the current value if it is another.
            ///
            /// # Panics
            /// As [`insert`](Self::insert), where it would store a value; without memory it aborts, as that does.
            ///
            /// ```
            #[doc = $docs]
            /// assert_eq!(map.compare_exchange("a", Some(1), Some(2)), Ok(Some(1)));
            /// assert_eq!(map.compare_exchange("a", Some(1), None), Err(Some(2)));
            /// // Inserts only where nothing is.
            /// assert_eq!(map.compare_exchange("b", None, Some(3)), Ok(None));
            /// ```
            pub fn compare_exchange(&self, key: impl AsRef<[u8]>, current: Option<V>, new: Option<V>) -> Result<Option<V>, Option<V>> {
                let expected = current.map_or($crate::tree::Expected::Absent, |value| $crate::tree::Expected::Value(value.into_bits()));
                let (key, new) = (key.as_ref(), new.map(V::into_bits));
                let outcome = self.$write(key, |tree, pin| tree.change(pin, key, expected, new));
                let $crate::tree::Outcome { old, done } = outcome.unwrap_or_else(|error| $crate::error::fail(error));
                let old = old.map(V::from_bits);
                if done { Ok(old) } else { Err(old) }
            }

            /// Gives `key` the value that `f` makes of the current one, as one atomic step; `None` stands for no value. Gives the values before
            /// and after.
            ///
            /// `f` runs without a lock, and again where another thread changed the value meanwhile, so it may call the map, and may panic: nothing
            /// is changed then. Where it gives back the value it got, nothing is written. While it runs, what all maps retire is held back.
            ///
            /// # Panics
            /// If `f` does; or as [`insert`](Self::insert), where it would store a value. Without memory it aborts, as that does. So it is
            /// for the methods that are made of it: [`update`](Self::update), [`fetch_update`](Self::fetch_update),
            /// [`remove_if`](Self::remove_if).
            ///
            /// ```
            #[doc = $docs]
            /// assert_eq!(map.compute("a", |value| value.map(|value| value + 1)), (Some(1), Some(2)));
            /// assert_eq!(map.compute("b", |value| Some(value.unwrap_or(10))), (None, Some(10)));
            /// assert_eq!(map.compute("a", |_| None), (Some(2), None));
            /// ```
            pub fn compute(&self, key: impl AsRef<[u8]>, mut f: impl FnMut(Option<V>) -> Option<V>) -> (Option<V>, Option<V>) {
                let f = |bits: Option<V::Bits>| f(bits.map(V::from_bits)).map(V::into_bits);
                let (old, new) = self.try_compute(key.as_ref(), f).unwrap_or_else(|error| $crate::error::fail(error));
                (old.map(V::from_bits), new.map(V::from_bits))
            }

            /// Changes the value of a key that is there, as [`compute`](Self::compute) does. Gives the value before.
            ///
            /// ```
            #[doc = $docs]
            /// assert_eq!(map.update("a", |value| value + 1), Some(1));
            /// assert_eq!(map.update("b", |value| value + 1), None);
            /// ```
            pub fn update(&self, key: impl AsRef<[u8]>, mut f: impl FnMut(V) -> V) -> Option<V> {
                self.compute(key, |value| value.map(&mut f)).0
            }

            /// Changes the value of a key that is there, where `f` gives one, in the manner of
            /// [`AtomicU64::fetch_update`](std::sync::atomic::AtomicU64::fetch_update) and with the guarantees of
            /// [`compute`](Self::compute). Gives the value before.
            ///
            /// # Errors
            /// Gives the current value if `f` gives none, and `None` if the key is not there.
            ///
            /// ```
            #[doc = $docs]
            /// assert_eq!(map.fetch_update("a", |value| value.checked_add(1)), Ok(1));
            /// assert_eq!(map.fetch_update("a", |_| None), Err(Some(2)));
            /// ```
            pub fn fetch_update(&self, key: impl AsRef<[u8]>, mut f: impl FnMut(V) -> Option<V>) -> Result<V, Option<V>> {
                let mut refused = false;
                let (old, _) = self.compute(key, |value| {
                    let new = value.and_then(&mut f);
                    refused = new.is_none();
                    new.or(value)
                });
                old.filter(|_| !refused).ok_or(old)
            }

            /// The value of `key`, which is `f()` if there was none. `f` runs once at most, and without a lock; where another thread stores a value
            /// meanwhile, that one counts. Panics and aborts as [`insert`](Self::insert).
            ///
            /// ```
            #[doc = $docs]
            /// assert_eq!(map.get_or_insert_with("a", || 7), 1);
            /// assert_eq!(map.get_or_insert_with("b", || 7), 7);
            /// ```
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

            /// Removes `key` if `f` says so of its value, and gives the value removed. `f` is treated as in [`compute`](Self::compute).
            ///
            /// ```
            #[doc = $docs]
            /// assert_eq!(map.remove_if("a", |value| value > 1), None);
            /// assert_eq!(map.remove_if("a", |value| value == 1), Some(1));
            /// ```
            pub fn remove_if(&self, key: impl AsRef<[u8]>, mut f: impl FnMut(V) -> bool) -> Option<V> {
                let (old, new) = self.compute(key, |value| value.filter(|&value| !f(value)));
                old.filter(|_| new.is_none())
            }

            /// Removes the least key, and gives it with its value: as one atomic step, so that no two threads get the same. Without memory
            /// it aborts, as [`remove`](Self::remove) does.
            ///
            /// ```
            #[doc = $docs]
            /// assert_eq!(map.pop_first(), Some((b"a".to_vec(), 1)));
            /// assert_eq!(map.pop_first(), None);
            /// ```
            pub fn pop_first(&self) -> Option<(Vec<u8>, V)> {
                self.pop(false)
            }

            /// Removes the greatest key, and gives it with its value. As [`pop_first`](Self::pop_first), from the other end.
            pub fn pop_last(&self) -> Option<(Vec<u8>, V)> {
                self.pop(true)
            }
        }
    };
}
pub(crate) use operations;

/// Keys of a batch lookup under one pin.
const PART: usize = 1024;

/// The values before and after.
pub(crate) type Computed<V> =
    Result<(Option<<V as Value>::Bits>, Option<<V as Value>::Bits>), crate::InsertError>;

/// What one tree has for all keys.
macro_rules! whole {
    ($owner:ident $(<$l:lifetime>)?, $read:ident, $write:ident) => {
        impl<$($l,)? V: Value> $owner<$($l,)? V> {
            fn look_up<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Option<V>> {
                let mut values = Vec::with_capacity(keys.len());
                for part in keys.chunks(PART) {
                    self.$read(&[], |tree, pin| {
                        tree.get_many(pin, part.iter().map(AsRef::as_ref), |found| values.push(found.map(V::from_bits)));
                    });
                }
                values
            }

            fn try_compute(&self, key: &[u8], f: impl FnMut(Option<V::Bits>) -> Option<V::Bits>) -> Computed<V> {
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
