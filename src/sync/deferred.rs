//! Deferred callbacks: caller's code, such as a value's `drop`, that runs only on a thread that
//! holds no lock of the library.
//!
//! Such code may use any map. Were it run under a lock of the library, it might wait for a lock
//! that its own thread holds. So each such lock is held inside a [`LockScope`], and a callback that
//! comes up inside a scope is queued. The next thread to leave its outermost scope runs the queue.

use crossbeam_utils::CachePadded;
use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

thread_local! {
    /// Scopes that this thread is in.
    static SCOPES: Cell<usize> = const { Cell::new(0) };
}

type Callback = Box<dyn FnOnce() + Send>;

static QUEUE: Mutex<Vec<Callback>> = Mutex::new(Vec::new());
/// Set after each push to the queue. Read at the end of every scope, so on a cache line of its own.
static IS_QUEUED: CachePadded<AtomicBool> = CachePadded::new(AtomicBool::new(false));

/// Runs `callback` now, or queues it if this thread is in a [`LockScope`].
///
/// A running callback is in a scope itself, so callbacks that it causes are queued: however many
/// there are, they take no stack.
pub(crate) fn run_or_defer(callback: impl FnOnce() + Send + 'static) {
    if is_in_scope() {
        QUEUE.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(callback));
        return IS_QUEUED.store(true, Relaxed);
    }
    let _running = LockScope::new();
    callback();
}

/// Runs queued callbacks, unless this thread is in a [`LockScope`].
pub(crate) fn run_deferred() {
    drop(LockScope::new());
}

/// Returns whether this thread is in a [`LockScope`]: it holds a lock of the library, or runs a
/// callback.
pub(crate) fn is_in_scope() -> bool {
    SCOPES.get() > 0
}

/// The time in which a thread holds a lock of the library, or takes it. Must outlive the lock's
/// guard.
///
/// Its drop runs the queue if this was the thread's outermost scope.
pub(crate) struct LockScope(PhantomData<*const ()>);

impl LockScope {
    #[inline]
    pub(crate) fn new() -> Self {
        SCOPES.set(SCOPES.get() + 1);
        LockScope(PhantomData)
    }
}

impl Drop for LockScope {
    #[inline]
    fn drop(&mut self) {
        if SCOPES.get() == 1 && IS_QUEUED.load(Relaxed) {
            run_queue();
        }
        SCOPES.set(SCOPES.get() - 1);
    }
}

/// Runs the queue until it is empty. The thread is still in its scope, so callbacks that come up
/// here are queued, and run by the next round.
#[cold]
fn run_queue() {
    while IS_QUEUED.swap(false, Relaxed) {
        let callbacks = std::mem::take(&mut *QUEUE.lock().unwrap_or_else(PoisonError::into_inner));
        callbacks.into_iter().for_each(|callback| callback());
    }
}

/// A lock's guard with its [`LockScope`].
pub(crate) struct ScopedGuard<G> {
    // Fields are dropped in order, so the lock is released inside the scope.
    guard: G,
    _scope: LockScope,
}

impl<G> ScopedGuard<G> {
    /// Opens a scope, then calls `lock` in it, which may wait.
    #[inline]
    pub(crate) fn new(lock: impl FnOnce() -> G) -> Self {
        let scope = LockScope::new();
        ScopedGuard { guard: lock(), _scope: scope }
    }
}

impl<G: Deref> Deref for ScopedGuard<G> {
    type Target = G::Target;

    #[inline]
    fn deref(&self) -> &G::Target {
        &self.guard
    }
}

impl<G: DerefMut> DerefMut for ScopedGuard<G> {
    #[inline]
    fn deref_mut(&mut self) -> &mut G::Target {
        &mut self.guard
    }
}
