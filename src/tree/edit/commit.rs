//! Replacing nodes: what every edit of the tree comes down to, with one owner or with many threads.
//!
//! An edit is prepared first: new nodes are written with the keys they will have. These follow from
//! the old nodes' keys, which nothing changes before the commit. Preparing may fail, and publishes
//! nothing. Then the edit is committed, by stores only:
//!
//! ```text
//!   lock      the slot ── old inner nodes, from the root down, left to right ── old leaves;
//!             conflict if one is obsolete
//!   move      children and values, in order, from the old nodes to the new ones, with the new
//!             child or value at its position
//!   publish   one store into the slot, which also unlocks it
//!   mark      the old nodes obsolete: their slots and values stay for current readers
//! ```
//!
//! An edit has a [`LevelEdit`] for each level of the tree. The old nodes of a level, one or two
//! siblings, hold a sequence of children or values. The new nodes hold the same sequence, except
//! for some items that others replace.

use crate::tree::edit::{EditError, Mode, NewNodes};
use crate::tree::node::{Child, Info, Node, NodeRef, SlotRef, Usage};
use crate::value::Bits;

/// What an edit does at one level: it replaces one or two sibling nodes and the items between them.
///
/// It has no reference into an old node, since it is read while these are freed one after the
/// other.
pub(crate) struct LevelEdit {
    /// The nodes replaced, siblings from left to right.
    pub(crate) old: [Option<Node>; 2],
    /// The first item replaced, counted over all old nodes.
    pub(crate) at: usize,
    /// How many items are replaced: by the new nodes of the level below, or in leaves by the new
    /// value.
    pub(crate) removed: usize,
    /// The nodes that replace them.
    pub(crate) new: [Option<Node>; 2],
}

impl LevelEdit {
    /// Replaces one node by one. From `at` on, `removed` items of `old` are replaced.
    pub(crate) fn one(old: Node, at: usize, removed: usize, new: Node) -> Self {
        LevelEdit { old: [Some(old), None], at, removed, new: [Some(new), None] }
    }

    /// Adds a node to an empty level.
    pub(crate) fn add(new: Node) -> Self {
        LevelEdit { old: [None; 2], at: 0, removed: 0, new: [Some(new), None] }
    }

    /// Returns whether the nodes are leaves.
    ///
    /// # Safety
    /// As for [`commit`].
    unsafe fn is_of_leaves(&self) -> bool {
        // SAFETY: (N1) by the caller: old nodes are live, and the new ones are ours.
        self.olds().chain(self.news()).next().is_some_and(|node| unsafe { node.info() }.is_leaf())
    }

    fn olds(&self) -> impl Iterator<Item = Node> + Clone + use<> {
        self.old.into_iter().flatten()
    }

    fn news(&self) -> impl Iterator<Item = Node> {
        self.new.into_iter().flatten()
    }
}

/// An edit that is prepared.
pub(crate) struct Edit<'e, B> {
    /// The slot at which it is published.
    pub(crate) anchor: SlotRef<'e>,
    /// The levels from the leaves up.
    pub(crate) levels: &'e [LevelEdit],
    /// The value inserted.
    pub(crate) value: Option<B>,
    /// What the first value removed must be; any, if `None`.
    pub(crate) expected: Option<B>,
}

/// The replacement of one leaf by another.
pub(crate) struct LeafEdit<'e, 'n, B> {
    /// The slot at which it is published.
    pub(crate) anchor: SlotRef<'e>,
    pub(crate) old: &'e NodeRef<'n>,
    pub(crate) new: Node,
    pub(crate) new_info: Info,
    /// The position of the first value removed or inserted.
    pub(crate) at: usize,
    pub(crate) removed: usize,
    /// The value inserted.
    pub(crate) value: Option<B>,
    /// What the first value removed must be; any, if `None`.
    pub(crate) expected: Option<B>,
}

/// Returns the child that a node is.
///
/// # Safety
/// The node is live (N1).
#[inline(always)]
unsafe fn child(node: Node) -> Child {
    // SAFETY: (N1) by the caller.
    if unsafe { node.info() }.is_leaf() { Child::Leaf(node) } else { Child::Inner(node) }
}

/// Locks the slot, which led to the first of the old nodes, and all of these.
///
/// Fails with a conflict if one is obsolete. Nodes that are not obsolete are where they were found:
/// a slot of a current node gets another child only when the one it leads to becomes obsolete (C1).
///
/// # Safety
/// As for [`commit`].
#[inline(always)]
unsafe fn lock_all<M: Mode>(
    mode: M,
    anchor: SlotRef<'_>,
    olds: impl Iterator<Item = Node> + Clone,
) -> Result<(), EditError> {
    // SAFETY: (N1) by the caller: old nodes are live.
    let was = olds.clone().next().map_or(Child::Empty, |node| unsafe { child(node) });
    if !mode.lock_slot(anchor, was) {
        return Err(EditError::Conflict);
    }
    debug_assert!(anchor.slot.load() == was, "a locked slot leads to another child");
    for (locked, node) in olds.clone().enumerate() {
        // SAFETY: (N1) as above.
        unsafe {
            if !mode.lock_node(node) {
                unlock_all(mode, anchor, was, olds.take(locked));
                return Err(EditError::Conflict);
            }
        }
    }
    Ok(())
}

