//! Errors of sets of layers.

use crate::error::FileError;
use crate::frozen::FrozenError;
use crate::value::ValueKind;
use std::fmt;
use std::path::PathBuf;

/// Why a set of layers could not be opened, read or built.
///
/// ```
/// use memkv::{LayerSet, SetError};
///
/// let folder = std::env::temp_dir();
/// assert!(matches!(LayerSet::open(&folder), Err(SetError::NotASet { .. })));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum SetError {
    /// The folder has no manifest.
    NotASet {
        /// The folder.
        folder: PathBuf,
    },
    /// The manifest is not one that this library writes.
    Manifest {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The manifest has a later version of the format.
    Version {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: u64,
    },
    /// The values of the set are of another type.
    Values {
        /// The kind of the values in the set.
        found: ValueKind,
        /// The kind of the values that were asked for.
        expected: ValueKind,
    },
    /// A part that the manifest names is missing.
    Missing {
        /// The file.
        part: PathBuf,
    },
    /// A part is not the one that the manifest names.
    Part {
        /// The file.
        part: PathBuf,
        /// What differs.
        problem: &'static str,
    },
    /// A part cannot be read, or is damaged.
    Layer {
        /// The file.
        part: PathBuf,
        /// What is wrong.
        error: FrozenError,
    },
    /// A file or folder could not be read or written.
    File(FileError),
    /// A key or value could not be added to the set that is being built, or a part could not be
    /// written.
    Build(FrozenError),
    /// A key that should be appended to a set is not greater than all of its keys.
    NotBeyond {
        /// The key.
        key: Vec<u8>,
        /// The greatest key of the set.
        last: Vec<u8>,
    },
    /// A part begins before another one ends, among those of sets that are joined.
    Overlap {
        /// The file of the part.
        part: PathBuf,
        /// The file of the other one.
        before: PathBuf,
    },
    /// Another builder has replaced the manifest since this one began to append.
    Changed {
        /// The manifest.
        file: PathBuf,
    },
}

impl SetError {
    /// Returns the error of a key that cannot be appended.
    #[cold]
    pub(super) fn not_beyond(key: &[u8], last: &[u8]) -> Self {
        Self::NotBeyond { key: key.to_vec(), last: last.to_vec() }
    }

    /// Returns a copy, for an error that is returned many times.
    pub(super) fn copy(&self) -> Self {
        match self {
            Self::NotASet { folder } => Self::NotASet { folder: folder.clone() },
            Self::Manifest { file, problem } => {
                Self::Manifest { file: file.clone(), problem: problem.clone() }
            }
            &Self::Version { ref file, found } => Self::Version { file: file.clone(), found },
            &Self::Values { found, expected } => Self::Values { found, expected },
            Self::Missing { part } => Self::Missing { part: part.clone() },
            &Self::Part { ref part, problem } => Self::Part { part: part.clone(), problem },
            Self::Layer { part, error } => Self::Layer { part: part.clone(), error: error.copy() },
            Self::File(error) => Self::File(error.copy()),
            Self::Build(error) => Self::Build(error.copy()),
            Self::NotBeyond { key, last } => Self::not_beyond(key, last),
            Self::Overlap { part, before } => {
                Self::Overlap { part: part.clone(), before: before.clone() }
            }
            Self::Changed { file } => Self::Changed { file: file.clone() },
        }
    }
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotASet { folder } => {
                write!(f, "{} has no manifest of a set of layers", folder.display())
            }
            Self::Manifest { file, problem } => write!(f, "{}: {problem}", file.display()),
            Self::Version { file, found } => {
                write!(f, "{}: version {found} of the format is not supported", file.display())
            }
            Self::Values { found, expected } => {
                write!(f, "the values are of the kind {found:?}, not {expected:?}")
            }
            Self::Missing { part } => {
                write!(f, "{} is missing, which the manifest names", part.display())
            }
            Self::Part { part, problem } => {
                write!(f, "{} is not the part that the manifest names: {problem}", part.display())
            }
            Self::Layer { part, error } => write!(f, "{}: {error}", part.display()),
            Self::File(error) => error.fmt(f),
            Self::Build(error) => error.fmt(f),
            Self::NotBeyond { key, last } => write!(
                f,
                "the key \"{}\" is not greater than the last one of the set, \"{}\"",
                key.escape_ascii(),
                last.escape_ascii()
            ),
            Self::Overlap { part, before } => {
                write!(f, "{} begins before {} ends", part.display(), before.display())
            }
            Self::Changed { file } => {
                write!(f, "{} was replaced by another builder", file.display())
            }
        }
    }
}

impl std::error::Error for SetError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // The messages of these variants have their causes' messages.
            Self::Layer { error, .. } => error.source(),
            Self::File(error) => error.source(),
            Self::Build(error) => error.source(),
            _ => None,
        }
    }
}

impl From<FileError> for SetError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl From<FrozenError> for SetError {
    fn from(error: FrozenError) -> Self {
        Self::Build(error)
    }
}
