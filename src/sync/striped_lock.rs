//! A striped read-write lock: writers hold one stripe, a replacer holds all.
//!
//! It guards a part of a structure that writers change and that a replacer exchanges as a whole.
//!
//! ```text
//!   read()         a writer, beside others    shares its thread's stripe
//!   lock_key(key)  a writer, alone with a key holds the stripe of the key's hash exclusively
//!   lock_all()     a replacer                 holds every stripe exclusively: no writer is active
//! ```
//! A writer looks up what it changes after it has the lock, so it never changes a part that was
//! replaced. Readers do not take the lock. Each stripe is on cache lines of its own, so that
//! writers of different stripes do not contend. A structure uses either `read` or `lock_key`: a
//! stripe is chosen by thread in the one, by key in the other.

#![forbid(unsafe_code)]

use crate::sync::deferred::ScopedGuard;
use crate::sync::stripes::{STRIPES, stripe};
use crate::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use crossbeam_utils::CachePadded;

/// See the module documentation.
pub(crate) struct StripedLock {
    stripes: [CachePadded<RwLock<()>>; STRIPES],
}

/// A thread's stripe, shared with other writers.
pub(crate) struct ReadGuard<'l>(
    #[expect(dead_code, reason = "released on drop")] ScopedGuard<RwLockReadGuard<'l, ()>>,
);

/// A key's stripe, held exclusively.
#[cfg(any(feature = "storage", memkv_loom))]
pub(crate) struct KeyGuard<'l>(
    #[expect(dead_code, reason = "released on drop")] ScopedGuard<RwLockWriteGuard<'l, ()>>,
);

/// All stripes, held exclusively.
pub(crate) struct AllGuard<'l>(
    #[expect(dead_code, reason = "released on drop")]
    ScopedGuard<[RwLockWriteGuard<'l, ()>; STRIPES]>,
);

impl StripedLock {
    pub(crate) fn new() -> Self {
        StripedLock { stripes: std::array::from_fn(|_| CachePadded::new(RwLock::new(()))) }
    }

    /// Locks this thread's stripe, shared with other writers.
    ///
    /// **Warning:** deadlocks if this thread holds a guard of the lock already.
    #[inline]
    pub(crate) fn read(&self) -> ReadGuard<'_> {
        ReadGuard(ScopedGuard::new(|| self.stripes[stripe()].read()))
    }

    /// Locks a key's stripe exclusively.
    ///
    /// **Warning:** deadlocks if this thread holds a guard of the lock already.
    #[inline]
    #[cfg(any(feature = "storage", memkv_loom))]
    pub(crate) fn lock_key(&self, key: &[u8]) -> KeyGuard<'_> {
        KeyGuard(ScopedGuard::new(|| self.stripes[stripe_of(key)].write()))
    }

    /// Locks every stripe exclusively.
    ///
    /// Stripes are locked in order, so two calls do not wait for each other.
    pub(crate) fn lock_all(&self) -> AllGuard<'_> {
        AllGuard(ScopedGuard::new(|| std::array::from_fn(|i| self.stripes[i].write())))
    }
}

/// Returns the stripe of a key, by FNV-1a over its last bytes, which differ most.
#[inline]
#[cfg(any(feature = "storage", memkv_loom))]
fn stripe_of(key: &[u8]) -> usize {
    let tail = &key[key.len().saturating_sub(16)..];
    let hash = tail.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    (hash >> 32) as usize % STRIPES
}

#[cfg(all(test, feature = "storage"))]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    #[test]
    fn all_stripes_locked_excludes_writers() {
        let (lock, active) = (StripedLock::new(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for i in 0..4u8 {
                let (lock, active) = (&lock, &active);
                scope.spawn(move || {
                    for j in 0..1000u16 {
                        let work = || {
                            active.fetch_add(1, Relaxed);
                            std::hint::spin_loop();
                            active.fetch_sub(1, Relaxed);
                        };
                        if i % 2 == 0 {
                            let _guard = lock.read();
                            work();
                        } else {
                            let _guard = lock.lock_key(&j.to_be_bytes());
                            work();
                        }
                    }
                });
            }
            for _ in 0..100 {
                let _guard = lock.lock_all();
                assert_eq!(active.load(Relaxed), 0);
            }
        });
    }
}
