//! Append mode: what a tree notes while keys come in ascending order.

use crate::tree::node::Node;

/// Appends in a row after which the last leaf is kept open.
pub(crate) const APPENDS_TO_OPEN: u32 = 8;

/// The state of append mode.
#[derive(Debug)]
pub(crate) struct AppendMode {
    /// Appends in a row.
    pub(crate) appends: u32,
    pub(crate) open: Option<OpenLeaf>,
}

/// The open leaf: the last leaf of the tree, with room to spare (N8).
#[derive(Debug)]
pub(crate) struct OpenLeaf {
    /// The leaf. Its slot is not noted: it may be the root slot, which moves with the tree.
    pub(crate) node: Node,
    /// The leaf's strip, of at most [`Info::MAX_NARROW_STRIP`](crate::tree::node::Info) bytes.
    pub(crate) strip: u32,
    /// Rest bytes in use.
    pub(crate) rest: u32,
    /// The last key.
    pub(crate) last: Vec<u8>,
}

impl AppendMode {
    /// Creates the state of a tree that has seen no append.
    pub(crate) const fn new() -> AppendMode {
        AppendMode { appends: 0, open: None }
    }

    /// Returns whether there is an open leaf.
    #[inline(always)]
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Returns whether enough keys in a row were appended to take the keys as ascending.
    #[inline(always)]
    pub(crate) fn is_on(&self) -> bool {
        self.appends >= APPENDS_TO_OPEN
    }

    /// Returns the bytes on the heap other than nodes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.last.capacity())
    }
}
