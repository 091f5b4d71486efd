//! How the nodes of a tree are locked and freed: with one owner, or with many threads at a time.

use crate::symbols::FsstTable;
use crate::tree::EntryPos;
use crate::tree::coder::LeafCoder;
use crate::tree::edit::Failed;
use crate::tree::node::{Child, Node, SlotRef, Usage};
use crate::value::Bits;
use std::collections::TryReserveError;

/// Why an edit was not committed. The tree is as before.
#[derive(Clone, Copy, Debug)]
pub(crate) enum EditError {
    /// There was no memory.
    OutOfMemory(Failed),
    /// Another thread changed the nodes first: the operation restarts.
    Conflict,
}

impl From<Failed> for EditError {
    fn from(failed: Failed) -> EditError {
        EditError::OutOfMemory(failed)
    }
}

impl From<TryReserveError> for EditError {
    fn from(error: TryReserveError) -> EditError {
        EditError::OutOfMemory(error.into())
    }
}

impl From<EditError> for crate::InsertError {
    fn from(error: EditError) -> Self {
        match error {
            EditError::OutOfMemory(failed) => failed.into(),
            // A shared tree restarts the operation, and an exclusive one has no conflicts.
            EditError::Conflict => unreachable!("a conflict reached the caller"),
        }
    }
}

/// What the current value must be for an edit to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected<B> {
    Any,
    Absent,
    Value(B),
}

/// The outcome of an edit of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome<B> {
    /// The value at the moment of the edit, before it.
    pub(crate) old: Option<B>,
    /// Whether the edit was made: whether that value was as expected.
    pub(crate) done: bool,
}

/// How the nodes of a tree are locked and freed.
pub(crate) trait Mode: Copy {
    /// Whether an edit may change the entries of a published leaf: whether the tree has one owner
    /// and is borrowed for writing (N3).
    const IN_PLACE: bool;
    /// Locks a slot that led to `child`, after waiting for its lock.
    ///
    /// Returns `false` and locks nothing if it leads elsewhere, or its parent is replaced.
    fn lock_slot(self, anchor: SlotRef<'_>, child: Child) -> bool;
    /// Locks a node that is to be replaced, and waits until none of its slots is locked.
    ///
    /// Returns `false` and locks nothing if it is obsolete.
    ///
    /// # Safety
    /// The node is live (N1), for this and the next four.
    unsafe fn lock_node(self, node: Node) -> bool;
    /// # Safety
    /// As above.
    unsafe fn unlock_node(self, node: Node);
    /// Locks a leaf one of whose values is to be overwritten. Returns `false` if it is obsolete.
    ///
    /// # Safety
    /// As above.
    unsafe fn lock_values(self, leaf: Node) -> bool;
    /// # Safety
    /// As above.
    unsafe fn unlock_values(self, leaf: Node);
    /// Unlocks a node for good: it is not part of the tree any more.
    ///
    /// # Safety
    /// As above.
    unsafe fn mark_obsolete(self, node: Node);
    /// Frees a node as soon as no reader can remain.
    ///
    /// # Safety
    /// It came from `Usage::alloc` with this `B`, no slot reached from the root leads to it, and it
    /// is freed once (N2).
    unsafe fn free<B: Bits>(self, usage: &mut Usage, node: Node);
}

/// The mode of a tree with one owner: nothing is locked, and nodes are freed at once.
#[derive(Clone, Copy)]
pub(crate) struct Exclusive;

impl Mode for Exclusive {
    const IN_PLACE: bool = true;

    #[inline(always)]
    fn lock_slot(self, _: SlotRef<'_>, _: Child) -> bool {
        true
    }
    #[inline(always)]
    unsafe fn lock_node(self, _: Node) -> bool {
        true
    }
    #[inline(always)]
    unsafe fn unlock_node(self, _: Node) {}
    #[inline(always)]
    unsafe fn lock_values(self, _: Node) -> bool {
        true
    }
    #[inline(always)]
    unsafe fn unlock_values(self, _: Node) {}
    #[inline(always)]
    unsafe fn mark_obsolete(self, _: Node) {}
    #[inline(always)]
    unsafe fn free<B: Bits>(self, usage: &mut Usage, node: Node) {
        // SAFETY: (N2) by the caller.
        unsafe { usage.free::<B>(node) }
    }
}

/// The tree that an operation edits.
pub(crate) struct Target<'t, M> {
    pub(crate) mode: M,
    pub(crate) root: SlotRef<'t>,
    /// What its nodes take.
    pub(crate) usage: &'t mut Usage,
    /// The symbol tables by which its leaves are coded, if they are.
    pub(crate) coder: Option<&'t LeafCoder>,
}

impl<'t, M> Target<'t, M> {
    /// Returns the table by which new leaves are coded.
    pub(crate) fn table(&self) -> Option<&'t FsstTable> {
        self.coder?.newest()
    }
}

/// Bytes of leaves below which a tree is small: its leaves may have much room to spare, so that
/// most edits are made in place. In a test few keys must make a large tree.
const MAX_SMALL_TREE_BYTES: usize = if cfg!(test) { 16 << 10 } else { 1 << 20 };

/// The part of its size that a leaf of a small tree may have to spare after a removal.
const SMALL_SPARE_DIVISOR: usize = 4;
/// The part of its size that a leaf of any other tree may have to spare after a removal.
const SPARE_DIVISOR: usize = 16;

/// Returns whether a tree that takes `usage` is small, and leaves are edited in place.
#[inline(always)]
pub(crate) fn is_small<M: Mode>(usage: &Usage) -> bool {
    M::IN_PLACE && usage.leaves < MAX_SMALL_TREE_BYTES
}

/// Returns whether a leaf of `size` bytes may keep its place when its entries need only `used`.
#[inline(always)]
pub(crate) fn may_spare<M: Mode>(usage: &Usage, size: usize, used: usize) -> bool {
    M::IN_PLACE
        && size - used
            <= size / if is_small::<M>(usage) { SMALL_SPARE_DIVISOR } else { SPARE_DIVISOR }
}

/// Overwrites the value at `pos` if it is as expected.
///
/// # Safety
/// The position is one of a live leaf (N1, N9). With `Exclusive` the tree is borrowed for writing.
#[inline(always)]
pub(crate) unsafe fn overwrite<B: Bits, M: Mode>(
    mode: M,
    EntryPos { node, info, index }: EntryPos,
    expected: Expected<B>,
    value: B,
) -> Result<Outcome<B>, EditError> {
    // SAFETY: (N1, N6) by the caller: the leaf is live, and the index is a key's. (N3, C4) The
    // caller is the only writer, or has the leaf's lock.
    unsafe {
        if expected == Expected::Absent {
            return Ok(Outcome { old: Some(node.value(info, index)), done: false });
        }
        if !mode.lock_values(node) {
            return Err(EditError::Conflict);
        }
        let old = node.value(info, index);
        let done = expected == Expected::Any || expected == Expected::Value(old);
        if done {
            node.set_value(info, index, value);
            cover!(Overwritten);
        }
        mode.unlock_values(node);
        Ok(Outcome { old: Some(old), done })
    }
}
