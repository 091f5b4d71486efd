//! A position between two entries, and its steps in both directions.
//!
//! ```text
//!   levels: inner node, slot taken ─▶ … ─▶ leaf, index          key: the path above the leaf, then the last entry read
//! ```
//!
//! Forwards an entry is decoded from the one before it, which the key buffer holds. Backwards a leaf's suffixes are written out
//! once, when the first of them is asked for.

use super::RawTree;
use super::get::Place;
use super::inner::{Found, Inner};
use super::leaf::Leaf;
use super::node::{Child, Node, Slot};
use super::simd;
use crate::value::Bits;

/// An inner node on the way to the leaf.
#[derive(Clone, Copy)]
struct Level {
    node: Node,
    /// The slot taken: 0 is the end child.
    slot: usize,
    /// Bytes of the path behind the node's prefix.
    depth: usize,
}

/// The state of a cursor; whoever holds it keeps the tree borrowed, and unchanged but for values.
#[derive(Clone, Default)]
struct State {
    levels: Vec<Level>,
    /// `None`: behind all entries.
    leaf: Option<Node>,
    /// The entry behind the position.
    index: usize,
    /// Where its rest begins.
    offset: usize,
    /// Bytes of the path above the leaf.
    depth: usize,
    key: Vec<u8>,
    suffixes: Suffixes,
}

/// The suffixes of one leaf, written out.
#[derive(Clone, Default)]
struct Suffixes {
    leaf: Option<Node>,
    bytes: Vec<u8>,
    /// Of each entry: where its suffix ends in `bytes`, where its rest begins in the leaf.
    entries: Vec<(usize, usize)>,
}

impl Suffixes {
    fn fill(&mut self, leaf: &Leaf<'_>) {
        self.leaf = Some(leaf.node);
        self.bytes.clear();
        self.entries.clear();
        let (mut start, mut offset) = (0, 0);
        for i in 0..leaf.count() {
            let entry = leaf.entry(i, offset);
            let at = self.bytes.len();
            self.bytes.extend_from_within(start..start + entry.lcp);
            self.bytes.extend(entry.first);
            self.bytes.extend_from_slice(entry.rest);
            self.entries.push((self.bytes.len(), offset));
            offset += entry.rest.len();
            start = at;
        }
    }

    fn get(&self, i: usize) -> &[u8] {
        let start = if i == 0 { 0 } else { self.entries[i - 1].0 };
        &self.bytes[start..self.entries[i].0]
    }
}

impl State {
    /// # Safety
    /// For this and the methods below: the tree under `root` is live and unchanged since the position was taken (N1).
    unsafe fn seek(&mut self, root: &Slot, target: &[u8], behind: bool) {
        self.levels.clear();
        self.key.clear();
        self.depth = 0;
        let mut child = root.load();
        // SAFETY: (N1, N5) by the caller, here and in every method below.
        unsafe {
            loop {
                match child {
                    Child::Empty => return self.set_end(),
                    Child::Leaf(node) => {
                        let leaf = Leaf::new(node);
                        let index = match leaf.search(&target[self.depth..]) {
                            Ok(i) => i + usize::from(behind),
                            Err(gap) => gap.at,
                        };
                        self.key.extend_from_slice(&target[self.depth..]);
                        self.leaf = Some(node);
                        self.index = index;
                        self.offset = leaf.offset(index);
                        return;
                    }
                    Child::Inner(node) => {
                        let inner = Inner::new(node);
                        let (prefix, rest) = (inner.prefix(), &target[self.depth..]);
                        let shared = simd::common_prefix(prefix, rest);
                        if shared < prefix.len() {
                            if rest.len() == shared || rest[shared] < prefix[shared] {
                                self.first_of(child);
                            } else {
                                self.next_leaf();
                            }
                            return;
                        }
                        self.key.extend_from_slice(prefix);
                        self.depth += shared;
                        let mut level = Level { node, slot: 0, depth: self.depth };
                        let Some(&byte) = target.get(self.depth) else {
                            let end = inner.end_slot().load();
                            if !end.is_empty() && !behind {
                                self.levels.push(level);
                                return self.first_of(end);
                            }
                            self.levels.push(level);
                            return self.next_leaf();
                        };
                        match inner.find(byte) {
                            Found::Child(position, next) => {
                                level.slot = position + 1;
                                self.levels.push(level);
                                if !next.is_leaf() {
                                    self.key.push(byte);
                                    self.depth += 1;
                                }
                                child = next;
                            }
                            Found::Gap(position) => {
                                level.slot = position;
                                self.levels.push(level);
                                return self.next_leaf();
                            }
                        }
                    }
                }
            }
        }
    }

    fn set_end(&mut self) {
        self.levels.clear();
        self.leaf = None;
        self.index = 0;
    }

    unsafe fn set_leaf(&mut self, node: Node, last: bool) {
        // SAFETY: (N1, N5) see `seek`.
        let leaf = unsafe { Leaf::new(node) };
        self.leaf = Some(node);
        (self.index, self.offset) = if last { (leaf.count(), leaf.offset(leaf.count())) } else { (0, 0) };
    }

