//! The mode of a shared tree: nodes are locked, and freed when no pinned thread can read them.

use crate::reclaim::{Pin, RetiredKind};
use crate::sync::in_order;
use crate::tree::edit::Mode;
use crate::tree::node::{Child, Node, NodeRef, SlotRef, Usage};
use crate::value::Bits;

/// The mode of a shared tree, for a pinned thread.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'p>(pub(crate) &'p Pin);

impl Mode for Shared<'_> {
    const IN_PLACE: bool = false;

    #[inline]
    fn lock_slot(self, anchor: SlotRef<'_>, child: Child) -> bool {
        if mutant!(SlotNotLocked) {
            return true;
        }
        loop {
            if !anchor.slot.lock(child) {
                return false;
            }
            // A thread that locks the parent waits for this slot, or did so before, which shows
            // here (C2).
            in_order();
            let Some(parent) =
                anchor.parent_lock.filter(|parent| !parent.is_free() && !mutant!(ParentNotChecked))
            else {
                return true;
            };
            anchor.slot.store(child);
            if !parent.wait() {
                return false;
            }
        }
    }
    #[inline]
    unsafe fn lock_node(self, node: Node) -> bool {
        // SAFETY: (N1) by the caller, for this and the next four.
        unsafe {
            if is(node, mutant!(LeafNotLocked), mutant!(InnerNotLocked)) {
                return true;
            }
            let locked = node.lock().lock();
            if locked && !node.info().is_leaf() && !mutant!(SlotsNotAwaited) {
                in_order();
                let keys = NodeRef::new(node);
                (0..=keys.count()).for_each(|i| keys.slot(i).wait());
            }
            locked
        }
    }
    #[inline]
    unsafe fn unlock_node(self, node: Node) {
        // SAFETY: (N1) as above.
        unsafe {
            if !is(node, mutant!(LeafNotLocked), mutant!(InnerNotLocked)) {
                node.lock().unlock();
            }
        }
    }
    #[inline]
    unsafe fn lock_values(self, leaf: Node) -> bool {
        // SAFETY: (N1) as above.
        mutant!(OverwriteUnlocked) || unsafe { leaf.lock() }.lock()
    }
    #[inline]
    unsafe fn unlock_values(self, leaf: Node) {
        if !mutant!(OverwriteUnlocked) {
            // SAFETY: (N1) as above.
            unsafe { leaf.lock() }.unlock();
        }
    }
    #[inline]
    unsafe fn mark_obsolete(self, node: Node) {
        // SAFETY: (N1) as above.
        unsafe {
            if is(node, false, mutant!(ObsoleteSlotsCleared)) {
                let keys = NodeRef::new(node);
                (0..=keys.count()).for_each(|i| keys.slot(i).store(Child::Empty));
            }
            if is(node, mutant!(LeafNotObsolete), mutant!(InnerNotObsolete)) {
                node.lock().unlock();
            } else {
                node.lock().mark_obsolete();
            }
        }
    }
    #[inline]
    unsafe fn free<B: Bits>(self, usage: &mut Usage, node: Node) {
        // SAFETY: (N1) the thread is pinned, so the node is live. (N2, R2) By the caller no slot of
        // the tree leads to it, so a thread that pins from now on cannot reach it.
        unsafe {
            let bytes = usage.forget::<B>(node);
            if mutant!(FreedAtOnce) {
                return node.free_late::<B>();
            }
            self.0.retire(RetiredKind::Node, bytes, move || node.free_late::<B>());
        }
    }
}

/// Returns whether a mutant is about nodes of this kind.
///
/// # Safety
/// The node is live (N1).
#[inline(always)]
unsafe fn is(node: Node, leaf: bool, inner: bool) -> bool {
    // SAFETY: (N1) by the caller.
    (leaf || inner) && if unsafe { node.info() }.is_leaf() { leaf } else { inner }
}
