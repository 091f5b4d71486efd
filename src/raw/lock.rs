//! The lock of a node, in its first word: who holds it may change the node's slots or values, and take the node out of the tree.
//!
//! ```text
//!   free ──lock──▶ locked ──unlock──▶ free
//!                    └────retire────▶ obsolete, for good
//! ```
//!
//! Readers never look at it. A node that was taken out of the tree stays as it was at that moment, because nobody can lock it any more.

use crate::sync::{AtomicU64, wait};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

const LOCKED: u64 = 1;
const OBSOLETE: u64 = 2;

/// A lock word.
#[repr(transparent)]
pub(crate) struct Lock(AtomicU64);

impl Lock {
    pub(crate) fn new() -> Lock {
        Lock(AtomicU64::new(0))
    }

    /// Waits for the lock. `false`: the node has been taken out of the tree, and is not locked.
    #[inline]
    #[must_use]
    pub(super) fn lock(&self) -> bool {
        let mut round = 0;
        loop {
            match self.0.compare_exchange_weak(0, LOCKED, Acquire, Relaxed) {
                Ok(_) => {
                    count!(LockTaken);
                    return true;
                }
                Err(word) if word & OBSOLETE != 0 => {
                    count!(LockObsolete);
                    return false;
                }
                Err(_) => wait(round),
            }
            round += 1;
        }
    }

    /// The caller holds the lock.
    #[inline]
    pub(super) fn unlock(&self) {
        debug_assert_eq!(self.0.load(Relaxed), LOCKED);
        self.0.store(0, if mutant!(UnlockRelaxed) { Relaxed } else { Release });
    }

    /// Gives the lock up for good. The caller holds it, and has taken the node out of the tree.
    #[inline]
    pub(super) fn retire(&self) {
        debug_assert_eq!(self.0.load(Relaxed), LOCKED);
        self.0.store(OBSOLETE, Release);
    }
}
