//! Bulk load: the tree of a sorted sequence, bottom-up, with full nodes and without searches.
//!
//! Keys gather until they fill a leaf. They are split near their end, where two neighbouring keys
//! share least. The leaf and the separator after it go to the level above, where separators gather
//! and are split in the same way. Memory other than the tree: the keys of one node for each level.

use crate::coding::KeyCoding;
use crate::pool;
use crate::symbols::FsstTable;
use crate::tree::coder::{LeafCoder, MIN_CODED_BYTES, Trainer};
use crate::tree::edit::{
    DecodedKeys, Failed, NewNodes, SortedKeys, free_all, make_one, strip, try_copy,
};
use crate::tree::node::{Child, HEADER_BYTES, Kind, Usage};
use crate::tree::{MAX_INNER_SEPARATORS, MAX_LEAF_KEYS, RawTree, SLOT_BYTES};
use crate::value::Bits;
use std::sync::Arc;

/// Bytes that a node may take in bulk. Nothing is inserted near it soon, so it can be larger than
/// one that is about to grow.
const MAX_NODE_BYTES: usize = 2048;
/// A node is split between this many bytes and the limit.
const MIN_NODE_BYTES: usize = MAX_NODE_BYTES * 7 / 8;
/// A leaf that stays this many bytes below the limit costs one byte: its share of one more leaf's
/// header and slot.
const UNFILLED_PER_COST: usize = 32;

/// The last inner node of a level, which is being built.
struct LevelBuilder {
    first: Child,
    keys: DecodedKeys<Child>,
    size: usize,
    /// The separator before this node.
    low: Option<Vec<u8>>,
}

/// Builds a tree from ascending keys.
pub(crate) struct Builder<B: Bits> {
    usage: Usage,
    /// The keys that are in no leaf yet.
    keys: DecodedKeys<B>,
    /// The bytes that they take in a leaf.
    size: usize,
    /// The separator before them.
    low: Option<Vec<u8>>,
    levels: Vec<LevelBuilder>,
    last: Vec<u8>,
    len: usize,
    /// The symbol tables by which leaves are coded, if they are.
    coder: Option<Arc<LeafCoder>>,
    /// What decides about the next table.
    trainer: Trainer,
}

/// Returns where to split keys that are too many for a leaf.
///
/// The best position has the fewest bytes, counting those of the leaf's cell that nothing fills,
/// those of the separator, and what the next leaf costs the sooner it begins.
fn split_leaf<B: Bits>(
    keys: &DecodedKeys<B>,
    table: Option<&FsstTable>,
    low: Option<&[u8]>,
) -> usize {
    // Of a leaf of the keys before `i`: what it strips, and its size without the first of them.
    let mut strip = low.map_or(0, <[u8]>::len).min(keys.lcp(1));
    let mut first = keys.first_cost(table, strip, B::SIZE);
    let mut size = HEADER_BYTES;
    let (mut best, mut min_cost) = (1, usize::MAX);
    for i in 1..keys.len() {
        if keys.lcp(i) < strip {
            strip = keys.lcp(i);
            first = keys.first_cost(table, strip, B::SIZE);
        }
        let bytes = size + first;
        let cost = if bytes > MAX_NODE_BYTES {
            usize::MAX
        } else if bytes < MIN_NODE_BYTES {
            usize::MAX - bytes
        } else {
            let unfilled = (MAX_NODE_BYTES - bytes) / UNFILLED_PER_COST;
            pool::cell_size(bytes) - bytes + unfilled + keys.lcp(i)
        };
        if cost < min_cost {
            (best, min_cost) = (i, cost);
        }
        size += keys.entry_cost(i, keys.lcp(i), B::SIZE);
    }
    best
}

