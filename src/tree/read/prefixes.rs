//! The stored keys that are prefixes of another.
//!
//! ```text
//!   child        c0         c1         c2         c3
//!   separators        s0         s1         s2          all at most the key
//!   shared            4          9          9           bytes that each shares with the key
//!   prefixes  ..=4       5..=9      none       10..     lengths that the child may have
//! ```
//!
//! The bytes that entries share with the key ascend up to the key's place, and their front coding
//! tells how many they are, backwards from there: no entry is decoded. A prefix of the key that is
//! less than a separator is a prefix of what the separator shares with the key. So a child between
//! two separators that share equally much has no prefix of the key, unless it is the first of the
//! two, and is passed over. The others are visited with shorter and shorter keys.

use crate::tree::RawTree;
use crate::tree::node::{Child, NodeRef, PREFETCHED_LINES};
use crate::tree::read::get::EntryPos;
use crate::value::Bits;
use std::ops::ControlFlow::{self, Break, Continue};

impl<B: Bits> RawTree<B> {
    /// Returns the length of the longest stored key that is a prefix of `key`, and its value.
    ///
    /// # Complexity
    /// That of [`prefixes`](Self::prefixes), up to the first result.
    pub(crate) fn longest_prefix(&self, key: &[u8]) -> Option<(usize, B)> {
        self.prefixes(key, |len, value| Break((len, value))).break_value()
    }

    /// Returns the lengths of all stored keys that are prefixes of `key`, and their values, the
    /// shortest first.
    ///
    /// # Complexity
    /// That of [`prefixes`](Self::prefixes).
    pub(crate) fn ascending_prefixes(&self, key: &[u8]) -> Vec<(usize, B)> {
        let mut found = Vec::new();
        let _: ControlFlow<()> = self.prefixes(key, |len, value| {
            found.push((len, value));
            Continue(())
        });
        found.reverse();
        found
    }

    /// Passes each stored key that is a prefix of `key` to `each`, the longest first: its length,
    /// and its value. Stops when `each` does.
    ///
    /// # Complexity
    /// One lookup, and the search of each other node that may have a prefix of `key`: on each level
    /// at most one for each byte of `key`. All searches of a level together compare O(`key.len()`)
    /// bytes.
    pub(crate) fn prefixes<R>(
        &self,
        key: &[u8],
        each: impl FnMut(usize, B) -> ControlFlow<R>,
    ) -> ControlFlow<R> {
        PrefixWalk { tree: self, each }.visit(self.root.load(), key)
    }
}

#[cfg(test)]
thread_local! {
    /// Nodes that walks of this thread have searched.
    pub(crate) static SEARCHED_NODES: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// A walk over the prefixes of a key, backwards.
struct PrefixWalk<'t, B: Bits, F> {
    tree: &'t RawTree<B>,
    each: F,
}

