//! The shard table, which leads from a key to its shard.
//!
//! ```text
//!   lows:    ""      http://i.    http://www.a    http://www.m
//!   shards:  s0      s1           s2              s3       keys from their low to the next one
//! ```
//!
//! A router (router.rs) finds the shard of a key. A table is immutable: a change installs a new
//! one.

#![forbid(unsafe_code)]

use super::router::Router;
use crate::key;
use crate::reclaim::Pin;
use crate::sync::striped_lock::{AllGuard, StripedLock};
use crate::tree::{RawTree, SharedTree, common_prefix};
use crate::value::Bits;
use std::ops::ControlFlow::{self, Continue};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// The tree of one key range.
pub(super) struct Shard<B: Bits> {
    pub(super) tree: SharedTree<B>,
    /// Writers read one stripe while they change the tree.
    pub(super) lock: StripedLock,
    /// The keys of the map when an empty shard was last added beside this one; 0 if none was.
    pub(super) keys_at_add: AtomicUsize,
}

impl<B: Bits> Shard<B> {
    pub(super) fn new(tree: RawTree<B>) -> Arc<Self> {
        let tree = SharedTree::new(tree);
        Arc::new(Shard { tree, lock: StripedLock::new(), keys_at_add: AtomicUsize::new(0) })
    }
}

impl<B: Bits> Shard<B> {
    /// Creates an empty shard, whose keys are coded by the tables of another.
    pub(super) fn empty_like(other: &Self) -> Arc<Self> {
        Shard::new(RawTree::with_coder(other.tree.coder().cloned()))
    }
}

/// A boundary, and the shard of the keys from there on.
pub(super) type TableEntry<B> = (Arc<[u8]>, Arc<Shard<B>>);

/// The shards in the order of their keys.
pub(super) struct Table<B: Bits> {
    /// The first boundary is the empty key, the others ascend.
    parts: Vec<TableEntry<B>>,
    router: Router,
}

impl<B: Bits> Table<B> {
    /// Creates a table of entries in ascending order.
    pub(super) fn new(mut parts: Vec<TableEntry<B>>) -> Self {
        if !parts[0].0.is_empty() {
            parts[0].0 = Arc::default();
        }
        debug_assert!(parts.is_sorted_by(|a, b| a.0 < b.0));
        let router = Router::new(parts.iter().skip(1).map(|(low, _)| Arc::clone(low)).collect());
        Table { parts, router }
    }

    pub(super) fn parts(&self) -> &[TableEntry<B>] {
        &self.parts
    }

    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }

    /// Locks every shard.
    pub(super) fn lock_all(&self) -> Vec<AllGuard<'_>> {
        self.parts.iter().map(|(_, shard)| shard.lock.lock_all()).collect()
    }

    #[inline]
    pub(super) fn shard(&self, i: usize) -> &Arc<Shard<B>> {
        &self.parts[i].1
    }

    pub(super) fn low(&self, i: usize) -> &Arc<[u8]> {
        &self.parts[i].0
    }

    /// Returns the upper bound of shard `i`, exclusive, or `None` for the last shard.
    pub(super) fn high(&self, i: usize) -> Option<&[u8]> {
        self.parts.get(i + 1).map(|(low, _)| &**low)
    }

    /// Returns the index of the shard of `key`.
    #[inline]
    pub(super) fn route(&self, key: &[u8]) -> usize {
        self.router.route(key)
    }

    /// Returns the tree of `key`.
    #[inline]
    pub(super) fn tree_of(&self, key: &[u8]) -> &SharedTree<B> {
        &self.shard(self.route(key)).tree
    }

    /// Passes each key that is a prefix of `key` to `each`, the longest first, as
    /// [`RawTree::prefixes`] does.
    pub(super) fn prefixes<R>(
        &self,
        pin: &Pin,
        mut key: &[u8],
        mut each: impl FnMut(usize, B) -> ControlFlow<R>,
    ) -> ControlFlow<R> {
        loop {
            let i = self.route(key);
            let below = key::prefix_below(key, self.low(i));
            let least = below.map_or(0, |below| below.len() + 1);
            self.shard(i).tree.read(pin).prefixes(key, |len, value| {
                // A tree may have keys outside its range.
                if len < least { Continue(()) } else { each(len, value) }
            })?;
            let Some(below) = below else { return Continue(()) };
            key = below;
        }
    }

    pub(super) fn position(&self, shard: &Arc<Shard<B>>) -> Option<usize> {
        self.parts.iter().position(|(_, other)| Arc::ptr_eq(shard, other))
    }

    /// Returns a table in which a range of entries is replaced by others.
    pub(super) fn with(
        &self,
        range: Range<usize>,
        parts: impl IntoIterator<Item = TableEntry<B>>,
    ) -> Self {
        let mut all = self.parts.clone();
        all.splice(range, parts);
        Table::new(all)
    }

    /// Checks the table, and returns a description of the first violation.
    pub(super) fn check(&self) -> Result<(), String> {
        if !self.parts[0].0.is_empty() || !self.parts.is_sorted_by(|a, b| a.0 < b.0) {
            return Err("boundaries do not ascend".to_owned());
        }
        match (0..self.len()).find(|&i| self.route(self.low(i)) != i) {
            Some(i) => Err(format!("boundary {i} leads to shard {}", self.route(self.low(i)))),
            None => Ok(()),
        }
    }
}

/// Returns the shortest string that is greater than `below` and at most `key`, if `below < key`.
pub(super) fn separator(below: &[u8], key: &[u8]) -> Arc<[u8]> {
    Arc::from(&key[..=common_prefix(below, key).min(key.len() - 1)])
}

/// Returns boundaries that divide sorted keys into `parts` equal parts, or fewer if keys are equal.
pub(crate) fn quantiles(sorted: &[impl AsRef<[u8]> + Ord], parts: usize) -> Vec<Arc<[u8]>> {
    let mut bounds: Vec<Arc<[u8]>> = Vec::new();
    for part in 1..parts {
        let at = part * sorted.len() / parts;
        // The first key that differs from those before it.
        let Some(key) = sorted.get(at) else { break };
        let first = sorted.partition_point(|other| other < key);
        let Some(before) = first.checked_sub(1) else { continue };
        let bound = separator(sorted[before].as_ref(), key.as_ref());
        if bounds.last().is_none_or(|last| *last < bound) {
            bounds.push(bound);
        }
    }
    bounds
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
            any::<u8>().prop_map(|b| vec![b])
        ];
        proptest::collection::vec(part, 0..4).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn separators_lie_between(a in string(), b in string()) {
            prop_assume!(a != b);
            let (below, key) = if a < b { (a, b) } else { (b, a) };
            let between = separator(&below, &key);
            prop_assert!(below < between.to_vec() && between.to_vec() <= key);
        }
    }
}
