//! Removal of files that no manifest names.

use super::builder::build_of;
use super::error::SetError;
use super::join::MEMBER;
use super::layer_set::LayerSet;
use super::manifest::{LOCK, MANIFEST, Manifest};
use crate::error::FileError;
use crate::frozen::LayerValue;
use crate::io::dir::{Access, Dir};
use crate::io::new_file::{has_unfinished, remove_unfinished};
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

impl<V: LayerValue + ?Sized + 'static> LayerSet<V> {
    /// Removes the parts in the folder that the manifest on disk does not name: those of sets that
    /// were replaced, and those of builds that ended without finishing. Returns their paths.
    ///
    /// A part stays until it and the manifest were written longer ago than `older_than`. Before
    /// that, readers may have the manifest before this one, which may name the part.
    ///
    /// A file that cannot be removed stays, and is not among them. Parts of a build that goes on in
    /// a process of this machine stay. Only files with names that
    /// [`LayerSetBuilder`](crate::LayerSetBuilder) gives are removed, in the folder of the set and
    /// in those of [members](Self::join) whose names begin with `member-`.
    ///
    /// **Warning:** a reader that opened the set before it was replaced gets an error for a part
    /// that is removed before the reader has opened it. So `older_than` should be longer than
    /// readers go on without a [`refresh`](Self::refresh), and, where other machines build in the
    /// same folder, longer than a build.
    ///
    /// # Errors
    /// The folder or its manifest cannot be read.
    ///
    /// ```
    /// use memkv::{LayerSet, SetOptions};
    /// use std::time::Duration;
    ///
    /// # let folder = std::env::temp_dir().join(format!("memkv-set-old-{}", std::process::id()));
    /// SetOptions::new().build_external(&folder, [("a", 1)])?;
    /// SetOptions::new().build_external(&folder, [("a", 2)])?;
    /// let set = LayerSet::open(&folder)?;
    /// assert_eq!(set.vacuum(Duration::from_secs(3600))?.len(), 0);
    /// assert_eq!(set.vacuum(Duration::ZERO)?.len(), 1);
    /// assert_eq!(set.get("a")?, Some(2));
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn vacuum(&self, older_than: Duration) -> Result<Vec<PathBuf>, SetError> {
        let dir = &self.parts.dir;
        let mut vacuum = Vacuum { set: dir, older_than, removed: Vec::new() };
        vacuum.clean(dir, "")?;
        for member in dir.names()?.iter().filter(|name| name.starts_with(MEMBER)) {
            // Another process may have removed it.
            let Ok(folder) = Dir::open(&dir.path_of(member)) else { continue };
            let is_needed = vacuum.clean(&folder, &format!("{member}/"))?;
            if !is_needed && vacuum.is_old_member(&folder) {
                [MANIFEST, LOCK].iter().for_each(|name| folder.remove(name));
                // It stays if anything else is in it.
                let _ = std::fs::remove_dir(folder.path());
            }
        }
        Ok(vacuum.removed)
    }
}

/// The removal of what is old.
struct Vacuum<'s> {
    /// The folder of the set, whose manifest says what is needed.
    set: &'s Dir,
    older_than: Duration,
    removed: Vec<PathBuf>,
}

impl Vacuum<'_> {
    /// Removes what is old in a folder whose parts have paths that begin with `start`. Returns
    /// whether something in it is needed, or may be.
    fn clean(&mut self, dir: &Dir, start: &str) -> Result<bool, SetError> {
        remove_unfinished(dir)?;
        // A part is written before the manifest that names it. So those that are found first, and
        // are not named then, belong to builds that go on or to none.
        let names = dir.names()?;
        let builds: HashSet<&str> = names.iter().filter_map(|name| build_of(name)).collect();
        let going_on: HashSet<&str> =
            builds.into_iter().filter(|build| has_unfinished(dir, build)).collect();
        let (manifest, _) = Manifest::read(self.set)?;
        let named: HashSet<&str> =
            manifest.parts.iter().filter_map(|part| part.path.strip_prefix(start)).collect();
        // Read after its content: it may be that of a later manifest.
        if !self.is_old(self.set, MANIFEST)? {
            return Ok(true);
        }
        let mut is_needed = !going_on.is_empty();
        for name in &names {
            let Some(build) = build_of(name) else { continue };
            let is_kept = named.contains(&**name) || going_on.contains(build);
            // Another process may have removed it.
            let is_old = || self.is_old(dir, name).unwrap_or(false);
            if !is_kept && is_old() && dir.try_remove(name) {
                self.removed.push(dir.path_of(name));
            } else {
                is_needed = true;
            }
        }
        Ok(is_needed)
    }

    /// Returns whether a member was completed, or its build ended, longer ago than the limit.
    fn is_old_member(&self, member: &Dir) -> bool {
        self.is_old(member, MANIFEST).unwrap_or_else(|_| {
            // It has none, so its build has failed, or is about to begin.
            let metadata = std::fs::metadata(member.path());
            let written = metadata.and_then(|metadata| metadata.modified());
            written.is_ok_and(|written| self.is_past(written))
        })
    }

    /// Returns whether a file was written longer ago than the limit.
    fn is_old(&self, dir: &Dir, name: &str) -> Result<bool, FileError> {
        let metadata = dir.file(name, Access::Read)?.metadata();
        let written = metadata.and_then(|metadata| metadata.modified());
        let written = written.map_err(|error| FileError::new("read", dir.path_of(name), error))?;
        Ok(self.is_past(written))
    }

    fn is_past(&self, written: SystemTime) -> bool {
        let age = SystemTime::now().duration_since(written).unwrap_or_default();
        age >= self.older_than
    }
}
