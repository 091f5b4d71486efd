//! `HybridStore`: what its users call.

#![forbid(unsafe_code)]

use super::compact::{Shared, Work};
use super::error::HybridError;
use super::folder::Folder;
use super::options::HybridOptions;
use super::scan::HybridRange;
use super::state::Core;
use super::stats::{HybridStats, HybridUsage};
use crate::tree::{Expected, Outcome};
use crate::{FrozenLayer, key, reclaim};
use parking_lot::Mutex;
use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;

/// Writes of a stripe of threads between two looks at whether it is time to compact.
const LOOK: usize = 256;
/// Keys of a batch lookup in one state.
const PART: usize = 1024;

/// A large map of byte strings to `u64` that is mostly read and still changes: a [`FrozenLayer`] as its base, and over it a
/// [`ConcurrentArt`](crate::ConcurrentArt) with what was changed since. Any number of threads read and write it at a time, through `&self`.
///
/// Reads ask the changes first, then the base. [`compact`](Self::compact) makes a new base of both while reads and writes go on; chunks of the base in
/// which nothing was changed are taken over as they are. A thread of its own does so when the changes take too much: see [`HybridOptions`].
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
/// # Guarantees
/// * Operations that take one key are linearizable, as those of a [`ConcurrentArt`](crate::ConcurrentArt) are, also while parts are
///   replaced. What a scan yields is said at [`HybridRange`].
/// * [`len`](Self::len) is exact when nobody writes.
/// * Readers take no lock of the store and never wait for a writer; now and then one frees retired memory. Writers of one key, and of a few
///   others whose hash is alike, wait for each other; all of them wait for the moment in which a compaction seals the changes, which is
///   some microseconds. No function of the caller's runs under a lock.
///
/// # What lasts
/// A store that was not opened from a folder is in memory only: a folder that it was [saved](Self::save) to has what was there then, and
/// nothing of what is written later, until it is saved again. One that was opened from a folder keeps there what was there when the last
/// [`compact`](Self::compact) began, in the background or not. Later changes are in memory only, **unless** there is a log
/// ([`Wal`](crate::Wal)): then they are on the disk when the write has returned ([`Wal::Synced`](crate::Wal)), or a later
/// [`sync`](Self::sync). Reads may see a change that is not on the disk yet.
///
/// Whenever the process or the machine ends, the folder opens to what it was promised to have, and of each key to the state of some moment not
/// before that. A folder is open in one place at a time, which a lock of the system's sees to.
///
/// # Memory
/// Base and changes, nothing else: the base is read into memory. A compaction takes the new base, and for the time of its work some megabytes
/// for each of its threads; the old base is freed when the last reader lets go of it. Nothing keeps writers from adding changes
/// faster than compaction merges them.
///
/// # Source
/// O'Neil et al.: "The log-structured merge-tree", 1996, with two components.
pub struct HybridStore {
    shared: Arc<Shared>,
    /// The last thread that compacted in the background.
    worker: Mutex<Option<JoinHandle<()>>>,
}

impl HybridStore {
    /// An empty store in memory.
    ///
    /// ```
    /// let store = memkv::HybridStore::new();
    /// assert!(store.is_empty());
    /// ```
    pub fn new() -> Self {
        Self::of(empty(), HybridOptions::new())
    }

    /// An empty store in memory, with some options.
    ///
    /// # Errors
    /// An option is outside what is possible.
    pub fn with_options(options: HybridOptions) -> Result<Self, HybridError> {
        Self::with_base(empty(), options)
    }

    /// A store in memory over a layer, with some options. O(1).
    ///
    /// # Errors
    /// An option is outside what is possible.
    pub fn with_base(base: FrozenLayer, options: HybridOptions) -> Result<Self, HybridError> {
        options.check()?;
        Ok(Self::of(base, options))
    }