impl<B: Bits, F> PrefixWalk<'_, B, F> {
    /// Visits the prefixes of `key` below `child`.
    ///
    /// `key` is in the range of `child`, or is a prefix of the range's upper fence key. In both
    /// cases it begins with the bytes that the node strips, unless it is shorter.
    fn visit<R>(&mut self, child: Child, mut key: &[u8]) -> ControlFlow<R>
    where
        F: FnMut(usize, B) -> ControlFlow<R>,
    {
        let Some(node) = child.node() else { return Continue(()) };
        NodeRef::prefetch(node, PREFETCHED_LINES);
        // SAFETY: (N1, N5) a node reached from the root is live while the tree is borrowed, or the
        // thread is pinned.
        let keys = unsafe { NodeRef::new(node) };
        let strip = keys.strip();
        // All keys below have the stripped bytes.
        let Some(rest) = key.get(strip..) else { return Continue(()) };
        #[cfg(test)]
        SEARCHED_NODES.set(SEARCHED_NODES.get() + 1);
        // The entries before `at` are at most the key, and the last of them shares `shared` bytes
        // with it.
        let (mut at, mut shared) = match keys.search(key) {
            Ok(index) => (index + 1, rest.len()),
            Err(gap) => (gap.at, gap.lcp),
        };
        loop {
            let is_prefix = at > 0 && keys.end(at - 1) == shared;
            if keys.info.is_leaf() {
                if is_prefix {
                    let pos = EntryPos { node, info: keys.info, index: at - 1 };
                    (self.each)(strip + shared, self.tree.value(pos))?;
                }
            } else if at == 0 || is_prefix || key.len() > strip + shared {
                self.visit(keys.slot(at).load(), key)?;
            }
            if at == 0 {
                return Continue(());
            }
            at -= 1;
            // The separator itself is in the child after it.
            let left = strip + shared - usize::from(is_prefix && !keys.info.is_leaf());
            key = &key[..left];
            shared = shared.min(keys.lcp(at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SEARCHED_NODES;
    use crate::KeyCoding;
    use crate::tree::{LeafCoder, RawTree, tests::scattered};
    use std::collections::BTreeMap;

    /// Returns the tree of these keys, with their numbers as values.
    fn tree(keys: impl Iterator<Item = Vec<u8>>) -> (RawTree<u64>, BTreeMap<Vec<u8>, u64>) {
        // The number of nodes is that of leaves as they are without codes.
        let (coder, mut model) = (LeafCoder::asked(KeyCoding::Plain), BTreeMap::new());
        let mut tree = RawTree::with_coder(coder);
        for (key, i) in keys.zip(0..) {
            tree.insert(&key, i).unwrap();
            model.insert(key, i);
        }
        tree.check().unwrap();
        (tree, model)
    }

    /// Checks the prefixes of `key`, and returns how many nodes it took to find the longest.
    fn nodes(tree: &RawTree<u64>, model: &BTreeMap<Vec<u8>, u64>, key: &[u8]) -> usize {
        let prefix = |len| model.get(&key[..len]).map(|value| (len, *value));
        let want: Vec<_> = (0..=key.len()).filter_map(prefix).collect();
        assert_eq!(tree.ascending_prefixes(key), want);
        SEARCHED_NODES.set(0);
        assert_eq!(tree.longest_prefix(key), want.last().copied());
        SEARCHED_NODES.get()
    }

    /// After each byte of the text a key leaves it. Each leaf of these keys is searched once.
    #[test]
    fn keys_that_leave_a_text_after_each_byte_are_searched_by_leaf() {
        let depth = if cfg!(miri) { 60 } else { 3000 };
        let text = vec![b'b'; depth];
        let (tree, model) = tree(scattered(depth, 1999).map(|i| [&text[..i], b"a"].concat()));
        assert!(nodes(&tree, &model, &text) < 10 + depth / 8);
        assert!(nodes(&tree, &model, &[&text[..depth / 2], b"aa"].concat()) < 10);
    }

    /// As above, but more keys leave the text after each byte than fit into a leaf.
    #[test]
    fn leaves_of_keys_that_leave_a_text_are_passed_over() {
        let (depth, each) = if cfg!(miri) { (10, 20) } else { (100, 200) };
        let text = vec![b'b'; depth];
        let keys = scattered(depth * each, 19_997)
            .map(|i| [&text[..i / each], b"a", &(i % each).to_be_bytes()].concat());
        let (tree, model) = tree(keys);
        let searched = nodes(&tree, &model, &text);
        assert!(searched < 4 * depth, "{searched}");
    }

    #[test]
    fn prefixes_of_every_key_are_those_of_a_model() {
        let mut random = 1u64;
        let mut next = |n: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % n
        };
        for round in 0..if cfg!(miri) { 2 } else { 60 } {
            let longest = [4, 14, 40, 700][round % 4];
            let text: Vec<u8> = (0..longest).map(|_| next(2) as u8).collect();
            let key = |next: &mut dyn FnMut(u64) -> u64| {
                let tail = next(12);
                let mut key = text[..next(longest + 1) as usize].to_vec();
                key.extend((0..tail).map(|_| next(2) as u8));
                key
            };
            let (tree, model) = tree((0..800).map(|_| key(&mut next)));
            let others: Vec<_> = (0..200).map(|_| key(&mut next)).collect();
            for key in model.keys().chain(&others).chain([&text]) {
                nodes(&tree, &model, key);
            }
        }
    }
}
