//! The open tail: appends of ascending keys, without a descent and without a copy.
//!
//! After some appends in a row the last leaf is laid out with room to spare and the last key is remembered. A key that is greater is
//! written behind the others in place, and where there is no room for it the leaf is split as any other. Whatever else changes the tree closes
//! the tail first: the leaf is copied to its exact size. An open leaf is an ordinary leaf with more capacity than entries; readers need not know.

use crate::tree::edit::pending::Failed;
use crate::tree::node::coding::{NARROW_LCP, NARROW_LEN, NodeRef};
use crate::tree::node::layout::{Child, HEADER, Info, Kind, Node, Slot};
use crate::tree::node::simd;
use crate::tree::{LEAF_COUNT, LEAF_SIZE, RawTree, Usage};
use crate::value::Bits;

/// Appends in a row after which keys are taken to come in ascending order.
pub(crate) const APPENDS: u32 = 8;

#[derive(Debug)]
pub(crate) struct Tail {
    /// Appends in a row.
    pub(crate) appends: u32,
    pub(crate) open: Option<Open>,
}

/// What came of an attempt to append a key.
pub(crate) enum Append {
    Done,
    /// It goes behind all others, but the open leaf has no room.
    Full,
    /// It goes elsewhere, or the tail is closed.
    Elsewhere,
}

#[derive(Debug)]
pub(crate) struct Open {
    /// The last leaf. Its slot is not noted: it may be the root's, which moves with the tree.
    node: Node,
    /// Bytes that the leaf leaves out.
    strip: usize,
    /// Rest bytes in use.
    rest: usize,
    /// The last key.
    last: Vec<u8>,
}

impl Tail {
    pub(crate) const fn new() -> Tail {
        Tail { appends: 0, open: None }
    }

    #[inline(always)]
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Bytes on the heap besides nodes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.last.capacity())
    }
}

impl<B: Bits> RawTree<B> {
    /// Writes `key` behind all others, where that is its place and the open leaf has room.
    #[inline]
    pub(crate) fn append(&mut self, key: &[u8], value: B) -> Append {
        let Some(open) = &mut self.tail.open else { return Append::Elsewhere };
        let shared = simd::common_prefix(key, &open.last);
        let Some(&first) = key.get(shared) else { return Append::Elsewhere };
        if open.last.get(shared).is_some_and(|&last| last > first) {
            return Append::Elsewhere;
        }
        if shared < open.strip {
            return Append::Full;
        }
        let (lcp, rest) = (shared - open.strip, &key[shared + 1..]);
        // SAFETY: (N1, N8) an open tail's leaf is live.
        let info = unsafe { open.node.info() };
        let n = info.count();
        let size = HEADER + (n + 1) * (3 + B::SIZE) + open.rest + rest.len();
        if lcp > NARROW_LCP
            || rest.len() > NARROW_LEN
            || n == info.capacity()
            || open.rest + rest.len() > info.rest()
            || n == LEAF_COUNT
            || size > LEAF_SIZE
            || open.last.try_reserve(rest.len() + 1).is_err()
        {
            return Append::Full;
        }
        let cap = info.capacity();
        // SAFETY: (N3, N6, N8) the tree is borrowed for writing; entry `n` and its rest are inside the leaf by the checks above.
        unsafe {
            let payload = open.node.payload_mut(info);
            payload.add(n).write(lcp as u8);
            payload.add(cap + n).write(first);
            payload.add(2 * cap + n).write(rest.len() as u8);
            payload.add(3 * cap + open.rest).copy_from_nonoverlapping(rest.as_ptr(), rest.len());
            open.node.set_value(info, n, value);
            open.node.set_info(info.with_count(n + 1));
        }
        open.rest += rest.len();
        open.last.truncate(shared);
        open.last.extend_from_slice(&key[shared..]);
        self.len += 1;
        cover!(Appended);
        Append::Done
    }

    /// Notes that `key` went behind all others, and opens the tail where that has become a habit.
    #[inline]
    pub(crate) fn appended(&mut self, key: &[u8]) {
        self.tail.appends = self.tail.appends.saturating_add(1);
        if self.tail.appends >= APPENDS {
            // Without memory for it the tail stays closed; the tree is whole either way.
            let _ = self.open_tail(key);
        }
    }

