//! A spin lock for critical sections of a few nanoseconds.
//!
//! Its release is a plain store, which halves the cost of a lock and release compared with a lock
//! that has to look for sleeping threads. A thread that finds it locked spins, then yields, then
//! sleeps for short times, so that a holder that lost its core gets it back.

use crate::sync;
use crossbeam_utils::CachePadded;
use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};

/// A value with a lock, on cache lines of its own.
pub(super) struct SpinLock<T>(CachePadded<Inner<T>>);

struct Inner<T> {
    locked: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: (P7) only the one guard gives access to the value.
unsafe impl<T: Send> Sync for Inner<T> {}

/// Access to the value of a [`SpinLock`], which is unlocked on drop.
pub(super) struct SpinGuard<'a, T>(&'a Inner<T>);

impl<T> SpinLock<T> {
    pub(super) const fn new(value: T) -> SpinLock<T> {
        SpinLock(CachePadded::new(Inner {
            locked: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }))
    }

    /// Locks, or returns `None` if it is locked.
    #[inline]
    pub(super) fn try_lock(&self) -> Option<SpinGuard<'_, T>> {
        let locked = &self.0.locked;
        let free = locked.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed);
        // Lazily, since the drop of a guard unlocks.
        free.is_ok().then(|| SpinGuard(&self.0))
    }

    /// Locks, and waits for that if it is locked.
    #[inline]
    pub(super) fn lock(&self) -> SpinGuard<'_, T> {
        match self.try_lock() {
            Some(guard) => guard,
            None => self.wait(),
        }
    }

    #[cold]
    #[inline(never)]
    fn wait(&self) -> SpinGuard<'_, T> {
        let mut round = 0;
        loop {
            // The pool is not modelled: threads of other models may hold the lock.
            sync::pause(round);
            if !self.0.locked.load(Ordering::Relaxed)
                && let Some(guard) = self.try_lock()
            {
                return guard;
            }
            round = round.saturating_add(1);
        }
    }
}

impl<T> Deref for SpinGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: (P7) there is one guard at a time.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for SpinGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: (P7) there is one guard at a time.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for SpinGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.0.locked.store(false, Ordering::Release);
    }
}
