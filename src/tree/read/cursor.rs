//! Cursors: positions between two entries, with steps in both directions.
//!
//! ```text
//!   levels: inner node, child index ─▶ … ─▶ leaf, entry index
//!   key:    the bytes that the leaf strips, then the suffix of the last entry read
//! ```
//!
//! A step forward decodes an entry from the one before it, whose key is in the buffer. The first
//! step back in a leaf decodes all of the leaf's suffixes once. A step to another leaf decodes the
//! separator between the two, which begins with the bytes that the other leaf strips.

use crate::tree::RawTree;
use crate::tree::node::{Child, Node, NodeRef, PREFETCHED_LINES, Slot};
use crate::tree::read::get::EntryPos;
use crate::value::Bits;
use std::cmp::Ordering;

/// An inner node on the path to the leaf.
#[derive(Clone, Copy)]
struct Level {
    node: Node,
    /// Index of the child on the path.
    child: usize,
}

/// The state of a cursor.
///
/// Its owner keeps the tree borrowed and changes values only, or keeps the thread pinned.
#[derive(Clone, Default)]
pub(crate) struct CursorState {
    levels: Vec<Level>,
    /// `None`: after all entries.
    pub(crate) leaf: Option<Node>,
    /// Index of the entry after the position.
    pub(crate) index: usize,
    /// Where the rest of this entry begins in the leaf.
    offset: usize,
    /// Bytes that the leaf strips.
    strip: usize,
    /// The key of the entry read last.
    pub(crate) key: KeyBuf,
    suffixes: Suffixes,
}

/// The key of a cursor. Each step keeps its first bytes and overwrites the others.
#[derive(Clone, Default)]
pub(crate) struct KeyBuf {
    /// The key, then at least `2 * COPY_BYTES` more bytes, so that a short suffix can be written by
    /// one or two copies of fixed size.
    bytes: Vec<u8>,
    /// Length of the key.
    len: usize,
}

/// Bytes of a copy of fixed size.
const COPY_BYTES: usize = 16;

impl KeyBuf {
    /// Returns the key.
    #[inline(always)]
    pub(crate) fn get(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(crate) fn set(&mut self, key: &[u8]) {
        self.len = 0;
        self.put(0, key, 0, key.len());
    }

    /// Keeps the first `keep` bytes, and appends `from[at..at + n]`.
    #[inline(always)]
    fn put(&mut self, keep: usize, from: &[u8], at: usize, n: usize) {
        self.set_len(keep + n);
        self.write(keep, from, at, n);
    }

    /// Keeps the first `keep` bytes and the entry's lcp, and appends the suffix of entry `i` of
    /// `node`, whose rest begins at `offset`. Returns the length of the rest.
    #[inline(always)]
    fn put_entry(&mut self, keep: usize, node: &NodeRef<'_>, i: usize, offset: usize) -> usize {
        let (from, len) = node.rest_of(i, offset);
        let (keep, some) = (keep + node.lcp(i), usize::from(i > 0 || !node.info.empty_first()));
        self.set_len(keep + some + len);
        // If the entry has no first byte, the next write overwrites this one.
        self.bytes[keep] = node.first(i);
        self.write(keep + some, node.payload(), from, len);
        len
    }

    /// Sets the length. The bytes beyond the old length are unspecified.
    #[inline(always)]
    fn set_len(&mut self, len: usize) {
        self.len = len;
        if self.bytes.len() < len + 2 * COPY_BYTES {
            self.grow();
        }
    }

    /// Writes `from[at..at + n]` to the bytes from `to` on.
    #[inline(always)]
    fn write(&mut self, to: usize, from: &[u8], at: usize, n: usize) {
        let to = &mut self.bytes[to..];
        if n <= 2 * COPY_BYTES && at + 2 * COPY_BYTES <= from.len() {
            to[..COPY_BYTES].copy_from_slice(&from[at..at + COPY_BYTES]);
            if n > COPY_BYTES {
                to[COPY_BYTES..2 * COPY_BYTES]
                    .copy_from_slice(&from[at + COPY_BYTES..at + 2 * COPY_BYTES]);
            }
        } else {
            to[..n].copy_from_slice(&from[at..at + n]);
        }
    }

    #[cold]
    fn grow(&mut self) {
        self.bytes.resize((self.len + 2 * COPY_BYTES).next_power_of_two(), 0);
    }

    /// Keeps the bytes that an inner node strips, and appends separator `i`.
    fn decode(&mut self, keys: &NodeRef<'_>, i: usize) {
        self.bytes.truncate(self.len);
        if keys.decode(i, &mut self.bytes).is_err() {
            std::alloc::handle_alloc_error(std::alloc::Layout::new::<u64>());
        }
        self.len = self.bytes.len();
    }
}

/// The decoded suffixes of one leaf.
#[derive(Clone, Default)]
struct Suffixes {
    leaf: Option<Node>,
    bytes: Vec<u8>,
    /// For each entry: where its suffix ends in `bytes`, and where its rest begins in the leaf.
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
    /// Moves before the first entry whose key is at least `target`, or with `after` greater than
    /// it.
    ///
    /// # Safety
    /// For this and the methods below: since the position was taken, the tree under `root` is live
    /// and only values were changed (N1, N9), or the thread is pinned (R1).
    #[inline]
    pub(crate) unsafe fn seek(&mut self, root: &Slot, target: &[u8], after: bool) {
        self.key.set(target);
        // SAFETY: (N1, N5) by the caller.
        unsafe { self.seek_own(root, after) }
    }

