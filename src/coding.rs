//! How a map stores keys.

#![forbid(unsafe_code)]

use crate::tree::LeafCoder;
use std::sync::Arc;

/// How a map stores the bytes of keys that no neighbour shares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyCoding {
    /// As they are.
    #[default]
    Plain,
    /// As codes of a symbol table, where that is smaller.
    Symbols,
}

impl KeyCoding {
    /// Returns what codes the leaves of a new map.
    pub(crate) fn coder(self) -> Option<Arc<LeafCoder>> {
        (self == KeyCoding::Symbols).then(|| Arc::new(LeafCoder::new()))
    }
}
