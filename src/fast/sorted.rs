//! Building a map from ascending keys.

use super::FastArt;
use crate::error::{BuildError, InsertError};
use crate::tree::{Builder, MAX_KEY_LEN, common_prefix};
use crate::value::Value;

/// Builds a map from keys that must ascend.
pub(crate) struct Sorted<V: Value> {
    builder: Builder<V::Bits>,
}

impl<V: Value> Sorted<V> {
    pub(crate) fn new() -> Self {
        Sorted { builder: Builder::new() }
    }

    /// Appends a key.
    #[inline]
    pub(crate) fn push(&mut self, key: &[u8], value: V) -> Result<(), BuildError> {
        self.push_sharing(key, common_prefix(self.builder.last(), key), value)
    }

    /// Appends a key that is known to share `shared` bytes with the last one.
    #[inline]
    pub(crate) fn push_sharing(
        &mut self,
        key: &[u8],
        shared: usize,
        value: V,
    ) -> Result<(), BuildError> {
        if key.len() > MAX_KEY_LEN {
            return Err(InsertError::KeyTooLong { len: key.len() }.into());
        }
        if !self.builder.push(key, shared, value.into_bits()).map_err(InsertError::from)? {
            return Err(BuildError::NotAscending {
                position: self.builder.len(),
                key: key.to_vec(),
            });
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<FastArt<V>, BuildError> {
        Ok(FastArt::of(self.builder.finish().map_err(InsertError::from)?))
    }
}
