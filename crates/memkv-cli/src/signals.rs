//! Signals that end the program: what it has begun to write is removed first.

use anyhow::{Context, Result};
use memkv::UnfinishedSet;
use std::{
    path::{Path, PathBuf},
    sync::{Mutex, Once, PoisonError},
};
use tempfile::TempDir;

/// What is not complete, each with a number of its own.
static UNFINISHED: Mutex<Vec<(u64, Begun)>> = Mutex::new(Vec::new());

/// What a command has begun to write.
pub(crate) enum Begun {
    /// A file, or a folder with all that is in it.
    Path(PathBuf),
    /// A set, and its folder if that is new.
    Set(UnfinishedSet, Option<PathBuf>),
}

impl Begun {
    fn remove(&self) {
        // What is left is all that an error can leave.
        let _ = match self {
            Self::Path(path) if path.is_dir() => std::fs::remove_dir_all(path),
            Self::Path(path) => std::fs::remove_file(path),
            Self::Set(set, folder) => {
                set.remove();
                // It stays if it is not empty.
                folder.as_ref().map_or(Ok(()), std::fs::remove_dir)
            }
        };
    }
}

/// What is removed if a signal ends the program while this lives.
pub(crate) struct Unfinished {
    number: u64,
}

impl Unfinished {
    pub(crate) fn new(begun: Begun) -> Self {
        static HANDLER: Once = Once::new();
        HANDLER.call_once(handle);
        let mut all = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
        let number = all.last().map_or(0, |(last, _)| last + 1);
        all.push((number, begun));
        Self { number }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let mut all = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = all.iter().position(|(number, _)| *number == self.number)
            && let Begun::Set(_, Some(folder)) = all.remove(at).1
        {
            // It is empty if the set could not be built, and otherwise it stays.
            let _ = std::fs::remove_dir(folder);
        }
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
        let unfinished = Unfinished::new(Begun::Path(folder.path().to_owned()));
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
        unfinished.iter().for_each(|(_, begun)| begun.remove());
        let _ = signal_hook::low_level::emulate_default_handler(signal);
    };
    let _ = std::thread::Builder::new().name("signals".to_owned()).spawn(wait);
}

#[cfg(not(unix))]
fn handle() {}
