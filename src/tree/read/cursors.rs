//! The cursors of trees with one owner.

use crate::tree::RawTree;
use crate::tree::read::cursor::CursorState;
use crate::tree::read::get::EntryPos;
use crate::value::Bits;

/// A cursor over a borrowed tree.
pub(crate) struct RawCursor<'t, B: Bits> {
    tree: &'t RawTree<B>,
    state: CursorState,
    /// Whether it is before the first entry, which it has not yet looked for.
    is_at_start: bool,
}

impl<B: Bits> Clone for RawCursor<'_, B> {
    fn clone(&self) -> Self {
        RawCursor { tree: self.tree, state: self.state.clone(), is_at_start: self.is_at_start }
    }
}

impl<'t, B: Bits> RawCursor<'t, B> {
    /// Creates a cursor before the first entry.
    #[inline]
    pub(crate) fn new(tree: &'t RawTree<B>) -> Self {
        RawCursor { tree, state: CursorState::new::<B>(), is_at_start: true }
    }

    /// Moves before the first entry whose key is at least `target`, or with `after` greater than
    /// it.
    #[inline]
    pub(crate) fn seek(&mut self, target: &[u8], after: bool) {
        self.is_at_start = false;
        // SAFETY: (N1, N9) the tree is borrowed as long as the cursor lives.
        unsafe { self.state.seek(&self.tree.root, target, after) }
    }

    /// Moves after the last entry.
    pub(crate) fn seek_end(&mut self) {
        self.is_at_start = false;
        self.state.set_end();
    }

    /// Moves to the leaf of the entry after the position. Returns whether there is one.
    fn find_next(&mut self) -> bool {
        if self.is_at_start {
            self.seek(&[], false);
        }
        // SAFETY: (N1, N9) as in `seek`.
        unsafe { self.state.find_next() }
    }

    /// Returns what identifies the leaf of the entry after the position. `None` at the end.
    pub(crate) fn next_leaf(&mut self) -> Option<*const u8> {
        self.find_next().then_some(self.state.leaf?.address())
    }

    #[inline]
    pub(crate) fn next(&mut self) -> Option<(&[u8], B)> {
        // SAFETY: (N1, N3, N9) as in `seek`. Any other entry was found.
        let value = unsafe {
            if self.state.is_narrow_next() {
                self.state.pass_narrow();
            } else if !self.pass_other() {
                return None;
            }
            self.state.passed_value()
        };
        Some((self.state.key.get(), value))
    }

    /// Passes the next entry, of any leaf and any form. Returns whether there is one.
    #[inline(never)]
    fn pass_other(&mut self) -> bool {
        let found = self.find_next();
        if found {
            // SAFETY: (N1, N3, N9) as in `next`; there is an entry.
            unsafe { self.state.pass_here() };
        }
        found
    }

    /// Passes to `each` the values of the entries after the position, as far as the leaf goes, and
    /// returns how many they are. The position stays.
    pub(crate) fn upcoming(&mut self, mut each: impl FnMut(B)) -> usize {
        self.find_next();
        let Some(node) = self.state.leaf else { return 0 };
        // SAFETY: (N1, N9) as in `seek`.
        let info = unsafe { node.info() };
        let indexes = self.state.indexes();
        indexes.clone().for_each(|index| each(self.tree.value(EntryPos { node, info, index })));
        indexes.len()
    }

    pub(crate) fn previous(&mut self) -> Option<(&[u8], B)> {
        if self.is_at_start {
            return None;
        }
        // SAFETY: (N1, N9) as in `seek`.
        let pos = unsafe { self.state.previous(&self.tree.root) }?;
        Some((self.state.key.get(), self.tree.value(pos)))
    }
}

/// Two cursors over a borrowed tree, the ends of a range.
#[derive(Clone)]
pub(crate) struct RawRange<'t, B: Bits> {
    /// In the leaf of `back`, its steps end there.
    front: RawCursor<'t, B>,
    /// In the leaf of the entry after it.
    back: RawCursor<'t, B>,
}

