//! The open folder of a store, and the lock that keeps other stores out.

#![forbid(unsafe_code)]

use super::error::HybridError;
use super::frame;
use crate::error::FileError;
use crate::frozen::format;
use crate::io::dir::{Access, Dir};
use crate::io::new_file::is_unfinished;
use crate::io::process::Process;
use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) const MANIFEST: &str = "MANIFEST";
const LOCK: &str = "LOCK";

/// Whether a folder may become a store's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Create {
    /// A missing or empty folder may.
    IfEmpty,
    /// It has to be a store's.
    Never,
}

/// A store's folder, locked for the process that opened it.
pub(super) struct Home {
    dir: Arc<Dir>,
    lock: File,
    process: Process,
}

impl Home {
    /// Opens a folder and locks it until this value is dropped or the process ends.
    pub(super) fn lock(path: &Path, create: Create) -> Result<Self, HybridError> {
        let dir = Arc::new(open(path, create)?);
        loop {
            let lock = dir.file(LOCK, Access::Create)?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(HybridError::InUse { folder: path.to_owned() });
                }
                Err(TryLockError::Error(error)) => {
                    return Err(FileError::new("lock", dir.path_of(LOCK), error).into());
                }
            }
            // The file may have been removed before it was locked.
            if dir.has(LOCK, &lock)? {
                return Ok(Home { dir, lock, process: Process::current() });
            }
        }
    }

    pub(super) fn dir(&self) -> &Arc<Dir> {
        &self.dir
    }

    /// Returns an error unless the folder is this process's, and still has the file that is locked.
    pub(super) fn check(&self) -> Result<(), HybridError> {
        self.check_process()?;
        if self.is_home()? { Ok(()) } else { Err(self.gone()) }
    }

    /// Returns whether the folder still has the file that is locked.
    pub(super) fn is_home(&self) -> Result<bool, FileError> {
        self.dir.has(LOCK, &self.lock)
    }

    pub(super) fn gone(&self) -> HybridError {
        HybridError::Gone { folder: self.dir.path().to_owned() }
    }

    /// Returns an error in a fork of the process that opened the store.
    pub(super) fn check_process(&self) -> Result<(), HybridError> {
        if self.process.is_current() { Ok(()) } else { Err(HybridError::Forked) }
    }
}

impl Home {
    /// Unlocks, although a forked process may have the file open. Such a process does not unlock.
    pub(super) fn unlock(&self) {
        if self.process.is_current() {
            let _ = self.lock.unlock();
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.unlock();
    }
}

/// Opens a folder, if it is a store's or may become one.
fn open(path: &Path, create: Create) -> Result<Dir, HybridError> {
    let not_a_store = || HybridError::NotAStore { folder: path.to_owned() };
    let dir = match Dir::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match create {
            Create::IfEmpty => Dir::create(path)?,
            Create::Never => return Err(not_a_store()),
        },
        dir => dir?,
    };
    let names = dir.names()?;
    let is_ours = |name: &String| name == LOCK || is_leftover(name);
    if is_store(&dir, &names) || create == Create::IfEmpty && names.iter().all(is_ours) {
        Ok(dir)
    } else {
        Err(not_a_store())
    }
}

/// Opens a store's folder for reading. Creates and locks nothing.
pub(super) fn open_to_read(path: &Path) -> Result<Dir, HybridError> {
    open(path, Create::Never)
}

/// Returns whether a folder with these names is a store's. Without a manifest it is a damaged one,
/// unless other programs' files have the names of layers and logs.
fn is_store(dir: &Dir, names: &[String]) -> bool {
    let has = |name: &str| names.iter().any(|other| other == name);
    let files = StoreFiles::of(names);
    let (mut layers, mut logs) =
        (files.layers.into_iter().map(layer_name), files.logs.into_iter().map(log_name));
    let begins = |name: String, magic: &[u8; 8]| {
        let mut start = [0; 8];
        let read = dir.file(&name, Access::Read).map(|mut file| file.read_exact(&mut start));
        matches!(read, Ok(Ok(()))) && start == *magic
    };
    has(MANIFEST)
        || layers.any(|name| has(LOCK) || begins(name, format::MAGIC))
        || logs.any(|name| has(LOCK) || begins(name, frame::MAGIC))
}

/// The numbers of a folder's layers and logs, in order.
pub(super) struct StoreFiles {
    pub(super) layers: Vec<u64>,
    pub(super) logs: Vec<u64>,
    /// The ends that were cut off logs, of each log in the order of their frames.
    pub(super) cuts: Vec<CutName>,
}

/// The name of the end that was cut off a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CutName {
    pub(super) log: u64,
    /// The number of its first frame, which the next frame of the log has too.
    pub(super) frame: u32,
    /// Among those with the same numbers, from 1 on.
    pub(super) nth: u32,
}

impl fmt::Display for CutName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "log-{}.cut-{}-{}", self.log, self.frame, self.nth)
    }
}

impl StoreFiles {
    pub(super) fn of(names: &[String]) -> Self {
        let numbers = |kind: &str| {
            let number = |name: &String| {
                let number: u64 = name.strip_prefix(kind)?.parse().ok()?;
                // Not "+1", nor "01".
                (*name == format!("{kind}{number}")).then_some(number)
            };
            let mut numbers: Vec<u64> = names.iter().filter_map(number).collect();
            numbers.sort_unstable();
            numbers
        };
        let cut = |name: &String| {
            let (log, frame) = name.strip_prefix("log-")?.split_once(".cut-")?;
            let (frame, nth) = frame.split_once('-')?;
            let [frame, nth] = [frame.parse().ok()?, nth.parse().ok()?];
            let cut = CutName { log: log.parse().ok()?, frame, nth };
            (*name == cut.to_string()).then_some(cut)
        };
        let mut cuts: Vec<CutName> = names.iter().filter_map(cut).collect();
        cuts.sort_unstable();
        StoreFiles { layers: numbers("layer-"), logs: numbers("log-"), cuts }
    }
}

pub(super) fn layer_name(number: u64) -> String {
    format!("layer-{number}")
}

pub(super) fn log_name(number: u64) -> String {
    format!("log-{number}")
}

/// Returns whether a file is one that a crash left unfinished, in this version or an earlier one.
pub(super) fn is_leftover(name: &str) -> bool {
    is_unfinished(name) || is_leftover_of_1(name)
}

/// Returns whether a file is one that a crash left unfinished in version 1, which locked none.
pub(super) fn is_leftover_of_1(name: &str) -> bool {
    let starts = ["MANIFEST.", "layer-", "log-"];
    starts.iter().any(|start| name.starts_with(start)) && name.ends_with(".tmp")
}

/// Returns the error of a file that is missing, or another that kept it from being read.
pub(super) fn missing(file: PathBuf, error: FileError) -> HybridError {
    if error.kind() == io::ErrorKind::NotFound {
        HybridError::Missing { file }
    } else {
        error.into()
    }
}
