//! Building a map from ascending keys.

use super::FastArt;
use crate::coding::KeyCoding;
use crate::error::{BuildError, InsertError, or_fail_build};
use crate::face::{OwnedEnds, Range};
use crate::tree::{Builder, LeafCoder, MAX_KEY_LEN, common_prefix};
use crate::value::Value;
use std::sync::Arc;

/// Builds a map from keys that must ascend.
pub(crate) struct Sorted<V: Value> {
    builder: Builder<V::Bits>,
}

impl<V: Value> Sorted<V> {
    pub(crate) fn with_coder(coder: Option<Arc<LeafCoder>>) -> Self {
        Sorted { builder: Builder::new(coder) }
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
            let builder = &self.builder;
            return Err(BuildError::not_ascending(builder.len(), key, builder.last()));
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<FastArt<V>, BuildError> {
        Ok(FastArt::of(self.builder.finish().map_err(InsertError::from)?))
    }
}

impl<V: Value> FastArt<V> {
    /// Builds a map of the keys in a range of another, whose coder this is.
    #[track_caller]
    pub(crate) fn of_range<E: OwnedEnds<Owned = V>>(
        mut range: Range<E>,
        coder: Option<Arc<LeafCoder>>,
    ) -> Self {
        let mut sorted = Sorted::with_coder(coder);
        while let Some((key, value)) = range.next_ref() {
            or_fail_build(sorted.push(key, E::own(value)));
        }
        or_fail_build(sorted.finish())
    }

    /// Builds a map bottom-up from strictly ascending keys.
    ///
    /// Its leaves are full, so it is smaller than a map filled by [`insert`](Self::insert).
    /// Building is several times faster, too.
    ///
    /// # Errors
    /// Returns an error for the first key that is not greater than the one before it, is over the
    /// limit, or cannot be allocated.
    ///
    /// ```
    /// let map = memkv::FastArt::from_sorted([("a", 1u64), ("b", 2)])?;
    /// assert_eq!(map.get("b"), Some(2));
    /// # Ok::<(), memkv::BuildError>(())
    /// ```
    pub fn from_sorted<K: AsRef<[u8]>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, BuildError> {
        Self::build(LeafCoder::of_default(), pairs)
    }

    /// Builds a map as [`from_sorted`](Self::from_sorted) does, which stores keys in this way.
    ///
    /// # Errors
    /// As those of [`from_sorted`](Self::from_sorted).
    ///
    /// ```
    /// use memkv::{FastArt, KeyCoding};
    ///
    /// let map = FastArt::from_sorted_with(KeyCoding::Symbols, [("a", 1u64), ("b", 2)])?;
    /// assert_eq!(map.get("b"), Some(2));
    /// # Ok::<(), memkv::BuildError>(())
    /// ```
    pub fn from_sorted_with<K: AsRef<[u8]>>(
        coding: KeyCoding,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, BuildError> {
        Self::build(LeafCoder::asked(coding), pairs)
    }

    fn build<K: AsRef<[u8]>>(
        coder: Option<Arc<LeafCoder>>,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, BuildError> {
        let mut sorted = Sorted::with_coder(coder);
        pairs.into_iter().try_for_each(|(key, value)| sorted.push(key.as_ref(), value))?;
        sorted.finish()
    }
}
