//! `ConcurrentArenaArt` against `BTreeMap` by one thread, and under many threads with values that
//! count how often they are dropped.

use memkv::{ArenaArt, ConcurrentArenaArt};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::common;
use common::rng::Rng;
use common::{bound, cases, inside, key};

/// The fate of a test's values.
#[derive(Default)]
struct Log {
    drops: Mutex<Vec<Arc<AtomicU32>>>,
    /// One in this many values panics when it is dropped; none if zero.
    bombs: AtomicUsize,
}

/// A value that owns memory, is equal to a number, and records its drop.
struct Noted {
    number: Box<u64>,
    dropped: Arc<AtomicU32>,
    log: Arc<Log>,
}

#[derive(Clone, Default)]
struct Witness(Arc<Log>);

impl Witness {
    fn value(&self, number: u64) -> Noted {
        let dropped = Arc::new(AtomicU32::new(0));
        self.0.drops.lock().unwrap().push(Arc::clone(&dropped));
        Noted { number: Box::new(number), dropped, log: Arc::clone(&self.0) }
    }

    /// Returns the number of values made, and of values dropped.
    fn counts(&self) -> (usize, usize) {
        let drops = self.0.drops.lock().unwrap();
        (drops.len(), drops.iter().filter(|drops| drops.load(Relaxed) == 1).count())
    }

    /// Waits until only `left` values are left. Other tests of the process pin, too.
    fn settles(&self, left: usize) {
        let end = Instant::now() + Duration::from_secs(60);
        let map = ConcurrentArenaArt::<()>::new();
        loop {
            map.reclaim();
            let (made, dropped) = self.counts();
            assert!(dropped <= made - left, "{dropped} of {made} dropped, {left} are in use");
            if dropped == made - left {
                return;
            }
            assert!(Instant::now() < end, "{dropped} of {made} dropped, only {left} are in use");
            thread::yield_now();
        }
    }
}

impl Noted {
    /// Returns the number, read from the value's own memory.
    fn get(&self) -> u64 {
        assert_eq!(self.dropped.load(Relaxed), 0, "read after it was dropped");
        *self.number
    }
}

impl Clone for Noted {
    fn clone(&self) -> Self {
        Witness(Arc::clone(&self.log)).value(self.get())
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        assert_eq!(self.dropped.fetch_add(1, Relaxed), 0, "dropped twice");
        let bombs = self.log.bombs.load(Relaxed);
        if bombs > 0 && !thread::panicking() && (*self.number as usize).is_multiple_of(bombs) {
            panic!("a value goes off");
        }
    }
}

/// Returns the rounds of a loop: fewer under an interpreter.
fn rounds(n: u64) -> u64 {
    if cfg!(miri) { (n / 500).max(8) } else { n }
}

fn name(i: u64) -> String {
    format!("https://www.host{}.example/page/{i:05}", i % 7)
}

#[derive(Clone, Debug)]
enum Op {
    Insert(Vec<u8>, u64),
    InsertMany(Vec<u8>, u16),
    Remove(Vec<u8>),
    RemoveEvery(u8),
    Get(Vec<u8>),
    Exchange(Vec<u8>, Option<u64>, bool),
    Compute(Vec<u8>, u8),
    Update(Vec<u8>),
    GetOrInsert(Vec<u8>, u64),
    RemoveIf(Vec<u8>, bool),
    Range(Bound<Vec<u8>>, Bound<Vec<u8>>),
    Prefix(Vec<u8>),
    Pop(bool),
    Walk(Vec<u8>, Vec<bool>),
    Retain(u8),
    Rebuild(Vec<(Vec<u8>, u64)>),
    Arena,
    Take(Vec<bool>),
    Clear,
}

