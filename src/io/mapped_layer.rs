//! Layers of mapped files, which other rooms open by a promise that a caller has made.

use super::mapping::Mapping;
use crate::error::FileError;
use crate::frozen::{FrozenError, FrozenLayer, LayerValue, format};
use crate::io::bytes::Bytes;
use std::path::Path;

/// The promise of a caller that files do not change while they are mapped.
#[cfg(feature = "sets")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unchanged(());

#[cfg(feature = "sets")]
impl Unchanged {
    /// Notes the promise.
    ///
    /// # Safety
    /// No one truncates the files or writes to them while they are mapped.
    pub(super) unsafe fn promised() -> Self {
        Unchanged(())
    }
}

impl<V: LayerValue + ?Sized> FrozenLayer<V> {
    /// Maps an open file. The path is for messages.
    #[cfg(feature = "sets")]
    pub(crate) fn map(
        file: &std::fs::File,
        path: &Path,
        _: Unchanged,
    ) -> Result<Self, FrozenError> {
        // SAFETY: (M1) the caller that opened the set has promised that its files do not change
        // until the set and its clones are dropped. Only they, and iterators that borrow them,
        // read the layers of its parts. A layer that is retired may be freed later; no one reads
        // its mapping then.
        let mapping = unsafe { Mapping::of(file) };
        Self::of_mapping(mapping, path)
    }

    /// Reads the layer of a mapped file, which is `None` if it is empty. The path is for messages.
    pub(super) fn of_mapping(
        mapping: std::io::Result<Option<Mapping>>,
        path: &Path,
    ) -> Result<Self, FrozenError> {
        let mapping = mapping
            .map_err(|error| FileError::new("open", path, error))?
            .ok_or(FrozenError::Truncated)?;
        Self::of_read(format::parse(&Bytes::from_mapping(mapping))?)
    }
}
