//! Forks wait until no thread is in the middle of a change.
//!
//! `fork` copies memory and one thread. A lock of a map that another thread holds at that moment
//! would stay locked in the child. A single change is made under the interpreter's lock, which the
//! thread that forks has. Changes of many keys are made without it: some thousands at a time, they
//! hold [`CHANGES`], which a fork waits for.
//!
//! Between the two hooks of a fork other hooks run, which may change maps, and may let other
//! threads run, which may fork too.

use pyo3::prelude::*;
use std::cell::RefCell;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static CHANGES: RwLock<()> = RwLock::new(());

thread_local! {
    static FORK: RefCell<Fork> = const { RefCell::new(Fork { depth: 0, guard: None }) };
}

/// What a thread that forks holds. In the child it is the only thread.
struct Fork {
    /// How often the first hook was called: more than once if the package was imported again.
    depth: usize,
    guard: Option<RwLockWriteGuard<'static, ()>>,
}

/// Begins changes that are made without the interpreter's lock. They must end before the thread
/// waits for it. Returns nothing in a thread that is about to fork, or has just forked.
pub(crate) fn begin_changes() -> Option<RwLockReadGuard<'static, ()>> {
    FORK.with_borrow(|fork| fork.depth == 0)
        .then(|| CHANGES.read().unwrap_or_else(PoisonError::into_inner))
}

/// Waits until no changes are in progress, and keeps others from beginning.
#[pyfunction]
pub(crate) fn _before_fork(py: Python<'_>) {
    // Without the interpreter's lock: another thread that forks may wait for that.
    py.detach(|| {
        FORK.with_borrow_mut(|fork| {
            fork.depth += 1;
            if fork.guard.is_none() {
                fork.guard = Some(CHANGES.write().unwrap_or_else(PoisonError::into_inner));
            }
        });
    });
}

/// Lets changes begin again.
#[pyfunction]
pub(crate) fn _after_fork() {
    FORK.with_borrow_mut(|fork| {
        fork.depth = fork.depth.saturating_sub(1);
        if fork.depth == 0 {
            fork.guard = None;
        }
    });
}
