//! Appends of ascending keys, without a descent and without a copy.
//!
//! After some appends in a row the tree is in append mode: the last leaf is laid out with room to
//! spare, and the last key is remembered. A greater key is written in place after the others. Where
//! the leaf has no room for it, the leaf is split as any other. Every other edit of the tree first
//! ends append mode, which copies the open leaf to its exact size. For readers an open leaf is an
//! ordinary leaf with more capacity than entries.

use crate::tree::coder::LeafCoder;
use crate::tree::edit::{DecodedKeys, Failed, NewNodes, OpenLeaf, SortedKeys, make_one};
use crate::tree::node::{
    Child, HEADER_BYTES, Info, Kind, MAX_NARROW_LCP, MAX_NARROW_LEN, Node, NodeRef, Slot, simd,
};
use crate::tree::{MAX_LEAF_BYTES, MAX_LEAF_KEYS, RawTree, Usage};
use crate::value::Bits;

/// Eighths of the size of other leaves up to which an open leaf is filled that will be coded.
const CODED_EIGHTHS: usize = 11;

/// Returns the size up to which an open leaf is filled. It is not coded, but what replaces it will
/// be if there is a table.
#[inline]
fn max_open_bytes(coder: Option<&LeafCoder>) -> usize {
    let is_coded = coder.is_some_and(|coder| coder.newest().is_some());
    MAX_LEAF_BYTES * if is_coded { CODED_EIGHTHS } else { 8 } / 8
}

/// The outcome of an attempt to append a key.
pub(crate) enum Append {
    Done,
    /// The key is greater than all others, but the open leaf has no room.
    Full,
    /// The key is not the greatest, or no leaf is open.
    Elsewhere,
}

impl<B: Bits> RawTree<B> {
    /// Writes `key` after all others if it is the greatest and the open leaf has room.
    #[inline]
    pub(crate) fn append(&mut self, key: &[u8], value: B) -> Append {
        let Some(open) = &mut self.append_mode.open else { return Append::Elsewhere };
        let shared = simd::common_prefix(key, &open.last);
        let Some(&first) = key.get(shared) else { return Append::Elsewhere };
        if open.last.get(shared).is_some_and(|&last| last > first) {
            return Append::Elsewhere;
        }
        let (strip, used) = (open.strip as usize, open.rest as usize);
        if shared < strip {
            return Append::Full;
        }
        let (lcp, rest) = (shared - strip, &key[shared + 1..]);
        // SAFETY: (N1, N8) the open leaf is live.
        let info = unsafe { open.node.info() };
        let n = info.count();
        let size = HEADER_BYTES + (n + 1) * (3 + B::SIZE) + used + rest.len();
        if lcp > MAX_NARROW_LCP
            || rest.len() > MAX_NARROW_LEN
            || n == info.capacity()
            || used + rest.len() > info.rest()
            || n == MAX_LEAF_KEYS
            || size > max_open_bytes(self.coder.as_deref())
            || open.last.try_reserve(rest.len() + 1).is_err()
        {
            return Append::Full;
        }
        let cap = info.capacity();
        // SAFETY: (N3, N6, N8) the tree is borrowed for writing; the checks above keep entry `n`
        // and its rest inside the leaf.
        unsafe {
            let payload = open.node.payload_mut(info);
            payload.add(n).write(lcp as u8);
            payload.add(cap + n).write(first);
            payload.add(2 * cap + n).write(rest.len() as u8);
            payload.add(3 * cap + used).copy_from_nonoverlapping(rest.as_ptr(), rest.len());
            open.node.set_value(info, n, value);
            open.node.set_info(info.with_count(n + 1));
        }
        open.rest += rest.len() as u32;
        open.last.truncate(shared);
        open.last.extend_from_slice(&key[shared..]);
        self.len += 1;
        cover!(Appended);
        Append::Done
    }

    /// Counts that `key` was inserted after all others, and opens the last leaf in append mode.
    #[inline]
    pub(crate) fn appended(&mut self, key: &[u8]) {
        self.append_mode.appends = self.append_mode.appends.saturating_add(1);
        if self.append_mode.is_on() {
            // Without memory for it no leaf is opened. The tree is whole either way.
            let _ = self.open_last_leaf(key);
        }
    }

    /// Ends append mode: closes the open leaf and resets the append counter.
    pub(crate) fn end_append_mode(&mut self) {
        if self.append_mode.is_open() {
            self.close_open_leaf();
        }
        self.append_mode.appends = 0;
    }

