//! Reclamation: nodes taken out of a shared tree are freed when no thread can read them any more. The one file that names the collector.
//!
//! A thread *pins* before it reads a tree, and unpins when it keeps no address of a node. What is *retired* is freed when each thread
//! that was pinned at that time has unpinned. Fraser: "Practical lock-freedom", 2004, chapter 5.2.3; the implementation is
//! `crossbeam-epoch`, with a collector of the library's own, so that only pins of this library hold its memory back.
//!
//! A thread gathers what it retires, and hands it over to the collector by the batch (`batch.rs`). A batch is *ripe* when nobody can read what is in it
//! any more; the thread that retired it then frees it.
//!
//! Retired bytes are counted, in stripes on cache lines of their own. Threads that write and find much of it retired help to collect, and
//! give their time slice to those that may be pinned.

mod batch;

use crate::sync::fence;
pub(crate) use batch::free_all as free_ripe;
use batch::{Batch, Gathered, Retired};
use crossbeam_epoch::{Atomic, Collector, Guard, LocalHandle, Owned};
use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicUsize};

/// Bytes that may be retired before writers help to collect.
const SOFT_LIMIT: usize = 1 << 20;
/// Flushes at a time under a pin that lasts, at most: enough for all that is retired from one renewal to the next.
const FLUSHES: usize = 16;
/// Cells of a striped counter.
pub(crate) const STRIPES: usize = 16;

/// Bytes that each stripe's threads handed over and that are not ripe.
static WAITING: [CachePadded<AtomicUsize>; STRIPES] =
    [const { CachePadded(AtomicUsize::new(0)) }; STRIPES];
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// This thread's stripe, once it has one.
    static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) };
    /// What this thread has to do when it pins next.
    static DUE: Cell<Due> = const { Cell::new(Due::Nothing) };
    /// What this thread retired and has not handed over.
    static GATHERED: Gathered = const { Gathered::new() };
}

/// What is retired.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetiredKind {
    Node,
    /// It may own more, and a caller's code may run with it.
    Value,
    /// It may own much and lead to more, so it is handed over at once.
    Whole,
}

/// What a thread that retires owes the others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    Nothing,
    /// To pass on what it has handed over.
    Flush,
    /// To help to collect: there is too much.
    Help,
}

#[cfg(not(loom))]
fn collector() -> &'static Collector {
    static COLLECTOR: std::sync::OnceLock<Collector> = std::sync::OnceLock::new();
    COLLECTOR.get_or_init(Collector::new)
}

#[cfg(not(loom))]
thread_local! {
    static LOCAL: LocalHandle = collector().register();
}

#[cfg(loom)]
loom::lazy_static! {
    static ref COLLECTOR: Collector = Collector::new();
}

#[cfg(loom)]
fn collector() -> &'static Collector {
    &COLLECTOR
}

#[cfg(loom)]
loom::thread_local! {
    static LOCAL: LocalHandle = collector().register();
}

/// The stripe that this thread counts in.
#[inline]
pub(crate) fn stripe() -> usize {
    let stripe = STRIPE.get();
    if stripe < STRIPES { stripe } else { first_stripe() }
}

#[cold]
fn first_stripe() -> usize {
    let stripe = THREADS.fetch_add(1, Relaxed) % STRIPES;
    STRIPE.set(stripe);
    stripe
}

/// Keeps what this thread reads from being freed. Not `Send`.
pub(crate) struct Pin(Guard);

/// What models put in the collector's place: its own atomics make most executions, so models of something else do without.
#[cfg(loom)]
#[expect(unreachable_pub, reason = "models choose it")]
pub mod plain {
    use super::Pin;
    use std::cell::{Cell, RefCell};

    thread_local! {
        static CHOSEN: Cell<bool> = const { Cell::new(false) };
        static LATER: RefCell<Vec<Box<dyn FnOnce()>>> = const { RefCell::new(Vec::new()) };
    }

    /// Chooses whether nodes that models of this thread retire are kept until [`free`].
    pub fn choose(plain: bool) {
        CHOSEN.set(plain);
        // What a model that failed has left is gone.
        LATER.take().into_iter().for_each(std::mem::forget);
    }

    /// Frees what was retired. Nobody uses a map any more.
    pub fn free() {
        LATER.take().into_iter().for_each(|free| free());
    }

    pub(super) fn is_chosen() -> bool {
        CHOSEN.get()
    }

