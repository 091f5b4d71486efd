//! Shared bytes, in memory or mapped from a file.

#![forbid(unsafe_code)]

use super::mapping::Mapping;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// The owner of bytes.
enum Owner {
    Memory(Vec<u8>),
    Mapped(Mapping),
    /// A caller's. It may return other bytes at each call, which is as if they were damaged.
    Other(Box<dyn AsRef<[u8]> + Send + Sync>),
}

/// A range of shared bytes.
#[derive(Clone)]
pub(crate) struct Bytes {
    owner: Arc<Owner>,
    range: Range<usize>,
}

impl Bytes {
    pub(crate) fn from_vec(mut bytes: Vec<u8>) -> Self {
        // A full buffer must not move: it may be backed by huge pages.
        if bytes.capacity() > bytes.len() {
            bytes.shrink_to_fit();
        }
        let range = 0..bytes.len();
        Bytes { owner: Arc::new(Owner::Memory(bytes)), range }
    }

    pub(crate) fn from_mapping(mapping: Mapping) -> Self {
        let range = 0..mapping.as_slice().len();
        Bytes { owner: Arc::new(Owner::Mapped(mapping)), range }
    }

    pub(crate) fn from_owner(owner: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        let range = 0..owner.as_ref().len();
        Bytes { owner: Arc::new(Owner::Other(Box::new(owner))), range }
    }

    #[inline(always)]
    pub(crate) fn as_slice(&self) -> &[u8] {
        let all = match &*self.owner {
            Owner::Memory(bytes) => bytes,
            Owner::Mapped(mapping) => mapping.as_slice(),
            Owner::Other(owner) => (**owner).as_ref(),
        };
        all.get(self.range.clone()).unwrap_or_default()
    }

    /// Returns a range of these bytes, or `None` if it is out of bounds.
    pub(crate) fn part(&self, offset: u64, len: u64) -> Option<Self> {
        let start = self.range.start.checked_add(usize::try_from(offset).ok()?)?;
        let end = start.checked_add(usize::try_from(len).ok()?)?;
        (end <= self.range.end).then(|| Bytes { owner: Arc::clone(&self.owner), range: start..end })
    }

    /// Returns a value of the same [`len`](Self::len) without bytes, for bytes that were written to
    /// a file.
    pub(crate) fn forget(&self) -> Self {
        Bytes { owner: Arc::new(Owner::Memory(Vec::new())), range: 0..self.len() }
    }

    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }

    /// Returns whether the bytes are in memory, not mapped.
    pub(crate) fn in_memory(&self) -> bool {
        !matches!(*self.owner, Owner::Mapped(_))
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bytes").field("len", &self.len()).finish_non_exhaustive()
    }
}
