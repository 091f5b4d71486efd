//! Where parallel work runs: in the pool that rayon would use, or, in a forked process, in a pool
//! of its own.
//!
//! `fork` copies one thread alone. So the global pool of rayon has no threads in the child, and
//! work that is sent to it waits for ever. Every public function that uses rayon calls [`in_pool`]
//! or [`spawn_or`]; iterators for the caller are a [`PooledIter`].
//!
//! | thread that calls | where its work runs |
//! |---|---|
//! | a thread of a pool | there, in any process. A worker that forked does it alone |
//! | another, in the process of the first call | in rayon's global pool |
//! | another, in a process forked later | in a pool that its first call makes |
//!
//! The first call is what tells a parent from a child: a fork before it is not noticed.
//!
//! Another thread may hold a lock at the fork, which no one releases in the child. Therefore all
//! state here is atomic, and the pool of a process is in a cell that only its own threads know.

use crate::io::process::Process;
use crossbeam_utils::atomic::AtomicCell;
use rayon::ThreadPool;
use rayon::iter::plumbing::{Consumer, ProducerCallback, UnindexedConsumer};
use rayon::prelude::*;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

/// The process of the first call, or 0.
static FIRST_PROCESS: AtomicU32 = AtomicU32::new(0);
/// Threads of the pool of the first call, or 0. A forked process has as many.
static THREADS: AtomicUsize = AtomicUsize::new(0);
/// The pool of the last forked process that had one. Those of its ancestors are leaked: their
/// threads cannot be joined.
static FORKED_POOL: AtomicCell<Option<&'static ForkedPool>> = AtomicCell::new(None);

struct ForkedPool {
    process: Process,
    /// Only threads of `process` wait for it.
    pool: OnceLock<ThreadPool>,
}

impl PartialEq for ForkedPool {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for ForkedPool {}

/// Returns this process if it was forked since the first call, and this thread is in no pool.
fn forked() -> Option<Process> {
    if !cfg!(unix) {
        return None;
    }
    let first = FIRST_PROCESS.load(Relaxed);
    if first == 0 {
        FIRST_PROCESS.store(Process::current().id(), Relaxed);
        THREADS.store(rayon::current_num_threads(), Relaxed);
        return None;
    }
    if rayon::current_thread_index().is_some() {
        return None;
    }
    let process = Process::current();
    (process.id() != first).then_some(process)
}

/// Returns the pool of a forked process, and makes it if there is none yet.
#[cold]
fn pool_of(process: Process) -> &'static ThreadPool {
    let last = FORKED_POOL.load();
    let own = last.filter(|last| last.process == process).unwrap_or_else(|| {
        let new: &'static ForkedPool =
            Box::leak(Box::new(ForkedPool { process, pool: OnceLock::new() }));
        // If it fails, another thread of this process was faster.
        FORKED_POOL.compare_exchange(last, Some(new)).err().flatten().unwrap_or(new)
    });
    own.pool.get_or_init(|| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(THREADS.load(Relaxed))
            .build()
            .expect("the threads of a pool can be started")
    })
}

/// Runs `work` where rayon's functions have threads: on this thread, or in the pool of a forked
/// process.
pub(crate) fn in_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    match forked() {
        None => work(),
        Some(process) => pool_of(process).install(work),
    }
}

/// Runs `work` on the threads of `own`, if there are any, or as [`in_pool`] does.
#[cfg(feature = "storage")]
pub(crate) fn in_pool_or<R: Send>(own: Option<&ThreadPool>, work: impl FnOnce() -> R + Send) -> R {
    match own {
        None => in_pool(work),
        Some(own) => own.install(work),
    }
}

/// Begins a job where [`in_pool_or`] would run it, and returns the number of threads there.
#[cfg(feature = "storage")]
pub(crate) fn spawn_or(own: Option<&ThreadPool>, job: impl FnOnce() + Send + 'static) -> usize {
    match own.or_else(|| forked().map(pool_of)) {
        None => {
            rayon::spawn(job);
            rayon::current_num_threads()
        }
        Some(pool) => {
            pool.spawn(job);
            pool.current_num_threads()
        }
    }
}

/// A parallel iterator that runs by [`in_pool`].
///
/// In a forked process a caller that asks for its producer, as `enumerate` and `zip` do, gets one
/// that is not divided: the caller may not be `Send`, so it stays on its thread.
pub(crate) struct PooledIter<I>(pub(crate) I);

impl<I: ParallelIterator> ParallelIterator for PooledIter<I> {
    type Item = I::Item;

    fn drive_unindexed<C: UnindexedConsumer<I::Item>>(self, consumer: C) -> C::Result {
        in_pool(|| self.0.drive_unindexed(consumer))
    }

    fn opt_len(&self) -> Option<usize> {
        self.0.opt_len()
    }
}

impl<I: IndexedParallelIterator> IndexedParallelIterator for PooledIter<I> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn drive<C: Consumer<I::Item>>(self, consumer: C) -> C::Result {
        in_pool(|| self.0.drive(consumer))
    }

    fn with_producer<CB: ProducerCallback<I::Item>>(self, callback: CB) -> CB::Output {
        match forked() {
            None => self.0.with_producer(callback),
            Some(_) => self.0.with_min_len(usize::MAX).with_producer(callback),
        }
    }
}
