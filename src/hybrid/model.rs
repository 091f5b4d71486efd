//! A store over a sorted map, for loom: the whole protocol, without what loom cannot run.

#![forbid(unsafe_code)]
#![expect(missing_docs, missing_debug_implementations, reason = "for models")]

use super::change::Change;
use super::state::{Base, Core};
use crate::tree::Expected;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

#[derive(Clone)]
struct Sorted(Arc<BTreeMap<Vec<u8>, u64>>);

impl Base for Sorted {
    fn get(&self, key: &[u8]) -> Option<u64> {
        BTreeMap::get(&self.0, key).copied()
    }
}

pub struct ModelStore(Core<Sorted>);

impl ModelStore {
    pub fn new(pairs: impl IntoIterator<Item = (Vec<u8>, u64)>) -> Self {
        let base = Sorted(Arc::new(pairs.into_iter().collect()));
        let keys = base.0.len();
        ModelStore(Core::new(base, keys))
    }

    pub fn get(&self, key: &[u8]) -> Option<u64> {
        self.0.get(key)
    }

    pub fn insert(&self, key: &[u8], value: u64) -> Option<u64> {
        self.change(key, Expected::Any, Some(value)).0
    }

    pub fn remove(&self, key: &[u8]) -> Option<u64> {
        self.change(key, Expected::Any, None).0
    }

    pub fn add(&self, key: &[u8], add: u64) {
        loop {
            let old = self.get(key);
            let expected = old.map_or(Expected::Absent, Expected::Value);
            if self.change(key, expected, Some(old.unwrap_or(0) + add)).1 {
                return;
            }
        }
    }

    fn change(&self, key: &[u8], expected: Expected<u64>, new: Option<u64>) -> (Option<u64>, bool) {
        let outcome = self.0.change(key, expected, new.into()).expect("there is memory");
        (outcome.old, outcome.done)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn compact(&self) {
        let frozen_delta = self.0.freeze_delta(None);
        let mut base = BTreeMap::clone(&self.0.snapshot().base.0);
        if mutant!(FrozenDeltaDroppedEarly) {
            self.0.drop_frozen_delta();
        }
        for (key, change) in frozen_delta.range(Bound::Unbounded, Bound::Unbounded) {
            match change {
                Change::Stored(value) => _ = base.insert(key, value),
                Change::Removed => _ = base.remove(&key),
            }
        }
        self.0.install_base(Sorted(Arc::new(base)));
    }
}
