//! Reclamation: frees nodes taken out of a shared tree once no thread can read them any more.
//!
//! A thread *pins* before it reads a tree, and unpins when it keeps no address of a node. Memory
//! that is *retired* is freed when each thread that was pinned at that time has unpinned. Fraser:
//! "Practical lock-freedom", 2004, chapter 5.2.3. The implementation is `crossbeam-epoch`, with a
//! collector of the library's own, so that only pins of this library delay it. No other folder uses
//! that crate.
//!
//! A thread fills a batch with what it retires, and hands the batch over to the collector
//! (`batch.rs`). A batch is *ripe* when no reader can remain. Then the thread that retired it frees
//! it.
//!
//! A `Swap` (`swap.rs`) is a value that is replaced as a whole, and retired. Models use `plain.rs`
//! in place of the collector.
//!
//! The time between two hand-overs is an `Era`: of what a thread reached under a pin, nothing is
//! freed under a later pin of the same era (SAFETY.md, R7).
//!
//! Retired bytes are counted, in stripes. A thread that writes while many bytes are retired helps
//! to collect, and yields to threads that may be pinned.

mod batch;
#[cfg(memkv_loom)]
pub mod model;
#[cfg(memkv_loom)]
pub mod plain;
mod swap;

use crate::sync::deferred::run_deferred;
use crate::sync::stripes::{StripedCounter, stripe};
use crate::sync::{AtomicU64, in_order};
use batch::{Batch, PendingBatch, Retired};
use crossbeam_epoch::{Collector, Guard, LocalHandle};
use std::cell::Cell;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
pub(crate) use swap::Swap;

/// Handed-over bytes above which writers help to collect.
const HELP_BYTES: usize = 1 << 20;
/// Flushes of the collector in one call of [`Pin::help`], at most. They suffice for all that is
/// retired from one renewal of a pin to the next.
const MAX_HELP_FLUSHES: usize = 16;

/// Bytes handed over by the threads of each stripe that are not ripe.
static HANDED_OVER: StripedCounter = StripedCounter::zero();

/// Batches that were handed over so far, or that are about to be.
#[cfg(not(memkv_loom))]
static HAND_OVERS: AtomicU64 = AtomicU64::new(0);
#[cfg(memkv_loom)]
loom::lazy_static! {
    static ref HAND_OVERS: AtomicU64 = AtomicU64::new(0);
}

/// The time between two hand-overs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Era(u64);

thread_local! {
    /// What this thread has to do when it pins next.
    static DUE: Cell<Due> = const { Cell::new(Due::Nothing) };
    static PENDING: OwnBatch = const { OwnBatch(PendingBatch::new()) };
}

/// This thread's pending batch. Handed over when it is full, or when the thread ends.
struct OwnBatch(PendingBatch);

impl Drop for OwnBatch {
    fn drop(&mut self) {
        if let Some(batch) = self.0.take() {
            pin_local().hand_over(batch);
        }
        self.0.leave();
    }
}

/// The kind of a retired object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetiredKind {
    Node,
    /// May own more memory. Freeing it may run a caller's code.
    Value,
    /// A whole table or state. May own much memory, so it is handed over at once.
    Whole,
}

/// What a thread that retires has to do for the others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    Nothing,
    /// Flush, so that the collector sees what the thread handed over.
    Flush,
    /// Help to collect: more than [`HELP_BYTES`] are handed over.
    Help,
}

#[cfg(not(memkv_loom))]
fn collector() -> &'static Collector {
    static COLLECTOR: std::sync::OnceLock<Collector> = std::sync::OnceLock::new();
    COLLECTOR.get_or_init(Collector::new)
}

#[cfg(not(memkv_loom))]
thread_local! {
    static LOCAL: LocalHandle = collector().register();
}

#[cfg(memkv_loom)]
loom::lazy_static! {
    static ref COLLECTOR: Collector = Collector::new();
}

#[cfg(memkv_loom)]
fn collector() -> &'static Collector {
    &COLLECTOR
}

