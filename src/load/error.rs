//! The error of loads from a reader.

use crate::error::{BuildError, InsertError};
use std::{fmt, io};

/// The reason why a text could not be loaded from a file or a reader. `E` is the error of the
/// caller's function.
///
/// Returned by [`ShardedArt::load_path`](crate::ShardedArt::load_path) and
/// [`load_reader`](crate::ShardedArt::load_reader).
///
/// ```
/// use memkv::{LoadError, ShardedArt};
///
/// let map = ShardedArt::<u64>::default();
/// let text = &b"a\t1\nb\tx\n"[..];
/// let result = map.load_reader(text, |line, _| {
///     std::str::from_utf8(&line[2..]).unwrap().parse().map(|value| Some((&line[..1], value)))
/// });
/// let error = result.unwrap_err();
/// assert!(matches!(error, LoadError::Parse { line: 2, .. }));
/// assert_eq!(error.to_string(), "line 2: invalid digit found in string");
/// assert!(map.is_empty());
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError<E> {
    /// The file could not be opened, or the reader failed.
    Io(io::Error),
    /// The caller's function returned an error. The map is unchanged.
    Parse {
        /// The number of the line. The first line is 1.
        line: u64,
        /// What the function returned.
        error: E,
    },
    /// The key of a line cannot be stored. The map is unchanged.
    Key {
        /// The number of the line. The first line is 1.
        line: u64,
        /// The reason.
        error: InsertError,
    },
    /// The pairs could not be stored: some of them may be in the map.
    Build(BuildError),
}

impl<E: fmt::Display> fmt::Display for LoadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Parse { line, error } => write!(f, "line {line}: {error}"),
            Self::Key { line, error } => write!(f, "line {line}: {error}"),
            Self::Build(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error> std::error::Error for LoadError<E> {
    /// Returns the source of the cause: the message has the cause itself.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => error.source(),
            Self::Parse { error, .. } => error.source(),
            Self::Key { error, .. } => error.source(),
            Self::Build(error) => error.source(),
        }
    }
}

impl<E> From<io::Error> for LoadError<E> {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl<E> From<BuildError> for LoadError<E> {
    fn from(error: BuildError) -> Self {
        Self::Build(error)
    }
}
