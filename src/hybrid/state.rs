//! The state of a store, and how it is replaced while other threads read and write.
//!
//! ```text
//!                  delta          frozen delta      base
//!   normal         │ changes │         –            │ layer │
//!   freeze_delta   │ empty   │    │ changes │       │ layer │                 under lock_all
//!   install_base   │ newer   │         –            │ layer and changes │
//! ```
//! Reads ask the parts from left to right. The first part that has the key decides.
//!
//! * **Writers** hold the stripe of their key, and load the state while they hold it.
//!   `freeze_delta` locks every stripe first, so no writer is active, and all later writers load
//!   the new state. No thread writes to a frozen delta, and every earlier write is in it.
//! * **Readers** load the state under a pin, and do not check again whether it is still current.
//!   The frozen delta and the base do not change. A delta changes until it is frozen. So what a
//!   reader finds was current when it asked the delta, or, if the delta was frozen before that, at
//!   the moment of freezing. Both are moments within the call.
//! * **`install_base`** needs no lock. The new base has exactly what frozen delta and old base have
//!   together, and both states share the delta, so a writer finds the same with either state. Only
//!   one thread compacts at a time, and no other thread replaces the state.
//! * A **tombstone** is written if the frozen delta or the base has the key. Otherwise the delta
//!   forgets the key. This stays right, because what is below a delta has the same keys and values
//!   for as long as the delta takes changes.

#![forbid(unsafe_code)]

use super::change::{Change, ChangeLog};
use super::delta::Delta;
use super::error::HybridError;
use crate::reclaim::{self, Pin, Swap};
use crate::sync::striped_lock::StripedLock;
use crate::sync::stripes::{STRIPES, stripe};
use crate::tree::{Expected, Outcome};
use crossbeam_utils::CachePadded;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The immutable map below the deltas.
pub(crate) trait Base: Clone + Send + Sync + 'static {
    fn get(&self, key: &[u8]) -> Option<u64>;
}

/// The parts of a store at one moment.
pub(crate) struct State<B> {
    pub(crate) delta: Arc<Delta>,
    /// A delta that is being merged into the base.
    pub(crate) frozen_delta: Option<Arc<Delta>>,
    pub(crate) base: B,
}

impl<B: Base> State<B> {
    #[inline]
    pub(super) fn get(&self, key: &[u8]) -> Option<u64> {
        match self.delta.get(key) {
            Some(change) => change.value(),
            None => self.get_below(key),
        }
    }

    /// Returns the value that frozen delta and base have together.
    #[inline]
    fn get_below(&self, key: &[u8]) -> Option<u64> {
        match self.frozen_delta.as_ref().and_then(|delta| delta.get(key)) {
            Some(change) => change.value(),
            None => self.base.get(key),
        }
    }

    fn clone_parts(&self) -> Self {
        State {
            delta: Arc::clone(&self.delta),
            frozen_delta: self.frozen_delta.clone(),
            base: self.base.clone(),
        }
    }
}

/// Counters of one stripe. A single stripe's key count may be negative, modulo the word size.
#[derive(Default)]
struct Stripe {
    keys: AtomicUsize,
    writes: AtomicUsize,
}

/// The position of a change in its log.
struct LogPosition {
    log: Arc<dyn ChangeLog>,
    position: u64,
}

/// The state of a store, with what its writers share.
pub(crate) struct Core<B> {
    state: Swap<State<B>>,
    /// Writers hold the stripe of their key. A delta is frozen under all stripes.
    lock: StripedLock,
    stripes: [CachePadded<Stripe>; STRIPES],
}

impl<B: Base> Core<B> {
    /// Creates a store of a base that has `keys` keys, without changes.
    pub(crate) fn new(base: B, keys: usize) -> Self {
        let core = Core {
            state: Swap::new(State { delta: Arc::new(Delta::new()), frozen_delta: None, base }),
            lock: StripedLock::new(),
            stripes: std::array::from_fn(|_| CachePadded::default()),
        };
        core.stripes[0].keys.store(keys, Relaxed);
        core
    }

    /// Calls `work` with the current state, under a pin.
    #[inline]
    pub(crate) fn with<R>(&self, work: impl FnOnce(&State<B>) -> R) -> R {
        let pin = reclaim::pin();
        work(self.state.load(&pin))
    }

    /// Returns the current state, which stays valid without a pin.
    pub(crate) fn snapshot(&self) -> State<B> {
        self.with(State::clone_parts)
    }

    #[inline]
    pub(crate) fn get(&self, key: &[u8]) -> Option<u64> {
        self.with(|state| state.get(key))
    }

    /// Returns the number of keys. Exact while no thread writes.
    pub(crate) fn len(&self) -> usize {
        let sum = self
            .stripes
            .iter()
            .fold(0usize, |sum, stripe| sum.wrapping_add(stripe.keys.load(Relaxed)));
        // Stripes are read one after the other, so while other threads count the sum may be
        // negative.
        sum.cast_signed().max(0).cast_unsigned()
    }

