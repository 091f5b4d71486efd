//! The memory that maps report against what the global allocator counted, and what is left after
//! removals.

mod common {
    pub(crate) mod url;
}
mod counting;

use common::url::url;
use counting::LIVE;
use memkv::{
    ArenaArt, Codec, FastArt, FastSet, FrozenLayer, FrozenOptions, LayerValue, SymbolTable, Value,
    pool,
};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::Ordering::Relaxed;

/// The pool and the counter belong to the process, so one test runs at a time. The threads of the
/// test harness allocate a little.
static ALONE: Mutex<()> = Mutex::new(());

/// The bytes that the test harness may allocate during a test.
const NOISE: usize = 16 << 10;

fn alone<R>(test: impl FnOnce() -> R) -> R {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let before = LIVE.load(Relaxed);
    let result = test();
    let left = LIVE.load(Relaxed).saturating_sub(before);
    assert!(left <= NOISE, "{left} bytes leaked");
    assert_eq!(pool::usage().used, 0);
    result
}

/// Builds a map, whose reported memory must be within 2 % of what the allocator counted.
fn says_what_it_takes<M>(what: &str, build: impl FnOnce() -> M, total: impl Fn(&M) -> usize) -> M {
    let before = LIVE.load(Relaxed);
    let map = build();
    agree(what, before, size_of::<M>(), total(&map));
    map
}

fn agree(what: &str, before: usize, own: usize, said: usize) {
    let seen = LIVE.load(Relaxed) - before + own;
    assert!(said.abs_diff(seen) <= seen / 50, "{what}: says {said}, the allocator saw {seen}");
}

fn maps_of<V: Value>(what: &str, n: usize, value: impl Fn(usize) -> V) {
    alone(|| {
        let start = LIVE.load(Relaxed);
        let mut map = FastArt::new();
        let agrees = |map: &FastArt<V>, what| {
            agree(what, start, size_of::<FastArt<V>>(), map.memory_usage().total())
        };
        (0..n).for_each(|i| _ = map.insert(url(i), value(i)));
        agrees(&map, what);
        // Only the pool's reserve may differ.
        let held = || LIVE.load(Relaxed) - pool::usage().reserved;
        let (before, used) = (held(), pool::usage().used);
        drop(map.clone());
        assert!(held() <= before + NOISE, "{what}: the copy left something");
        assert_eq!(pool::usage().used, used);
        map.retain(|key, _| key[key.len() - 6] % 2 == 0);
        assert!((n / 3..n * 2 / 3).contains(&map.len()));
        agrees(&map, "half");
        map.shrink_to_fit();
        agrees(&map, "shrunk");
        let all: Vec<_> = map.keys().collect();
        all.iter().for_each(|key| assert!(map.remove(key).is_some()));
        assert_eq!(map.memory_usage().total(), size_of::<FastArt<V>>());
        assert!(
            pool::usage().reserved <= 64 << 10,
            "{what}: {:?} after the last key",
            pool::usage()
        );
    });
}

#[test]
fn maps_of_words_say_what_they_take() {
    maps_of("u64", 100_000, |i| i as u64);
}

#[test]
fn maps_of_bytes_say_what_they_take() {
    maps_of("u8", 100_000, |i| i as u8);
}

#[test]
fn maps_of_halves_say_what_they_take() {
    maps_of("u16", 100_000, |i| i as u16);
}

#[test]
fn maps_of_floats_say_what_they_take() {
    maps_of("f32", 100_000, |i| i as f32);
}

#[test]
fn maps_of_nothing_say_what_they_take() {
    maps_of("()", 100_000, |_| ());
}

#[test]
fn half_of_a_map_says_what_it_takes() {
    alone(|| {
        let build = || {
            let mut map: FastArt = (0..120_000).map(|i| (url(i), i as u64)).collect();
            for i in (0..120_000).step_by(2) {
                map.remove(url(i));
            }
            map
        };
        says_what_it_takes("half", build, |map| map.memory_usage().total());
    });
}

#[test]
fn a_map_that_is_packed_leaves_no_holes_in_the_pool() {
    alone(|| {
        let mut map: FastArt<u64> = (0..300_000).map(|i| (url(i), i as u64)).collect();
        map.retain(|_, i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 63 == 0);
        let before = pool::usage().reserved;
        map.shrink_to_fit();
        let pool = pool::usage();
        assert!(pool.reserved <= before, "{pool:?}, {before} before");
        assert!(pool.reserved - pool.used <= pool.used / 8 + (1 << 20), "{pool:?}");
    });
}

