//! The errors of storing and of building.

#![forbid(unsafe_code)]

use std::fmt;

/// The reason why a key could not be stored. The map is unchanged.
///
/// ```
/// use memkv::{FastArt, InsertError, MAX_KEY_LEN};
///
/// let mut map: FastArt = FastArt::new();
/// let long = vec![0; MAX_KEY_LEN + 1];
/// assert_eq!(map.try_insert(&long, 1), Err(InsertError::KeyTooLong { len: MAX_KEY_LEN + 1 }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InsertError {
    /// The key has more than [`MAX_KEY_LEN`](crate::MAX_KEY_LEN) bytes.
    KeyTooLong {
        /// Bytes of the key.
        len: usize,
    },
    /// The allocator failed.
    OutOfMemory {
        /// Bytes asked for.
        bytes: usize,
    },
    /// The map holds as many values as it can address. Only [`ArenaArt`](crate::ArenaArt) and
    /// [`ConcurrentArenaArt`](crate::ConcurrentArenaArt) have such a limit.
    TooManyKeys {
        /// The number of values that it can hold.
        limit: u64,
    },
}

impl fmt::Display for InsertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyTooLong { len } => {
                write!(f, "a key of {len} bytes exceeds the limit of {} bytes", crate::MAX_KEY_LEN)
            }
            Self::OutOfMemory { bytes } => {
                write!(f, "out of memory: an allocation of {bytes} bytes failed")
            }
            Self::TooManyKeys { limit } => {
                write!(f, "the map is full: it holds {limit} keys")
            }
        }
    }
}

impl std::error::Error for InsertError {}

/// The reason why a map could not be built from a sequence of keys.
///
/// ```
/// use memkv::{BuildError, FastArt};
///
/// let error = FastArt::from_sorted([("b", 1u64), ("a", 2)]).unwrap_err();
/// assert_eq!(error, BuildError::NotAscending { position: 1, key: b"a".to_vec() });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// A key is less than the one before it.
    NotAscending {
        /// The number of keys before it in the sequence.
        position: usize,
        /// The key itself.
        key: Vec<u8>,
    },
    /// A key is the one before it.
    Duplicate {
        /// The number of keys before it in the sequence.
        position: usize,
        /// The key itself.
        key: Vec<u8>,
    },
    /// A key could not be stored.
    Insert(InsertError),
}

impl BuildError {
    /// Returns the error of a key that is not greater than the one before it.
    #[cold]
    pub(crate) fn not_ascending(position: usize, key: &[u8], before: &[u8]) -> Self {
        let key = key.to_vec();
        if key == before {
            Self::Duplicate { position, key }
        } else {
            Self::NotAscending { position, key }
        }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAscending { position, key } => {
                write!(
                    f,
                    "key {position}, \"{}\", is less than the key before it",
                    key.escape_ascii()
                )
            }
            Self::Duplicate { position, key } => {
                write!(
                    f,
                    "key {position}, \"{}\", is a duplicate of the key before it",
                    key.escape_ascii()
                )
            }
            Self::Insert(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BuildError {}

impl From<InsertError> for BuildError {
    fn from(error: InsertError) -> Self {
        Self::Insert(error)
    }
}

/// A file or folder that could not be read or written: the operation, the path and the cause.
///
/// ```
/// use memkv::{FrozenError, FrozenLayer};
///
/// let Err(FrozenError::File(error)) = FrozenLayer::open("no such file") else { panic!() };
/// assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
/// assert!(error.to_string().starts_with("cannot open no such file: "));
/// ```
#[cfg(feature = "storage")]
#[derive(Debug)]
pub struct FileError {
    operation: &'static str,
    path: std::path::PathBuf,
    error: std::io::Error,
}

#[cfg(feature = "storage")]
impl FileError {
    pub(crate) fn new(
        operation: &'static str,
        path: impl Into<std::path::PathBuf>,
        error: std::io::Error,
    ) -> Self {
        FileError { operation, path: path.into(), error }
    }

    /// Returns the operation that failed, as a verb: "open", "write", "sync".
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// Returns the path of the file or folder.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Returns the kind of the cause.
    pub fn kind(&self) -> std::io::ErrorKind {
        self.error.kind()
    }

    /// Returns the cause.
    pub fn cause(&self) -> &std::io::Error {
        &self.error
    }

    /// Returns the cause alone.
    pub(crate) fn into_cause(self) -> std::io::Error {
        self.error
    }

    /// Returns a copy, for an error that is returned many times.
    pub(crate) fn copy(&self) -> Self {
        let error = match self.error.raw_os_error() {
            Some(code) => std::io::Error::from_raw_os_error(code),
            None => std::io::Error::new(self.error.kind(), self.error.to_string()),
        };
        FileError::new(self.operation, &self.path, error)
    }
}

#[cfg(feature = "storage")]
impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.operation, self.path.display(), self.error)
    }
}

#[cfg(feature = "storage")]
impl std::error::Error for FileError {
    /// Returns the source of the cause: the message has the cause itself.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// Returns the value, or [fails](fail) at the caller's caller.
#[inline(always)]
#[track_caller]
pub(crate) fn or_fail<T>(result: Result<T, InsertError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => fail(error),
    }
}

/// Returns what was built, or [fails](fail) at the caller's caller.
#[track_caller]
pub(crate) fn or_fail_build<T>(result: Result<T, BuildError>) -> T {
    match result {
        Ok(built) => built,
        Err(error) => fail(error),
    }
}

/// Panics, or aborts when out of memory, as the standard collections do.
#[cold]
#[track_caller]
pub(crate) fn fail(error: impl Into<BuildError>) -> ! {
    let error = error.into();
    if let BuildError::Insert(InsertError::OutOfMemory { bytes }) = error
        && let Ok(layout) = std::alloc::Layout::from_size_align(bytes.max(1), 16)
    {
        std::alloc::handle_alloc_error(layout);
    }
    // If keys that were sorted do not ascend, `as_ref` of one did not always return the same bytes.
    panic!("{error}")
}