fn op() -> impl Strategy<Value = Op> {
    let steps = || proptest::collection::vec(any::<bool>(), 0..40);
    prop_oneof![
        10 => (key(), any::<u64>()).prop_map(|(k, v)| Op::Insert(k, v)),
        4 => (key(), any::<u16>()).prop_map(|(k, n)| Op::InsertMany(k, n)),
        4 => key().prop_map(Op::Remove),
        3 => (2u8..5).prop_map(Op::RemoveEvery),
        2 => key().prop_map(Op::Get),
        4 => (key(), proptest::option::of(any::<u64>()), any::<bool>())
            .prop_map(|(k, v, b)| Op::Exchange(k, v, b)),
        3 => (key(), any::<u8>()).prop_map(|(k, n)| Op::Compute(k, n)),
        2 => key().prop_map(Op::Update),
        2 => (key(), any::<u64>()).prop_map(|(k, v)| Op::GetOrInsert(k, v)),
        2 => (key(), any::<bool>()).prop_map(|(k, b)| Op::RemoveIf(k, b)),
        2 => (bound(), bound()).prop_map(|(a, b)| Op::Range(a, b)),
        1 => key().prop_map(Op::Prefix),
        2 => any::<bool>().prop_map(Op::Pop),
        2 => (key(), steps()).prop_map(|(k, w)| Op::Walk(k, w)),
        1 => any::<u8>().prop_map(Op::Retain),
        1 => proptest::collection::vec((key(), any::<u64>()), 0..20).prop_map(Op::Rebuild),
        1 => Just(Op::Arena),
        1 => steps().prop_map(Op::Take),
        1 => Just(Op::Clear),
    ]
}

type Map = ConcurrentArenaArt<Noted>;
type Model = BTreeMap<Vec<u8>, u64>;

