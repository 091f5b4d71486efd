//! Models of a map of shards: one thread moves keys from one shard to another, or adds a shard, and
//! the other one is routed by a table that is replaced at the same time.

use crate::shared::{key, model, models, pair};
use memkv::ShardedArt;
use memkv::{mutant::Mutant::*, plain};
use std::sync::{Arc, Mutex};

models! {
    split_step_and_get: [TableNotChecked, RemovedFirst];
    split_step_and_longest_prefix: [TableNotChecked, RemovedFirst];
    split_step_and_insert: [WriterNotChecked, ShardNotLocked];
    split_step_and_overwrite: [WriterNotChecked, ShardNotLocked];
    split_step_and_scan: [ScanNotChecked, RemovedFirst];
    split_step_and_scan_back: [ScanNotChecked, RemovedFirst];
    split_step_and_pop: [WriterNotChecked];
    split_steps_and_pops: [FirstShardNotLocked];
    clear_and_get_of_two_shards: [ClearedOneByOne];
    split_step_and_pop_last: [WriterNotChecked, ShardNotLocked];
    pop_last_across_shards_and_insert: [WriterNotChecked, EndShardNotLocked];
    pop_last_across_shards_and_split_step: [AdminNotLocked];
    pops_across_shards_from_both_ends: [AdminNotLocked];
    shard_added_and_insert: [LastKeyReadEarly, ShardNotLocked, WriterNotChecked];
    shard_added_and_pop_last: [WriterNotChecked];
    join_and_get: [JoinedBeforeCopied];
    join_and_longest_prefix: [JoinedBeforeCopied];
    join_and_insert: [WriterNotChecked, ShardNotLocked];
    join_and_overwrite: [WriterNotChecked, ShardNotLocked];
    join_and_scan: [JoinedBeforeCopied];
    join_and_scan_back: [JoinedBeforeCopied];
    join_and_pops: [FirstShardNotLocked];
    join_and_pop_last: [WriterNotChecked, ShardNotLocked];
}

type Map = ShardedArt<u64>;

/// A map of one shard with these keys, key `i` with value `i`.
fn filled(keys: &[usize]) -> Map {
    let map = Map::new(2);
    keys.iter().for_each(|&i| _ = map.insert(key(i), i as u64));
    map
}

/// Runs two threads, then checks that the map has exactly these pairs.
fn two(
    map: Map,
    a: impl FnOnce(&Map) + Send + 'static,
    b: impl FnOnce(&Map) + Send + 'static,
    want: &[(usize, u64)],
) {
    let map = pair(map, a, b);
    map.check().unwrap();
    assert!(map.iter().eq(want.iter().map(|&(i, value)| (key(i), value))), "{map:?}");
    assert!(want.iter().all(|&(i, value)| map.get(key(i)) == Some(value)));
    assert_eq!(map.len(), want.len());
    drop(map);
    plain::free();
}

/// Moves keys 0 and 1 into a new shard.
fn split(map: &Map) {
    assert_eq!(map.split(key(2)), Ok(true));
}

fn split_step_and_get() {
    two(filled(&[0, 2]), split, |map| assert_eq!(map.get(key(0)), Some(0)), &[(0, 0), (2, 2)]);
}

fn split_step_and_longest_prefix() {
    let longest = |map: &Map| {
        let text = [key(0), key(9)].concat();
        assert_eq!(map.get_longest_prefix(&text), Some((&key(0)[..], 0)));
    };
    two(filled(&[0, 2]), split, longest, &[(0, 0), (2, 2)]);
}

fn split_step_and_insert() {
    let insert = |map: &Map| {
        assert_eq!(map.insert(key(1), 1), None);
        assert_eq!(map.get(key(1)), Some(1));
    };
    two(filled(&[0, 2]), split, insert, &[(0, 0), (1, 1), (2, 2)]);
}

fn split_step_and_overwrite() {
    two(
        filled(&[0, 2]),
        split,
        |map| assert_eq!(map.insert(key(0), 7), Some(0)),
        &[(0, 7), (2, 2)],
    );
}

fn split_step_and_scan() {
    let scan = |map: &Map| {
        assert!(
            map.iter().map(|(_, value)| value).eq([0, 2, 3]),
            "a key is missing, or there twice"
        )
    };
    two(filled(&[0, 2, 3]), split, scan, &[(0, 0), (2, 2), (3, 3)]);
}

