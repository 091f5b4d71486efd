//! Stores are created, opened from a folder, and saved to one.

#![forbid(unsafe_code)]

use super::compact::{Compactor, Inner};
use super::error::HybridError;
use super::folder::Folder;
use super::options::HybridOptions;
use super::state::Core;
use super::store::HybridStore;
use crate::FrozenLayer;
use crate::tree::Expected;
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

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
        let inner = Inner {
            core: Core::new(base, keys),
            options,
            compactor: Mutex::new(Compactor { folder: None, trained_keys: keys }),
            totals: Mutex::default(),
            is_busy: AtomicBool::new(false),
            replayed: AtomicU64::new(0),
            failed: Mutex::new(None),
        };
        HybridStore { inner: Arc::new(inner), worker: Mutex::new(None) }
    }

    /// Opens the store in a folder. Creates the folder if it is missing.
    ///
    /// Reads the base into memory, verifies it, and replays the log, which is read into memory too.
    ///
    /// # Errors
    /// Returns an error if
    ///
    /// * the folder is already open;
    /// * the folder cannot be read or written;
    /// * a file in it is missing or damaged: the folder is then left unchanged. An incomplete end
    ///   of the log, which a crash leaves, is not damage: it is cut off.
    ///
    /// ```
    /// use memkv::{HybridOptions, HybridStore, Wal};
    ///
    /// # let name = format!("memkv-hybrid-open-{}", std::process::id());
    /// # let folder = std::env::temp_dir().join(name);
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

    /// Opens the store in a folder, as [`open`](Self::open) does, with options.
    ///
    /// # Errors
    /// Returns the errors of [`open`](Self::open), or an error if an option is out of range.
    pub fn open_with(
        folder: impl AsRef<Path>,
        options: HybridOptions,
    ) -> Result<Self, HybridError> {
        options.check()?;
        let (mut folder, base) = Folder::open(folder.as_ref(), options.wal)?;
        let store = Self::of(base.unwrap_or_else(empty), options);
        let core = &store.inner.core;
        let (replayed, bytes) =
            folder.replay(|key, change| core.change(key, Expected::Any, change).map(drop))?;
        if let Some(log) = folder.log() {
            core.with(|state| state.delta.log_to(Arc::clone(log) as _));
        }
        store.inner.totals.lock().replayed = replayed;
        store.inner.replayed.store(bytes, Relaxed);
        *store.inner.compactor() =
            Compactor { trained_keys: folder.trained_keys(), folder: Some(folder) };
        // A program that opens the store repeatedly may never make enough writes for a check.
        store.compact_if_over();
        Ok(store)
    }

    /// Saves the content of the store to a folder, in place of the store that the folder holds.
    ///
    /// The folder then has all changes made before the call, and may have some that were made
    /// during it. First it compacts; if the folder is this store's own, that is all.
    ///
    /// # Errors
    /// Returns an error if the compaction fails or the folder cannot be written. On error the
    /// folder holds the old or the new state, never a mix.
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
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<(), HybridError> {
        let folder = folder.as_ref();
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

fn empty() -> FrozenLayer {
    FrozenLayer::from_sorted::<&[u8]>(&[]).expect("the default options are valid")
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