fn step(map: &mut Map, model: &mut Model, witness: &Witness, op: Op) {
    let value = |number| witness.value(number);
    match op {
        Op::Insert(k, v) => {
            assert_eq!(map.insert(&k, value(v)).map(|old| old.get()), model.insert(k, v))
        }
        Op::InsertMany(k, n) => {
            let pinned = map.pin();
            // Neighbours in an order that neither ascends nor descends.
            for (k, i) in common::neighbours(&k, 200, n) {
                assert_eq!(pinned.insert(&k, value(i)).map(|old| old.get()), model.insert(k, i));
            }
        }
        Op::Remove(k) => assert_eq!(map.remove(&k).map(|old| old.get()), model.remove(&k)),
        Op::RemoveEvery(n) => {
            for k in common::without_every(n, model) {
                assert_eq!(map.try_remove(&k).unwrap().map(|old| old.get()), model.remove(&k));
            }
        }
        Op::Get(k) => {
            assert_eq!(map.get(&k).map(|v| v.get()), model.get(&k).copied());
            assert_eq!(map.contains_key(&k), model.contains_key(&k));
            assert_eq!(map.get_cloned(&k).map(|v| v.get()), model.get(&k).copied());
        }
        Op::Exchange(k, new, right) => {
            let pinned = map.pin();
            let other = value(0);
            let current = if right { pinned.get(&k) } else { Some(&other) };
            let result = pinned.compare_exchange(&k, current, new.map(value));
            if right {
                assert_eq!(result.ok().unwrap().map(|old| old.get()), model.get(&k).copied());
                match new {
                    Some(new) => model.insert(k, new),
                    None => model.remove(&k),
                };
            } else {
                assert_eq!(result.err().unwrap().map(|v| v.get()), new);
            }
        }
        Op::Compute(k, n) => {
            let made = |old: Option<u64>| match n % 3 {
                0 => Some(old.map_or(0, |old| old.wrapping_add(1))),
                1 => None,
                _ => old.map(|old| old / 2),
            };
            let new = made(model.get(&k).copied());
            assert_eq!(
                map.compute(&k, |old| made(old.map(Noted::get)).map(value)).map(|v| v.get()),
                new
            );
            match new {
                Some(new) => model.insert(k, new),
                None => model.remove(&k),
            };
        }
        Op::Update(k) => {
            let old = map.update(&k, |old| value(old.get() ^ 1)).map(|old| old.get());
            assert_eq!(old, model.get(&k).copied());
            model.entry(k).and_modify(|v| *v ^= 1);
        }
        Op::GetOrInsert(k, v) => {
            assert_eq!(map.get_or_insert_with(&k, || value(v)).get(), *model.entry(k).or_insert(v))
        }
        Op::RemoveIf(k, yes) => {
            let want = if yes { model.remove(&k) } else { None };
            assert_eq!(map.remove_if(&k, |_| yes).map(|v| v.get()), want);
        }
        Op::Range(start, end) => {
            let want = inside(model, &start, &end);
            let range = || map.range::<Vec<u8>, _>((start.clone(), end.clone()));
            assert!(range().map(|(k, v)| (k, v.get())).eq(want.iter().cloned()));
            assert!(range().rev().map(|(k, v)| (k, v.get())).eq(want.iter().rev().cloned()));
            assert_eq!(range().count(), want.len());
            let (mut both, mut want) = (range(), want.into_iter());
            for i in 0.. {
                let (got, want) = if i % 3 == 0 {
                    (both.next_back_ref(), want.next_back())
                } else {
                    (both.next_ref(), want.next())
                };
                assert_eq!(got.map(|(k, v)| (k.to_vec(), v.get())), want);
                if want.is_none() {
                    break;
                }
            }
        }
        Op::Prefix(p) => {
            let want = common::prefixed(model, &p);
            assert!(map.prefix(&p).map(|(k, v)| (k, v.get())).eq(want));
        }
        Op::Pop(first) => {
            let (got, want) = if first {
                (map.pop_first(), model.pop_first())
            } else {
                (map.pop_last(), model.pop_last())
            };
            assert_eq!(got.map(|(k, v)| (k, v.get())), want);
        }
        Op::Walk(k, steps) => {
            let mut cursor = map.cursor();
            cursor.seek(&k);
            common::walks(model, &k, &steps, |forward| {
                let entry = if forward { cursor.next() } else { cursor.prev() };
                entry.map(|(k, v)| (k.to_vec(), v.get()))
            });
        }
        Op::Retain(n) => {
            let keep = |k: &[u8], v: u64| (k.len() + v as usize) % 7 != usize::from(n) % 7;
            map.retain(|k, v| keep(k, v.get()));
            model.retain(|k, v| keep(k, *v));
        }
        Op::Rebuild(pairs) => {
            // Ascending at first, then in random order, and some keys twice.
            let all = model.iter().map(|(k, v)| (k.clone(), *v)).chain(pairs.iter().cloned());
            *map = all.map(|(k, v)| (k, value(v))).collect();
            model.extend(pairs);
        }
        Op::Arena => {
            let mut arena: ArenaArt<Noted> = std::mem::take(map).into_arena();
            arena.check().unwrap();
            assert_eq!(arena.len(), model.len());
            arena.insert("more", value(1));
            model.insert(b"more".to_vec(), 1);
            *map = arena.into();
        }
        Op::Take(backs) => {
            let (mut got, mut want) =
                (std::mem::take(map).into_iter(), std::mem::take(model).into_iter());
            for back in backs {
                assert_eq!(got.len(), want.len());
                let (got, want) = if back {
                    (got.next_back(), want.next_back())
                } else {
                    (got.next(), want.next())
                };
                assert_eq!(got.map(|(k, v)| (k, v.get())), want);
            }
            // Every second time the rest is dropped without being visited.
            if want.len() % 2 == 0 {
                map.extend(got);
                model.extend(want);
            }
        }
        Op::Clear => {
            map.clear();
            model.clear();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(96), ..ProptestConfig::default() })]

    #[test]
    fn behaves_like_a_btreemap(ops in proptest::collection::vec(op(), 1..60)) {
        memkv::code_small_maps();
        let (mut map, mut model, witness) = (Map::new(), Model::new(), Witness::default());
        for (i, op) in ops.into_iter().enumerate() {
            step(&mut map, &mut model, &witness, op);
            if model.len() < 500 || i % 8 == 0 {
                map.check().unwrap();
            }
        }
        map.check().unwrap();
        assert_eq!(map.len(), model.len());
        let mut cursor = map.cursor();
        for (k, v) in &model {
            assert_eq!(cursor.next().map(|(k, v)| (k, v.get())), Some((&k[..], *v)));
        }
        let keys: Vec<_> = model.keys().collect();
        let pinned = map.pin();
        let found = pinned.get_many(&keys).into_iter().map(|v| v.map(Noted::get));
        assert!(found.eq(model.values().map(|v| Some(*v))));
        drop((cursor, pinned));
        witness.settles(model.len());
        drop(map);
        witness.settles(0);
    }
}

