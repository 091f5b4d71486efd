//! Batches of what is retired.
//!
//! ```text
//!   retire ─▶ gathered by the thread ──full──▶ handed over to the collector ──nobody reads it──▶ ripe ─▶ freed, by the thread that retired it
//! ```
//! What a collector passes from one thread to another costs each of them cache misses, and a batch is one thing to pass. And a node is best freed by the
//! thread that took it out of the tree: its bytes are in that processor's cache, and the next node goes there. Where that thread has too much to free, or
//! no thread of its stripe is left, others do it; and if none comes, at the next flush, or when the pool has lost half of what it had: a node that waits keeps
//! a slab. What may have a caller's code in it waits for nobody.

use super::{CachePadded, STRIPES, pin_local, stripe};
use std::cell::{Cell, RefCell};
use std::mem::MaybeUninit;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes of a batch.
const BYTES: usize = 128 << 10;
/// Things in a batch, at most. There is room for them from the beginning, so what is retired takes memory only where a batch is handed over.
const MOST: usize = 192;
/// Bytes that a value counts for at least: what it owns is not known.
const VALUE: usize = BYTES / 32;
/// Ripe batches that wait for the thread that retired them, at most: what is over it is freed by whoever comes, who may only want to read, and is held up
/// for tens of microseconds. A thread that retires keeps few of them.
const RIPE: usize = 8;
const FEW: usize = 1;

/// Code that is to run once.
#[derive(Clone, Copy)]
pub(super) struct Retired {
    run: unsafe fn(*const Place),
    place: Place,
}

/// Room for what a closure owns, or for the address of a box with it. Most own the address of what they free, and little else.
type Place = MaybeUninit<[*const (); 2]>;

impl Retired {
    /// # Safety
    /// The closure may run on any thread and at any later time (R3).
    #[inline]
    pub(super) unsafe fn new<F: FnOnce()>(free: F) -> Self {
        let fits = size_of::<F>() <= size_of::<Place>() && align_of::<F>() <= align_of::<Place>();
        // SAFETY: (R3) by the caller. (R6) What fits does, and a box does.
        unsafe { if fits { Self::in_place(free) } else { Self::in_place(Box::new(free)) } }
    }

    /// # Safety
    /// As for `new`; and the closure fits the place (R6).
    #[inline]
    unsafe fn in_place<F: FnOnce()>(free: F) -> Self {
        unsafe fn run<F: FnOnce()>(place: *const Place) {
            // SAFETY: (R6) an `F` was written there.
            unsafe { place.cast::<F>().read()() }
        }
        let mut place = Place::uninit();
        // SAFETY: (R6) by the caller.
        unsafe { place.as_mut_ptr().cast::<F>().write(free) };
        Retired { run: run::<F>, place }
    }
}

/// What a thread has retired.
pub(super) struct Batch {
    all: Vec<Option<Retired>>,
    bytes: usize,
    /// The stripe whose threads free it, if they are to.
    owner: Option<usize>,
}

// SAFETY: (R3) what is in it may run on any thread.
unsafe impl Send for Batch {}

