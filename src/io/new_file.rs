//! Files that are created whole or not at all: written under another name, synced, then renamed.

#![forbid(unsafe_code)]

use super::dir::{Access, Dir};
use super::process::Process;
use crate::error::FileError;
use crate::testing::failpoint;
use std::fs::{self, File, Metadata};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const BUFFER_BYTES: usize = 1 << 16;
/// Links that are followed from one path.
const MAX_LINKS: usize = 40;
const TEMPORARY_START: &str = ".memkv-";
const TEMPORARY_END: &str = ".tmp";

/// A file that gets its name when it is complete. Until then it has a temporary name in the same
/// folder, and its writer holds the system's lock on it.
pub(crate) struct NewFile {
    out: Option<BufWriter<File>>,
    dir: Arc<Dir>,
    temporary: String,
    name: String,
    /// The process that created the file. In a fork of it the file stays as it is.
    process: Process,
    /// Bytes written, and their checksum.
    bytes: u64,
    crc32: crc32fast::Hasher,
}

impl NewFile {
    /// Creates the file that `path` leads to, through links, under a temporary name. It is to have
    /// the permissions and, if that is allowed, the owner of the file that it replaces.
    ///
    /// # Errors
    /// Only a regular file is replaced.
    pub(crate) fn create(path: &Path) -> Result<Self, FileError> {
        let failed = |error| FileError::new("create", path, error);
        let (target, replaced) = follow(path).map_err(failed)?;
        let name = target.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
            let what = "the path does not name a file, or its name is not UTF-8";
            failed(io::Error::new(io::ErrorKind::InvalidInput, what))
        })?;
        let dir = Arc::new(Dir::open(target.parent().unwrap_or(Path::new("")))?);
        remove_unfinished(&dir)?;
        // A process that opens the file before it has its permissions could read it afterwards.
        let access = if replaced.is_some() { Access::CreatePrivate } else { Access::CreateNew };
        let file = Self::create_as(&dir, name, access)?;
        if let (Some(replaced), Some(out)) = (replaced, &file.out) {
            keep_owner(out.get_ref(), &replaced).map_err(failed)?;
        }
        Ok(file)
    }

    /// Creates a file of a folder under a temporary name.
    pub(crate) fn create_in(dir: &Arc<Dir>, name: &str) -> Result<Self, FileError> {
        Self::create_as(dir, name, Access::CreateNew)
    }

    fn create_as(dir: &Arc<Dir>, name: &str, access: Access) -> Result<Self, FileError> {
        let (file, temporary) = create_temporary(dir, access)?;
        let out = Some(BufWriter::with_capacity(BUFFER_BYTES, file));
        let (dir, name) = (Arc::clone(dir), name.to_owned());
        let (process, crc32) = (Process::current(), crc32fast::Hasher::new());
        Ok(NewFile { out, dir, temporary, name, process, bytes: 0, crc32 })
    }

    /// Returns the path that the file gets.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path_of(&self.name)
    }

    /// Returns the path that the file has until it is complete.
    pub(crate) fn temporary_path(&self) -> PathBuf {
        self.dir.path_of(&self.temporary)
    }

    /// Returns the name that the file has until it is complete.
    #[cfg(feature = "sets")]
    pub(crate) fn temporary_name(&self) -> &str {
        &self.temporary
    }

    /// Appends bytes, through a buffer.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.bytes += bytes.len() as u64;
        self.crc32.update(bytes);
        match &mut self.out {
            Some(out) => failpoint::write(out, bytes),
            None => Ok(()),
        }
        .map_err(|error| FileError::new("write", self.path(), error))
    }

    /// Returns the number of bytes written so far, and their CRC-32.
    pub(crate) fn digest(&self) -> (u64, u32) {
        (self.bytes, self.crc32.clone().finalize())
    }

    /// Syncs the file, renames it, and syncs the folder.
    ///
    /// # Errors
    /// On an error before or in the rename the file is removed. If only the folder's sync fails,
    /// the file has its name, but may lose it in a crash of the machine.
    pub(crate) fn commit(mut self) -> Result<(), FileError> {
        let Some(out) = self.out.take() else { return Ok(()) };
        let synced = out
            .into_inner()
            .map_err(|error| FileError::new("write", self.path(), error.into_error()))
            .and_then(|file| {
                failpoint::sync()
                    .and_then(|()| file.sync_all())
                    .map_err(|error| FileError::new("sync", self.path(), error))?;
                // Its lock is held until it has its name.
                self.dir.rename(&self.temporary, &self.name)
            });
        if synced.is_err() {
            // It may have been removed by others.
            self.dir.remove(&self.temporary);
        }
        synced.and_then(|()| self.dir.sync())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        let Some(out) = self.out.take() else { return };
        // Bytes in the buffer are not written.
        drop(out.into_parts());
        if self.process.is_current() {
            self.dir.remove(&self.temporary);
        }
    }
}

