//! Batches of retired memory.
//!
//! ```text
//!   retire ─▶ pending batch ──full──▶ handed over ──no reader remains──▶ ripe ─▶ freed
//!             of the thread           to the collector                   by the thread that
//!                                                                        retired it
//! ```
//! Each object that a collector passes from one thread to another costs both of them cache misses,
//! so retired objects are passed in batches. And a node is best freed by the thread that
//! took it out of the tree: its bytes are in that core's cache, and that thread's next node goes
//! there.
//!
//! Other threads free a batch if its thread has too many ripe ones, or if no thread of its stripe
//! exists. All ripe batches are freed by the next [`reclaim`](super::reclaim), and when the pool
//! has lost half of its live bytes, because a node that is not freed keeps a slab from being freed.
//! A batch in which a caller's code may run is freed as soon as it is ripe, by any thread.

use crate::pool;
use crate::sync::stripes::{Striped, stripe};
use crate::sync::{AtomicUsize, Mutex};
use crossbeam_utils::CachePadded;
use std::cell::{Cell, RefCell};
use std::mem::MaybeUninit;
use std::sync::atomic::Ordering::Relaxed;

/// Bytes at which a batch is full.
pub(super) const BATCH_BYTES: usize = 128 << 10;
/// Objects at which a batch is full. Their memory is reserved from the start, so retiring allocates
/// only where a batch is handed over.
const MAX_BATCH_OBJECTS: usize = 192;
/// Bytes that a value counts for at least, since what it owns is unknown.
const MIN_VALUE_BYTES: usize = BATCH_BYTES / 32;
/// Ripe batches that a stripe may queue. Beyond it, whichever thread finds the batch frees it,
/// which can delay a reader by tens of µs. In a model one, so that a second one is too many.
const MAX_RIPE_BATCHES: usize = if cfg!(memkv_loom) { 1 } else { 8 };
/// Ripe batches above which a thread that retires frees two at a time, so that its queue shrinks.
const RIPE_BATCHES_KEPT: usize = 1;

/// A closure that frees one retired object. Must be called once.
#[derive(Clone, Copy)]
pub(super) struct Retired {
    run: unsafe fn(*const Storage),
    storage: Storage,
}

/// Memory for a closure, or for the address of a box with it. Most closures own little more than
/// the address of what they free.
type Storage = MaybeUninit<[*const (); 2]>;

impl Retired {
    /// Stores a closure, in place if it fits.
    ///
    /// # Safety
    /// The closure may run on any thread and at any later time (R3).
    #[inline]
    pub(super) unsafe fn new<F: FnOnce()>(free: F) -> Self {
        let fits =
            size_of::<F>() <= size_of::<Storage>() && align_of::<F>() <= align_of::<Storage>();
        // SAFETY: (R3) by the caller. (R6) The closure fits, and a box always does.
        unsafe { if fits { Self::in_place(free) } else { Self::in_place(Box::new(free)) } }
    }

    /// Stores a closure in place.
    ///
    /// # Safety
    /// As for `new`; and the closure fits (R6).
    #[inline]
    unsafe fn in_place<F: FnOnce()>(free: F) -> Self {
        unsafe fn run<F: FnOnce()>(storage: *const Storage) {
            // SAFETY: (R6) an `F` was written there.
            unsafe { storage.cast::<F>().read()() }
        }
        let mut storage = Storage::uninit();
        // SAFETY: (R6) by the caller.
        unsafe { storage.as_mut_ptr().cast::<F>().write(free) };
        Retired { run: run::<F>, storage }
    }
}

/// Retired objects that are handed over together.
pub(super) struct Batch {
    objects: Vec<Option<Retired>>,
    bytes: usize,
    /// The stripe whose threads free the batch; any thread if `None`.
    stripe: Option<usize>,
}

// SAFETY: (R3) the closures may run on any thread.
unsafe impl Send for Batch {}