/// Unlocks what [`lock_all`] locked.
///
/// # Safety
/// As for [`commit`].
#[cold]
unsafe fn unlock_all<M: Mode>(
    mode: M,
    anchor: SlotRef<'_>,
    was: Child,
    olds: impl Iterator<Item = Node>,
) {
    // SAFETY: (N1) by the caller.
    olds.for_each(|node| unsafe { mode.unlock_node(node) });
    anchor.slot.store(was);
}

/// Publishes `new` in the place of the old nodes, which are locked, and frees these.
///
/// # Safety
/// As for [`commit`]; and the new nodes are complete.
#[inline(always)]
unsafe fn publish<B: Bits, M: Mode>(
    mode: M,
    usage: &mut Usage,
    anchor: SlotRef<'_>,
    olds: impl Iterator<Item = Node> + Clone,
    new: Child,
) {
    anchor.slot.store(new);
    cover!(Published);
    // SAFETY: (N1) by the caller. (N2) No slot reached from the root leads to the old nodes any
    // more.
    unsafe {
        for node in olds.clone() {
            mode.mark_obsolete(node);
        }
        for node in olds {
            mode.free::<B>(usage, node);
        }
    }
}

/// Replaces a leaf by one with another value or with fewer values. Returns the first value removed.
///
/// If it fails, the new leaf is freed.
///
/// # Safety
/// As for [`commit`].
#[inline(always)]
pub(crate) unsafe fn replace_leaf<B: Bits, M: Mode>(
    mode: M,
    usage: &mut Usage,
    edit: LeafEdit<'_, '_, B>,
) -> Result<Option<B>, EditError> {
    let LeafEdit { anchor, old: leaf, new, new_info, at, removed, value, expected } = edit;
    let (old, n, after) = (leaf.node, leaf.count(), at + usize::from(value.is_some()));
    let olds = std::iter::once(old);
    // SAFETY: (N1, C3, N4, N6) by the caller: the old leaf stands still, the new one is ours alone,
    // and positions are below their counts. (N2) The new leaf is freed if it is not published.
    unsafe {
        if let Err(error) = lock_all(mode, anchor, olds.clone()) {
            usage.free::<B>(new);
            return Err(error);
        }
        let replaced = (removed > 0).then(|| old.value(leaf.info, at));
        if expected.is_some() && replaced != expected {
            unlock_all(mode, anchor, anchor.slot.load(), olds);
            usage.free::<B>(new);
            return Err(EditError::Conflict);
        }
        Node::copy_values::<B>(old, leaf.info, 0, new, new_info, 0, at);
        if let Some(value) = value {
            new.set_value(new_info, at, value);
        }
        let left = n - at - removed;
        Node::copy_values::<B>(old, leaf.info, at + removed, new, new_info, after, left);
        publish::<B, M>(mode, usage, anchor, olds, Child::Leaf(new));
        Ok(replaced)
    }
}

/// Commits an edit. Returns the first value removed.
///
/// In a tree with one owner it always succeeds.
///
/// # Safety
/// The mode's: with `Exclusive` the tree is borrowed for writing; in a shared tree the thread is
/// pinned since it read the first of these nodes (N1, R1). The new nodes are ours alone (N4),
/// written except for their slots or values, and have as many of these as the edit leaves them.
pub(crate) unsafe fn commit<B: Bits, M: Mode>(
    mode: M,
    usage: &mut Usage,
    edit: Edit<'_, B>,
) -> Result<Option<B>, EditError> {
    let Edit { anchor, levels, value, expected } = edit;
    let olds = levels.iter().rev().flat_map(LevelEdit::olds);
    // SAFETY: (N1, C3, N4) by the caller: the old nodes stand still, and the new ones are ours
    // alone.
    unsafe {
        lock_all(mode, anchor, olds.clone())?;
        let replaced = levels.first().and_then(|leaves| replaced::<B>(leaves));
        if expected.is_some() && replaced != expected {
            unlock_all(mode, anchor, anchor.slot.load(), olds);
            return Err(EditError::Conflict);
        }
        let mut below = [None; 2];
        for level in levels {
            if level.is_of_leaves() {
                move_values(level, value);
            } else {
                move_children(level, below);
            }
            below = level.new;
        }
        let new = levels
            .iter()
            .rev()
            .find_map(|level| level.new[0])
            .map_or(Child::Empty, |node| child(node));
        publish::<B, M>(mode, usage, anchor, olds, new);
        Ok(replaced)
    }
}

/// Commits an edit whose new nodes are in `new`, as [`commit`] does.
///
/// # Safety
/// As for [`commit`].
pub(crate) unsafe fn commit_new<B: Bits, M: Mode>(
    mode: M,
    new: &mut NewNodes<'_, B>,
    edit: Edit<'_, B>,
) -> Result<Option<B>, EditError> {
    // SAFETY: (N1, N4, R1) by the caller.
    let old = unsafe { commit(mode, new.usage, edit) }?;
    new.publish();
    Ok(old)
}

