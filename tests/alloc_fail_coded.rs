//! Maps that code their keys fail cleanly, too. Without memory to train a table, they go on without
//! it.

mod common {
    pub(crate) mod texts;
}
mod failing;

use common::texts::{KINDS, ending};
use failing::{LEFT, LIVE, is_out_of_memory, until_it_works, until_it_works_from};
use memkv::{BuildError, ConcurrentArt, FastArt, InsertError, KeyCoding};

/// Returns keys that drift from URLs to the other kinds, each once.
fn keys(n: u64) -> Vec<Vec<u8>> {
    let kind = |i: u64| (1 + i / (n / 4)) as u16 % KINDS;
    (0..n).map(|i| [&ending(kind(i), i)[..], &(i as u16).to_be_bytes()].concat()).collect()
}

/// Allocations of an insert that trains a table, at least. Others make fewer.
const TRAINING_ALLOCATIONS: u32 = 40;
/// More allocations than any insert makes.
const ENOUGH: u32 = 1 << 20;

/// Inserts a key into a map with memory for `allowed` allocations, and without that limit if it
/// fails. Returns the allocations made within the limit.
fn insert(
    map: FastArt<u64>,
    (key, value): (&[u8], u64),
    shared: bool,
    allowed: u32,
) -> (FastArt<u64>, u32) {
    let used = || allowed - LEFT.take().expect("the limit is set");
    if shared {
        let map = ConcurrentArt::from(map);
        map.reclaim();
        LEFT.set(Some(allowed));
        let old = map.try_insert(key, value);
        let used = used();
        old.unwrap_or_else(|_| map.insert(key, value));
        return (map.into_fast(), used);
    }
    let mut map = map;
    LEFT.set(Some(allowed));
    let old = map.try_insert(key, value);
    let used = used();
    old.unwrap_or_else(|_| map.insert(key, value));
    (map, used)
}

/// A map gets its first table with memory for each number of allocations that is too small. All of
/// training has failed then, and none of it has changed the map.
#[test]
fn training_fails_cleanly() {
    memkv::code_small_maps();
    let (keys, held) = (keys(1600), LIVE.get());
    for shared in [false, true] {
        let new = || FastArt::<u64>::with_coding(KeyCoding::Symbols);
        let mut map = new();
        let mut trained = None;
        for (i, key) in keys.iter().enumerate() {
            let (grown, used) = insert(map, (key, i as u64), shared, ENOUGH);
            map = grown;
            if used > TRAINING_ALLOCATIONS {
                trained = Some((i, used));
                break;
            }
        }
        drop(map);
        let (last, used) = trained.expect("a table is trained");
        for allowed in 0..used {
            let mut map = new();
            keys[..last].iter().zip(0..).for_each(|(key, i)| _ = map.insert(key, i));
            let (map, _) = insert(map, (&keys[last], last as u64), shared, allowed);
            map.check().unwrap();
            assert_eq!(map.len(), last + 1);
            assert!(keys[..map.len()].iter().all(|key| map.contains_key(key)));
            drop(map);
            // Of a shared map, something may be retired.
            assert!(shared || LIVE.get() == held, "bytes leaked");
        }
    }
}

/// With memory for few allocations each insert and removal succeeds or fails, until all have been
/// made.
#[test]
fn inserts_and_removals_fail_cleanly() {
    memkv::code_small_maps();
    let (keys, held) = (keys(1600), LIVE.get());
    let mut map = FastArt::<u64>::with_coding(KeyCoding::Symbols);
    let mut failures = 0;
    for insert in [true, false] {
        for (i, key) in keys.iter().enumerate() {
            let mut allowed = Some(0);
            let old = loop {
                LEFT.set(allowed);
                let old = if insert { map.try_insert(key, i as u64) } else { map.try_remove(key) };
                LEFT.set(None);
                match old {
                    Ok(old) => break old,
                    Err(error) => is_out_of_memory(error),
                }
                failures += 1;
                // At last all succeed, those of training too.
                allowed = allowed.map(|n| n + 1).filter(|&n| n < 4 + i as u32 % 8);
            };
            assert_eq!(old, (!insert).then_some(i as u64));
            if i % 64 == 0 {
                map.check().unwrap();
                let is_left = |j: usize| if insert { j <= i } else { j > i };
                assert!(
                    keys.iter().enumerate().all(|(j, key)| map.contains_key(key) == is_left(j))
                );
            }
        }
    }
    assert!(failures > 1000 && map.is_empty(), "{failures}");
    map.check().unwrap();
    drop(map);
    assert_eq!(LIVE.get(), held, "bytes leaked");
}

#[test]
fn bulk_loads_and_copies_fail_cleanly() {
    memkv::code_small_maps();
    let mut keys = keys(400);
    keys.sort();
    let held = LIVE.get();
    // The first allocation is that of what trains tables, which a constructor makes.
    let build = || {
        let pairs = keys.iter().map(|key| (key, 1u64));
        FastArt::from_sorted_with(KeyCoding::Symbols, pairs)
    };
    let wrong = |error| {
        let is_memory = matches!(error, BuildError::Insert(InsertError::OutOfMemory { .. }));
        assert!(is_memory, "{error}");
        assert_eq!(LIVE.get(), held, "bytes leaked");
    };
    let (map, failures) = until_it_works_from(1, build, wrong);
    assert!(failures > 10, "{failures}");
    map.check().unwrap();
    let (copy, _) = until_it_works(|| map.try_clone(), is_out_of_memory);
    assert!(copy == map);
    drop((map, copy));
    assert_eq!(LIVE.get(), held, "bytes leaked");
}
