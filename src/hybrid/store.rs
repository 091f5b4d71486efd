//! `HybridStore`: its operations. How a store is created, opened and saved: open.rs.

#![forbid(unsafe_code)]

use super::change::Change;
use super::compact::Inner;
use super::delta::Delta;
use super::error::{ExchangeError, HybridError};
use super::options::Wal;
use super::scan::{HybridEnds, HybridRange};
use super::stats::{HybridStats, HybridUsage};
use crate::key::{self, Prefixed};
use crate::reclaim;
use crate::sync::deferred;
use crate::tree::{Expected, Outcome};
use parking_lot::Mutex;
use std::fmt;
use std::ops::RangeBounds;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;

/// Writes of a stripe of threads between two checks whether a compaction is due.
const WRITES_PER_CHECK: usize = 256;
/// Keys that a batched lookup looks up in one state.
const KEYS_PER_GROUP: usize = 1024;

/// A large map from byte strings to `u64` that is mostly read and still changes.
///
/// It has a [`FrozenLayer`](crate::FrozenLayer) as its base, and over it a *delta*: a
/// [`ConcurrentArt`](crate::ConcurrentArt) with the changes since the base was built. Any number of
/// threads read and write it through `&self`.
///
/// Reads ask the delta first, then the base. [`compact`](Self::compact) merges both into a new base
/// while other threads read and write; it reuses the chunks of the base in which nothing changed. A
/// background thread compacts when the changes take too much: see
/// [`HybridOptions`](crate::HybridOptions).
///
/// ```
/// use memkv::{FrozenLayer, HybridStore};
///
/// let store = HybridStore::from(FrozenLayer::from_sorted(&[("a", 1), ("b", 2)])?);
/// store.insert("c", 3)?;
/// store.remove("a")?;
/// assert_eq!((store.get("a"), store.get("b"), store.get("c")), (None, Some(2), Some(3)));
/// store.compact()?;
/// assert!(store.iter().map(|(_, value)| value).eq([2, 3]));
/// assert_eq!(store.stats().delta_keys, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Values are `u64`. To keep a record of any length beside each key, append the records to a file
/// of your own and store their offsets here; records that do not change fit a
/// [`BytesLayer`](crate::BytesLayer) with the same keys.
///
/// # Guarantees
/// * Operations that take one key and ask for it alone are linearizable, as those of a
///   [`ConcurrentArt`](crate::ConcurrentArt) are, also during a compaction. [`HybridRange`] says
///   what a scan returns. Methods that ask for the prefixes of a key, or remove many keys, are no
///   atomic step.
/// * [`len`](Self::len) is exact while no thread writes.
/// * Readers take no lock of the store and never wait for a writer. A reader may have to free
///   retired memory.
/// * Writers of one key wait for each other, and for writers of the few keys whose hash shares a
///   stripe. All writers wait some microseconds while a compaction freezes the delta.
/// * No function of the caller runs under a lock.
///
/// # Durability
/// | store | what a crash loses |
/// |---|---|
/// | in memory | everything |
/// | in memory, [saved](Self::save) to a folder | changes since the last [`save`](Self::save) |
/// | opened from a folder | see [`Wal`](crate::Wal): by default nothing if the process crashes, and changes since the last [`sync`](Self::sync) or [`compact`](Self::compact) if the machine does |
///
/// After a crash every change that was kept is present. Later changes may or may not be present.
/// Each key has the state of some moment since its last change that was kept.
///
/// [`close`](Self::close), or a drop, leaves a mark in the log. If it has the mark, all that is
/// missing or altered is damage, and an error when the folder is opened.
/// [`Recovery`](crate::Recovery) says what can be told apart otherwise.
///
/// **Warning:** a read may return a change that is not on disk yet.
///
/// A folder is open for writing in one place at a time: the store holds a lock of the operating
/// system on it. It may be [read](Self::open_read_only) in others. After the folder was removed, or
/// its file `LOCK` removed or replaced, `sync`, `compact` and `close` fail at once. In the modes
/// `Written` and `Synced` writes fail at the latest 10 ms later.
///
/// # Forked processes
/// A store in a folder belongs to the process that opened it. In a fork of it, writes, `sync`,
/// `compact`, `save` and `close` return [`Forked`](HybridError::Forked), and a drop does nothing.
/// The folder is unlocked when the store is dropped in its own process, also while a fork lives.
///
/// # Memory
/// A store takes the memory of its base and its changes. The base is read into memory. A compaction
/// also takes the new base, and some megabytes for each of its threads while it runs. The old base
/// is freed once no thread reads it.
///
/// **Warning:** writers are not slowed down if they add changes faster than compaction merges them.
///
/// # Source
/// O'Neil et al.: "The log-structured merge-tree", 1996, with two components.
/// [`store_format`](crate::store_format) describes the files of a folder.
pub struct HybridStore {
    pub(super) inner: Arc<Inner>,
    /// The last thread that compacted in the background.
    pub(super) worker: Mutex<Option<JoinHandle<()>>>,
    pub(super) is_closed: bool,
}

