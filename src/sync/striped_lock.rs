//! Who may change a part of a structure while another would replace that part: writers enter a gate, the replacer closes it.
//!
//! ```text
//!   writer, any change of the part:   enter()   shares the stripe of its thread
//!   writer, one at a time for a key:  lock(key) has the stripe of the key's hash to itself
//!   replacer:                         close()   has every stripe to itself: no writer is inside, and none comes in
//! ```
//! A writer looks up what it changes after it came in, so it never changes what a replacer has taken away. Readers do not come here. Stripes
//! lie on cache lines of their own, so that writers of different stripes do not meet. A structure uses `enter` or `lock`, not both: one stripe's
//! writers either share it by thread or divide it by key.

#![forbid(unsafe_code)]

use crate::reclaim::{self, Noted};
use crate::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Locks of a gate. Loom explores few.
const STRIPES: usize = if cfg!(loom) { 2 } else { reclaim::STRIPES };

#[repr(align(128))]
struct Stripe(RwLock<()>);

/// A lock in stripes.
pub(crate) struct StripedLock {
    stripes: [Stripe; STRIPES],
}

/// A writer that is inside, beside others.
pub(crate) struct Entered<'g>(#[expect(dead_code, reason = "held")] Noted<RwLockReadGuard<'g, ()>>);

/// A writer that is inside, alone with the keys of its stripe.
#[cfg(any(feature = "storage", loom))]
pub(crate) struct Locked<'g>(#[expect(dead_code, reason = "held")] Noted<RwLockWriteGuard<'g, ()>>);

/// Nobody else is inside.
pub(crate) struct Closed<'g>(
    #[expect(dead_code, reason = "held")] Noted<[RwLockWriteGuard<'g, ()>; STRIPES]>,
);

impl StripedLock {
    pub(crate) fn new() -> Self {
        StripedLock { stripes: std::array::from_fn(|_| Stripe(RwLock::new(()))) }
    }

    /// Waits while the gate is closed. Not to be called again by who is inside.
    #[inline]
    pub(crate) fn read(&self) -> Entered<'_> {
        Entered(Noted::new(|| self.stripes[reclaim::stripe() % STRIPES].0.read()))
    }

    /// Waits while the gate is closed, or another changes a key of the same stripe. Not to be called again by who is inside.
    #[inline]
    #[cfg(any(feature = "storage", loom))]
    pub(crate) fn lock_key(&self, key: &[u8]) -> Locked<'_> {
        Locked(Noted::new(|| self.stripes[spread(key) % STRIPES].0.write()))
    }

    /// Waits until all who are inside have left; keeps others out until it is dropped. Stripes are taken in order, so two that close do
    /// not wait for each other.
    pub(crate) fn lock_all(&self) -> Closed<'_> {
        Closed(Noted::new(|| std::array::from_fn(|i| self.stripes[i].0.write())))
    }
}

/// The stripe of a key: FNV-1a over its last bytes, which differ most.
#[inline]
#[cfg(any(feature = "storage", loom))]
fn spread(key: &[u8]) -> usize {
    let tail = &key[key.len().saturating_sub(16)..];
    let hash = tail.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    (hash >> 32) as usize
}

#[cfg(all(test, feature = "storage"))]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    #[test]
    fn a_closed_gate_has_nobody_inside() {
        let (gate, inside) = (StripedLock::new(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for i in 0..4u8 {
                let (gate, inside) = (&gate, &inside);
                scope.spawn(move || {
                    for j in 0..1000u16 {
                        let work = || {
                            inside.fetch_add(1, Relaxed);
                            std::hint::spin_loop();
                            inside.fetch_sub(1, Relaxed);
                        };
                        if i % 2 == 0 {
                            let _inside = gate.read();
                            work();
                        } else {
                            let _inside = gate.lock_key(&j.to_be_bytes());
                            work();
                        }
                    }
                });
            }
            for _ in 0..100 {
                let _closed = gate.lock_all();
                assert_eq!(inside.load(Relaxed), 0);
            }
        });
    }
}
