//! Stores are created, opened from a folder, and saved to one.

#![forbid(unsafe_code)]

use super::compact::{Compactor, Inner};
use super::error::HybridError;
use super::folder::{Folder, empty};
use super::home::Create;
use super::options::HybridOptions;
use super::reader::{Content, Reader, put};
use super::recovery::Recovery;
use super::state::Core;
use super::store::HybridStore;
use crate::FrozenLayer;
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

impl HybridStore {
    /// Creates an empty in-memory store.
    ///
    /// ```
    /// let store = memkv::HybridStore::new();
    /// assert!(store.is_empty());
    /// ```
    pub fn new() -> Self {
        Self::of(empty(), HybridOptions::new())
    }

    /// Creates an empty in-memory store with options.
    ///
    /// # Errors
    /// Returns an error if an option is out of range.
    pub fn with_options(options: HybridOptions) -> Result<Self, HybridError> {
        Self::with_base(empty(), options)
    }

    /// Creates an in-memory store over a layer, with options. O(1).
    ///
    /// # Errors
    /// Returns an error if an option is out of range.
    pub fn with_base(base: FrozenLayer, options: HybridOptions) -> Result<Self, HybridError> {
        options.check()?;
        Ok(Self::of(base, options))
    }

    fn of(base: FrozenLayer, options: HybridOptions) -> Self {
        let keys = base.len();
        Self::of_core(Core::new(base, keys), options)
    }

    /// Creates an in-memory store with this content.
    pub(super) fn of_core(core: Core<FrozenLayer>, options: HybridOptions) -> Self {
        let trained_keys = core.with(|state| state.base.len());
        let compactor = Compactor { folder: None, reader: None, trained_keys };
        Self::from_inner(Inner::new(core, options, compactor))
    }

    fn from_inner(inner: Inner) -> Self {
        HybridStore { inner: Arc::new(inner), worker: Mutex::new(None), is_closed: false }
    }

    /// Opens the store in a folder. Creates it in a folder that is missing or empty.
    ///
    /// A write to the store is kept if the process crashes: see [`Wal`](crate::Wal).
    ///
    /// Reads the base into memory, verifies it, and replays the log, which is read into memory too.
    /// All later work goes to the folder that was opened, also if it is renamed or another takes
    /// its path; on systems other than Unix, to its absolute path.
    ///
    /// # Errors
    /// Returns an error if
    ///
    /// * the folder is already open for writing;
    /// * the folder has other files and no store;
    /// * the folder cannot be read or written;
    /// * a file in it is missing or damaged: the folder is then left unchanged. An incomplete end
    ///   of the log, which a crash leaves, is not damage: it is cut off, and
    ///   [`recovery`](Self::recovery) names it. [`recover`](Self::recover) reads what is whole of a
    ///   damaged store.
    ///
    /// An end that has several frames may be damage after all. It is kept in a file of its own,
    /// [`CutEnd::kept`](crate::CutEnd::kept), and `recover` reads what is whole of it too.
    ///
    /// ```
    /// use memkv::HybridStore;
    ///
    /// # let name = format!("memkv-hybrid-open-{}", std::process::id());
    /// # let folder = std::env::temp_dir().join(name);
    /// let store = HybridStore::open(&folder)?;
    /// store.insert("a", 1)?;
    /// store.close()?;
    /// assert_eq!(HybridStore::open(&folder)?.get("a"), Some(1));
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, HybridError> {
        Self::open_with(folder, HybridOptions::new())
    }

    /// Opens the store in a folder, as [`open`](Self::open) does, with options.
    ///
    /// # Errors
    /// Returns the errors of [`open`](Self::open), or an error if an option is out of range.
    pub fn open_with(
        folder: impl AsRef<Path>,
        options: HybridOptions,
    ) -> Result<Self, HybridError> {
        Self::open_folder(folder.as_ref(), Create::IfEmpty, options)
    }

    /// Opens the store in a folder, as [`open_with`](Self::open_with) does, but creates none.
    ///
    /// # Errors
    /// Returns the errors of [`open_with`](Self::open_with), and
    /// [`NotAStore`](HybridError::NotAStore) if the folder is missing or has no store.
    pub fn open_existing(
        folder: impl AsRef<Path>,
        options: HybridOptions,
    ) -> Result<Self, HybridError> {
        Self::open_folder(folder.as_ref(), Create::Never, options)
    }

    fn open_folder(
        path: &Path,
        create: Create,
        options: HybridOptions,
    ) -> Result<Self, HybridError> {
        options.check()?;
        let (mut folder, base) = Folder::open(path, create, options.wal)?;
        let keys = base.len();
        let core = Core::new(base, keys);
        let replayed = folder.replay(|key, change| put(&core, key, change))?;
        if let Some(log) = folder.log() {
            core.with(|state| state.delta.log_to(Arc::clone(log) as _));
        }
        let home = Some((Arc::clone(folder.home()), folder.wal()));
        let trained_keys = folder.trained_keys();
        let compactor = Compactor { folder: Some(folder), reader: None, trained_keys };
        let mut inner = Inner::new(core, options, compactor);
        inner.home = home;
        inner.recovery = replayed.recovery;
        inner.replayed = AtomicU64::new(replayed.bytes);
        inner.totals.lock().replayed = inner.recovery.replayed;
        let store = Self::from_inner(inner);
        // A program that opens the store repeatedly may never make enough writes for a check.
        store.compact_if_over();
        Ok(store)
    }

