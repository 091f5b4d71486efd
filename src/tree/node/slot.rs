//! A child slot with the lock of its parent.

use crate::tree::node::layout::Slot;
use crate::tree::node::lock::Lock;

/// A slot, and the lock of the node that it is in. The root's is in none.
#[derive(Clone, Copy)]
pub(crate) struct SlotRef<'a> {
    pub(crate) parent_lock: Option<&'a Lock>,
    pub(crate) slot: &'a Slot,
}

impl<'a> SlotRef<'a> {
    /// A tree's root.
    #[inline(always)]
    pub(crate) fn root(slot: &'a Slot) -> Self {
        SlotRef { parent_lock: None, slot }
    }
}
