//! A `HybridStore` that several threads use during compactions.

use crate::common;

use common::comes_back;
use common::history::{Answer, Call, Subject, histories, key};
use memkv::{ExchangeError, FrozenOptions, HybridOptions, HybridStore, SymbolTable};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

fn store(pairs: &[(String, u64)]) -> HybridStore {
    let frozen = FrozenOptions::new().chunk_keys(64).symbols(SymbolTable::None);
    let base = frozen.from_sorted(pairs).unwrap();
    HybridStore::with_base(base, HybridOptions::new().frozen(frozen).background(false).threads(1))
        .unwrap()
}

/// Some of the values are those that a delta uses as marks.
fn inside(value: u64) -> u64 {
    value.wrapping_add(u64::MAX - 2)
}

fn outside(value: u64) -> u64 {
    value.wrapping_sub(u64::MAX - 2)
}

impl Subject for &HybridStore {
    fn value_of(&self, k: usize) -> Option<u64> {
        HybridStore::get(self, key(k)).map(outside)
    }
    fn call(&self, call: Call) -> Answer {
        let value = |found: Option<u64>| Answer::Value(found.map(outside));
        match call {
            Call::Get(k) => value(HybridStore::get(self, key(k))),
            Call::Insert(k, v) => value(self.insert(key(k), inside(v)).unwrap()),
            Call::Remove(k) => value(self.remove(key(k)).unwrap()),
            Call::Add(k) => {
                value(self.compute(key(k), |v| Some(inside(v.map_or(0, outside) + 1))).unwrap().0)
            }
            Call::Exchange(k, current, new) => {
                let exchanged = self.compare_exchange(key(k), current.map(inside), new.map(inside));
                let refused = |error: ExchangeError| error.into_current().unwrap().map(outside);
                Answer::Exchange(exchanged.map(|v| v.map(outside)).map_err(refused))
            }
            Call::RemoveIfEven(k) => {
                let (old, new) =
                    self.compute(key(k), |v| v.filter(|&v| !outside(v).is_multiple_of(2))).unwrap();
                value(old.filter(|_| new.is_none()))
            }
            Call::Pop | Call::Clear => unreachable!("not of the whole store"),
        }
    }
}

#[test]
fn histories_during_compactions_are_linearizable() {
    // At first the base has neighbours of the keys only; later it has the keys too.
    let pairs: Vec<(String, u64)> =
        (0..300).map(|i| (format!("key/{:02}/{i:03}", i / 10 * 3), i)).collect();
    let store = store(&pairs);
    let compact = |seed| {
        for _ in 0..=seed % 3 {
            store.compact().unwrap();
        }
    };
    histories(0..1500, 2, 12, false, || &store, compact);
    histories(0..700, 4, 7, false, || &store, compact);
    assert!(store.stats().compactions > 500, "{:?}", store.stats());
}

/// Every scan returns the keys that stay once and in order, while their values change, other keys
/// come and go, and the store is compacted. No addition is lost.
#[test]
fn scans_and_sums_while_it_is_compacted() {
    const STAY: u64 = 2000;
    let stays = |i: u64| format!("stays/{i:05}");
    let pairs: Vec<(String, u64)> = (0..STAY).map(|i| (stays(i), 0)).collect();
    let store = store(&pairs);
    let (done, added) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for t in 0..2u64 {
            let (store, done, added) = (&store, &done, &added);
            scope.spawn(move || {
                let mut random = t + 1;
                while !done.load(Relaxed) {
                    random = random.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(t * 2 + 1);
                    let i = (random >> 33) % STAY;
                    store.compute(stays(i), |value| value.map(|value| value + 1)).unwrap();
                    added.fetch_add(1, Relaxed);
                    let other = format!("stays/{i:05}/{t}");
                    if random >> 20 & 1 == 0 {
                        store.insert(&other, u64::MAX)
                    } else {
                        store.remove(&other)
                    }
                    .unwrap();
                }
            });
        }
        let scan = |back: bool| {
            let mut next = 0;
            let mut range = store.iter();
            while let Some((key, value)) =
                if back { range.next_back_ref() } else { range.next_ref() }
            {
                if key.len() == 11 {
                    let want = if back { STAY - 1 - next } else { next };
                    assert_eq!(key, stays(want).as_bytes());
                    next += 1;
                } else {
                    assert_eq!(value, u64::MAX);
                }
            }
            assert_eq!(next, STAY);
        };
        for _ in 0..15 {
            let compacting = scope.spawn(|| store.compact().unwrap());
            scan(false);
            scan(true);
            compacting.join().unwrap();
        }
        done.store(true, Relaxed);
    });
    let sum = |store: &HybridStore| {
        store.iter().filter(|(key, _)| key.len() == 11).map(|(_, value)| value).sum::<u64>()
    };
    let added = added.into_inner();
    assert_eq!((sum(&store), store.len()), (added, store.iter().count()));
    store.compact().unwrap();
    assert_eq!((sum(&store), store.len()), (added, store.iter().count()));
}

