//! Atomics and waiting: the standard library's, or loom's in a model. Under `cfg(shuttle)` the atomics are the standard library's, and threads are
//! switched at each [`point`]: all of them are tasks of one thread, so what lies between two points is one step.

#![forbid(unsafe_code)]

pub(crate) mod striped_lock;

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, fence};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU64, fence};

#[cfg(loom)]
pub(crate) use loom::cell::UnsafeCell;

/// Loom's cell, whose accesses it is told of, as the standard library's.
#[cfg(not(loom))]
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    #[inline(always)]
    pub(crate) fn new(value: T) -> Self {
        UnsafeCell(std::cell::UnsafeCell::new(value))
    }

    #[inline(always)]
    pub(crate) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}

#[cfg(not(loom))]
pub(crate) use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Loom's lock with the methods of parking_lot's: a model that panics has failed, so no lock is poisoned.
#[cfg(loom)]
pub(crate) struct RwLock<T>(loom::sync::RwLock<T>);
#[cfg(loom)]
pub(crate) use loom::sync::{RwLockReadGuard, RwLockWriteGuard};

#[cfg(loom)]
impl<T> RwLock<T> {
    pub(crate) fn new(value: T) -> Self {
        RwLock(loom::sync::RwLock::new(value))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap()
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().unwrap()
    }
}

/// What follows reads or writes what threads share: shuttle may let another thread go first.
#[inline(always)]
pub(crate) fn point() {
    #[cfg(shuttle)]
    if !std::thread::panicking() {
        shuttle::sync::atomic::AtomicU8::new(0).load(std::sync::atomic::Ordering::SeqCst);
    }
}

/// Puts a read-modify-write before this and a load behind it, both sequentially consistent, in one order with those of other threads. They
/// are without it, but loom takes them for weaker ones.
#[inline(always)]
pub(crate) fn in_order() {
    #[cfg(loom)]
    if !crate::testing::mutant::is(crate::testing::mutant::Mutant::NotInOrder) {
        fence(std::sync::atomic::Ordering::SeqCst);
    }
}

/// Lets others go on, the longer the more rounds one has waited.
#[cold]
pub(crate) fn wait(round: u32) {
    #[cfg(loom)]
    {
        let _ = round;
        loom::thread::yield_now();
    }
    #[cfg(shuttle)]
    {
        let _ = round;
        shuttle::thread::yield_now();
    }
    #[cfg(not(any(loom, shuttle)))]
    match round {
        0..64 => std::hint::spin_loop(),
        64..192 => std::thread::yield_now(),
        // A holder that lost its processor to those who wait for it gets it back.
        _ => std::thread::sleep(std::time::Duration::from_micros(50)),
    }
}