fn split_step_and_scan_back() {
    // The first run has one key; the second run must find the other.
    let scan = |map: &Map| {
        assert!(
            map.iter().rev().map(|(_, value)| value).eq([2, 0]),
            "a key is missing, or there twice"
        )
    };
    two(filled(&[0, 2]), split, scan, &[(0, 0), (2, 2)]);
}

fn split_step_and_pop() {
    two(filled(&[0, 2]), split, |map| assert_eq!(map.pop_first(), Some((key(0), 0))), &[(2, 2)]);
}

/// A key that is popped from the new shard is gone, even if it was copied there just before.
fn split_steps_and_pops() {
    let pops = |map: &Map| {
        for i in 0..3 {
            assert_eq!(map.pop_first(), Some((key(i), i as u64)));
            assert_eq!(map.get(key(i)), None, "a key is there after it was popped");
        }
    };
    // Two steps, of two keys and of one.
    let split = |map: &Map| _ = map.split(key(4)).unwrap();
    two(filled(&[0, 1, 2, 4]), split, pops, &[(4, 4)]);
}

/// A thread that sees one key gone sees the other one gone, too, although it is in another shard.
fn clear_and_get_of_two_shards() {
    let map = filled(&[0, 2]);
    split(&map);
    two(
        map,
        Map::clear,
        |map| assert!(map.get(key(2)).is_some() || map.get(key(0)).is_none()),
        &[],
    );
}

/// The last shard is empty after the split, so a pop that was routed by the old table finds nothing
/// there.
fn split_step_and_pop_last() {
    two(filled(&[0, 1]), split, |map| assert_eq!(map.pop_last(), Some((key(1), 1))), &[(0, 0)]);
}

/// A map of shards that begin with these keys, with keys `keys`.
fn sharded(boundaries: &[usize], keys: &[usize]) -> Map {
    let map = Map::with_boundaries(boundaries.iter().map(|&i| key(i)));
    keys.iter().for_each(|&i| _ = map.insert(key(i), i as u64));
    map
}

/// Runs two threads that return a value each, and then checks the map. Returns the values, and what
/// is left in the map.
fn both<A: Send + 'static, B: Send + 'static>(
    map: Map,
    a: impl FnOnce(&Map) -> A + Send + 'static,
    b: impl FnOnce(&Map) -> B + Send + 'static,
) -> (A, B, Vec<u64>) {
    let of = Arc::new((Mutex::new(None), Mutex::new(None)));
    let (of_a, of_b) = (Arc::clone(&of), Arc::clone(&of));
    let map = pair(
        map,
        move |map| *of_a.0.lock().unwrap() = Some(a(map)),
        move |map| *of_b.1.lock().unwrap() = Some(b(map)),
    );
    map.check().unwrap();
    let left = map.iter().map(|(_, value)| value).collect();
    drop(map);
    plain::free();
    let (a, b) = (of.0.lock().unwrap().take(), of.1.lock().unwrap().take());
    (a.unwrap(), b.unwrap(), left)
}

fn value(popped: Option<(Vec<u8>, u64)>) -> Option<u64> {
    popped.map(|(_, value)| value)
}

/// A pop removes the empty last shard while a key is inserted there.
fn pop_last_across_shards_and_insert() {
    let insert = |map: &Map| {
        assert_eq!(map.insert(key(3), 3), None);
        map.get(key(1))
    };
    let (popped, seen, left) = both(sharded(&[2], &[1]), |map| value(map.pop_last()), insert);
    // A thread that still sees the first key after its own insert knows that the pop came later.
    match popped {
        Some(1) => assert!(seen.is_none() && left == [3], "popped a key that was not the last"),
        Some(3) => assert!(seen == Some(1) && left == [1]),
        _ => panic!("popped {popped:?} of {left:?}"),
    }
}

/// A pop removes the empty last shard while the shard beside it is split.
fn pop_last_across_shards_and_split_step() {
    let split = |map: &Map| assert_eq!(map.split(key(1)), Ok(true));
    let (popped, (), left) = both(sharded(&[3], &[0, 2]), |map| value(map.pop_last()), split);
    assert_eq!((popped, left), (Some(2), vec![0]));
}