/// Returns where to split `n` separators that are too many for a node: at the shortest of the last
/// ones. `size` is that of a node of all but the last.
fn split_inner(keys: &DecodedKeys<Child>, mut size: usize) -> usize {
    // At least one separator on either side.
    let (from, to) = (1, keys.len() - 1);
    let mut best = to - 1;
    for i in (from..to).rev() {
        size -= keys.entry_cost(i, keys.lcp(i), SLOT_BYTES);
        if size < MIN_NODE_BYTES && i < to - 1 {
            break;
        }
        if keys.key_len(i) < keys.key_len(best) {
            best = i;
        }
    }
    best
}

impl<B: Bits> Builder<B> {
    pub(crate) fn new(coder: Option<Arc<LeafCoder>>) -> Self {
        Builder {
            usage: Usage::default(),
            keys: DecodedKeys::new(),
            size: 0,
            low: None,
            levels: Vec::new(),
            last: Vec::new(),
            len: 0,
            trainer: Trainer::new(coder.as_deref()),
            coder,
        }
    }

    /// Returns the number of keys pushed.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns the last key.
    pub(crate) fn last(&self) -> &[u8] {
        &self.last
    }

    /// Pushes the next key, which shares `shared` bytes with the last one. Returns `false`, and
    /// does not push it, if it is not greater (N10).
    #[inline]
    pub(crate) fn push(&mut self, key: &[u8], shared: usize, value: B) -> Result<bool, Failed> {
        if self.len > 0 && !(shared <= self.last.len() && self.last.get(shared) < key.get(shared)) {
            return Ok(false);
        }
        self.last.try_reserve(key.len())?;
        self.keys.reserve(1, key.len())?;
        let n = self.keys.len();
        self.keys.push(if n == 0 { 0 } else { shared }, key, value);
        if let Some(coder) = &self.coder
            && let Some(table) = coder.newest()
        {
            self.keys.encode(table)?;
        }
        self.last.truncate(shared);
        self.last.extend_from_slice(&key[shared..]);
        self.len += 1;
        self.size += match n {
            0 => self.keys.first_cost(self.table(), self.max_strip(), B::SIZE),
            _ => self.keys.entry_cost(n, shared, B::SIZE),
        };
        if n > 0 && (self.size > MAX_NODE_BYTES || n == MAX_LEAF_KEYS) {
            let at = split_leaf(&self.keys, self.table(), self.low.as_deref());
            let high = self.keys.separator(at)?;
            self.push_leaf(at, Some(high))?;
        }
        Ok(true)
    }

    /// Returns the table by which new leaves are coded.
    fn table(&self) -> Option<&FsstTable> {
        self.coder.as_ref()?.newest()
    }

    /// Returns how many bytes the next leaf may strip at most. What it will strip is not known
    /// before its last key is.
    fn max_strip(&self) -> usize {
        self.low.as_ref().map_or(0, |low| low.len() - 1)
    }

    /// Makes a leaf of the gathered keys before `to`.
    fn push_leaf(&mut self, to: usize, high: Option<Vec<u8>>) -> Result<(), Failed> {
        if self.levels.is_empty() {
            self.add_level()?;
        }
        let strip = strip(self.low.as_deref(), high.as_deref());
        let table = self.coder.as_deref().and_then(LeafCoder::newest);
        let leaf = make_one(&mut self.usage, table, |new| self.keys.leaf(new, 0..to, strip))?;
        if let Some(coder) = &self.coder {
            let is_large = self.usage.leaves >= MIN_CODED_BYTES.get();
            if is_large || coder.coding() == KeyCoding::Symbols {
                // Without memory for it, the table is trained later, or not at all.
                let _ = self.trainer.add(coder, self.keys.rests(to));
            }
        }
        self.keys.remove_first(to);
        let low = std::mem::replace(&mut self.low, high);
        self.size = match self.keys.len() {
            0 => 0,
            n => {
                let first = self.keys.first_cost(self.table(), self.max_strip(), B::SIZE);
                let cost = |i| self.keys.entry_cost(i, self.keys.lcp(i), B::SIZE);
                HEADER_BYTES + first + (1..n).map(cost).sum::<usize>()
            }
        };
        self.push_child(0, low, Child::Leaf(leaf))
    }

