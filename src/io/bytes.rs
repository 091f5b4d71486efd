//! Bytes that several chunks share, in memory or mapped, and little-endian words in them.

#![forbid(unsafe_code)]

use super::mapping::Mapping;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// What holds bytes.
enum Owner {
    Memory(Vec<u8>),
    Mapped(Mapping),
}

/// A part of bytes that are held together.
#[derive(Clone)]
pub(crate) struct Bytes {
    owner: Arc<Owner>,
    range: Range<usize>,
}

impl Bytes {
    pub(crate) fn of_vec(mut bytes: Vec<u8>) -> Self {
        // What fits already must not move: it may be backed by huge pages.
        if bytes.capacity() > bytes.len() {
            bytes.shrink_to_fit();
        }
        let range = 0..bytes.len();
        Bytes { owner: Arc::new(Owner::Memory(bytes)), range }
    }

    pub(crate) fn of_mapping(mapping: Mapping) -> Self {
        let range = 0..mapping.as_slice().len();
        Bytes { owner: Arc::new(Owner::Mapped(mapping)), range }
    }

    #[inline(always)]
    pub(crate) fn as_slice(&self) -> &[u8] {
        let all = match &*self.owner {
            Owner::Memory(bytes) => bytes,
            Owner::Mapped(mapping) => mapping.as_slice(),
        };
        all.get(self.range.clone()).unwrap_or_default()
    }

    /// The part of these bytes, if it is inside them.
    pub(crate) fn part(&self, offset: u64, len: u64) -> Option<Self> {
        let start = self.range.start.checked_add(usize::try_from(offset).ok()?)?;
        let end = start.checked_add(usize::try_from(len).ok()?)?;
        (end <= self.range.end).then(|| Bytes { owner: Arc::clone(&self.owner), range: start..end })
    }

    /// No bytes, but as many by their [`len`](Self::len): what is left of some that were written to a file.
    pub(crate) fn forget(&self) -> Self {
        Bytes { owner: Arc::new(Owner::Memory(Vec::new())), range: 0..self.len() }
    }

    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether they are in memory of their own.
    pub(crate) fn in_memory(&self) -> bool {
        matches!(*self.owner, Owner::Memory(_))
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bytes").field("len", &self.len()).finish_non_exhaustive()
    }
}

macro_rules! words {
    ($($name:ident: $t:ty;)*) => {$(
        /// The little-endian word at `at`, if it is inside.
        #[inline(always)]
        pub(crate) fn $name(bytes: &[u8], at: usize) -> Option<$t> {
            Some(<$t>::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
        }
    )*};
}
words! {
    u32_at: u32;
    u64_at: u64;
    u128_at: u128;
}