    #[cold]
    #[inline(never)]
    fn open_last_leaf(&mut self, key: &[u8]) -> Result<(), Failed> {
        let slot = last_slot(&self.root);
        let Child::Leaf(node) = slot.load() else { return Ok(()) };
        // SAFETY: (N1, N5) a node reached from the root is live while the tree is borrowed.
        let leaf = unsafe { NodeRef::new(node) };
        if leaf.info.is_wide() {
            return Ok(());
        }
        if leaf.table().is_some() {
            return self.open_coded_leaf(&leaf, key);
        }
        let max_bytes = max_open_bytes(self.coder.as_deref());
        let mut last = Vec::new();
        last.try_reserve(key.len() + 64)?;
        last.extend_from_slice(key);
        let (n, rest) = (leaf.count(), leaf.offset(leaf.count()));
        let size = leaf.info.size::<B>();
        // Room for a full leaf of keys like these, and an eighth more.
        let scale = |v: usize| (v * max_bytes / size) * 9 / 8;
        // A leaf over the limit scales down, but its entries must fit.
        let cap = (scale(n) + 8).min(MAX_LEAF_KEYS).max(n);
        let rest_cap = (scale(rest) + 64 + rest).min(0xFFFF);
        let info = Info::narrow(Kind::Leaf, cap, rest_cap, leaf.strip(), leaf.info.empty_first())
            .with_count(0);
        let new = Self::copy_leaf(&mut self.usage, &leaf, info)?;
        slot.store(Child::Leaf(new));
        // SAFETY: (N2) the slot leads to the new leaf now.
        unsafe { self.usage.free::<B>(node) };
        let (strip, rest) = (leaf.strip() as u32, rest as u32);
        self.append_mode.open = Some(OpenLeaf { node: new, strip, rest, last });
        cover!(LeafOpened);
        Ok(())
    }

    /// Opens the last leaf, which is coded, after it was replaced by one that is not.
    #[cold]
    fn open_coded_leaf(&mut self, leaf: &NodeRef<'_>, key: &[u8]) -> Result<(), Failed> {
        let (node, strip, mut keys) = (leaf.node, leaf.strip(), DecodedKeys::new());
        keys.append(leaf, &key[..strip], None)?;
        let raw = |new: &mut NewNodes<'_, B>| keys.node(Kind::Leaf, new, 0..keys.len(), strip);
        let new = make_one::<B>(&mut self.usage, None, raw)?;
        // SAFETY: (N1, N3, N4, N6) both are live leaves of as many values; the new one is ours
        // alone. (N2) The slot leads to the new leaf when the old one is freed.
        unsafe {
            let info = new.info();
            Node::copy_values::<B>(node, leaf.info, 0, new, info, 0, keys.len());
            last_slot(&self.root).store(Child::Leaf(new));
            self.usage.free::<B>(node);
            if info.is_wide() { Ok(()) } else { self.open_last_leaf(key) }
        }
    }

    /// Copies the open leaf to its exact size. Without memory for the copy the leaf stays as it is.
    #[cold]
    #[inline(never)]
    pub(crate) fn close_open_leaf(&mut self) {
        let Some(open) = self.append_mode.open.take() else { return };
        // SAFETY: (N1, N5, N8) the open leaf is live.
        let leaf = unsafe { NodeRef::new(open.node) };
        let n = leaf.count();
        let (rest, strip) = (open.rest as usize, open.strip as usize);
        let info = Info::narrow(Kind::Leaf, n, rest, strip, leaf.info.empty_first());
        if let Ok(new) = Self::copy_leaf(&mut self.usage, &leaf, info) {
            last_slot(&self.root).store(Child::Leaf(new));
            cover!(LeafClosed);
            // SAFETY: (N2) the slot leads to the new leaf now.
            unsafe { self.usage.free::<B>(open.node) };
        }
    }

    /// Copies the keys and values of a leaf to a new one of the shape `info`.
    fn copy_leaf(usage: &mut Usage, leaf: &NodeRef<'_>, info: Info) -> Result<Node, Failed> {
        let n = leaf.count();
        let new = usage.alloc::<B>(info).ok_or(Failed(info.size::<B>()))?;
        // SAFETY: (N1, N3, N4, N6) the leaf is live and the tree borrowed for writing; the new one
        // is ours alone and has the room.
        unsafe {
            let info = new.info();
            NodeRef::write_arrays(leaf.arrays(0, n), new, info);
            Node::copy_values::<B>(leaf.node, leaf.info, 0, new, info, 0, n);
            new.set_info(info.with_count(n));
        }
        Ok(new)
    }
}

/// Returns the slot of the last leaf.
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

    /// The open leaf must not remember where the tree itself was.
    #[test]
    fn a_tree_with_an_open_leaf_can_move() {
        let mut tree = RawTree::new();
        for i in 0..20u8 {
            tree.insert(&[b'k', i], u64::from(i)).unwrap();
        }
        assert!(tree.append_mode.is_open());
        let mut moved = Box::new(std::mem::replace(&mut tree, RawTree::new()));
        moved.insert(b"a", 0).unwrap();
        moved.check().unwrap();
        assert_eq!((moved.len(), tree.len()), (21, 0));
        tree.check().unwrap();
    }
}