    fn add_level(&mut self) -> Result<(), Failed> {
        self.levels.try_reserve(1)?;
        self.levels.push(LevelBuilder {
            first: Child::Empty,
            keys: DecodedKeys::new(),
            size: 0,
            low: None,
        });
        Ok(())
    }

    /// Adds a child to level `i`, with the separator before it. If the level's node is full, a node
    /// goes to the level above.
    fn push_child(
        &mut self,
        mut i: usize,
        mut separator: Option<Vec<u8>>,
        mut child: Child,
    ) -> Result<(), Failed> {
        loop {
            let level = &mut self.levels[i];
            let Some(key) = separator.take().filter(|_| level.first != Child::Empty) else {
                level.first = child;
                return Ok(());
            };
            if let Err(error) = level.keys.insert(level.keys.len(), &key, child) {
                // SAFETY: (N2) the child is nowhere else.
                unsafe { free_all::<B>(&mut self.usage, child) };
                return Err(error.into());
            }
            let n = level.keys.len();
            let last_cost = level.keys.entry_cost(n - 1, level.keys.lcp(n - 1), SLOT_BYTES);
            level.size += last_cost;
            if n < 3 || (level.size <= MAX_NODE_BYTES && n <= MAX_INNER_SEPARATORS) {
                return Ok(());
            }
            let at = split_inner(&level.keys, level.size - last_cost);
            let high = try_copy(level.keys.key(at))?;
            let strip = strip(level.low.as_deref(), Some(&high));
            let node = make_one::<B>(&mut self.usage, None, |new| {
                level.keys.inner(Kind::above(i + 1), new, level.first, 0..at, strip)
            })?;
            level.first = level.keys.item(at);
            level.keys.remove_first(at + 1);
            level.size = level.keys.cost(0, SLOT_BYTES);
            separator = level.low.replace(high);
            child = Child::Inner(node);
            i += 1;
            if i == self.levels.len() && self.add_level().is_err() {
                // SAFETY: (N2) the child is nowhere else.
                unsafe { free_all::<B>(&mut self.usage, child) };
                return Err(Failed(0));
            }
        }
    }

    /// Returns the tree of all keys pushed.
    pub(crate) fn finish(mut self) -> Result<RawTree<B>, Failed> {
        let mut tree = RawTree::with_coder(self.coder.clone());
        if self.keys.len() > 0 {
            self.push_leaf(self.keys.len(), None)?;
        }
        let mut i = 0;
        while i + 1 < self.levels.len() {
            let node = self.last_node(i)?;
            let level = &mut self.levels[i];
            level.first = Child::Empty;
            level.keys = DecodedKeys::new();
            let low = level.low.take();
            i += 1;
            self.push_child(i, low, node)?;
        }
        if !self.levels.is_empty() {
            let last = self.levels.len() - 1;
            let has_keys = self.levels[last].keys.len() > 0;
            let root = if has_keys { self.last_node(last)? } else { self.levels[last].first };
            self.levels.clear();
            tree.root.store(root);
        }
        tree.len = self.len;
        tree.usage = std::mem::take(&mut self.usage);
        Ok(tree)
    }

    /// Makes the last inner node of a level, of all separators that are left there.
    fn last_node(&mut self, level: usize) -> Result<Child, Failed> {
        let LevelBuilder { first, keys, .. } = &self.levels[level];
        let kind = Kind::above(level + 1);
        let inner = |new: &mut NewNodes<'_, B>| keys.inner(kind, new, *first, 0..keys.len(), 0);
        make_one::<B>(&mut self.usage, None, inner).map(Child::Inner)
    }
}

impl<B: Bits> Drop for Builder<B> {
    fn drop(&mut self) {
        for level in &self.levels {
            for child in (0..level.keys.len()).map(|i| level.keys.item(i)).chain([level.first]) {
                // SAFETY: (N2) an unfinished tree is reached from here alone.
                unsafe { free_all::<B>(&mut self.usage, child) };
            }
        }
    }
}
