//! Replacing nodes: what every change of the tree comes down to, by one owner or by many at a time.
//!
//! A change is prepared first: new nodes are written with the keys they will have, which follow from the old nodes' keys, and these never
//! change. This may fail, and publishes nothing. Then it is committed, by stores only:
//!
//! ```text
//!   lock            the slot ── old inner nodes, from the top, left to right ── old leaves; give up if one is obsolete
//!   move            children and values, in order, from the old nodes to the new ones, the new child or value among them
//!   publish         one store into the slot, which also unlocks it
//!   retire          the old nodes: their slots and values stay as they are for those who still read them
//! ```
//!
//! One step of the plan is one level of the tree. Its old nodes, one or two neighbours, hold a sequence of children or values; the new
//! nodes hold the same, but for some items that others take the place of.

use crate::tree::edit::mode::{Mode, Stop};
use crate::tree::edit::pending::NewNodes;
use crate::tree::node::coding::NodeRef;
use crate::tree::node::layout::{Child, Info, Node, Usage};
use crate::tree::node::slot::SlotRef;
use crate::value::Bits;

/// What happens at one level of the tree.
///
/// It has no reference into an old node: it is read while these are given back, one after the other.
pub(crate) struct LevelEdit {
    /// The nodes replaced, neighbours from left to right.
    pub(crate) old: [Option<Node>; 2],
    /// The first item replaced, counted over all old nodes.
    pub(crate) at: usize,
    /// How many are replaced; by the new nodes of the level below, or in leaves by the new value.
    pub(crate) removed: usize,
    /// The nodes that take their place.
    pub(crate) new: [Option<Node>; 2],
}

impl LevelEdit {
    pub(crate) fn one(old: Node, at: usize, new: Node) -> Self {
        LevelEdit { old: [Some(old), None], at, removed: 1, new: [Some(new), None] }
    }

    fn olds(&self) -> impl Iterator<Item = Node> + Clone + use<> {
        self.old.into_iter().flatten()
    }

    fn news(&self) -> impl Iterator<Item = Node> {
        self.new.into_iter().flatten()
    }
}

/// The child that a node is.
///
/// # Safety
/// The node is live (N1).
#[inline(always)]
unsafe fn child(node: Node) -> Child {
    // SAFETY: (N1) by the caller.
    if unsafe { node.info() }.is_leaf() { Child::Leaf(node) } else { Child::Inner(node) }
}

/// Locks the slot, which led to the first of the old nodes, and all of these, unless one is obsolete. Those that are not hang where they were
/// found: a slot of a node that is part of the tree gets another child only when the one it leads to becomes obsolete (C1).
///
/// # Safety
/// As for [`commit`].
#[inline(always)]
unsafe fn hold<M: Mode>(
    mode: M,
    anchor: SlotRef<'_>,
    olds: impl Iterator<Item = Node> + Clone,
) -> Result<(), Stop> {
    // SAFETY: (N1) by the caller: old nodes are live.
    let was = olds.clone().next().map_or(Child::Empty, |node| unsafe { child(node) });
    if !mode.lock(anchor, was) {
        return Err(Stop::Conflict);
    }
    debug_assert!(anchor.slot.load() == was, "a node has one slot for life");
    for (locked, node) in olds.clone().enumerate() {
        // SAFETY: (N1) as above.
        unsafe {
            if !mode.lock_old(node) {
                let_go(mode, anchor, was, olds.take(locked));
                return Err(Stop::Conflict);
            }
        }
    }
    Ok(())
}

/// Unlocks what [`hold`] locked.
///
/// # Safety
/// As for [`commit`].
#[cold]
unsafe fn let_go<M: Mode>(
    mode: M,
    anchor: SlotRef<'_>,
    was: Child,
    olds: impl Iterator<Item = Node>,
) {
    // SAFETY: (N1) by the caller.
    olds.for_each(|node| unsafe { mode.unlock_old(node) });
    anchor.slot.store(was);
}

/// Publishes what takes the place of the nodes held, and gives these back.
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
    // SAFETY: (N1) by the caller. (N2) No slot reached from the root leads to the old nodes any more.
    unsafe {
        for node in olds.clone() {
            mode.retire(node);
        }
        for node in olds {
            mode.give_back::<B>(usage, node);
        }
    }
}

