//! An open folder, in which files are found by name however the folder's path changes.
//!
//! On Unix a [`Dir`] is a descriptor: a folder that is renamed or replaced, a link on the way to it
//! that is switched, or a change of the working directory does not lead its owner elsewhere. On
//! other systems it is an absolute path: only a change of the working directory does not lead its
//! owner elsewhere. There [`Dir::sync`] does nothing, since the standard library cannot sync a
//! folder; `docs/platforms.md` says what follows.

#![forbid(unsafe_code)]

use crate::error::FileError;
use crate::testing::failpoint;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// An open folder.
#[derive(Debug)]
pub(crate) struct Dir {
    /// The absolute path by which it was opened, for messages.
    path: PathBuf,
    #[cfg(unix)]
    file: File,
}

/// How a file of a [`Dir`] is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// For reading.
    Read,
    /// For reading and writing.
    Write,
    /// For reading and writing, and created if it is missing.
    Create,
    /// For reading and writing, and created; it must be missing.
    CreateNew,
    /// As `CreateNew`, for this user alone. Other systems than Unix give it the folder's
    /// permissions.
    CreatePrivate,
}

impl Dir {
    /// Opens a folder.
    pub(crate) fn open(path: &Path) -> Result<Self, FileError> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let open = || {
            let absolute = std::path::absolute(path)?;
            if !fs::metadata(path)?.is_dir() {
                return Err(io::Error::from(io::ErrorKind::NotADirectory));
            }
            Ok(Dir {
                path: absolute,
                #[cfg(unix)]
                file: File::open(path)?,
            })
        };
        open().map_err(|error| FileError::new("open", path, error))
    }

    /// Creates a folder and those above it, durably, where they are missing, and opens it.
    pub(crate) fn create(path: &Path) -> Result<Self, FileError> {
        let missing: Vec<&Path> = path
            .ancestors()
            .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
            .collect();
        fs::create_dir_all(path).map_err(|error| FileError::new("create", path, error))?;
        for created in missing {
            Dir::open(created.parent().unwrap_or(Path::new(".")))?.sync()?;
        }
        Dir::open(path)
    }

    /// Returns the path of a file, for messages.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Returns the absolute path by which the folder was opened, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn error(&self, operation: &'static str, name: &str, error: impl Into<io::Error>) -> FileError {
        FileError::new(operation, self.path_of(name), error.into())
    }

    /// Opens a file.
    pub(crate) fn file(&self, name: &str, access: Access) -> Result<File, FileError> {
        let operation = match access {
            Access::Read | Access::Write => "open",
            Access::Create | Access::CreateNew | Access::CreatePrivate => "create",
        };
        self.open_file(name, access).map_err(|error| self.error(operation, name, error))
    }

    /// Creates a file without a name, for reading and writing, and for this user alone.
    ///
    /// # Errors
    /// The system or the file system of the folder has no such files, or it cannot be written.
    pub(crate) fn nameless(&self) -> io::Result<File> {
        self.create_nameless()
    }

    /// Reads a whole file.
    pub(crate) fn read(&self, name: &str) -> Result<Vec<u8>, FileError> {
        let mut bytes = Vec::new();
        let mut file = self.file(name, Access::Read)?;
        file.read_to_end(&mut bytes).map_err(|error| self.error("read", name, error))?;
        Ok(bytes)
    }

    /// Gives a file another name, in place of the file that has it.
    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), FileError> {
        failpoint::point();
        self.rename_file(from, to).map_err(|error| self.error("rename a file to", to, error))
    }

    /// Removes a file that is no longer used. If that fails, its owner tries again another time.
    pub(crate) fn remove(&self, name: &str) {
        failpoint::point();
        let _ = self.remove_file(name);
    }

    /// Removes a file like [`remove`](Self::remove), and returns whether it did.
    #[cfg(feature = "sets")]
    pub(crate) fn try_remove(&self, name: &str) -> bool {
        failpoint::point();
        self.remove_file(name).is_ok()
    }

    /// Makes the names of the folder durable.
    pub(crate) fn sync(&self) -> Result<(), FileError> {
        failpoint::sync()
            .and_then(|()| self.sync_names())
            .map_err(|error| FileError::new("sync", &self.path, error))
    }

    /// Returns the names of the files that are text.
    pub(crate) fn names(&self) -> Result<Vec<String>, FileError> {
        self.list().map_err(|error| FileError::new("list", &self.path, error))
    }

    /// Returns whether a name is that of an open file.
    pub(crate) fn has(&self, name: &str, file: &File) -> Result<bool, FileError> {
        match self.is_same(name, file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            same => same.map_err(|error| self.error("look up", name, error)),
        }
    }
}

