//! How the nodes of a tree are locked and freed: by its one owner, or beside other threads.

use crate::tree::edit::pending::Failed;
use crate::tree::node::layout::{Child, Node, Usage};
use crate::tree::node::slot::SlotRef;
use crate::value::Bits;
use std::collections::TryReserveError;

/// Why an operation did not come to its end. The tree is as before.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop {
    /// There was no memory.
    Failed(Failed),
    /// Another thread changed what the operation was to change: begin again.
    Conflict,
}

impl From<Failed> for Stop {
    fn from(failed: Failed) -> Stop {
        Stop::Failed(failed)
    }
}

impl From<TryReserveError> for Stop {
    fn from(error: TryReserveError) -> Stop {
        Stop::Failed(error.into())
    }
}

impl From<Stop> for crate::InsertError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Failed(failed) => failed.into(),
            // Whoever shares a tree begins again, and whoever owns it meets no one.
            Stop::Conflict => unreachable!("a conflict is not reported"),
        }
    }
}

/// How the nodes of a tree are locked and given back.
pub(crate) trait Mode: Copy {
    /// Waits for the lock of a slot that led to `child`; `false`: it leads elsewhere, or its owner is replaced.
    fn lock(self, anchor: SlotRef<'_>, child: Child) -> bool;
    /// Waits for the lock of a node that is to be replaced, as above.
    ///
    /// # Safety
    /// The node is live (N1), for this and the next two.
    unsafe fn lock_old(self, node: Node) -> bool;
    /// # Safety
    /// As above.
    unsafe fn unlock_old(self, node: Node);
    /// Unlocks a node for good: it is not part of the tree any more.
    ///
    /// # Safety
    /// As above.
    unsafe fn retire(self, node: Node);
    /// Gives a node back.
    ///
    /// # Safety
    /// It came from `Usage::alloc` with this `B`, no slot reached from the root leads to it, and it is given back once (N2).
    unsafe fn give_back<B: Bits>(self, usage: &mut Usage, node: Node);
}

/// The mode of a tree that one owner has to himself: nothing is locked, and nodes are freed at once.
#[derive(Clone, Copy)]
pub(crate) struct Alone;

impl Mode for Alone {
    #[inline(always)]
    fn lock(self, _: SlotRef<'_>, _: Child) -> bool {
        true
    }
    #[inline(always)]
    unsafe fn lock_old(self, _: Node) -> bool {
        true
    }
    #[inline(always)]
    unsafe fn unlock_old(self, _: Node) {}
    #[inline(always)]
    unsafe fn retire(self, _: Node) {}
    #[inline(always)]
    unsafe fn give_back<B: Bits>(self, usage: &mut Usage, node: Node) {
        // SAFETY: (N2) by the caller.
        unsafe { usage.free::<B>(node) }
    }
}
