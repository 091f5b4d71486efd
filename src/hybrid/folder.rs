//! A store's folder: which files count, and how they are replaced. FORMAT.md describes them.
//!
//! ```text
//!   MANIFEST   names the base and the first log
//!   layer-7    the base, a frozen layer
//!   log-12     the changes since, oldest first
//!   log-13
//!   LOCK       empty; the process that has the folder open holds the system's lock on it
//! ```
//! Every file except a log is written under another name, synced, and renamed. The manifest is
//! renamed last. Files that it does not name are removed afterwards, or when the folder is next
//! opened. So the folder always holds either the state before a compaction or the state after it.

#![forbid(unsafe_code)]

use super::change::Change;
use super::error::HybridError;
use super::home::{Create, Home, StoreFiles, is_leftover_of_1, layer_name, log_name, missing};
use super::log::{self, Log};
use super::log_reader::LogReader;
use super::manifest::Manifest;
use super::options::Wal;
use super::recovery::Recovery;
use crate::FrozenLayer;
use crate::io::dir::{Access, Dir};
use crate::io::new_file::{NewFile, remove_unfinished};
use std::path::Path;
use std::sync::Arc;

/// The folder of a store, open for writing.
pub(super) struct Folder {
    home: Arc<Home>,
    manifest: Manifest,
    wal: Wal,
    /// The log of the current changes, or the number of the next log if there is none.
    log: Result<Arc<Log>, u64>,
    /// A number that no layer ever had. If the manifest was renamed and its folder's sync failed,
    /// the disk may name a layer that this manifest does not.
    next_layer: u64,
}

/// What the logs of a folder hold.
pub(super) struct Replayed {
    pub(super) logs: Vec<LogReader>,
    pub(super) recovery: Recovery,
    /// Bytes of the logs.
    pub(super) bytes: u64,
}

/// Creates an empty base.
pub(super) fn empty() -> FrozenLayer {
    FrozenLayer::from_sorted::<&[u8]>(&[]).expect("the default options are valid")
}

/// Reads the base that a manifest names. It is empty if it names none.
pub(super) fn read_base(dir: &Dir, manifest: &Manifest) -> Result<FrozenLayer, HybridError> {
    if manifest.layer == 0 {
        return Ok(empty());
    }
    let name = layer_name(manifest.layer);
    let path = dir.path_of(&name);
    let file = dir.file(&name, Access::Read).map_err(|error| missing(path.clone(), error))?;
    let bytes = file.metadata().map_or(0, |metadata| metadata.len());
    let layer = FrozenLayer::read(file, &path)
        .map_err(|error| HybridError::Base { file: Some(path.clone()), error })?;
    if bytes != manifest.layer_bytes || layer.len() as u64 != manifest.layer_keys {
        return Err(HybridError::Damaged { file: path, part: "content (of another layer)" });
    }
    Ok(layer)
}

/// Passes the changes of the logs that a manifest names to `apply`, in order.
pub(super) fn replay(
    dir: &Dir,
    manifest: &Manifest,
    mut apply: impl FnMut(&[u8], Change) -> Result<(), HybridError>,
) -> Result<Replayed, HybridError> {
    let first = manifest.first_log;
    let numbers = StoreFiles::of(&dir.names()?).logs;
    let missing = |number| HybridError::Missing { file: dir.path_of(&log_name(number)) };
    let mut logs: Vec<LogReader> = Vec::new();
    for (expected, number) in (first..).zip(numbers.into_iter().filter(|&number| number >= first)) {
        if number != expected {
            return Err(missing(expected));
        }
        let mut log = LogReader::open(dir, number)?;
        log.read(&mut apply)?;
        // A log has frames only after the log before it has ended.
        if let Some(before) = logs.last()
            && !before.is_ended
            && (log.frames > 0 || log.is_closed())
        {
            return Err(before.damaged("end"));
        }
        logs.push(log);
    }
    if logs.is_empty() && manifest.has_log {
        return Err(missing(first));
    }
    if logs.last().is_some_and(|last| last.is_ended) {
        return Err(missing(first + logs.len() as u64));
    }
    let recovery = Recovery {
        was_closed: logs.last().is_none_or(LogReader::is_closed),
        replayed: logs.iter().map(|log| log.changes).sum(),
        cut: logs.iter().filter_map(|log| log.cut.clone()).collect(),
    };
    let bytes = logs.iter().map(|log| log.len).sum();
    Ok(Replayed { logs, recovery, bytes })
}