/// Threads run all operations on few keys. Each value that they read must not be dropped, and must
/// belong to its key.
fn churn(witness: &Witness, map: &Map, threads: u64, steps: u64, panics: bool) {
    const KEYS: u64 = 40;
    thread::scope(|scope| {
        for t in 0..threads {
            scope.spawn(move || {
                let mut rng = Rng(t + 1);
                let made = |k: u64, n: u64| witness.value(n * KEYS + k);
                let right = |k: u64, value: &Noted| {
                    assert_eq!(value.get() % KEYS, k, "a value of another key")
                };
                for n in 0..steps {
                    let k = rng.below(KEYS);
                    let key = name(k);
                    match rng.below(12) {
                        0..3 => _ = map.get(&key).inspect(|value| right(k, value)),
                        3 => _ = map.insert(&key, made(k, n)).inspect(|old| right(k, old)),
                        4 => _ = map.remove(&key).inspect(|old| right(k, old)),
                        5 => {
                            let new = map.compute(&key, |old| {
                                old.inspect(|old| right(k, old));
                                Some(made(k, n))
                            });
                            assert_eq!(new.unwrap().get(), n * KEYS + k);
                        }
                        6 => {
                            let pinned = map.pin();
                            let old = pinned.get(&key);
                            let result =
                                pinned.compare_exchange(&key, old, (n % 3 > 0).then(|| made(k, n)));
                            // A borrowed value stays valid, whichever thread won.
                            old.inspect(|old| right(k, old));
                            _ = result
                                .inspect_err(|new| _ = new.as_ref().inspect(|new| right(k, new)));
                        }
                        7 => right(k, &map.get_or_insert_with(&key, || made(k, n))),
                        8 => {
                            _ = map
                                .remove_if(&key, |old| old.get() % 2 == 0)
                                .inspect(|old| assert_eq!(old.get() % 2, 0))
                        }
                        9 => {
                            if let Some((key, old)) =
                                if n % 2 == 0 { map.pop_first() } else { map.pop_last() }
                            {
                                assert_eq!(key, name(old.get() % KEYS).as_bytes());
                            }
                        }
                        10 => {
                            let (mut range, mut last) = (map.prefix("https://"), Vec::new());
                            while let Some((key, value)) =
                                if n % 2 == 0 { range.next_ref() } else { range.next_back_ref() }
                            {
                                assert_eq!(key, name(value.get() % KEYS).as_bytes());
                                assert!(
                                    last.is_empty()
                                        || if n % 2 == 0 {
                                            key > &last[..]
                                        } else {
                                            key < &last[..]
                                        }
                                );
                                last = key.to_vec();
                            }
                        }
                        _ if panics => {
                            let caught = catch_unwind(AssertUnwindSafe(|| match n % 4 {
                                0 => drop(map.compute(&key, |_| panic!("on purpose"))),
                                1 => drop(map.update(&key, |_| panic!("on purpose"))),
                                2 => drop(map.get_or_insert_with(&key, || panic!("on purpose"))),
                                _ => map.retain(|_, old| {
                                    if old.get() % 5 == 0 {
                                        panic!("on purpose")
                                    } else {
                                        old.get() % 7 != 0
                                    }
                                }),
                            }));
                            drop(caught);
                        }
                        _ if n % 500 == 0 => map.clear(),
                        _ => {
                            _ = map
                                .update(&key, |old| made(k, old.get() / KEYS + 1))
                                .inspect(|old| right(k, old))
                        }
                    }
                }
            });
        }
    });
}

#[test]
fn values_are_dropped_once_under_churn() {
    for threads in [2, 4, 16] {
        let witness = Witness::default();
        let mut map = Map::new();
        churn(&witness, &map, threads, rounds(40_000) / threads, false);
        map.check().unwrap();
        assert_eq!(map.iter().count(), map.len());
        witness.settles(map.len());
        // Half of the values are dropped by the owning iterator.
        let len = map.len();
        let half: Vec<_> = map.into_iter().take(len / 2).map(|(_, value)| value).collect();
        witness.settles(half.len());
        drop(half);
        witness.settles(0);
    }
}

