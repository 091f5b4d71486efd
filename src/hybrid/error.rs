//! Errors of a store.

#![forbid(unsafe_code)]

use crate::InsertError;
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
    Io(io::Error),
    /// The log could not be written.
    ///
    /// **Warning:** this change, and earlier ones that were not yet on disk, may be missing when
    /// the folder is opened again. All further writes fail and change nothing, until a
    /// [`compact`](crate::HybridStore::compact) that begins later succeeds or the folder is opened
    /// again.
    Log(io::Error),
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

impl fmt::Display for HybridError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Insert(error) => error.fmt(f),
            Self::Option(what) => f.write_str(what),
            Self::Io(error) => error.fmt(f),
            Self::Log(error) => write!(f, "the log could not be written: {error}"),
            Self::InUse { folder } => write!(f, "{} is already open", folder.display()),
            Self::Missing { file } => write!(f, "{} is missing", file.display()),
            Self::Damaged { file, part } => write!(f, "{}: the {part} is damaged", file.display()),
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
            Self::Insert(error) => Some(error),
            Self::Io(error) | Self::Log(error) => Some(error),
            #[cfg(feature = "storage")]
            Self::Base { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl From<InsertError> for HybridError {
    fn from(error: InsertError) -> Self {
        Self::Insert(error)
    }
}

impl From<io::Error> for HybridError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
