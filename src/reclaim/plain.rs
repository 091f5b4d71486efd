//! A replacement for the collector in models of something else. The collector's own atomics would
//! multiply the executions.

use crossbeam_epoch::Guard;
use std::cell::{Cell, RefCell};

thread_local! {
    static CHOSEN: Cell<bool> = const { Cell::new(false) };
    static RETIRED: RefCell<Vec<Box<dyn FnOnce()>>> = const { RefCell::new(Vec::new()) };
}

/// Sets whether nodes that models of this thread retire are kept until [`free`].
pub fn choose(plain: bool) {
    CHOSEN.set(plain);
    // Left by a model that failed; its memory is gone.
    RETIRED.take().into_iter().for_each(std::mem::forget);
}

/// Frees what was retired. Must be called when no map is in use.
pub fn free() {
    RETIRED.take().into_iter().for_each(|free| free());
}

pub(super) fn is_chosen() -> bool {
    CHOSEN.get()
}

pub(super) fn retire(free: impl FnOnce()) {
    let free: Box<dyn FnOnce()> = Box::new(free);
    // SAFETY: (R3) the closure owns what it uses.
    let free = unsafe { std::mem::transmute::<Box<dyn FnOnce() + '_>, Box<dyn FnOnce()>>(free) };
    RETIRED.with_borrow_mut(|retired| retired.push(free));
}

pub(super) fn guard() -> Guard {
    // SAFETY: (R1) a guard without a collector has no state to copy. It delays nothing: models
    // that choose it free nothing while it lives, or must find that it delays nothing.
    unsafe { std::ptr::read(crossbeam_epoch::unprotected()) }
}
