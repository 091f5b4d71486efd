//! Methods that return allocation errors do so for each of their allocations, including those of
//! buffers. They then have changed nothing and kept nothing.

mod failing;

use failing::{LEFT, LIVE, is_out_of_memory, until_it_works};
use memkv::{ArenaArt, BuildError, ConcurrentArt, FastArt, InsertError};

/// Dense keys, keys with long separators, ascending keys.
fn kinds() -> [Vec<Vec<u8>>; 3] {
    let dense = (0..700u32).map(|i| (i * 7919 % 65_521).to_be_bytes().to_vec());
    let long = (0..48u32)
        .map(|i| i * 7 % 48)
        .map(|i| [&[(i / 3) as u8; 1500][..], &[(i % 3) as u8]].concat());
    let ascending = (0..500u32).map(|i| format!("{i:08}").into_bytes());
    [dense.collect(), long.collect(), ascending.collect()]
}

#[test]
fn inserts_and_removals_fail_cleanly() {
    for keys in kinds() {
        let held = LIVE.get();
        let mut map = FastArt::<u64>::new();
        let mut failures = 0;
        for (i, key) in keys.iter().enumerate() {
            let len = map.len();
            let (old, n) = until_it_works(|| map.try_insert(key, i as u64), is_out_of_memory);
            assert_eq!((old, map.len()), (None, len + 1));
            failures += n;
        }
        assert!(failures > 100, "{failures}");
        map.check().unwrap();
        failures = 0;
        for (i, key) in keys.iter().enumerate() {
            if i % 16 == 0 {
                map.check().unwrap();
                assert!(keys[i..].iter().all(|key| map.contains_key(key)));
            }
            let (old, n) = until_it_works(|| map.try_remove(key), is_out_of_memory);
            assert_eq!(old, Some(i as u64));
            failures += n;
        }
        assert!(failures > 20, "{failures}");
        assert!(map.is_empty());
        drop(map);
        assert_eq!(LIVE.get(), held, "bytes leaked");
    }
}

#[test]
fn a_failed_step_changes_nothing() {
    for keys in kinds() {
        let mut map = FastArt::<u64>::new();
        for (i, key) in keys.iter().enumerate().step_by(5).map(|(_, key)| key).enumerate() {
            let before: Vec<_> = map.iter().collect();
            until_it_works(|| map.try_insert(key, i as u64), is_out_of_memory);
            assert_eq!(map.remove(key), Some(i as u64));
            map.check().unwrap();
            assert!(map.iter().eq(before));
            map.insert(key, i as u64);
        }
    }
}

/// Failed allocations of the collector itself abort. It allocates for the first pin of a thread,
/// and for each batch that is handed over, so `reclaim` before each step leaves none for the step.
#[test]
fn a_shared_map_fails_cleanly() {
    for keys in kinds() {
        let mut map = ConcurrentArt::<u64>::new();
        for insert in [true, false] {
            let mut failures = 0;
            for (i, key) in keys.iter().enumerate() {
                if i % 16 == 0 {
                    map.check().unwrap();
                    assert!(keys.iter().enumerate().all(
                        |(j, key)| map.contains_key(key) == if insert { j < i } else { j >= i }
                    ));
                }
                let before = || {
                    map.reclaim();
                    (map.len(), map.memory_usage().total(), LIVE.get())
                };
                let mut was = before();
                let step =
                    || if insert { map.try_insert(key, i as u64) } else { map.try_remove(key) };
                let (old, n) = until_it_works(step, |error| {
                    is_out_of_memory(error);
                    let (len, total, live) = was;
                    // Memory that was retired before may have been freed.
                    assert!(
                        (map.len(), map.memory_usage().total()) == (len, total)
                            && LIVE.get() <= live,
                        "a failed step changed the map"
                    );
                    was = before();
                });
                assert_eq!(old, (!insert).then_some(i as u64));
                failures += n;
            }
            assert!(failures > 20, "{failures}");
        }
        assert!(map.is_empty());
        map.check().unwrap();
    }
}

/// Returns a copy that was made after more failures than `least`, none of which leaked.
fn copied<M>(copy: impl FnMut() -> Result<M, InsertError>, least: u32) -> M {
    let held = LIVE.get();
    let (copy, failures) = until_it_works(copy, |error| {
        is_out_of_memory(error);
        assert_eq!(LIVE.get(), held, "bytes leaked");
    });
    assert!(failures > least, "{failures}");
    copy
}

#[test]
fn bulk_loads_and_copies_fail_cleanly() {
    for mut keys in kinds() {
        keys.sort();
        let held = LIVE.get();
        let build = || FastArt::from_sorted(keys.iter().map(|key| (key, 1u64)));
        let (map, failures) = until_it_works(build, |error| {
            assert!(
                matches!(error, BuildError::Insert(InsertError::OutOfMemory { .. })),
                "{error}"
            );
            assert_eq!(LIVE.get(), held, "bytes leaked");
        });
        assert!(failures > 10);
        map.check().unwrap();
        let copy = copied(|| map.try_clone(), 2);
        assert!(copy == map);
        copy.check().unwrap();
        drop((map, copy));
        assert_eq!(LIVE.get(), held, "bytes leaked");
    }
}

#[test]
fn a_map_with_an_arena_fails_cleanly() {
    for mut keys in kinds() {
        let held = LIVE.get();
        let mut map = ArenaArt::<[u64; 3]>::new();
        let mut failures = 0;
        for (i, key) in keys.iter().enumerate() {
            let len = map.len();
            let (old, n) = until_it_works(|| map.try_insert(key, [i as u64; 3]), is_out_of_memory);
            assert_eq!((old, map.len()), (None, len + 1));
            // Replacing a value needs no memory.
            LEFT.set(Some(0));
            let old = map.try_insert(key, [7; 3]);
            LEFT.set(None);
            assert_eq!(old, Ok(Some([i as u64; 3])));
            failures += n;
        }
        assert!(failures > 100, "{failures}");
        map.check().unwrap();
        let copy = copied(|| map.try_clone(), 3);
        assert!(copy == map);
        drop(copy);
        let mut failures = 0;
        for (i, key) in keys.iter().enumerate() {
            let (old, n) = until_it_works(|| map.try_remove(key), is_out_of_memory);
            assert_eq!(old, Some([7; 3]));
            failures += n;
            if i % 16 == 0 {
                map.check().unwrap();
                assert!(keys[i + 1..].iter().all(|key| map.contains_key(key)));
            }
        }
        assert!(failures > 20, "{failures}");
        keys.sort();
        let build = || ArenaArt::from_sorted(keys.iter().map(|key| (key, [1u8; 5])));
        let (built, failures) = until_it_works(build, |error| {
            assert!(
                matches!(error, BuildError::Insert(InsertError::OutOfMemory { .. })),
                "{error}"
            );
        });
        built.check().unwrap();
        assert!(failures > 10 && built.len() == keys.len());
        drop((map, built));
        assert_eq!(LIVE.get(), held, "bytes leaked");
    }
}