/// Both ends of the map are empty shards. Two pops remove them, and keys are inserted in the range
/// of the first.
fn pops_across_shards_from_both_ends() {
    let first = |map: &Map| {
        let popped = value(map.pop_first());
        [0, 1].into_iter().for_each(|i| assert_eq!(map.insert(key(i), i as u64), None));
        popped
    };
    let (first, last, left) = both(sharded(&[2, 4], &[3]), first, |map| value(map.pop_last()));
    assert!(first.is_none_or(|first| first == 3), "popped {first:?}, which came later");
    let mut all: Vec<u64> = left.into_iter().chain(first).chain(last).collect();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 3], "popped {first:?} and {last:?}");
}

/// Adds an empty shard after the last key of the map.
fn add(map: &Map) {
    assert!(map.add_shard(key(9)));
}

fn shard_added_and_insert() {
    let insert = |map: &Map| {
        assert_eq!(map.insert(key(1), 1), None);
        assert_eq!(map.get(key(1)), Some(1));
    };
    two(filled(&[0]), add, insert, &[(0, 0), (1, 1)]);
}

/// A thread adds a shard and inserts a key there, while another pops from the last shard.
fn shard_added_and_pop_last() {
    let add_and_insert = |map: &Map| {
        add(map);
        assert_eq!(map.insert(key(2), 2), None);
        map.get(key(1))
    };
    let (seen, popped, left) = both(filled(&[0, 1]), add_and_insert, |map| value(map.pop_last()));
    // A thread that still sees the first key after its own insert knows that the pop came later.
    match popped {
        Some(1) => assert!(seen.is_none() && left == [0, 2], "popped a key that was not the last"),
        Some(2) => assert!(seen == Some(1) && left == [0, 1]),
        _ => panic!("popped {popped:?} of {left:?}"),
    }
}

/// Joins the two shards of a map.
fn join(map: &Map) {
    assert_eq!(map.join(key(2)), Ok(true));
    assert_eq!(map.shards().len(), 1);
}

fn join_and_get() {
    let get = |map: &Map| assert_eq!(map.get(key(2)), Some(2));
    two(sharded(&[2], &[0, 2]), join, get, &[(0, 0), (2, 2)]);
}

fn join_and_longest_prefix() {
    let longest = |map: &Map| {
        let text = [key(2), key(9)].concat();
        assert_eq!(map.get_longest_prefix(&text), Some((&key(2)[..], 2)));
    };
    two(sharded(&[2], &[0, 2]), join, longest, &[(0, 0), (2, 2)]);
}

fn join_and_insert() {
    let insert = |map: &Map| {
        assert_eq!(map.insert(key(3), 3), None);
        assert_eq!(map.get(key(3)), Some(3));
    };
    two(sharded(&[2], &[0, 2]), join, insert, &[(0, 0), (2, 2), (3, 3)]);
}

fn join_and_overwrite() {
    let overwrite = |map: &Map| assert_eq!(map.insert(key(2), 7), Some(2));
    two(sharded(&[2], &[0, 2]), join, overwrite, &[(0, 0), (2, 7)]);
}

fn join_and_scan() {
    let scan = |map: &Map| {
        assert!(map.iter().map(|(_, value)| value).eq([0, 2]), "a key is missing, or there twice")
    };
    two(sharded(&[2], &[0, 2]), join, scan, &[(0, 0), (2, 2)]);
}

fn join_and_scan_back() {
    let scan = |map: &Map| {
        assert!(
            map.iter().rev().map(|(_, value)| value).eq([2, 0]),
            "a key is missing, or there twice"
        )
    };
    two(sharded(&[2], &[0, 2]), join, scan, &[(0, 0), (2, 2)]);
}

/// A key that is popped is gone, even if it was copied to the first shard just before.
fn join_and_pops() {
    let pops = |map: &Map| {
        for i in [0, 2] {
            assert_eq!(map.pop_first(), Some((key(i), i as u64)));
            assert_eq!(map.get(key(i)), None, "a key is there after it was popped");
        }
    };
    two(sharded(&[2], &[0, 2, 3]), |map| _ = map.join(key(2)).unwrap(), pops, &[(3, 3)]);
}

fn join_and_pop_last() {
    let pops = |map: &Map| {
        assert_eq!(map.pop_last(), Some((key(2), 2)));
        assert_eq!(map.pop_last(), Some((key(0), 0)));
    };
    two(sharded(&[2], &[0, 2]), |map| _ = map.join(key(2)).unwrap(), pops, &[]);
}