#[cfg(memkv_loom)]
loom::thread_local! {
    static LOCAL: LocalHandle = collector().register();
}

/// Keeps what this thread reads from being freed. Not `Send`.
pub(crate) struct Pin(Guard);

impl Pin {
    /// Returns the era. What the thread reads under the pin after the call stays live under a later
    /// pin of any thread for which this returns the same (R7).
    #[inline]
    pub(crate) fn era(&self) -> Era {
        #[cfg(memkv_loom)]
        if plain::is_chosen() {
            return Era(0);
        }
        in_order();
        Era(HAND_OVERS.load(SeqCst))
    }

    /// Unpins and pins again. References obtained under the pin end here, which the mutable borrow
    /// ensures.
    #[inline]
    pub(crate) fn renew(&mut self) {
        self.0.repin();
    }

    /// Does what is due, as [`pin_to_write`] does. For a pin that lasts, after it was renewed.
    ///
    /// If the thread has other pins, little can be freed.
    #[inline]
    pub(crate) fn help(&self) {
        if is_due() {
            self.collect();
        }
    }

    #[cold]
    fn collect(&self) {
        let due = DUE.replace(Due::Nothing);
        batch::free_some();
        if due == Due::Flush {
            return self.0.flush();
        }
        // A flush runs some of the closures that may run; how many bytes that frees is unknown.
        for _ in 0..MAX_HELP_FLUSHES {
            if HANDED_OVER.sum() <= HELP_BYTES {
                return;
            }
            self.0.flush();
        }
        std::thread::yield_now();
    }

    /// Runs `free`, which frees `bytes` bytes, when each thread that is pinned now has unpinned.
    ///
    /// # Safety
    /// `free` may run on any thread and at any later time (R3), and owns all it uses.
    #[inline]
    pub(crate) unsafe fn retire(&self, kind: RetiredKind, bytes: usize, free: impl FnOnce()) {
        #[cfg(memkv_loom)]
        if plain::is_chosen() {
            return plain::retire(free);
        }
        // SAFETY: (R3) by the caller.
        let retired = unsafe { Retired::new(free) };
        // A batch of its own: if the thread is ending, and under loom, whose threads are all one
        // thread to the standard library.
        let single = || Some(Batch::of(retired, bytes));
        let full = if cfg!(memkv_loom) || kind == RetiredKind::Whole {
            single()
        } else {
            PENDING
                .try_with(|pending| pending.0.add(retired, bytes, kind == RetiredKind::Value))
                .unwrap_or_else(|_| single())
        };
        let Some(batch) = full else { return };
        self.hand_over(batch);
        if !cfg!(memkv_loom) {
            DUE.set(if HANDED_OVER.sum() > HELP_BYTES { Due::Help } else { Due::Flush });
        }
    }

    #[cold]
    #[inline(never)]
    fn hand_over(&self, batch: Batch) {
        // Before the collector gets it (R7).
        HAND_OVERS.fetch_add(1, SeqCst);
        in_order();
        let (bytes, stripe) = (batch.bytes(), stripe());
        HANDED_OVER.of(stripe).fetch_add(bytes, Relaxed);
        let ripen = move || {
            batch.ripen();
            HANDED_OVER.of(stripe).fetch_sub(bytes, Relaxed);
        };
        // SAFETY: (R3) by the callers of `retire` for what is in the batch.
        unsafe { self.0.defer_unchecked(ripen) };
    }

    /// Hands over this thread's pending batch, and frees some of what can be freed.
    pub(crate) fn reclaim(&self) {
        if let Ok(Some(batch)) = PENDING.try_with(|pending| pending.0.take()) {
            self.hand_over(batch);
        }
        self.0.flush();
    }
}

/// Pins this thread for reading.
#[inline]
pub(crate) fn pin() -> Pin {
    #[cfg(memkv_loom)]
    if crate::testing::mutant::is(crate::testing::mutant::Mutant::ReaderNotPinned) {
        return Pin(plain::guard());
    }
    pin_local()
}

