//! Compaction: merges the changes and the base into a new base, while other threads read and write.
//!
//! A store in a folder goes through these steps. After each, the folder opens to the same content:
//!
//! ```text
//!   create the next log ─▶ freeze the delta ─▶ merge ─▶ write the layer
//!     ─▶ rename the manifest ─▶ install the base ─▶ remove files that it does not name
//! ```
//! If a step fails, the frozen delta stays, and the next compaction begins with it.

#![forbid(unsafe_code)]

use super::delta::Delta;
use super::error::HybridError;
use super::folder::Folder;
use super::home::Home;
use super::options::{HybridOptions, Wal};
use super::reader::Reader;
use super::recovery::Recovery;
use super::state::{Base, Core, State};
use super::stats::{HybridStats, HybridUsage};
use crate::FrozenLayer;
use crate::reclaim;
use crate::sync::deferred::{LockScope, ScopedGuard};
use parking_lot::{Mutex, MutexGuard};
use std::mem;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

impl Base for FrozenLayer {
    #[inline]
    fn get(&self, key: &[u8]) -> Option<u64> {
        FrozenLayer::get(self, key)
    }
}

/// Time for which the background thread does not try again after a failure.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// A base that has grown by this factor since its symbols were found is built anew, with new ones.
const RETRAIN_GROWTH: usize = 4;

/// A store without its background thread.
pub(super) struct Inner {
    pub(super) core: Core<FrozenLayer>,
    pub(super) options: HybridOptions,
    /// Held by a thread for the whole of a compaction.
    pub(super) compactor: Mutex<Compactor>,
    /// What compactions did. The sizes in it are not used.
    pub(super) totals: Mutex<HybridStats>,
    /// Whether a background thread is compacting.
    pub(super) is_busy: AtomicBool,
    /// Bytes of the logs that were replayed at opening, until their changes are in the base.
    pub(super) replayed: AtomicU64,
    /// When a compaction last failed.
    pub(super) failed: Mutex<Option<Instant>>,
    /// The failure of a compaction in the background that no write has returned yet.
    pub(super) unreported: Mutex<Option<String>>,
    pub(super) has_unreported: AtomicBool,
    /// The store's folder, if it has one that it writes to, and the mode.
    pub(super) home: Option<(Arc<Home>, Wal)>,
    pub(super) is_read_only: bool,
    pub(super) recovery: Recovery,
}

/// What only the compacting thread uses.
pub(super) struct Compactor {
    pub(super) folder: Option<Folder>,
    /// What a store that is open for reading only has read of its folder.
    pub(super) reader: Option<Reader>,
    /// Keys that the base had when its symbols were found.
    pub(super) trained_keys: usize,
}

impl Inner {
    /// Creates an in-memory store.
    pub(super) fn new(
        core: Core<FrozenLayer>,
        options: HybridOptions,
        compactor: Compactor,
    ) -> Self {
        Inner {
            core,
            options,
            compactor: Mutex::new(compactor),
            totals: Mutex::default(),
            is_busy: AtomicBool::new(false),
            replayed: AtomicU64::new(0),
            failed: Mutex::new(None),
            unreported: Mutex::new(None),
            has_unreported: AtomicBool::new(false),
            home: None,
            is_read_only: false,
            recovery: Recovery { was_closed: true, ..Recovery::default() },
        }
    }

    /// Merges all changes made before the call into the base.
    pub(super) fn compact(&self) -> Result<(), HybridError> {
        self.compact_with(&mut self.compactor())
    }