    pub(super) fn retire(free: impl FnOnce()) {
        let free: Box<dyn FnOnce()> = Box::new(free);
        // SAFETY: (R3) the closure owns what it uses.
        let free =
            unsafe { std::mem::transmute::<Box<dyn FnOnce() + '_>, Box<dyn FnOnce()>>(free) };
        LATER.with_borrow_mut(|later| later.push(free));
    }

    pub(super) fn pin() -> Pin {
        // SAFETY: (R1) a guard without a collector has no state to copy. It holds nothing back; models that choose it free nothing meanwhile, or are
        // to find that it does not.
        Pin(unsafe { std::ptr::read(crossbeam_epoch::unprotected()) })
    }
}

impl Pin {
    /// Pins anew: what was reached under this pin before must not be used any more, which the mutable borrow sees to.
    #[inline]
    pub(crate) fn renew(&mut self) {
        self.0.repin();
    }

    /// Does what is due, as [`pin_to_write`] does: for a pin that lasts, after it was renewed. Where the thread has other pins, little can be freed.
    #[inline]
    pub(crate) fn help(&self) {
        if DUE.get() != Due::Nothing {
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
        // A flush runs some of what it may; how much that frees is not known before.
        for _ in 0..FLUSHES {
            if waiting() <= SOFT_LIMIT {
                return;
            }
            self.0.flush();
        }
        std::thread::yield_now();
    }

    /// Runs `free` when no thread that is pinned now is still pinned. It frees `bytes` bytes.
    ///
    /// # Safety
    /// `free` may run on any thread and at any later time (R3), and owns all it uses.
    #[inline]
    pub(crate) unsafe fn retire(&self, what: RetiredKind, bytes: usize, free: impl FnOnce()) {
        #[cfg(loom)]
        if plain::is_chosen() {
            return plain::retire(free);
        }
        // SAFETY: (R3) by the caller.
        let retired = unsafe { Retired::new(free) };
        // To the standard library all threads of a model are one, so there each thing is handed over by itself. And a thread may be ending.
        let alone = || Some(Batch::of(retired, bytes));
        let full = if cfg!(loom) || what == RetiredKind::Whole {
            alone()
        } else {
            GATHERED
                .try_with(|gathered| gathered.add(retired, bytes, what == RetiredKind::Value))
                .unwrap_or_else(|_| alone())
        };
        let Some(batch) = full else { return };
        self.hand_over(batch);
        if !cfg!(loom) {
            DUE.set(if waiting() > SOFT_LIMIT { Due::Help } else { Due::Flush });
        }
    }

    #[cold]
    #[inline(never)]
    fn hand_over(&self, batch: Batch) {
        let (bytes, stripe) = (batch.bytes(), stripe());
        WAITING[stripe].0.fetch_add(bytes, Relaxed);
        let ripen = move || {
            batch.ripen();
            WAITING[stripe].0.fetch_sub(bytes, Relaxed);
        };
        // SAFETY: (R3) by those who retired what is in it.
        unsafe { self.0.defer_unchecked(ripen) };
    }

    /// Hands what this thread retired to all, and frees what can be freed.
    pub(crate) fn flush(&self) {
        if let Ok(Some(batch)) = GATHERED.try_with(Gathered::take) {
            self.hand_over(batch);
        }
        self.0.flush();
    }
}

/// A place for a value that is replaced as a whole. Readers get it by one load, and may use it while they stay pinned; what is replaced is
/// retired.
pub(crate) struct Swap<T>(Atomic<T>);

impl<T: Send + Sync + 'static> Swap<T> {
    pub(crate) fn new(value: T) -> Self {
        Swap(Atomic::new(value))
    }

    /// The value of now.
    #[inline]
    pub(crate) fn load<'p>(&'p self, pin: &'p Pin) -> &'p T {
        // SAFETY: (R5) a value is there from `new` to the drop, and the one loaded under a pin is not freed until that ends.
        unsafe { self.0.load(Acquire, &pin.0).deref() }
    }

    /// Whether `value`, which was loaded under a pin that still lasts, has not been replaced.
    #[inline]
    pub(crate) fn is(&self, value: &T, pin: &Pin) -> bool {
        // What was read of the value's parts was read before this.
        fence(Acquire);
        std::ptr::eq(self.0.load(Relaxed, &pin.0).as_raw(), value)
    }

