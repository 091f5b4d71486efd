//! Cursors: positions between two entries, with steps in both directions.
//!
//! ```text
//!   path: inner node, child index ─▶ … ─▶ leaf, entry index
//!   key:  the bytes that the leaf strips, then the suffix of the last entry read
//! ```
//!
//! A step forward decodes an entry from the one before it, whose key is in the buffer. The first
//! step back in a leaf decodes all of the leaf's suffixes once. A step to another leaf decodes the
//! separator between the two, which begins with the bytes that the other leaf strips.

use crate::tree::node::{
    Child, HEADER_BYTES, Node, NodeRef, PREFETCHED_INNER_LINES, PREFETCHED_LINES, Slot,
};
use crate::tree::read::get::EntryPos;
use crate::tree::read::key_buf::{COPIED_BYTES, KeyBuf};
use crate::tree::read::path::{Level, Path};
use crate::value::Bits;
use std::cmp::Ordering;

/// The state of a cursor.
///
/// Its owner keeps the tree borrowed and changes values only, or keeps the thread pinned.
#[derive(Clone)]
pub(crate) struct CursorState {
    path: Path,
    /// `None`: after all entries.
    pub(crate) leaf: Option<Node>,
    /// Index of the entry after the position.
    pub(crate) index: usize,
    /// Index at which steps forwards leave the leaf: the number of its entries, or less. 0 without
    /// a leaf.
    end: usize,
    /// Where in the payload the rest of the entry after the position begins.
    rest: usize,
    /// Index up to which steps forwards are [`pass_narrow`](Self::pass_narrow), at most `end`.
    narrow_end: usize,
    /// The same of [`pass_coded`](Self::pass_coded).
    coded_end: usize,
    /// Where in the payload the rests begin.
    rest_at: usize,
    /// Where in the payload they end.
    rests_end: usize,
    /// Bytes that the leaf strips.
    strip: usize,
    /// Number of entries that fit into the leaf.
    capacity: usize,
    /// Where the payload begins in the leaf.
    payload_at: usize,
    /// Where the values begin in the leaf.
    values_at: usize,
    /// The key of the entry read last.
    pub(crate) key: KeyBuf,
    suffixes: Suffixes,
    /// Bytes of a value.
    value_bytes: usize,
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
            entry.append_rest(&mut self.bytes);
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
    /// Creates a cursor of a tree of `B` after all entries.
    pub(crate) fn new<B: Bits>() -> Self {
        CursorState {
            path: Path::default(),
            leaf: None,
            index: 0,
            end: 0,
            rest: 0,
            narrow_end: 0,
            coded_end: 0,
            rest_at: 0,
            rests_end: 0,
            strip: 0,
            capacity: 0,
            payload_at: HEADER_BYTES,
            values_at: 0,
            key: KeyBuf::default(),
            suffixes: Suffixes::default(),
            value_bytes: B::SIZE,
        }
    }

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
        self.path.clear();
        // Another leaf may have the address by now.
        self.suffixes.leaf = None;
        let target = self.key.get();
        let mut child = root.load();
        // SAFETY: (N1, N5) as the caller promises, here and in the methods below.
        unsafe {
            while let Child::Inner(node) = child {
                NodeRef::prefetch(node, PREFETCHED_INNER_LINES);
                let keys = NodeRef::new(node);
                let index = keys.child(target);
                self.path.push(Level { node, child: index });
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
        let index = match leaf.search(self.key.get()) {
            Ok(i) => i + usize::from(after),
            Err(gap) => gap.at,
        };
        self.set_leaf(&leaf, index, leaf.offset(index));
    }

    /// Moves before entry `index` of a leaf, whose rest begins at `offset`. The buffer has the
    /// bytes that the leaf strips.
    fn set_leaf(&mut self, leaf: &NodeRef<'_>, index: usize, offset: usize) {
        self.leaf = Some(leaf.node);
        self.end = leaf.count();
        self.strip = leaf.strip();
        self.capacity = leaf.info.capacity();
        self.payload_at = leaf.info.payload_at();
        self.rest_at = leaf.rest_at();
        self.rests_end = self.rest_at + leaf.info.rest();
        self.values_at = leaf.info.values_from(self.value_bytes);
        self.key.make_room(self.strip, leaf.info.is_coded());
        self.set_index(leaf, index, offset);
    }

    /// Moves before entry `index` of the leaf, whose rest begins at `offset`.
    fn set_index(&mut self, leaf: &NodeRef<'_>, index: usize, offset: usize) {
        self.index = index;
        self.rest = self.rest_at + offset;
        let has_first = index > 0 || !leaf.info.empty_first();
        self.coded_end = if leaf.info.is_coded() && has_first { self.end } else { 0 };
        self.narrow_end = if leaf.info.is_wide() || leaf.info.is_coded() || !has_first {
            0
        } else {
            // At the last entries, as many bytes as are copied may not be in the leaf (N12).
            let values_end = self.values_at + self.value_bytes * self.capacity;
            let after = values_end - (self.payload_at + self.rests_end);
            let (mut end, mut bytes) = (self.end, after);
            while bytes < COPIED_BYTES && end > 0 {
                end -= 1;
                bytes += leaf.len(end);
            }
            end
        };
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
            if !self.path.iter().all(is_free) && !mutant!(PathNotChecked) {
                return false;
            }
            let parent = self.path.last().map(|level| NodeRef::new(level.node).slot(level.child));
            match parent.unwrap_or(root).load() {
                Child::Leaf(node) if node == leaf => {
                    self.suffixes.leaf = None;
                    self.set_leaf(&NodeRef::new(node), place.index, place.offset);
                }
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
        self.path.clear();
        self.leave();
    }

    /// Leaves the leaf, and keeps the path to it.
    pub(crate) fn leave(&mut self) {
        self.leaf = None;
        (self.index, self.end, self.narrow_end, self.coded_end) = (0, 0, 0, 0);
    }

    /// Descends to the first or the last leaf below `child`, one of whose fence keys is in the key
    /// buffer.
    unsafe fn descend(&mut self, mut child: Child, last: bool) {
        // SAFETY: (N1, N5) see `seek`.
        unsafe {
            while let Child::Inner(node) = child {
                let keys = NodeRef::new(node);
                let index = if last { keys.count() } else { 0 };
                self.path.push(Level { node, child: index });
                child = keys.slot(index).load();
            }
            let Child::Leaf(node) = child else { return self.set_end() };
            NodeRef::prefetch(node, PREFETCHED_LINES);
            let leaf = NodeRef::new(node);
            let index = if last { leaf.count() } else { 0 };
            self.set_leaf(&leaf, index, leaf.offset(index));
        }
    }

    /// Descends to the first leaf below the next child of the last level, or with `back` to the
    /// last leaf below the child before.
    unsafe fn enter_child(&mut self, back: bool) {
        let Some(level) = self.path.last_mut() else { return };
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
                let entry = keys.entry(separator, keys.offset(separator));
                self.key.put(keys.strip() + entry.lcp, entry.first, entry.rest);
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
            while let Some(level) = self.path.last() {
                if level.child < NodeRef::new(level.node).count() {
                    return self.enter_child(false);
                }
                self.path.pop();
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
                self.path.clear();
                self.descend(root.load(), true);
                return self.leaf.is_some();
            }
            if self.path.iter().all(|level| level.child == 0) {
                return false;
            }
            while self.path.last().is_some_and(|level| level.child == 0) {
                self.path.pop();
            }
            self.enter_child(true);
            true
        }
    }

    /// Returns whether the leaf has an entry after the position.
    #[inline(always)]
    pub(crate) fn has_next(&self) -> bool {
        self.index < self.end
    }

    /// Ends steps forwards in this leaf at an index, which is not before the position.
    pub(crate) fn limit(&mut self, end: usize) {
        self.end = end;
        self.narrow_end = self.narrow_end.min(end);
        self.coded_end = self.coded_end.min(end);
    }

    /// Moves over the entries of the leaf, and returns how many they are. The next step leaves it.
    pub(crate) fn pass_all(&mut self) -> usize {
        let from = std::mem::replace(&mut self.index, self.end);
        self.end - from
    }

    /// Returns the indexes of the entries of the leaf after the position.
    pub(crate) fn indexes(&self) -> std::ops::Range<usize> {
        self.index..self.end
    }

    /// Moves to a leaf that has an entry after the position. Returns whether there is one.
    #[inline]
    pub(crate) unsafe fn find_next(&mut self) -> bool {
        while !self.has_next() {
            if self.leaf.is_none() {
                return false;
            }
            // SAFETY: (N1, N5) see `seek`.
            unsafe { self.next_leaf() };
        }
        true
    }

    /// Prefetches the `n`th leaf after the current one, or with `back` before it, if it has the
    /// same parent.
    pub(crate) unsafe fn prefetch_ahead(&self, n: usize, back: bool) {
        let Some(Level { node, child }) = self.path.last() else { return };
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
                return self.find_next();
            }
            while self.leaf.is_none() || self.index == 0 {
                if !self.previous_leaf(root) {
                    return false;
                }
            }
            true
        }
    }

    /// Passes the next entry, writes its key to the buffer, and returns its value.
    ///
    /// # Safety
    /// As for [`seek`](Self::seek). The leaves are copies (N11), or no other thread stores values
    /// (N3).
    #[inline(always)]
    pub(crate) unsafe fn next<B: Bits>(&mut self) -> Option<B> {
        // SAFETY: (N1, N3, N5) by the caller; an entry was passed.
        unsafe {
            if self.is_narrow_next() {
                self.pass_narrow();
            } else if !self.pass_other() {
                return None;
            }
            Some(self.passed_value())
        }
    }

    /// Passes the next entry, of any leaf and any form. Returns whether there is one.
    #[inline(never)]
    unsafe fn pass_other(&mut self) -> bool {
        // SAFETY: (N1, N3, N5) see `next`.
        unsafe {
            let found = self.find_next();
            if found {
                self.pass_here();
            }
            found
        }
    }

    /// Passes the next entry, which is in the leaf.
    #[inline(always)]
    pub(crate) unsafe fn pass_here(&mut self) {
        debug_assert!(self.has_next());
        // SAFETY: (N1, N3, N5) see `next`.
        unsafe {
            if self.is_coded_next() {
                self.pass_coded();
            } else if self.is_narrow_next() {
                self.pass_narrow();
            } else {
                self.pass_any();
            }
        }
    }

    /// Returns the value of the entry that was passed forwards.
    #[inline(always)]
    pub(crate) unsafe fn passed_value<B: Bits>(&self) -> B {
        debug_assert!(self.value_bytes == B::SIZE && self.leaf.is_some() && self.index > 0);
        // SAFETY: (N1, N5, N6) there was an entry, so there is a leaf.
        unsafe { self.leaf.unwrap_unchecked().load_value_from(self.values_at, self.index - 1) }
    }

    /// Returns the position of the entry before the position, if it is in the leaf.
    pub(crate) unsafe fn passed(&self) -> Option<EntryPos> {
        let (node, index) = (self.leaf?, self.index.checked_sub(1)?);
        // SAFETY: (N1) see `seek`.
        Some(EntryPos { node, info: unsafe { node.info() }, index })
    }

    /// Returns whether [`pass_narrow`](Self::pass_narrow) passes the next entry.
    #[inline(always)]
    pub(crate) fn is_narrow_next(&self) -> bool {
        self.index < self.narrow_end
    }

    /// Returns whether [`pass_coded`](Self::pass_coded) passes the next entry.
    #[inline(always)]
    fn is_coded_next(&self) -> bool {
        self.index < self.coded_end
    }

    /// Passes the next entry, for which [`is_narrow_next`](Self::is_narrow_next) returns `true`.
    #[inline(always)]
    pub(crate) unsafe fn pass_narrow(&mut self) {
        debug_assert!(self.is_narrow_next());
        // SAFETY: (N1, N5, N6, N10, N12) there is a leaf, it is narrow, and the entry has a first
        // byte.
        unsafe {
            let (keep, first, len) = self.narrow_entry();
            self.key.put_narrow(keep, first, self.rest_ptr().cast(), len);
            self.index += 1;
            self.rest += len;
        }
    }

    /// Passes the next entry, for which [`is_coded_next`](Self::is_coded_next) returns `true`.
    #[inline(always)]
    unsafe fn pass_coded(&mut self) {
        debug_assert!(self.is_coded_next());
        // SAFETY: (N1, N5, N6, N10, N13) there is a leaf, it is coded, and the entry has a first
        // byte. The rests are written, up to the last.
        unsafe {
            let (keep, first, len) = self.narrow_entry();
            let table = (*self.leaf.unwrap_unchecked().table()).decoder();
            let codes = (self.rest_ptr(), len, self.rests_end - self.rest);
            self.key.put_coded(keep, first, table, codes);
            self.index += 1;
            self.rest += len;
        }
    }

    /// Returns how many bytes the next entry shares with the key before, its first byte, and the
    /// bytes of its rest.
    #[inline(always)]
    unsafe fn narrow_entry(&self) -> (usize, u8, usize) {
        // SAFETY: (N1, N5, N6) there is a leaf, it is narrow, and has this entry.
        unsafe {
            let payload = self.leaf.unwrap_unchecked().payload_ptr(self.payload_at);
            let entry = payload.add(self.index);
            let keep = self.strip + usize::from(entry.read());
            let first = entry.add(self.capacity).read();
            (keep, first, entry.add(2 * self.capacity).read().into())
        }
    }

    /// Returns where the rest of the next entry begins.
    #[inline(always)]
    unsafe fn rest_ptr(&self) -> *const u8 {
        // SAFETY: (N1, N6) there is a leaf, and its rests begin before its end.
        unsafe { self.leaf.unwrap_unchecked().payload_ptr(self.payload_at).add(self.rest) }
    }

    /// Passes the next entry of the leaf, of any form. That of a coded leaf is the empty suffix.
    #[inline(never)]
    unsafe fn pass_any(&mut self) {
        let Some(leaf) = self.leaf else { return };
        // SAFETY: (N1, N5) see `seek`.
        let leaf = unsafe { NodeRef::new(leaf) };
        let offset = self.rest - self.rest_at;
        let entry = leaf.entry(self.index, offset);
        let keep = self.strip + entry.lcp;
        self.key.put(keep, entry.first, entry.rest);
        self.set_index(&leaf, self.index + 1, offset + entry.rest.len());
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
        let index = self.index - 1;
        self.set_index(&leaf, index, self.suffixes.entries[index].1);
        self.key.put(self.strip, None, self.suffixes.get(index));
        EntryPos { node, info: leaf.info, index: self.index }
    }

    /// Returns the index of the first entry of the leaf whose key is at least `key`, or with
    /// `after` greater than it.
    pub(crate) fn index_of(&self, leaf: &NodeRef<'_>, key: &[u8], after: bool) -> usize {
        // The bytes that the leaf strips, of the leaf's keys and of `key`.
        let stripped = &self.key.get()[..self.strip];
        match key[..key.len().min(self.strip)].cmp(stripped) {
            Ordering::Less => 0,
            Ordering::Greater => leaf.count(),
            Ordering::Equal => match leaf.search(key) {
                Ok(i) => i + usize::from(after),
                Err(gap) => gap.at,
            },
        }
    }

    /// Moves over `n` entries of the leaf, without their keys.
    pub(crate) fn skip(&mut self, leaf: &NodeRef<'_>, n: usize, back: bool) {
        let index = if back { self.index - n } else { self.index + n };
        self.set_index(leaf, index, leaf.offset(index));
    }

    /// Returns what finds the position again in a copy of the leaf.
    pub(crate) fn place(&self) -> Place {
        Place { index: self.index, offset: self.rest - self.rest_at }
    }

    /// Moves to a place in a copy of a leaf. The key buffer has what it had there.
    ///
    /// # Safety
    /// The copy is live (N1, N11).
    pub(crate) unsafe fn enter(&mut self, copy: Node, place: Place) {
        // Another copy may have had the address.
        self.suffixes.leaf = None;
        // SAFETY: (N1, N5, N11) by the caller.
        self.set_leaf(&unsafe { NodeRef::new(copy) }, place.index, place.offset);
    }
}

/// A position in a leaf.
#[derive(Clone, Copy, Default)]
pub(crate) struct Place {
    pub(crate) index: usize,
    /// Where the rest of this entry begins in the leaf.
    offset: usize,
}