    /// Waits until no other thread compacts.
    pub(super) fn compactor(&self) -> ScopedGuard<MutexGuard<'_, Compactor>> {
        ScopedGuard::new(|| self.compactor.lock())
    }

    pub(super) fn compact_with(&self, compactor: &mut Compactor) -> Result<(), HybridError> {
        let result = self.try_compact(compactor);
        self.record(result.as_ref().err().map(ToString::to_string));
        result
    }

    /// Returns an error in a fork of the process that opened the store.
    #[inline]
    pub(super) fn check_process(&self) -> Result<(), HybridError> {
        self.home.as_ref().map_or(Ok(()), |(home, _)| home.check_process())
    }

    /// Returns an error in a fork of the process that opened the store, or if the store is open for
    /// reading only.
    #[inline]
    pub(super) fn check_writable(&self) -> Result<(), HybridError> {
        self.check_process()?;
        if self.is_read_only { Err(HybridError::ReadOnly) } else { Ok(()) }
    }

    /// Returns the failure of a compaction in the background, once.
    #[inline]
    pub(super) fn check_background(&self) -> Result<(), HybridError> {
        if self.has_unreported.load(Relaxed) {
            self.has_unreported.store(false, Relaxed);
            if let Some(failure) = self.unreported.lock().take() {
                return Err(HybridError::Background { failure });
            }
        }
        Ok(())
    }

    /// Passes the failure of a compaction in the background to the hook, or to the next write.
    pub(super) fn report(&self, error: &HybridError) {
        match &self.options.on_failure {
            Some(hook) => hook(error),
            None => self.set_unreported(Some(error.to_string())),
        }
    }

    fn set_unreported(&self, failure: Option<String>) {
        let has = failure.is_some();
        *self.unreported.lock() = failure;
        self.has_unreported.store(has, Relaxed);
    }

    /// Records how a compaction ended.
    pub(super) fn record(&self, failure: Option<String>) {
        *self.failed.lock() = failure.is_some().then(Instant::now);
        let mut totals = self.totals.lock();
        totals.failures += u64::from(failure.is_some());
        totals.last_failure = failure;
    }

    fn try_compact(&self, compactor: &mut Compactor) -> Result<(), HybridError> {
        if self.core.with(|state| state.frozen_delta.is_some()) {
            self.merge(compactor)?;
        }
        let is_merged = compactor.folder.as_ref().is_none_or(Folder::is_merged);
        if is_merged && self.core.with(|state| state.delta.is_empty()) {
            self.replayed.store(0, Relaxed);
            return Ok(());
        }
        let next = compactor.folder.as_ref().map_or(Ok(None), Folder::next_log)?;
        let begin = Instant::now();
        self.core.freeze_delta(next.clone().map(|log| log as _));
        let pause = begin.elapsed();
        if let Some(folder) = &mut compactor.folder {
            folder.rotate(next);
        }
        let log = compactor.folder.as_ref().and_then(Folder::log);
        // A failure is that of the first write, unless the merge succeeds.
        let _ = log.map(|log| log.end_before());
        let mut totals = self.totals.lock();
        totals.longest_pause = totals.longest_pause.max(pause);
        drop(totals);
        self.merge(compactor)
    }

    /// Merges the frozen delta into the base.
    fn merge(&self, compactor: &mut Compactor) -> Result<(), HybridError> {
        let begin = Instant::now();
        let State { frozen_delta, base, .. } = self.core.snapshot();
        let Some(frozen_delta) = frozen_delta else { return Ok(()) };
        // Deferred callbacks of its threads run after the compaction, as those of this thread do.
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.options.threads)
            .start_handler(|_| mem::forget(LockScope::new()))
            .build();
        let pool = pool.map_err(|error| HybridError::Thread(std::io::Error::other(error)))?;
        // Symbols that were found in few keys may not fit many.
        let keeps_symbols =
            base.len() + frozen_delta.len() <= RETRAIN_GROWTH * compactor.trained_keys;
        let count = if keeps_symbols { frozen_delta.len() } else { usize::MAX };
        let patch = || {
            base.patch(&self.options.frozen, count, |(start, end)| {
                frozen_delta.range(start, end).map(|(key, change)| (key, change.value()))
            })
        };
        // On a thread of its own: a thread of another pool would run other jobs while it waits, and
        // one of them might wait for this compaction.
        let patched = thread::scope(|scope| {
            Ok(thread::Builder::new().spawn_scoped(scope, || pool.install(patch))?.join())
        });
        let patched =
            patched.map_err(HybridError::Thread)?.unwrap_or_else(|panic| resume_unwind(panic));
        let patched = patched.map_err(|error| HybridError::Base { file: None, error })?;
        let trained_keys =
            if patched.rebuilt { patched.layer.len() } else { compactor.trained_keys };
        if let Some(folder) = &mut compactor.folder {
            folder.install_base(&patched.layer, trained_keys)?;
        }
        compactor.trained_keys = trained_keys;
        self.core.install_base(patched.layer);
        self.replayed.store(0, Relaxed);
        self.set_unreported(None);
        let mut totals = self.totals.lock();
        totals.compactions += 1;
        totals.last_compaction = begin.elapsed();
        (totals.last_reused, totals.last_encoded) = (patched.reused, patched.encoded);
        drop(totals);
        drop((frozen_delta, base));
        // Frees the old parts unless a thread is still reading them.
        reclaim::reclaim();
        Ok(())
    }

    /// Returns whether the changes exceed the limits, a failed compaction left a frozen delta, or
    /// only a compaction can mend the log; but false for `RETRY_DELAY` after a failure.
    pub(super) fn is_over(&self) -> bool {
        let failed = *self.failed.lock();
        if failed.is_some_and(|failed| failed.elapsed() < RETRY_DELAY) {
            return false;
        }
        let (must_merge, delta, log, base) = self.core.with(|state| {
            let log = self.replayed.load(Relaxed) + state.delta.log().map_or(0, |log| log.bytes());
            let mut logs = [Some(&state.delta), state.frozen_delta.as_ref()].into_iter().flatten();
            let has_failed = |delta: &Arc<Delta>| delta.log().is_some_and(|l| l.needs_compaction());
            (
                failed.is_some() && state.frozen_delta.is_some() || logs.any(has_failed),
                state.delta.bytes(),
                log,
                state.base.memory_usage().total(),
            )
        });
        let (part, whole) =
            (delta as u128 * 100, base as u128 * self.options.compact_percent as u128);
        must_merge
            || log > self.options.compact_log
            || delta > self.options.compact_bytes && part > whole
    }

    /// Compacts in the background for as long as the changes exceed the limits.
    pub(super) fn run(&self) {
        let _run = BackgroundRun(self);
        loop {
            let mut compactor = self.compactor();
            // Another thread may have compacted by now. An empty delta may exceed a small limit:
            // then no compaction happens, and the loop ends.
            let before = self.totals.lock().compactions;
            if !self.is_over() {
                break;
            }
            let result = self.compact_with(&mut compactor);
            drop(compactor);
            if let Err(error) = &result {
                self.report(error);
            }
            if result.is_err() || self.totals.lock().compactions == before {
                break;
            }
        }
    }

    pub(super) fn usage(&self) -> HybridUsage {
        let State { delta, frozen_delta, base } = self.core.snapshot();
        HybridUsage {
            base: base.memory_usage().total(),
            delta: delta.bytes(),
            frozen_delta: frozen_delta.map_or(0, |delta| delta.bytes()),
            own: size_of::<Self>(),
            retired: reclaim::retired_bytes(),
        }
    }

    pub(super) fn stats(&self) -> HybridStats {
        let State { delta, frozen_delta, base } = self.core.snapshot();
        HybridStats {
            base_keys: base.len(),
            base_bytes: base.memory_usage().total(),
            base_chunks: base.chunks(),
            delta_keys: delta.len(),
            delta_bytes: delta.bytes(),
            frozen_delta_bytes: frozen_delta.map_or(0, |delta| delta.bytes()),
            log_bytes: delta.log().map_or(0, |log| log.bytes()),
            ..self.totals.lock().clone()
        }
    }
}

