//! Paths for the files and folders that tests make.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A path that no other test has, at which nothing is at first.
///
/// The file or the folder that the test makes there is removed on drop.
pub(crate) struct TestPath(PathBuf);

impl TestPath {
    /// Returns a path in the folder for temporary files.
    pub(crate) fn new(name: &str) -> Self {
        Self::below(&std::env::temp_dir(), name)
    }

    /// Returns a path in another folder.
    pub(crate) fn below(parent: &Path, name: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let (tests, process) = (env!("CARGO_CRATE_NAME"), std::process::id());
        let count = COUNT.fetch_add(1, Relaxed);
        let path = TestPath(parent.join(format!("memkv-{tests}-{process}-{count}-{name}")));
        // A process that had the same id may have left something.
        path.remove();
        path
    }

    fn remove(&self) {
        let _ = fs::remove_dir_all(&self.0).or_else(|_| fs::remove_file(&self.0));
    }
}

impl Deref for TestPath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for TestPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for TestPath {
    fn drop(&mut self) {
        self.remove();
    }
}