    /// Moves as [`seek`](Self::seek) does, to the key in the buffer.
    pub(crate) unsafe fn seek_own(&mut self, root: &Slot, after: bool) {
        self.levels.clear();
        // Another leaf may have the address by now.
        self.suffixes.leaf = None;
        let target = self.key.get();
        let mut child = root.load();
        // SAFETY: (N1, N5) as the caller promises, here and in the methods below.
        unsafe {
            while let Child::Inner(node) = child {
                NodeRef::prefetch(node, PREFETCHED_LINES);
                let keys = NodeRef::new(node);
                let index = keys.child(target);
                self.levels.push(Level { node, child: index });
                child = keys.slot(index).load();
            }
            let Child::Leaf(node) = child else { return self.set_end() };
            NodeRef::prefetch(node, PREFETCHED_LINES);
            self.enter_own(node, after);
        }
    }

    /// Moves to the position of the key in the buffer in `node`, which has the key's range.
    unsafe fn enter_own(&mut self, node: Node, after: bool) {
        // SAFETY: (N1, N5) see `seek`.
        let leaf = unsafe { NodeRef::new(node) };
        self.strip = leaf.strip();
        self.index = match leaf.search(&self.key.get()[self.strip..]) {
            Ok(i) => i + usize::from(after),
            Err(gap) => gap.at,
        };
        self.leaf = Some(node);
        self.offset = leaf.offset(self.index);
    }

    /// Moves as [`seek_own`](Self::seek_own) does, from where the cursor was at this position:
    /// `place` in `leaf`, by a path that is kept. Returns `false` if the path has changed.
    ///
    /// # Safety
    /// As for [`seek`](Self::seek); the nodes of the path are live (R7), and the position is that
    /// of the key in the buffer.
    pub(crate) unsafe fn resume(
        &mut self,
        root: &Slot,
        leaf: Node,
        place: Place,
        after: bool,
    ) -> bool {
        // SAFETY: (N1, N5) by the caller.
        unsafe {
            // A locked node may have been replaced already.
            let is_free = |level: &Level| level.node.lock().is_free();
            if !self.levels.iter().all(is_free) && !mutant!(PathNotChecked) {
                return false;
            }
            let parent = self.levels.last().map(|level| NodeRef::new(level.node).slot(level.child));
            match parent.unwrap_or(root).load() {
                Child::Leaf(node) if node == leaf => self.enter(node, place),
                Child::Leaf(node) => {
                    self.suffixes.leaf = None;
                    self.enter_own(node, after);
                }
                _ => return false,
            }
            true
        }
    }

    /// Moves after all entries.
    pub(crate) fn set_end(&mut self) {
        self.levels.clear();
        self.leave();
    }

    /// Leaves the leaf, and keeps the path to it.
    pub(crate) fn leave(&mut self) {
        self.leaf = None;
        self.index = 0;
    }

    /// Descends to the first or the last leaf below `child`, one of whose fence keys is in the key
    /// buffer.
    unsafe fn descend(&mut self, mut child: Child, last: bool) {
        // SAFETY: (N1, N5) see `seek`.
        unsafe {
            while let Child::Inner(node) = child {
                let keys = NodeRef::new(node);
                let index = if last { keys.count() } else { 0 };
                self.levels.push(Level { node, child: index });
                child = keys.slot(index).load();
            }
            let Child::Leaf(node) = child else { return self.set_end() };
            NodeRef::prefetch(node, PREFETCHED_LINES);
            let leaf = NodeRef::new(node);
            self.strip = leaf.strip();
            self.leaf = Some(node);
            (self.index, self.offset) =
                if last { (leaf.count(), leaf.offset(leaf.count())) } else { (0, 0) };
        }
    }

