//! Cursors and ranges beside a sorted list of the same keys.

use crate::tree::tests::{Random, long, middling, scattered, short};
use crate::tree::{OwnedCursors, RawCursor, RawRange, RawTree, WriteCursor};
use crate::value::Bits;
use std::collections::BTreeSet;

/// Returns sets of keys that make leaves of all forms.
fn key_sets() -> Vec<Vec<Vec<u8>>> {
    let n = if cfg!(miri) { 24 } else { 400 };
    // The rest of each length a narrow leaf has, and of one more.
    let of_each_len = |i: usize| {
        [&[(i * 7 % 251) as u8, (i / 251) as u8][..], &vec![b'r'; i * 67 % 257]].concat()
    };
    // Each leaf begins with the key that it strips.
    let chain = |i: usize| vec![b'c'; i * 13 % 300];
    let crowded = |i: usize| (i as u16).to_be_bytes().to_vec();
    let sets: [Box<dyn Fn(usize) -> Vec<u8>>; 6] = [
        Box::new(short),
        Box::new(middling),
        Box::new(|i| long(i % if cfg!(miri) { 6 } else { 90 })),
        Box::new(of_each_len),
        Box::new(chain),
        Box::new(crowded),
    ];
    let mut all: Vec<Vec<Vec<u8>>> = sets
        .iter()
        .map(|key| (0..n).map(key).collect::<BTreeSet<_>>().into_iter().collect())
        .collect();
    let mixed: BTreeSet<Vec<u8>> =
        all.iter().flat_map(|keys| keys.iter().step_by(3)).cloned().collect();
    all.extend([mixed.into_iter().collect(), vec![], vec![vec![]], vec![b"one".to_vec()]]);
    all
}

/// Returns the tree of keys, each with its index as its value.
fn tree_of<B: Bits>(keys: &[Vec<u8>]) -> RawTree<B> {
    let mut tree = RawTree::new();
    let step = [7, 11].into_iter().find(|step| !keys.len().is_multiple_of(*step)).unwrap_or(13);
    for i in scattered(keys.len(), step) {
        tree.insert(&keys[i], B::of_word(i as u64)).unwrap();
    }
    tree.check().unwrap();
    tree
}

/// Returns a key, a key just before or after one, or a part of one.
fn target(keys: &[Vec<u8>], numbers: &mut Random) -> Vec<u8> {
    let Some(mut key) = keys.get(numbers.below(keys.len() + 1)).cloned() else {
        return vec![0xFF; 3];
    };
    match numbers.below(5) {
        0 => key.push(0),
        1 => _ = key.pop(),
        2 => key.truncate(numbers.below(key.len() + 1)),
        _ => {}
    }
    key
}

fn expect<B: Bits>(found: Option<(&[u8], B)>, keys: &[Vec<u8>], i: Option<usize>) {
    let want = i.map(|i| (&keys[i][..], B::of_word(i as u64).to_word()));
    assert_eq!(found.map(|(key, value)| (key, value.to_word())), want);
}

/// Steps and seeks at random.
fn cursor_moves<B: Bits>(keys: &[Vec<u8>], numbers: &mut Random) {
    let tree = tree_of::<B>(keys);
    let (mut cursor, mut at) = (RawCursor::new(&tree), 0);
    for _ in 0..if cfg!(miri) { 10 } else { 200 } {
        match numbers.below(8) {
            0 => {
                let (key, after) = (target(keys, numbers), numbers.below(2) == 1);
                cursor.seek(&key, after);
                at = keys.partition_point(|k| if after { *k <= key } else { *k < key });
            }
            1 if numbers.below(4) == 0 => {
                cursor.seek_end();
                at = keys.len();
            }
            2 => cursor = cursor.clone(),
            3 => {
                let mut next = Vec::new();
                let n = cursor.upcoming(|value| next.push(value.to_word()));
                let want = (at..at + n).map(|i| B::of_word(i as u64).to_word());
                assert!(next.into_iter().eq(want) && (n > 0) == (at < keys.len()));
            }
            4 | 5 => {
                for _ in 0..numbers.below(if cfg!(miri) { 20 } else { 70 }) {
                    expect(cursor.previous(), keys, at.checked_sub(1));
                    at = at.saturating_sub(1);
                }
            }
            _ => {
                for _ in 0..numbers.below(if cfg!(miri) { 20 } else { 70 }) {
                    expect(cursor.next(), keys, Some(at).filter(|&at| at < keys.len()));
                    at = keys.len().min(at + 1);
                }
            }
        }
    }
}

