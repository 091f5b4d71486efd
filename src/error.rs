//! What can go wrong, as types.

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
}

impl fmt::Display for InsertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyTooLong { len } => {
                write!(f, "a key of {len} bytes is over the limit of {} bytes", crate::MAX_KEY_LEN)
            }
            Self::OutOfMemory { bytes } => write!(f, "no memory for a node of {bytes} bytes"),
        }
    }
}

impl std::error::Error for InsertError {}
