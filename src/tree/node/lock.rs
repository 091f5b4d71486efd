//! The lock of a node, in two bits of its first word.
//!
//! ```text
//!   unlocked ──lock──▶ locked ──unlock────────▶ unlocked
//!                         └────mark_obsolete──▶ obsolete, for good
//! ```
//!
//! A thread that holds the lock may change a leaf's values, and take the node out of the tree.
//! Slots have locks of their own; a thread that locked a slot gives up if the node is locked.
//!
//! The other bits of the word do not change while any thread may lock. Lookups never read the two
//! bits. An obsolete node stays as it was, since no thread can lock it any more.

use crate::sync::{AtomicU64, point, wait};
use std::sync::atomic::Ordering::{Relaxed, Release, SeqCst};

const LOCKED: u64 = 1 << 5;
const OBSOLETE: u64 = 1 << 6;

/// A word with a lock in two of its bits.
#[repr(transparent)]
pub(crate) struct Lock(AtomicU64);

impl Lock {
    /// Creates an unlocked word.
    pub(crate) fn new(word: u64) -> Lock {
        debug_assert_eq!(word & (LOCKED | OBSOLETE), 0);
        Lock(AtomicU64::new(word))
    }

    /// Returns the other bits of the word.
    #[inline(always)]
    pub(crate) fn word(&self) -> u64 {
        self.0.load(Relaxed) & !(LOCKED | OBSOLETE)
    }

    /// Replaces the other bits of the word, while no other thread can lock.
    #[inline(always)]
    pub(crate) fn set_word(&self, word: u64) {
        self.0.store(word, Relaxed);
    }

    /// Returns whether the node is unlocked and current. Sequentially consistent.
    #[inline(always)]
    pub(crate) fn is_free(&self) -> bool {
        point();
        self.0.load(SeqCst) & (LOCKED | OBSOLETE) == 0
    }

    /// Waits until the node is unlocked. Returns `false` if it is obsolete.
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

    /// Locks the node. Returns `false`, without locking it, if it is obsolete.
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

    /// Unlocks the node. The caller holds the lock.
    #[inline]
    pub(crate) fn unlock(&self) {
        point();
        let word = self.0.load(Relaxed);
        debug_assert_eq!(word & (LOCKED | OBSOLETE), LOCKED);
        self.0.store(word & !LOCKED, if mutant!(UnlockRelaxed) { Relaxed } else { Release });
    }

    /// Marks the node obsolete. The caller holds the lock, and has taken the node out of the tree.
    #[inline]
    pub(crate) fn mark_obsolete(&self) {
        point();
        let word = self.0.load(Relaxed);
        debug_assert_eq!(word & (LOCKED | OBSOLETE), LOCKED);
        self.0.store(word & !LOCKED | OBSOLETE, Release);
    }
}
