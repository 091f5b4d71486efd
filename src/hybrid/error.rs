//! Errors of a store.

#![forbid(unsafe_code)]

use crate::InsertError;
#[cfg(feature = "storage")]
use crate::error::FileError;
use std::path::PathBuf;
use std::{fmt, io};

/// Why a store could not be opened, written or compacted.
///
/// ```
/// use memkv::{HybridError, HybridStore, InsertError, MAX_KEY_LEN};
///
/// let store = HybridStore::new();
/// let error = store.insert(vec![0; MAX_KEY_LEN + 1], 1).unwrap_err();
/// assert!(matches!(error, HybridError::Insert(InsertError::KeyTooLong { .. })));
/// assert!(store.is_empty());
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum HybridError {
    /// A key could not be stored. The store is unchanged.
    Insert(InsertError),
    /// An option is out of range.
    Option(&'static str),
    /// A file or folder could not be read or written.
    #[cfg(feature = "storage")]
    File(FileError),
    /// The log could not be written.
    ///
    /// **Warning:** this change is in memory, and is read. It and earlier ones that were not yet on
    /// disk may be missing when the folder is opened again. Further writes change nothing and
    /// return an error until the log can be written again. If it could not be synced, that is after
    /// a [`compact`](crate::HybridStore::compact) that begins later, or when the folder is opened
    /// again.
    #[cfg(feature = "storage")]
    Log(FileError),
    /// Compactions in the background fail. The write that returns this changed nothing; it may be
    /// repeated.
    Background {
        /// The failure of the last compaction.
        failure: String,
    },
    /// A thread could not be started.
    Thread(io::Error),
    /// The store was opened for reading only.
    ReadOnly,
    /// The store was not opened for reading only.
    NotReadOnly,
    /// The store is in memory, so its changes cannot be on disk.
    NotInFolder,
    /// The store belongs to the process that opened it, and this is a fork of it.
    Forked,
    /// The folder was removed, or its file `LOCK` was removed or replaced.
    Gone {
        /// The folder, by the path by which it was opened.
        folder: PathBuf,
    },
    /// The folder has no store. A store is created in a missing or empty folder only.
    NotAStore {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder is already open, in this process or another.
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// A file is missing that the folder's manifest, or another file, refers to.
    Missing {
        /// The file.
        file: PathBuf,
    },
    /// A file was altered, is damaged or ends early.
    Damaged {
        /// The file.
        file: PathBuf,
        /// The damaged part of the file.
        part: &'static str,
    },
    /// A file has a later version of the format.
    Version {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The base could not be built, written or read.
    #[cfg(feature = "storage")]
    Base {
        /// Its file, if it has one.
        file: Option<PathBuf>,
        /// What is wrong.
        error: crate::FrozenError,
    },
}

/// Why [`HybridStore::compare_exchange`](crate::HybridStore::compare_exchange) or
/// [`fetch_update`](crate::HybridStore::fetch_update) changed nothing.
#[cfg(feature = "storage")]
#[derive(Debug)]
pub enum ExchangeError {
    /// The key has this value, or none. It is not what the caller asked for.
    Current(Option<u64>),
    /// The store could not be written.
    Store(HybridError),
}

#[cfg(feature = "storage")]
impl ExchangeError {
    /// Returns the current value of the key.
    ///
    /// # Errors
    /// Returns the error of the store, if it could not be written.
    ///
    /// ```
    /// let store = memkv::HybridStore::new();
    /// store.insert("a", 1)?;
    /// let refused = store.compare_exchange("a", Some(2), Some(3)).unwrap_err();
    /// assert_eq!(refused.into_current()?, Some(1));
    /// # Ok::<(), memkv::HybridError>(())
    /// ```
    pub fn into_current(self) -> Result<Option<u64>, HybridError> {
        match self {
            Self::Current(value) => Ok(value),
            Self::Store(error) => Err(error),
        }
    }
}

#[cfg(feature = "storage")]
impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Current(Some(value)) => write!(f, "the key has the value {value}"),
            Self::Current(None) => f.write_str("the key is absent"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

#[cfg(feature = "storage")]
impl std::error::Error for ExchangeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Current(_) => None,
            Self::Store(error) => error.source(),
        }
    }
}

#[cfg(feature = "storage")]
impl From<HybridError> for ExchangeError {
    fn from(error: HybridError) -> Self {
        Self::Store(error)
    }
}

/// What to do about a damaged folder.
const RECOVER: &str = "HybridStore::recover and memkv repair read what is whole";

impl fmt::Display for HybridError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Insert(error) => error.fmt(f),
            Self::Option(what) => f.write_str(what),
            #[cfg(feature = "storage")]
            Self::File(error) | Self::Log(error) => error.fmt(f),
            Self::Background { failure } => {
                write!(f, "compactions in the background fail: {failure}")
            }
            Self::Thread(error) => write!(f, "cannot start a thread: {error}"),
            Self::ReadOnly => f.write_str("the store is open for reading only"),
            Self::NotReadOnly => f.write_str("the store is not open for reading only"),
            Self::NotInFolder => f.write_str("the store is in memory, and has no folder"),
            Self::Forked => f.write_str("the store belongs to the process that opened it"),
            Self::Gone { folder } => {
                write!(f, "the folder {} or its LOCK was removed or replaced", folder.display())
            }
            Self::NotAStore { folder } => {
                write!(
                    f,
                    "{} has no store; an opening for writing creates one where the folder is \
                     missing or empty",
                    folder.display()
                )
            }
            Self::InUse { folder } => {
                write!(f, "{} is already open for writing, here or elsewhere", folder.display())
            }
            Self::Missing { file } => {
                write!(f, "{} is missing; {RECOVER}", file.display())
            }
            Self::Damaged { file, part } => {
                write!(f, "{}: the {part} is damaged; {RECOVER}", file.display())
            }
            Self::Version { file, found } => {
                write!(f, "{}: version {found} of the format is not supported", file.display())
            }
            #[cfg(feature = "storage")]
            Self::Base { file: Some(file), error } => write!(f, "{}: {error}", file.display()),
            #[cfg(feature = "storage")]
            Self::Base { file: None, error } => error.fmt(f),
        }
    }
}

impl std::error::Error for HybridError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // The messages of these variants have their causes' messages.
            Self::Insert(error) => error.source(),
            Self::Thread(error) => error.source(),
            #[cfg(feature = "storage")]
            Self::File(error) | Self::Log(error) => error.source(),
            #[cfg(feature = "storage")]
            Self::Base { error, .. } => error.source(),
            _ => None,
        }
    }
}

impl From<InsertError> for HybridError {
    fn from(error: InsertError) -> Self {
        Self::Insert(error)
    }
}

#[cfg(feature = "storage")]
impl From<FileError> for HybridError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

#[cfg(feature = "storage")]
impl From<crate::FrozenError> for HybridError {
    fn from(error: crate::FrozenError) -> Self {
        match error {
            crate::FrozenError::File(error) => Self::File(error),
            error => Self::Base { file: None, error },
        }
    }
}
