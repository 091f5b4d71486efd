//! Point operations of `ConcurrentArenaArt`. Each returns its value together with its pin.

use super::{ConcurrentArenaArt, Ref};
use crate::InsertError;
use crate::error::{fail, or_fail};
use crate::reclaim;
use crate::tree::{Change, Expected, PinnedTree, ValueRef};
use std::convert::Infallible;

/// The values before and after a computation.
type Computed<'p, T> = (Option<ValueRef<'p, T>>, Option<ValueRef<'p, T>>);

impl<'p, T: Send + Sync + 'static> PinnedTree<'p, T> {
    /// Replaces the value of `key` by the result of `f`, and returns the values before and after.
    fn compute(
        self,
        key: &[u8],
        mut f: impl FnMut(Option<&T>) -> Option<T>,
    ) -> Result<Computed<'p, T>, InsertError> {
        let mut seen = self.get(key);
        loop {
            let new = f(seen.map(ValueRef::get));
            if seen.is_none() && new.is_none() {
                return Ok((None, None));
            }
            match self.change(key, seen.map_or(Expected::Absent, ValueRef::expected), new)? {
                Change { before, after: Ok(after) } => return Ok((before, after)),
                Change { before, .. } => seen = before,
            }
        }
    }
}

impl<T: Send + Sync + 'static> ConcurrentArenaArt<T> {
    /// Runs a change under a pin, and returns the value that it found.
    #[inline]
    fn change<E>(
        &self,
        work: impl for<'p> FnOnce(PinnedTree<'p, T>) -> Result<Option<ValueRef<'p, T>>, E>,
    ) -> Result<Option<Ref<'_, T>>, E> {
        self.tree.with_pin(reclaim::pin_to_write(), work)
    }

    /// Returns the value of `key`.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", 1)]);
    /// assert_eq!(*map.get("a").unwrap(), 1);
    /// assert!(map.get("b").is_none());
    /// ```
    #[inline]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<Ref<'_, T>> {
        let Ok(found) =
            self.tree.with_pin(reclaim::pin(), |at| Ok::<_, Infallible>(at.get(key.as_ref())));
        found
    }

    /// Returns `true` if the map contains `key`.
    #[inline]
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> bool {
        self.tree.pinned(&reclaim::pin()).contains(key.as_ref())
    }

    /// Inserts `value` under `key`, and returns the value it replaces.
    ///
    /// # Panics
    /// Panics if the key has more than [`MAX_KEY_LEN`](crate::MAX_KEY_LEN) bytes, or if the
    /// map is full. Calls [`handle_alloc_error`](std::alloc::handle_alloc_error) when out
    /// of memory. The other methods that store a value do the same.
    /// [`try_insert`](Self::try_insert) returns these as errors.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", 1)]);
    /// assert_eq!(*map.insert("a", 2).unwrap(), 1);
    /// assert!(map.insert("b", 3).is_none());
    /// ```
    #[track_caller]
    pub fn insert(&self, key: impl AsRef<[u8]>, value: T) -> Option<Ref<'_, T>> {
        or_fail(self.try_insert(key, value))
    }

    /// Inserts `value` under `key` like [`insert`](Self::insert), but returns errors.
    ///
    /// # Errors
    /// Returns an error if the key is over the limit, if there is no memory, or if the map
    /// is full. The map is then unchanged, and `value` is dropped.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", 1)]);
    /// assert_eq!(*map.try_insert("a", 2)?.unwrap(), 1);
    /// # Ok::<(), memkv::InsertError>(())
    /// ```
    pub fn try_insert(
        &self,
        key: impl AsRef<[u8]>,
        value: T,
    ) -> Result<Option<Ref<'_, T>>, InsertError> {
        self.change(|at| Ok(at.change(key.as_ref(), Expected::Any, Some(value))?.before))
    }

    /// Removes `key`, and returns its value.
    ///
    /// # Panics
    /// Aborts by [`handle_alloc_error`](std::alloc::handle_alloc_error) if there is no
    /// memory for the shortened leaf. [`try_remove`](Self::try_remove) returns that as an
    /// error.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", 1)]);
    /// assert_eq!(*map.remove("a").unwrap(), 1);
    /// assert!(map.remove("a").is_none());
    /// ```
    #[track_caller]
    pub fn remove(&self, key: impl AsRef<[u8]>) -> Option<Ref<'_, T>> {
        or_fail(self.try_remove(key))
    }

    /// Removes `key` like [`remove`](Self::remove), but returns errors.
    ///
    /// # Errors
    /// Returns an error if there is no memory for the shortened leaf, which is a new node.
    /// The map is then unchanged.
    pub fn try_remove(&self, key: impl AsRef<[u8]>) -> Result<Option<Ref<'_, T>>, InsertError> {
        self.change(|at| Ok(at.change(key.as_ref(), Expected::Any, None)?.before))
    }

    /// Stores, replaces or removes a value if the current one is `current`, as one atomic
    /// step, and returns the value before.
    ///
    /// `None` stands for no value. Values are compared by address: `current` must be the
    /// very value that the map returned, not one that is equal to it.
    ///
    /// # Errors
    /// Returns `new` if the current value is not `current`.
    ///
    /// # Panics
    /// Panics and aborts as [`insert`](Self::insert) does.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", 1)]);
    /// let one = map.get("a").unwrap();
    /// assert!(map.compare_exchange("a", Some(&*one), Some(2)).is_ok());
    /// assert_eq!(map.compare_exchange("a", Some(&*one), Some(3)).unwrap_err(), Some(3));
    /// // Inserts only if the key is absent.
    /// assert!(map.compare_exchange("b", None, Some(4)).is_ok());
    /// ```
    #[track_caller]
    pub fn compare_exchange(
        &self,
        key: impl AsRef<[u8]>,
        current: Option<&T>,
        new: Option<T>,
    ) -> Result<Option<Ref<'_, T>>, Option<T>> {
        let key = key.as_ref();
        let exchanged = self.change(|at| {
            let expected = match current {
                None => Expected::Absent,
                Some(current) => {
                    match at.get(key).filter(|found| std::ptr::eq(found.get(), current)) {
                        Some(found) => found.expected(),
                        None => return Err(Ok(new)),
                    }
                }
            };
            let Change { before, after } = at.change(key, expected, new).map_err(Err)?;
            after.map(|_| before).map_err(Ok)
        });
        match exchanged {
            Ok(before) => Ok(before),
            Err(Ok(new)) => Err(new),
            Err(Err(error)) => fail(error),
        }
    }

    /// Replaces the value of `key` by what `f` returns for the current one, as one atomic
    /// step, and returns the value after.
    ///
    /// `None` stands for no value. `f` runs without a lock, so it may call the map. It runs
    /// again if another thread changed the value in the meantime.
    ///
    /// # Panics
    /// Panics if `f` does; the map is then unchanged. Also panics and aborts as
    /// [`insert`](Self::insert) does. The same holds for [`update`](Self::update) and
    /// [`remove_if`](Self::remove_if).
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", 1)]);
    /// assert_eq!(*map.compute("a", |value| value.map(|value| value + 1)).unwrap(), 2);
    /// let or_ten = |value: Option<&u64>| Some(value.copied().unwrap_or(10));
    /// assert_eq!(*map.compute("b", or_ten).unwrap(), 10);
    /// assert!(map.compute("a", |_| None).is_none());
    /// ```
    #[track_caller]
    pub fn compute(
        &self,
        key: impl AsRef<[u8]>,
        f: impl FnMut(Option<&T>) -> Option<T>,
    ) -> Option<Ref<'_, T>> {
        or_fail(self.change(|at| Ok(at.compute(key.as_ref(), f)?.1)))
    }

    /// Replaces the value of `key`, if there is one, and returns the value before.
    ///
    /// `f` is treated as in [`compute`](Self::compute).
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", 1)]);
    /// assert_eq!(*map.update("a", |value| value + 1).unwrap(), 1);
    /// assert!(map.update("b", |value| value + 1).is_none());
    /// ```
    #[track_caller]
    pub fn update(&self, key: impl AsRef<[u8]>, mut f: impl FnMut(&T) -> T) -> Option<Ref<'_, T>> {
        let f = |value: Option<&T>| value.map(&mut f);
        or_fail(self.change(|at| Ok(at.compute(key.as_ref(), f)?.0)))
    }

    /// Returns the value of `key`, after inserting `f()` if it was absent.
    ///
    /// `f` runs once at most, and without a lock. If another thread stores a value in the
    /// meantime, that value is returned, and the one of `f` is dropped.
    ///
    /// # Panics
    /// Panics and aborts as [`insert`](Self::insert) does.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", 1)]);
    /// assert_eq!(*map.get_or_insert_with("a", || 7), 1);
    /// assert_eq!(*map.get_or_insert_with("b", || 7), 7);
    /// ```
    #[track_caller]
    pub fn get_or_insert_with(&self, key: impl AsRef<[u8]>, f: impl FnOnce() -> T) -> Ref<'_, T> {
        let key = key.as_ref();
        let found = self.change(|at| {
            let found = at.get(key);
            if found.is_some() {
                return Ok(found);
            }
            let Change { before, after } = at.change(key, Expected::Absent, Some(f()))?;
            Ok(after.unwrap_or(before))
        });
        or_fail(found).expect("a value was found or stored")
    }

    /// Removes `key` if `f` returns `true` for its value, and returns the value removed.
    ///
    /// `f` is treated as in [`compute`](Self::compute).
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", 1)]);
    /// assert!(map.remove_if("a", |value| *value > 1).is_none());
    /// assert_eq!(*map.remove_if("a", |value| *value == 1).unwrap(), 1);
    /// ```
    #[track_caller]
    pub fn remove_if(
        &self,
        key: impl AsRef<[u8]>,
        mut f: impl FnMut(&T) -> bool,
    ) -> Option<Ref<'_, T>> {
        let key = key.as_ref();
        or_fail(self.change(|at| {
            let mut seen = at.get(key);
            while let Some(value) = seen.filter(|value| f(value.get())) {
                match at.change(key, value.expected(), None)? {
                    Change { before, after: Ok(_) } => return Ok(before),
                    Change { before, .. } => seen = before,
                }
            }
            Ok(None)
        }))
    }

    /// Removes the least key as one atomic step, and returns it with its value.
    ///
    /// No two threads get the same key.
    ///
    /// # Panics
    /// Aborts when out of memory, as [`remove`](Self::remove) does.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", 1)]);
    /// let (key, value) = map.pop_first().unwrap();
    /// assert_eq!((&key[..], *value), (&b"a"[..], 1));
    /// assert!(map.pop_first().is_none());
    /// ```
    pub fn pop_first(&self) -> Option<(Vec<u8>, Ref<'_, T>)> {
        self.pop(false)
    }

    /// Removes the greatest key as one atomic step, and returns it with its value.
    ///
    /// Otherwise like [`pop_first`](Self::pop_first).
    pub fn pop_last(&self) -> Option<(Vec<u8>, Ref<'_, T>)> {
        self.pop(true)
    }

    fn pop(&self, last: bool) -> Option<(Vec<u8>, Ref<'_, T>)> {
        let mut key = Vec::new();
        let popped = or_fail(self.change(|at| at.pop(last, &mut key)));
        popped.map(|value| (key, value))
    }
}