#[test]
fn sets_and_bulk_loads_say_what_they_take() {
    alone(|| {
        let mut keys: Vec<_> = (0..150_000).map(url).collect();
        keys.sort();
        keys.dedup();
        let pairs = || keys.iter().map(|key| (key, 1u32));
        let total = |map: &FastArt<u32>| map.memory_usage().total();
        drop(says_what_it_takes(
            "set",
            || FastSet::from_sorted(&keys).unwrap(),
            |set| set.memory_usage().total(),
        ));
        drop(says_what_it_takes("bulk", || FastArt::from_sorted(pairs()).unwrap(), total));
        drop(says_what_it_takes("collected", || pairs().collect(), total));
        let grow = || {
            let mut map = FastArt::new();
            map.extend(pairs());
            map
        };
        drop(says_what_it_takes("appended", grow, total));
    });
}

/// Returns the bytes that building takes, including the value itself, less what ended test threads
/// free at the same time.
fn taken<M>(build: impl FnOnce() -> M) -> usize {
    let before = LIVE.load(Relaxed);
    let _map = build();
    LIVE.load(Relaxed).saturating_sub(before) + size_of::<M>()
}

#[test]
fn small_maps_are_small() {
    alone(|| {
        assert!(taken(FastArt::<u64>::new) <= 256);
        assert!(taken(|| (0..10).map(|i| (url(i), i as u64)).collect::<FastArt>()) <= 4 << 10);
        let grown = || {
            let mut map = FastArt::<u64>::new();
            map.extend((0..1000).map(|i| (url(i), i as u64)));
            map
        };
        let standard = taken(|| {
            (0..1000)
                .map(|i| (url(i).into_bytes().into_boxed_slice(), i as u64))
                .collect::<BTreeMap<_, _>>()
        });
        assert!(taken(grown) <= standard, "{} bytes, BTreeMap {standard}", taken(grown));
    });
}

/// The same keys are inserted and removed for many rounds: held memory stops growing.
#[test]
fn churn_takes_no_more_and_more() {
    alone(|| {
        let mut map = FastArt::<u64>::new();
        let n = 100_000;
        (0..n).for_each(|i| _ = map.insert(url(i), 0));
        // Capacity for all keys, which is counted, too.
        let mut highest = Vec::with_capacity(12);
        let before = LIVE.load(Relaxed);
        for round in 0..12 {
            // A third is removed, another one each round, and inserted again in another order.
            (0..n).filter(|i| i % 3 == round % 3).for_each(|i| _ = map.remove(url(i)));
            (0..n)
                .rev()
                .filter(|i| i % 3 == round % 3)
                .for_each(|i| _ = map.insert(url(i), round as u64));
            highest.push(LIVE.load(Relaxed));
        }
        map.check().unwrap();
        assert_eq!(map.len(), (0..n).map(url).collect::<std::collections::BTreeSet<_>>().len());
        let worst = *highest.iter().max().unwrap();
        assert!(worst <= before + before / 4, "{before} bytes at first, then {highest:?}");
        // A small pool allocates slabs of this size, so held memory moves in such steps.
        let slab = 256 << 10;
        let (early, late) = highest.split_at(6);
        assert!(late.iter().max().unwrap() <= &(early.iter().max().unwrap() + slab), "{highest:?}");
    });
}

/// A map with an arena takes the memory of a set of its keys, the values, and five bytes a key.
fn arena_of<T: Clone>(value: T) {
    let n = 100_000;
    alone(|| {
        // The pool allocates slabs in steps, and borrows larger cells while it is small, so the
        // used bytes of nodes are compared. The set is built like the map: a bulk load would take
        // less.
        let keys = (0..n).fold(FastSet::new(), |mut set, i| (set.insert(url(i)), set).1);
        let nodes = |usage: memkv::MemoryUsage| usage.leaves + usage.inner;
        let set = nodes(keys.memory_usage());
        drop(keys);
        let total = |map: &ArenaArt<T>| map.memory_usage().total();
        let insert_all = || {
            (0..n).fold(ArenaArt::new(), |mut map, i| (map.insert(url(i), value.clone()), map).1)
        };
        let before = LIVE.load(Relaxed);
        let mut map = says_what_it_takes("arena", insert_all, total);
        let (len, usage) = (map.len(), map.memory_usage());
        let bytes = nodes(usage.index) + usage.values + usage.slack;
        assert!(bytes <= set + len * (size_of::<T>() + 5), "{bytes} bytes, the keys alone {set}");

        map.retain(|key, _| key[key.len() - 6] % 4 == 0);
        assert!((n / 6..n / 2).contains(&map.len()));
        agree("a third", before, size_of_val(&map), total(&map));
        let (len, usage) = (map.len(), map.memory_usage());
        // The segments of the other values, and gaps of at most a third.
        assert!(usage.slack <= n * 3 / 4 + len * size_of::<T>() * 2 / 3, "{usage:?}");
        map.shrink_to_fit();
        agree("shrunk", before, size_of_val(&map), total(&map));
        assert!(
            map.memory_usage().slack <= len * 3 / 4 + 256 * size_of::<T>(),
            "{:?}",
            map.memory_usage()
        );

        let all: Vec<_> = map.keys().collect();
        all.iter().for_each(|key| assert!(map.remove(key).is_some()));
        assert_eq!(total(&map), size_of::<ArenaArt<T>>());
    });
}

