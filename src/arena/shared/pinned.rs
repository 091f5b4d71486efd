//! The operations of a map that threads share: each pins for itself, or all are those of a handle that is pinned.

use super::{ConcurrentArenaArt, Ref};
use crate::InsertError;
use crate::concurrent::pinned::handle;
use crate::error::fail;
use crate::reclaim::{self, Pin};
use crate::tree::{Change, Expected, PinnedTree, ValueRef};
use std::convert::Infallible;

/// A [`ConcurrentArenaArt`] for some calls of one thread, under one pin. From [`ConcurrentArenaArt::pin`].
///
/// It lends values as plain references, which stay valid as long as the handle is there, whatever other threads do. All point operations of the
/// map are here too, and its other methods can be called by it ([`Deref`](std::ops::Deref)). It holds back what all maps retire while it lives, so
/// long work takes a new one now and then, and a long scan takes none. It is not `Send`.
///
/// ```
/// let map = memkv::ConcurrentArenaArt::from([("a", "x".to_string())]);
/// let pinned = map.pin();
/// let old = pinned.get("a").unwrap();
/// pinned.insert("a", "y".to_string());
/// assert_eq!((old.as_str(), pinned.get("a").unwrap().as_str()), ("x", "y"));
/// ```
///
/// Neither a value nor a handle outlives what it comes from:
///
/// ```compile_fail,E0505
/// let map = memkv::ConcurrentArenaArt::from([("a", "x")]);
/// let pinned = map.pin();
/// let value = pinned.get("a");
/// drop(pinned);
/// assert_eq!(value, Some(&"x"));
/// ```
///
/// ```compile_fail,E0505
/// let map = memkv::ConcurrentArenaArt::from([("a", "x")]);
/// let pinned = map.pin();
/// drop(map);
/// assert_eq!(pinned.get("a"), Some(&"x"));
/// ```
///
/// ```compile_fail,E0505
/// let map = memkv::ConcurrentArenaArt::from([("a", "x")]);
/// let value = map.get("a");
/// drop(map);
/// assert!(value.is_some());
/// ```
///
/// ```
/// let map = memkv::ConcurrentArenaArt::from([("a", "x")]);
/// let pinned = map.pin();
/// let value = pinned.get("a");
/// assert_eq!(value, Some(&"x"));
/// drop(pinned);
/// let value = map.get("a");
/// assert!(value.is_some());
/// drop(value);
/// drop(map);
/// ```
pub struct Pinned<'m, T: Send + Sync + 'static> {
    map: &'m ConcurrentArenaArt<T>,
    pin: Pin,
}

impl<'m, T: Send + Sync + 'static> Pinned<'m, T> {
    pub(super) fn new(map: &'m ConcurrentArenaArt<T>) -> Self {
        Pinned { map, pin: reclaim::pin_to_write() }
    }

    /// The values of many keys, in their order. The lookups of a batch go on together so that their cache misses overlap. Each is atomic by
    /// itself, not all of them together.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", "x")]);
    /// assert_eq!(map.pin().get_many(&["b", "a"]), [None, Some(&"x")]);
    /// ```
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Option<&T>> {
        let mut values = Vec::with_capacity(keys.len());
        self.map.tree.at(&self.pin).get_many(keys.iter().map(AsRef::as_ref), |found| {
            values.push(found.map(ValueRef::get))
        });
        values
    }

    #[inline]
    fn at<R>(&self, work: impl FnOnce(PinnedTree<'_, T>) -> R) -> R {
        work(self.map.tree.at(&self.pin))
    }

    #[inline]
    fn hold<'p, E>(
        &'p self,
        work: impl FnOnce(PinnedTree<'p, T>) -> Result<Option<ValueRef<'p, T>>, E>,
    ) -> Result<Option<&'p T>, E> {
        Ok(work(self.map.tree.at(&self.pin))?.map(ValueRef::get))
    }

    #[inline]
    fn reading<'p>(
        &'p self,
        work: impl FnOnce(PinnedTree<'p, T>) -> Option<ValueRef<'p, T>>,
    ) -> Option<&'p T> {
        work(self.map.tree.at(&self.pin)).map(ValueRef::get)
    }

    #[inline]
    fn changing<'p>(
        &'p self,
        work: impl FnOnce(PinnedTree<'p, T>) -> Option<ValueRef<'p, T>>,
    ) -> Option<&'p T> {
        self.reading(work)
    }
}

