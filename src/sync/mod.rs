//! Synchronization: atomics and locks of the standard library or of a model checker, and what is
//! built on them.
//!
//! * `stripes`: data of which each thread uses one of several copies.
//! * `striped_lock`: a read-write lock with stripes.
//! * `deferred`: caller's code that waits until its thread holds no lock.
//! * `own_changes`: whether a thread has changed a shared map since it last looked.
//! * `parallel`: where rayon's work runs, also in a forked process.
//!
//! Under `cfg(memkv_loom)` atomics, cells and locks are loom's. Under `cfg(memkv_shuttle)` they are
//! the standard library's, and shuttle switches threads at each [`point`]. All threads of a shuttle
//! model are tasks of one thread, so the code between two points is one step.

#![forbid(unsafe_code)]

pub(crate) mod deferred;
pub(crate) mod own_changes;
#[cfg(feature = "parallel")]
pub(crate) mod parallel;
pub(crate) mod striped_lock;
pub(crate) mod stripes;

#[cfg(memkv_loom)]
pub(crate) use loom::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, fence};
#[cfg(not(memkv_loom))]
pub(crate) use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, fence};

#[cfg(memkv_loom)]
pub(crate) use loom::cell::UnsafeCell;

/// The standard library's cell with the interface of loom's, which sees each access.
#[cfg(not(memkv_loom))]
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(memkv_loom))]
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

#[cfg(not(memkv_loom))]
pub(crate) use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Loom's lock with the interface of parking_lot's. A model that panics has failed, so poisoning
/// does not matter.
#[cfg(memkv_loom)]
pub(crate) struct RwLock<T>(loom::sync::RwLock<T>);
/// See [`RwLock`].
#[cfg(memkv_loom)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);
#[cfg(memkv_loom)]
pub(crate) use loom::sync::{MutexGuard, RwLockReadGuard, RwLockWriteGuard};

#[cfg(memkv_loom)]
impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Mutex(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap()
    }
}

#[cfg(memkv_loom)]
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

/// Lets shuttle run other threads. Called before each access to shared data.
#[inline(always)]
pub(crate) fn point() {
    #[cfg(memkv_shuttle)]
    if !std::thread::panicking() {
        shuttle::sync::atomic::AtomicU8::new(0).load(std::sync::atomic::Ordering::SeqCst);
    }
}

/// Orders a sequentially consistent read-modify-write before a sequentially consistent load.
///
/// The language orders them without it, but loom treats them as weaker. So this is a fence under
/// loom, and nothing elsewhere.
#[inline(always)]
pub(crate) fn in_order() {
    #[cfg(memkv_loom)]
    if !crate::testing::mutant::is(crate::testing::mutant::Mutant::NotInOrder) {
        fence(std::sync::atomic::Ordering::SeqCst);
    }
}

/// Waits a moment for another thread of the program or of the model. See [`pause`].
#[cold]
pub(crate) fn wait(round: u32) {
    #[cfg(memkv_loom)]
    {
        let _ = round;
        loom::thread::yield_now();
    }
    #[cfg(memkv_shuttle)]
    {
        let _ = round;
        shuttle::thread::yield_now();
    }
    #[cfg(not(any(memkv_loom, memkv_shuttle)))]
    pause(round);
}

/// Waits a moment, so that other threads make progress: spins, then yields, then sleeps, by the
/// number of rounds waited so far.
///
/// For what a model does not see: models that other threads of the process run are not part of it.
#[cold]
pub(crate) fn pause(round: u32) {
    match round {
        0..64 => std::hint::spin_loop(),
        64..192 => std::thread::yield_now(),
        // A holder that lost its core to the threads that wait for it gets it back.
        _ => std::thread::sleep(std::time::Duration::from_micros(50)),
    }
}
