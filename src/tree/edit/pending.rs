//! What an edit prepares before it commits: nodes that are not published, and copies of keys. Any
//! of it may fail for lack of memory.

use crate::symbols::FsstTable;
use crate::tree::node::{Info, Node, Usage};
use crate::value::Bits;
use std::collections::TryReserveError;

/// Nodes that are not yet published. They are freed on drop unless [`publish`](Self::publish) is
/// called.
pub(crate) struct NewNodes<'u, B: Bits> {
    pub(crate) usage: &'u mut Usage,
    nodes: Vec<Node>,
    /// Whether leaves get room to spare.
    pub(crate) leaves_have_room: bool,
    /// The table by which leaves are coded, if that makes them smaller.
    pub(crate) table: Option<&'u FsstTable>,
    _bits: std::marker::PhantomData<B>,
}

impl<'u, B: Bits> NewNodes<'u, B> {
    /// Creates an empty list with room for `nodes` nodes.
    pub(crate) fn new(usage: &'u mut Usage, nodes: usize) -> Result<Self, TryReserveError> {
        let mut list = Vec::new();
        list.try_reserve_exact(nodes)?;
        Ok(NewNodes {
            usage,
            nodes: list,
            leaves_have_room: false,
            table: None,
            _bits: std::marker::PhantomData,
        })
    }

    /// Allocates a node for what has the shape `exact`, and notes it. The list has room for it.
    ///
    /// Returns the node's own shape too, which may have capacity for more keys. After its keys were
    /// written, [`Node::zero_room`] completes it.
    pub(crate) fn alloc(&mut self, exact: Info) -> Result<(Node, Info), Failed> {
        let room = self.leaves_have_room && exact.is_leaf() && !exact.is_coded();
        let info = if room { exact.with_room::<B>() } else { exact };
        let node = self.usage.alloc::<B>(info).ok_or(Failed(info.size::<B>()))?;
        self.nodes.push(node);
        Ok((node, info))
    }

    /// Notes a node that was allocated elsewhere. The list has room for it.
    pub(crate) fn note(&mut self, node: Node) {
        self.nodes.push(node);
    }

    /// Notes that the nodes are published: drop does not free them.
    pub(crate) fn publish(&mut self) {
        self.nodes.clear();
    }
}

impl<B: Bits> Drop for NewNodes<'_, B> {
    fn drop(&mut self) {
        for node in self.nodes.drain(..) {
            // SAFETY: (N2) the nodes were never published.
            unsafe { self.usage.free::<B>(node) };
        }
    }
}

/// Makes one node, which becomes the caller's.
pub(crate) fn make_one<'u, B: Bits>(
    usage: &'u mut Usage,
    table: Option<&'u FsstTable>,
    make: impl FnOnce(&mut NewNodes<'u, B>) -> Result<Node, Failed>,
) -> Result<Node, Failed> {
    let mut pending = NewNodes::new(usage, 1)?;
    pending.table = table;
    let node = make(&mut pending)?;
    pending.publish();
    Ok(node)
}

/// An allocation of this many bytes failed. 0 means that the number is not known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed(pub(crate) usize);

impl From<TryReserveError> for Failed {
    fn from(_: TryReserveError) -> Failed {
        // The error does not name the size.
        Failed(0)
    }
}

impl From<Failed> for crate::InsertError {
    fn from(failed: Failed) -> Self {
        crate::InsertError::OutOfMemory { bytes: failed.0 }
    }
}

/// Copies `bytes` into a vector of exactly their length.
pub(crate) fn try_copy(bytes: &[u8]) -> Result<Vec<u8>, Failed> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len())?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}