    /// Replaces the value of `key` with `new`, or removes it, if the current one is as expected.
    /// Returns once the change is as durable as the log promises.
    pub(crate) fn change(
        &self,
        key: &[u8],
        expected: Expected<u64>,
        new: Change,
    ) -> Result<Outcome<u64>, HybridError> {
        let (outcome, logged) = self.change_in_memory(key, expected, new)?;
        if let Some(LogPosition { log, position }) = logged {
            log.await_durable(position)?;
        }
        Ok(outcome)
    }

    fn change_in_memory(
        &self,
        key: &[u8],
        expected: Expected<u64>,
        new: Change,
    ) -> Result<(Outcome<u64>, Option<LogPosition>), HybridError> {
        // Pinned first, so that no value of another map is dropped while the stripe is held.
        let pin = reclaim::pin_to_write();
        let early = mutant!(StateLoadedEarly).then(|| self.state.load(&pin));
        let locked = self.lock.lock_key(key);
        let state = early.unwrap_or_else(|| self.state.load(&pin));
        let delta = &state.delta;
        let known = delta.get(key);
        let old = known.map_or_else(|| state.get_below(key), Change::value);
        let refused = match expected {
            Expected::Any => false,
            Expected::Absent => old.is_some(),
            Expected::Value(value) => old != Some(value),
        };
        let stores = new.value().is_some();
        if refused || (old.is_none() && !stores) {
            return Ok((Outcome { old, done: !refused }, None));
        }
        if let Some(log) = delta.log() {
            log.check()?;
        }
        // If the delta does not have the key, its value is below.
        if stores || known.is_none() || state.get_below(key).is_some() {
            delta.set(key, new)?;
        } else {
            delta.forget(key)?;
        }
        let logged = delta
            .log()
            .map(|log| LogPosition { log: Arc::clone(log), position: log.append(key, new) });
        let stripe = &self.stripes[stripe()];
        if old.is_some() != stores {
            stripe.keys.fetch_add(if stores { 1 } else { usize::MAX }, Relaxed);
        }
        drop(locked);
        Ok((Outcome { old, done: true }, logged))
    }

    /// Counts a write of this thread's stripe. Returns whether it is an `n`-th one.
    #[inline]
    pub(crate) fn is_nth_write(&self, n: usize) -> bool {
        self.stripes[stripe()].writes.fetch_add(1, Relaxed) % n == n - 1
    }

    /// Freezes the delta, so that an empty one takes all further changes. Returns the frozen delta.
    ///
    /// There must be no frozen delta. No other thread may call this or
    /// [`install_base`](Self::install_base) at the same time.
    pub(crate) fn freeze_delta(&self, log: Option<Arc<dyn ChangeLog>>) -> Arc<Delta> {
        let fresh = Delta::new();
        if let Some(log) = log {
            fresh.log_to(log);
        }
        let fresh = Arc::new(fresh);
        let locked = if mutant!(StripesNotLocked) { None } else { Some(self.lock.lock_all()) };
        let pin = reclaim::pin();
        let State { delta, base, .. } = self.state.load(&pin).clone_parts();
        let frozen_delta = Arc::clone(&delta);
        self.state.replace(State { delta: fresh, frozen_delta: Some(delta), base }, &pin);
        drop(locked);
        frozen_delta
    }

    /// Replaces the frozen delta and the base with a new base.
    pub(crate) fn install_base(&self, base: B) {
        let pin = reclaim::pin();
        self.replace(|state| State { base, frozen_delta: None, ..state }, &pin);
    }

    /// Replaces everything with the content of another store. No thread writes or compacts.
    #[cfg(feature = "storage")]
    pub(crate) fn adopt(&self, other: &Self) {
        let pin = reclaim::pin();
        self.state.replace(other.snapshot(), &pin);
        for (stripe, other) in self.stripes.iter().zip(&other.stripes) {
            stripe.keys.store(other.keys.load(Relaxed), Relaxed);
        }
    }

    fn replace(&self, new: impl FnOnce(State<B>) -> State<B>, pin: &Pin) {
        self.state.replace(new(self.state.load(pin).clone_parts()), pin);
    }

    /// Drops the frozen delta before its changes are in the base: an error for a model to find.
    #[cfg(memkv_loom)]
    pub(crate) fn drop_frozen_delta(&self) {
        let pin = reclaim::pin();
        self.replace(|state| State { frozen_delta: None, ..state }, &pin);
    }
}

#[cfg(all(test, not(memkv_loom)))]
mod tests {
    use super::*;
    use crate::FrozenLayer;

    #[test]
    fn counts_wrap_around() {
        let core = Core::new(FrozenLayer::from_sorted::<&str>(&[]).unwrap(), 0);
        // As if threads of one stripe had removed what those of another inserted.
        for (stripe, count) in core.stripes.iter().zip([usize::MAX - 1, 2]) {
            stripe.keys.store(count, Relaxed);
            stripe.writes.store(usize::MAX - 5, Relaxed);
        }
        assert_eq!(core.len(), 0);
        for i in 0..20u64 {
            core.change(&i.to_be_bytes(), Expected::Any, Change::Stored(i)).unwrap();
            core.is_nth_write(4);
        }
        assert_eq!(core.len(), 20);
        // Before the other stripe is read, the sum is negative.
        core.stripes[1].keys.fetch_sub(25, Relaxed);
        assert_eq!(core.len(), 0);
    }
}
