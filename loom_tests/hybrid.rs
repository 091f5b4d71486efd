//! Models of a hybrid store that is compacted while another thread uses it: the striped lock,
//! deltas and state of `HybridStore`, over a sorted array.

use crate::shared::{model, models, pair};
use memkv::ModelStore;
use memkv::{mutant::Mutant::*, plain};

models! {
    freeze_and_insert: [StripesNotLocked, StateLoadedEarly];
    freeze_and_remove: [StripesNotLocked, StateLoadedEarly];
    freeze_and_add: [StripesNotLocked, StateLoadedEarly];
    install_and_get: [FrozenDeltaDroppedEarly];
    install_and_gets_of_a_removed_key: [FrozenDeltaDroppedEarly];
    escaped_value_and_get: [EscapedReadOnce];
}

fn key(i: u8) -> [u8; 1] {
    [b'a' + i]
}

/// A store with keys 0 and 1 in the base. In the delta, 1 has another value, and 2 is new.
fn filled() -> ModelStore {
    let store = ModelStore::new([0, 1].map(|i| (key(i).to_vec(), i.into())));
    store.insert(&key(1), 11);
    store.insert(&key(2), 12);
    store
}

/// Runs two threads, and calls `then` with the store, and once more after a compaction.
fn two(
    store: ModelStore,
    a: impl FnOnce(&ModelStore) + Send + 'static,
    b: impl FnOnce(&ModelStore) + Send + 'static,
    then: impl Fn(&ModelStore),
) {
    let store = pair(store, a, b);
    then(&store);
    store.compact();
    then(&store);
    drop(store);
    plain::free();
}

fn has(store: &ModelStore, values: [Option<u64>; 4]) {
    for (i, value) in (0..).zip(values) {
        assert_eq!(store.get(&key(i)), value);
    }
    assert_eq!(store.len(), values.iter().flatten().count());
}

fn freeze_and_insert() {
    two(
        filled(),
        ModelStore::compact,
        |store| assert_eq!(store.insert(&key(3), 3), None),
        |store| has(store, [Some(0), Some(11), Some(12), Some(3)]),
    );
}

fn freeze_and_remove() {
    two(
        filled(),
        ModelStore::compact,
        |store| assert_eq!(store.remove(&key(2)), Some(12)),
        |store| has(store, [Some(0), Some(11), None, None]),
    );
}

fn freeze_and_add() {
    let store = ModelStore::new([(key(0).to_vec(), 5)]);
    let add = |store: &ModelStore| {
        store.add(&key(0), 1);
        store.add(&key(0), 1);
    };
    two(store, ModelStore::compact, add, |store| has(store, [Some(7), None, None, None]));
}

fn install_and_get() {
    let get = |store: &ModelStore| {
        assert_eq!(store.get(&key(2)), Some(12));
        assert_eq!(store.get(&key(1)), Some(11));
    };
    two(filled(), ModelStore::compact, get, |store| {
        has(store, [Some(0), Some(11), Some(12), None])
    });
}

fn install_and_gets_of_a_removed_key() {
    let store = filled();
    assert_eq!(store.remove(&key(0)), Some(0));
    let get = |store: &ModelStore| {
        assert_eq!(store.get(&key(0)), None);
        assert_eq!(store.get(&key(0)), None);
    };
    two(store, ModelStore::compact, get, |store| has(store, [None, Some(11), Some(12), None]));
}

fn escaped_value_and_get() {
    let store = ModelStore::new([(key(0).to_vec(), 5)]);
    store.insert(&key(0), u64::MAX);
    let write = |store: &ModelStore| {
        assert_eq!(store.insert(&key(0), 7), Some(u64::MAX));
        assert_eq!(store.insert(&key(0), u64::MAX - 1), Some(7));
    };
    let read = |store: &ModelStore| {
        // Values appear in the order in which they were stored.
        let position = |value: Option<u64>| {
            [u64::MAX, 7, u64::MAX - 1].iter().position(|stored| Some(*stored) == value).unwrap()
        };
        let first = position(store.get(&key(0)));
        assert!(first <= position(store.get(&key(0))));
    };
    two(store, write, read, |store| has(store, [Some(u64::MAX - 1), None, None, None]));
}
