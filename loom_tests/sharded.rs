//! Models of a map of shards: one thread moves keys from one shard to another, and the other one is
//! routed by a table that is replaced at the same time.

use crate::shared::{key, pair};
use memkv::ShardedArt;
use memkv::plain;

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

pub(crate) fn split_step_and_get() {
    two(filled(&[0, 2]), split, |map| assert_eq!(map.get(key(0)), Some(0)), &[(0, 0), (2, 2)]);
}

pub(crate) fn split_step_and_insert() {
    let insert = |map: &Map| {
        assert_eq!(map.insert(key(1), 1), None);
        assert_eq!(map.get(key(1)), Some(1));
    };
    two(filled(&[0, 2]), split, insert, &[(0, 0), (1, 1), (2, 2)]);
}

pub(crate) fn split_step_and_overwrite() {
    two(
        filled(&[0, 2]),
        split,
        |map| assert_eq!(map.insert(key(0), 7), Some(0)),
        &[(0, 7), (2, 2)],
    );
}

pub(crate) fn split_step_and_scan() {
    let scan = |map: &Map| {
        assert!(
            map.iter().map(|(_, value)| value).eq([0, 2, 3]),
            "a key is missing, or there twice"
        )
    };
    two(filled(&[0, 2, 3]), split, scan, &[(0, 0), (2, 2), (3, 3)]);
}

pub(crate) fn split_step_and_scan_back() {
    // The first run has one key; the second run must find the other.
    let scan = |map: &Map| {
        assert!(
            map.iter().rev().map(|(_, value)| value).eq([2, 0]),
            "a key is missing, or there twice"
        )
    };
    two(filled(&[0, 2]), split, scan, &[(0, 0), (2, 2)]);
}

pub(crate) fn split_step_and_pop() {
    two(filled(&[0, 2]), split, |map| assert_eq!(map.pop_first(), Some((key(0), 0))), &[(2, 2)]);
}

/// A key that is popped from the new shard is gone, even if it was copied there just before.
pub(crate) fn split_steps_and_pops() {
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
pub(crate) fn clear_and_get_of_two_shards() {
    let map = filled(&[0, 2]);
    split(&map);
    two(
        map,
        Map::clear,
        |map| assert!(map.get(key(2)).is_some() || map.get(key(0)).is_none()),
        &[],
    );
}
