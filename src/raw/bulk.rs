//! Bulk load: the tree of a sorted sequence, bottom-up, with full leaves and no searching.
//!
//! The keys' branching points nest like a stack while one reads along: a key that shares `l` bytes with the one before closes every
//! branching deeper than `l`. A branching that fits in a leaf when it closes stays what it is, a stretch of keys inside the one above it;
//! one that does not becomes an inner node, its stretches packed into leaves greedily.
//!
//! ```text
//!   run:     │ stretches of frame 0 … │ stretches of frame 1 … │ the last key │
//!   frames:    depth 3, start 0         depth 17, start 9
//! ```
//!
//! Memory besides the tree: one leaf's keys for each frame that is open.

use super::clear::free_all;
use super::inner::{self, Children};
use super::node::{Child, Usage};
use super::run::{Failed, Made, Run, Split};
use super::{LEAF_COUNT, RawTree};
use crate::value::Bits;

/// Bytes that a leaf may take in bulk. Nothing is inserted near it soon, so it can be longer than one that is about to grow.
const BULK_SIZE: usize = 2048;

/// Bytes of path that a stretch of keys may carry upwards; an inner node's prefix holds longer ones once.
const CARRIED: usize = 192;

/// A branching of the keys read so far, still open.
struct Frame {
    /// Bytes shared by all keys below it.
    depth: usize,
    /// Where its keys begin in the run.
    start: usize,
    /// Bytes of these keys in one leaf.
    size: usize,
    /// The parts that are done.
    end: Child,
    children: Vec<(u8, Child)>,
}

/// What has just been closed and is not yet part of a frame.
enum Item {
    /// The keys of the run from here on.
    Keys(usize),
    /// An inner node, and the byte that leads to it.
    Node(u8, Child),
}

/// Builds a tree from ascending keys.
pub(crate) struct Builder<B: Bits> {
    usage: Usage,
    run: Run<B>,
    frames: Vec<Frame>,
    item: Item,
    last: Vec<u8>,
    len: usize,
}

impl<B: Bits> Builder<B> {
    pub(crate) fn new() -> Self {
        let usage = Usage::default();
        Builder { usage, run: Run::new(), frames: Vec::new(), item: Item::Keys(0), last: Vec::new(), len: 0 }
    }

    /// Keys so far.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The last key.
    pub(crate) fn last(&self) -> &[u8] {
        &self.last
    }

    /// Takes the next key, which shares `shared` bytes with the last one and is greater.
    pub(crate) fn push(&mut self, key: &[u8], shared: usize, value: B) -> Result<(), Failed> {
        if self.len > 0 {
            self.close(Some(shared))?;
            if self.frames.last().is_none_or(|frame| frame.depth < shared) {
                let start = if let Item::Keys(start) = self.item { start } else { self.run.len() };
                self.frames.try_reserve(1)?;
                self.frames.push(Frame { depth: shared, start, size: 0, end: Child::Empty, children: Vec::new() });
            }
            self.add()?;
        }
        self.last.try_reserve(key.len())?;
        self.run.reserve(1, key.len())?;
        self.run.push(shared, key, value);
        self.last.truncate(shared);
        self.last.extend_from_slice(&key[shared..]);
        self.len += 1;
        Ok(())
    }

    /// The tree of all keys pushed.
    pub(crate) fn finish(mut self) -> Result<RawTree<B>, Failed> {
        let mut tree = RawTree::new();
        if self.len > 0 {
            self.close(None)?;
            if let Item::Keys(start) = self.item {
                let mut made = Made::new(&mut self.usage, 1)?;
                let leaf = self.run.leaf(&mut made, start, self.run.len(), 0)?;
                made.keep();
                self.item = Item::Node(0, Child::Leaf(leaf));
            }
            if let Item::Node(_, root) = std::mem::replace(&mut self.item, Item::Keys(0)) {
                tree.root.store(root);
            }
        }
        tree.len = self.len;
        tree.usage = std::mem::take(&mut self.usage);
        Ok(tree)
    }

