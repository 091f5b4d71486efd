//! Errors of frozen layers.

use crate::error::FileError;
use crate::value::ValueKind;
use std::fmt;

/// An error while a layer is built, written or read.
///
/// ```
/// use memkv::{FrozenError, FrozenLayer};
///
/// let error = FrozenLayer::from_sorted(&[("b", 1), ("a", 2)]).unwrap_err();
/// assert!(matches!(error, FrozenError::NotAscending { position: 1, key } if key == b"a"));
/// let bytes = b"some other file, long enough".to_vec();
/// assert!(matches!(FrozenLayer::from_bytes(bytes), Err(FrozenError::NotALayer)));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum FrozenError {
    /// A key is less than the one before it.
    NotAscending {
        /// Number of keys before it in the input.
        position: u64,
        /// The key.
        key: Vec<u8>,
    },
    /// A key is the one before it.
    Duplicate {
        /// Number of keys before it in the input.
        position: u64,
        /// The key.
        key: Vec<u8>,
    },
    /// A key has more than [`MAX_KEY_LEN`](crate::MAX_KEY_LEN) bytes.
    KeyTooLong {
        /// Number of keys before it in the input.
        position: u64,
        /// Length of the key in bytes.
        len: usize,
    },
    /// A value has more than [`MAX_VALUE_LEN`](crate::MAX_VALUE_LEN) bytes.
    ValueTooLong {
        /// Number of keys before it in the input.
        position: u64,
        /// Length of the value in bytes.
        len: usize,
    },
    /// A key occurs more than once, which [`OnDuplicate::Error`](crate::OnDuplicate::Error)
    /// excludes.
    Repeated {
        /// The key, or one of several.
        key: Vec<u8>,
    },
    /// The sum of a key's values, for [`OnDuplicate::Sum`](crate::OnDuplicate::Sum), does not fit
    /// their type.
    SumOverflow {
        /// The key.
        key: Vec<u8>,
        /// The kind of the values, which has the limits.
        kind: ValueKind,
    },
    /// A key, with a byte string as its value, has more bytes than fit the
    /// [`memory`](crate::FrozenOptions::memory) of an external build.
    RecordOverMemory {
        /// Number of records before it in the input.
        position: u64,
        /// Bytes of the key, and of a byte string as its value.
        len: usize,
        /// Most such bytes that fit.
        limit: usize,
    },
    /// An option is out of its range.
    Option(&'static str),
    /// A [`FrozenLayerBuilder`](crate::FrozenLayerBuilder) or
    /// [`ExternalBuilder`](crate::ExternalBuilder) was made in another process, of which this one
    /// is a fork. Its work, and its files, are there.
    Forked,
    /// A file could not be read or written.
    File(FileError),
    /// The writer of a [`FrozenLayerWriter`](crate::FrozenLayerWriter) failed.
    Writer(std::io::Error),
    /// The bytes are not a frozen layer: they do not begin with its magic number.
    NotALayer,
    /// The file has a version of the format that this release does not know.
    Version {
        /// The version in the file.
        found: u32,
    },
    /// The values of the file are of another type.
    Values {
        /// The kind of the values in the file.
        found: ValueKind,
        /// The kind of the values that were asked for.
        expected: ValueKind,
    },
    /// The file is incomplete.
    Truncated,
    /// The file is damaged.
    Damaged {
        /// The damaged part.
        part: &'static str,
        /// The number of the damaged chunk, if the part belongs to one.
        chunk: Option<usize>,
    },
}

impl FrozenError {
    /// Returns the error of a key that is not greater than the one before it.
    #[cold]
    pub(crate) fn not_ascending(position: u64, key: &[u8], before: &[u8]) -> Self {
        let key = key.to_vec();
        if key == before {
            Self::Duplicate { position, key }
        } else {
            Self::NotAscending { position, key }
        }
    }

    /// Returns a copy, for an error that is returned many times.
    pub(crate) fn copy(&self) -> Self {
        match self {
            &Self::NotAscending { position, ref key } => {
                Self::NotAscending { position, key: key.clone() }
            }
            &Self::Duplicate { position, ref key } => {
                Self::Duplicate { position, key: key.clone() }
            }
            Self::Repeated { key } => Self::Repeated { key: key.clone() },
            &Self::SumOverflow { ref key, kind } => Self::SumOverflow { key: key.clone(), kind },
            &Self::KeyTooLong { position, len } => Self::KeyTooLong { position, len },
            &Self::RecordOverMemory { position, len, limit } => {
                Self::RecordOverMemory { position, len, limit }
            }
            &Self::ValueTooLong { position, len } => Self::ValueTooLong { position, len },
            Self::Option(what) => Self::Option(what),
            Self::Forked => Self::Forked,
            Self::File(error) => Self::File(error.copy()),
            Self::Writer(error) => {
                Self::Writer(std::io::Error::new(error.kind(), error.to_string()))
            }
            Self::NotALayer => Self::NotALayer,
            &Self::Version { found } => Self::Version { found },
            &Self::Values { found, expected } => Self::Values { found, expected },
            Self::Truncated => Self::Truncated,
            &Self::Damaged { part, chunk } => Self::Damaged { part, chunk },
        }
    }
}

impl fmt::Display for FrozenError {
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
            Self::KeyTooLong { position, len } => {
                write!(
                    f,
                    "key {position}, of {len} bytes, is over the limit of {} bytes",
                    crate::MAX_KEY_LEN
                )
            }
            Self::ValueTooLong { position, len } => {
                write!(
                    f,
                    "value {position}, of {len} bytes, is over the limit of {} bytes",
                    crate::MAX_VALUE_LEN
                )
            }
            Self::Repeated { key } => {
                write!(f, "the key \"{}\" is there more than once", key.escape_ascii())
            }
            Self::SumOverflow { key, kind } => {
                write!(f, "the sum of the values of \"{}\" ", key.escape_ascii())?;
                match kind {
                    ValueKind::F32 | ValueKind::F64 => f.write_str("is not finite"),
                    _ => {
                        let (least, most) = kind.integers();
                        write!(f, "is not within {least} to {most}")
                    }
                }
            }
            Self::RecordOverMemory { position, len, limit } => {
                write!(
                    f,
                    "record {position}, of {len} bytes, needs more memory, which has room for \
                     {limit} bytes"
                )
            }
            Self::Option(what) => f.write_str(what),
            Self::Forked => f.write_str("the builder is that of another process, before a fork"),
            Self::File(error) => error.fmt(f),
            Self::Writer(error) => write!(f, "the writer failed: {error}"),
            Self::NotALayer => f.write_str("not a frozen layer"),
            Self::Version { found } => write!(f, "version {found} of the format is not supported"),
            Self::Values { found, expected } => {
                write!(f, "the values are of the kind {found:?}, not {expected:?}")
            }
            Self::Truncated => f.write_str("the file is incomplete"),
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
            // The message of the variant is that of the error.
            Self::File(error) => error.source(),
            Self::Writer(error) => Some(error),
            _ => None,
        }
    }
}

impl From<FileError> for FrozenError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}