/// Steps at random from both ends of random ranges until they meet.
fn ranges_meet<B: Bits>(keys: &[Vec<u8>], numbers: &mut Random) {
    let tree = tree_of::<B>(keys);
    for _ in 0..if cfg!(miri) { 3 } else { 60 } {
        let (mut front, mut back) = (RawCursor::new(&tree), RawCursor::new(&tree));
        let (mut from, mut to) = (0, keys.len());
        back.seek_end();
        let mut bounds = [target(keys, numbers), target(keys, numbers)];
        bounds.sort();
        if numbers.below(5) > 0 {
            let after = bounds[0] < bounds[1] && numbers.below(2) == 1;
            front.seek(&bounds[0], after);
            from = keys.partition_point(|k| if after { *k <= bounds[0] } else { *k < bounds[0] });
        }
        if numbers.below(5) > 0 {
            let after = numbers.below(2) == 1;
            back.seek(&bounds[1], after);
            to = keys.partition_point(|k| if after { *k <= bounds[1] } else { *k < bounds[1] });
        }
        let mut range = RawRange::new(front, back);
        let bias = numbers.below(5);
        loop {
            if numbers.below(20) == 0 {
                assert_eq!(range.clone().count(), to - from);
                let mut next = Vec::new();
                let n = range.upcoming(|value| next.push(value.to_word()));
                let want = (from..from + n).map(|i| B::of_word(i as u64).to_word());
                assert!(n <= to - from && next.into_iter().eq(want) && (n > 0) == (from < to));
                range = range.clone();
            }
            let (is_back, is_left) = (numbers.below(4) < bias, from < to);
            if is_back {
                to -= usize::from(is_left);
                expect(range.previous(), keys, is_left.then_some(to));
            } else {
                expect(range.next(), keys, is_left.then_some(from));
                from += usize::from(is_left);
            }
            if !is_left {
                break;
            }
        }
        expect(range.next(), keys, None);
        expect(range.previous(), keys, None);
        assert_eq!(range.count(), 0);
    }
}

/// Takes all entries from both ends, and overwrites values.
fn owners_move<B: Bits>(keys: &[Vec<u8>], numbers: &mut Random) {
    let mut tree = tree_of::<B>(keys);
    let from = target(keys, numbers);
    let mut cursor = WriteCursor::new(&mut tree, &from);
    cursor.set(B::of_word(77));
    let first = keys.partition_point(|key| *key < from);
    for i in first..keys.len() {
        expect(cursor.next(), keys, Some(i));
        cursor.set(B::of_word(i as u64 + 1));
    }
    assert!(cursor.next().is_none());
    let mut cursors = OwnedCursors::new(tree);
    let (mut from, mut to) = (0, keys.len());
    while from < to {
        let is_back = numbers.below(3) == 0;
        let i = if is_back { to - 1 } else { from };
        let (key, value) = if is_back { cursors.previous() } else { cursors.next() }.unwrap();
        let want = B::of_word(i as u64 + u64::from(i >= first)).to_word();
        assert_eq!((key, value.to_word()), (&keys[i][..], want));
        if is_back { to -= 1 } else { from += 1 }
    }
    assert!(cursors.next().is_none() && cursors.previous().is_none());
}

#[test]
fn cursors_go_like_indexes_of_a_list() {
    let mut numbers = Random(88_172_645_463_325_252);
    for keys in key_sets() {
        cursor_moves::<u64>(&keys, &mut numbers);
        cursor_moves::<u8>(&keys, &mut numbers);
        cursor_moves::<()>(&keys, &mut numbers);
    }
}

#[test]
fn both_ends_of_a_range_meet() {
    let mut numbers = Random(88_172_645_463_325_252);
    for keys in key_sets() {
        ranges_meet::<u64>(&keys, &mut numbers);
        ranges_meet::<u16>(&keys, &mut numbers);
        ranges_meet::<()>(&keys, &mut numbers);
    }
}

#[test]
fn owners_pass_each_entry_once() {
    let mut numbers = Random(88_172_645_463_325_252);
    for keys in key_sets() {
        owners_move::<u64>(&keys, &mut numbers);
        owners_move::<()>(&keys, &mut numbers);
    }
}