impl Batch {
    /// One thing, which frees `bytes` bytes, and is freed by whoever comes first.
    pub(super) fn of(retired: Retired, bytes: usize) -> Batch {
        Batch { all: vec![Some(retired)], bytes, owner: None }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Nobody can read any more what is in it. Leaves it to its owner, unless that has enough to do.
    pub(super) fn ripen(self) {
        if let Some(stripe) = self.owner {
            let mut ripe = RIPE_OF[stripe].0.lock();
            if ripe.threads > 0 && ripe.batches.len() < RIPE {
                RIPE_OF[stripe].0.bytes.fetch_add(self.bytes, Relaxed);
                return ripe.batches.push(self);
            }
        }
        self.free();
    }

    fn free(self) {
        for retired in self.all.iter().flatten() {
            // SAFETY: (R6) once for each.
            unsafe { (retired.run)(&raw const retired.place) };
        }
    }
}

/// A stripe's ripe batches, and the threads that are to free them.
struct Ripe {
    of: Mutex<RipeOf>,
    bytes: AtomicUsize,
}

struct RipeOf {
    batches: Vec<Batch>,
    threads: usize,
}

static RIPE_OF: [CachePadded<Ripe>; STRIPES] = [const { CachePadded(Ripe::new()) }; STRIPES];

impl Ripe {
    const fn new() -> Ripe {
        Ripe {
            of: Mutex::new(RipeOf { batches: Vec::new(), threads: 0 }),
            bytes: AtomicUsize::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, RipeOf> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Frees the oldest, if there is one. Says how many are left.
    fn free_one(&self) -> usize {
        let mut of = self.lock();
        let batch = (!of.batches.is_empty()).then(|| of.batches.remove(0));
        let left = of.batches.len();
        drop(of);
        if let Some(batch) = batch {
            self.free(batch);
        }
        left
    }

    fn free(&self, batch: Batch) {
        let bytes = batch.bytes;
        batch.free();
        self.bytes.fetch_sub(bytes, Relaxed);
    }

    /// A thread has ended. The last of a stripe leaves nothing.
    fn leave(&self) {
        let mut of = self.lock();
        of.threads -= 1;
        let left = if of.threads == 0 { std::mem::take(&mut of.batches) } else { Vec::new() };
        drop(of);
        left.into_iter().for_each(|batch| self.free(batch));
    }
}

/// Frees a ripe batch of this thread, or two if there is more than a few.
pub(super) fn free_some() {
    let ripe = &RIPE_OF[stripe()].0;
    if ripe.free_one() > FEW {
        ripe.free_one();
    }
}

/// Frees all ripe batches: nodes, and no caller's code.
pub(crate) fn free_all() {
    for CachePadded(ripe) in &RIPE_OF {
        // Others may add to it meanwhile.
        for _ in 0..RIPE {
            if ripe.bytes.load(Relaxed) == 0 || ripe.free_one() == 0 {
                break;
            }
        }
    }
}

/// Bytes in ripe batches.
pub(super) fn ripe_bytes() -> usize {
    RIPE_OF.iter().map(|ripe| ripe.0.bytes.load(Relaxed)).sum()
}

/// What a thread has retired and not handed over, which it does when it ends.
pub(super) struct Gathered {
    all: RefCell<[Option<Retired>; MOST]>,
    len: Cell<usize>,
    bytes: Cell<usize>,
    /// What they count for.
    weight: Cell<usize>,
    values: Cell<bool>,
    /// The stripe that this thread is counted in as one that frees.
    stripe: Cell<Option<usize>>,
}

impl Gathered {
    pub(super) const fn new() -> Self {
        let all = RefCell::new([None; MOST]);
        Gathered {
            all,
            len: Cell::new(0),
            bytes: Cell::new(0),
            weight: Cell::new(0),
            values: Cell::new(false),
            stripe: Cell::new(None),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// Adds something that frees `bytes` bytes. Gives the batch when it is full.
    #[inline]
    pub(super) fn add(&self, retired: Retired, bytes: usize, value: bool) -> Option<Batch> {
        let len = self.len.get();
        self.all.borrow_mut()[len] = Some(retired);
        self.len.set(len + 1);
        self.bytes.set(self.bytes.get() + bytes);
        self.weight.set(self.weight.get() + if value { bytes.max(VALUE) } else { bytes });
        self.values.set(self.values.get() || value);
        if len + 1 < MOST && self.weight.get() < BYTES {
            return None;
        }
        // What is much at once had better go back soon.
        let owner = (!self.values.get() && self.bytes.get() < 2 * BYTES)
            .then(|| self.stripe.get().unwrap_or_else(|| self.join()));
        self.take_for(owner)
    }

    /// Counts this thread as one that frees, until it ends.
    #[cold]
    fn join(&self) -> usize {
        let stripe = stripe();
        RIPE_OF[stripe].0.lock().threads += 1;
        self.stripe.set(Some(stripe));
        stripe
    }

    /// What there is, for whoever comes first.
    pub(super) fn take(&self) -> Option<Batch> {
        self.take_for(None)
    }

    #[cold]
    fn take_for(&self, owner: Option<usize>) -> Option<Batch> {
        let (len, bytes) = (self.len.take(), self.bytes.take());
        self.weight.take();
        self.values.take();
        (len > 0).then(|| Batch { all: self.all.borrow()[..len].to_vec(), bytes, owner })
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        if let Some(batch) = self.take() {
            pin_local().hand_over(batch);
        }
        if let Some(stripe) = self.stripe.get() {
            RIPE_OF[stripe].0.leave();
        }
    }
}
