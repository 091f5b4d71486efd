//! A store's folder.
//!
//! ```text
//!   MANIFEST     ┌ "memkvHYB" ┬ version ┬ flags ┬ number of the layer ┬ its bytes ┬ its keys ┬ first log ┬ keys when symbols were found ┬ CRC-32 ┐
//!   layer-7      the base, a frozen layer. Number 0: there is none
//!   log-12       the changes since, oldest first: see log.rs. Flag 1: the first one is there
//!   log-13
//!   LOCK         empty; whoever has the folder open holds the system's lock on it
//! ```
//! Numbers are little-endian, of 8 bytes; version, flags and checksum of 4. Files but logs are written under other names, brought to the disk, and
//! renamed. The manifest is renamed last; what it does not name is removed afterwards, or when the folder is next opened. So
//! at any moment the folder is as before a compaction, or as after it.

#![forbid(unsafe_code)]

use super::delta::Change;
use super::error::HybridError;
use super::journal::Journal;
use super::log::{self, Found, Log};
use super::options::Wal;
use crate::io::new_file::{NewFile, sync_folder};
use crate::testing::failpoint;
use crate::{FrozenError, FrozenLayer};
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const MAGIC: &[u8; 8] = b"memkvHYB";
const VERSION: u32 = 1;
const HAS_LOG: u32 = 1;
const BYTES: usize = 60;

/// What the manifest says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Manifest {
    layer: u64,
    layer_bytes: u64,
    layer_keys: u64,
    first_log: u64,
    trained: u64,
    has_log: bool,
}

/// A folder that a store is in.
pub(super) struct Folder {
    path: PathBuf,
    manifest: Manifest,
    wal: Wal,
    /// The log of the changes of now, or the number that the next log will have.
    log: Result<Arc<Log>, u64>,
    /// Keeps others out.
    _lock: File,
}

/// Makes the folder if it is not there, and locks it until the file is closed, however the process ends.
fn lock(folder: &Path) -> Result<File, HybridError> {
    let made: Vec<&Path> = folder
        .ancestors()
        .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
        .collect();
    std::fs::create_dir_all(folder)?;
    made.into_iter().try_for_each(sync_folder)?;
    let file =
        File::options().create(true).truncate(false).write(true).open(folder.join("LOCK"))?;
    // A process that any thread starts has the lock of a folder closed meanwhile, until it runs its own program.
    for _ in 0..50 {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(2)),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
    Err(HybridError::InUse { folder: folder.to_owned() })
}

impl Manifest {
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(if self.has_log { HAS_LOG } else { 0 }).to_le_bytes());
        for word in [self.layer, self.layer_bytes, self.layer_keys, self.first_log, self.trained] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    fn read(file: &Path) -> Result<Option<Self>, HybridError> {
        let damaged = |part| HybridError::Damaged { file: file.to_owned(), part };
        let bytes = match std::fs::read(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let half = |at: usize| {
            bytes
                .get(at..)
                .and_then(|rest| rest.first_chunk())
                .map_or(0, |word| u32::from_le_bytes(*word))
        };
        let word = |at: usize| {
            bytes
                .get(at..)
                .and_then(|rest| rest.first_chunk())
                .map_or(0, |word| u64::from_le_bytes(*word))
        };
        if bytes.get(..8) != Some(&MAGIC[..]) {
            return Err(damaged("header"));
        }
        if half(8) != VERSION {
            return Err(HybridError::Version { file: file.to_owned(), found: half(8) });
        }
        let manifest = Manifest {
            layer: word(16),
            layer_bytes: word(24),
            layer_keys: word(32),
            first_log: word(40),
            trained: word(48),
            has_log: half(12) == HAS_LOG,
        };
        if bytes.len() != BYTES || manifest.to_bytes() != bytes {
            return Err(damaged("content"));
        }
        Ok(Some(manifest))
    }

    /// Writes the manifest of an empty store to a folder.
    fn begin(folder: &Path) -> io::Result<Self> {
        let manifest = Manifest { first_log: 1, ..Manifest::default() };
        manifest.write(folder)?;
        Ok(manifest)
    }

    fn write(self, folder: &Path) -> io::Result<()> {
        let mut file = NewFile::create(&folder.join("MANIFEST"))?;
        file.write(&self.to_bytes())?;
        file.commit()
    }
}

