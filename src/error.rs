//! What can go wrong, as types.

#![forbid(unsafe_code)]

use std::fmt;

/// Why a key could not be stored. The map is then as it was before the call.
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
    /// The allocator had no memory.
    OutOfMemory {
        /// Bytes asked for.
        bytes: usize,
    },
    /// The map holds as many values as it can number. Only [`ArenaArt`](crate::ArenaArt) and
    /// [`ConcurrentArenaArt`](crate::ConcurrentArenaArt) have such a limit.
    TooManyKeys {
        /// Values it can hold.
        limit: u64,
    },
}

impl fmt::Display for InsertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyTooLong { len } => {
                write!(f, "a key of {len} bytes is over the limit of {} bytes", crate::MAX_KEY_LEN)
            }
            Self::OutOfMemory { bytes } => write!(f, "no memory for {bytes} bytes"),
            Self::TooManyKeys { limit } => {
                write!(f, "the map has {limit} keys, and cannot have more")
            }
        }
    }
}

impl std::error::Error for InsertError {}

/// Why a sequence of keys could not be built into a map.
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
    /// A key is not greater than the one before it: out of order, or there twice.
    NotAscending {
        /// Keys before it in the sequence.
        position: usize,
        /// The key itself.
        key: Vec<u8>,
    },
    /// A key could not be stored.
    Insert(InsertError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAscending { position, key } => {
                write!(
                    f,
                    "key {position}, \"{}\", is not greater than the key before it",
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

/// An error of a file that is reported again and again.
#[cfg(feature = "storage")]
pub(crate) struct Failure(std::io::ErrorKind, String);

#[cfg(feature = "storage")]
impl Failure {
    pub(crate) fn new(error: &std::io::Error) -> Self {
        Failure(error.kind(), error.to_string())
    }

    /// The error, if there was one.
    pub(crate) fn check(failed: Option<&Self>) -> std::io::Result<()> {
        failed.map_or(Ok(()), |Failure(kind, what)| Err(std::io::Error::new(*kind, what.clone())))
    }
}

/// Answers a failed store as the standard collections would.
#[cold]
pub(crate) fn fail(error: InsertError) -> ! {
    match error {
        InsertError::KeyTooLong { .. } | InsertError::TooManyKeys { .. } => panic!("{error}"),
        InsertError::OutOfMemory { bytes } => {
            match std::alloc::Layout::from_size_align(bytes.max(1), 16) {
                Ok(layout) => std::alloc::handle_alloc_error(layout),
                Err(_) => panic!("{error}"),
            }
        }
    }
}

/// Answers a failed build as the standard collections would.
#[cold]
pub(crate) fn fail_build(error: &BuildError) -> ! {
    match error {
        BuildError::Insert(error) => fail(*error),
        // The keys were sorted, so one was not the same all the time.
        BuildError::NotAscending { .. } => panic!("{error}"),
    }
}
