//! Compaction: the changes and the base into a new base, while others read and write.
//!
//! A store in a folder goes through these steps; after each, the folder opens to the same content:
//!
//! ```text
//!   create the next log ─▶ seal ─▶ merge ─▶ write the layer ─▶ rename the manifest ─▶ land ─▶ remove what it does not name
//! ```
//! Where one fails, the sealed delta stays where it is, and the next compaction begins with it.

#![forbid(unsafe_code)]

use super::error::HybridError;
use super::folder::Folder;
use super::options::HybridOptions;
use super::state::{Base, Core, State};
use super::stats::{HybridStats, HybridUsage};
use crate::FrozenLayer;
use crate::reclaim;
use crate::sync::deferred::{LockScope, ScopedGuard};
use parking_lot::{Mutex, MutexGuard};
use std::mem;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

impl Base for FrozenLayer {
    #[inline]
    fn get(&self, key: &[u8]) -> Option<u64> {
        FrozenLayer::get(self, key)
    }
}

/// Time that the background waits after a failure before it tries again.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// A base that has grown by this factor is built anew, with new symbols.
const GROWTH: usize = 4;

/// A store without the thread that compacts it.
pub(super) struct Shared {
    pub(super) core: Core<FrozenLayer>,
    pub(super) options: HybridOptions,
    /// Whoever compacts holds it for all the time.
    pub(super) work: Mutex<Work>,
    /// What compactions did; the sizes are not kept here.
    pub(super) done: Mutex<HybridStats>,
    /// Whether a thread compacts in the background.
    pub(super) is_busy: AtomicBool,
    /// Bytes of the logs that were read when the store was opened, until what they say is in the base.
    pub(super) replayed: AtomicU64,
    /// When a compaction failed last.
    pub(super) failed: Mutex<Option<Instant>>,
}

/// What a compaction needs for itself.
pub(super) struct Work {
    pub(super) folder: Option<Folder>,
    /// Keys that the base had when its symbols were found.
    pub(super) trained: usize,
}

impl Shared {
    /// Merges all changes made before the call into the base.
    pub(super) fn compact(&self) -> Result<(), HybridError> {
        self.compact_with(&mut self.work())
    }

