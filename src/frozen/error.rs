//! What can go wrong with frozen layers.

#![forbid(unsafe_code)]

use std::fmt;
use std::io;

/// Why a layer could not be built, written or read.
///
/// ```
/// use memkv::{FrozenError, FrozenLayer};
///
/// let error = FrozenLayer::from_sorted(&[("b", 1), ("a", 2)]).unwrap_err();
/// assert!(matches!(error, FrozenError::NotAscending { position: 1, key } if key == b"a"));
/// assert!(matches!(FrozenLayer::from_bytes(b"some other file, long enough".to_vec()), Err(FrozenError::NotALayer)));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum FrozenError {
    /// A key is not greater than the one before it: out of order, or there twice.
    NotAscending {
        /// Keys before it in the input.
        position: u64,
        /// The key itself.
        key: Vec<u8>,
    },
    /// A key has more than [`MAX_KEY_LEN`](crate::MAX_KEY_LEN) bytes.
    KeyTooLong {
        /// Keys before it in the input.
        position: u64,
        /// Bytes of the key.
        len: usize,
    },
    /// An option is outside what is possible.
    Option(&'static str),
    /// A file could not be read or written.
    Io(io::Error),
    /// The file is not a frozen layer.
    NotALayer,
    /// The file is of a later version of the format.
    Version {
        /// Its version.
        found: u32,
    },
    /// The file ends early.
    Truncated,
    /// The file was altered, or damaged.
    Damaged {
        /// The part of it.
        part: &'static str,
        /// The chunk, where the part is one.
        chunk: Option<usize>,
    },
}

impl fmt::Display for FrozenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAscending { position, key } => {
                write!(
                    f,
                    "key {position}, \"{}\", is not greater than the key before it",
                    key.escape_ascii()
                )
            }
            Self::KeyTooLong { position, len } => {
                write!(
                    f,
                    "key {position}, of {len} bytes, is over the limit of {} bytes",
                    crate::MAX_KEY_LEN
                )
            }
            Self::Option(what) => f.write_str(what),
            Self::Io(error) => error.fmt(f),
            Self::NotALayer => f.write_str("not a frozen layer"),
            Self::Version { found } => write!(f, "version {found} of the format is not known here"),
            Self::Truncated => f.write_str("the file ends early"),
            Self::Damaged { part, chunk: None } => write!(f, "the {part} is damaged"),
            Self::Damaged { part, chunk: Some(chunk) } => {
                write!(f, "the {part} of chunk {chunk} is damaged")
            }
        }
    }
}

impl std::error::Error for FrozenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for FrozenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
