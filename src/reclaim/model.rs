//! Batches without the collector, for loom: a model passes a batch on where the collector would.

#![expect(missing_docs, missing_debug_implementations, reason = "for models")]

use super::batch::{self, BATCH_BYTES, Batch, PendingBatch, Retired};

/// A thread's pending batch. The thread ends when it is dropped.
pub struct RetiringThread(PendingBatch);

/// A full batch that the collector has.
pub struct HandedOver(Batch);

impl Default for RetiringThread {
    fn default() -> Self {
        RetiringThread(PendingBatch::new())
    }
}

impl RetiringThread {
    /// Fills a batch with two objects, and hands it over. Each calls `free` when it is freed.
    pub fn retire(&self, free: impl FnOnce() + Clone + Send + 'static) -> HandedOver {
        let half = |free| {
            // SAFETY: (R3) the closure owns what it uses, and is `Send`.
            let retired = unsafe { Retired::new(free) };
            self.0.add(retired, BATCH_BYTES / 2, false)
        };
        assert!(half(free.clone()).is_none(), "the batch is not full");
        HandedOver(half(free).expect("the batch is full"))
    }
}

impl Drop for RetiringThread {
    fn drop(&mut self) {
        assert!(self.0.take().is_none());
        self.0.leave();
    }
}

impl HandedOver {
    /// Passes the batch on, as the collector does once no reader remains.
    pub fn ripen(self) {
        self.0.ripen();
    }
}

/// Frees ripe batches of this thread's stripe, as a thread does that retires.
pub fn free_some() {
    batch::free_some();
}

/// Frees the ripe batches of all stripes.
pub fn free_ripe() {
    batch::free_ripe();
}

/// Returns the ripe batches of all stripes, by their bytes.
pub fn ripe_batches() -> usize {
    batch::ripe_bytes() / BATCH_BYTES
}
