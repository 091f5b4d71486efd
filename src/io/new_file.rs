//! Files that are created whole or not at all: written under another name, synced, then renamed.

#![forbid(unsafe_code)]

use crate::sync::parallel::Process;
use crate::testing::failpoint;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A file that gets its name when it is complete. Until then it has a temporary name in the same
/// folder.
pub(crate) struct NewFile {
    out: Option<BufWriter<File>>,
    temporary: PathBuf,
    path: PathBuf,
    /// The process that created the file. In a fork of it the file stays as it is.
    process: Process,
}

impl NewFile {
    /// Creates the file under a temporary name.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = path.file_name().ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "the path does not name a file")
        })?;
        loop {
            let mut temporary = name.to_os_string();
            temporary.push(format!(
                ".{}-{}.tmp",
                std::process::id(),
                COUNT.fetch_add(1, Ordering::Relaxed)
            ));
            let temporary = path.with_file_name(temporary);
            match File::options().write(true).create_new(true).open(&temporary) {
                Ok(file) => {
                    let out = Some(BufWriter::with_capacity(1 << 16, file));
                    let (path, process) = (path.to_owned(), Process::current());
                    return Ok(NewFile { out, temporary, path, process });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns the path that the file gets.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends bytes, through a buffer.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.out {
            Some(out) => failpoint::write(out, bytes),
            None => Ok(()),
        }
    }

    /// Syncs the file, renames it to its path, and syncs the folder.
    ///
    /// # Errors
    /// On an error before or in the rename the file is removed.
    pub(crate) fn commit(mut self) -> io::Result<()> {
        if let Some(out) = self.out.take() {
            let committed = out.into_inner().map_err(|error| error.into_error()).and_then(|file| {
                failpoint::point();
                file.sync_all()?;
                drop(file);
                failpoint::point();
                fs::rename(&self.temporary, &self.path)
            });
            if let Err(error) = committed {
                // It may have been removed by others.
                let _ = fs::remove_file(&self.temporary);
                return Err(error);
            }
            sync_folder(&self.path)?;
        }
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        let Some(out) = self.out.take() else { return };
        if self.process.is_current() {
            drop(out);
            // A drop cannot report an error.
            let _ = fs::remove_file(&self.temporary);
        } else {
            // Bytes in the buffer would be written into the file of the other process.
            drop(out.into_parts());
        }
    }
}

/// Syncs the folder of a file or folder, so that its name is durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    failpoint::point();
    if !cfg!(unix) {
        return Ok(());
    }
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
