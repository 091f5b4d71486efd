//! Bulk load: the tree of a sorted sequence, bottom-up, with full nodes and no searching.
//!
//! Keys gather in a run until it holds a full leaf. The run is cut near its end, where neighbours share least; the leaf and the
//! separator behind it go to the level above, where separators gather and are cut in the same way. Memory besides the tree: one
//! node's keys a level.

use crate::pool;
use crate::tree::edit::clear::free_all;
use crate::tree::edit::decoded::DecodedKeys;
use crate::tree::edit::path::strip;
use crate::tree::edit::pending::{Failed, NewNodes, try_copy};
use crate::tree::node::layout::{Child, Usage};
use crate::tree::{INNER_COUNT, LEAF_COUNT, RawTree, SLOT};
use crate::value::Bits;

/// Bytes that a node may take in bulk. Nothing is inserted near it soon, so it can be longer than one that is about to grow.
const FULL: usize = 2048;
/// A node is cut between this many bytes and the limit.
const CUT_FROM: usize = FULL * 7 / 8;
/// A leaf that stays this many bytes below the limit costs one byte: that share of one more leaf's header and slot.
const UNFILLED: usize = 32;

/// A level of inner nodes: the last node of it, in the making.
struct Level {
    first: Child,
    run: DecodedKeys<Child>,
    size: usize,
    /// The separator before this node.
    low: Option<Vec<u8>>,
}

/// Builds a tree from ascending keys.
pub(crate) struct Builder<B: Bits> {
    usage: Usage,
    /// The keys that are in no leaf yet, and their bytes in one.
    run: DecodedKeys<B>,
    size: usize,
    /// The separator before them.
    low: Option<Vec<u8>>,
    levels: Vec<Level>,
    last: Vec<u8>,
    len: usize,
}

/// Where to cut a run that is too long for a leaf: where the bytes of its cell that nothing fills, with those of the separator and what the
/// next leaf costs the sooner it begins, are fewest.
fn cut_leaf<B: Bits>(run: &DecodedKeys<B>, low: Option<&[u8]>) -> usize {
    // Of a leaf of the keys before `i`: what it strips, and its size but for that.
    let (mut strip, mut size) = (low.map_or(0, <[u8]>::len), run.cost(0, 1, 0, B::SIZE));
    let (mut best, mut least) = (1, usize::MAX);
    for i in 1..run.len() {
        strip = strip.min(run.lcp(i));
        let bytes = size - strip.min(run.key_len(0).saturating_sub(1));
        let cost = if bytes > FULL {
            usize::MAX
        } else if bytes < CUT_FROM {
            usize::MAX - bytes
        } else {
            pool::cell_size(bytes) - bytes + (FULL - bytes) / UNFILLED + run.lcp(i)
        };
        if cost < least {
            (best, least) = (i, cost);
        }
        size += run.entry_cost(i, run.lcp(i), B::SIZE);
    }
    best
}

/// Where to cut a run of separators that has become too long: at the shortest of the last ones.
fn cut_inner(run: &DecodedKeys<Child>, (from, to): (usize, usize), mut size: usize) -> usize {
    let mut best = to - 1;
    for i in (from..to).rev() {
        size -= run.entry_cost(i, run.lcp(i), SLOT);
        if size < CUT_FROM && i < to - 1 {
            break;
        }
        if run.key_len(i) < run.key_len(best) {
            best = i;
        }
    }
    best
}

impl<B: Bits> Builder<B> {
    pub(crate) fn new() -> Self {
        let usage = Usage::default();
        Builder {
            usage,
            run: DecodedKeys::new(),
            size: 0,
            low: None,
            levels: Vec::new(),
            last: Vec::new(),
            len: 0,
        }
    }

    /// Keys so far.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The last key.
    pub(crate) fn last(&self) -> &[u8] {
        &self.last
    }

    /// Takes the next key, which shares `shared` bytes with the last one. `false`: it is not greater (N10), and was not taken.
    #[inline]
    pub(crate) fn push(&mut self, key: &[u8], shared: usize, value: B) -> Result<bool, Failed> {
        if self.len > 0 && !(shared <= self.last.len() && self.last.get(shared) < key.get(shared)) {
            return Ok(false);
        }
        self.last.try_reserve(key.len())?;
        self.run.reserve(1, key.len())?;
        let n = self.run.len();
        self.run.push(if n == 0 { 0 } else { shared }, key, value);
        self.last.truncate(shared);
        self.last.extend_from_slice(&key[shared..]);
        self.len += 1;
        // What the leaf will strip is not known before its end is; the separator before it tells what it cannot be more than.
        let known = self.low.as_ref().map_or(0, |low| low.len() - 1);
        self.size +=
            self.run.entry_cost(n, if n == 0 { known.min(key.len()) } else { shared }, B::SIZE);
        if n > 0 && (self.size > FULL || n == LEAF_COUNT) {
            let at = cut_leaf(&self.run, self.low.as_deref());
            let high = try_copy(self.run.separator(at))?;
            self.emit(at, Some(high))?;
        }
        Ok(true)
    }