impl<T: Send + Sync + 'static> ConcurrentArenaArt<T> {
    #[inline]
    fn at<R>(&self, work: impl FnOnce(PinnedTree<'_, T>) -> R) -> R {
        work(self.tree.at(&reclaim::pin()))
    }

    #[inline]
    fn hold<E>(
        &self,
        work: impl for<'p> FnOnce(PinnedTree<'p, T>) -> Result<Option<ValueRef<'p, T>>, E>,
    ) -> Result<Option<Ref<'_, T>>, E> {
        self.tree.hold(reclaim::pin_to_write(), work)
    }

    #[inline]
    fn reading(
        &self,
        work: impl for<'p> FnOnce(PinnedTree<'p, T>) -> Option<ValueRef<'p, T>>,
    ) -> Option<Ref<'_, T>> {
        let Ok(found) = self.tree.hold(reclaim::pin(), |at| Ok::<_, Infallible>(work(at)));
        found
    }

    #[inline]
    fn changing(
        &self,
        work: impl for<'p> FnOnce(PinnedTree<'p, T>) -> Option<ValueRef<'p, T>>,
    ) -> Option<Ref<'_, T>> {
        let Ok(found) = self.hold(|at| Ok::<_, Infallible>(work(at)));
        found
    }
}

impl<'p, T: Send + Sync + 'static> PinnedTree<'p, T> {
    /// A change that fails as the standard collections' do.
    fn set(self, key: &[u8], expected: Expected<u32>, new: Option<T>) -> Change<'p, T> {
        self.change(key, expected, new).unwrap_or_else(|error| fail(error))
    }

    /// Gives `key` what `f` makes of its value, until nobody comes between: the values before and after.
    fn compute(
        self,
        key: &[u8],
        mut f: impl FnMut(Option<&T>) -> Option<T>,
    ) -> (Option<ValueRef<'p, T>>, Option<ValueRef<'p, T>>) {
        let mut seen = self.get(key);
        loop {
            let new = f(seen.map(ValueRef::get));
            if seen.is_none() && new.is_none() {
                return (None, None);
            }
            match self.set(key, seen.map_or(Expected::Absent, ValueRef::expected), new) {
                Change { before, after: Ok(after) } => return (before, after),
                Change { before, .. } => seen = before,
            }
        }
    }
}

