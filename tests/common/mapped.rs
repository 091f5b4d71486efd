//! Mapped layers of any bytes.

use super::test_path::TestPath;
use memkv::{FrozenError, FrozenLayer, LayerValue};

/// Maps bytes, by a file that is removed at once.
pub(crate) fn mapped(bytes: &[u8]) -> Result<FrozenLayer, FrozenError> {
    mapped_as(bytes)
}

/// Maps bytes of a layer of values of some type.
pub(crate) fn mapped_as<V: LayerValue + ?Sized>(
    bytes: &[u8],
) -> Result<FrozenLayer<V>, FrozenError> {
    let path = TestPath::new("mapped");
    std::fs::write(&path, bytes).unwrap();
    // SAFETY: the file is never written again: it loses its only name here.
    unsafe { FrozenLayer::open_mapped_as(&path) }
}