#[inline]
fn pin_local() -> Pin {
    #[cfg(memkv_loom)]
    if plain::is_chosen() {
        return Pin(plain::guard());
    }
    // A thread that is ending has no handle; it takes a new one.
    LOCAL.try_with(|local| Pin(local.pin())).unwrap_or_else(|_| Pin(collector().register().pin()))
}

/// Pins this thread for writing. First does what is due, unless the thread is pinned already.
#[inline]
pub(crate) fn pin_to_write() -> Pin {
    if is_due() && !is_pinned() {
        help();
    }
    pin_local()
}

/// Returns whether this thread has something to do for the others. See [`Pin::help`].
#[inline]
pub(crate) fn is_due() -> bool {
    DUE.get() != Due::Nothing
}

/// Returns whether this thread is pinned.
pub(crate) fn is_pinned() -> bool {
    #[cfg(memkv_loom)]
    if plain::is_chosen() {
        return false;
    }
    LOCAL.try_with(LocalHandle::is_pinned).unwrap_or(false)
}

#[cold]
fn help() {
    let due = DUE.replace(Due::Nothing);
    batch::free_some();
    pin_local().0.flush();
    if due == Due::Help {
        std::thread::yield_now();
        pin_local().0.flush();
    }
}

/// Frees all that this thread retired and all that others handed over, unless a thread stays
/// pinned.
pub(crate) fn reclaim() {
    let mut pin = pin_local();
    // Memory retired now can be freed two epochs later. Each round hands over, collects some, and
    // may advance the epoch.
    for _ in 0..if cfg!(memkv_loom) { 3 } else { 4 } {
        pin.reclaim();
        pin.renew();
    }
    let mut before = usize::MAX;
    while !cfg!(memkv_loom) && retired_bytes() < before {
        before = retired_bytes();
        for _ in 0..16 {
            pin.reclaim();
            pin.renew();
            batch::free_ripe();
        }
    }
    drop(pin);
    // Another thread may have queued callbacks.
    run_deferred();
}

