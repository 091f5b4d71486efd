//! What `scripts/instructions` and `scripts/bytes` measure: numbers that no clock is needed for.
//!
//! `guard instructions` runs point operations and scans, each in a function of its own, for
//! callgrind to count. `guard bytes` prints the bytes that each type needs for the same keys.

use memkv::{
    ArenaArt, Codec, ConcurrentArt, FastArt, FastSet, FrozenLayer, FrozenOptions, HybridOptions,
    HybridStore, ShardedArt, SymbolTable,
};
use memkv_cli::{
    generate::{Kind, generate},
    keys::KeyList,
};
use std::hint::black_box;

/// Keys that are stored and looked up.
const KEYS: u64 = 300_000;

/// The generator's seed.
const SEED: u64 = 1;

// `scripts/instructions` finds these functions by their names.

#[inline(never)]
fn phase_fast_insert(map: &mut FastArt, keys: &KeyList) {
    for (i, key) in keys.iter().enumerate() {
        map.insert(key, i as u64);
    }
}

#[inline(never)]
fn phase_fast_get(map: &FastArt, keys: &KeyList) -> u64 {
    keys.iter().map(|key| map.get(key).unwrap_or(0)).fold(0, u64::wrapping_add)
}

#[inline(never)]
fn phase_fast_scan(map: &FastArt) -> u64 {
    let (mut cursor, mut sum) = (map.cursor(), 0u64);
    while let Some((key, value)) = cursor.next() {
        sum = sum.wrapping_add(key.len() as u64 ^ value);
    }
    sum
}

#[inline(never)]
fn phase_fast_remove(map: &mut FastArt, keys: &KeyList) {
    for key in keys.iter() {
        map.remove(key);
    }
}

#[inline(never)]
fn phase_concurrent_insert(map: &ConcurrentArt, keys: &KeyList) {
    for (i, key) in keys.iter().enumerate() {
        map.insert(key, i as u64);
    }
}

#[inline(never)]
fn phase_concurrent_get(map: &ConcurrentArt, keys: &KeyList) -> u64 {
    keys.iter().map(|key| map.get(key).unwrap_or(0)).fold(0, u64::wrapping_add)
}

#[inline(never)]
fn phase_concurrent_scan(map: &ConcurrentArt) -> u64 {
    let (mut cursor, mut sum) = (map.cursor(), 0u64);
    while let Some((key, value)) = cursor.next() {
        sum = sum.wrapping_add(key.len() as u64 ^ value);
    }
    sum
}

#[inline(never)]
fn phase_concurrent_remove(map: &ConcurrentArt, keys: &KeyList) {
    for key in keys.iter() {
        map.remove(key);
    }
}

fn instructions(keys: &KeyList) {
    let mut map = FastArt::new();
    phase_fast_insert(&mut map, keys);
    black_box(phase_fast_get(&map, keys));
    black_box(phase_fast_scan(&map));
    phase_fast_remove(&mut map, keys);
    assert!(map.is_empty());

    let map = ConcurrentArt::new();
    phase_concurrent_insert(&map, keys);
    black_box(phase_concurrent_get(&map, keys));
    black_box(phase_concurrent_scan(&map));
    phase_concurrent_remove(&map, keys);
    assert!(map.is_empty());
}

/// Prints a figure of `scripts/bytes`: a name, the bytes, and the bytes for each key.
fn print(name: &str, bytes: usize) {
    println!("{name} {bytes} {:.3}", bytes as f64 / KEYS as f64);
}

fn bytes(keys: &KeyList) {
    println!("# {KEYS} keys, {} bytes", keys.raw_bytes());
    let sorted = keys.select(&keys.sorted());
    let pairs: Vec<(&[u8], u64)> = sorted.iter().zip(0..).collect();

    let mut map = FastArt::<u64>::new();
    phase_fast_insert(&mut map, keys);
    print("fastart", map.memory_usage().total());
    map.shrink_to_fit();
    print("fastart-shrunk", map.memory_usage().total());
    drop(map);
    let map = FastArt::<u64>::from_sorted(pairs.iter().copied()).unwrap();
    print("fastart-from-sorted", map.memory_usage().total());
    drop(map);
    let mut map = FastArt::<u64>::new();
    phase_fast_insert(&mut map, &sorted);
    print("fastart-ascending", map.memory_usage().total());
    drop(map);

    let mut set = FastSet::new();
    for key in keys.iter() {
        set.insert(key);
    }
    print("fastset", set.memory_usage().total());
    drop(set);

    let map = ConcurrentArt::<u64>::new();
    phase_concurrent_insert(&map, keys);
    // What is retired depends on when the collector runs.
    let usage = map.memory_usage();
    print("concurrentart", usage.total() - usage.retired);
    drop(map);

    let map = ShardedArt::<u64>::with_sample(4, keys.iter().step_by(100));
    for (i, key) in keys.iter().enumerate() {
        map.insert(key, i as u64);
    }
    let usage = map.memory_usage();
    print("shardedart", usage.total() - usage.retired);
    drop(map);

    let mut map = ArenaArt::<u64>::new();
    for (i, key) in keys.iter().enumerate() {
        map.insert(key, i as u64);
    }
    print("arenaart", map.memory_usage().total());
    drop(map);

    for (name, codec, symbols) in [
        ("frozenlayer-fst", Codec::Fst, SymbolTable::None),
        ("frozenlayer-plain", Codec::Packed, SymbolTable::None),
        ("frozenlayer-fsst", Codec::Packed, SymbolTable::Fsst),
        ("frozenlayer-onpair", Codec::Packed, SymbolTable::OnPair),
        ("frozenlayer-auto", Codec::Packed, SymbolTable::Auto),
    ] {
        let layer = FrozenOptions::new().codec(codec).symbols(symbols).from_sorted(&pairs).unwrap();
        print(name, layer.memory_usage().total());
        print(&format!("{name}-file"), layer.to_bytes().len());
    }

    let base = FrozenLayer::from_sorted(&pairs[..pairs.len() / 2]).unwrap();
    let store = HybridStore::with_base(base, HybridOptions::new().background(false)).unwrap();
    for &(key, value) in &pairs[pairs.len() / 2..] {
        store.insert(key, value).unwrap();
    }
    let usage = store.memory_usage();
    print("hybridstore", usage.total() - usage.retired);
    store.compact().unwrap();
    let usage = store.memory_usage();
    print("hybridstore-compacted", usage.total() - usage.retired);
}

fn main() {
    let keys = generate(Kind::Urls, SEED, 0..KEYS);
    match std::env::args().nth(1).as_deref() {
        Some("instructions") => instructions(&keys),
        Some("bytes") => bytes(&keys),
        _ => {
            eprintln!("usage: guard instructions|bytes");
            std::process::exit(2);
        }
    }
}