/// Puts a leaf in the place of another: with one more value, `put`, at `at`, or without `removed` of them. Gives the first value that goes,
/// which must be the one expected.
///
/// # Safety
/// As for [`commit`].
#[inline(always)]
pub(crate) unsafe fn replace_leaf<B: Bits, M: Mode>(
    mode: M,
    usage: &mut Usage,
    anchor: SlotRef<'_>,
    leaf: &NodeRef<'_>,
    (at, removed): (usize, usize),
    (put, expected): (Option<B>, Option<B>),
    (new, info): (Node, Info),
) -> Result<Option<B>, Stop> {
    let (old, n, behind) = (leaf.node, leaf.count(), at + usize::from(put.is_some()));
    let olds = std::iter::once(old);
    // SAFETY: (N1, C3, N4, N6) by the caller: the old leaf stands still, the new one is ours alone, and places are below their counts.
    unsafe {
        hold(mode, anchor, olds.clone())?;
        let replaced = (removed > 0).then(|| old.value(leaf.info, at));
        if expected.is_some() && replaced != expected {
            let_go(mode, anchor, anchor.slot.load(), olds);
            return Err(Stop::Conflict);
        }
        Node::copy_values::<B>(old, leaf.info, 0, new, info, 0, at);
        if let Some(value) = put {
            new.set_value(info, at, value);
        }
        Node::copy_values::<B>(old, leaf.info, at + removed, new, info, behind, n - at - removed);
        publish::<B, M>(mode, usage, anchor, olds, Child::Leaf(new));
        Ok(replaced)
    }
}

/// Puts an inner node of the same keys in the place of another.
///
/// # Safety
/// As for [`commit`].
pub(crate) unsafe fn replace_inner<B: Bits, M: Mode>(
    mode: M,
    usage: &mut Usage,
    anchor: SlotRef<'_>,
    inner: &NodeRef<'_>,
    new: Node,
) -> Result<(), Stop> {
    let olds = std::iter::once(inner.node);
    // SAFETY: (N1, C3, N4) by the caller: the old node stands still, and the new one is ours alone.
    unsafe {
        hold(mode, anchor, olds.clone())?;
        let to = NodeRef::new(new);
        (0..=inner.count()).for_each(|i| to.slot(i).store(inner.slot(i).load()));
        publish::<B, M>(mode, usage, anchor, olds, Child::Inner(new));
        Ok(())
    }
}

/// Commits a change whose steps are in order from the leaves up, `value` being the new value. Gives the first value that goes, which must
/// be the one expected.
///
/// In a tree with one owner it always succeeds.
///
/// # Safety
/// The mode's: with `Alone` the tree is borrowed for writing, shared the thread is pinned since it read the first of these nodes (N1,
/// R1). The new nodes are written but for their slots or values, have as many as the plan leaves them, and are nobody else's (N4).
pub(crate) unsafe fn commit<B: Bits, M: Mode>(
    mode: M,
    usage: &mut Usage,
    anchor: SlotRef<'_>,
    steps: &[LevelEdit],
    value: Option<B>,
    expected: Option<B>,
) -> Result<Option<B>, Stop> {
    let olds = steps.iter().rev().flat_map(LevelEdit::olds);
    // SAFETY: (N1, C3, N4) by the caller: the old nodes stand still, and the new ones are ours alone.
    unsafe {
        hold(mode, anchor, olds.clone())?;
        let replaced = steps.first().and_then(|step| replaced::<B>(step));
        if expected.is_some() && replaced != expected {
            let_go(mode, anchor, anchor.slot.load(), olds);
            return Err(Stop::Conflict);
        }
        let mut below: Option<&LevelEdit> = None;
        for step in steps {
            match below {
                None => move_values(step, value),
                Some(below) => move_children(step, below),
            }
            below = Some(step);
        }
        let new = steps
            .iter()
            .rev()
            .find_map(|step| step.new[0])
            .map_or(Child::Empty, |node| child(node));
        publish::<B, M>(mode, usage, anchor, olds, new);
        Ok(replaced)
    }
}