#[test]
fn arenas_say_what_they_take() {
    arena_of(0u64);
    arena_of([0u8; 3]);
    arena_of([0u64; 5]);
    arena_of(());
    arena_of(Option::<Box<[u8]>>::None);
}

#[test]
fn arenas_give_values_back() {
    alone(|| {
        let before = LIVE.load(Relaxed);
        let mut map: ArenaArt<Box<[u8]>> =
            (0..50_000).map(|i| (url(i), url(i).into_bytes().into())).collect();
        map.extend((0..50_000).map(|i| (url(i), url(i + 1).into_bytes().into())));
        let held = LIVE.load(Relaxed) - before;
        let mut highest = 0;
        for round in 0..8 {
            (0..50_000).filter(|i| i % 5 == round % 5).for_each(|i| _ = map.remove(url(i)));
            (0..50_000)
                .rev()
                .filter(|i| i % 5 == round % 5)
                .for_each(|i| _ = map.insert(url(i), url(i + 1).into_bytes().into()));
            highest = highest.max(LIVE.load(Relaxed) - before);
        }
        map.check().unwrap();
        assert!(highest <= held + held / 8, "{held} bytes at first, then {highest}");
    });
}

#[test]
fn small_arenas_are_small() {
    alone(|| {
        assert!(taken(ArenaArt::<u64>::new) <= 256);
        assert!(taken(|| ArenaArt::from([("key", 1u64)])) <= 1 << 10);
        let grown = |n| taken(|| (0..n).map(|i| (url(i), [i; 8])).collect::<ArenaArt<_>>());
        let standard = |n| {
            taken(|| {
                (0..n)
                    .map(|i| (url(i).into_bytes().into_boxed_slice(), [i; 8]))
                    .collect::<BTreeMap<_, _>>()
            })
        };
        for n in [10, 100, 1000] {
            assert!(grown(n) <= standard(n), "{n}: {} bytes, BTreeMap {}", grown(n), standard(n));
        }
    });
}

/// Layers in memory, built and read, with any symbols: of words and of byte strings.
#[test]
fn layers_say_what_they_take() {
    // Not by `alone`: the threads of rayon's pool keep what they allocate the first time.
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let pairs: BTreeMap<String, u64> = (0..60_000).map(|i| (url(i), i as u64)).collect();
    let words: Vec<(&String, u64)> = pairs.iter().map(|(key, i)| (key, *i)).collect();
    let strings: Vec<(&String, String)> = pairs
        .iter()
        .map(|(key, i)| (key, format!("status=200 user={} ", i % 997).repeat(*i as usize % 4)))
        .collect();
    let symbols = |symbols| FrozenOptions::new().symbols(symbols);
    for options in [
        symbols(SymbolTable::None),
        symbols(SymbolTable::Fsst),
        symbols(SymbolTable::OnPair),
        FrozenOptions::new().codec(Codec::Fst),
    ] {
        let options = options.chunk_keys(10_000);
        layer_of(|| options.from_sorted(&words).unwrap());
        layer_of(|| options.from_sorted_bytes(&strings).unwrap());
        layer_of(|| {
            let mut builder = options.builder_as::<[u8]>().unwrap();
            for (key, string) in &strings {
                builder.insert(key, string.as_bytes()).unwrap();
            }
            let layer = builder.finish().unwrap();
            // A thread drops what it has encoded after it has passed it on.
            rayon::broadcast(|_| ());
            layer
        });
    }
}

fn layer_of<V: LayerValue + ?Sized>(build: impl Fn() -> FrozenLayer<V>) {
    let bytes = build().to_bytes();
    let total = |layer: &FrozenLayer<V>| layer.memory_usage().total();
    let built = says_what_it_takes("built", &build, total);
    let usage = built.memory_usage();
    drop(built);
    // What is read stays in memory as it is: also its symbols and its directory.
    let rest = bytes.len() - usage.keys - usage.values;
    let read = || FrozenLayer::<V>::from_bytes_as(bytes.clone()).unwrap();
    drop(says_what_it_takes("read", read, |layer| total(layer) + rest - usage.index));
}