#[cfg(unix)]
impl Dir {
    fn open_file(&self, name: &str, access: Access) -> io::Result<File> {
        use rustix::fs::{Mode, OFlags};
        let flags = match access {
            Access::Read => OFlags::RDONLY,
            Access::Write => OFlags::RDWR,
            Access::Create => OFlags::RDWR | OFlags::CREATE,
            Access::CreateNew | Access::CreatePrivate => {
                OFlags::RDWR | OFlags::CREATE | OFlags::EXCL
            }
        };
        let mode = if access == Access::CreatePrivate { 0o600 } else { 0o666 };
        let mode = Mode::from_raw_mode(mode);
        Ok(rustix::fs::openat(&self.file, name, flags | OFlags::CLOEXEC, mode)?.into())
    }

    #[cfg(target_os = "linux")]
    fn create_nameless(&self) -> io::Result<File> {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.file, ".", flags, Mode::from_raw_mode(0o600))?.into())
    }

    #[cfg(not(target_os = "linux"))]
    fn create_nameless(&self) -> io::Result<File> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn rename_file(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.file, from, &self.file, to)?)
    }

    fn remove_file(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.file, name, rustix::fs::AtFlags::empty())?)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.file)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn is_same(&self, name: &str, file: &File) -> io::Result<bool> {
        let found = rustix::fs::statat(&self.file, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
        let open = rustix::fs::fstat(file)?;
        Ok((found.st_dev, found.st_ino) == (open.st_dev, open.st_ino))
    }

    /// Returns whether another open folder is this one.
    pub(crate) fn is(&self, other: &Dir) -> bool {
        let id = |dir: &Dir| rustix::fs::fstat(&dir.file).map(|stat| (stat.st_dev, stat.st_ino));
        matches!((id(self), id(other)), (Ok(a), Ok(b)) if a == b)
    }
}

#[cfg(not(unix))]
impl Dir {
    fn open_file(&self, name: &str, access: Access) -> io::Result<File> {
        let mut options = File::options();
        options.read(true).write(access != Access::Read);
        options.create(access == Access::Create);
        options.create_new(matches!(access, Access::CreateNew | Access::CreatePrivate));
        options.open(self.path_of(name))
    }

    fn create_nameless(&self) -> io::Result<File> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn rename_file(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path_of(from), self.path_of(to))
    }

    fn remove_file(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path_of(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        fs::read_dir(&self.path)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    /// Returns whether the name exists: which file it names is not known here.
    ///
    /// The names of new files are random, so theirs are not another file's. A `LOCK` that another
    /// process replaced is not noticed. Opening it such that it cannot be replaced (Windows has
    /// that) would keep a closed store's folder from being removed while retired memory has it.
    fn is_same(&self, name: &str, _file: &File) -> io::Result<bool> {
        fs::metadata(self.path_of(name)).map(|_| true)
    }

    /// Returns whether another open folder is this one.
    pub(crate) fn is(&self, other: &Dir) -> bool {
        match (self.path.canonicalize(), other.path.canonicalize()) {
            (Ok(a), Ok(b)) => a == b,
            _ => false,
        }
    }
}
