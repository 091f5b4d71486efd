//! The way from a key to a boundary: a small trie whose steps are words of 8 bytes.
//!
//! ```text
//!   prefix "http"   words   "://i.\0\0\0"     "s://www." ──▶ prefix ""   words   "a\0\0…"   "google.c" ──▶ …
//!   boundaries              http://i.        two or more                   https://www.a
//! ```
//! A node has what its boundaries begin with in common, and the different words that follow. A key that begins otherwise lies before or behind all of
//! them; else its own word is sought. Where that is a boundary's word, too, the node below it decides.

#![forbid(unsafe_code)]

use crate::tree::common_prefix;
use std::ops::Range;
use std::sync::Arc;

/// Bytes of a step.
const WORD: usize = 8;

/// Finds the number of boundaries that a key is not below.
pub(crate) struct Router {
    bounds: Vec<Arc<[u8]>>,
    root: Node,
}

struct Node {
    /// The boundaries below it.
    range: Range<usize>,
    /// What these have in common behind the way here.
    prefix: Box<[u8]>,
    /// The words behind that.
    words: Vec<u64>,
    /// Of each word the number of the first boundary that has it.
    firsts: Vec<usize>,
    /// What decides between keys with the same word; none where a boundary ends inside of it.
    below: Vec<Option<Node>>,
}

/// The first 8 bytes as a word, with zeros where there are fewer: ascends with the keys, though not strictly.
#[inline]
fn word(rest: &[u8]) -> u64 {
    if let Some(bytes) = rest.first_chunk::<WORD>() {
        return u64::from_be_bytes(*bytes);
    }
    let mut bytes = [0; WORD];
    bytes[..rest.len()].copy_from_slice(rest);
    u64::from_be_bytes(bytes)
}

impl Node {
    /// A node for some of the boundaries, which are alike in their first `depth` bytes. A node below another has that word's boundaries alone, so
    /// each level has fewer bytes of them to tell apart; but a level is a call, so beyond a few nothing more is told apart by words.
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
            let ends = bounds[group.clone()].iter().any(|bound| bound.len() < at + WORD);
            words.push(of_first);
            firsts.push(first);
            below.push(
                (!ends && levels > 0)
                    .then(|| Node::new(bounds, group.clone(), at + WORD, levels - 1)),
            );
            first = group.end;
        }
        Node { range, prefix, words, firsts, below }
    }
}

impl Router {
    /// Levels of words: 128 bytes and what boundaries have in common are told apart by them.
    const LEVELS: usize = 16;

    /// For boundaries that ascend strictly.
    pub(crate) fn new(bounds: Vec<Arc<[u8]>>) -> Self {
        let root = Node::new(&bounds, 0..bounds.len(), 0, Self::LEVELS);
        Router { bounds, root }
    }

    #[inline]
    pub(crate) fn route(&self, key: &[u8]) -> usize {
        let (mut node, mut rest) = (&self.root, key);
        loop {
            let Some(behind) = rest.strip_prefix(&*node.prefix) else {
                return if rest < &*node.prefix { node.range.start } else { node.range.end };
            };
            let word = word(behind);
            let at = node.words.partition_point(|&other| other < word);
            let first = node.firsts.get(at).copied().unwrap_or(node.range.end);
            if node.words.get(at) != Some(&word) {
                return first;
            }
            match &node.below[at] {
                Some(below) if behind.len() >= WORD => (node, rest) = (below, &behind[WORD..]),
                _ => {
                    let end = node.firsts.get(at + 1).copied().unwrap_or(node.range.end);
                    return first
                        + self.bounds[first..end].partition_point(|bound| **bound <= *key);
                }
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
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
        fn keys_are_led_as_a_search_says(bounds in proptest::collection::btree_set(string(), 0..40), keys in proptest::collection::vec(string(), 1..40)) {
            let bounds: Vec<Arc<[u8]>> = bounds.into_iter().filter(|bound| !bound.is_empty()).map(Arc::from).collect();
            let router = Router::new(bounds.clone());
            for key in keys.iter().map(|key| &key[..]).chain(bounds.iter().map(|bound| &**bound)) {
                prop_assert_eq!(router.route(key), bounds.partition_point(|bound| &**bound <= key));
            }
        }
    }
}