impl Batch {
    /// Returns a batch of one object of `bytes` bytes, which any thread frees.
    pub(super) fn of(retired: Retired, bytes: usize) -> Batch {
        Batch { objects: vec![Some(retired)], bytes, stripe: None }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Queues the batch for the threads of its stripe, or frees it if it has no stripe or the queue
    /// is full. Called when no reader can remain.
    pub(super) fn ripen(self) {
        if let Some(stripe) = self.stripe {
            let ripe = RIPE.of(stripe);
            let mut queue = ripe.queue.lock();
            let has_thread = queue.threads > 0 || mutant!(RipeForNoThread);
            if has_thread && queue.batches.len() < MAX_RIPE_BATCHES {
                let bytes = self.bytes;
                if !mutant!(RipeBytesCountedLate) {
                    ripe.bytes.fetch_add(bytes, Relaxed);
                }
                queue.batches.push(self);
                drop(queue);
                if mutant!(RipeBytesCountedLate) {
                    ripe.bytes.fetch_add(bytes, Relaxed);
                }
                return;
            }
        }
        self.free();
    }

    fn free(self) {
        for retired in self.objects.iter().flatten() {
            // SAFETY: (R6) once for each.
            unsafe { (retired.run)(&raw const retired.storage) };
        }
    }
}

/// The ripe batches of a stripe.
struct RipeBatches {
    queue: Mutex<RipeQueue>,
    bytes: AtomicUsize,
}

struct RipeQueue {
    /// Oldest first.
    batches: Vec<Batch>,
    /// Threads that free the batches.
    threads: usize,
}

#[cfg(not(memkv_loom))]
static RIPE: Striped<RipeBatches> =
    Striped::new([const { CachePadded::new(RipeBatches::new()) }; crate::sync::stripes::STRIPES]);
#[cfg(memkv_loom)]
loom::lazy_static! {
    static ref RIPE: Striped<RipeBatches> =
        Striped::new(std::array::from_fn(|_| CachePadded::new(RipeBatches::new())));
}

impl RipeQueue {
    const EMPTY: RipeQueue = RipeQueue { batches: Vec::new(), threads: 0 };
}

impl RipeBatches {
    #[cfg(not(memkv_loom))]
    const fn new() -> RipeBatches {
        RipeBatches { queue: Mutex::new(RipeQueue::EMPTY), bytes: AtomicUsize::new(0) }
    }

    #[cfg(memkv_loom)]
    fn new() -> RipeBatches {
        RipeBatches { queue: Mutex::new(RipeQueue::EMPTY), bytes: AtomicUsize::new(0) }
    }

    /// Frees the oldest batch, if there is one. Returns the number of batches left.
    fn free_one(&self) -> usize {
        #[cfg(memkv_loom)]
        if mutant!(FreedInQueue) {
            return self.free_in_queue();
        }
        let mut queue = self.queue.lock();
        let batch = (!queue.batches.is_empty()).then(|| queue.batches.remove(0));
        let left = queue.batches.len();
        drop(queue);
        if let Some(batch) = batch {
            self.free(batch);
        }
        left
    }

    /// Frees the oldest batch before it leaves the queue: an error for a model to find.
    #[cfg(memkv_loom)]
    fn free_in_queue(&self) -> usize {
        let copy = |batch: &Batch| Batch { objects: batch.objects.clone(), ..*batch };
        let Some(first) = self.queue.lock().batches.first().map(copy) else { return 0 };
        let bytes = first.bytes;
        first.free();
        let mut queue = self.queue.lock();
        if !queue.batches.is_empty() {
            queue.batches.remove(0);
        }
        self.bytes.fetch_sub(bytes, Relaxed);
        queue.batches.len()
    }

    fn free(&self, batch: Batch) {
        let bytes = batch.bytes;
        batch.free();
        self.bytes.fetch_sub(bytes, Relaxed);
    }