    /// Waits to be the one that compacts.
    pub(super) fn work(&self) -> ScopedGuard<MutexGuard<'_, Work>> {
        ScopedGuard::new(|| self.work.lock())
    }

    pub(super) fn compact_with(&self, work: &mut Work) -> Result<(), HybridError> {
        let result = self.try_compact(work);
        self.note(result.as_ref().err().map(ToString::to_string));
        result
    }

    /// Takes note of how a compaction ended.
    pub(super) fn note(&self, failure: Option<String>) {
        *self.failed.lock() = failure.is_some().then(Instant::now);
        let mut done = self.done.lock();
        done.failures += u64::from(failure.is_some());
        done.last_failure = failure;
    }

    fn try_compact(&self, work: &mut Work) -> Result<(), HybridError> {
        if self.core.with(|state| state.sealed.is_some()) {
            self.merge(work)?;
        }
        let is_settled = work.folder.as_ref().is_none_or(Folder::is_settled);
        if is_settled && self.core.with(|state| state.delta.is_empty()) {
            self.replayed.store(0, Relaxed);
            return Ok(());
        }
        let next = work.folder.as_ref().map_or(Ok(None), Folder::next_log)?;
        let begin = Instant::now();
        self.core.seal(next.clone().map(|log| log as _));
        let pause = begin.elapsed();
        if let Some(folder) = &mut work.folder {
            folder.rotate(next);
        }
        let mut done = self.done.lock();
        done.longest_pause = done.longest_pause.max(pause);
        drop(done);
        self.merge(work)
    }

    /// Merges the sealed delta into the base.
    fn merge(&self, work: &mut Work) -> Result<(), HybridError> {
        let begin = Instant::now();
        let State { sealed, base, .. } = self.core.parts();
        let Some(sealed) = sealed else { return Ok(()) };
        // What its threads come to collect waits until the compaction is done, as what this one does.
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.options.threads)
            .start_handler(|_| mem::forget(LockScope::new()))
            .build();
        let pool = pool.map_err(|error| HybridError::Io(std::io::Error::other(error)))?;
        // Symbols that were found in few keys may not fit the many of now.
        let few = base.len() + sealed.len() <= GROWTH * work.trained;
        let count = if few { sealed.len() } else { usize::MAX };
        let patch =
            || base.patch(&self.options.frozen, count, |(start, end)| sealed.batches(start, end));
        // By a thread of its own: one of another pool would do other work meanwhile, and may come to wait for this very compaction.
        let patched = thread::scope(|scope| {
            Ok(thread::Builder::new().spawn_scoped(scope, || pool.install(patch))?.join())
        });
        let patched =
            patched.map_err(HybridError::Io)?.unwrap_or_else(|panic| resume_unwind(panic));
        let patched = patched.map_err(|error| HybridError::Base { file: None, error })?;
        let trained = if patched.rebuilt { patched.layer.len() } else { work.trained };
        if let Some(folder) = &mut work.folder {
            folder.land(&patched.layer, trained)?;
        }
        work.trained = trained;
        self.core.land(patched.layer);
        self.replayed.store(0, Relaxed);
        let mut done = self.done.lock();
        done.compactions += 1;
        done.last_compaction = begin.elapsed();
        (done.last_reused, done.last_encoded) = (patched.reused, patched.encoded);
        drop(done);
        drop((sealed, base));
        // The old parts go when nobody is reading them.
        reclaim::reclaim();
        Ok(())
    }

    /// Whether the changes take more than they may, or a compaction has left some behind; but not just after one has failed.
    pub(super) fn is_over(&self) -> bool {
        let failed = *self.failed.lock();
        if failed.is_some_and(|failed| failed.elapsed() < AFTER_FAILURE) {
            return false;
        }
        let (is_left, delta, log, base) = self.core.with(|state| {
            let log = self.replayed.load(Relaxed)
                + state.delta.journal().map_or(0, |journal| journal.bytes());
            (
                failed.is_some() && state.sealed.is_some(),
                state.delta.bytes(),
                log,
                state.base.memory_usage().total(),
            )
        });
        let (part, whole) =
            (delta as u128 * 100, base as u128 * self.options.compact_percent as u128);
        is_left
            || log > self.options.compact_log
            || delta > self.options.compact_bytes && part > whole
    }

    /// Compacts for as long as there is too much, in the background.
    pub(super) fn run(&self) {
        let _busy = Busy(self);
        loop {
            let mut work = self.work();
            // Another thread may have compacted meanwhile. What an empty delta takes may be more than is asked for.
            let before = self.done.lock().compactions;
            if !self.is_over()
                || self.compact_with(&mut work).is_err()
                || self.done.lock().compactions == before
            {
                break;
            }
        }
    }

    pub(super) fn usage(&self) -> HybridUsage {
        let State { delta, sealed, base } = self.core.parts();
        HybridUsage {
            base: base.memory_usage().total(),
            delta: delta.bytes(),
            sealed: sealed.map_or(0, |sealed| sealed.bytes()),
            own: size_of::<Self>(),
            retired: reclaim::retired_bytes(),
        }
    }

    pub(super) fn stats(&self) -> HybridStats {
        let State { delta, sealed, base } = self.core.parts();
        HybridStats {
            base_keys: base.len(),
            base_bytes: base.memory_usage().total(),
            base_chunks: base.chunks(),
            delta_keys: delta.len(),
            delta_bytes: delta.bytes(),
            sealed_bytes: sealed.map_or(0, |sealed| sealed.bytes()),
            log_bytes: delta.journal().map_or(0, |journal| journal.bytes()),
            ..self.done.lock().clone()
        }
    }
}

/// The thread that compacts in the background, until it ends, in whatever way.
struct Busy<'s>(&'s Shared);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.note(Some("the thread that compacts in the background panicked".to_owned()));
        }
        self.0.is_busy.store(false, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use crate::HybridStore;

    /// Panics stand for what nobody has foreseen.
    #[test]
    fn a_panic_in_the_background_is_a_failure() {
        let store = HybridStore::new();
        let shared = store.shared();
        shared.is_busy.store(true, super::Relaxed);
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _busy = super::Busy(shared);
            std::panic::resume_unwind(Box::new(()));
        }));
        assert!(panic.is_err() && !shared.is_busy.load(super::Relaxed));
        let stats = store.stats();
        assert!(stats.failures == 1 && stats.last_failure.is_some());
        store.insert("a", 1).unwrap();
        store.compact().unwrap();
        assert_eq!((store.stats().last_failure, store.stats().base_keys), (None, 1));
    }
}