#[test]
fn values_are_dropped_once_whatever_panics() {
    // Does not print the intended panics, of which there are thousands.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let said = info.payload().downcast_ref::<&str>();
        if !said.is_some_and(|said| ["on purpose", "a value goes off"].contains(said)) {
            hook(info);
        }
    }));
    let witness = Witness::default();
    witness.0.bombs.store(3, Relaxed);
    for end in 0..4 {
        let mut map = Map::new();
        // A value that the caller drops panics in the caller.
        let quiet = Witness::default();
        churn(&quiet, &map, 4, rounds(8_000) / 4, true);
        map.check().unwrap();
        (0..100).for_each(|i| _ = map.insert(name(i), witness.value(i)));
        (0..100).step_by(2).for_each(|i| _ = map.insert(name(i), witness.value(i + 1)));
        (0..100).step_by(5).for_each(|i| _ = map.remove(name(i)));
        map.check().unwrap();
        let before = witness.counts().0 - (0..100).filter(|i| i % 5 > 0).count();
        witness.settles(80);
        assert_eq!(witness.counts().1, before);
        match end {
            0 => drop(map),
            1 => map.clear(),
            2 => map.retain(|_, _| false),
            _ => drop(map.into_iter()),
        }
        witness.settles(0);
        quiet.settles(0);
    }
    let _ = std::panic::take_hook();
}

#[test]
fn what_is_lent_stays_while_it_is_held() {
    let witness = Witness::default();
    let map = Map::new();
    let n = rounds(3000);
    map.insert("k", witness.value(0));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let (map, witness, stop) = (&map, &witness, &stop);
        scope.spawn(move || {
            for i in 1..=n {
                map.insert("k", witness.value(i));
                map.reclaim();
            }
            stop.store(true, Relaxed);
        });
        for _ in 0..2 {
            scope.spawn(move || {
                let mut last = 0;
                while !stop.load(Relaxed) {
                    let value = map.get("k").unwrap();
                    let first = value.get();
                    thread::yield_now();
                    assert!(value.get() == first && first >= last);
                    last = first;
                }
            });
        }
    });
    witness.settles(1);
}

#[test]
fn counters_lose_nothing() {
    let map = ConcurrentArenaArt::<Box<u64>>::new();
    let n = rounds(20_000);
    thread::scope(|scope| {
        for t in 0..4 {
            let map = &map;
            scope.spawn(move || {
                for i in 0..n {
                    map.compute(name(i % 13), |count| {
                        Some(Box::new(count.map_or(0, |count| **count) + 1))
                    });
                    // Neighbours are inserted and removed, so that the counters' leaf is often
                    // replaced.
                    let other = format!("{}/{t}", name(i % 17));
                    if i % 2 == 0 {
                        map.insert(other, Box::new(0))
                    } else {
                        map.remove(other)
                    };
                }
            });
        }
    });
    assert_eq!((0..13).map(|i| **map.get(name(i)).unwrap()).sum::<u64>(), 4 * n);
}

#[test]
fn one_of_many_wins() {
    let (witness, map) = (Witness::default(), Map::new());
    let n = rounds(2000);
    let winners = |work: &(dyn Fn(u64, u64) -> bool + Sync)| -> usize {
        thread::scope(|scope| {
            let run = |t| scope.spawn(move || (0..n).filter(|i| work(t, *i)).count());
            (0..4)
                .map(run)
                .collect::<Vec<_>>()
                .into_iter()
                .map(|handle| handle.join().unwrap())
                .sum()
        })
    };
    assert_eq!(
        winners(&|t, i| map.compare_exchange(name(i), None, Some(witness.value(t))).is_ok()),
        n as usize
    );
    assert_eq!(winners(&|_, i| map.remove(name(i)).is_some()), n as usize);
    assert_eq!(
        winners(&|t, i| *map.get_or_insert_with(name(i), || witness.value(t)).number == t),
        n as usize
    );
    assert_eq!(winners(&|_, _| map.pop_first().is_some()), n as usize);
    assert!(map.is_empty());
    witness.settles(0);
}

