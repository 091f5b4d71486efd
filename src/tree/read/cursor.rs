//! A position between two entries, and its steps in both directions.
//!
//! ```text
//!   levels: inner node, child taken ─▶ … ─▶ leaf, index          key: the bytes stripped above the leaf, then the last entry read
//! ```
//!
//! Forwards an entry is decoded from the one before it, which the key buffer holds. Backwards a leaf's keys are written out
//! once, when the first of them is asked for. Between leaves the separator of the two gives the bytes that the next one strips.

use crate::tree::RawTree;
use crate::tree::node::coding::{LINES, NodeRef};
use crate::tree::node::layout::{Child, Node, Slot};
use crate::tree::node::simd;
use crate::tree::read::get::EntryPos;
use crate::value::Bits;

/// An inner node on the way to the leaf.
#[derive(Clone, Copy)]
struct Level {
    node: Node,
    /// The child taken.
    at: usize,
}

/// The state of a cursor; whoever holds it keeps the tree borrowed, and unchanged but for values, or keeps the thread pinned.
#[derive(Clone, Default)]
pub(crate) struct CursorState {
    levels: Vec<Level>,
    /// `None`: behind all entries.
    pub(crate) leaf: Option<Node>,
    /// The entry behind the position.
    pub(crate) index: usize,
    /// Where its rest begins.
    offset: usize,
    /// Bytes that the leaf strips.
    strip: usize,
    pub(crate) key: KeyBuf,
    suffixes: Suffixes,
}

/// A key that is overwritten from some byte on, again and again.
#[derive(Clone, Default)]
pub(crate) struct KeyBuf {
    /// The key, and room behind it, so that a short suffix is copied as one or two blocks of fixed size.
    bytes: Vec<u8>,
    len: usize,
}

/// Bytes copied at once.
const BLOCK: usize = 16;

