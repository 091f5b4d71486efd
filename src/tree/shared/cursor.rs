//! A cursor over a tree that other threads edit at the same time.
//!
//! It reads leaf by leaf. It goes on to the next leaf by the path it came. Inner nodes of this path
//! may have been taken out of the tree since; what they lead to was current when that happened
//! (SAFETY.md, C2). Each step checks whether its leaf is being replaced, or was, and then takes the
//! entry from the leaf that a lookup finds. After some leaves the cursor renews its pin and finds
//! its position again by the last key it read, so that a long scan does not keep retired memory
//! from being freed.

use crate::reclaim::{self, Pin};
use crate::tree::EntryPos;
use crate::tree::read::cursor::CursorState;
use crate::tree::shared::SharedTree;
use crate::value::Bits;

/// Leaves that a cursor reads under one pin.
const LEAVES_PER_PIN: u32 = if cfg!(any(memkv_loom, memkv_shuttle, test)) { 2 } else { 32 };

/// A position in a shared tree.
pub(crate) struct SharedCursor<'t, B: Bits> {
    tree: &'t SharedTree<B>,
    state: CursorState,
    /// Whether the position is after the key in the buffer, or before it.
    after: bool,
    /// Leaves left under this pin.
    left: u32,
    /// Whether the thread had no other pin when this cursor was made. With two pins, little can be
    /// reclaimed.
    only_pin: bool,
    pin: Pin,
}

impl<'t, B: Bits> SharedCursor<'t, B> {
    /// Creates a cursor after all entries.
    pub(crate) fn new(tree: &'t SharedTree<B>) -> Self {
        SharedCursor {
            tree,
            state: CursorState::default(),
            after: false,
            left: LEAVES_PER_PIN,
            only_pin: !reclaim::is_pinned(),
            pin: reclaim::pin(),
        }
    }

    /// Moves before the first entry whose key is at least `target`, or with `after` greater than
    /// it.
    pub(crate) fn seek(&mut self, target: &[u8], after: bool) {
        self.pin.renew();
        if self.only_pin {
            // Otherwise a thread that edits the tree as it scans it would never reclaim memory.
            self.pin.help();
        }
        self.left = LEAVES_PER_PIN;
        self.after = after;
        // SAFETY: (R1) the cursor holds its pin from here on, and keeps nothing from before.
        unsafe { self.state.seek(&self.tree.read(&self.pin).root, target, after) }
    }

    /// Moves after the last entry.
    pub(crate) fn seek_end(&mut self) {
        self.state.set_end();
    }

    /// Leaves a leaf. Renews the pin after enough leaves, and finds the position again.
    #[inline]
    fn cross(&mut self) {
        self.left -= 1;
        if self.left == 0 {
            cover!(CursorRenewed);
            let at_end = self.state.leaf.is_none();
            self.seek_again(self.after);
            if at_end {
                self.seek_end();
            }
        }
    }

    /// Renews the pin, and moves before the key in the buffer, or after it.
    #[cold]
    fn seek_again(&mut self, after: bool) {
        let key = std::mem::take(&mut self.state.key);
        self.seek(key.get(), after);
    }

    /// Returns the key of the entry that the last step passed.
    pub(crate) fn key(&self) -> &[u8] {
        self.state.key.get()
    }

    /// Passes the next entry, and returns it.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<(&[u8], B)> {
        // SAFETY: (N1, R1) the leaf was read under this pin.
        if self.state.leaf.is_some_and(|leaf| self.state.index == unsafe { leaf.info() }.count()) {
            self.cross();
        }
        self.step(false)
    }

    /// Passes the previous entry, and returns it.
    #[inline]
    pub(crate) fn previous(&mut self) -> Option<(&[u8], B)> {
        if self.state.index == 0 {
            self.cross();
        }
        self.step(true)
    }

    /// Passes an entry, and returns it with its current value.
    #[inline]
    fn step(&mut self, back: bool) -> Option<(&[u8], B)> {
        let (pos, mut value) = self.take(back)?;
        // SAFETY: (N1, R1) the leaf was read under this pin.
        if !unsafe { pos.node.lock() }.is_free() && !mutant!(ScanReadsOn) {
            cover!(CursorRestarted);
            self.seek_again(back);
            value = self.take(back)?.1;
        }
        Some((self.state.key.get(), value))
    }

    #[inline]
    fn take(&mut self, back: bool) -> Option<(EntryPos, B)> {
        let tree = self.tree.read(&self.pin);
        // SAFETY: (R1) the position was taken under this pin.
        let pos =
            unsafe { if back { self.state.previous(&tree.root) } else { self.state.next() } }?;
        self.after = !back;
        Some((pos, tree.value(pos)))
    }
}