/// The numbers of the folder's layers and logs.
fn numbers(folder: &Path) -> io::Result<(Vec<u64>, Vec<u64>)> {
    let (mut layers, mut logs) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let Some((kind, number)) = name.to_str().and_then(|name| name.split_once('-')) else {
            continue;
        };
        let Some(number) = number.parse().ok() else { continue };
        match kind {
            "layer" => layers.push(number),
            "log" => logs.push(number),
            _ => {}
        }
    }
    logs.sort_unstable();
    Ok((layers, logs))
}

/// Whether a file is one that a crash left unfinished.
fn is_unfinished(name: &str) -> bool {
    let ours = ["MANIFEST.", "layer-", "log-"].iter().any(|start| name.starts_with(start));
    ours && name.ends_with(".tmp")
}

impl Folder {
    fn layer_path(&self, number: u64) -> PathBuf {
        self.path.join(format!("layer-{number}"))
    }

    fn log_path(&self, number: u64) -> PathBuf {
        self.path.join(format!("log-{number}"))
    }

    /// Opens a folder, or makes it, and reads its base. Nothing that is there is changed unless all of it is understood.
    pub(super) fn open(path: &Path, wal: Wal) -> Result<(Self, Option<FrozenLayer>), HybridError> {
        let lock = lock(path)?;
        let file = path.join("MANIFEST");
        let manifest = match Manifest::read(&file)? {
            Some(manifest) => manifest,
            None => {
                let (layers, logs) = numbers(path)?;
                if !layers.is_empty() || !logs.is_empty() {
                    return Err(HybridError::Missing { file });
                }
                Manifest::begin(path)?
            }
        };
        let folder = Folder {
            path: path.to_owned(),
            manifest,
            wal,
            log: Err(manifest.first_log),
            _lock: lock,
        };
        let base = if manifest.layer == 0 { None } else { Some(folder.read_layer()?) };
        Ok((folder, base))
    }