    fn of(base: FrozenLayer, options: HybridOptions) -> Self {
        let keys = base.len();
        let shared = Shared {
            core: Core::new(base, keys),
            options,
            work: Mutex::new(Work { folder: None, trained: keys }),
            done: Mutex::default(),
            is_busy: AtomicBool::new(false),
            replayed: AtomicU64::new(0),
            failed: Mutex::new(None),
        };
        HybridStore { shared: Arc::new(shared), worker: Mutex::new(None) }
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Opens the store in a folder, which is made if it is not there. Reads the base into memory, verifies it, and replays the log, for which that is in
    /// memory, too.
    ///
    /// # Errors
    /// The folder is open already, or cannot be read or written; or a file in it is missing, or damaged: then the folder is left as it is. What a crash left of the log's end is
    /// no damage, and cut off.
    ///
    /// ```
    /// use memkv::{HybridOptions, HybridStore, Wal};
    ///
    /// # let folder = std::env::temp_dir().join(format!("memkv-hybrid-open-{}", std::process::id()));
    /// let store = HybridStore::open_with(&folder, HybridOptions::new().wal(Wal::Synced))?;
    /// store.insert("a", 1)?;
    /// drop(store);
    /// assert_eq!(HybridStore::open(&folder)?.get("a"), Some(1));
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, HybridError> {
        Self::open_with(folder, HybridOptions::new())
    }

    /// [`open`](Self::open) with some options.
    ///
    /// # Errors
    /// As there; or an option is outside what is possible.
    pub fn open_with(
        folder: impl AsRef<Path>,
        options: HybridOptions,
    ) -> Result<Self, HybridError> {
        options.check()?;
        let (mut folder, base) = Folder::open(folder.as_ref(), options.wal)?;
        let store = Self::of(base.unwrap_or_else(empty), options);
        let core = &store.shared.core;
        let (replayed, bytes) =
            folder.replay(|key, change| core.change(key, Expected::Any, change).map(drop))?;
        if let Some(log) = folder.log() {
            core.with(|state| state.delta.log_to(Arc::clone(log) as _));
        }
        store.shared.done.lock().replayed = replayed;
        store.shared.replayed.store(bytes, Relaxed);
        *store.shared.work() = Work { trained: folder.trained(), folder: Some(folder) };
        // Who opens it again and again may never make enough changes to be asked.
        store.compact_if_over();
        Ok(store)
    }

    /// Makes a folder hold the content of this store: all that was written before the call, and perhaps some of what is written meanwhile. The
    /// store that is there is replaced at one moment. Compacts first; and that is all, if the folder is this store's own.
    ///
    /// # Errors
    /// The compaction fails, or the folder cannot be written. It holds then what it held before, or what it should.
    ///
    /// ```
    /// use memkv::HybridStore;
    ///
    /// # let folder = std::env::temp_dir().join(format!("memkv-hybrid-save-{}", std::process::id()));
    /// let store = HybridStore::new();
    /// store.insert("a", 1)?;
    /// store.save(&folder)?;
    /// assert_eq!(HybridStore::open(&folder)?.get("a"), Some(1));
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<(), HybridError> {
        let folder = folder.as_ref();
        let mut work = self.shared.work();
        self.shared.compact_with(&mut work)?;
        if work.folder.as_ref().is_some_and(|own| own.is(folder)) {
            return Ok(());
        }
        let (base, trained) = (self.shared.core.with(|state| state.base.clone()), work.trained);
        drop(work);
        Folder::save(folder, &base, trained)
    }

    /// The value of `key`.
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
        self.shared.core.get(key.as_ref())
    }

    /// Whether `key` is there.
    #[inline]
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> bool {
        self.get(key).is_some()
    }

    /// The values of many keys, in their order. The lookups of a batch go on together so that their cache misses overlap. Each is atomic by itself, not
    /// all of them together.
    ///
    /// ```
    /// let store = memkv::HybridStore::new();
    /// store.insert("a", 1)?;
    /// assert_eq!(store.get_many(&["b", "a"]), [None, Some(1)]);
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Option<u64>> {
        let mut values = Vec::with_capacity(keys.len());
        for part in keys.chunks(PART) {
            self.shared.core.with(|state| {
                let mut changes = state.delta.get_many(part);
                if let Some(sealed) = &state.sealed {
                    let unknown: Vec<&[u8]> = rest(part, &changes).collect();
                    fill(&mut changes, sealed.get_many(&unknown));
                }
                let unknown: Vec<&[u8]> = rest(part, &changes).collect();
                fill(&mut changes, state.base.get_many(&unknown).into_iter().map(Some));
                values.extend(changes.into_iter().map(Option::flatten));
            });
        }
        values
    }

    /// Stores `value` under `key`, and gives the value it replaces.
    ///
    /// # Errors
    /// The key is over the limit, or there is no memory: the store is then as before. Or the log cannot be written: see [`HybridError::Log`]. So it
    /// is for all methods that write.
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

    /// Removes `key`, and gives its value.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
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