#[test]
fn maps_go_while_values_wait_to_be_dropped() {
    let witness = Witness::default();
    // A thread that stays pinned all the time.
    let other = ConcurrentArenaArt::from([("x", 1)]);
    let laggard = other.get("x").unwrap();
    for round in 0..rounds(40) {
        let map = Arc::new(Map::new());
        let threads: Vec<_> = (0..4)
            .map(|t| {
                let (map, witness) = (Arc::clone(&map), witness.clone());
                thread::spawn(move || {
                    (0..100).for_each(|i| _ = map.insert(name(i), witness.value(i)));
                    (0..100).filter(|i| i % 4 == t).for_each(|i| _ = map.remove(name(i)));
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let map = Arc::into_inner(map).unwrap();
        match round % 3 {
            0 => drop(map),
            1 => drop(map.into_arena()),
            _ => assert!(map.into_iter().rev().count() < 400),
        }
    }
    assert_eq!(*laggard, 1);
    drop(laggard);
    witness.settles(0);
}

#[test]
fn functions_may_use_the_map_they_are_called_by() {
    let map = ConcurrentArenaArt::from([("a", 1u64), ("b", 2)]);
    let mut asked = 0;
    let new = map.compute("a", |value| {
        asked += 1;
        (0..200).for_each(|i| _ = map.insert("b", i));
        if asked == 1 {
            map.insert("a", 10);
        }
        map.reclaim();
        value.map(|value| value + *map.get("b").unwrap())
    });
    assert_eq!((*new.unwrap(), asked), (209, 2));
    map.retain(|key, _| map.remove(key).is_none());
    assert!(map.is_empty());
}

/// A value whose drop uses a map, its own.
struct Tail(Arc<ConcurrentArenaArt<u64>>);

impl Drop for Tail {
    fn drop(&mut self) {
        self.0.compute("drops", |count| Some(count.map_or(0, |count| *count) + 1));
    }
}

#[test]
fn drops_may_use_maps() {
    let counts = Arc::new(ConcurrentArenaArt::new());
    let n = rounds(2000);
    thread::scope(|scope| {
        let map = Arc::new(ConcurrentArenaArt::new());
        for t in 0..3 {
            let (map, counts) = (Arc::clone(&map), Arc::clone(&counts));
            scope.spawn(move || {
                (0..n).for_each(|i| _ = map.insert(name((i + t) % 50), Tail(Arc::clone(&counts))))
            });
        }
    });
    let end = Instant::now() + Duration::from_secs(60);
    while *counts.get("drops").unwrap() < 3 * n {
        counts.reclaim();
        thread::yield_now();
        assert!(Instant::now() < end, "{} of {} dropped", *counts.get("drops").unwrap(), 3 * n);
    }
}

#[test]
fn large_aligned_and_empty_values() {
    #[repr(align(64))]
    struct Wide([u64; 9]);
    let map: ConcurrentArenaArt<Wide> = (0..300).map(|i| (name(i), Wide([i; 9]))).collect();
    for i in 0..300 {
        let value = map.get(name(i)).unwrap();
        assert!((&raw const *value).is_aligned() && value.0 == [i; 9]);
    }
    let set: ConcurrentArenaArt<()> = (0..300).map(|i| (name(i), ())).collect();
    assert!(set.remove(name(7)).is_some() && set.remove(name(7)).is_none());
    assert_eq!((set.len(), set.iter().count()), (299, 299));
    // Never written to, so the system need not provide the memory.
    let long = vec![0; memkv::MAX_KEY_LEN + 1];
    assert!(set.try_insert(&long, ()).is_err() && set.len() == 299);
}

#[test]
fn memory_is_told_and_comes_back() {
    let n = rounds(50_000);
    let mut map: ConcurrentArenaArt<[u64; 3]> = (0..n).map(|i| (name(i), [i; 3])).collect();
    let usage = map.memory_usage();
    assert_eq!(usage.values, 24 * map.len());
    assert!(cfg!(miri) || usage.slack <= map.len(), "{usage:?}");
    map.retain(|_, value| value[0] % 64 == 0);
    map.check().unwrap();
    map.clear();
    // Other tests of the process pin, too.
    let end = Instant::now() + Duration::from_secs(60);
    while map.memory_usage().slack > 2 * n as usize {
        map.reclaim();
        assert!(Instant::now() < end, "{:?}", map.memory_usage());
    }
    map.check().unwrap();
}

#[test]
fn shared_maps_are_send_and_sync() {
    fn is<T: Send + Sync>() {}
    is::<ConcurrentArenaArt<String>>();
}