/// The temporary name of a file, which is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct NewName {
    dir: Arc<Dir>,
    temporary: String,
    /// The process that created the file. In a fork of it the name stays.
    process: Process,
}

#[cfg(feature = "sets")]
impl NewName {
    /// Returns the part of the name that no other has: 12 hexadecimal digits.
    pub(crate) fn number(&self) -> &str {
        &self.temporary[TEMPORARY_START.len()..self.temporary.len() - TEMPORARY_END.len()]
    }

    /// Returns the name of the file.
    pub(crate) fn name(&self) -> &str {
        &self.temporary
    }
}

/// Returns whether a writer works on the file whose temporary name has a number.
#[cfg(feature = "sets")]
pub(crate) fn has_unfinished(dir: &Dir, number: &str) -> bool {
    let name = format!("{TEMPORARY_START}{number}{TEMPORARY_END}");
    dir.file(&name, Access::Write).is_ok_and(|file| !is_locked(&file))
}

impl Drop for NewName {
    fn drop(&mut self) {
        if self.process.is_current() {
            self.dir.remove(&self.temporary);
        }
    }
}

/// Creates a file of a folder under a temporary name, for this user alone.
pub(crate) fn create_private(dir: &Arc<Dir>) -> Result<(File, NewName), FileError> {
    let (file, temporary) = create_temporary(dir, Access::CreatePrivate)?;
    Ok((file, NewName { dir: Arc::clone(dir), temporary, process: Process::current() }))
}

/// Creates a file of a folder under a temporary name, and locks it.
fn create_temporary(dir: &Dir, access: Access) -> Result<(File, String), FileError> {
    loop {
        let temporary = format!("{TEMPORARY_START}{:012x}{TEMPORARY_END}", random() >> 16);
        let file = match dir.file(&temporary, access) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            file => file?,
        };
        // Before the lock is held, another writer may take the file for an unfinished one.
        if is_locked(&file) && dir.has(&temporary, &file)? {
            return Ok((file, temporary));
        }
    }
}

/// Removes the files that writers left unfinished, and do not work on any more.
pub(crate) fn remove_unfinished(dir: &Dir) -> Result<(), FileError> {
    for name in dir.names()?.iter().filter(|name| is_unfinished(name)) {
        // Another writer may have removed it by now.
        if let Ok(file) = dir.file(name, Access::Write)
            && is_locked(&file)
        {
            dir.remove(name);
        }
    }
    Ok(())
}

/// Returns whether a name is one of unfinished files.
pub(crate) fn is_unfinished(name: &str) -> bool {
    name.starts_with(TEMPORARY_START) && name.ends_with(TEMPORARY_END)
}

/// Locks a file, unless another process or thread has. Where there are no such locks, returns true.
fn is_locked(file: &File) -> bool {
    !matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock))
}

/// Returns a number that nobody can foresee.
pub(crate) fn random() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}

/// Follows links. Returns the path of the file that is to be replaced, and its metadata if it
/// exists.
fn follow(path: &Path) -> io::Result<(PathBuf, Option<Metadata>)> {
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            let what = "not a regular file, so it cannot be replaced";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => {
                let target = fs::read_link(&path)?;
                path = path.parent().unwrap_or(Path::new("")).join(target);
            }
            Ok(found) => return Ok((path, Some(found))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((path, None)),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many links"))
}

/// Gives a file the owner and the permissions of the file that it replaces.
fn keep_owner(file: &File, replaced: &Metadata) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        // Not everyone may give files away.
        let _ = fchown(file, Some(replaced.uid()), Some(replaced.gid()));
    }
    file.set_permissions(replaced.permissions())
}