    /// Goes before the first entry below `child`, whose path is the key buffer.
    unsafe fn first_of(&mut self, mut child: Child) {
        // SAFETY: (N1, N5) see `seek`.
        unsafe {
            self.depth = self.key.len();
            loop {
                match child {
                    Child::Empty => return self.set_end(),
                    Child::Leaf(node) => {
                        Leaf::prefetch(node);
                        return self.set_leaf(node, false);
                    }
                    Child::Inner(node) => {
                        let inner = Inner::new(node);
                        self.key.extend_from_slice(inner.prefix());
                        let end = inner.end_slot().load();
                        let slot = usize::from(end.is_empty());
                        self.levels.push(Level { node, slot, depth: self.key.len() });
                        child = if end.is_empty() { self.enter(&inner, 1) } else { end };
                        self.depth = self.key.len();
                    }
                }
            }
        }
    }

    /// Goes behind the last entry below `child`, whose path is the key buffer.
    unsafe fn last_of(&mut self, mut child: Child) {
        // SAFETY: (N1, N5) see `seek`.
        unsafe {
            self.depth = self.key.len();
            loop {
                match child {
                    Child::Empty => return self.set_end(),
                    Child::Leaf(node) => return self.set_leaf(node, true),
                    Child::Inner(node) => {
                        let inner = Inner::new(node);
                        self.key.extend_from_slice(inner.prefix());
                        let slot = inner.count();
                        self.levels.push(Level { node, slot, depth: self.key.len() });
                        child = self.enter(&inner, slot);
                        self.depth = self.key.len();
                    }
                }
            }
        }
    }

    /// The child in a slot; its byte goes on the path where it consumes one.
    fn enter(&mut self, inner: &Inner<'_>, slot: usize) -> Child {
        if slot == 0 {
            return inner.end_slot().load();
        }
        let child = inner.slot(slot - 1).load();
        if !child.is_leaf() {
            self.key.push(inner.separator(slot - 1));
        }
        child
    }

    /// Goes before the first entry of the next leaf, or to the end.
    unsafe fn next_leaf(&mut self) {
        // SAFETY: (N1, N5) see `seek`.
        unsafe {
            while let Some(level) = self.levels.last_mut() {
                let inner = Inner::new(level.node);
                if level.slot < inner.count() {
                    level.slot += 1;
                    let (slot, depth) = (level.slot, level.depth);
                    self.key.truncate(depth);
                    let child = self.enter(&inner, slot);
                    return self.first_of(child);
                }
                self.levels.pop();
            }
            self.set_end();
        }
    }

    /// Goes behind the last entry of the leaf before. Stays where there is none.
    unsafe fn previous_leaf(&mut self, root: &Slot) -> bool {
        // SAFETY: (N1, N5) see `seek`.
        unsafe {
            if self.leaf.is_none() {
                self.levels.clear();
                self.key.clear();
                self.last_of(root.load());
                return self.leaf.is_some();
            }
            let before = |level: &Level| {
                level.slot > 1 || (level.slot == 1 && !Inner::new(level.node).end_slot().load().is_empty())
            };
            let Some(at) = self.levels.iter().rposition(before) else { return false };
            self.levels.truncate(at + 1);
            let level = &mut self.levels[at];
            level.slot -= 1;
            let (node, slot, depth) = (level.node, level.slot, level.depth);
            self.key.truncate(depth);
            let child = self.enter(&Inner::new(node), slot);
            self.last_of(child);
            true
        }
    }

    /// The entry behind the position, as a leaf and an index.
    unsafe fn peek(&mut self) -> Option<(Node, usize)> {
        // SAFETY: (N1, N5) see `seek`.
        unsafe {
            loop {
                let node = self.leaf?;
                if self.index < node.info().count() {
                    return Some((node, self.index));
                }
                self.next_leaf();
            }
        }
    }

    /// Steps over the entry behind the position: its key is in the buffer then.
    #[inline]
    unsafe fn next(&mut self) -> Option<Place> {
        // SAFETY: (N1, N5) see `seek`.
        unsafe {
            let (node, index) = self.peek()?;
            let leaf = Leaf::new(node);
            let entry = leaf.entry(index, self.offset);
            self.key.truncate(self.depth + entry.lcp);
            self.key.extend(entry.first);
            self.key.extend_from_slice(entry.rest);
            self.offset += entry.rest.len();
            self.index += 1;
            Some(Place { node, info: leaf.info, index })
        }
    }

    /// Steps back over the entry before the position: its key is in the buffer then.
    unsafe fn previous(&mut self, root: &Slot) -> Option<Place> {
        // SAFETY: (N1, N5) see `seek`.
        unsafe {
            while self.leaf.is_none() || self.index == 0 {
                if !self.previous_leaf(root) {
                    return None;
                }
            }
            let node = self.leaf?;
            let leaf = Leaf::new(node);
            if self.suffixes.leaf != Some(node) {
                self.suffixes.fill(&leaf);
            }
            self.index -= 1;
            self.offset = self.suffixes.entries[self.index].1;
            self.key.truncate(self.depth);
            self.key.extend_from_slice(self.suffixes.get(self.index));
            Some(Place { node, info: leaf.info, index: self.index })
        }
    }
}