    /// Descends to the first leaf below the next child of the last level, or with `back` to the
    /// last leaf below the child before.
    unsafe fn enter_child(&mut self, back: bool) {
        let Some(level) = self.levels.last_mut() else { return };
        // SAFETY: (N1, N5) see `seek`.
        unsafe {
            let keys = NodeRef::new(level.node);
            // The key in the buffer is below this node, so it begins with the bytes that the node
            // strips.
            if back {
                level.child -= 1;
                self.key.decode(&keys, level.child);
            } else {
                // The key lies between this separator and the one before, so it begins with the
                // bytes that these share.
                let separator = level.child;
                self.key.put_entry(keys.strip(), &keys, separator, keys.offset(separator));
                level.child += 1;
            }
            let child = keys.slot(level.child).load();
            self.descend(child, back);
        }
    }

    /// Moves before the first entry of the next leaf, or to the end.
    unsafe fn next_leaf(&mut self) {
        // SAFETY: (N1, N5) see `seek`.
        unsafe {
            while let Some(level) = self.levels.last() {
                if level.child < NodeRef::new(level.node).count() {
                    return self.enter_child(false);
                }
                self.levels.pop();
            }
            self.set_end();
        }
    }

    /// Moves after the last entry of the previous leaf, and returns whether there is one.
    unsafe fn previous_leaf(&mut self, root: &Slot) -> bool {
        // SAFETY: (N1, N5) see `seek`.
        unsafe {
            if self.leaf.is_none() {
                // The last node of a level has no upper fence key, so it strips nothing.
                self.levels.clear();
                self.descend(root.load(), true);
                return self.leaf.is_some();
            }
            let Some(level) = self.levels.iter().rposition(|level| level.child > 0) else {
                return false;
            };
            self.levels.truncate(level + 1);
            self.enter_child(true);
            true
        }
    }

    /// Returns the leaf and the index of the entry after the position.
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

    /// Prefetches the `n`th leaf after the current one, or with `back` before it, if it has the
    /// same parent.
    pub(crate) unsafe fn prefetch_ahead(&self, n: usize, back: bool) {
        let Some(Level { node, child }) = self.levels.last() else { return };
        let ahead = if back { child.checked_sub(n) } else { Some(child + n) };
        // SAFETY: (N1, N5) see `seek`.
        let keys = unsafe { NodeRef::new(*node) };
        if let Some(ahead) = ahead.filter(|&ahead| ahead <= keys.count())
            && let Some(leaf) = keys.slot(ahead).load().node()
        {
            NodeRef::prefetch(leaf, PREFETCHED_LINES);
        }
    }

    /// Returns the leaf, if it has an entry after the position, or with `back` before it.
    #[inline]
    pub(crate) unsafe fn leaf_ahead<'l>(&self, back: bool) -> Option<NodeRef<'l>> {
        // SAFETY: (N1, N5) see `seek`.
        let leaf = unsafe { NodeRef::new(self.leaf?) };
        let has_entry = if back { self.index > 0 } else { self.index < leaf.count() };
        has_entry.then_some(leaf)
    }

    /// Moves to a leaf that has an entry after the position, or with `back` before it. Returns
    /// whether there is one.
    pub(crate) unsafe fn find_entry(&mut self, root: &Slot, back: bool) -> bool {
        // SAFETY: (N1, N5) see `seek`.
        unsafe {
            if !back {
                return self.peek().is_some();
            }
            while self.leaf.is_none() || self.index == 0 {
                if !self.previous_leaf(root) {
                    return false;
                }
            }
            true
        }
    }

    /// Passes the next entry, writes its key to the buffer, and returns its position.
    #[inline]
    pub(crate) unsafe fn next(&mut self) -> Option<EntryPos> {
        // SAFETY: (N1, N5) see `seek`. `peek` found the entry.
        unsafe { self.peek().map(|(node, _)| self.next_in(node)) }
    }

    /// Passes the next entry, which is in this leaf.
    #[inline]
    pub(crate) unsafe fn next_in(&mut self, node: Node) -> EntryPos {
        // SAFETY: (N1, N5) see `seek`.
        let leaf = unsafe { NodeRef::new(node) };
        let index = self.index;
        self.offset += self.key.put_entry(self.strip, &leaf, index, self.offset);
        self.index += 1;
        EntryPos { node, info: leaf.info, index }
    }

    /// Passes the previous entry, writes its key to the buffer, and returns its position.
    pub(crate) unsafe fn previous(&mut self, root: &Slot) -> Option<EntryPos> {
        // SAFETY: (N1, N5) see `seek`. `find_entry` found the entry.
        unsafe {
            if !self.find_entry(root, true) {
                return None;
            }
            self.leaf.map(|node| self.previous_in(node))
        }
    }

