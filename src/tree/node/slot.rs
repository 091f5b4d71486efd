//! A child slot with the lock of its parent.

use crate::tree::node::layout::Slot;
use crate::tree::node::lock::Lock;

/// A child slot and its parent's lock. The root slot has no parent.
#[derive(Clone, Copy)]
pub(crate) struct SlotRef<'a> {
    pub(crate) parent_lock: Option<&'a Lock>,
    pub(crate) slot: &'a Slot,
}

impl<'a> SlotRef<'a> {
    /// Returns a reference to a tree's root slot.
    #[inline(always)]
    pub(crate) fn root(slot: &'a Slot) -> Self {
        SlotRef { parent_lock: None, slot }
    }
}