    /// Puts `value` in the place of what is there, which is dropped when nobody can be reading it.
    pub(crate) fn replace(&self, value: T, pin: &Pin) {
        let old = self.0.swap(Owned::new(value), AcqRel, &pin.0).as_raw() as usize;
        // SAFETY: (R3, R5) the swap took the only address of the value; it is `Send`, and came from a box.
        unsafe {
            pin.retire(RetiredKind::Whole, size_of::<T>(), move || {
                drop(Box::from_raw(old as *mut T))
            })
        };
        // As after every change of a tree (C6).
        fence(SeqCst);
    }
}

impl<T> Drop for Swap<T> {
    fn drop(&mut self) {
        // SAFETY: (R5) nobody uses it any more.
        drop(unsafe { std::mem::replace(&mut self.0, Atomic::null()).into_owned() });
    }
}

/// Pins this thread, to read.
#[inline]
pub(crate) fn pin() -> Pin {
    #[cfg(loom)]
    if crate::testing::mutant::is(crate::testing::mutant::Mutant::ReaderNotPinned) {
        return plain::pin();
    }
    pin_local()
}

#[inline]
fn pin_local() -> Pin {
    #[cfg(loom)]
    if plain::is_chosen() {
        return plain::pin();
    }
    // A thread that is ending has no handle any more.
    LOCAL.try_with(|local| Pin(local.pin())).unwrap_or_else(|_| Pin(collector().register().pin()))
}

/// Pins this thread, to write. What is due it does first, unless it is pinned already.
#[inline]
pub(crate) fn pin_to_write() -> Pin {
    if DUE.get() != Due::Nothing && !is_pinned() {
        help();
    }
    pin_local()
}

thread_local! {
    /// How many locks of the library this thread has.
    static LOCKS: Cell<usize> = const { Cell::new(0) };
}

/// What is read often, on a cache line of its own.
#[repr(align(128))]
pub(crate) struct CachePadded<T>(pub(crate) T);

/// A caller's code that waits until the thread that came to run it has no lock.
type Later = Box<dyn FnOnce() + Send>;

static LATER: std::sync::Mutex<Vec<Later>> = std::sync::Mutex::new(Vec::new());
static IS_LATER: CachePadded<AtomicBool> = CachePadded(AtomicBool::new(false));

/// Runs a caller's code, which may use any map, now; or, while this thread has a lock or runs such code already, afterwards: so it meets no lock of
/// its own thread, and takes no stack however much there is.
pub(crate) fn apart(work: impl FnOnce() + Send + 'static) {
    if LOCKS.get() > 0 {
        LATER.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(work));
        return IS_LATER.0.store(true, Relaxed);
    }
    let _running = Locking::new();
    work();
}

/// This thread has a lock of the library's, or is about to take it. It ends after the lock does.
pub(crate) struct Locking(PhantomData<*const ()>);

impl Locking {
    #[inline]
    pub(crate) fn new() -> Self {
        LOCKS.set(LOCKS.get() + 1);
        Locking(PhantomData)
    }
}

impl Drop for Locking {
    #[inline]
    fn drop(&mut self) {
        if LOCKS.get() == 1 && IS_LATER.0.load(Relaxed) {
            run_later();
        }
        LOCKS.set(LOCKS.get() - 1);
    }
}

/// Whether this thread has a lock of the library's, or runs what waited for one.
#[cfg(feature = "storage")]
pub(crate) fn is_locking() -> bool {
    LOCKS.get() > 0
}

/// Runs what waits. The thread counts as locking meanwhile, so what comes up then waits, too.
#[cold]
fn run_later() {
    while IS_LATER.0.swap(false, Relaxed) {
        let all = std::mem::take(&mut *LATER.lock().unwrap_or_else(PoisonError::into_inner));
        all.into_iter().for_each(|work| work());
    }
}

/// A lock's guard, with a note that this thread has it.
pub(crate) struct Noted<G> {
    guard: G,
    _locking: Locking,
}

impl<G> Noted<G> {
    /// The guard that `lock` waits for.
    #[inline]
    pub(crate) fn new(lock: impl FnOnce() -> G) -> Self {
        let locking = Locking::new();
        Noted { guard: lock(), _locking: locking }
    }
}

impl<G: Deref> Deref for Noted<G> {
    type Target = G::Target;

    #[inline]
    fn deref(&self) -> &G::Target {
        &self.guard
    }
}

impl<G: DerefMut> DerefMut for Noted<G> {
    #[inline]
    fn deref_mut(&mut self) -> &mut G::Target {
        &mut self.guard
    }
}

