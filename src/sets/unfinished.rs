//! What a build has begun to write, for a program that is told to end.

use crate::io::dir::Dir;
use parking_lot::{Mutex, MutexGuard};
use std::fmt;
use std::mem;
use std::sync::Arc;

/// The names that stay when the parts belong to the set: that of the file whose lock is held.
pub(super) const LOCKS: usize = 1;

/// The files that a [`LayerSetBuilder`](crate::LayerSetBuilder) has begun, which another thread can
/// remove while the builder works: one that handles signals, after which the builder is not
/// dropped. Returned by [`LayerSetBuilder::unfinished`](crate::LayerSetBuilder::unfinished).
///
/// A clone is for the same build. After the builder is finished or dropped there are no files.
#[derive(Clone)]
pub struct UnfinishedSet {
    dir: Arc<Dir>,
    /// Locked while the builder begins a file, and while it replaces the manifest.
    names: Arc<Mutex<Vec<String>>>,
}

impl UnfinishedSet {
    pub(super) fn new(dir: Arc<Dir>, lock: String) -> Self {
        UnfinishedSet { dir, names: Arc::new(Mutex::new(vec![lock])) }
    }

    /// Returns the names of the files, a temporary name before the one that it is renamed to. No
    /// file is removed or begun until the names are dropped.
    pub(super) fn names(&self) -> MutexGuard<'_, Vec<String>> {
        self.names.lock()
    }

    /// Removes the files, and stops the builder. If the builder is replacing the manifest, it waits
    /// for that, and the set is then complete.
    ///
    /// **Warning:** a call in which the builder would begin another file, and
    /// [`finish`](crate::LayerSetBuilder::finish), do not return after this. So it is for a process
    /// that is about to end.
    ///
    /// ```
    /// use memkv::{LayerSetBuilder, SetOptions};
    ///
    /// # let folder = std::env::temp_dir().join(format!("memkv-set-part-{}", std::process::id()));
    /// let mut builder = LayerSetBuilder::create(&folder, SetOptions::new().keys_per_part(1))?;
    /// builder.insert("a", 1)?;
    /// builder.insert("b", 2)?;
    /// builder.unfinished().remove();
    /// assert_eq!(std::fs::read_dir(&folder)?.count(), 0);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove(&self) {
        let names = self.names();
        // A builder may rename the file of one name to the next one until that is removed.
        names.iter().for_each(|name| self.dir.remove(name));
        mem::forget(names);
    }
}

impl fmt::Debug for UnfinishedSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnfinishedSet").field("folder", &self.dir.path()).finish_non_exhaustive()
    }
}