impl Folder {
    /// Opens or creates a folder, and reads its base. Changes no file before all of them are
    /// verified. Without a mode the folder's own is used.
    pub(super) fn open(
        path: &Path,
        create: Create,
        wal: Option<Wal>,
    ) -> Result<(Self, FrozenLayer), HybridError> {
        let home = Arc::new(Home::lock(path, create)?);
        let dir = home.dir();
        let manifest = match Manifest::read(dir)? {
            Some(manifest) => manifest,
            None => {
                let files = StoreFiles::of(&dir.names()?);
                if !files.layers.is_empty() || !files.logs.is_empty() {
                    return Err(HybridError::Missing { file: dir.path_of(super::home::MANIFEST) });
                }
                let manifest = Manifest { wal: Some(Wal::default()), ..Manifest::empty() };
                manifest.write(dir)?;
                manifest
            }
        };
        let base = read_base(dir, &manifest)?;
        let folder = Folder {
            wal: wal.or(manifest.wal).unwrap_or_default(),
            log: Err(manifest.first_log),
            next_layer: manifest.layer + 1,
            manifest,
            home,
        };
        Ok((folder, base))
    }

    pub(super) fn home(&self) -> &Arc<Home> {
        &self.home
    }

    pub(super) fn wal(&self) -> Wal {
        self.wal
    }

    /// Passes the changes of the logs to `apply`, in order. Then begins a log for further changes
    /// unless the mode is `Off`.
    pub(super) fn replay(
        &mut self,
        apply: impl FnMut(&[u8], Change) -> Result<(), HybridError>,
    ) -> Result<Replayed, HybridError> {
        let mut replayed = replay(self.home.dir(), &self.manifest, apply)?;
        let Replayed { logs, recovery, .. } = &mut replayed;
        logs.iter_mut().try_for_each(|log| log.keep_cut(self.home.dir()))?;
        recovery.cut = logs.iter().filter_map(|log| log.cut.clone()).collect();
        self.log = Err(self.manifest.first_log + replayed.logs.len() as u64);
        if self.wal != Wal::Off {
            self.begin_log(&replayed.logs)?;
        }
        self.remove_replaced()?;
        Ok(replayed)
    }

    /// Continues the last log, or creates a new one, and ends those before it.
    fn begin_log(&mut self, found: &[LogReader]) -> Result<(), HybridError> {
        let next = self.manifest.first_log + found.len() as u64;
        let is_current = |log: &LogReader| log.format != super::frame::Format::V1;
        let (log, before) = match found.split_last() {
            Some((last, before)) if is_current(last) => {
                (Log::resume(&self.home, last, self.wal)?, before)
            }
            Some((last, before)) if last.frames == 0 => {
                (Log::create(&self.home, last.number, self.wal, None)?, before)
            }
            _ => (Log::create(&self.home, next, self.wal, None)?, found),
        };
        for found in before.iter().filter(|found| !found.is_ended) {
            log::end(&self.home, found)?;
        }
        self.log = Ok(Arc::new(log));
        let manifest = Manifest { has_log: true, wal: Some(self.wal), ..self.manifest };
        if manifest != self.manifest {
            manifest.write(self.home.dir())?;
            self.manifest = manifest;
        }
        Ok(())
    }

    /// Removes the files that the manifest found in the folder does not name. Its process may have
    /// crashed before its name was on disk; the disk may then have another that names them.
    fn remove_replaced(&mut self) -> Result<(), HybridError> {
        let files = StoreFiles::of(&self.home.dir().names()?);
        if files.layers.iter().any(|&number| number != self.manifest.layer)
            || files.logs.iter().any(|&number| number < self.manifest.first_log)
        {
            self.home.dir().sync()?;
        }
        self.remove_stale()
    }

