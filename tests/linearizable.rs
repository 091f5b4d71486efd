//! Recorded histories of `ConcurrentArt` and `ShardedArt` are linearizable.

use crate::common;

use common::history::{Answer, Call, Event, KEYS, histories, is_linearizable, key};
use memkv::{ConcurrentArt, ShardedArt};

/// The keys of the histories. No other key of the map is below the first of them, or it could not
/// be popped.
fn around(i: usize) -> String {
    format!("key/{:02}/{}", 51 + i % 40, i)
}

#[test]
fn the_checker_finds_what_is_wrong() {
    let event = |call, answer, begin, end| Event { call, answer, begin, end };
    let insert = event(Call::Insert(0, 7), Answer::Value(None), 0, 1);
    let early = event(Call::Get(0), Answer::Value(None), 2, 3);
    let late = event(Call::Get(0), Answer::Value(Some(7)), 2, 3);
    assert!(is_linearizable(&[insert, late], [None; KEYS]));
    assert!(!is_linearizable(&[insert, early], [None; KEYS]));
    // The same read is correct if it began before the insert ended.
    assert!(is_linearizable(
        &[Event { end: 3, ..insert }, Event { begin: 1, end: 2, ..early }],
        [None; KEYS]
    ));
    let lost = [
        event(Call::Add(1), Answer::Value(Some(1)), 0, 2),
        event(Call::Add(1), Answer::Value(Some(1)), 1, 3),
    ];
    assert!(!is_linearizable(&lost, [None, Some(1), None]));
}

fn rounds(n: u64) -> u64 {
    if cfg!(miri) { n / 1000 + 1 } else { n }
}

/// Lets several threads use one map. With `whole` it has no other keys.
fn histories_of(rounds: u64, threads: u64, calls: u64, whole: bool) {
    memkv::code_small_maps();
    let map = ConcurrentArt::<u64>::new();
    if !whole {
        (0..400).for_each(|i| _ = map.insert(around(i), 0));
    }
    histories(
        0..rounds,
        threads,
        calls,
        whole,
        || map.pin(),
        |seed| {
            if !whole {
                // Neighbours are inserted and removed: splits and merges around the keys.
                (0..40).for_each(|i| {
                    _ = if seed % 2 == 0 {
                        map.remove(around(i))
                    } else {
                        map.insert(around(i), seed)
                    }
                });
            }
        },
    );
}

#[test]
fn histories_of_two_threads_are_linearizable() {
    histories_of(rounds(8000), 2, 12, false);
    histories_of(rounds(8000), 2, 12, true);
}

#[test]
fn histories_of_four_threads_are_linearizable() {
    histories_of(rounds(3000), 4, 7, false);
    histories_of(rounds(3000), 4, 7, true);
}

/// Lets several threads use one map whose shards are split. Four rounds share one map, unless it
/// has no other keys.
fn histories_through_splits(rounds: u64, threads: u64, calls: u64, whole: bool) {
    memkv::code_small_maps();
    // A split takes a few steps before the keys are moved.
    let before = (0..300).map(|i| format!("key/4/{i:03}"));
    let fresh = || before.clone().chain((0..40).map(around)).map(|key| (key, 0)).collect();
    let map = if whole { ShardedArt::default() } else { fresh() };
    let split = |map: &ShardedArt, seed: u64| {
        // Without other keys, pops remove empty shards at the ends, so that the same splits recur.
        for i in 0..if whole { 3 } else { 1 } {
            map.split(key((seed + i) as usize % KEYS)).unwrap();
        }
    };
    if whole {
        return histories(0..rounds, threads, calls, true, || map.pin(), |seed| split(&map, seed));
    }
    for first in (0..rounds).step_by(4) {
        let map: ShardedArt = fresh();
        histories(first..first + 4, threads, calls, false, || map.pin(), |seed| split(&map, seed));
    }
}

#[test]
fn histories_through_splits_are_linearizable() {
    histories_through_splits(rounds(2000), 2, 12, false);
    histories_through_splits(rounds(4000), 2, 12, true);
    histories_through_splits(rounds(1500), 4, 7, false);
    histories_through_splits(rounds(3000), 4, 7, true);
}
