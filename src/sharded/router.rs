//! A router from a key to a boundary: a small trie whose steps are words of 8 bytes.
//!
//! ```text
//!   prefix "http"   words  "://i.\0\0\0"  "s://www." ──▶ prefix ""   words  "a\0…"  "google.c" ▶ …
//!   boundaries              http://i.        two or more                   https://www.a
//! ```
//!
//! A node has the common prefix of its boundaries, and the different words that follow. A key with
//! another prefix lies before or after all of them; otherwise its own word is searched. If a
//! boundary has the same word, the node below it decides.

#![forbid(unsafe_code)]

use crate::tree::common_prefix;
use std::ops::Range;
use std::sync::Arc;

/// The bytes of a step.
const BYTES_PER_WORD: usize = 8;

/// Finds the number of boundaries that are at most a key.
pub(crate) struct Router {
    bounds: Vec<Arc<[u8]>>,
    root: Node,
}

struct Node {
    /// The boundaries below it.
    range: Range<usize>,
    /// Their common prefix after the words on the path to this node.
    prefix: Box<[u8]>,
    /// The words that follow the prefix, in ascending order.
    words: Vec<u64>,
    /// For each word, the number of the first boundary that has it.
    firsts: Vec<usize>,
    /// For each word, the node that decides between keys with that word. `None` if a boundary ends
    /// inside the word.
    below: Vec<Option<Node>>,
}

/// Returns the first 8 bytes as a word, padded with zeros. It ascends with the keys, not strictly.
#[inline]
fn word(rest: &[u8]) -> u64 {
    if let Some(bytes) = rest.first_chunk::<BYTES_PER_WORD>() {
        return u64::from_be_bytes(*bytes);
    }
    let mut bytes = [0; BYTES_PER_WORD];
    bytes[..rest.len()].copy_from_slice(rest);
    u64::from_be_bytes(bytes)
}

impl Node {
    /// Creates a node for a range of boundaries, which share their first `depth` bytes.
    ///
    /// It has at most `levels` levels of nodes below it, since each level costs a step and is one
    /// recursive call here. A binary search decides the rest.
    fn new(bounds: &[Arc<[u8]>], range: Range<usize>, depth: usize, levels: usize) -> Node {
        let prefix = match &bounds[range.clone()] {
            [first, .., last] => common_prefix(&first[depth..], &last[depth..]),
            [only] => only.len() - depth,
            [] => 0,
        };
        let at = depth + prefix;
        let prefix =
            bounds.get(range.start).map_or(Box::default(), |bound| bound[depth..at].into());
        let (mut words, mut firsts, mut below) = (Vec::new(), Vec::new(), Vec::new());
        let mut first = range.start;
        while first < range.end {
            let of_first = word(&bounds[first][at..]);
            let count =
                bounds[first..range.end].partition_point(|bound| word(&bound[at..]) == of_first);
            let group = first..first + count;
            let ends = bounds[group.clone()].iter().any(|bound| bound.len() < at + BYTES_PER_WORD);
            words.push(of_first);
            firsts.push(first);
            below.push(
                (!ends && levels > 0)
                    .then(|| Node::new(bounds, group.clone(), at + BYTES_PER_WORD, levels - 1)),
            );
            first = group.end;
        }
        Node { range, prefix, words, firsts, below }
    }

    #[cfg(feature = "sets")]
    fn heap_bytes(&self) -> usize {
        let below: usize = self.below.iter().flatten().map(Node::heap_bytes).sum();
        self.prefix.len()
            + size_of_val(&*self.words)
            + size_of_val(&*self.firsts)
            + size_of_val(&*self.below)
            + below
    }
}

impl Router {
    /// The most levels of nodes. They resolve 128 bytes besides common prefixes.
    const LEVELS: usize = 16;

    /// Creates a router for strictly ascending boundaries.
    pub(crate) fn new(bounds: Vec<Arc<[u8]>>) -> Self {
        let root = Node::new(&bounds, 0..bounds.len(), 0, Self::LEVELS);
        Router { bounds, root }
    }

    /// Returns the bytes on the heap, without the capacity that is not used.
    #[cfg(feature = "sets")]
    pub(crate) fn heap_bytes(&self) -> usize {
        // A boundary has two counts of its owners.
        let bounds: usize =
            self.bounds.iter().map(|bound| 2 * size_of::<usize>() + bound.len()).sum();
        size_of_val(&*self.bounds) + bounds + self.root.heap_bytes()
    }

    #[inline]
    pub(crate) fn route(&self, key: &[u8]) -> usize {
        let (mut node, mut rest) = (&self.root, key);
        loop {
            let prefix = &*node.prefix;
            // The address of an empty box is not mapped. glibc compares it by a masked load, which
            // takes some 100 ns there.
            let suffix = if prefix.is_empty() { Some(rest) } else { rest.strip_prefix(prefix) };
            let Some(suffix) = suffix else {
                return if rest < prefix { node.range.start } else { node.range.end };
            };
            let word = word(suffix);
            let at = node.words.partition_point(|&other| other < word);
            let first = node.firsts.get(at).copied().unwrap_or(node.range.end);
            if node.words.get(at) != Some(&word) {
                return first;
            }
            match &node.below[at] {
                Some(below) if suffix.len() >= BYTES_PER_WORD => {
                    (node, rest) = (below, &suffix[BYTES_PER_WORD..])
                }
                _ => {
                    let end = node.firsts.get(at + 1).copied().unwrap_or(node.range.end);
                    return first
                        + self.bounds[first..end].partition_point(|bound| **bound <= *key);
                }
            }
        }
    }
}

#[cfg(all(test, not(memkv_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn string() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            Just(b"http://".to_vec()),
            Just(vec![0]),
            Just(vec![0xFF]),
            Just(vec![0; 7]),
            Just(vec![b'x'; 200]),
            any::<u8>().prop_map(|b| vec![b])
        ];
        proptest::collection::vec(part, 0..4).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn routes_agree_with_a_binary_search(
            bounds in proptest::collection::btree_set(string(), 0..40),
            keys in proptest::collection::vec(string(), 1..40),
        ) {
            let bounds = bounds.into_iter().filter(|bound| !bound.is_empty());
            let bounds: Vec<Arc<[u8]>> = bounds.map(Arc::from).collect();
            let router = Router::new(bounds.clone());
            for key in keys.iter().map(|key| &key[..]).chain(bounds.iter().map(|bound| &**bound)) {
                prop_assert_eq!(router.route(key), bounds.partition_point(|bound| &**bound <= key));
            }
        }
    }
}
