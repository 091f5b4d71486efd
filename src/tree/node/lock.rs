//! The lock of a node, in two bits of its first word: who holds it may change a leaf's values, and take the node out of the tree. Slots have locks of
//! their own, which nobody takes who then finds the node locked.
//!
//! ```text
//!   free ──lock──▶ locked ──unlock──▶ free
//!                    └────retire────▶ obsolete, for good
//! ```
//!
//! The other bits of the word stay as they are while anyone may lock. Lookups never look at the two. A node that was taken out of the tree
//! stays as it was at that moment, because nobody can lock it any more.

use crate::sync::{AtomicU64, point, wait};
use std::sync::atomic::Ordering::{Relaxed, Release, SeqCst};

const LOCKED: u64 = 1 << 5;
const OBSOLETE: u64 = 1 << 6;

/// A word with a lock in it.
#[repr(transparent)]
pub(crate) struct Lock(AtomicU64);

impl Lock {
    /// A word that nobody has locked.
    pub(crate) fn new(word: u64) -> Lock {
        debug_assert_eq!(word & (LOCKED | OBSOLETE), 0);
        Lock(AtomicU64::new(word))
    }

    /// The rest of the word.
    #[inline(always)]
    pub(crate) fn word(&self) -> u64 {
        self.0.load(Relaxed) & !(LOCKED | OBSOLETE)
    }

    /// Changes the rest of the word, while nobody else can lock.
    #[inline(always)]
    pub(crate) fn set_word(&self, word: u64) {
        self.0.store(word, Relaxed);
    }

    /// Whether nobody has the lock, nor can have replaced the node. In one order with all that is of this order.
    #[inline(always)]
    pub(crate) fn is_free(&self) -> bool {
        point();
        self.0.load(SeqCst) & (LOCKED | OBSOLETE) == 0
    }

    /// Waits until nobody has the lock. `false`: the node has been taken out of the tree.
    #[cold]
    pub(crate) fn wait(&self) -> bool {
        let mut round = 0;
        loop {
            point();
            let word = self.0.load(Relaxed);
            if word & LOCKED == 0 {
                return word & OBSOLETE == 0;
            }
            wait(round);
            round += 1;
        }
    }

    /// Waits for the lock. `false`: the node has been taken out of the tree, and is not locked.
    #[inline]
    #[must_use]
    pub(crate) fn lock(&self) -> bool {
        let (mut round, mut free) = (0, self.word());
        loop {
            point();
            match self.0.compare_exchange_weak(free, free | LOCKED, SeqCst, Relaxed) {
                Ok(_) => {
                    cover!(LockTaken);
                    return true;
                }
                Err(word) if word & OBSOLETE != 0 => {
                    cover!(LockObsolete);
                    return false;
                }
                Err(word) => {
                    free = word & !LOCKED;
                    wait(round);
                }
            }
            round += 1;
        }
    }

    /// The caller holds the lock.
    #[inline]
    pub(crate) fn unlock(&self) {
        point();
        let word = self.0.load(Relaxed);
        debug_assert_eq!(word & (LOCKED | OBSOLETE), LOCKED);
        self.0.store(word & !LOCKED, if mutant!(UnlockRelaxed) { Relaxed } else { Release });
    }

    /// Gives the lock up for good. The caller holds it, and has taken the node out of the tree.
    #[inline]
    pub(crate) fn retire(&self) {
        point();
        let word = self.0.load(Relaxed);
        debug_assert_eq!(word & (LOCKED | OBSOLETE), LOCKED);
        self.0.store(word & !LOCKED | OBSOLETE, Release);
    }
}
