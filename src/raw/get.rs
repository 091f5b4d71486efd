//! Lookup: down by separators, then a search of one leaf.

use super::inner::{Found, Inner};
use super::leaf::Leaf;
use super::node::{Child, Info, Node};
use super::{RawTree, simd};
use crate::value::Bits;

/// Keys that a batch lookup descends together: enough for their cache misses to overlap, few enough for the lines to stay.
const BATCH: usize = 16;

/// The place of an entry.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) node: Node,
    pub(crate) info: Info,
    pub(crate) index: usize,
}

/// Where a key's descent stands.
#[derive(Clone, Copy)]
struct Step {
    child: Child,
    depth: usize,
}

impl Step {
    /// Goes one inner node down. The child is `Empty` where the key is absent.
    ///
    /// # Safety
    /// `self.child` is this inner node, which is live (N1).
    #[inline(always)]
    unsafe fn down(&mut self, node: Node, key: &[u8]) {
        // SAFETY: (N1) by the caller.
        let inner = unsafe { Inner::new(node) };
        let prefix = inner.prefix();
        let rest = &key[self.depth..];
        if rest.len() < prefix.len() || simd::common_prefix(prefix, rest) < prefix.len() {
            self.child = Child::Empty;
            return;
        }
        self.depth += prefix.len();
        self.child = match key.get(self.depth) {
            None => inner.end_slot().load(),
            Some(&b) => match inner.find(b) {
                Found::Gap(_) => Child::Empty,
                Found::Child(_, child) => {
                    self.depth += usize::from(!child.is_leaf());
                    child
                }
            },
        };
    }
}

impl<B: Bits> RawTree<B> {
    #[inline]
    pub(crate) fn find(&self, key: &[u8]) -> Option<Place> {
        let mut step = Step { child: self.root.load(), depth: 0 };
        loop {
            match step.child {
                Child::Empty => return None,
                // SAFETY: (N1) a node reached from the root is live while the tree is borrowed.
                Child::Inner(node) => unsafe { step.down(node, key) },
                Child::Leaf(node) => {
                    Leaf::prefetch(node);
                    // SAFETY: (N1, N5) as above.
                    let leaf = unsafe { Leaf::new(node) };
                    let index = leaf.search(&key[step.depth..]).ok()?;
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
        // SAFETY: (N1) a place is used while the tree is borrowed.
        unsafe { place.node.value(place.info, place.index) }
    }

    /// Overwrites the value at `place`, and gives the old one.
    #[inline]
    pub(crate) fn set_value(&mut self, place: Place, value: B) -> B {
        // SAFETY: (N1, N3) as above, and the tree is borrowed for writing.
        unsafe {
            let old = place.node.value(place.info, place.index);
            place.node.set_value(place.info, place.index, value);
            old
        }
    }

    /// The length of the longest stored key that `key` begins with, and its value.
    pub(crate) fn longest_prefix(&self, key: &[u8]) -> Option<(usize, B)> {
        let mut step = Step { child: self.root.load(), depth: 0 };
        let mut best = None;
        loop {
            match step.child {
                Child::Empty => break,
                Child::Inner(node) => {
                    // SAFETY: (N1) as in `find`.
                    let inner = unsafe { Inner::new(node) };
                    if !key[step.depth..].starts_with(inner.prefix()) {
                        break;
                    }
                    let end = step.depth + inner.prefix().len();
                    if let Child::Leaf(node) = inner.end_slot().load() {
                        // SAFETY: (N1) as in `find`.
                        best = Some((end, Place { node, info: unsafe { node.info() }, index: 0 }));
                    }
                    if end == key.len() {
                        break;
                    }
                    // SAFETY: (N1) as in `find`.
                    unsafe { step.down(node, key) };
                }
                Child::Leaf(node) => {
                    // SAFETY: (N1, N5) as in `find`.
                    let leaf = unsafe { Leaf::new(node) };
                    if let Some((index, len)) = leaf.longest_prefix(&key[step.depth..]) {
                        best = Some((step.depth + len, Place { node, info: leaf.info, index }));
                    }
                    break;
                }
            }
        }
        best.map(|(len, place)| (len, self.value(place)))
    }

    /// Looks keys up in batches and hands the values out in order.
    pub(crate) fn get_many<'k>(&self, keys: impl Iterator<Item = &'k [u8]>, mut out: impl FnMut(Option<B>)) {
        let mut keys = keys.fuse();
        let mut batch = [(&[][..], Step { child: Child::Empty, depth: 0 }); BATCH];
        loop {
            let mut n = 0;
            for key in keys.by_ref().take(BATCH) {
                batch[n] = (key, Step { child: self.root.load(), depth: 0 });
                n += 1;
            }
            if n == 0 {
                return;
            }
            let batch = &mut batch[..n];
            let mut inner = true;
            while inner {
                inner = false;
                for (key, step) in batch.iter_mut() {
                    if let Child::Inner(node) = step.child {
                        // SAFETY: (N1) as in `find`.
                        unsafe { step.down(node, key) };
                        match step.child {
                            Child::Inner(node) => {
                                inner = true;
                                Leaf::prefetch(node);
                            }
                            Child::Leaf(node) => Leaf::prefetch(node),
                            Child::Empty => {}
                        }
                    }
                }
            }
            for (key, step) in batch.iter() {
                out(match step.child {
                    Child::Leaf(node) => {
                        // SAFETY: (N1, N5) as in `find`.
                        let leaf = unsafe { Leaf::new(node) };
                        let found = leaf.search(&key[step.depth..]).ok();
                        found.map(|index| self.value(Place { node, info: leaf.info, index }))
                    }
                    _ => None,
                });
            }
        }
    }
}