    fn read_layer(&self) -> Result<FrozenLayer, HybridError> {
        let file = self.layer_path(self.manifest.layer);
        let bytes = match std::fs::metadata(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(HybridError::Missing { file });
            }
            metadata => metadata?.len(),
        };
        let layer = FrozenLayer::open(&file)
            .map_err(|error| HybridError::Base { file: Some(file.clone()), error })?;
        if bytes != self.manifest.layer_bytes || layer.len() as u64 != self.manifest.layer_keys {
            return Err(HybridError::Damaged { file, part: "content, which is another layer's," });
        }
        Ok(layer)
    }

    /// Hands on what the logs say, in order, and says how many changes that was, and of how many bytes. Then begins a log for what follows,
    /// if there is to be one.
    pub(super) fn replay(
        &mut self,
        mut then: impl FnMut(&[u8], Change) -> Result<(), HybridError>,
    ) -> Result<(u64, u64), HybridError> {
        let (layers, logs) = numbers(&self.path)?;
        let first = self.manifest.first_log;
        let current: Vec<u64> = logs.iter().copied().filter(|&number| number >= first).collect();
        if self.manifest.has_log && current.is_empty() {
            return Err(HybridError::Missing { file: self.log_path(first) });
        }
        let mut found: Vec<Found> = Vec::new();
        for (expected, &number) in (first..).zip(&current) {
            if number != expected {
                return Err(HybridError::Missing { file: self.log_path(expected) });
            }
            let log = log::replay(&self.log_path(number), number, &mut then)?;
            // Nothing is written to a log before the one before it has ended.
            if let Some(before) = found.last().filter(|before| !before.ended && log.frames > 0) {
                return Err(HybridError::Damaged { file: before.path.clone(), part: "end" });
            }
            found.push(log);
        }
        let next = first + current.len() as u64;
        if found.last().is_some_and(|last| last.ended) {
            return Err(HybridError::Missing { file: self.log_path(next) });
        }
        self.log = Err(next);
        if self.wal != Wal::Off {
            self.begin_log(next, &found)?;
        }
        let stale_logs =
            logs.iter().filter(|&&number| number < first).map(|&number| self.log_path(number));
        let stale = layers
            .iter()
            .filter(|&&number| number != self.manifest.layer)
            .map(|&number| self.layer_path(number));
        stale.chain(stale_logs).for_each(remove);
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(is_unfinished) {
                remove(entry.path());
            }
        }
        Ok(found.iter().fold((0, 0), |(notes, bytes), log| (notes + log.notes, bytes + log.len)))
    }

    /// Goes on with the last log if nothing is in it, or with a new one, and ends those before.
    fn begin_log(&mut self, next: u64, found: &[Found]) -> Result<(), HybridError> {
        let synced = self.wal == Wal::Synced;
        let (log, before) = match found.split_last() {
            Some((last, before)) if last.frames == 0 => {
                (Log::append_to(&last.path, next - 1, synced, None)?, before)
            }
            _ => (Log::create(&self.log_path(next), next, synced, None)?, found),
        };
        for found in before.iter().filter(|found| !found.ended) {
            found.end()?;
        }
        self.log = Ok(Arc::new(log));
        if !self.manifest.has_log {
            self.manifest.has_log = true;
            self.manifest.write(&self.path)?;
        }
        Ok(())
    }

    /// The log of the changes of now.
    pub(super) fn log(&self) -> Option<&Arc<Log>> {
        self.log.as_ref().ok()
    }

    /// Creates the log of the changes to come, if there is to be one.
    pub(super) fn next_log(&self) -> Result<Option<Arc<Log>>, HybridError> {
        let Ok(log) = &self.log else { return Ok(None) };
        let number = log.number() + 1;
        // One that a failed compaction left behind has nothing in it.
        remove(self.log_path(number));
        let next = Log::create(
            &self.log_path(number),
            number,
            self.wal == Wal::Synced,
            Some(Arc::clone(log)),
        )?;
        Ok(Some(Arc::new(next)))
    }

    /// The changes of now are sealed, and this log takes those to come.
    pub(super) fn rotate(&mut self, next: Option<Arc<Log>>) {
        if let Some(next) = next {
            self.log = Ok(next);
        }
    }

    /// Keys that the base had when its symbols were found.
    pub(super) fn trained(&self) -> usize {
        self.manifest.trained as usize
    }

    /// Whether the logs have nothing that is not in the base.
    pub(super) fn is_settled(&self) -> bool {
        match &self.log {
            Ok(log) => log.number() == self.manifest.first_log && log.bytes() == 0,
            Err(next) => *next == self.manifest.first_log,
        }
    }

    /// Writes a base with all changes but those in the log of now, and then the manifest that names it.
    pub(super) fn land(&mut self, base: &FrozenLayer, trained: usize) -> Result<(), HybridError> {
        let before = self.manifest;
        let number = before.layer + 1;
        let file = self.layer_path(number);
        let bytes = base.save(&file).and_then(|()| Ok(std::fs::metadata(&file)?.len()));
        let layer_bytes = bytes.map_err(|error| match error {
            FrozenError::Io(error) => HybridError::Io(error),
            error => HybridError::Base { file: Some(file), error },
        })?;
        let first_log = self.log.as_ref().map_or_else(|next| *next, |log| log.number());
        let manifest = Manifest {
            layer: number,
            layer_bytes,
            layer_keys: base.len() as u64,
            first_log,
            trained: trained as u64,
            has_log: self.log.is_ok(),
        };
        manifest.write(&self.path)?;
        self.manifest = manifest;
        if let Ok(log) = &self.log {
            log.forget_previous();
        }
        if before.layer != 0 {
            remove(self.layer_path(before.layer));
        }
        (before.first_log..first_log).for_each(|number| remove(self.log_path(number)));
        Ok(())
    }

    /// Whether a path leads here.
    pub(super) fn is(&self, path: &Path) -> bool {
        match (self.path.canonicalize(), path.canonicalize()) {
            (Ok(a), Ok(b)) => a == b,
            _ => false,
        }
    }

    /// Makes a folder hold just a base, whatever store was there before.
    pub(super) fn save(path: &Path, base: &FrozenLayer, trained: usize) -> Result<(), HybridError> {
        let lock = lock(path)?;
        let (layers, logs) = numbers(path)?;
        // Without a manifest, a layer that is left when the process ends would make the folder one that does not open.
        if layers.is_empty() && logs.is_empty() && !path.join("MANIFEST").exists() {
            Manifest::begin(path)?;
        }
        // Numbers that no file has yet, so that what is there stays whole until the manifest changes.
        let layer = layers.iter().max().copied().unwrap_or(0);
        let first_log = logs.last().map_or(1, |last| last + 1);
        let mut folder = Folder {
            path: path.to_owned(),
            manifest: Manifest { layer, first_log, ..Manifest::default() },
            wal: Wal::Off,
            log: Err(first_log),
            _lock: lock,
        };
        folder.land(base, trained)?;
        let stale = layers.into_iter().map(|number| folder.layer_path(number));
        stale.chain(logs.into_iter().map(|number| folder.log_path(number))).for_each(remove);
        Ok(())
    }
}

/// Removes a file that is of no use any more. Where that fails, the next to open the folder tries again.
fn remove(path: PathBuf) {
    failpoint::point();
    let _ = std::fs::remove_file(path);
}
