//! Forks wait until no thread is in the middle of a change.
//!
//! `fork` copies memory and one thread. A lock of a map that another thread holds at that moment
//! would stay locked in the child. A single change is made under the interpreter's lock, which the
//! thread that forks has. Changes of many keys are made without it: some thousands at a time, they
//! hold [`CHANGES`], which a fork waits for.

use pyo3::prelude::*;
use std::cell::RefCell;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static CHANGES: RwLock<()> = RwLock::new(());

thread_local! {
    /// What a thread that forks holds. In the child it is the only thread.
    static FORK: RefCell<Option<RwLockWriteGuard<'static, ()>>> = const { RefCell::new(None) };
}

/// Begins changes that are made without the interpreter's lock. They must end before the thread
/// waits for it.
pub(crate) fn begin_changes() -> RwLockReadGuard<'static, ()> {
    CHANGES.read().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until no changes are in progress, and keeps others from beginning.
#[pyfunction]
pub(crate) fn _before_fork() {
    let guard = CHANGES.write().unwrap_or_else(PoisonError::into_inner);
    FORK.with_borrow_mut(|fork| *fork = Some(guard));
}

/// Lets changes begin again.
#[pyfunction]
pub(crate) fn _after_fork() {
    FORK.with_borrow_mut(|fork| *fork = None);
}