/// A cursor over a borrowed tree.
pub(crate) struct RawCursor<'t, B: Bits> {
    tree: &'t RawTree<B>,
    state: State,
}

impl<B: Bits> Clone for RawCursor<'_, B> {
    fn clone(&self) -> Self {
        RawCursor { tree: self.tree, state: self.state.clone() }
    }
}

impl<'t, B: Bits> RawCursor<'t, B> {
    /// A cursor behind all entries.
    pub(crate) fn new(tree: &'t RawTree<B>) -> Self {
        RawCursor { tree, state: State::default() }
    }

    pub(crate) fn tree(&self) -> &'t RawTree<B> {
        self.tree
    }

    /// Goes before the first entry whose key is at least `target`, or with `behind` greater than it.
    #[inline]
    pub(crate) fn seek(&mut self, target: &[u8], behind: bool) {
        // SAFETY: (N1) the tree is borrowed as long as the cursor lives.
        unsafe { self.state.seek(&self.tree.root, target, behind) }
    }

    pub(crate) fn seek_first(&mut self) {
        self.seek(&[], false);
    }

    pub(crate) fn seek_end(&mut self) {
        self.state.set_end();
    }

    /// What tells the entry behind the position from every other; `None` at the end.
    pub(crate) fn peek(&mut self) -> Option<(*const u8, usize)> {
        // SAFETY: (N1) as in `seek`.
        unsafe { self.state.peek() }.map(|(node, index)| (node.address(), index))
    }

    #[inline]
    pub(crate) fn next(&mut self) -> Option<(&[u8], B)> {
        // SAFETY: (N1) as in `seek`.
        let place = unsafe { self.state.next() }?;
        Some((&self.state.key, self.tree.value(place)))
    }

    pub(crate) fn previous(&mut self) -> Option<(&[u8], B)> {
        // SAFETY: (N1) as in `seek`.
        let place = unsafe { self.state.previous(&self.tree.root) }?;
        Some((&self.state.key, self.tree.value(place)))
    }

    /// Entries between this position and `end`, which is at or behind it; this position moves there. O(leaves).
    pub(crate) fn count_to(&mut self, end: &mut Self) -> usize {
        let (mut count, end) = (0, end.peek());
        loop {
            let here = self.peek();
            if here == end {
                return count;
            }
            let Some(node) = self.state.leaf else { return count };
            let to = match end {
                Some((leaf, index)) if leaf == node.address() => index,
                // SAFETY: (N1) as in `seek`.
                _ => unsafe { node.info() }.count(),
            };
            count += to - self.state.index;
            self.state.index = to;
        }
    }
}

/// A cursor that owns its tree.
pub(crate) struct OwnedCursors<B: Bits> {
    tree: RawTree<B>,
    front: State,
    back: State,
    left: usize,
}

impl<B: Bits> OwnedCursors<B> {
    pub(crate) fn new(tree: RawTree<B>) -> Self {
        let mut front = State::default();
        // SAFETY: (N1) the tree is live and owned here.
        unsafe { front.seek(&tree.root, &[], false) };
        OwnedCursors { left: tree.len, tree, front, back: State::default() }
    }

    pub(crate) fn left(&self) -> usize {
        self.left
    }

    pub(crate) fn next(&mut self) -> Option<(&[u8], B)> {
        self.left = self.left.checked_sub(1)?;
        // SAFETY: (N1) the tree is owned by this cursor, which does not change it.
        let place = unsafe { self.front.next() }?;
        Some((&self.front.key, self.tree.value(place)))
    }

    pub(crate) fn previous(&mut self) -> Option<(&[u8], B)> {
        self.left = self.left.checked_sub(1)?;
        // SAFETY: (N1) as above.
        let place = unsafe { self.back.previous(&self.tree.root) }?;
        Some((&self.back.key, self.tree.value(place)))
    }
}

/// A walk over the entries of a tree borrowed for writing, which may overwrite values.
pub(crate) struct WriteCursor<'t, B: Bits> {
    tree: &'t mut RawTree<B>,
    state: State,
    place: Option<Place>,
}

impl<'t, B: Bits> WriteCursor<'t, B> {
    /// Begins before the first key that is at least `target`.
    pub(crate) fn new(tree: &'t mut RawTree<B>, target: &[u8]) -> Self {
        let mut state = State::default();
        // SAFETY: (N1) the tree is borrowed as long as the cursor lives.
        unsafe { state.seek(&tree.root, target, false) };
        WriteCursor { tree, state, place: None }
    }

    pub(crate) fn next(&mut self) -> Option<(&[u8], B)> {
        // SAFETY: (N1) as in `new`.
        let place = unsafe { self.state.next() }?;
        self.place = Some(place);
        Some((&self.state.key, self.tree.value(place)))
    }

    /// Overwrites the value of the entry read last.
    pub(crate) fn set(&mut self, value: B) {
        if let Some(place) = self.place {
            self.tree.set_value(place, value);
        }
    }
}
