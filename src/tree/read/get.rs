//! Lookup: down by separators, then a search of one leaf.

use crate::tree::RawTree;
use crate::tree::node::coding::{NodeRef, PREFETCHED_LINES};
use crate::tree::node::info::Info;
use crate::tree::node::memory::Node;
use crate::tree::node::slot::Child;
use crate::value::Bits;

/// Keys that a batch lookup descends together: enough for their cache misses to overlap, few enough for the lines to stay.
const BATCH: usize = 16;
/// Lines of each node that a batch asks for: more would push out those of its other keys.
const BATCH_LINES: usize = 10;

/// The place of an entry.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) node: Node,
    pub(crate) info: Info,
    pub(crate) index: usize,
}

impl<B: Bits> RawTree<B> {
    #[inline]
    pub(crate) fn find(&self, key: &[u8]) -> Option<Place> {
        let mut child = self.root.load();
        loop {
            match child {
                Child::Empty => return None,
                Child::Inner(node) => {
                    NodeRef::prefetch(node, PREFETCHED_LINES);
                    // SAFETY: (N1, N5) a node reached from the root is live while the tree is borrowed.
                    let keys = unsafe { NodeRef::new(node) };
                    child = keys.slot(keys.child(&key[keys.strip()..])).load();
                }
                Child::Leaf(node) => {
                    NodeRef::prefetch(node, PREFETCHED_LINES);
                    // SAFETY: (N1, N5) as above.
                    let leaf = unsafe { NodeRef::new(node) };
                    let index = leaf.search(&key[leaf.strip()..]).ok()?;
                    return Some(Place { node, info: leaf.info, index });
                }
            }
        }
    }

    #[inline]
    pub(crate) fn get(&self, key: &[u8]) -> Option<B> {
        self.find(key).map(|place| self.value(place))
    }

    #[inline]
    pub(crate) fn value(&self, place: Place) -> B {
        Self::value_at(place)
    }

    #[inline]
    fn value_at(place: Place) -> B {
        // SAFETY: (N1, N9) a place is used while its tree is borrowed.
        unsafe { place.node.value(place.info, place.index) }
    }

    /// Overwrites the value at `place`, and gives the old one.
    #[inline]
    pub(crate) fn set_value(&mut self, place: Place, value: B) -> B {
        // SAFETY: (N1, N3, N9) as above, and the tree is borrowed for writing.
        unsafe {
            let old = place.node.value(place.info, place.index);
            place.node.set_value(place.info, place.index, value);
            old
        }
    }

    /// Looks keys up in batches and hands the values out in order.
    pub(crate) fn get_many<'k>(
        &self,
        keys: impl Iterator<Item = &'k [u8]>,
        out: impl FnMut(Option<B>),
    ) {
        Self::get_many_of(keys.map(|key| (self, key)), out);
    }

    /// [`get_many`](Self::get_many) of keys that are each looked up in a tree of their own.
    pub(crate) fn get_many_of<'t, 'k>(
        keys: impl Iterator<Item = (&'t Self, &'k [u8])>,
        mut out: impl FnMut(Option<B>),
    ) where
        B: 't,
    {
        let mut keys = keys.fuse();
        let mut batch = [(None, &[][..], Child::Empty); BATCH];
        loop {
            let mut n = 0;
            for (tree, key) in keys.by_ref().take(BATCH) {
                batch[n] = (Some(tree), key, tree.root.load());
                n += 1;
            }
            if n == 0 {
                return;
            }
            let batch = &mut batch[..n];
            // All leaves of a tree are equally deep, so a batch of one goes down in step; but trees differ, and where others change one, its root
            // may have changed between.
            while let Child::Inner(_) = batch[0].2 {
                for (_, key, child) in batch.iter_mut() {
                    if let Child::Inner(node) = *child {
                        // SAFETY: (N1, N5) as in `find`.
                        let inner = unsafe { NodeRef::new(node) };
                        *child = inner.slot(inner.child(&key[inner.strip()..])).load();
                        if let Child::Inner(node) | Child::Leaf(node) = *child {
                            NodeRef::prefetch(node, BATCH_LINES);
                        }
                    }
                }
            }
            // All searches before the first value is read: their values come in together, too.
            let mut places = [None; BATCH];
            for (place, &(tree, key, child)) in places.iter_mut().zip(batch.iter()) {
                *place = match child {
                    Child::Leaf(node) => {
                        // SAFETY: (N1, N5) as in `find`.
                        let leaf = unsafe { NodeRef::new(node) };
                        leaf.search(&key[leaf.strip()..]).ok().map(|index| Place {
                            node,
                            info: leaf.info,
                            index,
                        })
                    }
                    // Higher than the first key's tree, or grown meanwhile.
                    Child::Inner(_) => tree.and_then(|tree| tree.find(key)),
                    Child::Empty => None,
                };
            }
            for place in &places[..n] {
                out(place.map(Self::value_at));
            }
        }
    }
}