    /// Stores, replaces or removes a value if the current one is `current`, as one atomic step; `None` stands for no value. `Ok` inside has the
    /// value before; `Err` inside the current value, if it is another.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    ///
    /// ```
    /// let store = memkv::HybridStore::new();
    /// assert_eq!(store.compare_exchange("a", None, Some(1))?, Ok(None));
    /// assert_eq!(store.compare_exchange("a", Some(2), Some(3))?, Err(Some(1)));
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    pub fn compare_exchange(
        &self,
        key: impl AsRef<[u8]>,
        current: Option<u64>,
        new: Option<u64>,
    ) -> Result<Result<Option<u64>, Option<u64>>, HybridError> {
        let Outcome { old, done } =
            self.change(key.as_ref(), current.map_or(Expected::Absent, Expected::Value), new)?;
        Ok(if done { Ok(old) } else { Err(old) })
    }

    /// Gives `key` the value that `f` makes of the current one, as one atomic step; `None` stands for no value. Gives the values before
    /// and after.
    ///
    /// `f` runs without a lock, and again where another thread changed the value meanwhile, so it may call the store, and may panic: nothing is
    /// changed then. Where it gives back the value it got, nothing is written.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    ///
    /// # Panics
    /// If `f` does.
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

    fn change(
        &self,
        key: &[u8],
        expected: Expected<u64>,
        new: Option<u64>,
    ) -> Result<Outcome<u64>, HybridError> {
        let outcome = self.shared.core.change(key, expected, new)?;
        if self.shared.core.is_nth_write(LOOK) {
            self.compact_if_over();
        }
        Ok(outcome)
    }

    /// Starts a thread that compacts, if it is time, and none does.
    #[cold]
    fn compact_if_over(&self) {
        let shared = &self.shared;
        if !shared.options.background
            || shared.is_busy.load(Relaxed)
            || !shared.is_over()
            || shared.is_busy.swap(true, Relaxed)
        {
            return;
        }
        // Held until the thread is known: it may have ended by then, and another one begun.
        let mut worker = self.worker.lock();
        if let Some(before) = worker.take().filter(|worker| !is_own(worker)) {
            // It has ended, or is about to, and has noted it if it panicked.
            let _ = before.join();
        }
        let run = Arc::clone(shared);
        match std::thread::Builder::new().name("memkv-compact".to_owned()).spawn(move || run.run())
        {
            Ok(started) => *worker = Some(started),
            Err(error) => {
                shared.note(Some(error.to_string()));
                shared.is_busy.store(false, Relaxed);
            }
        }
    }

