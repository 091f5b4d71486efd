//! Folders for tests that must run one at a time.

use super::test_path::TestPath;
use std::fs;
use std::ops::Deref;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A folder of the only test that runs, removed on drop.
///
/// It is in memory where that is possible: a sync takes no time there.
pub(crate) struct LoneFolder {
    path: TestPath,
    _alone: MutexGuard<'static, ()>,
}

impl LoneFolder {
    /// Waits until no other test has such a folder, and makes an empty one.
    pub(crate) fn new(name: &str) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let memory = Path::new("/dev/shm");
        let path = match memory.is_dir() {
            true => TestPath::below(memory, name),
            false => TestPath::new(name),
        };
        fs::create_dir(&path).unwrap();
        LoneFolder { path, _alone: alone }
    }
}

impl Deref for LoneFolder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}
