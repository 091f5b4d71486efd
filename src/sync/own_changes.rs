//! Whether a thread has changed a shared map since it last looked.
//!
//! A scan reads ahead. What its own thread changes afterwards it has to see nevertheless, so each
//! thread numbers its changes, and a scan compares numbers at each step. A number is of one thread
//! only: a scan that is sent to another thread sees that thread's changes too. No memory is shared
//! between threads, unless one takes a new block of numbers.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bits of a number within its block.
const BLOCK_BITS: u32 = 32;
/// The state of threads that have made no change: the last number of the block that no thread has.
const NONE: u64 = (1 << BLOCK_BITS) - 1;

/// Blocks that threads have taken, and the one of [`NONE`].
static BLOCKS: AtomicU64 = AtomicU64::new(1);

#[cfg(not(any(memkv_loom, memkv_shuttle)))]
thread_local! {
    /// The number of this thread's last change.
    static LAST: Cell<u64> = const { Cell::new(NONE) };
}
#[cfg(memkv_loom)]
loom::thread_local! {
    static LAST: Cell<u64> = Cell::new(NONE);
}
#[cfg(memkv_shuttle)]
shuttle::thread_local! {
    static LAST: Cell<u64> = Cell::new(NONE);
}

/// The last change of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastChange(u64);

impl LastChange {
    /// The last change of a thread that has made none.
    pub(crate) const NONE: Self = LastChange(NONE);

    /// Returns the last change of this thread.
    #[inline]
    pub(crate) fn of_this_thread() -> Self {
        LastChange(LAST.with(Cell::get))
    }
}

/// Counts a change of this thread.
#[inline]
pub(crate) fn count() {
    LAST.with(|last| {
        let next = last.get() + 1;
        last.set(if next << (u64::BITS - BLOCK_BITS) == 0 { first_of_block() } else { next });
    });
}

#[cold]
fn first_of_block() -> u64 {
    BLOCKS.fetch_add(1, Relaxed) << BLOCK_BITS
}

#[cfg(all(test, not(any(memkv_loom, memkv_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn numbers_differ_between_threads_and_changes() {
        let changes = || {
            let before = LastChange::of_this_thread();
            let after = [0; 3].map(|_| {
                count();
                LastChange::of_this_thread().0
            });
            (before, after)
        };
        let threads = [0; 4].map(|_| std::thread::spawn(changes));
        let mut seen = Vec::new();
        for thread in threads {
            let (before, after) = thread.join().unwrap();
            assert_eq!(before, LastChange::NONE);
            seen.extend(after);
        }
        let all = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), all);
        assert!(!seen.contains(&NONE));
    }

    #[test]
    fn a_full_block_is_followed_by_another() {
        LAST.set((7 << BLOCK_BITS) - 1);
        count();
        let LastChange(number) = LastChange::of_this_thread();
        assert_eq!(number % (1 << BLOCK_BITS), 0);
        assert!(number >> BLOCK_BITS < BLOCKS.load(Relaxed) && number > NONE);
    }
}