/// Returns the first value that the edit of the leaves removes.
///
/// # Safety
/// As for [`commit`].
#[inline(always)]
unsafe fn replaced<B: Bits>(leaves: &LevelEdit) -> Option<B> {
    let mut at = leaves.at;
    for node in leaves.olds().filter(|_| leaves.removed > 0) {
        // SAFETY: (N1, N5) by the caller; the index is below the leaf's count.
        unsafe {
            let info = node.info();
            if at < info.count() {
                return Some(node.value(info, at));
            }
            at -= info.count();
        }
    }
    None
}

/// The positions of the new nodes, from the first to the last.
struct Positions<'s> {
    nodes: std::slice::Iter<'s, Option<Node>>,
    node: Option<Node>,
    next: usize,
    left: usize,
}

impl<'s> Positions<'s> {
    #[inline(always)]
    fn new(nodes: &'s [Option<Node>]) -> Self {
        Positions { nodes: nodes.iter(), node: None, next: 0, left: 0 }
    }

    /// Returns the next position, and how many there are from it on in its node, at most `wanted`.
    ///
    /// # Safety
    /// The nodes are live (N1).
    #[inline(always)]
    unsafe fn take(
        &mut self,
        wanted: usize,
        items: impl Fn(Node) -> usize,
    ) -> Option<(Node, usize, usize)> {
        while self.left == 0 {
            let node = (*self.nodes.next()?)?;
            (self.node, self.next, self.left) = (Some(node), 0, items(node));
        }
        let n = wanted.min(self.left);
        let position = (self.node?, self.next, n);
        self.next += n;
        self.left -= n;
        Some(position)
    }
}

/// Moves the items of the old nodes to the new ones, and puts others in the place of those removed.
///
/// # Safety
/// As for [`commit`].
#[inline(always)]
unsafe fn splice(
    level: &LevelEdit,
    put: usize,
    items: impl Fn(Node) -> usize + Copy,
    mut copy: impl FnMut(Node, usize, Node, usize, usize),
    mut put_at: impl FnMut(usize, Node, usize),
) {
    let mut positions = Positions::new(&level.new);
    let mut put_all = |positions: &mut Positions<'_>| {
        for i in 0..put {
            // SAFETY: (N1) by the caller.
            if let Some((node, at, _)) = unsafe { positions.take(1, items) } {
                put_at(i, node, at);
            }
        }
    };
    // Items before those removed, and how many of these are still to be passed over.
    let (mut before, mut removed) = (level.at, level.removed);
    let mut is_put = false;
    for from in level.olds() {
        let (mut i, n) = (0, items(from));
        loop {
            if is_put {
                let skip = removed.min(n - i);
                i += skip;
                removed -= skip;
            }
            if i == n {
                break;
            }
            let stop = if is_put { n } else { n.min(i + before) };
            while i < stop {
                // SAFETY: (N1) by the caller.
                let Some((to, at, many)) = (unsafe { positions.take(stop - i, items) }) else {
                    return;
                };
                copy(from, i, to, at, many);
                i += many;
                before = before.saturating_sub(many);
            }
            if before == 0 && !is_put {
                put_all(&mut positions);
                is_put = true;
            }
        }
    }
    if !is_put {
        put_all(&mut positions);
    }
}

/// Moves the values of leaves, and `value` to its position.
///
/// # Safety
/// As for [`commit`].
#[inline(always)]
unsafe fn move_values<B: Bits>(leaves: &LevelEdit, value: Option<B>) {
    // SAFETY: (N1, C3, N4, N6) by the caller: the old leaves stand still, the new ones are ours
    // alone, and positions are below their counts.
    unsafe {
        splice(
            leaves,
            usize::from(value.is_some()),
            |node| node.info().count(),
            |from, i, to, j, n| Node::copy_values::<B>(from, from.info(), i, to, to.info(), j, n),
            |_, to, j| {
                if let Some(value) = value {
                    to.set_value(to.info(), j, value);
                }
            },
        );
    }
}

/// Moves the children of inner nodes, and `below`, the new nodes of the level below, to their
/// positions.
///
/// # Safety
/// As for [`commit`].
unsafe fn move_children(level: &LevelEdit, below: [Option<Node>; 2]) {
    // SAFETY: (N1, C3, N4) by the caller, as for values.
    unsafe {
        splice(
            level,
            below.iter().flatten().count(),
            |node| node.info().count() + 1,
            |from, i, to, j, n| {
                let (from, to) = (NodeRef::new(from), NodeRef::new(to));
                (0..n).for_each(|k| to.slot(j + k).store(from.slot(i + k).load()));
            },
            |k, to, j| {
                if let Some(node) = below[k] {
                    NodeRef::new(to).slot(j).store(child(node));
                }
            },
        );
    }
}
