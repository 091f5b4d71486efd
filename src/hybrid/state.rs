//! The parts of a store, and how they are replaced while others read and write.
//!
//! ```text
//!            delta            sealed        base
//!   normal   │ changes │      –             │ layer │          reads ask the parts from the left; the first that knows the key decides
//!   seal     │ empty   │      │ changes │   │ layer │          under the closed gate
//!   land     │ newer   │      –             │ layer and changes │
//! ```
//!
//! * **Writers** hold the stripe of their key (gate.rs), and load the state while they do. Whoever seals closes the gate first, so no writer is
//!   inside, and all who come later load the new state: nobody writes to a sealed delta, and whatever was written before the seal is in it.
//! * **Readers** load the state under a pin, and do not look again whether it is still the current one. The sealed delta and the base do not
//!   change. A delta changes until it is sealed. So what a reader finds was current when it asked the delta, or, if the delta was
//!   sealed before that, at the moment of the seal; both are moments of the call.
//! * **Landing** needs no gate: the new base has just what sealed delta and old base have together, so a writer that acts on either
//!   state finds the same below the delta, which both have in common. The one who compacts is alone; nobody else replaces the state.
//! * A **tombstone** is written where sealed delta or base know the key; else the delta forgets it. That stays right, since what is below a
//!   delta has the same keys and values for as long as the delta takes changes.

#![forbid(unsafe_code)]

use super::delta::{Change, Delta};
use super::error::HybridError;
use super::journal::Journal;
use crate::reclaim::{self, Pin, Swap};
use crate::sync::striped_lock::StripedLock;
use crate::sync::stripes::{STRIPES, stripe};
use crate::tree::{Expected, Outcome};
use crossbeam_utils::CachePadded;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What lies below the deltas, and does not change.
pub(crate) trait Base: Clone + Send + Sync + 'static {
    fn get(&self, key: &[u8]) -> Option<u64>;
}

/// The parts.
pub(crate) struct State<B> {
    pub(crate) delta: Arc<Delta>,
    /// A delta that is being merged into the base.
    pub(crate) sealed: Option<Arc<Delta>>,
    pub(crate) base: B,
}

impl<B: Base> State<B> {
    #[inline]
    fn get(&self, key: &[u8]) -> Option<u64> {
        match self.delta.get(key) {
            Some(change) => change,
            None => self.below(key),
        }
    }

    /// The value that sealed delta and base have.
    #[inline]
    fn below(&self, key: &[u8]) -> Option<u64> {
        match self.sealed.as_ref().and_then(|sealed| sealed.get(key)) {
            Some(change) => change,
            None => self.base.get(key),
        }
    }

    fn clone_parts(&self) -> Self {
        State {
            delta: Arc::clone(&self.delta),
            sealed: self.sealed.clone(),
            base: self.base.clone(),
        }
    }
}

/// Counts of one stripe, modulo the word size.
#[derive(Default)]
struct Stripe {
    keys: AtomicUsize,
    writes: AtomicUsize,
}

/// The state, and those who change it.
pub(crate) struct Core<B> {
    state: Swap<State<B>>,
    gate: StripedLock,
    stripes: [CachePadded<Stripe>; STRIPES],
}

impl<B: Base> Core<B> {
    /// A store with nothing but a base, of so many keys.
    pub(crate) fn new(base: B, keys: usize) -> Self {
        let core = Core {
            state: Swap::new(State { delta: Arc::new(Delta::new()), sealed: None, base }),
            gate: StripedLock::new(),
            stripes: std::array::from_fn(|_| CachePadded::default()),
        };
        core.stripes[0].keys.store(keys, Relaxed);
        core
    }

    /// Lends the state of now.
    #[inline]
    pub(crate) fn with<R>(&self, work: impl FnOnce(&State<B>) -> R) -> R {
        let pin = reclaim::pin();
        work(self.state.load(&pin))
    }

    /// The parts of now.
    pub(crate) fn parts(&self) -> State<B> {
        self.with(State::clone_parts)
    }

    #[inline]
    pub(crate) fn get(&self, key: &[u8]) -> Option<u64> {
        self.with(|state| state.get(key))
    }

    /// Keys; exact when nobody writes.
    pub(crate) fn len(&self) -> usize {
        let sum = self
            .stripes
            .iter()
            .fold(0usize, |sum, stripe| sum.wrapping_add(stripe.keys.load(Relaxed)));
        // Stripes are read one after the other, so while others count, their sum may be below zero.
        sum.cast_signed().max(0).cast_unsigned()
    }

