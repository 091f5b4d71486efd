//! Lookups: a descent by separators, then the search of one leaf.

use crate::tree::RawTree;
use crate::tree::node::{Child, Info, Node, NodeRef, PREFETCHED_INNER_LINES, PREFETCHED_LINES};
use crate::value::Bits;

/// Keys that `get_many` looks up together: enough for their cache misses to overlap, few enough for
/// the prefetched lines to stay in the cache.
const KEYS_PER_GROUP: usize = 16;
/// Cache lines of each node that `get_many` prefetches. More would evict those of the other keys of
/// the group.
const PREFETCHED_LINES_IN_GROUP: usize = 10;

/// The position of an entry in its leaf.
#[derive(Clone, Copy)]
pub(crate) struct EntryPos {
    pub(crate) node: Node,
    pub(crate) info: Info,
    pub(crate) index: usize,
}

impl<B: Bits> RawTree<B> {
    /// Returns the position of the entry with this key.
    #[inline]
    pub(crate) fn find(&self, key: &[u8]) -> Option<EntryPos> {
        let mut child = self.root.load();
        while let Child::Inner(node) = child {
            NodeRef::prefetch(node, PREFETCHED_INNER_LINES);
            // SAFETY: (N1, N5) a node reached from the root is live while the tree is borrowed.
            let keys = unsafe { NodeRef::new(node) };
            child = keys.slot(keys.child(key)).load();
        }
        let Child::Leaf(node) = child else { return None };
        NodeRef::prefetch(node, PREFETCHED_LINES);
        // SAFETY: (N1, N5) as above.
        let leaf = unsafe { NodeRef::new(node) };
        let index = leaf.search(key).ok()?;
        Some(EntryPos { node, info: leaf.info, index })
    }

    /// Returns the value of `key`.
    #[inline]
    pub(crate) fn get(&self, key: &[u8]) -> Option<B> {
        self.find(key).map(|pos| self.value(pos))
    }

    /// Returns the value at `pos`.
    #[inline]
    pub(crate) fn value(&self, pos: EntryPos) -> B {
        Self::value_at(pos)
    }

    #[inline]
    fn value_at(pos: EntryPos) -> B {
        // SAFETY: (N1, N9) a position is used while its tree is borrowed.
        unsafe { pos.node.value(pos.info, pos.index) }
    }

    /// Overwrites the value at `pos`, and returns the old one.
    #[inline]
    pub(crate) fn set_value(&mut self, pos: EntryPos, value: B) -> B {
        // SAFETY: (N1, N3, N9) as above, and the tree is borrowed for writing.
        unsafe {
            let old = pos.node.value(pos.info, pos.index);
            pos.node.set_value(pos.info, pos.index, value);
            old
        }
    }

    /// Looks up keys in groups, and passes their values to `out` in order.
    pub(crate) fn get_many<'k>(
        &self,
        keys: impl Iterator<Item = &'k [u8]>,
        out: impl FnMut(Option<B>),
    ) {
        Self::get_many_of(keys.map(|key| (self, key)), out);
    }

    /// Looks up keys as [`get_many`](Self::get_many) does, each in a tree of its own.
    pub(crate) fn get_many_of<'t, 'k>(
        keys: impl Iterator<Item = (&'t Self, &'k [u8])>,
        mut out: impl FnMut(Option<B>),
    ) where
        B: 't,
    {
        let mut keys = keys.fuse();
        let mut group = [(None, &[][..], Child::Empty); KEYS_PER_GROUP];
        loop {
            let mut n = 0;
            for (tree, key) in keys.by_ref().take(KEYS_PER_GROUP) {
                group[n] = (Some(tree), key, tree.root.load());
                n += 1;
            }
            if n == 0 {
                return;
            }
            let group = &mut group[..n];
            // All leaves of a tree are equally deep, so keys of one tree reach their leaves in the
            // same round. Keys of different trees may not, nor may keys of one tree whose root
            // another thread replaced between two of the loads above.
            while let Child::Inner(_) = group[0].2 {
                for (_, key, child) in group.iter_mut() {
                    if let Child::Inner(node) = *child {
                        // SAFETY: (N1, N5) as in `find`.
                        let inner = unsafe { NodeRef::new(node) };
                        *child = inner.slot(inner.child(key)).load();
                        if let Child::Inner(node) | Child::Leaf(node) = *child {
                            NodeRef::prefetch(node, PREFETCHED_LINES_IN_GROUP);
                        }
                    }
                }
            }
            // All leaves are searched before the first value is read, so that the cache misses of
            // the values overlap too.
            let mut positions = [None; KEYS_PER_GROUP];
            for (pos, &(tree, key, child)) in positions.iter_mut().zip(group.iter()) {
                *pos = match child {
                    Child::Leaf(node) => {
                        // SAFETY: (N1, N5) as in `find`.
                        let leaf = unsafe { NodeRef::new(node) };
                        leaf.search(key).ok().map(|index| EntryPos { node, info: leaf.info, index })
                    }
                    // This tree is higher than that of the first key, or has grown since.
                    Child::Inner(_) => tree.and_then(|tree| tree.find(key)),
                    Child::Empty => None,
                };
            }
            for pos in &positions[..n] {
                out(pos.map(Self::value_at));
            }
        }
    }
}