    /// Closes every frame deeper than `shared`, all where there is none; what lies between is the item then.
    fn close(&mut self, shared: Option<usize>) -> Result<(), Failed> {
        self.item = Item::Keys(self.run.len() - 1);
        while self.frames.last().is_some_and(|frame| shared.is_none_or(|shared| frame.depth > shared)) {
            self.add()?;
            let below = self.frames.len().checked_sub(2).map(|i| self.frames[i].depth);
            self.close_frame(below.max(shared))?;
        }
        Ok(())
    }

    /// Closes the last frame; `above` is the depth of the one that will be above it.
    fn close_frame(&mut self, above: Option<usize>) -> Result<(), Failed> {
        let top = self.frames.len() - 1;
        let frame = &self.frames[top];
        let carried = frame.depth - above.unwrap_or(0);
        let done = !frame.end.is_empty() || !frame.children.is_empty();
        if !done && carried <= CARRIED && frame.size + carried <= BULK_SIZE {
            self.item = Item::Keys(frame.start);
            self.frames.pop();
            return Ok(());
        }
        if !done && self.run.key_len(frame.start) > frame.depth {
            // All of it may fit in one leaf, but one child would be none too few.
            if let Some(at) = self.run.boundary(frame.start, self.run.len(), frame.depth, Split::Middle) {
                self.seal(at)?;
            }
        }
        self.seal(self.run.len())?;
        let frame = &self.frames[top];
        let mut children = Children::new();
        for &(byte, child) in &frame.children {
            children.push(byte, child);
        }
        children.settle();
        let prefix = &self.last[above.map_or(0, |above| above + 1)..frame.depth];
        let mut made = Made::<B>::new(&mut self.usage, 1)?;
        let node = inner::build(&mut made, prefix, frame.end, &children)?;
        made.keep();
        self.item = Item::Node(above.map_or(0, |above| self.last[above]), Child::Inner(node));
        self.frames.pop();
        Ok(())
    }

    /// Makes the item part of the last frame.
    fn add(&mut self) -> Result<(), Failed> {
        let top = self.frames.len() - 1;
        match self.item {
            Item::Keys(from) => {
                let n = self.run.len() - from;
                let frame = &self.frames[top];
                let size = self.run.cost(from, self.run.len(), frame.depth);
                if from > frame.start && (frame.size + size > BULK_SIZE || self.run.len() - frame.start > LEAF_COUNT) {
                    self.seal(from)?;
                }
                let frame = &mut self.frames[top];
                debug_assert_eq!(self.run.len(), frame.start.max(self.run.len() - n) + n);
                frame.size += size;
            }
            Item::Node(byte, child) => {
                self.seal(self.run.len())?;
                let frame = &mut self.frames[top];
                frame.children.try_reserve(1)?;
                frame.children.push((byte, child));
                self.item = Item::Keys(self.run.len());
            }
        }
        Ok(())
    }

    /// Makes the keys of the last frame before `to` a leaf, that of a key ending at its depth one of its own.
    fn seal(&mut self, to: usize) -> Result<(), Failed> {
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        let (start, mut from) = (frame.start, frame.start);
        frame.children.try_reserve(1)?;
        let mut made = Made::new(&mut self.usage, 1)?;
        if from < to && self.run.key_len(from) == frame.depth {
            frame.end = Child::Leaf(self.run.leaf(&mut made, from, from + 1, frame.depth)?);
            made.keep();
            from += 1;
        }
        if from < to {
            let byte = self.run.key(from)[frame.depth];
            let leaf = self.run.leaf(&mut made, from, to, frame.depth)?;
            made.keep();
            frame.children.push((byte, Child::Leaf(leaf)));
        }
        frame.size = 0;
        self.run.drain(start, to);
        Ok(())
    }
}

impl<B: Bits> Drop for Builder<B> {
    fn drop(&mut self) {
        let item = if let Item::Node(_, child) = self.item { child } else { Child::Empty };
        let frames = self.frames.drain(..);
        let done = frames.flat_map(|f| f.children.into_iter().map(|(_, child)| child).chain([f.end])).chain([item]);
        for child in done {
            // SAFETY: (N2) an unfinished tree is reached from here alone.
            unsafe { free_all::<B>(&mut self.usage, child) };
        }
    }
}
