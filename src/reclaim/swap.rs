//! `Swap`: a value that is replaced as a whole.

use super::{Pin, RetiredKind};
use crate::sync::fence;
use crossbeam_epoch::{Atomic, Owned};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, SeqCst};

/// A value that is replaced as a whole.
///
/// Readers get it by one load, and may use it while they stay pinned. A replaced value is retired.
pub(crate) struct Swap<T>(Atomic<T>);

impl<T: Send + Sync + 'static> Swap<T> {
    pub(crate) fn new(value: T) -> Self {
        Swap(Atomic::new(value))
    }

    /// Returns the current value.
    #[inline]
    pub(crate) fn load<'p>(&'p self, pin: &'p Pin) -> &'p T {
        // SAFETY: (R5) there is a value from `new` to the drop. One that is loaded under a pin is
        // not freed until the pin ends.
        unsafe { self.0.load(Acquire, &pin.0).deref() }
    }

    /// Returns whether `value`, which was loaded under `pin`, has not been replaced.
    #[inline]
    pub(crate) fn is_current(&self, value: &T, pin: &Pin) -> bool {
        // Orders all reads of the value's parts before the load.
        fence(Acquire);
        std::ptr::eq(self.0.load(Relaxed, &pin.0).as_raw(), value)
    }

    /// Replaces the value, and retires the old one.
    pub(crate) fn replace(&self, value: T, pin: &Pin) {
        let old = self.0.swap(Owned::new(value), AcqRel, &pin.0).as_raw() as usize;
        // SAFETY: (R3, R5) the swap took the only address of the value, which is `Send` and came
        // from a box.
        unsafe {
            pin.retire(RetiredKind::Whole, size_of::<T>(), move || {
                drop(Box::from_raw(old as *mut T))
            })
        };
        // As after every change of a tree (C6).
        fence(SeqCst);
    }
}

impl<T> Drop for Swap<T> {
    fn drop(&mut self) {
        // SAFETY: (R5) the `Swap` is dropped, so no reference to its value is left.
        drop(unsafe { std::mem::replace(&mut self.0, Atomic::null()).into_owned() });
    }
}
