//! A lock for critical sections of a few nanoseconds.
//!
//! Releasing it is a plain store, which halves the cost of the pair compared
//! with a lock that has to look for sleepers. Whoever finds it taken spins,
//! then yields, then sleeps for short times, so that a holder that lost its
//! processor gets it back.

use std::cell::UnsafeCell;
use std::hint;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Rounds of waiting in which a thread spins, and then as many in which it yields.
const ROUNDS: usize = 64;

/// A value behind a lock, on cache lines of its own.
#[repr(align(128))]
pub(super) struct Lock<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: (P7) only the one guard gives access to the value.
unsafe impl<T: Send> Sync for Lock<T> {}

/// Access to the value of a [`Lock`], which is released with it.
pub(super) struct Guard<'a, T>(&'a Lock<T>);

impl<T> Lock<T> {
    pub(super) const fn new(value: T) -> Lock<T> {
        Lock { taken: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    #[inline]
    pub(super) fn try_lock(&self) -> Option<Guard<'_, T>> {
        let free = self.taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed);
        // Lazily: a guard releases the lock when it is dropped.
        free.is_ok().then(|| Guard(self))
    }

    #[inline]
    pub(super) fn lock(&self) -> Guard<'_, T> {
        match self.try_lock() {
            Some(guard) => guard,
            None => self.wait(),
        }
    }

    #[cold]
    #[inline(never)]
    fn wait(&self) -> Guard<'_, T> {
        let early = self
            .lock_within(ROUNDS, hint::spin_loop)
            .or_else(|| self.lock_within(ROUNDS, thread::yield_now));
        early.unwrap_or_else(|| {
            loop {
                if let Some(guard) =
                    self.lock_within(1, || thread::sleep(Duration::from_micros(50)))
                {
                    return guard;
                }
            }
        })
    }

    /// Looks so often, after a pause each time, whether the lock is free, and takes it then.
    fn lock_within(&self, rounds: usize, pause: impl Fn()) -> Option<Guard<'_, T>> {
        (0..rounds).find_map(|_| {
            pause();
            if self.taken.load(Ordering::Relaxed) { None } else { self.try_lock() }
        })
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: (P7) there is one guard at a time.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: (P7) there is one guard at a time.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.0.taken.store(false, Ordering::Release);
    }
}