    /// Makes a leaf of the run's keys before `to`.
    fn emit(&mut self, to: usize, high: Option<Vec<u8>>) -> Result<(), Failed> {
        if self.levels.is_empty() {
            self.add_level()?;
        }
        let mut made = NewNodes::new(&mut self.usage, 1)?;
        let leaf = self.run.leaf(&mut made, 0, to, strip(self.low.as_deref(), high.as_deref()))?;
        made.publish();
        drop(made);
        self.run.forget(to);
        let low = std::mem::replace(&mut self.low, high);
        let known = self.low.as_ref().map_or(0, |low| low.len() - 1);
        self.size = match self.run.len() {
            0 => 0,
            n => self.run.cost(0, n, known.min(self.run.key_len(0)), B::SIZE),
        };
        self.add(0, low, Child::Leaf(leaf))
    }

    fn add_level(&mut self) -> Result<(), Failed> {
        self.levels.try_reserve(1)?;
        self.levels.push(Level {
            first: Child::Empty,
            run: DecodedKeys::new(),
            size: 0,
            low: None,
        });
        Ok(())
    }

    /// Adds a child to a level, the separator before it, and a node to the level above where this one is full.
    fn add(
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
            if let Err(error) = level.run.insert(level.run.len(), &key, child) {
                // SAFETY: (N2) the child is nowhere else.
                unsafe { free_all::<B>(&mut self.usage, child) };
                return Err(error.into());
            }
            let n = level.run.len();
            level.size += level.run.entry_cost(n - 1, level.run.lcp(n - 1), SLOT);
            if n < 3 || (level.size <= FULL && n <= INNER_COUNT) {
                return Ok(());
            }
            // One separator at least on either side.
            let at = cut_inner(
                &level.run,
                (1, n - 1),
                level.size - level.run.entry_cost(n - 1, level.run.lcp(n - 1), SLOT),
            );
            let high = try_copy(level.run.key(at))?;
            let strip = strip(level.low.as_deref(), Some(&high));
            let mut made = NewNodes::<B>::new(&mut self.usage, 1)?;
            let node = level.run.inner(&mut made, level.first, 0, at, strip)?;
            made.publish();
            drop(made);
            level.first = level.run.item(at);
            level.run.forget(at + 1);
            level.size = level.run.cost(0, level.run.len(), 0, SLOT);
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

    /// The tree of all keys pushed.
    pub(crate) fn finish(mut self) -> Result<RawTree<B>, Failed> {
        let mut tree = RawTree::new();
        if self.run.len() > 0 {
            self.emit(self.run.len(), None)?;
        }
        let mut i = 0;
        while i + 1 < self.levels.len() {
            let level = &mut self.levels[i];
            let mut made = NewNodes::<B>::new(&mut self.usage, 1)?;
            let node = level.run.inner(&mut made, level.first, 0, level.run.len(), 0)?;
            made.publish();
            drop(made);
            level.first = Child::Empty;
            level.run = DecodedKeys::new();
            let low = level.low.take();
            i += 1;
            self.add(i, low, Child::Inner(node))?;
        }
        if let Some(level) = self.levels.last_mut() {
            let mut root = level.first;
            if level.run.len() > 0 {
                let mut made = NewNodes::<B>::new(&mut self.usage, 1)?;
                root =
                    Child::Inner(level.run.inner(&mut made, level.first, 0, level.run.len(), 0)?);
                made.publish();
            }
            self.levels.clear();
            tree.root.store(root);
        }
        tree.len = self.len;
        tree.usage = std::mem::take(&mut self.usage);
        Ok(tree)
    }
}

impl<B: Bits> Drop for Builder<B> {
    fn drop(&mut self) {
        for level in &self.levels {
            for child in (0..level.run.len()).map(|i| level.run.item(i)).chain([level.first]) {
                // SAFETY: (N2) an unfinished tree is reached from here alone.
                unsafe { free_all::<B>(&mut self.usage, child) };
            }
        }
    }
}