    /// Removes the files that the manifest, which is on disk, does not name.
    fn remove_stale(&mut self) -> Result<(), HybridError> {
        let dir = self.home.dir();
        let names = dir.names()?;
        let files = StoreFiles::of(&names);
        self.next_layer =
            self.next_layer.max(files.layers.last().map_or(0, |last| last.saturating_add(1)));
        let layers = files.layers.into_iter().filter(|&number| number != self.manifest.layer);
        let logs = files.logs.into_iter().filter(|&number| number < self.manifest.first_log);
        layers.map(layer_name).chain(logs.map(log_name)).for_each(|name| dir.remove(&name));
        // No other process writes to this store. The folder may have other files that are written.
        names.iter().filter(|name| is_leftover_of_1(name)).for_each(|name| dir.remove(name));
        Ok(remove_unfinished(dir)?)
    }

    /// Returns the log of the current changes.
    pub(super) fn log(&self) -> Option<&Arc<Log>> {
        self.log.as_ref().ok()
    }

    /// Creates the log of the next changes, unless there is no log.
    pub(super) fn next_log(&self) -> Result<Option<Arc<Log>>, HybridError> {
        self.home.check()?;
        let Ok(log) = &self.log else { return Ok(None) };
        // A failed compaction may have left this file, which is empty, and is replaced.
        let next = Log::create(&self.home, log.number() + 1, self.wal, Some(Arc::clone(log)))?;
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
            Ok(log) => log.number() == self.manifest.first_log && log.is_empty(),
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
        self.home.check()?;
        let dir = self.home.dir();
        let layer = self.next_layer;
        self.next_layer += 1;
        let layer_bytes = base.write_file(NewFile::create_in(dir, &layer_name(layer))?)?;
        let manifest = Manifest {
            layer,
            layer_bytes,
            layer_keys: base.len() as u64,
            first_log: self.log.as_ref().map_or_else(|next| *next, |log| log.number()),
            trained_keys: trained_keys as u64,
            has_log: self.log.is_ok(),
            // A mode that keeps nothing is asked for anew each time.
            wal: if self.wal == Wal::Off { self.manifest.wal } else { Some(self.wal) }
                .or(Some(Wal::default())),
        };
        self.home.check()?;
        manifest.write(dir)?;
        self.manifest = manifest;
        if let Ok(log) = &self.log {
            log.forget_previous();
        }
        // What cannot be removed now is when the folder is next opened.
        let _ = self.remove_stale();
        Ok(())
    }

    /// Returns whether `path` is this folder.
    pub(super) fn is(&self, path: &Path) -> bool {
        Dir::open(path).is_ok_and(|other| self.home.dir().is(&other))
    }

    /// Replaces the content of a folder, whatever store it held, with a base.
    pub(super) fn save(
        path: &Path,
        base: &FrozenLayer,
        trained_keys: usize,
    ) -> Result<(), HybridError> {
        let home = Arc::new(Home::lock(path, Create::IfEmpty)?);
        let dir = home.dir();
        let names = dir.names()?;
        let files = StoreFiles::of(&names);
        // A damaged manifest is replaced too.
        let wal = match Manifest::read(dir) {
            Ok(Some(manifest)) => manifest.wal,
            Ok(None) if files.layers.is_empty() && files.logs.is_empty() => {
                // Without a manifest, a layer that a crash leaves would keep the folder from
                // opening.
                Manifest { wal: Some(Wal::default()), ..Manifest::empty() }.write(dir)?;
                None
            }
            Ok(None) | Err(HybridError::Damaged { .. }) => None,
            Err(error) => return Err(error),
        };
        // Numbers that no file has yet, so that the old files stay intact until the manifest
        // changes.
        let next_layer = files.layers.last().map_or(1, |last| last + 1);
        let first_log = files.logs.last().map_or(1, |last| last + 1);
        let mut folder = Folder {
            manifest: Manifest { first_log, wal, ..Manifest::empty() },
            wal: Wal::Off,
            log: Err(first_log),
            next_layer,
            home,
        };
        folder.install_base(base, trained_keys)
    }
}