    /// All keys and values, ascending; from the back, descending.
    ///
    /// ```
    /// let store = memkv::HybridStore::new();
    /// store.insert("b", 2)?;
    /// store.insert("a", 1)?;
    /// assert!(store.iter().eq([(b"a".to_vec(), 1), (b"b".to_vec(), 2)]));
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    pub fn iter(&self) -> HybridRange<'_> {
        HybridRange::new(&self.shared.core, Bound::Unbounded, Bound::Unbounded)
    }

    /// The keys inside a range of byte strings, with their values; ascending, from the back descending. A range that ends before it begins
    /// is empty.
    ///
    /// ```
    /// let store = memkv::HybridStore::from(memkv::FrozenLayer::from_sorted(&[("a", 1), ("b", 2), ("c", 3)])?);
    /// assert!(store.range("b"..).map(|(_, v)| v).eq([2, 3]));
    /// assert!(store.range("a"..="b").rev().map(|(_, v)| v).eq([2, 1]));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn range<K: AsRef<[u8]> + ?Sized, R: RangeBounds<K>>(&self, range: R) -> HybridRange<'_> {
        let (start, end) = key::bounds(&range);
        HybridRange::new(&self.shared.core, start, end)
    }

    /// The keys that begin with `prefix`, with their values.
    ///
    /// ```
    /// let store = memkv::HybridStore::from(memkv::FrozenLayer::from_sorted(&[("a", 1), ("ab", 2), ("b", 3)])?);
    /// assert_eq!(store.prefix("a").count(), 2);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> HybridRange<'_> {
        let end = key::prefix_end(prefix.as_ref());
        HybridRange::new(
            &self.shared.core,
            Bound::Included(prefix.as_ref()),
            end.as_ref().map(Vec::as_slice),
        )
    }

    /// The least key and its value, by the guarantees of a scan: not as one atomic step.
    pub fn first_key_value(&self) -> Option<(Vec<u8>, u64)> {
        self.iter().next()
    }

    /// The greatest key and its value. As [`first_key_value`](Self::first_key_value), from the other end.
    pub fn last_key_value(&self) -> Option<(Vec<u8>, u64)> {
        self.iter().next_back()
    }

    /// Number of keys; exact when nobody writes. O(1).
    pub fn len(&self) -> usize {
        self.shared.core.len()
    }

    /// Whether there is no key, as [`len`](Self::len) says.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Merges all changes that were made before the call into the base, and returns when that is done; in a folder, when it is on the disk. Others read
    /// and write meanwhile. Waits for a compaction that is under way.
    ///
    /// O(changes) and O(bytes of the base) for copying what did not change; in a folder, all of the base is written. Where half as many
    /// keys were changed as the base has, or it has four times as many as when its symbols were found, all is built anew, with new symbols.
    ///
    /// # Errors
    /// A thread cannot be started, or the folder cannot be written. Nothing is lost: the next compaction tries again.
    ///
    /// ```
    /// let store = memkv::HybridStore::new();
    /// store.insert("a", 1)?;
    /// store.compact()?;
    /// assert_eq!((store.stats().base_keys, store.stats().delta_keys), (1, 0));
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    pub fn compact(&self) -> Result<(), HybridError> {
        self.shared.compact()
    }

    /// Returns when all changes that were made before the call are on the disk: in the log, if there is one. Without one it does nothing.
    ///
    /// # Errors
    /// The log cannot be written.
    pub fn sync(&self) -> Result<(), HybridError> {
        let (sealed, delta) = self.shared.core.with(|state| {
            let journal = |delta: &Arc<super::delta::Delta>| delta.journal().cloned();
            (state.sealed.as_ref().and_then(journal), journal(&state.delta))
        });
        sealed
            .into_iter()
            .chain(delta)
            .try_for_each(|journal| journal.sync())
            .map_err(HybridError::Log)
    }

    /// Frees what can be freed: see [`ConcurrentArt::flush`](crate::ConcurrentArt::flush). Does not compact, and writes no file.
    pub fn reclaim(&self) {
        self.shared.core.parts().delta.flush();
        reclaim::reclaim();
    }

    /// Sizes, and what compactions did.
    pub fn stats(&self) -> HybridStats {
        self.shared.stats()
    }

    /// What the store takes, in bytes. O(chunks).
    ///
    /// ```
    /// let pairs: Vec<(String, u64)> = (0..10_000).map(|i| (format!("https://example.org/{i:05}"), i)).collect();
    /// let store = memkv::HybridStore::from(memkv::FrozenLayer::from_sorted(&pairs)?);
    /// let usage = store.memory_usage();
    /// assert!(usage.base < 10 * store.len() && usage.delta < 10_000);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn memory_usage(&self) -> HybridUsage {
        self.shared.usage()
    }
}

/// The keys about which nothing is known yet.
fn rest<'k, K: AsRef<[u8]>>(
    keys: &'k [K],
    changes: &[Option<Option<u64>>],
) -> impl Iterator<Item = &'k [u8]> {
    keys.iter().zip(changes).filter(|(_, change)| change.is_none()).map(|(key, _)| key.as_ref())
}

/// Fills in what was found about those.
fn fill(changes: &mut [Option<Option<u64>>], found: impl IntoIterator<Item = Option<Option<u64>>>) {
    changes
        .iter_mut()
        .filter(|change| change.is_none())
        .zip(found)
        .for_each(|(change, found)| *change = found);
}

fn empty() -> FrozenLayer {
    FrozenLayer::from_sorted::<&[u8]>(&[]).expect("the default options are possible")
}

impl Default for HybridStore {
    fn default() -> Self {
        Self::new()
    }
}

impl From<FrozenLayer> for HybridStore {
    /// A store in memory over the layer. O(1).
    fn from(base: FrozenLayer) -> Self {
        Self::of(base, HybridOptions::new())
    }
}

/// Whether this is the thread.
fn is_own(worker: &std::thread::JoinHandle<()>) -> bool {
    worker.thread().id() == std::thread::current().id()
}

impl Drop for HybridStore {
    /// Waits for a compaction in the background, and writes what waits in the log's memory, as far as that goes: [`sync`](Self::sync) reports errors.
    fn drop(&mut self) {
        // A value of another map that owns the store may be dropped by the store's own thread, or by that of a store whose owner this one's thread
        // is about to drop. Then the compaction comes to its end by itself; until then a folder is in use.
        if let Some(worker) = self
            .worker
            .get_mut()
            .take()
            .filter(|worker| !is_own(worker) && !crate::sync::deferred::is_in_scope())
        {
            let _ = worker.join();
        }
        let _ = self.sync();
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