/// The operations, which differ in who pins and in what lends the value.
macro_rules! operations {
    ($owner:ident $(<$l:lifetime>)?, $lent:ty, $docs:literal) => {
        impl<$($l,)? T: Send + Sync + 'static> $owner<$($l,)? T> {
            /// The value of `key`.
            ///
            /// ```
            #[doc = $docs]
            /// assert_eq!(*map.get("a").unwrap(), 1);
            /// assert!(map.get("b").is_none());
            /// ```
            #[inline]
            pub fn get(&self, key: impl AsRef<[u8]>) -> Option<$lent> {
                self.reading(|at| at.get(key.as_ref()))
            }

            /// Whether `key` is there.
            #[inline]
            pub fn contains_key(&self, key: impl AsRef<[u8]>) -> bool {
                self.at(|at| at.contains(key.as_ref()))
            }

            /// Stores `value` under `key`, and lends the value it replaces.
            ///
            /// # Panics
            /// If the key has more than [`MAX_KEY_LEN`](crate::MAX_KEY_LEN) bytes, or the map has all the values it can have. Without memory it calls
            /// [`handle_alloc_error`](std::alloc::handle_alloc_error). [`try_insert`](Self::try_insert) reports all of these. So do the other
            /// methods that store.
            ///
            /// ```
            #[doc = $docs]
            /// assert_eq!(*map.insert("a", 2).unwrap(), 1);
            /// assert!(map.insert("b", 3).is_none());
            /// ```
            pub fn insert(&self, key: impl AsRef<[u8]>, value: T) -> Option<$lent> {
                self.try_insert(key, value).unwrap_or_else(|error| fail(error))
            }

            /// [`insert`](Self::insert) that reports failure.
            ///
            /// # Errors
            /// The key is over the limit, there is no memory, or the map has all the values it can have. The map is then as it was before; `value` is
            /// dropped.
            ///
            /// ```
            #[doc = $docs]
            /// assert_eq!(*map.try_insert("a", 2)?.unwrap(), 1);
            /// # Ok::<(), memkv::InsertError>(())
            /// ```
            pub fn try_insert(&self, key: impl AsRef<[u8]>, value: T) -> Result<Option<$lent>, InsertError> {
                self.hold(|at| Ok(at.change(key.as_ref(), Expected::Any, Some(value))?.before))
            }

            /// Removes `key`, and lends the value it had.
            ///
            /// Aborts by [`handle_alloc_error`](std::alloc::handle_alloc_error) where there is no memory for the shortened leaf;
            /// [`try_remove`](Self::try_remove) reports that.
            ///
            /// ```
            #[doc = $docs]
            /// assert_eq!(*map.remove("a").unwrap(), 1);
            /// assert!(map.remove("a").is_none());
            /// ```
            pub fn remove(&self, key: impl AsRef<[u8]>) -> Option<$lent> {
                self.try_remove(key).unwrap_or_else(|error| fail(error))
            }

            /// [`remove`](Self::remove) that reports failure: a shortened leaf is a new one, which takes memory for a while.
            ///
            /// # Errors
            /// There is no memory. The map is then as it was before.
            pub fn try_remove(&self, key: impl AsRef<[u8]>) -> Result<Option<$lent>, InsertError> {
                self.hold(|at| Ok(at.change(key.as_ref(), Expected::Any, None)?.before))
            }

            /// Stores, replaces or removes a value if the current one is `current`, as one atomic step; `None` stands for no value. It has to be
            /// the very value that the map lent, not one that is equal to it. Lends the value before.
            ///
            /// # Errors
            /// Gives `new` back if the current value is another.
            ///
            /// # Panics
            /// As [`insert`](Self::insert), where it would store a value; without memory it aborts, as that does.
            ///
            /// ```
            #[doc = $docs]
            /// let one = map.get("a").unwrap();
            /// assert!(map.compare_exchange("a", Some(&*one), Some(2)).is_ok());
            /// assert_eq!(map.compare_exchange("a", Some(&*one), Some(3)).unwrap_err(), Some(3));
            /// // Inserts only where nothing is.
            /// assert!(map.compare_exchange("b", None, Some(4)).is_ok());
            /// ```
            pub fn compare_exchange(&self, key: impl AsRef<[u8]>, current: Option<&T>, new: Option<T>) -> Result<Option<$lent>, Option<T>> {
                let key = key.as_ref();
                self.hold(|at| {
                    let expected = match current {
                        None => Expected::Absent,
                        Some(current) => match at.get(key).filter(|lent| std::ptr::eq(lent.get(), current)) {
                            Some(lent) => lent.expected(),
                            None => return Err(new),
                        },
                    };
                    let Change { before, after } = at.set(key, expected, new);
                    after.map(|_| before)
                })
            }

            /// Gives `key` the value that `f` makes of the current one, as one atomic step; `None` stands for no value. Lends the value after.
            ///
            /// `f` runs without a lock, and again where another thread changed the value meanwhile, so it may call the map, and may panic: nothing
            /// is changed then.
            ///
            /// # Panics
            /// If `f` does; or as [`insert`](Self::insert), where it would store a value. Without memory it aborts, as that does. So it is
            /// for [`update`](Self::update) and [`remove_if`](Self::remove_if).
            ///
            /// ```
            #[doc = $docs]
            /// assert_eq!(*map.compute("a", |value| value.map(|value| value + 1)).unwrap(), 2);
            /// assert_eq!(*map.compute("b", |value| Some(value.copied().unwrap_or(10))).unwrap(), 10);
            /// assert!(map.compute("a", |_| None).is_none());
            /// ```
            pub fn compute(&self, key: impl AsRef<[u8]>, f: impl FnMut(Option<&T>) -> Option<T>) -> Option<$lent> {
                self.changing(|at| at.compute(key.as_ref(), f).1)
            }

            /// Changes the value of a key that is there, as [`compute`](Self::compute) does. Lends the value before.
            ///
            /// ```
            #[doc = $docs]
            /// assert_eq!(*map.update("a", |value| value + 1).unwrap(), 1);
            /// assert!(map.update("b", |value| value + 1).is_none());
            /// ```
            pub fn update(&self, key: impl AsRef<[u8]>, mut f: impl FnMut(&T) -> T) -> Option<$lent> {
                self.changing(|at| at.compute(key.as_ref(), |value| value.map(&mut f)).0)
            }

            /// The value of `key`, which is `f()` if there was none. `f` runs once at most, and without a lock; where another thread stores a value
            /// meanwhile, that one counts, and the one of `f` is dropped. Panics and aborts as [`insert`](Self::insert).
            ///
            /// ```
            #[doc = $docs]
            /// assert_eq!(*map.get_or_insert_with("a", || 7), 1);
            /// assert_eq!(*map.get_or_insert_with("b", || 7), 7);
            /// ```
            pub fn get_or_insert_with(&self, key: impl AsRef<[u8]>, f: impl FnOnce() -> T) -> $lent {
                let key = key.as_ref();
                let found = self.changing(|at| {
                    at.get(key).or_else(|| {
                        let Change { before, after } = at.set(key, Expected::Absent, Some(f()));
                        after.unwrap_or(before)
                    })
                });
                found.expect("a value was found or stored")
            }

            /// Removes `key` if `f` says so of its value, and lends the value removed. `f` is treated as in [`compute`](Self::compute).
            ///
            /// ```
            #[doc = $docs]
            /// assert!(map.remove_if("a", |value| *value > 1).is_none());
            /// assert_eq!(*map.remove_if("a", |value| *value == 1).unwrap(), 1);
            /// ```
            pub fn remove_if(&self, key: impl AsRef<[u8]>, mut f: impl FnMut(&T) -> bool) -> Option<$lent> {
                let key = key.as_ref();
                self.changing(|at| {
                    let mut seen = at.get(key);
                    while let Some(value) = seen.filter(|value| f(value.get())) {
                        match at.set(key, value.expected(), None) {
                            Change { before, after: Ok(_) } => return before,
                            Change { before, .. } => seen = before,
                        }
                    }
                    None
                })
            }

            /// Removes the least key, and gives it with its value: as one atomic step, so that no two threads get the same. Without memory
            /// it aborts, as [`remove`](Self::remove) does.
            ///
            /// ```
            #[doc = $docs]
            /// let (key, value) = map.pop_first().unwrap();
            /// assert_eq!((&key[..], *value), (&b"a"[..], 1));
            /// assert!(map.pop_first().is_none());
            /// ```
            pub fn pop_first(&self) -> Option<(Vec<u8>, $lent)> {
                self.pop(false)
            }

            /// Removes the greatest key, and gives it with its value. As [`pop_first`](Self::pop_first), from the other end.
            pub fn pop_last(&self) -> Option<(Vec<u8>, $lent)> {
                self.pop(true)
            }

            fn pop(&self, last: bool) -> Option<(Vec<u8>, $lent)> {
                let mut key = Vec::new();
                let popped = self.hold(|at| at.pop(last, &mut key)).unwrap_or_else(|error| fail(error));
                popped.map(|value| (key, value))
            }
        }
    };
}

handle!(ConcurrentArenaArt, T: Send + Sync + 'static);
operations!(
    ConcurrentArenaArt,
    Ref<'_, T>,
    "let map = memkv::ConcurrentArenaArt::from([(\"a\", 1)]);"
);
operations!(
    Pinned<'m>,
    &T,
    "let shared = memkv::ConcurrentArenaArt::from([(\"a\", 1)]);\nlet map = shared.pin();"
);