#[test]
fn many_threads_share_one_store_and_each_keeps_its_own() {
    let store =
        HybridStore::with_options(HybridOptions::new().compact_bytes(1 << 14).compact_percent(0))
            .unwrap();
    thread::scope(|scope| {
        for t in 0..4u64 {
            let store = &store;
            scope.spawn(move || {
                for i in 0..6000u64 {
                    assert_eq!(store.insert(format!("{t}/{i:04}"), i).unwrap(), None);
                    let earlier = i / 2;
                    assert_eq!(
                        store.get(format!("{t}/{earlier:04}")),
                        if earlier % 3 == 0 && earlier < i { None } else { Some(earlier) }
                    );
                    if i % 3 == 0 {
                        assert_eq!(store.remove(format!("{t}/{i:04}")).unwrap(), Some(i));
                    }
                }
            });
        }
    });
    assert_eq!(store.len(), 4 * 4000);
    store.compact().unwrap();
    assert_eq!(
        (store.len(), store.iter().count(), store.stats().base_keys),
        (16_000, 16_000, 16_000)
    );
    assert!(store.stats().compactions > 1);
}

#[test]
fn one_thread_of_a_pool_compacts_at_two_places() {
    comes_back(|| {
        let store = HybridStore::new();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        for i in 0..200u64 {
            store.insert(i.to_be_bytes(), i).unwrap();
            pool.install(|| rayon::join(|| store.compact().unwrap(), || store.compact().unwrap()));
        }
        assert_eq!((store.len(), store.stats().base_keys), (200, 200));
    });
}

/// Values of another map that write to the store, or compact it, when they are dropped on any
/// thread.
#[test]
fn drops_use_a_store_while_it_compacts() {
    static STORE: std::sync::LazyLock<HybridStore> = std::sync::LazyLock::new(|| {
        HybridStore::with_options(HybridOptions::new().compact_bytes(1 << 12).compact_percent(0))
            .unwrap()
    });
    struct WritesBack(u64);
    impl Drop for WritesBack {
        fn drop(&mut self) {
            STORE.insert(self.0.to_be_bytes(), self.0).unwrap();
            if self.0.is_multiple_of(100) {
                STORE.compact().unwrap();
            }
        }
    }
    comes_back(|| {
        let cache = memkv::ConcurrentArenaArt::new();
        for i in 0..5000 {
            cache.insert("value", WritesBack(i));
            STORE.remove(i.wrapping_sub(1000).to_be_bytes()).unwrap();
            if i % 64 == 0 {
                STORE.compact().unwrap();
                cache.reclaim();
            }
        }
        drop(cache);
    });
}

/// With limits of 0 an empty store still has nothing to compact.
#[test]
fn an_empty_store_is_not_compacted_for_ever() {
    comes_back(|| {
        let store = HybridStore::with_options(
            HybridOptions::new().compact_bytes(0).compact_percent(0).compact_log(0),
        )
        .unwrap();
        for i in 0..1000u64 {
            store.insert(i.to_be_bytes(), i).unwrap();
        }
        (0..1000u64).for_each(|i| assert_eq!(store.remove(i.to_be_bytes()).unwrap(), Some(i)));
        store.compact().unwrap();
        drop(store);
    });
}