impl<'t, B: Bits> RawRange<'t, B> {
    /// Creates a range between two cursors, the first of which is not after the second.
    pub(crate) fn new(front: RawCursor<'t, B>, mut back: RawCursor<'t, B>) -> Self {
        back.find_next();
        let mut range = RawRange { front, back };
        range.limit();
        range
    }

    /// Ends the steps of `front` at `back`, if it is in the same leaf.
    fn limit(&mut self) -> bool {
        let (front, back) = (&mut self.front.state, &self.back.state);
        let is_same = front.leaf.is_some() && front.leaf == back.leaf;
        if is_same {
            front.limit(back.index);
        }
        is_same
    }

    /// Moves `front` to the leaf of its next entry. Returns whether one is left.
    fn find_next(&mut self) -> bool {
        if self.front.state.has_next() {
            return true;
        }
        let was_last = self.limit();
        if !was_last && self.front.find_next() {
            self.limit();
        }
        self.front.state.has_next()
    }

    #[inline]
    pub(crate) fn next(&mut self) -> Option<(&[u8], B)> {
        let front = &mut self.front.state;
        // SAFETY: (N1, N3, N9) the tree is borrowed as long as the cursors live. Any other entry
        // was found.
        let value = unsafe {
            if front.is_narrow_next() {
                front.pass_narrow()
            } else if !self.pass_other() {
                return None;
            }
            self.front.state.passed_value()
        };
        Some((self.front.state.key.get(), value))
    }

    #[inline(never)]
    fn pass_other(&mut self) -> bool {
        let found = self.find_next();
        if found {
            // SAFETY: (N1, N3, N9) as in `next`; there is an entry.
            unsafe { self.front.state.pass_here() };
        }
        found
    }

    pub(crate) fn previous(&mut self) -> Option<(&[u8], B)> {
        if !self.find_next() {
            return None;
        }
        // SAFETY: (N1, N9) as in `next`.
        let pos = unsafe { self.back.state.previous(&self.back.tree.root) }?;
        self.limit();
        Some((self.back.state.key.get(), self.back.tree.value(pos)))
    }

    /// Passes to `each` what [`RawCursor::upcoming`] does, as far as the range goes.
    pub(crate) fn upcoming(&mut self, each: impl FnMut(B)) -> usize {
        if self.find_next() { self.front.upcoming(each) } else { 0 }
    }

    /// Returns the number of entries left.
    ///
    /// # Complexity
    /// O(leaves).
    pub(crate) fn count(mut self) -> usize {
        let mut count = 0;
        while self.find_next() {
            count += self.front.state.pass_all();
        }
        count
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
        let mut front = CursorState::new::<B>();
        // SAFETY: (N1, N9) the tree is live and owned here.
        unsafe { front.seek(&tree.root, &[], false) };
        OwnedCursors { left: tree.len, tree, front, back: CursorState::new::<B>() }
    }

    /// Returns how many entries are left.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    pub(crate) fn next(&mut self) -> Option<(&[u8], B)> {
        self.left = self.left.checked_sub(1)?;
        // SAFETY: (N1, N3, N9) the tree is owned here and not changed.
        let value = unsafe { self.front.next() }?;
        Some((self.front.key.get(), value))
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
        let mut state = CursorState::new::<B>();
        // SAFETY: (N1, N9) the tree is borrowed as long as the cursor lives.
        unsafe { state.seek(&tree.root, target, false) };
        WriteCursor { tree, state, pos: None }
    }

    pub(crate) fn next(&mut self) -> Option<(&[u8], B)> {
        // SAFETY: (N1, N3, N9) as in `new`.
        let value = unsafe { self.state.next() }?;
        // SAFETY: (N1, N9) as in `new`.
        self.pos = unsafe { self.state.passed() };
        Some((self.state.key.get(), value))
    }

    /// Overwrites the value of the entry read last.
    pub(crate) fn set(&mut self, value: B) {
        if let Some(pos) = self.pos {
            self.tree.set_value(pos, value);
        }
    }
}