/// Whether this thread is pinned.
pub(crate) fn is_pinned() -> bool {
    #[cfg(loom)]
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

/// Frees what can be freed: all that this thread retired, and what others have handed over, unless a thread stays pinned.
pub(crate) fn flush() {
    let mut pin = pin_local();
    // What is retired now is free two epochs on; each round hands over, collects a part, and may advance the epoch.
    for _ in 0..if cfg!(loom) { 3 } else { 4 } {
        pin.flush();
        pin.renew();
    }
    let mut before = usize::MAX;
    while pending() < before && !cfg!(loom) {
        before = pending();
        for _ in 0..16 {
            pin.flush();
            pin.renew();
            free_ripe();
        }
    }
    drop(pin);
    // Another thread may have left some to whoever comes first.
    drop(Locking::new());
}

/// Bytes that are handed over and not yet ripe.
fn waiting() -> usize {
    WAITING.iter().map(|stripe| stripe.0.load(Relaxed)).sum()
}

/// Bytes that are retired and not yet freed, of all maps together. What other threads have gathered is not in it; what just becomes ripe may be twice.
pub(crate) fn pending() -> usize {
    GATHERED.try_with(Gathered::bytes).unwrap_or(0) + waiting() + batch::ripe_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// Flushes until something is done: other tests pin, too, and hold it back for a while. Says whether it was.
    fn flush_until(done: impl Fn() -> bool) -> bool {
        (0..10_000).any(|_| {
            flush();
            std::thread::yield_now();
            done()
        })
    }

    #[test]
    fn what_is_replaced_is_dropped_once_and_not_under_a_pin() {
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
        flush();
        assert_eq!(first.1, 0);
        assert!(!swap.is(first, &early));
        assert!(swap.is(swap.load(&early), &early));
        assert_eq!(swap.load(&early).1, 100);
        assert_eq!(dropped.load(Relaxed), 0, "dropped under a pin");
        drop(early);
        drop(swap);
        assert!(
            flush_until(|| dropped.load(Relaxed) == 101),
            "{} of 101 dropped",
            dropped.load(Relaxed)
        );
    }

    #[test]
    fn what_is_retired_is_freed_once_and_not_under_a_pin() {
        let freed = Arc::new(AtomicUsize::new(0));
        let early = pin();
        for _ in 0..1000 {
            let freed = Arc::clone(&freed);
            // SAFETY: (R3) the closure owns the counter's handle, which is `Send`.
            unsafe { pin().retire(RetiredKind::Node, 16, move || _ = freed.fetch_add(1, Relaxed)) };
        }
        flush();
        assert_eq!(freed.load(Relaxed), 0, "freed under a pin");
        drop(early);
        assert!(
            flush_until(|| freed.load(Relaxed) == 1000),
            "{} of 1000 freed",
            freed.load(Relaxed)
        );
    }

    /// Retires things of so many bytes that count how often they are freed, each under a pin of its own.
    fn retire_many(what: RetiredKind, count: usize, bytes: usize, freed: &Arc<[AtomicUsize]>) {
        for i in 0..count {
            let freed = Arc::clone(freed);
            let free = move || _ = freed[i].fetch_add(1, Relaxed);
            // SAFETY: (R3) the closure owns the counters' handle, which is `Send`.
            unsafe { pin_to_write().retire(what, bytes, free) };
        }
    }

    /// Pins, as those do who only read, until something is done. Says whether it was.
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

    /// No batch waits for good while the thread that retired it goes on.
    #[test]
    fn a_thread_that_goes_on_frees_all_but_the_last_it_retired() {
        let freed = counters(40_000);
        retire_many(RetiredKind::Node, 40_000, 1 << 10, &freed);
        // Other tests pin, and hold it back for a while.
        for _ in 0..10_000 {
            let more = counters(1000);
            retire_many(RetiredKind::Node, 1000, 1 << 10, &more);
            if all_once(&freed) {
                return;
            }
            std::thread::yield_now();
        }
        panic!(
            "the first that waits is {:?}",
            freed.iter().position(|freed| freed.load(Relaxed) == 0)
        );
    }

    /// A value is dropped though the thread that retired it is gone, and others only read.
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

    /// Nodes are freed though the thread that retired them is gone, and others only read.
    #[test]
    fn nodes_wait_for_no_thread_that_has_ended() {
        const COUNT: usize = 2000;
        // A thread of another stripe: one that only reads frees nothing of its own.
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
        // Threads of other tests may be of the same stripe.
        assert!((0..60).any(|_| freed()));
    }

    #[test]
    fn what_is_freed_may_retire_more() {
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
        assert!(flush_until(|| done.load(Relaxed) == 1), "something waits");
    }
}
