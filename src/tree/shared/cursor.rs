//! A cursor over a tree that others change meanwhile.
//!
//! It reads leaf by leaf. On to the next leaf it goes by the path it came, whose inner nodes may have been taken out of the tree since; what
//! they lead to was current when that happened (SAFETY.md, C2). Each step looks whether its leaf is being replaced, or was, and then takes the
//! entry from the leaf that a lookup finds. Now and then the cursor pins anew and finds its place again by the last key it read, so that a long
//! scan does not hold back what others retire.

use crate::reclaim::{self, Pin};
use crate::tree::Place;
use crate::tree::read::cursor::State;
use crate::tree::shared::SharedTree;
use crate::value::Bits;

/// Leaves read under one pin.
const LEAVES: u32 = if cfg!(any(loom, shuttle, test)) { 2 } else { 32 };

/// A position in a shared tree.
pub(crate) struct SharedCursor<'t, B: Bits> {
    tree: &'t SharedTree<B>,
    state: State,
    /// Whether the position is behind the key in the buffer, or before it.
    behind: bool,
    /// Leaves left under this pin.
    left: u32,
    /// Whether the thread had no other pin when this cursor was made: under two, little can be collected.
    alone: bool,
    pin: Pin,
}

impl<'t, B: Bits> SharedCursor<'t, B> {
    /// A cursor behind all entries.
    pub(crate) fn new(tree: &'t SharedTree<B>) -> Self {
        SharedCursor {
            tree,
            state: State::default(),
            behind: false,
            left: LEAVES,
            alone: !reclaim::is_pinned(),
            pin: reclaim::pin(),
        }
    }

    /// Goes before the first entry whose key is at least `target`, or with `behind` greater than it.
    pub(crate) fn seek(&mut self, target: &[u8], behind: bool) {
        self.pin.renew();
        if self.alone {
            // Or who changes the tree as he scans it would never collect.
            self.pin.help();
        }
        self.left = LEAVES;
        self.behind = behind;
        // SAFETY: (R1) the cursor holds its pin from here on, and what it knew before is forgotten.
        unsafe { self.state.seek(&self.tree.read(&self.pin).root, target, behind) }
    }

    pub(crate) fn seek_end(&mut self) {
        self.state.set_end();
    }

    /// Pins anew where enough leaves were read, and finds the place again.
    #[inline]
    fn cross(&mut self) {
        self.left -= 1;
        if self.left == 0 {
            cover!(CursorRenewed);
            let at_end = self.state.leaf.is_none();
            self.seek_again(self.behind);
            if at_end {
                self.seek_end();
            }
        }
    }

    /// Goes before the key in the buffer, or behind it.
    #[cold]
    fn seek_again(&mut self, behind: bool) {
        let key = std::mem::take(&mut self.state.key);
        self.seek(key.get(), behind);
    }

    /// The key of the entry stepped over last.
    pub(crate) fn key(&self) -> &[u8] {
        self.state.key.get()
    }

    #[inline]
    pub(crate) fn next(&mut self) -> Option<(&[u8], B)> {
        // SAFETY: (N1, R1) the leaf was read under this pin.
        if self.state.leaf.is_some_and(|leaf| self.state.index == unsafe { leaf.info() }.count()) {
            self.cross();
        }
        self.step(false)
    }

    #[inline]
    pub(crate) fn previous(&mut self) -> Option<(&[u8], B)> {
        if self.state.index == 0 {
            self.cross();
        }
        self.step(true)
    }

    /// Steps, and gives the entry as it is now.
    #[inline]
    fn step(&mut self, back: bool) -> Option<(&[u8], B)> {
        let (place, mut value) = self.take(back)?;
        // SAFETY: (N1, R1) the leaf was read under this pin.
        if !unsafe { place.node.lock() }.is_free() && !mutant!(ScanReadsOn) {
            cover!(CursorLedAnew);
            self.seek_again(back);
            value = self.take(back)?.1;
        }
        Some((self.state.key.get(), value))
    }

    #[inline]
    fn take(&mut self, back: bool) -> Option<(Place, B)> {
        let tree = self.tree.read(&self.pin);
        // SAFETY: (R1) the position was taken under this pin.
        let place =
            unsafe { if back { self.state.previous(&tree.root) } else { self.state.next() } }?;
        self.behind = !back;
        Some((place, tree.value(place)))
    }
}