    /// Opens the store in a folder for reading, beside the process that has it open, or none.
    ///
    /// Needs no permission to write, and creates, changes and locks no file. Reads the base into
    /// memory and verifies it, as [`open`](Self::open) does.
    ///
    /// # Guarantees
    /// The store has a prefix of the writes that returned in the process that writes, in their
    /// order in the log, with at least all that were synced before the call. In the modes `Written`
    /// and `Synced` these are all that returned before the call. [`refresh`](Self::refresh) reads
    /// later ones. An incomplete end of the log is a write in progress.
    ///
    /// # Errors
    /// Returns an error if the folder has no store, or a file is missing or damaged. Writes to the
    /// store return [`ReadOnly`](HybridError::ReadOnly).
    ///
    /// ```
    /// use memkv::HybridStore;
    ///
    /// # let name = format!("memkv-hybrid-read-{}", std::process::id());
    /// # let folder = std::env::temp_dir().join(name);
    /// let store = HybridStore::open(&folder)?;
    /// let reader = HybridStore::open_read_only(&folder)?;
    /// store.insert("a", 1)?;
    /// assert_eq!(reader.get("a"), None);
    /// reader.refresh()?;
    /// assert_eq!(reader.get("a"), Some(1));
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open_read_only(folder: impl AsRef<Path>) -> Result<Self, HybridError> {
        let (reader, content) = Reader::open(folder.as_ref())?;
        let Content { core, recovery, trained_keys } = content;
        let compactor = Compactor { folder: None, reader: Some(reader), trained_keys };
        let options = HybridOptions::new().background(false);
        let mut inner = Inner::new(core, options, compactor);
        inner.is_read_only = true;
        inner.recovery = recovery;
        inner.totals.lock().replayed = inner.recovery.replayed;
        Ok(Self::from_inner(inner))
    }

    /// Reads what was written to the folder since the store was opened for reading, or last
    /// refreshed. Other threads may read during the call; they see its changes one by one, or all
    /// at once if the writer has compacted.
    ///
    /// # Complexity
    /// O(bytes that were added to the log), or O(bytes of the folder) if the writer has compacted.
    ///
    /// # Errors
    /// Returns the errors of [`open_read_only`](Self::open_read_only). The store then keeps what it
    /// had, and perhaps some of the later changes. Returns [`NotReadOnly`](HybridError::NotReadOnly)
    /// if the store was not opened by it.
    pub fn refresh(&self) -> Result<(), HybridError> {
        // Before a lock that a compaction may hold, in a forked process for ever.
        if !self.inner.is_read_only {
            return Err(HybridError::NotReadOnly);
        }
        let mut compactor = self.inner.compactor();
        let reader = compactor.reader.as_mut().ok_or(HybridError::NotReadOnly)?;
        if let Some(content) = reader.refresh(&self.inner.core)? {
            self.inner.core.adopt(&content.core);
            compactor.trained_keys = content.trained_keys;
        }
        Ok(())
    }

    /// Returns what the store found in its folder when it was opened.
    pub fn recovery(&self) -> &Recovery {
        &self.inner.recovery
    }

    /// Returns the content of the store as a layer. First it compacts: see
    /// [`compact`](Self::compact). A store that is open for reading does that in memory.
    ///
    /// # Errors
    /// Returns an error if the compaction fails.
    ///
    /// ```
    /// let store = memkv::HybridStore::new();
    /// store.insert("a", 1)?;
    /// assert_eq!(store.to_layer()?.select(0), Some((b"a".to_vec(), 1)));
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    pub fn to_layer(&self) -> Result<FrozenLayer, HybridError> {
        self.inner.check_process()?;
        let mut compactor = self.inner.compactor();
        self.inner.compact_with(&mut compactor)?;
        Ok(self.inner.core.with(|state| state.base.clone()))
    }

    /// Saves the content of the store to a folder, in place of the store that the folder holds.
    ///
    /// The folder then has all changes made before the call, and may have some that were made
    /// during it. First it compacts; if the folder is this store's own, that is all.
    ///
    /// # Errors
    /// Returns an error if the compaction fails, the folder has other files and no store, or it
    /// cannot be written. On error the folder holds the old or the new state, never a mix.
    ///
    /// ```
    /// use memkv::HybridStore;
    ///
    /// # let name = format!("memkv-hybrid-save-{}", std::process::id());
    /// # let folder = std::env::temp_dir().join(name);
    /// let store = HybridStore::new();
    /// store.insert("a", 1)?;
    /// store.save(&folder)?;
    /// assert_eq!(HybridStore::open(&folder)?.get("a"), Some(1));
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<(), HybridError> {
        let folder = folder.as_ref();
        self.inner.check_process()?;
        let mut compactor = self.inner.compactor();
        self.inner.compact_with(&mut compactor)?;
        if compactor.folder.as_ref().is_some_and(|own| own.is(folder)) {
            return Ok(());
        }
        let base = self.inner.core.with(|state| state.base.clone());
        let trained_keys = compactor.trained_keys;
        drop(compactor);
        Folder::save(folder, &base, trained_keys)
    }
}

impl Default for HybridStore {
    /// Creates an empty in-memory store.
    fn default() -> Self {
        Self::new()
    }
}

impl From<FrozenLayer> for HybridStore {
    /// Creates an in-memory store over the layer. O(1).
    fn from(base: FrozenLayer) -> Self {
        Self::of(base, HybridOptions::new())
    }
}
