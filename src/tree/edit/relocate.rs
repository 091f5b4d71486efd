//! Relocation: copying nodes out of sparse pages of the pool.
//!
//! A tree that shrinks leaves holes all over the pool's pages, and a page goes back only when the
//! last of its cells is free. When a tree has lost a sixteenth of its bytes while much of the pool
//! lies idle, its nodes are visited, and those in sparse pages copied: the pool allocates the
//! copies in fuller pages. A visit costs a small part of what the removals before it cost.

use crate::pool;
use crate::tree::RawTree;
use crate::tree::edit::{
    Edit, EditError, Exclusive, Failed, LevelEdit, Mode, PathLevel, Target, commit, copy_keys,
    locate, try_copy,
};
use crate::tree::node::{Child, NodeRef, SlotRef, Usage};
use crate::value::Bits;

/// Bytes of leaves below which a tree is too small to be relocated.
const MIN_TREE_BYTES: usize = 1 << 20;
/// A tree that shrinks is relocated while more than one byte in this many live ones is idle.
const LIVE_PER_IDLE: usize = 16;
/// Visits in a row. Pages that one visit empties let the pool drain further slabs in the next.
pub(crate) const MAX_VISITS: usize = 4;

/// Returns whether relocation pays: whether more than one byte in `live_per_idle` live ones is
/// idle.
pub(crate) fn is_idle(live_per_idle: usize) -> bool {
    let pool = pool::usage();
    pool.reserved - pool.used > (pool.used + 16 * MIN_TREE_BYTES) / live_per_idle
}

impl<B: Bits> RawTree<B> {
    /// Relocates nodes if the tree has shrunk enough since the last time.
    #[inline]
    pub(crate) fn relocate_if_shrunk(&mut self) {
        let bytes = self.usage.leaves;
        self.peak_leaf_bytes = self.peak_leaf_bytes.max(bytes);
        if bytes < self.peak_leaf_bytes - self.peak_leaf_bytes / 16
            && self.peak_leaf_bytes > MIN_TREE_BYTES
        {
            self.peak_leaf_bytes = bytes;
            self.relocate_while_idle();
        }
    }

    /// Relocates nodes that were built while those of another tree stood between them, unless the
    /// tree is small.
    pub(crate) fn relocate_rebuilt(&mut self) {
        if self.usage.leaves > MIN_TREE_BYTES {
            self.relocate_while_idle();
        }
    }

    /// Relocates nodes as long as much of the pool is idle and that helps.
    fn relocate_while_idle(&mut self) {
        let _closed = pool::disable_caches();
        for _ in 0..MAX_VISITS {
            if !is_idle(LIVE_PER_IDLE) || !self.relocate_nodes() {
                break;
            }
        }
    }

    /// Relocates the nodes in sparse pages. Returns whether there were any, and memory for them.
    ///
    /// One walk over all slots: only a shared tree, whose slots may change, descends for each
    /// group.
    #[cold]
    #[inline(never)]
    fn relocate_nodes(&mut self) -> bool {
        cover!(Compact);
        let mut todo = Vec::new();
        let (mut next, mut moved) = (Some(SlotRef::root(&self.root)), false);
        while let Some(anchor) = next {
            // SAFETY: (N1, N3) the tree is borrowed for writing.
            match unsafe { relocate::<B, _>(Exclusive, &mut self.usage, anchor) } {
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
                todo.extend((0..=keys.count()).map(|i| keys.slot_ref(i)));
            }
            next = todo.pop();
        }
        moved
    }
}

/// What came of the visit of a group of nodes.
pub(crate) struct Visit {
    moved: bool,
    /// The first key after the group.
    next: Option<Vec<u8>>,
}

/// Visits all groups of nodes in order. Returns whether a node was moved.
///
/// `visit` is called with the first key of a group.
pub(crate) fn visit_groups(
    mut visit: impl FnMut(&[u8]) -> Result<Visit, Failed>,
) -> Result<bool, Failed> {
    cover!(Compact);
    let (mut from, mut any) = (Vec::new(), false);
    loop {
        let Visit { moved, next } = visit(&from)?;
        any |= moved;
        let Some(next) = next else { return Ok(any) };
        from = next;
    }
}

/// Relocates the leaves below one inner node, and the inner nodes whose last leaf is among them.
///
/// An inner node comes after all nodes below it, so the slots that lead to the rest of the group
/// still hold. `from` is the first key of the group.
///
/// # Safety
/// The mode's, as for [`commit`](crate::tree::edit::commit::commit).
pub(crate) unsafe fn relocate_group<B: Bits, M: Mode>(
    target: Target<'_, M>,
    from: &[u8],
) -> Result<Visit, Failed> {
    let path = locate(target.root, from)?;
    let Some(level) = path.levels.last() else { return Ok(Visit { moved: false, next: None }) };
    level.keys.prefetch_children();
    let is_last = |level: &&PathLevel<'_>| level.at == level.keys.count();
    let above = path.levels.iter().rev().skip(1).take_while(is_last);
    let inner = std::iter::once(level).chain(above).map(|level| level.anchor);
    let next = level.fences.high().map(try_copy).transpose()?;
    let mut moved = false;
    for anchor in (0..=level.keys.count()).map(|i| level.keys.slot_ref(i)).chain(inner) {
        // SAFETY: (N1, R1) by the caller.
        match unsafe { relocate::<B, _>(target.mode, target.usage, anchor) } {
            Ok(done) => moved |= done,
            // The thread that came first has written a new node.
            Err(EditError::Conflict) => {}
            Err(EditError::OutOfMemory(failed)) => return Err(failed),
        }
    }
    Ok(Visit { moved, next })
}

/// Copies the node in a slot to another cell if it stands in a sparse page. Returns whether it did.
///
/// # Safety
/// The mode's, as for [`commit`](crate::tree::edit::commit::commit).
unsafe fn relocate<B: Bits, M: Mode>(
    mode: M,
    usage: &mut Usage,
    anchor: SlotRef<'_>,
) -> Result<bool, EditError> {
    let Some(node) = anchor.slot.load().node() else { return Ok(false) };
    // SAFETY: (N1, N5) by the caller, a node reached from the root is live. (N4) The copy is ours
    // alone until it is published, with room for the same values or slots; (N2) it is freed if it
    // is not published.
    unsafe {
        if !node.is_sparse::<B>() {
            return Ok(false);
        }
        let new = copy_keys::<B>(usage, node).ok_or(Failed(node.info().size::<B>()))?;
        let levels = &[LevelEdit::one(node, 0, 0, new)];
        let edit = Edit::<B> { anchor, levels, value: None, expected: None };
        if let Err(error) = commit(mode, usage, edit) {
            usage.free::<B>(new);
            return Err(error);
        }
        cover!(Relocated);
        Ok(true)
    }
}
