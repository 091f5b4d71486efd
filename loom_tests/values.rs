//! Models of a map of values in slots that two threads change.

use super::shared::{key, model, pair};
use memkv::ConcurrentArenaArt;
use memkv::{mutant::Mutant::*, plain};
use std::cell::Cell;

// All threads of a model run on the thread of its test, and other tests run on other threads.
thread_local! {
    static MADE: Cell<usize> = const { Cell::new(0) };
    static DROPPED: Cell<usize> = const { Cell::new(0) };
}

/// A number whose drops are counted.
struct Counted(usize);

type Map = ConcurrentArenaArt<Counted>;

fn value(number: usize) -> Counted {
    MADE.set(MADE.get() + 1);
    Counted(number)
}

impl Drop for Counted {
    fn drop(&mut self) {
        DROPPED.set(DROPPED.get() + 1);
    }
}

super::shared::models! {
    value_replace_and_get: [ValueDroppedAtOnce, ValueReadRelaxed];
    value_remove_and_get: [ValueDroppedAtOnce];
    value_replace_and_scan: [ValueDroppedAtOnce];
    two_replacements_of_one_value: [OverwriteUnlocked];
    two_computes_of_one_value: [OverwriteUnlocked];
    value_remove_and_compute: [LeafNotObsolete];
    value_clear_and_replace: [LeafNotLocked];
    value_reclamation_and_get with collector: [ReaderNotPinned];
    value_reclamation_and_range with collector: [EraNotCompared];
}

/// A map of two values, which share a segment.
fn filled() -> Map {
    MADE.set(0);
    DROPPED.set(0);
    let map = Map::new();
    (0..2).for_each(|i| _ = map.insert(key(i), value(i)));
    map
}

/// Runs two threads, checks the map, calls `then` with it, and counts the drops in the end.
fn two(
    a: impl FnOnce(&Map) + Send + 'static,
    b: impl FnOnce(&Map) + Send + 'static,
    then: impl FnOnce(&Map),
) {
    let mut map = pair(filled(), a, b);
    map.check().unwrap();
    then(&map);
    drop(map);
    plain::free();
    assert_eq!(DROPPED.get(), MADE.get(), "values dropped, values made");
}

fn number(map: &Map, i: usize) -> Option<usize> {
    map.get(key(i)).map(|value| value.0)
}

fn value_replace_and_get() {
    two(
        |map| assert_eq!(map.insert(key(0), value(7)).map(|old| old.0), Some(0)),
        |map| assert!(matches!(number(map, 0), Some(0 | 7))),
        |map| assert_eq!(number(map, 0), Some(7)),
    );
}

fn value_remove_and_get() {
    two(
        |map| assert_eq!(map.remove(key(0)).map(|old| old.0), Some(0)),
        |map| assert!(matches!(number(map, 0), None | Some(0))),
        |map| assert_eq!((number(map, 0), number(map, 1)), (None, Some(1))),
    );
}

fn value_replace_and_scan() {
    two(
        |map| assert_eq!(map.insert(key(1), value(7)).map(|old| old.0), Some(1)),
        |map| {
            let mut range = map.iter();
            assert_eq!(range.next_ref().map(|(_, value)| value.0), Some(0));
            assert!(matches!(range.next_ref().map(|(_, value)| value.0), Some(1 | 7)));
        },
        |map| assert_eq!(number(map, 1), Some(7)),
    );
}

fn two_replacements_of_one_value() {
    let replace = |map: &Map| assert!(map.insert(key(0), value(7)).is_some());
    two(replace, replace, |map| assert_eq!(number(map, 0), Some(7)));
}

fn two_computes_of_one_value() {
    let add = |map: &Map| _ = map.compute(key(0), |old| old.map(|old| value(old.0 + 1)));
    two(add, add, |map| assert_eq!(number(map, 0), Some(2)));
}

fn value_remove_and_compute() {
    two(
        |map| assert!(map.remove(key(1)).is_some()),
        |map| _ = map.update(key(1), |old| value(old.0 + 1)),
        |map| assert!(number(map, 1).is_none() && map.len() == 1),
    );
}

fn value_clear_and_replace() {
    two(
        |map| map.clear(),
        |map| _ = map.insert(key(0), value(7)),
        |map| assert!(matches!(number(map, 0), None | Some(7)) && map.len() < 2),
    );
}

fn value_reclamation_and_get() {
    let mut map = pair(
        filled(),
        |map| {
            map.insert(key(0), value(7));
            map.reclaim();
        },
        |map| assert!(matches!(number(map, 0), Some(0 | 7))),
    );
    map.check().unwrap();
}

fn value_reclamation_and_range() {
    let mut map = pair(
        filled(),
        |map| {
            map.insert(key(0), value(7));
            map.reclaim();
        },
        |map| assert!(matches!(map.iter().next_ref().map(|(_, value)| value.0), Some(0 | 7))),
    );
    map.check().unwrap();
}