impl HybridStore {
    /// Returns the value of `key`.
    ///
    /// ```
    /// let store = memkv::HybridStore::new();
    /// store.insert("a", 1)?;
    /// assert_eq!(store.get("a"), Some(1));
    /// assert_eq!(store.get("b"), None);
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    #[inline]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<u64> {
        self.inner.core.get(key.as_ref())
    }

    /// Returns whether `key` is present.
    #[inline]
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> bool {
        self.get(key).is_some()
    }

    /// Returns the values of many keys, in the order of `keys`.
    ///
    /// The lookups are interleaved so that their cache misses overlap. Each lookup is atomic by
    /// itself, not all of them together.
    ///
    /// ```
    /// let store = memkv::HybridStore::new();
    /// store.insert("a", 1)?;
    /// assert_eq!(store.get_many(&["b", "a"]), [None, Some(1)]);
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Option<u64>> {
        let mut values = Vec::with_capacity(keys.len());
        for group in keys.chunks(KEYS_PER_GROUP) {
            self.inner.core.with(|state| {
                let mut changes = state.delta.get_many(group);
                if let Some(frozen_delta) = &state.frozen_delta {
                    let unknown: Vec<&[u8]> = unknown_keys(group, &changes).collect();
                    fill_unknown(&mut changes, frozen_delta.get_many(&unknown));
                }
                let unknown: Vec<&[u8]> = unknown_keys(group, &changes).collect();
                let found = state.base.get_many(&unknown).into_iter();
                fill_unknown(&mut changes, found.map(|value| Some(value.into())));
                values.extend(changes.into_iter().map(|change| change.and_then(Change::value)));
            });
        }
        values
    }

    /// Stores `value` under `key`. Returns the value that it replaces.
    ///
    /// # Errors
    /// All methods that write return an error if
    ///
    /// * the key is over the limit or memory is lacking: the store is unchanged;
    /// * the log cannot be written: see [`HybridError::Log`];
    /// * a compaction in the background has failed since the last write: the store is unchanged.
    ///   See [`HybridOptions::on_failure`](crate::HybridOptions::on_failure).
    ///
    /// ```
    /// let store = memkv::HybridStore::new();
    /// assert_eq!(store.insert("a", 1)?, None);
    /// assert_eq!(store.insert("a", 2)?, Some(1));
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    pub fn insert(&self, key: impl AsRef<[u8]>, value: u64) -> Result<Option<u64>, HybridError> {
        Ok(self.change(key.as_ref(), Expected::Any, Some(value))?.old)
    }

    /// Removes `key`. Returns its value.
    ///
    /// # Errors
    /// Returns the errors of [`insert`](Self::insert).
    ///
    /// ```
    /// let store = memkv::HybridStore::new();
    /// store.insert("a", 1)?;
    /// assert_eq!(store.remove("a")?, Some(1));
    /// assert_eq!(store.remove("a")?, None);
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    pub fn remove(&self, key: impl AsRef<[u8]>) -> Result<Option<u64>, HybridError> {
        Ok(self.change(key.as_ref(), Expected::Any, None)?.old)
    }

    /// Stores, replaces or removes a value if the current one is `current`, as one atomic step.
    ///
    /// `None` means no value. Returns the value before.
    ///
    /// # Errors
    /// Returns the current value if it is not `current`, and the errors of
    /// [`insert`](Self::insert).
    ///
    /// ```
    /// use memkv::{ExchangeError, HybridStore};
    ///
    /// let store = HybridStore::new();
    /// assert_eq!(store.compare_exchange("a", None, Some(1))?, None);
    /// assert_eq!(store.compare_exchange("a", Some(1), Some(2))?, Some(1));
    /// match store.compare_exchange("a", Some(1), Some(3)) {
    ///     Err(ExchangeError::Current(value)) => assert_eq!(value, Some(2)),
    ///     other => panic!("{other:?}"),
    /// }
    /// # Ok::<(), memkv::ExchangeError>(())
    /// ```
    pub fn compare_exchange(
        &self,
        key: impl AsRef<[u8]>,
        current: Option<u64>,
        new: Option<u64>,
    ) -> Result<Option<u64>, ExchangeError> {
        let Outcome { old, done } =
            self.change(key.as_ref(), current.map_or(Expected::Absent, Expected::Value), new)?;
        if done { Ok(old) } else { Err(ExchangeError::Current(old)) }
    }

    /// Replaces the value of `key` with what `f` computes from it, as one atomic step. Returns the
    /// values before and after.
    ///
    /// `None` means no value. `f` runs without a lock, and runs again if another thread changed the
    /// value. So it may call the store, and it may panic: nothing is changed then. If it returns
    /// the value that it got, nothing is written.
    ///
    /// # Errors
    /// Returns the errors of [`insert`](Self::insert).
    ///
    /// # Panics
    /// Panics if `f` panics.
    ///
    /// ```
    /// let store = memkv::HybridStore::new();
    /// assert_eq!(store.compute("a", |count| Some(count.unwrap_or(0) + 1))?, (None, Some(1)));
    /// assert_eq!(store.compute("a", |count| Some(count.unwrap_or(0) + 1))?, (Some(1), Some(2)));
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    pub fn compute(
        &self,
        key: impl AsRef<[u8]>,
        mut f: impl FnMut(Option<u64>) -> Option<u64>,
    ) -> Result<(Option<u64>, Option<u64>), HybridError> {
        let key = key.as_ref();
        let mut seen = self.get(key);
        loop {
            let new = f(seen);
            if new == seen {
                return Ok((seen, new));
            }
            match self.change(key, seen.map_or(Expected::Absent, Expected::Value), new)? {
                Outcome { done: true, .. } => return Ok((seen, new)),
                Outcome { old, .. } => seen = old,
            }
        }
    }

    pub(super) fn change(
        &self,
        key: &[u8],
        expected: Expected<u64>,
        new: Option<u64>,
    ) -> Result<Outcome<u64>, HybridError> {
        self.inner.check_writable()?;
        self.inner.check_background()?;
        let outcome = self.inner.core.change(key, expected, new.into());
        // Only a compaction may mend the log.
        let has_failed = matches!(outcome, Err(HybridError::Log(_)));
        if self.inner.core.is_nth_write(WRITES_PER_CHECK) || has_failed {
            self.compact_if_over();
        }
        outcome
    }

    /// Starts a thread that compacts, if a compaction is due and no thread compacts in the
    /// background.
    #[cold]
    pub(super) fn compact_if_over(&self) {
        let inner = &self.inner;
        if !inner.options.background
            || inner.is_busy.load(Relaxed)
            || !inner.is_over()
            || inner.is_busy.swap(true, Relaxed)
        {
            return;
        }
        // Locked until the new thread is stored: it may have ended by then, and another begun.
        let mut worker = self.worker.lock();
        if let Some(before) = worker.take().filter(|worker| !is_current(worker)) {
            // It has ended or is about to, and has recorded a panic.
            let _ = before.join();
        }
        let run = Arc::clone(inner);
        match std::thread::Builder::new().name("memkv-compact".to_owned()).spawn(move || run.run())
        {
            Ok(started) => *worker = Some(started),
            Err(error) => {
                let error = HybridError::Thread(error);
                inner.record(Some(error.to_string()));
                inner.report(&error);
                inner.is_busy.store(false, Relaxed);
            }
        }
    }

    /// Returns an iterator over all keys and values, ascending; from the back, descending.
    ///
    /// ```
    /// let store = memkv::HybridStore::new();
    /// store.insert("b", 2)?;
    /// store.insert("a", 1)?;
    /// assert!(store.iter().eq([(b"a".to_vec(), 1), (b"b".to_vec(), 2)]));
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    pub fn iter(&self) -> HybridRange<'_> {
        self.range::<[u8], _>(..)
    }

    /// Returns an iterator over the keys of a range and their values, ascending; from the back,
    /// descending. A range whose end is below its start is empty.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1), ("b", 2), ("c", 3)])?;
    /// let store = memkv::HybridStore::from(layer);
    /// assert!(store.range("b"..).map(|(_, v)| v).eq([2, 3]));
    /// assert!(store.range("a"..="b").rev().map(|(_, v)| v).eq([2, 1]));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn range<K: AsRef<[u8]> + ?Sized, R: RangeBounds<K>>(&self, range: R) -> HybridRange<'_> {
        let (start, end) = key::bounds(&range);
        HybridRange::new(HybridEnds::new(&self.inner.core, start, end))
    }

    /// Returns an iterator over the keys that begin with `prefix`, and their values.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1), ("ab", 2), ("b", 3)])?;
    /// let store = memkv::HybridStore::from(layer);
    /// assert_eq!(store.prefix("a").count(), 2);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> HybridRange<'_> {
        self.range(Prefixed::by(&prefix))
    }

    /// Returns the least key and its value.
    ///
    /// It has the guarantees of a scan: it is not one atomic step.
    pub fn first_key_value(&self) -> Option<(Vec<u8>, u64)> {
        self.iter().next()
    }

    /// Returns the greatest key and its value. See [`first_key_value`](Self::first_key_value).
    pub fn last_key_value(&self) -> Option<(Vec<u8>, u64)> {
        self.iter().next_back()
    }

    /// Returns the number of keys. Exact while no thread writes. O(1).
    pub fn len(&self) -> usize {
        self.inner.core.len()
    }

    /// Returns whether [`len`](Self::len) is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Merges all changes made before the call into the base.
    ///
    /// Returns once the new base is in use and, if the store has a folder, on disk. Other threads
    /// read and write during a compaction. Waits for a compaction that is in progress.
    ///
    /// # Complexity
    /// O(changes), and O(bytes of the base) to copy what did not change. If the store has a folder,
    /// the whole base is written. The base is built anew, with new symbols, if more than half as
    /// many keys were changed as it has, or if it has over four times the keys that it had when its
    /// symbols were found.
    ///
    /// # Errors
    /// Returns an error if a thread cannot be started or the folder cannot be written. No change is
    /// lost: the next compaction tries again.
    ///
    /// ```
    /// let store = memkv::HybridStore::new();
    /// store.insert("a", 1)?;
    /// store.compact()?;
    /// assert_eq!((store.stats().base_keys, store.stats().delta_keys), (1, 0));
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    pub fn compact(&self) -> Result<(), HybridError> {
        self.inner.check_writable()?;
        self.check_home()?;
        self.inner.compact()
    }

    /// Returns an error if the store's folder is gone.
    fn check_home(&self) -> Result<(), HybridError> {
        self.inner.home.as_ref().map_or(Ok(()), |(home, _)| home.check())
    }

    /// Returns once all changes made before the call are on disk. Without a log it
    /// [compacts](Self::compact).
    ///
    /// # Errors
    /// Returns an error if the log cannot be written or the compaction fails, and
    /// [`NotInFolder`](HybridError::NotInFolder) if the store is in memory.
    pub fn sync(&self) -> Result<(), HybridError> {
        self.inner.check_writable()?;
        match &self.inner.home {
            None => Err(HybridError::NotInFolder),
            Some((_, Wal::Off)) => self.compact(),
            Some(_) => self.sync_logs(),
        }
    }

    fn sync_logs(&self) -> Result<(), HybridError> {
        let (previous, current) = self.inner.core.with(|state| {
            let log = |delta: &Arc<Delta>| delta.log().cloned();
            (state.frozen_delta.as_ref().and_then(log), log(&state.delta))
        });
        previous.into_iter().chain(current).try_for_each(|log| log.sync())
    }

    /// Waits for a background compaction, syncs the log, and marks it as closed. Drops the store.
    ///
    /// A drop does the same, and ignores errors. Without a log, changes since the last compaction
    /// are lost.
    ///
    /// # Errors
    /// Returns an error if the log cannot be written, or the last compaction in the background has
    /// failed and no write has returned that.
    pub fn close(mut self) -> Result<(), HybridError> {
        self.shut()
    }

    fn shut(&mut self) -> Result<(), HybridError> {
        if std::mem::replace(&mut self.is_closed, true) {
            return Ok(());
        }
        if let Err(error) = self.inner.check_process() {
            // Another thread of the other process may have held a lock of what would be dropped,
            // and the worker is not in this process.
            std::mem::forget((Arc::clone(&self.inner), self.worker.get_mut().take()));
            return Err(error);
        }
        // A value of another map may own the store. It may then be dropped by the store's own
        // thread, or by the thread of a store whose owner this store's thread is about to drop. In
        // both cases the compaction is not awaited: it ends by itself, and until then the folder is
        // in use.
        let worker = self.worker.get_mut().take();
        match worker.filter(|worker| !is_current(worker) && !deferred::is_in_scope()) {
            Some(worker) => _ = worker.join(),
            None if self.inner.is_busy.load(Relaxed) => return self.sync_logs(),
            None => {}
        }
        let closed = self.close_log();
        // Retired memory may refer to the folder for longer.
        if let Some((home, _)) = &self.inner.home {
            home.unlock();
        }
        closed.and_then(|()| self.inner.check_background())
    }

    fn close_log(&self) -> Result<(), HybridError> {
        let log = self.inner.core.with(|state| state.delta.log().cloned());
        let Some(log) = log else { return self.check_home() };
        self.sync_logs()?;
        log.close()
    }

    /// Frees retired memory that can be freed: see
    /// [`ConcurrentArt::reclaim`](crate::ConcurrentArt::reclaim).
    ///
    /// It neither compacts nor writes a file.
    pub fn reclaim(&self) {
        self.inner.core.snapshot().delta.reclaim();
        reclaim::reclaim();
    }

    /// Returns the sizes of the store, and what compactions did.
    pub fn stats(&self) -> HybridStats {
        self.inner.stats()
    }

    /// Returns the memory that the store takes. O(chunks).
    ///
    /// ```
    /// let pairs: Vec<(String, u64)> =
    ///     (0..10_000).map(|i| (format!("https://example.org/{i:05}"), i)).collect();
    /// let store = memkv::HybridStore::from(memkv::FrozenLayer::from_sorted(&pairs)?);
    /// let usage = store.memory_usage();
    /// assert!(usage.base < 10 * store.len() && usage.delta < 10_000);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn memory_usage(&self) -> HybridUsage {
        self.inner.usage()
    }
}

