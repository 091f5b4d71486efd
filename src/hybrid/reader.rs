//! A store that reads a folder without a lock, beside the process that writes to it, or none.
//!
//! It reads the manifest, the base that it names and the logs, and then the frames that were added
//! since. A compaction removes files, so if one is missing, the manifest is read again.

#![forbid(unsafe_code)]

use super::change::Change;
use super::error::HybridError;
use super::folder::{read_base, replay};
use super::home::{MANIFEST, open_to_read};
use super::log_reader::LogReader;
use super::manifest::Manifest;
use super::recovery::Recovery;
use super::state::Core;
use crate::FrozenLayer;
use crate::io::dir::Dir;
use crate::tree::Expected;
use std::path::Path;

/// Times that a folder is read if its files are replaced while it is read.
const MAX_ATTEMPTS: usize = 100;
/// Times that it is read with the same manifest.
const MAX_ATTEMPTS_OF_ONE: usize = 3;

/// What was read of a folder.
pub(super) struct Reader {
    dir: Dir,
    manifest: Manifest,
    /// The log that was read last. None exists before the first writer begins one.
    log: Option<LogReader>,
}

/// The content of a folder.
pub(super) struct Content {
    pub(super) core: Core<FrozenLayer>,
    pub(super) recovery: Recovery,
    pub(super) trained_keys: usize,
}

fn read_manifest(dir: &Dir) -> Result<Manifest, HybridError> {
    Manifest::read(dir)?.ok_or_else(|| HybridError::Missing { file: dir.path_of(MANIFEST) })
}

pub(super) fn put(core: &Core<FrozenLayer>, key: &[u8], change: Change) -> Result<(), HybridError> {
    core.change(key, Expected::Any, change).map(drop)
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<(Self, Content), HybridError> {
        let dir = open_to_read(path)?;
        let mut reader = Reader { manifest: read_manifest(&dir)?, dir, log: None };
        let content = reader.load()?;
        Ok((reader, content))
    }

    /// Reads the whole folder.
    fn load(&mut self) -> Result<Content, HybridError> {
        let (mut attempts, mut attempts_of_one) = (0, 0);
        loop {
            let before = self.manifest;
            let error = match self.try_load() {
                Ok(content) => return Ok(content),
                Err(error) => error,
            };
            attempts += 1;
            attempts_of_one = if self.manifest == before { attempts_of_one + 1 } else { 1 };
            // A log may have ended and the next one got a frame between the readings of both. That
            // happens once for each manifest.
            let is_same = || Ok::<_, HybridError>(read_manifest(&self.dir)? == self.manifest);
            if attempts == MAX_ATTEMPTS || attempts_of_one >= MAX_ATTEMPTS_OF_ONE && is_same()? {
                return Err(error);
            }
        }
    }

    fn try_load(&mut self) -> Result<Content, HybridError> {
        self.manifest = read_manifest(&self.dir)?;
        let base = read_base(&self.dir, &self.manifest)?;
        let keys = base.len();
        let core = Core::new(base, keys);
        let replayed = replay(&self.dir, &self.manifest, |key, change| put(&core, key, change));
        let replayed = replayed?;
        // An empty log may follow one that is not ended yet.
        self.log = replayed.logs.into_iter().find(|log| !log.is_ended);
        let trained_keys = self.manifest.trained_keys as usize;
        Ok(Content { core, recovery: replayed.recovery, trained_keys })
    }

    /// Reads what was added since. Returns the new content if the base was replaced; otherwise
    /// makes the changes in `core`, and returns `None`.
    pub(super) fn refresh(
        &mut self,
        core: &Core<FrozenLayer>,
    ) -> Result<Option<Content>, HybridError> {
        if read_manifest(&self.dir)? == self.manifest {
            match self.read_on(core) {
                Ok(()) => return Ok(None),
                Err(error) if read_manifest(&self.dir)? == self.manifest => return Err(error),
                Err(_) => {}
            }
        }
        self.load().map(Some)
    }

    /// Reads the frames that were added to the logs.
    fn read_on(&mut self, core: &Core<FrozenLayer>) -> Result<(), HybridError> {
        let open = |number| match LogReader::open(&self.dir, number) {
            Err(HybridError::Missing { .. }) => Ok(None),
            log => log.map(Some),
        };
        loop {
            let Some(log) = &mut self.log else {
                self.log = open(self.manifest.first_log)?;
                if self.log.is_none() {
                    return Ok(());
                }
                continue;
            };
            // The next log gets frames only after this one has ended.
            let mut next = open(log.number + 1)?;
            let next_has_frames = match &next {
                Some(next) => next.has_frames()?,
                None => false,
            };
            log.read(|key, change| put(core, key, change))?;
            // It is created before this one ends, perhaps after it was looked for.
            if log.is_ended && next.is_none() {
                next = open(log.number + 1)?;
            }
            match next {
                Some(next) if log.is_ended => self.log = Some(next),
                Some(_) if next_has_frames => return Err(log.damaged("end")),
                None if log.is_ended => {
                    return Err(HybridError::Missing { file: log.path().clone() });
                }
                _ => return Ok(()),
            }
        }
    }
}
