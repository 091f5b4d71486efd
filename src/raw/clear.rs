//! Giving a whole tree back, and copying one, node by node and without recursion: nested keys make thousands of levels.

use super::RawTree;
use super::inner::Inner;
use super::node::{Child, Info, Node, Slot, Usage};
use super::run::Failed;
use super::tail::Tail;
use crate::value::Bits;

impl<B: Bits> RawTree<B> {
    /// Removes everything.
    pub(crate) fn clear(&mut self) {
        self.tail = Tail::new();
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
        let mut todo: Vec<(&Slot, &Slot)> = vec![(&self.root, &tree.root)];
        let mut failed = None;
        while let Some((from, to)) = todo.pop() {
            let child = from.load();
            let node = match child {
                Child::Empty => continue,
                Child::Leaf(node) | Child::Inner(node) => node,
            };
            // SAFETY: (N1, N4) the source is live while the tree is borrowed; the copy is ours alone.
            let copied = unsafe { copy::<B>(&mut tree.usage, node) };
            let Some(new) = copied else {
                // SAFETY: (N1) as above.
                failed = Some(Failed(unsafe { node.info() }.size::<B>()));
                break;
            };
            if child.is_leaf() {
                to.store(Child::Leaf(new));
                continue;
            }
            to.store(Child::Inner(new));
            // SAFETY: (N1, N5) both are live inner nodes.
            let (old, new) = unsafe { (Inner::new(node), Inner::new(new)) };
            if let Err(e) = todo.try_reserve(old.count() + 1) {
                failed = Some(e.into());
                break;
            }
            todo.push((old.end_slot(), new.end_slot()));
            todo.extend((0..old.count()).map(|i| (old.slot(i), new.slot(i))));
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

/// Frees all nodes below `root`. The inner nodes still to do are linked through their end slots, so that nothing is allocated.
///
/// # Safety
/// Nothing else leads to these nodes (N2).
pub(crate) unsafe fn free_all<B: Bits>(usage: &mut Usage, root: Child) {
    // SAFETY: (N1, N2) by the caller: each node is freed once, after its children were noted.
    unsafe {
        let mut todo: Option<Node> = None;
        let push = |child: Child, usage: &mut Usage, todo: &mut Option<Node>| match child {
            Child::Empty => {}
            Child::Leaf(node) => usage.free::<B>(node),
            Child::Inner(node) => {
                let end = Inner::new(node).end_slot();
                if let Child::Leaf(leaf) = end.load() {
                    usage.free::<B>(leaf);
                }
                end.store(todo.take().map_or(Child::Empty, Child::Inner));
                *todo = Some(node);
            }
        };
        push(root, usage, &mut todo);
        while let Some(node) = todo {
            let inner = Inner::new(node);
            todo = match inner.end_slot().load() {
                Child::Inner(next) => Some(next),
                _ => None,
            };
            for i in 0..inner.count() {
                push(inner.slot(i).load(), usage, &mut todo);
            }
            usage.free::<B>(node);
        }
    }
}

/// A copy of one node, its slots empty.
///
/// # Safety
/// The node is live and unchanged meanwhile (N1, N3).
unsafe fn copy<B: Bits>(usage: &mut Usage, node: Node) -> Option<Node> {
    // SAFETY: (N1, N3, N4) by the caller; the copy has the same shape.
    unsafe {
        let info = node.info();
        // A leaf with room to spare must be zeroed where no entry is, which the count of 0 asks for.
        let shape = if info.is_leaf() && info.count() < info.capacity() { info.with_count(0) } else { info };
        let new = usage.alloc::<B>(shape)?;
        let home = new.info().home();
        let payload = node.payload(info);
        new.payload_mut(info).copy_from_nonoverlapping(payload.as_ptr(), payload.len());
        if info.is_leaf() {
            Node::copy_values::<B>(node, info, 0, new, info, 0, info.count());
        } else {
            for i in 0..info.words() {
                use std::sync::atomic::Ordering::Relaxed;
                new.word(info, i).store(node.word(info, i).load(Relaxed), Relaxed);
            }
        }
        new.set_info(Info(info.0).with_home(home));
        Some(new)
    }
}