/// [`commit`] for nodes that `made` frees unless they are published.
///
/// # Safety
/// As for [`commit`].
pub(crate) unsafe fn commit_new<B: Bits, M: Mode>(
    mode: M,
    made: &mut NewNodes<'_, B>,
    anchor: SlotRef<'_>,
    steps: &[LevelEdit],
    value: Option<B>,
    expected: Option<B>,
) -> Result<Option<B>, Stop> {
    // SAFETY: (N1, N4, R1) by the caller.
    let old = unsafe { commit(mode, made.usage, anchor, steps, value, expected) }?;
    made.publish();
    Ok(old)
}

/// The first value that goes.
///
/// # Safety
/// As for [`commit`].
#[inline(always)]
unsafe fn replaced<B: Bits>(step: &LevelEdit) -> Option<B> {
    let mut at = step.at;
    for node in step.olds().filter(|_| step.removed > 0) {
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

/// Hands out places in the new nodes, from the first to the last.
struct Places<'s> {
    nodes: std::slice::Iter<'s, Option<Node>>,
    node: Option<Node>,
    next: usize,
    room: usize,
}

impl<'s> Places<'s> {
    #[inline(always)]
    fn new(nodes: &'s [Option<Node>]) -> Self {
        Places { nodes: nodes.iter(), node: None, next: 0, room: 0 }
    }

    /// The next place, and how many there are from it on, `wanted` at most.
    ///
    /// # Safety
    /// The nodes are live (N1).
    #[inline(always)]
    unsafe fn take(
        &mut self,
        wanted: usize,
        items: impl Fn(Node) -> usize,
    ) -> Option<(Node, usize, usize)> {
        while self.room == 0 {
            let node = (*self.nodes.next()?)?;
            (self.node, self.next, self.room) = (Some(node), 0, items(node));
        }
        let n = wanted.min(self.room);
        let place = (self.node?, self.next, n);
        self.next += n;
        self.room -= n;
        Some(place)
    }
}

/// Moves the items of the old nodes to the new ones, and puts others in the place of those that go.
///
/// # Safety
/// As for [`commit`].
#[inline(always)]
unsafe fn splice(
    step: &LevelEdit,
    put: usize,
    items: impl Fn(Node) -> usize + Copy,
    mut copy: impl FnMut(Node, usize, Node, usize, usize),
    mut put_at: impl FnMut(usize, Node, usize),
) {
    let mut places = Places::new(&step.new);
    let mut put_all = |places: &mut Places<'_>| {
        for i in 0..put {
            // SAFETY: (N1) by the caller.
            if let Some((node, at, _)) = unsafe { places.take(1, items) } {
                put_at(i, node, at);
            }
        }
    };
    // Items before those that go, and how many of these are still to be passed over.
    let (mut before, mut removed) = (step.at, step.removed);
    let mut is_put = false;
    for from in step.olds() {
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
                let Some((to, at, many)) = (unsafe { places.take(stop - i, items) }) else {
                    return;
                };
                copy(from, i, to, at, many);
                i += many;
                before = before.saturating_sub(many);
            }
            if before == 0 && !is_put {
                put_all(&mut places);
                is_put = true;
            }
        }
    }
    if !is_put {
        put_all(&mut places);
    }
}

/// # Safety
/// As for [`commit`].
#[inline(always)]
unsafe fn move_values<B: Bits>(step: &LevelEdit, value: Option<B>) {
    // SAFETY: (N1, C3, N4, N6) by the caller: the old leaves stand still, the new ones are ours alone, and places are below their counts.
    unsafe {
        splice(
            step,
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

/// # Safety
/// As for [`commit`].
unsafe fn move_children(step: &LevelEdit, below: &LevelEdit) {
    // SAFETY: (N1, C3, N4) by the caller, as for values.
    unsafe {
        splice(
            step,
            below.news().count(),
            |node| node.info().count() + 1,
            |from, i, to, j, n| {
                let (from, to) = (NodeRef::new(from), NodeRef::new(to));
                (0..n).for_each(|k| to.slot(j + k).store(from.slot(i + k).load()));
            },
            |k, to, j| {
                if let Some(node) = below.new[k] {
                    NodeRef::new(to).slot(j).store(child(node));
                }
            },
        );
    }
}
