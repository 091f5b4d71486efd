//! Models of ripe batches: which thread frees them, and that one does. The main thread retires; the
//! other one has the part of the collector, whose closures any thread may run.

use crate::shared::{model, models};
use loom::thread;
use memkv::batches::{RetiringThread, free_ripe, free_some, ripe_batches};
use memkv::mutant::Mutant::*;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

models! {
    ripen_and_end_of_the_thread: [RipeForNoThread, CountedOutLate];
    ripen_and_free_some: [RipeBytesCountedLate, CountedOutLate];
    ripen_and_free_all: [FreedInQueue];
    ends_of_three_threads: [RipeForNoThread, CountedOutLate];
}

/// Counts how often objects are freed. Leaked: a mutant may free an object twice.
#[derive(Clone, Copy)]
struct Freed(&'static AtomicUsize);

impl Freed {
    fn new() -> Self {
        Freed(Box::leak(Box::default()))
    }

    fn free(self) -> impl FnOnce() + Clone + Send + 'static {
        move || _ = self.0.fetch_add(1, Relaxed)
    }

    /// Checks that the objects of this many batches were freed.
    fn check(self, batches: usize) {
        assert_eq!(self.0.load(Relaxed), 2 * batches, "objects freed");
        assert_eq!(ripe_batches(), 0);
    }
}

/// A thread ends while its batch ripens.
fn ripen_and_end_of_the_thread() {
    let (freed, own) = (Freed::new(), RetiringThread::default());
    let batch = own.retire(freed.free());
    let collector = thread::spawn(move || batch.ripen());
    drop(own);
    collector.join().unwrap();
    freed.check(1);
}

/// Two batches ripen, of which the queue has room for one, while their thread frees some and ends.
fn ripen_and_free_some() {
    let (freed, own) = (Freed::new(), RetiringThread::default());
    let batches = [own.retire(freed.free()), own.retire(freed.free())];
    let collector = thread::spawn(move || batches.into_iter().for_each(|batch| batch.ripen()));
    free_some();
    assert!(ripe_batches() <= 1, "more batches are counted than may be ripe");
    drop(own);
    collector.join().unwrap();
    freed.check(2);
}

/// Of two batches one is ripe and one ripens, while two threads free all ripe ones.
fn ripen_and_free_all() {
    let (freed, later, own) = (Freed::new(), Freed::new(), RetiringThread::default());
    let (first, second) = (own.retire(freed.free()), own.retire(later.free()));
    first.ripen();
    let collector = thread::spawn(move || {
        free_ripe();
        second.ripen();
    });
    free_ripe();
    collector.join().unwrap();
    assert_eq!(freed.0.load(Relaxed), 2, "objects freed that were ripe before");
    free_ripe();
    later.check(1);
    drop(own);
}

/// Three threads of two stripes end. The batch of each ripens later, when another thread of its
/// stripe may be left.
fn ends_of_three_threads() {
    let freed = Freed::new();
    let run = |freed: Freed| {
        let own = RetiringThread::default();
        let batch = own.retire(freed.free());
        drop(own);
        batch.ripen();
    };
    let others = [(); 2].map(|()| thread::spawn(move || run(freed)));
    run(freed);
    others.map(|other| other.join().unwrap());
    freed.check(3);
}