impl KeyBuf {
    #[inline(always)]
    pub(crate) fn get(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn set(&mut self, key: &[u8]) {
        self.len = 0;
        self.put(0, key, 0, key.len());
    }

    /// Makes the key its first `keep` bytes and `n` more, those at `from[at..]`.
    #[inline(always)]
    fn put(&mut self, keep: usize, from: &[u8], at: usize, n: usize) {
        self.set_len(keep + n);
        self.write(keep, from, at, n);
    }

    /// Makes the key its first `keep` bytes and those of entry `i` of `leaf`, whose rest begins at `offset`. Gives the length of the rest.
    #[inline(always)]
    fn put_entry(&mut self, keep: usize, leaf: &NodeRef<'_>, i: usize, offset: usize) -> usize {
        let (from, len) = leaf.rest_of(i, offset);
        let (keep, some) = (keep + leaf.lcp(i), usize::from(i > 0 || !leaf.info.empty_first()));
        self.set_len(keep + some + len);
        // Where there is no first byte, it is overwritten.
        self.bytes[keep] = leaf.first(i);
        self.write(keep + some, leaf.payload(), from, len);
        len
    }

    #[inline(always)]
    fn set_len(&mut self, len: usize) {
        self.len = len;
        if self.bytes.len() < len + 2 * BLOCK {
            self.grow();
        }
    }

    #[inline(always)]
    fn write(&mut self, to: usize, from: &[u8], at: usize, n: usize) {
        let to = &mut self.bytes[to..];
        if n <= 2 * BLOCK && at + 2 * BLOCK <= from.len() {
            to[..BLOCK].copy_from_slice(&from[at..at + BLOCK]);
            if n > BLOCK {
                to[BLOCK..2 * BLOCK].copy_from_slice(&from[at + BLOCK..at + 2 * BLOCK]);
            }
        } else {
            to[..n].copy_from_slice(&from[at..at + n]);
        }
    }

    #[cold]
    fn grow(&mut self) {
        self.bytes.resize((self.len + 2 * BLOCK).next_power_of_two(), 0);
    }

    /// Writes a separator behind the first `strip` bytes.
    fn decode(&mut self, keys: &NodeRef<'_>, i: usize) {
        self.bytes.truncate(self.len);
        if keys.decode(i, &mut self.bytes).is_err() {
            std::alloc::handle_alloc_error(std::alloc::Layout::new::<u64>());
        }
        self.len = self.bytes.len();
    }
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
    fn fill(&mut self, leaf: &NodeRef<'_>) {
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

impl CursorState {
    /// # Safety
    /// For this and the methods below: the tree under `root` is live and but for values unchanged since the position was taken (N1, N9), or the
    /// thread has been pinned since (R1).
    pub(crate) unsafe fn seek(&mut self, root: &Slot, target: &[u8], behind: bool) {
        self.levels.clear();
        // A leaf's address may be another's by now.
        self.suffixes.leaf = None;
        self.key.set(target);
        let mut child = root.load();
        // SAFETY: (N1, N5) by the caller, here and in every method below.
        unsafe {
            while let Child::Inner(node) = child {
                let keys = NodeRef::new(node);
                let at = keys.child(&target[keys.strip()..]);
                self.levels.push(Level { node, at });
                child = keys.slot(at).load();
            }
            let Child::Leaf(node) = child else { return self.set_end() };
            let leaf = NodeRef::new(node);
            self.strip = leaf.strip();
            self.index = match leaf.search(&target[self.strip..]) {
                Ok(i) => i + usize::from(behind),
                Err(gap) => gap.at,
            };
            self.leaf = Some(node);
            self.offset = leaf.offset(self.index);
        }
    }

    pub(crate) fn set_end(&mut self) {
        self.levels.clear();
        self.leaf = None;
        self.index = 0;
    }

    /// Goes down to the first or the last leaf below `child`; the key buffer holds one of its fences.
    unsafe fn descend(&mut self, mut child: Child, last: bool) {
        // SAFETY: (N1, N5) see `seek`.
        unsafe {
            while let Child::Inner(node) = child {
                let keys = NodeRef::new(node);
                let at = if last { keys.count() } else { 0 };
                self.levels.push(Level { node, at });
                child = keys.slot(at).load();
            }
            let Child::Leaf(node) = child else { return self.set_end() };
            NodeRef::prefetch(node, LINES);
            let leaf = NodeRef::new(node);
            self.strip = leaf.strip();
            self.leaf = Some(node);
            (self.index, self.offset) =
                if last { (leaf.count(), leaf.offset(leaf.count())) } else { (0, 0) };
        }
    }

    /// Takes the child at `at` in the last level, which lies behind separator `separator`, or before it.
    unsafe fn turn(&mut self, at: usize, separator: usize, last: bool) {
        let Some(level) = self.levels.last_mut() else { return };
        level.at = at;
        // SAFETY: (N1, N5) see `seek`.
        unsafe {
            let keys = NodeRef::new(level.node);
            // The buffer holds a key below this node, so it begins with what the node strips.
            self.key.decode(&keys, separator);
            self.descend(keys.slot(at).load(), last);
        }
    }

    /// Goes before the first entry of the next leaf, or to the end.
    unsafe fn next_leaf(&mut self) {
        // SAFETY: (N1, N5) see `seek`.
        unsafe {
            while let Some(level) = self.levels.last() {
                let at = level.at;
                if at < NodeRef::new(level.node).count() {
                    return self.turn(at + 1, at, false);
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
                // Nothing on the right border is stripped.
                self.levels.clear();
                self.descend(root.load(), true);
                return self.leaf.is_some();
            }
            let Some(level) = self.levels.iter().rposition(|level| level.at > 0) else {
                return false;
            };
            self.levels.truncate(level + 1);
            let at = self.levels[level].at - 1;
            self.turn(at, at, true);
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
    pub(crate) unsafe fn next(&mut self) -> Option<EntryPos> {
        // SAFETY: (N1, N5) see `seek`.
        unsafe {
            let (node, index) = self.peek()?;
            let leaf = NodeRef::new(node);
            self.offset += self.key.put_entry(self.strip, &leaf, index, self.offset);
            self.index += 1;
            Some(EntryPos { node, info: leaf.info, index })
        }
    }

    /// Steps back over the entry before the position: its key is in the buffer then.
    pub(crate) unsafe fn previous(&mut self, root: &Slot) -> Option<EntryPos> {
        // SAFETY: (N1, N5) see `seek`.
        unsafe {
            while self.leaf.is_none() || self.index == 0 {
                if !self.previous_leaf(root) {
                    return None;
                }
            }
            let node = self.leaf?;
            let leaf = NodeRef::new(node);
            if self.suffixes.leaf != Some(node) {
                self.suffixes.fill(&leaf);
            }
            self.index -= 1;
            self.offset = self.suffixes.entries[self.index].1;
            let suffix = self.suffixes.get(self.index);
            self.key.put(self.strip, suffix, 0, suffix.len());
            Some(EntryPos { node, info: leaf.info, index: self.index })
        }
    }
}

/// A cursor over a borrowed tree.
pub(crate) struct RawCursor<'t, B: Bits> {
    tree: &'t RawTree<B>,
    state: CursorState,
}

impl<B: Bits> Clone for RawCursor<'_, B> {
    fn clone(&self) -> Self {
        RawCursor { tree: self.tree, state: self.state.clone() }
    }
}

impl<'t, B: Bits> RawCursor<'t, B> {
    /// A cursor behind all entries.
    pub(crate) fn new(tree: &'t RawTree<B>) -> Self {
        RawCursor { tree, state: CursorState::default() }
    }

    /// Goes before the first entry whose key is at least `target`, or with `behind` greater than it.
    #[inline]
    pub(crate) fn seek(&mut self, target: &[u8], behind: bool) {
        // SAFETY: (N1, N9) the tree is borrowed as long as the cursor lives.
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
        // SAFETY: (N1, N9) as in `seek`.
        unsafe { self.state.peek() }.map(|(node, index)| (node.address(), index))
    }

    #[inline]
    pub(crate) fn next(&mut self) -> Option<(&[u8], B)> {
        // SAFETY: (N1, N9) as in `seek`.
        let pos = unsafe { self.state.next() }?;
        Some((self.state.key.get(), self.tree.value(pos)))
    }

    /// Hands out the values of the entries behind the position as far as its leaf goes, and says how many those are.
    pub(crate) fn upcoming(&mut self, mut each: impl FnMut(B)) -> usize {
        // SAFETY: (N1, N9) as in `seek`.
        let Some((node, first)) = (unsafe { self.state.peek() }) else { return 0 };
        // SAFETY: (N1, N9) as in `seek`.
        let info = unsafe { node.info() };
        (first..info.count())
            .for_each(|index| each(self.tree.value(EntryPos { node, info, index })));
        info.count() - first
    }

    pub(crate) fn previous(&mut self) -> Option<(&[u8], B)> {
        // SAFETY: (N1, N9) as in `seek`.
        let pos = unsafe { self.state.previous(&self.tree.root) }?;
        Some((self.state.key.get(), self.tree.value(pos)))
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
                // SAFETY: (N1, N9) as in `seek`.
                _ => unsafe { node.info() }.count(),
            };
            count += to - self.state.index;
            self.state.index = to;
        }
    }
}

impl<B: Bits> RawTree<B> {
    /// The length of the longest stored key that `key` begins with, and its value.
    ///
    /// What is sought is at most the greatest key that is not above `key`, and shares no more with `key` than that one does: shorten and repeat.
    pub(crate) fn longest_prefix(&self, mut key: &[u8]) -> Option<(usize, B)> {
        let mut cursor = RawCursor::new(self);
        loop {
            cursor.seek(key, true);
            let (found, value) = cursor.previous()?;
            let shared = simd::common_prefix(found, key);
            if shared == found.len() {
                return Some((shared, value));
            }
            key = &key[..shared];
        }
    }
}

/// A cursor that owns its tree.
pub(crate) struct OwnedCursors<B: Bits> {
    tree: RawTree<B>,
    front: CursorState,
    back: CursorState,
    left: usize,
}

impl<B: Bits> OwnedCursors<B> {
    pub(crate) fn new(tree: RawTree<B>) -> Self {
        let mut front = CursorState::default();
        // SAFETY: (N1, N9) the tree is live and owned here.
        unsafe { front.seek(&tree.root, &[], false) };
        OwnedCursors { left: tree.len, tree, front, back: CursorState::default() }
    }

    pub(crate) fn left(&self) -> usize {
        self.left
    }

    pub(crate) fn next(&mut self) -> Option<(&[u8], B)> {
        self.left = self.left.checked_sub(1)?;
        // SAFETY: (N1, N9) the tree is owned by this cursor, which does not change it.
        let pos = unsafe { self.front.next() }?;
        Some((self.front.key.get(), self.tree.value(pos)))
    }

    pub(crate) fn previous(&mut self) -> Option<(&[u8], B)> {
        self.left = self.left.checked_sub(1)?;
        // SAFETY: (N1, N9) as above.
        let pos = unsafe { self.back.previous(&self.tree.root) }?;
        Some((self.back.key.get(), self.tree.value(pos)))
    }
}

/// A walk over the entries of a tree borrowed for writing, which may overwrite values.
pub(crate) struct WriteCursor<'t, B: Bits> {
    tree: &'t mut RawTree<B>,
    state: CursorState,
    pos: Option<EntryPos>,
}

impl<'t, B: Bits> WriteCursor<'t, B> {
    /// Begins before the first key that is at least `target`.
    pub(crate) fn new(tree: &'t mut RawTree<B>, target: &[u8]) -> Self {
        let mut state = CursorState::default();
        // SAFETY: (N1, N9) the tree is borrowed as long as the cursor lives.
        unsafe { state.seek(&tree.root, target, false) };
        WriteCursor { tree, state, pos: None }
    }

    pub(crate) fn next(&mut self) -> Option<(&[u8], B)> {
        // SAFETY: (N1, N9) as in `new`.
        let pos = unsafe { self.state.next() }?;
        self.pos = Some(pos);
        Some((self.state.key.get(), self.tree.value(pos)))
    }

    /// Overwrites the value of the entry read last.
    pub(crate) fn set(&mut self, value: B) {
        if let Some(pos) = self.pos {
            self.tree.set_value(pos, value);
        }
    }
}
