//! Freeing a whole tree, and copying one, node by node and without recursion.

use crate::tree::RawTree;
use crate::tree::edit::{AppendMode, Failed};
use crate::tree::node::{Child, Info, Node, NodeRef, Slot, Usage};
use crate::value::Bits;

impl<B: Bits> RawTree<B> {
    /// Removes every key.
    pub(crate) fn clear(&mut self) {
        self.append_mode = AppendMode::new();
        self.len = 0;
        let root = self.root.load();
        self.root.store(Child::Empty);
        // SAFETY: (N2) nothing leads to the nodes any more.
        unsafe { free_all::<B>(&mut self.usage, root) };
        debug_assert_eq!(self.usage, Usage::default());
    }

    /// Returns a copy of the tree, node for node.
    pub(crate) fn try_clone(&self) -> Result<Self, Failed> {
        let mut tree = Self::with_coder(self.coder.clone());
        let mut todo: Vec<(&Slot, &Slot)> = Vec::new();
        todo.try_reserve(1)?;
        todo.push((&self.root, &tree.root));
        let mut failed = None;
        while let Some((from, to)) = todo.pop() {
            let child = from.load();
            let node = match child {
                Child::Empty => continue,
                Child::Leaf(node) | Child::Inner(node) => node,
            };
            // SAFETY: (N1, N3) the source is live and unchanged while the tree is borrowed.
            let copied = unsafe { copy_node::<B>(&mut tree.usage, node) };
            let Some(new) = copied else {
                // SAFETY: (N1) as above.
                failed = Some(Failed(unsafe { node.info() }.size::<B>()));
                break;
            };
            if let Child::Leaf(_) = child {
                to.store(Child::Leaf(new));
                continue;
            }
            to.store(Child::Inner(new));
            // SAFETY: (N1, N5) both are live inner nodes.
            let (old, new) = unsafe { (NodeRef::new(node), NodeRef::new(new)) };
            if let Err(e) = todo.try_reserve(old.count() + 1) {
                failed = Some(e.into());
                break;
            }
            todo.extend((0..=old.count()).map(|i| (old.slot(i), new.slot(i))));
        }
        if let Some(failed) = failed {
            return Err(failed); // the drop of `tree` frees what was copied so far
        }
        tree.len = self.len;
        Ok(tree)
    }
}

impl<B: Bits> Drop for RawTree<B> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Frees all nodes below `root`.
///
/// The inner nodes still to be freed are linked through their first slots, so nothing is allocated.
///
/// # Safety
/// Nothing else leads to these nodes (N2).
pub(crate) unsafe fn free_all<B: Bits>(usage: &mut Usage, root: Child) {
    // SAFETY: (N1, N2) by the caller: each node is freed once, after its children were noted.
    unsafe {
        let mut todo = Child::Empty;
        // The first child of a node on the list has been taken out, and may be on the list itself.
        let list = |mut child: Child, usage: &mut Usage, todo: &mut Child| loop {
            match child {
                Child::Empty => return,
                Child::Leaf(node) => return usage.free::<B>(node),
                Child::Inner(node) => {
                    let slot = NodeRef::new(node).slot(0);
                    child = slot.load();
                    slot.store(std::mem::replace(todo, Child::Inner(node)));
                }
            }
        };
        list(root, usage, &mut todo);
        while let Child::Inner(node) = todo {
            let inner = NodeRef::new(node);
            todo = inner.slot(0).load();
            for i in 1..=inner.count() {
                list(inner.slot(i).load(), usage, &mut todo);
            }
            usage.free::<B>(node);
        }
    }
}

/// Returns a copy of one node, with empty slots. Returns `None` if there is no memory.
///
/// # Safety
/// The node is live and does not change during the call (N1, N3).
unsafe fn copy_node<B: Bits>(usage: &mut Usage, node: Node) -> Option<Node> {
    // SAFETY: (N1, N3) by the caller; (N4, N6) the copy is ours alone, of the same shape.
    unsafe {
        let new = copy_keys::<B>(usage, node)?;
        let info = node.info();
        if info.is_leaf() {
            Node::copy_values::<B>(node, info, 0, new, new.info(), 0, info.count());
        }
        Some(new)
    }
}

/// Returns a node of the same keys, with empty slots. Its values are still to be written. Returns
/// `None` if there is no memory.
///
/// # Safety
/// The node is live (N1), and its keys do not change during the call (N3).
pub(crate) unsafe fn copy_keys<B: Bits>(usage: &mut Usage, node: Node) -> Option<Node> {
    // SAFETY: (N1, N3) by the caller; (N4, N5, N6) the copy is ours alone, of the same shape, and
    // zero where the source has no entry.
    unsafe {
        let info = node.info();
        // A leaf with room to spare must be zeroed where it has no entry. A count of 0 does that.
        let shape = if info.count() < info.capacity() { info.with_count(0) } else { info };
        let new = usage.alloc::<B>(shape)?;
        let origin = new.info().origin();
        let payload = node.payload(info);
        new.payload_mut(info).copy_from_nonoverlapping(payload.as_ptr(), payload.len());
        if info.is_leaf() {
            NodeRef::with_info(node, info).copy_table(new);
        } else {
            let heads = node.heads(info);
            new.heads_mut().copy_from_nonoverlapping(heads.as_ptr(), heads.len());
        }
        new.set_info(Info(info.0).with_origin(origin));
        Some(new)
    }
}
