//! What is whole of a damaged folder.

#![forbid(unsafe_code)]

use super::error::HybridError;
use super::folder::empty;
use super::home::{MANIFEST, StoreFiles, layer_name, log_name, open_to_read};
use super::log_reader;
use super::manifest::Manifest;
use super::options::HybridOptions;
use super::reader::put;
use super::state::Core;
use super::store::HybridStore;
use crate::FrozenLayer;
use crate::frozen::salvage::{Salvaged, salvage};
use crate::io::dir::Dir;
use std::fmt;
use std::path::{Path, PathBuf};

/// A part of a damaged store that could not be read. Returned by
/// [`HybridStore::recover`](crate::HybridStore::recover).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// A file that is missing, or of which nothing can be read.
    File {
        /// The file.
        file: PathBuf,
    },
    /// Keys of the base that follow each other.
    Keys {
        /// The layer's file.
        file: PathBuf,
        /// The number of keys.
        count: u64,
        /// The key before them, or `None` if they are the first.
        after: Option<Vec<u8>>,
        /// The key after them, or `None` if they are the last.
        before: Option<Vec<u8>>,
    },
    /// Bytes of a log. At its end they may be what a crash left of a write that had not returned.
    Changes {
        /// The log's file.
        file: PathBuf,
        /// The number of bytes.
        bytes: u64,
    },
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file } => write!(f, "{}: missing or unreadable", file.display()),
            Self::Keys { file, count, after, before } => {
                write!(f, "{}: {count} keys", file.display())?;
                if let Some(after) = after {
                    write!(f, " after \"{}\"", after.escape_ascii())?;
                }
                if let Some(before) = before {
                    write!(f, " before \"{}\"", before.escape_ascii())?;
                }
                Ok(())
            }
            Self::Changes { file, bytes } => {
                write!(f, "{}: {bytes} bytes of changes", file.display())
            }
        }
    }
}

impl HybridStore {
    /// Reads what is whole of a damaged store into a store in memory, and returns it with what was
    /// lost. Changes and locks nothing.
    ///
    /// It has every chunk of the base and every frame of the logs whose checksum is right, the
    /// frames in their order. So each key has a value that it once had, but not all of them at the
    /// same time: a later change may be lost where earlier ones are not. [`save`](Self::save) to
    /// another folder, or to the same one, makes it permanent.
    ///
    /// No process should have the folder open for writing.
    ///
    /// # Errors
    /// Returns an error if the folder has no file of a store, cannot be read, or is of a later
    /// version.
    ///
    /// ```
    /// use memkv::HybridStore;
    ///
    /// # let name = format!("memkv-hybrid-recover-{}", std::process::id());
    /// # let folder = std::env::temp_dir().join(name);
    /// let store = HybridStore::open(&folder)?;
    /// store.insert("a", 1)?;
    /// store.close()?;
    /// std::fs::remove_file(folder.join("MANIFEST"))?;
    /// assert!(HybridStore::open(&folder).is_err());
    ///
    /// let (store, lost) = HybridStore::recover(&folder)?;
    /// assert_eq!((store.get("a"), lost.len()), (Some(1), 1));
    /// store.save(&folder)?;
    /// assert_eq!(HybridStore::open(&folder)?.get("a"), Some(1));
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recover(folder: impl AsRef<Path>) -> Result<(Self, Vec<Loss>), HybridError> {
        let dir = open_to_read(folder.as_ref())?;
        let files = StoreFiles::of(&dir.names()?);
        let mut lost = Vec::new();
        let manifest = match Manifest::read(&dir) {
            Ok(Some(manifest)) => Some(manifest),
            Ok(None) | Err(HybridError::Damaged { .. }) => {
                lost.push(Loss::File { file: dir.path_of(MANIFEST) });
                None
            }
            Err(error) => return Err(error),
        };
        let mut damaged = Damaged { dir, files, manifest, lost };
        let (base, is_named) = damaged.read_base()?;
        let keys = base.len();
        let core = Core::new(base, keys);
        damaged.read_logs(is_named, &core)?;
        let lost = damaged.lost;
        // The caller looks at the losses first, so nothing happens in the background.
        let store = Self::of_core(core, HybridOptions::new().background(false));
        Ok((store, lost))
    }
}

