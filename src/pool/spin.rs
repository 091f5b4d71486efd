//! A spin lock for critical sections of a few nanoseconds.
//!
//! Its release is a plain store, which halves the cost of a lock and release compared with a lock
//! that has to look for sleeping threads. A thread that finds it locked spins, then yields, then
//! sleeps for short times, so that a holder that lost its core gets it back.

use crate::sync;
use crossbeam_utils::CachePadded;
use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering;
#[cfg(memkv_loom)]
use {
    loom::cell::UnsafeCell as Tracked, loom::sync::atomic::AtomicBool as LoomBool,
    std::mem::ManuallyDrop, std::sync::OnceLock,
};

/// A value with a lock, on cache lines of its own.
pub(super) struct SpinLock<T>(CachePadded<Inner<T>>);

struct Inner<T> {
    lock: LockWord,
    value: UnsafeCell<T>,
}

#[cfg(not(memkv_loom))]
use std::sync::atomic::AtomicBool as LockWord;

// SAFETY: (P7) only the one guard gives access to the value.
unsafe impl<T: Send> Sync for Inner<T> {}

/// Access to the value of a [`SpinLock`], which is unlocked on drop.
pub(super) struct SpinGuard<'a, T>(&'a Inner<T>);

impl<T> SpinLock<T> {
    pub(super) const fn new(value: T) -> SpinLock<T> {
        SpinLock(CachePadded::new(Inner {
            lock: LockWord::new(false),
            value: UnsafeCell::new(value),
        }))
    }

    /// Locks, or returns `None` if it is locked.
    #[inline]
    pub(super) fn try_lock(&self) -> Option<SpinGuard<'_, T>> {
        let lock = &self.0.lock;
        let free = lock.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed);
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
            if cfg!(memkv_loom) {
                sync::wait(round);
            } else {
                // Under shuttle threads of other models may hold the lock.
                sync::pause(round);
            }
            if !self.0.lock.load(Ordering::Relaxed)
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
        self.0.note_read();
        // SAFETY: (P7) there is one guard at a time.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for SpinGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.0.note_write();
        // SAFETY: (P7) there is one guard at a time.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for SpinGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let relaxed = mutant!(SpinUnlockRelaxed);
        self.0.lock.store(false, if relaxed { Ordering::Relaxed } else { Ordering::Release });
    }
}

#[cfg(not(memkv_loom))]
impl<T> Inner<T> {
    #[inline(always)]
    fn note_read(&self) {}

    #[inline(always)]
    fn note_write(&self) {}
}

/// Loom's objects, which exist from the first use on. The locks of the pool of all maps are not
/// used in a model; each execution makes a pool of its own.
#[cfg(memkv_loom)]
struct LockWord(ManuallyDrop<OnceLock<(LoomBool, Tracked<()>)>>);

#[cfg(memkv_loom)]
impl LockWord {
    const fn new(_locked: bool) -> LockWord {
        // Not dropped, as an array of locks could not be a constant otherwise.
        LockWord(ManuallyDrop::new(OnceLock::new()))
    }

    /// Returns the cell that stands for the value.
    fn accesses(&self) -> &Tracked<()> {
        &self.objects().1
    }

    fn objects(&self) -> &(LoomBool, Tracked<()>) {
        self.0.get_or_init(|| (LoomBool::new(false), Tracked::new(())))
    }
}

#[cfg(memkv_loom)]
impl Deref for LockWord {
    type Target = LoomBool;

    fn deref(&self) -> &LoomBool {
        &self.objects().0
    }
}

#[cfg(memkv_loom)]
impl<T> Inner<T> {
    /// Reports an access to the value, which must come after those of other threads.
    fn note_read(&self) {
        self.lock.accesses().with(|_| ());
    }

    fn note_write(&self) {
        self.lock.accesses().with_mut(|_| ());
    }
}

#[cfg(memkv_loom)]
impl<T> SpinLock<T> {
    /// Returns the value without locking.
    ///
    /// # Safety
    /// No guard exists (P7), or this is an error for a model to find.
    #[expect(clippy::mut_from_ref, reason = "a guard's access, without the guard")]
    pub(super) unsafe fn unlocked(&self) -> &mut T {
        self.0.note_write();
        // SAFETY: (P7) by the caller.
        unsafe { &mut *self.0.value.get() }
    }
}