/// Returns the keys for which no change has been found.
fn unknown_keys<'k, K: AsRef<[u8]>>(
    keys: &'k [K],
    changes: &[Option<Change>],
) -> impl Iterator<Item = &'k [u8]> {
    keys.iter().zip(changes).filter(|(_, change)| change.is_none()).map(|(key, _)| key.as_ref())
}

/// Fills in what was found for the [unknown keys](unknown_keys).
fn fill_unknown(changes: &mut [Option<Change>], found: impl IntoIterator<Item = Option<Change>>) {
    changes
        .iter_mut()
        .filter(|change| change.is_none())
        .zip(found)
        .for_each(|(change, found)| *change = found);
}

/// Returns whether `worker` is the current thread.
fn is_current(worker: &JoinHandle<()>) -> bool {
    worker.thread().id() == std::thread::current().id()
}

impl Drop for HybridStore {
    /// Closes the store, as [`close`](Self::close) does, and ignores errors.
    fn drop(&mut self) {
        let _ = self.shut();
    }
}

impl<'s> IntoIterator for &'s HybridStore {
    type Item = (Vec<u8>, u64);
    type IntoIter = HybridRange<'s>;

    fn into_iter(self) -> HybridRange<'s> {
        self.iter()
    }
}

impl fmt::Debug for HybridStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HybridStore")
            .field("len", &self.len())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