/// A damaged folder, and what was found to be lost.
struct Damaged {
    dir: Dir,
    files: StoreFiles,
    /// `None` if it is lost.
    manifest: Option<Manifest>,
    lost: Vec<Loss>,
}

impl Damaged {
    /// Reads the layer that the manifest names, or else the latest that can be read. Returns
    /// whether it is the one that the manifest names.
    fn read_base(&mut self) -> Result<(FrozenLayer, bool), HybridError> {
        let Damaged { dir, files, manifest, lost } = self;
        let named = manifest.map(|manifest| manifest.layer);
        if named == Some(0) {
            return Ok((empty(), true));
        }
        let others = files.layers.iter().rev().copied().filter(|&number| Some(number) != named);
        for number in named.into_iter().chain(others) {
            let file = dir.path_of(&layer_name(number));
            let salvaged = match dir.read(&layer_name(number)).map(salvage) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error.into());
                }
                Ok(Ok(salvaged)) => Some(salvaged),
                _ => None,
            };
            let Some(Salvaged { layer, lost: keys }) = salvaged else {
                lost.push(Loss::File { file });
                continue;
            };
            lost.extend(keys.into_iter().map(|keys| Loss::Keys {
                file: file.clone(),
                count: keys.count,
                after: keys.after,
                before: keys.before,
            }));
            return Ok((layer, Some(number) == named));
        }
        Ok((empty(), false))
    }

    /// Makes the changes of all whole frames, of the logs that the manifest names, if the base is
    /// the one that it names, or of all.
    ///
    /// Without a manifest, or over an older layer, older logs are replayed too: each change sets a
    /// value whatever was before, and files are removed in their order, so the last change of each
    /// key decides.
    fn read_logs(&mut self, is_named: bool, core: &Core<FrozenLayer>) -> Result<(), HybridError> {
        let Damaged { dir, files, manifest, lost } = self;
        let first = manifest.filter(|_| is_named).map(|manifest| manifest.first_log);
        let numbers: Vec<u64> =
            files.logs.iter().copied().filter(|&number| Some(number) >= first).collect();
        let mut expected = first.or(numbers.first().copied()).unwrap_or(1);
        let mut must_follow = manifest.is_some_and(|manifest| manifest.has_log);
        let replayed = numbers.clone();
        for number in numbers {
            lost.extend(
                (expected..number)
                    .map(|number| Loss::File { file: dir.path_of(&log_name(number)) }),
            );
            expected = number.saturating_add(1);
            let read = |name: String| Ok::<_, HybridError>((dir.read(&name)?, dir.path_of(&name)));
            let mut apply = |key: &[u8], change| put(core, key, change);
            let (log, file) = read(log_name(number))?;
            // What was cut off before a frame is older than the frame that has this number now.
            let mut from = 0;
            for name in files.cuts.iter().filter(|cut| cut.log == number) {
                log_reader::salvage(&log, number, &(from..name.frame), &mut apply)?;
                let (cut, file) = read(name.to_string())?;
                match log_reader::salvage(&cut, number, &(0..u32::MAX), &mut apply)? {
                    Some((0, _)) => {}
                    Some((bytes, _)) => lost.push(Loss::Changes { file, bytes }),
                    None => lost.push(Loss::File { file }),
                }
                from = name.frame;
            }
            match log_reader::salvage(&log, number, &(from..u32::MAX), &mut apply)? {
                Some((bytes, is_ended)) => {
                    must_follow = is_ended;
                    lost.extend((bytes > 0).then_some(Loss::Changes { file, bytes }));
                }
                None => {
                    must_follow = false;
                    lost.push(Loss::File { file });
                }
            }
        }
        // Their changes may be older than what the base has.
        for cut in files.cuts.iter().filter(|cut| !replayed.contains(&cut.log)) {
            let name = cut.to_string();
            let bytes = dir.read(&name)?.len() as u64;
            lost.push(Loss::Changes { file: dir.path_of(&name), bytes });
        }
        if must_follow {
            lost.push(Loss::File { file: dir.path_of(&log_name(expected)) });
        }
        Ok(())
    }
}
