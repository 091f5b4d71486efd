//! Models of the symbol tables of a shared tree: one thread trains a table, publishes it and codes
//! leaves by it, while another reads or changes them.
//!
//! A table is reached by a `OnceLock`, and by the leaves that it codes, which are published with
//! release. So no order of the stores of the table and of the number of tables is wrong: a thread
//! that sees the number without the table codes nothing. The mutants are those of leaves.

use crate::shared::{Map, model, models, two};
use memkv::mutant::Mutant::*;

models! {
    training_and_get: [SlotRelaxed, FreedAtOnce];
    training_and_insert: [ChildNotCompared];
    training_and_scan: [ObsoleteSlotsCleared, FreedAtOnce];
    coded_leaf_replace_and_overwrite: [LeafNotLocked, LeafNotObsolete, OverwriteUnlocked];
    coded_merge_and_get: [ObsoleteSlotsCleared, FreedAtOnce];
}

/// Keys whose rests are long and alike.
fn key(i: u8) -> Vec<u8> {
    [&[b'a' + i][..], b"/the end of all keys, which have the same end"].concat()
}

fn insert(map: &Map, i: u8) {
    assert_eq!(map.insert(key(i), i.into()), None);
}

fn has(map: &Map, keys: &[u8]) {
    let want: Vec<_> = keys.iter().map(|&i| (key(i), i.into())).collect();
    assert_eq!(map.iter().collect::<Vec<_>>(), want);
    assert_eq!(map.len(), keys.len());
}

/// Bytes of a map with a table, besides nodes, and of one without.
const TABLE_BYTES: usize = 2048;

/// Asserts that there is a table, and that leaves are coded: they have less bytes than the keys.
fn is_coded(map: &Map) {
    let usage = map.memory_usage();
    assert!(usage.own > TABLE_BYTES, "no table");
    assert!(usage.leaves < key(0).len() * map.len(), "no coded leaf: {usage:?}");
}

/// A map of one leaf, in which leaves were split so often that the next split trains a table.
fn before_training() -> Map {
    let map = Map::new();
    (0..10).for_each(|i| insert(&map, 2 * i));
    (3..10).for_each(|i| assert_eq!(map.remove(key(2 * i)), Some(2 * u64::from(i))));
    assert!(map.memory_usage().own < TABLE_BYTES, "a table too early");
    has(&map, &[0, 2, 4]);
    map
}

/// A map with a table and two coded leaves.
fn after_training() -> Map {
    let map = before_training();
    [1, 3, 5].iter().for_each(|&i| insert(&map, i));
    has(&map, &[0, 1, 2, 3, 4, 5]);
    is_coded(&map);
    map
}

fn training_and_get() {
    two(
        before_training(),
        |map| [1, 3, 5].iter().for_each(|&i| insert(map, i)),
        |map| {
            assert_eq!(map.get(key(0)), Some(0));
            assert_eq!(map.get(key(4)), Some(4));
        },
        |map| {
            has(map, &[0, 1, 2, 3, 4, 5]);
            is_coded(map);
        },
    );
}

fn training_and_insert() {
    two(
        before_training(),
        |map| insert(map, 1),
        |map| {
            insert(map, 5);
            insert(map, 6);
        },
        |map| has(map, &[0, 1, 2, 4, 5, 6]),
    );
}

fn training_and_scan() {
    two(
        before_training(),
        |map| [1, 3, 5].iter().for_each(|&i| insert(map, i)),
        |map| {
            let even = map.iter().filter(|(_, value)| value % 2 == 0);
            assert!(even.map(|(_, value)| value).eq([0, 2, 4]));
        },
        |map| has(map, &[0, 1, 2, 3, 4, 5]),
    );
}

fn coded_leaf_replace_and_overwrite() {
    two(
        after_training(),
        |map| assert_eq!(map.remove(key(4)), Some(4)),
        |map| assert_eq!(map.insert(key(5), 7), Some(5)),
        |map| assert_eq!((map.get(key(4)), map.get(key(5))), (None, Some(7))),
    );
}

fn coded_merge_and_get() {
    two(
        after_training(),
        |map| [1, 2, 3].iter().for_each(|&i| assert_eq!(map.remove(key(i)), Some(i.into()))),
        |map| {
            assert_eq!(map.get(key(0)), Some(0));
            assert_eq!(map.get(key(5)), Some(5));
        },
        |map| has(map, &[0, 4, 5]),
    );
}
