//! Giving a whole tree back, and copying one, node by node and without recursion.

use crate::tree::RawTree;
use crate::tree::edit::append_mode::AppendMode;
use crate::tree::edit::pending::Failed;
use crate::tree::node::coding::NodeRef;
use crate::tree::node::layout::{Child, Info, Node, Slot, Usage};
use crate::value::Bits;

impl<B: Bits> RawTree<B> {
    /// Removes everything.
    pub(crate) fn clear(&mut self) {
        self.append_mode = AppendMode::new();
        self.len = 0;
        let root = self.root.load();
        self.root.store(Child::Empty);
        // SAFETY: (N2) nothing leads to the nodes any more.
        unsafe { free_all::<B>(&mut self.usage, root) };
        debug_assert_eq!(self.usage, Usage::default());
    }

    /// A tree of the same content, node for node.
    pub(crate) fn try_clone(&self) -> Result<Self, Failed> {
        let mut tree = Self::new();
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
            let copied = unsafe { copy::<B>(&mut tree.usage, node) };
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
            return Err(failed); // what was copied so far goes with `tree`
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

/// Frees all nodes below `root`. The inner nodes still to do are linked through their first slots, so that nothing is allocated.
///
/// # Safety
/// Nothing else leads to these nodes (N2).
pub(crate) unsafe fn free_all<B: Bits>(usage: &mut Usage, root: Child) {
    // SAFETY: (N1, N2) by the caller: each node is freed once, after its children were noted.
    unsafe {
        let mut todo = Child::Empty;
        // A node on the list has its first child taken out already, which may be a node to list in its turn.
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

/// A copy of one node, its slots empty.
///
/// # Safety
/// The node is live and unchanged meanwhile (N1, N3).
pub(crate) unsafe fn copy<B: Bits>(usage: &mut Usage, node: Node) -> Option<Node> {
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

/// A node of the same keys, its slots empty, its values still to be written.
///
/// # Safety
/// The node is live (N1), and its keys do not change meanwhile (N3).
pub(crate) unsafe fn copy_keys<B: Bits>(usage: &mut Usage, node: Node) -> Option<Node> {
    // SAFETY: (N1, N3) by the caller; (N4, N5, N6) the copy is ours alone, of the same shape, and zero where the source has no entry.
    unsafe {
        let info = node.info();
        // A leaf with room to spare must be zeroed where no entry is, which the count of 0 asks for.
        let shape = if info.count() < info.capacity() { info.with_count(0) } else { info };
        let new = usage.alloc::<B>(shape)?;
        let home = new.info().home();
        let payload = node.payload(info);
        new.payload_mut(info).copy_from_nonoverlapping(payload.as_ptr(), payload.len());
        new.set_info(Info(info.0).with_home(home));
        Some(new)
    }
}