    /// Passes the previous entry, which is in this leaf.
    pub(crate) unsafe fn previous_in(&mut self, node: Node) -> EntryPos {
        // SAFETY: (N1, N5) see `seek`.
        let leaf = unsafe { NodeRef::new(node) };
        if self.suffixes.leaf != Some(node) {
            self.suffixes.fill(&leaf);
        }
        self.index -= 1;
        self.offset = self.suffixes.entries[self.index].1;
        let suffix = self.suffixes.get(self.index);
        self.key.put(self.strip, suffix, 0, suffix.len());
        EntryPos { node, info: leaf.info, index: self.index }
    }

    /// Returns the index of the first entry of the leaf whose key is at least `key`, or with
    /// `after` greater than it.
    pub(crate) fn index_of(&self, leaf: &NodeRef<'_>, key: &[u8], after: bool) -> usize {
        // The bytes that the leaf strips, of the leaf's keys and of `key`.
        let stripped = &self.key.get()[..self.strip];
        let (start, rest) = key.split_at(key.len().min(self.strip));
        match start.cmp(stripped) {
            Ordering::Less => 0,
            Ordering::Greater => leaf.count(),
            Ordering::Equal => match leaf.search(rest) {
                Ok(i) => i + usize::from(after),
                Err(gap) => gap.at,
            },
        }
    }

    /// Moves over `n` entries of the leaf, without their keys.
    pub(crate) fn skip(&mut self, leaf: &NodeRef<'_>, n: usize, back: bool) {
        self.index = if back { self.index - n } else { self.index + n };
        // After an entry passed backwards, its suffix is decoded anew.
        self.offset = if back { self.offset } else { leaf.offset(self.index) };
    }

    /// Returns what finds the position again in a copy of the leaf.
    pub(crate) fn place(&self) -> Place {
        Place { index: self.index, offset: self.offset, strip: self.strip }
    }

    /// Moves to a place in a copy of a leaf. The key buffer has what it had there.
    pub(crate) fn enter(&mut self, copy: Node, place: Place) {
        self.leaf = Some(copy);
        Place { index: self.index, offset: self.offset, strip: self.strip } = place;
        // Another copy may have had the address.
        self.suffixes.leaf = None;
    }
}

/// A position in a leaf.
#[derive(Clone, Copy, Default)]
pub(crate) struct Place {
    pub(crate) index: usize,
    /// Where the rest of this entry begins in the leaf.
    offset: usize,
    /// Bytes that the leaf strips.
    strip: usize,
}

impl Place {
    /// Returns the position in a copy that begins with this entry.
    pub(crate) fn in_rest(self) -> Self {
        Place { index: 0, offset: 0, strip: self.strip }
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
    /// Creates a cursor after all entries.
    pub(crate) fn new(tree: &'t RawTree<B>) -> Self {
        RawCursor { tree, state: CursorState::default() }
    }

    /// Moves before the first entry whose key is at least `target`, or with `after` greater than
    /// it.
    #[inline]
    pub(crate) fn seek(&mut self, target: &[u8], after: bool) {
        // SAFETY: (N1, N9) the tree is borrowed as long as the cursor lives.
        unsafe { self.state.seek(&self.tree.root, target, after) }
    }

    /// Moves before the first entry.
    pub(crate) fn seek_first(&mut self) {
        self.seek(&[], false);
    }

    /// Moves after the last entry.
    pub(crate) fn seek_end(&mut self) {
        self.state.set_end();
    }

    /// Returns what identifies the entry after the position: the address of its leaf and its index.
    /// `None` at the end.
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

    /// Passes to `each` the values of the entries after the position, as far as the leaf goes, and
    /// returns how many they are. The position stays.
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

    /// Moves to `end`, which is at this position or after it, and returns the number of entries
    /// between the two.
    ///
    /// # Complexity
    /// O(leaves between the two).
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

/// An owned tree and two cursors, which return each entry once, from both ends.
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

    /// Returns how many entries are left.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    pub(crate) fn next(&mut self) -> Option<(&[u8], B)> {
        self.left = self.left.checked_sub(1)?;
        // SAFETY: (N1, N9) the tree is owned here and not changed.
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

/// A forward cursor over a mutably borrowed tree, which can overwrite values.
pub(crate) struct WriteCursor<'t, B: Bits> {
    tree: &'t mut RawTree<B>,
    state: CursorState,
    /// The entry read last.
    pos: Option<EntryPos>,
}

impl<'t, B: Bits> WriteCursor<'t, B> {
    /// Creates a cursor before the first entry whose key is at least `target`.
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
