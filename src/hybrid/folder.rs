//! A store's folder.
//!
//! ```text
//!   MANIFEST   ┌ "memkvHYB" ┬ version ┬ flags ┬ layer number ┬ layer bytes ┬ layer keys
//!              ┬ first log ┬ keys when symbols were found ┬ CRC-32 ┐
//!   layer-7    the base, a frozen layer. Number 0: there is none
//!   log-12     the changes since, oldest first: see log.rs. Flag 1: the first log exists
//!   log-13
//!   LOCK       empty; the process that has the folder open holds the system's lock on it
//! ```
//! Numbers are little-endian with 8 bytes; version, flags and checksum have 4. Every file except a
//! log is written under another name, synced, and renamed. The manifest is renamed last. Files that
//! it does not name are removed afterwards, or when the folder is next opened. So the folder always
//! holds either the state before a compaction or the state after it.

#![forbid(unsafe_code)]

use super::change::{Change, ChangeLog};
use super::error::HybridError;
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
const MANIFEST_BYTES: usize = 60;

/// The content of the manifest file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Manifest {
    layer: u64,
    layer_bytes: u64,
    layer_keys: u64,
    first_log: u64,
    trained_keys: u64,
    has_log: bool,
}

/// The folder of a store.
pub(super) struct Folder {
    path: PathBuf,
    manifest: Manifest,
    wal: Wal,
    /// The log of the current changes, or the number of the next log if there is none.
    log: Result<Arc<Log>, u64>,
    /// Keeps other stores out.
    _lock: File,
}

/// Creates the folder if it is missing, and locks it until the file is closed, however the process
/// ends.
fn lock(folder: &Path) -> Result<File, HybridError> {
    let created: Vec<&Path> = folder
        .ancestors()
        .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
        .collect();
    std::fs::create_dir_all(folder)?;
    created.into_iter().try_for_each(sync_folder)?;
    let file =
        File::options().create(true).truncate(false).write(true).open(folder.join("LOCK"))?;
    // A process that is being started has inherited the lock of a folder that was closed since,
    // until it runs its own program.
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
        for word in
            [self.layer, self.layer_bytes, self.layer_keys, self.first_log, self.trained_keys]
        {
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
        let word32 = |at: usize| {
            bytes
                .get(at..)
                .and_then(|rest| rest.first_chunk())
                .map_or(0, |word| u32::from_le_bytes(*word))
        };
        let word64 = |at: usize| {
            bytes
                .get(at..)
                .and_then(|rest| rest.first_chunk())
                .map_or(0, |word| u64::from_le_bytes(*word))
        };
        if bytes.get(..8) != Some(&MAGIC[..]) {
            return Err(damaged("header"));
        }
        if word32(8) != VERSION {
            return Err(HybridError::Version { file: file.to_owned(), found: word32(8) });
        }
        let manifest = Manifest {
            layer: word64(16),
            layer_bytes: word64(24),
            layer_keys: word64(32),
            first_log: word64(40),
            trained_keys: word64(48),
            has_log: word32(12) == HAS_LOG,
        };
        if bytes.len() != MANIFEST_BYTES || manifest.to_bytes() != bytes {
            return Err(damaged("content"));
        }
        Ok(Some(manifest))
    }

    /// Writes the manifest of an empty store to a folder.
    fn write_empty(folder: &Path) -> io::Result<Self> {
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

/// Returns the numbers of the folder's layers, and of its logs in order.
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

/// Returns whether a file is one that a crash left unfinished.
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

    /// Opens or creates a folder, and reads its base. Changes no file before all of them are
    /// verified.
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
                Manifest::write_empty(path)?
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
            return Err(HybridError::Damaged { file, part: "content (of another layer)" });
        }
        Ok(layer)
    }

    /// Passes the changes of the logs to `apply`, in order. Returns their number, and the bytes of
    /// the logs. Then begins a log for further changes unless the mode is `Off`.
    pub(super) fn replay(
        &mut self,
        mut apply: impl FnMut(&[u8], Change) -> Result<(), HybridError>,
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
            let log = log::replay(&self.log_path(number), number, &mut apply)?;
            // A log has frames only after the log before it has ended.
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
        Ok(found
            .iter()
            .fold((0, 0), |(changes, bytes), log| (changes + log.changes, bytes + log.len)))
    }

    /// Continues the last log if it is empty, or creates a new one, and ends those before it.
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

    /// Returns the log of the current changes.
    pub(super) fn log(&self) -> Option<&Arc<Log>> {
        self.log.as_ref().ok()
    }

    /// Creates the log of the next changes, unless there is no log.
    pub(super) fn next_log(&self) -> Result<Option<Arc<Log>>, HybridError> {
        let Ok(log) = &self.log else { return Ok(None) };
        let number = log.number() + 1;
        // A failed compaction may have left this file, which is empty.
        remove(self.log_path(number));
        let next = Log::create(
            &self.log_path(number),
            number,
            self.wal == Wal::Synced,
            Some(Arc::clone(log)),
        )?;
        Ok(Some(Arc::new(next)))
    }

    /// Makes `next` the current log. The delta of the log before it is frozen.
    pub(super) fn rotate(&mut self, next: Option<Arc<Log>>) {
        if let Some(next) = next {
            self.log = Ok(next);
        }
    }

    /// Returns the number of keys that the base had when its symbols were found.
    pub(super) fn trained_keys(&self) -> usize {
        self.manifest.trained_keys as usize
    }

    /// Returns whether the logs have no change that is not in the base.
    pub(super) fn is_merged(&self) -> bool {
        match &self.log {
            Ok(log) => log.number() == self.manifest.first_log && log.bytes() == 0,
            Err(next) => *next == self.manifest.first_log,
        }
    }

    /// Writes a base that has all changes except those in the current log, then the manifest that
    /// names it.
    pub(super) fn install_base(
        &mut self,
        base: &FrozenLayer,
        trained_keys: usize,
    ) -> Result<(), HybridError> {
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
            trained_keys: trained_keys as u64,
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

    /// Returns whether `path` is this folder.
    pub(super) fn is(&self, path: &Path) -> bool {
        match (self.path.canonicalize(), path.canonicalize()) {
            (Ok(a), Ok(b)) => a == b,
            _ => false,
        }
    }

    /// Replaces the content of a folder, whatever store it held, with a base.
    pub(super) fn save(
        path: &Path,
        base: &FrozenLayer,
        trained_keys: usize,
    ) -> Result<(), HybridError> {
        let lock = lock(path)?;
        let (layers, logs) = numbers(path)?;
        // Without a manifest, a layer that a crash leaves would keep the folder from opening.
        if layers.is_empty() && logs.is_empty() && !path.join("MANIFEST").exists() {
            Manifest::write_empty(path)?;
        }
        // Numbers that no file has yet, so that the old files stay intact until the manifest
        // changes.
        let layer = layers.iter().max().copied().unwrap_or(0);
        let first_log = logs.last().map_or(1, |last| last + 1);
        let mut folder = Folder {
            path: path.to_owned(),
            manifest: Manifest { layer, first_log, ..Manifest::default() },
            wal: Wal::Off,
            log: Err(first_log),
            _lock: lock,
        };
        folder.install_base(base, trained_keys)?;
        let stale = layers.into_iter().map(|number| folder.layer_path(number));
        stale.chain(logs.into_iter().map(|number| folder.log_path(number))).for_each(remove);
        Ok(())
    }
}

/// Removes a file that is no longer used. If that fails, the next opening tries again.
fn remove(path: PathBuf) {
    failpoint::point();
    let _ = std::fs::remove_file(path);
}
