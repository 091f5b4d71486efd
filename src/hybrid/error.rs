//! What can go wrong with a store.

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
    /// A key could not be stored. The store is as before.
    Insert(InsertError),
    /// An option is outside what is possible.
    Option(&'static str),
    /// A file or folder could not be read or written.
    Io(io::Error),
    /// The log could not be written. What this write or one before it changed may be gone when the folder is opened again. All further writes fail,
    /// and change nothing, until a [`compact`](crate::HybridStore::compact) that begins afterwards succeeds, or the folder is opened anew.
    Log(io::Error),
    /// The folder is open already, in this process or another.
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// A file is not there that the folder's manifest, or another file, says is.
    Missing {
        /// The file.
        file: PathBuf,
    },
    /// A file was altered, or damaged, or ends early.
    Damaged {
        /// The file.
        file: PathBuf,
        /// The part of it.
        part: &'static str,
    },
    /// A file is of a later version of the format.
    Version {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The base could not be built, written or read.
    #[cfg(feature = "storage")]
    Base {
        /// Its file, where it has one.
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
            Self::InUse { folder } => write!(f, "{} is open already", folder.display()),
            Self::Missing { file } => write!(f, "{} is missing", file.display()),
            Self::Damaged { file, part } => write!(f, "{}: the {part} is damaged", file.display()),
            Self::Version { file, found } => {
                write!(f, "{}: version {found} of the format is not known here", file.display())
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