impl Drop for Inner {
    /// Unlocks the folder, which retired memory may refer to for longer.
    fn drop(&mut self) {
        if let Some((home, _)) = &self.home {
            home.unlock();
        }
    }
}

/// Marks the end of the background thread, also if it panics.
struct BackgroundRun<'s>(&'s Inner);

impl Drop for BackgroundRun<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let failure = "the background compaction panicked".to_owned();
            // Not by the hook, which may be what panicked.
            self.0.set_unreported(Some(failure.clone()));
            self.0.record(Some(failure));
        }
        self.0.is_busy.store(false, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use crate::{HybridError, HybridStore};

    /// Any panic stands for an error that was not foreseen.
    #[test]
    fn a_panic_in_the_background_is_a_failure() {
        let store = HybridStore::new();
        let inner = &*store.inner;
        inner.is_busy.store(true, super::Relaxed);
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _run = super::BackgroundRun(inner);
            std::panic::resume_unwind(Box::new(()));
        }));
        assert!(panic.is_err() && !inner.is_busy.load(super::Relaxed));
        let stats = store.stats();
        assert!(stats.failures == 1 && stats.last_failure.is_some());
        assert!(matches!(store.insert("a", 1), Err(HybridError::Background { .. })));
        store.insert("a", 1).unwrap();
        store.compact().unwrap();
        assert_eq!((store.stats().last_failure, store.stats().base_keys), (None, 1));
    }
}
