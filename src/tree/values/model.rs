//! Value slots without a tree, for loom. In models of maps no value is dropped before all threads
//! are done, so threads would not meet in the segments.

#![expect(missing_docs, missing_debug_implementations, reason = "for models")]

use super::slots::Slots;
use crate::sync::stripes::{STRIPES, stripe};

pub struct ModelSlots<T>(Slots<T>);

/// A slot whose value is removed once. A model uses it with the slots that it came from.
pub struct FilledSlot(u32);

impl<T> Default for ModelSlots<T> {
    fn default() -> Self {
        ModelSlots(Slots::new(STRIPES))
    }
}

impl<T> ModelSlots<T> {
    pub fn insert(&self, value: T) -> FilledSlot {
        FilledSlot(self.0.insert(value).expect("there is memory"))
    }

    pub fn get(&self, slot: &FilledSlot) -> &T {
        // SAFETY: (V1, V3) a `FilledSlot` exists once, and its value was not removed.
        unsafe { self.0.get(slot.0) }
    }

    pub fn remove(&self, slot: FilledSlot) -> T {
        // Threads take stripes in turn, so that this one's may be other than the next one's.
        stripe();
        // SAFETY: (V1, V4) a `FilledSlot` exists once, and is passed here once.
        unsafe { self.0.remove(slot.0) }
    }

    /// Returns the number of segments.
    pub fn segments(&self) -> usize {
        self.0.bytes().0
    }

    /// Checks the segments, given all filled slots.
    pub fn check(&self, filled: &[&FilledSlot]) -> Result<(), String> {
        self.0.check(filled.iter().map(|slot| slot.0))
    }
}