    /// Replaces the value of a key by `new`, or removes it, if the current one is as expected. Returns when the change is as durable
    /// as the journal promises.
    pub(crate) fn change(
        &self,
        key: &[u8],
        expected: Expected<u64>,
        new: Change,
    ) -> Result<Outcome<u64>, HybridError> {
        let (outcome, note) = self.change_in_memory(key, expected, new)?;
        if let Some((journal, place)) = note {
            journal.settle(place).map_err(HybridError::Log)?;
        }
        Ok(outcome)
    }

    #[expect(clippy::type_complexity, reason = "it is used once")]
    fn change_in_memory(
        &self,
        key: &[u8],
        expected: Expected<u64>,
        new: Change,
    ) -> Result<(Outcome<u64>, Option<(Arc<dyn Journal>, u64)>), HybridError> {
        // Pinned first, so that nothing of others is dropped while the stripe is held.
        let pin = reclaim::pin_to_write();
        let early = mutant!(StateLoadedEarly).then(|| self.state.load(&pin));
        let locked = self.gate.lock_key(key);
        let state = early.unwrap_or_else(|| self.state.load(&pin));
        let delta = &state.delta;
        let known = delta.get(key);
        let old = known.unwrap_or_else(|| state.below(key));
        let refused = match expected {
            Expected::Any => false,
            Expected::Absent => old.is_some(),
            Expected::Value(value) => old != Some(value),
        };
        if refused || (old.is_none() && new.is_none()) {
            return Ok((Outcome { old, done: !refused }, None));
        }
        if let Some(journal) = delta.journal() {
            journal.ready().map_err(HybridError::Log)?;
        }
        // Where the delta does not know the key, what is there is below.
        if new.is_some() || known.is_none() || state.below(key).is_some() {
            delta.set(key, new)?;
        } else {
            delta.forget(key)?;
        }
        let note = delta.journal().map(|journal| (Arc::clone(journal), journal.append(key, new)));
        let stripe = &self.stripes[stripe()];
        if old.is_some() != new.is_some() {
            stripe.keys.fetch_add(if new.is_some() { 1 } else { usize::MAX }, Relaxed);
        }
        drop(locked);
        Ok((Outcome { old, done: true }, note))
    }

    /// Counts a write of this thread's stripe, and says whether it is one of so many.
    #[inline]
    pub(crate) fn is_nth_write(&self, of: usize) -> bool {
        self.stripes[stripe()].writes.fetch_add(1, Relaxed) % of == of - 1
    }

    /// Seals the delta: from here on an empty one takes the changes. Nobody else seals or lands meanwhile, and no delta is sealed. Gives the sealed one.
    pub(crate) fn seal(&self, journal: Option<Arc<dyn Journal>>) -> Arc<Delta> {
        let fresh = Delta::new();
        if let Some(journal) = journal {
            fresh.log_to(journal);
        }
        let fresh = Arc::new(fresh);
        let closed = if mutant!(StripesNotLocked) { None } else { Some(self.gate.lock_all()) };
        let pin = reclaim::pin();
        let State { delta, base, .. } = self.state.load(&pin).clone_parts();
        let sealed = Arc::clone(&delta);
        self.state.replace(State { delta: fresh, sealed: Some(delta), base }, &pin);
        drop(closed);
        sealed
    }

    /// Puts a base in the place of the sealed delta and the base below.
    pub(crate) fn land(&self, base: B) {
        let pin = reclaim::pin();
        self.replace(|state| State { base, sealed: None, ..state }, &pin);
    }

    fn replace(&self, new: impl FnOnce(State<B>) -> State<B>, pin: &Pin) {
        self.state.replace(new(self.state.load(pin).clone_parts()), pin);
    }

    /// Lets go of the sealed delta before its changes are in the base, as models do that must fail.
    #[cfg(loom)]
    pub(crate) fn drop_sealed(&self) {
        let pin = reclaim::pin();
        self.replace(|state| State { sealed: None, ..state }, &pin);
    }
}

#[cfg(all(test, not(loom)))]
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
            core.change(&i.to_be_bytes(), Expected::Any, Some(i)).unwrap();
            core.is_nth_write(4);
        }
        assert_eq!(core.len(), 20);
        // Before the other stripe is read, the sum is below zero.
        core.stripes[1].keys.fetch_sub(25, Relaxed);
        assert_eq!(core.len(), 0);
    }
}