/// Returns the bytes that are retired and not yet freed, of all maps together.
///
/// Pending batches of other threads are left out. A batch that just becomes ripe may count twice.
pub(crate) fn retired_bytes() -> usize {
    PENDING.try_with(|pending| pending.0.bytes()).unwrap_or(0)
        + HANDED_OVER.sum()
        + batch::ripe_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    /// Reclaims until `done` returns true, since pins of other tests delay it. Returns whether it
    /// did.
    fn reclaim_until(done: impl Fn() -> bool) -> bool {
        (0..10_000).any(|_| {
            reclaim();
            std::thread::yield_now();
            done()
        })
    }

    #[test]
    fn replaced_values_are_dropped_once_and_not_under_a_pin() {
        struct Counted(Arc<AtomicUsize>, usize);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.fetch_add(1, Relaxed);
            }
        }
        let dropped = Arc::new(AtomicUsize::new(0));
        let swap = Swap::new(Counted(Arc::clone(&dropped), 0));
        let early = pin();
        let first = swap.load(&early);
        for i in 1..=100 {
            swap.replace(Counted(Arc::clone(&dropped), i), &pin());
        }
        reclaim();
        assert_eq!(first.1, 0);
        assert!(!swap.is_current(first, &early));
        assert!(swap.is_current(swap.load(&early), &early));
        assert_eq!(swap.load(&early).1, 100);
        assert_eq!(dropped.load(Relaxed), 0, "dropped under a pin");
        drop(early);
        drop(swap);
        assert!(
            reclaim_until(|| dropped.load(Relaxed) == 101),
            "{} of 101 dropped",
            dropped.load(Relaxed)
        );
    }

    #[test]
    fn retired_objects_are_freed_once_and_not_under_a_pin() {
        let freed = Arc::new(AtomicUsize::new(0));
        let early = pin();
        for _ in 0..1000 {
            let freed = Arc::clone(&freed);
            // SAFETY: (R3) the closure owns the counter's handle, which is `Send`.
            unsafe { pin().retire(RetiredKind::Node, 16, move || _ = freed.fetch_add(1, Relaxed)) };
        }
        reclaim();
        assert_eq!(freed.load(Relaxed), 0, "freed under a pin");
        drop(early);
        assert!(
            reclaim_until(|| freed.load(Relaxed) == 1000),
            "{} of 1000 freed",
            freed.load(Relaxed)
        );
    }

    /// Retires objects that count how often they are freed, each under a pin of its own.
    fn retire_many(kind: RetiredKind, count: usize, bytes: usize, freed: &Arc<[AtomicUsize]>) {
        for i in 0..count {
            let freed = Arc::clone(freed);
            let free = move || _ = freed[i].fetch_add(1, Relaxed);
            // SAFETY: (R3) the closure owns the counters' handle, which is `Send`.
            unsafe { pin_to_write().retire(kind, bytes, free) };
        }
    }

    /// Pins, as a thread does that only reads, until `done` returns true. Returns whether it did.
    fn pin_until(done: impl Fn() -> bool) -> bool {
        (0..10_000_000).any(|i| {
            drop(pin());
            if i % 1000 == 0 {
                std::thread::yield_now();
            }
            done()
        })
    }

    fn all_once(freed: &[AtomicUsize]) -> bool {
        freed.iter().all(|freed| freed.load(Relaxed) == 1)
    }

    fn counters(count: usize) -> Arc<[AtomicUsize]> {
        (0..count).map(|_| AtomicUsize::new(0)).collect()
    }

    /// No batch stays ripe for ever while the thread that retired it goes on retiring.
    #[test]
    fn a_thread_that_goes_on_frees_all_but_its_last_batches() {
        let freed = counters(40_000);
        retire_many(RetiredKind::Node, 40_000, 1 << 10, &freed);
        // Pins of other tests delay it.
        for _ in 0..10_000 {
            let more = counters(1000);
            retire_many(RetiredKind::Node, 1000, 1 << 10, &more);
            if all_once(&freed) {
                return;
            }
            std::thread::yield_now();
        }
        panic!(
            "the first object not freed is {:?}",
            freed.iter().position(|freed| freed.load(Relaxed) == 0)
        );
    }

    /// A value is dropped even if the thread that retired it has ended and others only read.
    #[test]
    fn values_wait_for_no_thread() {
        for count in [1, 100] {
            let freed = counters(count);
            let by_thread = Arc::clone(&freed);
            std::thread::spawn(move || retire_many(RetiredKind::Value, count, 8, &by_thread))
                .join()
                .unwrap();
            assert!(pin_until(|| all_once(&freed)), "{count} values");
        }
    }

    /// Nodes are freed even if the thread that retired them has ended and others only read.
    #[test]
    fn nodes_wait_for_no_thread_that_has_ended() {
        const COUNT: usize = 2000;
        // Needs a thread of another stripe: this one only reads, so it never frees its own batches.
        let own = stripe();
        let freed = || {
            let freed = counters(COUNT);
            let by_thread = Arc::clone(&freed);
            let work = move || {
                let other = stripe() != own;
                if other {
                    retire_many(RetiredKind::Node, COUNT, 1 << 10, &by_thread);
                }
                other
            };
            while !std::thread::spawn(work.clone()).join().unwrap() {}
            pin_until(|| all_once(&freed))
        };
        // Threads of other tests may be in the same stripe.
        assert!((0..60).any(|_| freed()));
    }

    #[test]
    fn freeing_may_retire_more() {
        let done = Arc::new(AtomicUsize::new(0));
        let mut free: Box<dyn FnOnce() + Send> = {
            let done = Arc::clone(&done);
            Box::new(move || done.store(1, Relaxed))
        };
        for _ in 0..3 {
            let inner = free;
            // SAFETY: (R3) the closure owns what it uses, which is `Send`.
            free = Box::new(move || unsafe { pin().retire(RetiredKind::Value, 1 << 20, inner) });
        }
        // SAFETY: (R3) as above.
        unsafe { pin().retire(RetiredKind::Value, 1 << 20, free) };
        assert!(reclaim_until(|| done.load(Relaxed) == 1), "not all objects are freed");
    }
}