    #[cold]
    #[inline(never)]
    fn open_tail(&mut self, key: &[u8]) -> Result<(), Failed> {
        let slot = last_slot(&self.root);
        let Child::Leaf(node) = slot.load() else { return Ok(()) };
        // SAFETY: (N1, N5) a node reached from the root is live while the tree is borrowed.
        let leaf = unsafe { NodeRef::new(node) };
        if leaf.info.is_wide() {
            return Ok(());
        }
        let mut last = Vec::new();
        last.try_reserve(key.len() + 64)?;
        last.extend_from_slice(key);
        let (n, rest) = (leaf.count(), leaf.offset(leaf.count()));
        let size = leaf.info.size::<B>();
        // Room for a full leaf of keys like these, and an eighth more.
        let scale = |v: usize| (v * LEAF_SIZE / size) * 9 / 8;
        // A leaf over the limit scales down, but what is in it must fit.
        let cap = (scale(n) + 8).min(LEAF_COUNT).max(n);
        let rest_cap = (scale(rest) + 64 + rest).min(0xFFFF);
        let info =
            Info::narrow(Kind::Leaf, 0, cap, rest_cap, leaf.strip(), leaf.info.empty_first());
        let new = Self::lay_out(&mut self.usage, &leaf, info)?;
        slot.store(Child::Leaf(new));
        // SAFETY: (N2) the slot leads to the new leaf now.
        unsafe { self.usage.free::<B>(node) };
        self.tail.open = Some(Open { node: new, strip: leaf.strip(), rest, last });
        cover!(TailOpened);
        Ok(())
    }

    /// Copies the open leaf to its exact size. Without memory for that it stays as it is.
    #[cold]
    #[inline(never)]
    pub(crate) fn close_tail(&mut self) {
        let Some(open) = self.tail.open.take() else { return };
        // SAFETY: (N1, N5, N8) an open tail's leaf is live.
        let leaf = unsafe { NodeRef::new(open.node) };
        let n = leaf.count();
        let info = Info::narrow(Kind::Leaf, n, n, open.rest, open.strip, leaf.info.empty_first());
        if let Ok(new) = Self::lay_out(&mut self.usage, &leaf, info) {
            last_slot(&self.root).store(Child::Leaf(new));
            cover!(TailClosed);
            // SAFETY: (N2) the slot leads to the new leaf now.
            unsafe { self.usage.free::<B>(open.node) };
        }
    }

    /// A leaf of the same keys and values, of another capacity.
    fn lay_out(usage: &mut Usage, leaf: &NodeRef<'_>, info: Info) -> Result<Node, Failed> {
        let n = leaf.count();
        let new = usage.alloc::<B>(info).ok_or(Failed(info.size::<B>()))?;
        // SAFETY: (N1, N3, N4, N6) the leaf is live and the tree borrowed for writing; the new one is ours alone and has the room.
        unsafe {
            let info = new.info();
            leaf.copy_to(new, info);
            Node::copy_values::<B>(leaf.node, leaf.info, 0, new, info, 0, n);
            new.set_info(info.with_count(n));
        }
        Ok(new)
    }
}

/// The slot of the last leaf.
fn last_slot(root: &Slot) -> &Slot {
    let mut slot = root;
    while let Child::Inner(node) = slot.load() {
        // SAFETY: (N1, N5) a node reached from the root is live while the tree is borrowed.
        let inner = unsafe { NodeRef::new(node) };
        slot = inner.slot(inner.count());
    }
    slot
}

#[cfg(test)]
mod tests {
    use crate::tree::RawTree;

    /// The open tail must not remember where the tree itself was.
    #[test]
    fn a_tree_with_an_open_tail_can_move() {
        let mut tree = RawTree::new();
        for i in 0..20u8 {
            tree.insert(&[b'k', i], u64::from(i)).unwrap();
        }
        assert!(tree.tail.is_open());
        let mut moved = Box::new(std::mem::replace(&mut tree, RawTree::new()));
        moved.insert(b"a", 0).unwrap();
        moved.check().unwrap();
        assert_eq!((moved.len(), tree.len()), (21, 0));
        tree.check().unwrap();
    }
}
