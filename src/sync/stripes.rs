//! Stripes: data of which each thread uses one of [`STRIPES`] copies, so that threads of different
//! stripes write to different cache lines.
//!
//! In a model of loom, whose threads are all one thread to the standard library, each execution
//! gives the stripes anew.

use crossbeam_utils::CachePadded;
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Stripes of each striped structure. Few under loom, which explores their interleavings.
pub(crate) const STRIPES: usize = if cfg!(memkv_loom) { 2 } else { 16 };

/// Threads that have a stripe, ended ones included.
#[cfg(not(memkv_loom))]
static THREADS: AtomicUsize = AtomicUsize::new(0);
#[cfg(memkv_loom)]
loom::lazy_static! {
    static ref THREADS: AtomicUsize = AtomicUsize::new(0);
}

#[cfg(not(memkv_loom))]
thread_local! {
    /// This thread's stripe; `usize::MAX` until it has one.
    static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) };
}
#[cfg(memkv_loom)]
loom::thread_local! {
    static STRIPE: Cell<usize> = Cell::new(usize::MAX);
}

/// Returns this thread's stripe, below [`STRIPES`]. Threads take stripes in turn.
#[inline]
pub(crate) fn stripe() -> usize {
    let stripe = STRIPE.with(Cell::get);
    if stripe < STRIPES { stripe } else { assign_stripe() }
}

#[cold]
fn assign_stripe() -> usize {
    let stripe = THREADS.fetch_add(1, Relaxed) % STRIPES;
    STRIPE.with(|own| own.set(stripe));
    stripe
}

/// One `T` for each stripe, each on cache lines of its own.
pub(crate) struct Striped<T>([CachePadded<T>; STRIPES]);

/// A counter that threads of different stripes change without sharing a cache line.
pub(crate) type StripedCounter = Striped<AtomicUsize>;

impl<T> Striped<T> {
    pub(crate) const fn new(stripes: [CachePadded<T>; STRIPES]) -> Self {
        Striped(stripes)
    }

    /// Returns the `T` of this thread's stripe.
    #[inline]
    pub(crate) fn own(&self) -> &T {
        self.of(stripe())
    }

    /// Returns the `T` of a stripe.
    #[inline]
    pub(crate) fn of(&self, stripe: usize) -> &T {
        &self.0[stripe]
    }

    /// Returns the `T` of each stripe, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|stripe| &**stripe)
    }
}

impl StripedCounter {
    /// Returns a counter of 0.
    pub(crate) const fn zero() -> Self {
        Striped([const { CachePadded::new(AtomicUsize::new(0)) }; STRIPES])
    }

    /// Returns the count, modulo the word size.
    ///
    /// Stripes are read one after the other, so the sum need not be a count of any one moment while
    /// other threads count. It may even be below zero, wrapped around.
    pub(crate) fn sum(&self) -> usize {
        self.iter().fold(0, |sum, count| sum.wrapping_add(count.load(Relaxed)))
    }
}
