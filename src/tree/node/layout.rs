//! The layout of a node, and the accessors through which all other code reaches its parts.
//!
//! ```text
//!  leaf   ┌ info u64 ┬ payload: keys (coding.rs) ┬ values, aligned, SIZE bytes each ┐
//!  inner  ┌ info u64 ┬ heads (heads.rs) ┬ slots ┬ payload: separators (coding.rs)   ┐
//! ```
//!
//! `info` has the kind of the node and the size of each part, so a node knows its own size. Slots
//! are the children, one more than separators. Heads and payload are plain memory, written before
//! the node is published. Afterwards they change only in a leaf of a tree with one owner
//! (in_place.rs). Info, slots and values are atomics. Under `cfg(memkv_loom)` the same accessors
//! lead to loom's atomics in a boxed node.

use crate::tree::node::{Info, Node};
use crate::value::Bits;

impl Node {
    /// Frees a node that [`Usage::forget`] no longer counts.
    ///
    /// # Safety
    /// As for [`Usage::free`] (N2).
    pub(crate) unsafe fn free_late<B: Bits>(self) {
        // SAFETY: (N1, N2) by the caller.
        unsafe {
            let info = self.info();
            self.free(info, info.size::<B>(), true);
        }
    }

    /// Returns the info of this node. Only the count of a leaf ever changes.
    ///
    /// # Safety
    /// The node is live (N1).
    #[inline(always)]
    pub(crate) unsafe fn info(self) -> Info {
        // SAFETY: (N1) by the caller.
        Info(unsafe { self.info_word() })
    }

    /// Replaces the info of this node.
    ///
    /// # Safety
    /// The node is live (N1), the caller is its only writer (N3), and `info` differs in the count
    /// only.
    #[inline(always)]
    pub(crate) unsafe fn set_info(self, info: Info) {
        // SAFETY: (N1, N3) by the caller.
        unsafe { self.set_info_word(info.0) };
    }

    /// Returns value `i`.
    ///
    /// # Safety
    /// The node is live (N1) and a leaf of `B`; `i` is below its count (N5, N6).
    #[inline(always)]
    pub(crate) unsafe fn value<B: Bits>(self, info: Info, i: usize) -> B {
        debug_assert!(i < info.values());
        // SAFETY: (N1, N5, N6) by the caller.
        unsafe { self.load_value(info, i) }
    }

    /// Stores value `i`.
    ///
    /// # Safety
    /// The node is live (N1) and a leaf of `B`, `i` is below its capacity (N6), and the caller is
    /// the only writer (N3).
    #[inline(always)]
    pub(crate) unsafe fn set_value<B: Bits>(self, info: Info, i: usize, value: B) {
        debug_assert!(i < info.values());
        // SAFETY: (N1, N3, N6) by the caller.
        unsafe { self.store_value(info, i, value) }
    }
}

/// The bytes held by nodes, counted by the owner of the tree; or a change of them, modulo the word
/// size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Bytes of leaves' cells.
    pub(crate) leaves: usize,
    /// Bytes of inner nodes' cells.
    pub(crate) inner: usize,
    /// Unused bytes of leaves' cells.
    pub(crate) slack_leaves: usize,
    /// Unused bytes of inner nodes' cells.
    pub(crate) slack_inner: usize,
}

impl Usage {
    /// Allocates a node of this shape. Returns `None` when out of memory.
    ///
    /// Slots are empty. The payload and the values must be written before they are read.
    #[inline]
    pub(crate) fn alloc<B: Bits>(&mut self, info: Info) -> Option<Node> {
        let bytes = info.size::<B>();
        let (node, size) = Node::alloc::<B>(info, bytes)?;
        let (cells, slack) = self.kind(info);
        *cells = cells.wrapping_add(size);
        *slack = slack.wrapping_add(size - bytes);
        Some(node)
    }

    /// Frees a node.
    ///
    /// # Safety
    /// The node came from [`Usage::alloc`] with this `B`, no thread can reach it any more, and it
    /// is freed once (N2).
    #[inline]
    pub(crate) unsafe fn free<B: Bits>(&mut self, node: Node) {
        // SAFETY: (N1) the node is live until the end of this call.
        let info = unsafe { node.info() };
        let bytes = info.size::<B>();
        // SAFETY: (N2) by the caller; the size follows from the info it was allocated with.
        let size = unsafe { node.free(info, bytes, false) };
        self.subtract(info, size, bytes);
    }

    /// Stops counting a node that [`Node::free_late`] will free, and returns the bytes of its cell.
    ///
    /// # Safety
    /// The node is live (N1) and came from [`Usage::alloc`] with this `B`.
    pub(crate) unsafe fn forget<B: Bits>(&mut self, node: Node) -> usize {
        // SAFETY: (N1) by the caller.
        unsafe {
            let info = node.info();
            let bytes = info.size::<B>();
            let size = node.cell_size(info, bytes);
            self.subtract(info, size, bytes);
            size
        }
    }

    #[inline]
    fn subtract(&mut self, info: Info, size: usize, bytes: usize) {
        let (cells, slack) = self.kind(info);
        *cells = cells.wrapping_sub(size);
        *slack = slack.wrapping_sub(size - bytes);
    }

    #[inline]
    fn kind(&mut self, info: Info) -> (&mut usize, &mut usize) {
        if info.is_leaf() {
            (&mut self.leaves, &mut self.slack_leaves)
        } else {
            (&mut self.inner, &mut self.slack_inner)
        }
    }
}
