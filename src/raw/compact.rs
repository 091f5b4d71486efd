//! Compaction: moving nodes out of sparse pages of the pool.
//!
//! A tree that shrinks leaves holes all over the pool's pages, and a page comes back only when the last of its cells is free. Whenever a tree has lost
//! a sixteenth of its bytes while much of the pool lies idle, its nodes are visited, and those in sparse pages copied: the pool gives
//! them cells in fuller ones. The visit costs a small part of what the removals before it cost.

use super::RawTree;
use super::clear::copy;
use super::keys::Keys;
use super::node::{Child, Slot, Usage};
use super::pool;
use crate::value::Bits;

/// Bytes below which a tree is too small for it.
const LEAST: usize = 1 << 20;
/// Visits in a row: what drains in one lets the pool empty further slabs in the next.
pub(super) const VISITS: usize = 4;

/// Whether so much of the pool is idle that compaction pays: over a sixteenth of what is live.
pub(super) fn is_idle() -> bool {
    let pool = pool::usage();
    pool.reserved - pool.used > pool.used / 16 + LEAST
}

impl<B: Bits> RawTree<B> {
    /// Compacts if the tree has shrunk enough since the last time.
    #[inline]
    pub(super) fn compact_if_shrunk(&mut self) {
        let bytes = self.usage.leaves;
        self.most = self.most.max(bytes);
        if bytes < self.most - self.most / 16 && self.most > LEAST {
            self.most = bytes;
            for _ in 0..VISITS {
                if !is_idle() || !self.compact() {
                    break;
                }
            }
        }
    }

    /// Moves the nodes that stand in sparse pages. Says whether there were any, and memory for them.
    #[cold]
    #[inline(never)]
    fn compact(&mut self) -> bool {
        count!(Compact);
        let mut todo: Vec<&Slot> = Vec::new();
        let (mut next, mut moved) = (Some(&self.root), false);
        while let Some(slot) = next {
            match Self::relocate(&mut self.usage, slot) {
                Some(done) => moved |= done,
                None => return false,
            }
            if let Child::Inner(node) = slot.load() {
                // SAFETY: (N1, N5) a node reached from the root is live while the tree is borrowed.
                let keys = unsafe { Keys::new(node) };
                if todo.try_reserve(keys.count() + 1).is_err() {
                    return false;
                }
                todo.extend((0..=keys.count()).map(|i| keys.slot(i)));
            }
            next = todo.pop();
        }
        moved
    }

    /// Copies the node in a slot to another cell if it had better move; `None`: no memory.
    fn relocate(usage: &mut Usage, slot: &Slot) -> Option<bool> {
        let child = slot.load();
        let (Child::Leaf(node) | Child::Inner(node)) = child else { return Some(false) };
        // SAFETY: (N1) a node reached from the root is live while the tree is borrowed.
        if !unsafe { node.is_sparse() } {
            return Some(false);
        }
        // SAFETY: (N1, N3) as above, and the tree is borrowed for writing.
        let new = unsafe { copy::<B>(usage, node) }?;
        if let Child::Inner(_) = child {
            // SAFETY: (N1, N5) both are live inner nodes.
            let (old, new) = unsafe { (Keys::new(node), Keys::new(new)) };
            for i in 0..=old.count() {
                new.slot(i).store(old.slot(i).load());
            }
            slot.store(Child::Inner(new.node));
        } else {
            slot.store(Child::Leaf(new));
        }
        // SAFETY: (N2) the slot leads to the copy now.
        unsafe { usage.free::<B>(node) };
        Some(true)
    }
}
