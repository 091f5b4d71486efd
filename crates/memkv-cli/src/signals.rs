//! Signals that end the program: what it has begun to write is removed first.

use anyhow::{Context, Result};
use std::{
    path::{Path, PathBuf},
    sync::{Mutex, Once, PoisonError},
};
use tempfile::TempDir;

/// What is not complete: files, and folders with all that is in them.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A path that is removed if a signal ends the program while this lives.
pub(crate) struct Unfinished {
    path: PathBuf,
}

impl Unfinished {
    pub(crate) fn new(path: PathBuf) -> Self {
        static HANDLER: Once = Once::new();
        HANDLER.call_once(handle);
        UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).push(path.clone());
        Self { path }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let mut all = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|path| *path != self.path);
    }
}

/// A temporary folder, which is removed when this is dropped or a signal ends the program.
pub(crate) struct TempFolder {
    folder: TempDir,
    _unfinished: Unfinished,
}

impl TempFolder {
    /// Creates a folder in `parent`, or where the system has its temporary files.
    ///
    /// # Errors
    /// The folder cannot be created.
    pub(crate) fn new(parent: Option<&Path>) -> Result<Self> {
        let folder = match parent {
            Some(parent) => TempDir::new_in(parent),
            None => TempDir::new(),
        };
        let folder = folder.context("cannot create a temporary folder")?;
        let unfinished = Unfinished::new(folder.path().to_owned());
        Ok(Self { folder, _unfinished: unfinished })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Starts a thread that waits for signals. Without it they end the program at once, as ever.
#[cfg(unix)]
fn handle() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM]) else {
        return;
    };
    let wait = move || {
        let Some(signal) = signals.forever().next() else { return };
        // Kept locked: nothing more is begun.
        let unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
        for path in unfinished.iter() {
            // What is left is all that an error can leave.
            let _ = if path.is_dir() {
                std::fs::remove_dir_all(path)
            } else {
                std::fs::remove_file(path)
            };
        }
        let _ = signal_hook::low_level::emulate_default_handler(signal);
    };
    let _ = std::thread::Builder::new().name("signals".to_owned()).spawn(wait);
}

#[cfg(not(unix))]
fn handle() {}
