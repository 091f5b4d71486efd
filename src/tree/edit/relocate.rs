//! Compaction: moving nodes out of sparse pages of the pool.
//!
//! A tree that shrinks leaves holes all over the pool's pages, and a page comes back only when the last of its cells is free. Whenever a tree has lost
//! a sixteenth of its bytes while much of the pool lies idle, its nodes are visited, and those in sparse pages copied: the pool gives
//! them cells in fuller ones. The visit costs a small part of what the removals before it cost.

use crate::pool;
use crate::tree::RawTree;
use crate::tree::edit::clear::copy_keys;
use crate::tree::edit::commit::{replace_inner, replace_leaf};
use crate::tree::edit::mode::{Alone, Mode, Stop};
use crate::tree::edit::pending::Failed;
use crate::tree::node::coding::NodeRef;
use crate::tree::node::layout::{Child, Usage};
use crate::tree::node::slot::SlotRef;
use crate::value::Bits;

/// Bytes below which a tree is too small for it.
const LEAST: usize = 1 << 20;
/// The part of what is live that may lie idle while a tree shrinks.
const PART: usize = 16;
/// Visits in a row: what drains in one lets the pool empty further slabs in the next.
pub(crate) const VISITS: usize = 4;

/// Whether so much of the pool is idle that compaction pays: over this part of what is live.
pub(crate) fn is_idle(part: usize) -> bool {
    let pool = pool::usage();
    pool.reserved - pool.used > (pool.used + 16 * LEAST) / part
}

impl<B: Bits> RawTree<B> {
    /// Compacts if the tree has shrunk enough since the last time.
    #[inline]
    pub(crate) fn compact_if_shrunk(&mut self) {
        let bytes = self.usage.leaves;
        self.most = self.most.max(bytes);
        if bytes < self.most - self.most / 16 && self.most > LEAST {
            self.most = bytes;
            let _closed = pool::close();
            for _ in 0..VISITS {
                if !is_idle(PART) || !self.compact() {
                    break;
                }
            }
        }
    }

    /// Moves the nodes that stand in sparse pages. Says whether there were any, and memory for them.
    #[cold]
    #[inline(never)]
    fn compact(&mut self) -> bool {
        cover!(Compact);
        let mut todo = Vec::new();
        let (mut next, mut moved) = (Some(SlotRef::root(&self.root)), false);
        while let Some(anchor) = next {
            // SAFETY: (N1, N3) the tree is borrowed for writing.
            match unsafe { relocate::<B, _>(Alone, &mut self.usage, anchor) } {
                Ok(done) => moved |= done,
                Err(_) => return false,
            }
            if let Child::Inner(node) = anchor.slot.load() {
                // SAFETY: (N1, N5) a node reached from the root is live while the tree is borrowed.
                let keys = unsafe { NodeRef::new(node) };
                if todo.try_reserve(keys.count() + 1).is_err() {
                    return false;
                }
                keys.prefetch_children();
                todo.extend((0..=keys.count()).map(|i| keys.owned(i)));
            }
            next = todo.pop();
        }
        moved
    }
}

/// Moves the node in a slot to another cell if it had better move. Says whether it did.
///
/// # Safety
/// The mode's, as for [`commit`](crate::tree::edit::commit::commit).
pub(crate) unsafe fn relocate<B: Bits, M: Mode>(
    mode: M,
    usage: &mut Usage,
    anchor: SlotRef<'_>,
) -> Result<bool, Stop> {
    let Some(node) = anchor.slot.load().node() else { return Ok(false) };
    // SAFETY: (N1, N5) by the caller, a node reached from the root is live. (N4) The copy is ours alone until it is published, with room for
    // the same values or slots; (N2) and is given back if it is not.
    unsafe {
        if !node.is_sparse::<B>() {
            return Ok(false);
        }
        let keys = NodeRef::new(node);
        let new = copy_keys::<B>(usage, node).ok_or(Failed(keys.info.size::<B>()))?;
        let replaced = if keys.info.is_leaf() {
            replace_leaf::<B, M>(mode, usage, anchor, &keys, (0, 0), (None, None), (new, keys.info))
                .map(drop)
        } else {
            replace_inner::<B, M>(mode, usage, anchor, &keys, new)
        };
        if replaced.is_err() {
            usage.free::<B>(new);
        } else {
            cover!(Relocated);
        }
        replaced.map(|()| true)
    }
}