    /// Counts a thread out that has ended. The last one of a stripe frees all batches.
    fn leave(&self) {
        let mut queue = self.queue.lock();
        let left = if queue.threads == 1 { std::mem::take(&mut queue.batches) } else { Vec::new() };
        if mutant!(CountedOutLate) {
            drop(queue);
            queue = self.queue.lock();
        }
        queue.threads -= 1;
        drop(queue);
        left.into_iter().for_each(|batch| self.free(batch));
    }
}

/// Frees one ripe batch of this thread's stripe, or two if more than [`RIPE_BATCHES_KEPT`] are
/// left.
pub(super) fn free_some() {
    let ripe = RIPE.own();
    if ripe.free_one() > RIPE_BATCHES_KEPT {
        ripe.free_one();
    }
}

/// Frees the ripe batches of all stripes. They contain nodes only, so no caller's code runs.
pub(super) fn free_ripe() {
    for ripe in RIPE.iter() {
        // Bounded, since other threads may queue more.
        for _ in 0..MAX_RIPE_BATCHES {
            if ripe.bytes.load(Relaxed) == 0 || ripe.free_one() == 0 {
                break;
            }
        }
    }
}

/// Returns the bytes of all ripe batches.
pub(super) fn ripe_bytes() -> usize {
    RIPE.iter().map(|ripe| ripe.bytes.load(Relaxed)).sum()
}

/// A thread's batch that is being filled.
pub(super) struct PendingBatch {
    objects: RefCell<[Option<Retired>; MAX_BATCH_OBJECTS]>,
    len: Cell<usize>,
    bytes: Cell<usize>,
    /// Bytes that count towards [`BATCH_BYTES`].
    weight: Cell<usize>,
    has_values: Cell<bool>,
    /// The stripe in whose `threads` this thread is counted.
    stripe: Cell<Option<usize>>,
}

impl PendingBatch {
    pub(super) const fn new() -> Self {
        PendingBatch {
            objects: RefCell::new([None; MAX_BATCH_OBJECTS]),
            len: Cell::new(0),
            bytes: Cell::new(0),
            weight: Cell::new(0),
            has_values: Cell::new(false),
            stripe: Cell::new(None),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// Adds an object of `bytes` bytes. Returns the batch if it is full.
    #[inline]
    pub(super) fn add(&self, retired: Retired, bytes: usize, is_value: bool) -> Option<Batch> {
        let len = self.len.get();
        self.objects.borrow_mut()[len] = Some(retired);
        self.len.set(len + 1);
        self.bytes.set(self.bytes.get() + bytes);
        let weight = if is_value { bytes.max(MIN_VALUE_BYTES) } else { bytes };
        self.weight.set(self.weight.get() + weight);
        self.has_values.set(self.has_values.get() || is_value);
        if len + 1 < MAX_BATCH_OBJECTS && self.weight.get() < BATCH_BYTES {
            return None;
        }
        // A large batch is freed as soon as it is ripe.
        let stripe = (!self.has_values.get() && self.bytes.get() < 2 * BATCH_BYTES)
            .then(|| self.stripe.get().unwrap_or_else(|| self.join()));
        self.take_for(stripe)
    }

    /// Counts this thread as one that frees its stripe's batches, until it ends.
    #[cold]
    fn join(&self) -> usize {
        // From here on there may be ripe batches.
        pool::on_shrink(free_ripe);
        let stripe = stripe();
        RIPE.of(stripe).queue.lock().threads += 1;
        self.stripe.set(Some(stripe));
        stripe
    }

    /// Ends what [`join`](Self::join) began. Called when the thread ends.
    pub(super) fn leave(&self) {
        if let Some(stripe) = self.stripe.take() {
            RIPE.of(stripe).leave();
        }
    }

    /// Takes the objects added so far, as a batch that any thread frees.
    pub(super) fn take(&self) -> Option<Batch> {
        self.take_for(None)
    }

    #[cold]
    fn take_for(&self, stripe: Option<usize>) -> Option<Batch> {
        let (len, bytes) = (self.len.take(), self.bytes.take());
        self.weight.take();
        self.has_values.take();
        (len > 0).then(|| Batch { objects: self.objects.borrow()[..len].to_vec(), bytes, stripe })
    }
}
