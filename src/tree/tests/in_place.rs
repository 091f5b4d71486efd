//! Tests of leaves that are edited in place: random inserts and removals beside a `BTreeMap`, with
//! all invariants checked after every step.

use super::{Random, Tree, contents, fails_cleanly, takes};
use crate::reclaim;
use crate::testing::coverage::{Event, taken};
use crate::tree::shared::SharedTree;
use crate::tree::{Expected, RawTree, Usage};
use crate::value::Bits;
use std::collections::BTreeMap;

/// Returns a key that is one of a few thousand: of a few letters, NUL and 0xFF, of paths with long
/// shared prefixes, empty, and now and then so long that its leaf is wide.
fn key(random: &mut Random) -> Vec<u8> {
    const BYTES: [u8; 5] = [0, b'a', b'b', b'/', 0xFF];
    let tail: Vec<u8> = (0..random.below(6)).map(|_| BYTES[random.below(5)]).collect();
    match random.below(80) {
        0 => Vec::new(),
        1 => [&vec![b'l'; 200 + random.below(200)][..], &tail].concat(),
        2..20 => tail,
        20..40 => [&b"http://example.org/shared/prefix/"[..], &tail].concat(),
        _ => {
            let (host, page) = (random.below(20), random.below(60));
            [format!("http://host{host}.org/{page:03}/page-{page}").as_bytes(), &tail].concat()
        }
    }
}

/// Inserts and removes keys, more and then fewer of them again and again.
fn behaves_like_a_model<B: Bits + std::fmt::Debug>(
    steps: usize,
    most: usize,
    value: impl Fn(usize) -> B,
) {
    let (mut random, mut growing) = (Random(88_172_645_463_325_252), true);
    let (mut tree, mut model) = (RawTree::<B>::new(), BTreeMap::new());
    for step in 0..steps {
        let key = match model.len() {
            0 => key(&mut random),
            n if random.below(3) == 0 => model.keys().nth(random.below(n)).cloned().unwrap(),
            _ => key(&mut random),
        };
        if random.below(10) < if growing { 7 } else { 2 } {
            let value = value(step);
            assert_eq!(tree.insert(&key, value).unwrap(), model.insert(key, value));
        } else {
            assert_eq!(tree.remove(&key).unwrap(), model.remove(&key));
        }
        growing = if growing { model.len() < most } else { model.len() < most / 8 };
        tree.check().unwrap();
        if step % 64 == 0 {
            assert!(model.iter().all(|(key, value)| tree.get(key) == Some(*value)));
            let copy = tree.try_clone().unwrap();
            copy.check().unwrap();
        }
    }
    assert!(model.iter().all(|(key, value)| tree.get(key) == Some(*value)));
    for key in model.into_keys() {
        tree.remove(&key).unwrap().unwrap();
    }
    assert_eq!((tree.len(), tree.usage()), (0, Usage::default()));
}

/// The size is about that of the smallest large tree of a test, so that trees become large and
/// small again.
const STEPS: usize = if cfg!(miri) { 100 } else { 12_000 };
const MOST: usize = if cfg!(miri) { 30 } else { 900 };

#[test]
fn small_trees_are_edited_in_place() {
    use Event::{InsertedInPlace, LeafSplit, Merge, RemovedInPlace};
    let wanted: &[Event] = &[InsertedInPlace, RemovedInPlace, LeafSplit, Merge];
    takes(if cfg!(miri) { &wanted[..2] } else { wanted }, || {
        behaves_like_a_model(STEPS, MOST, |step| step as u64);
    });
}

#[test]
fn values_of_other_sizes_move_with_their_keys() {
    behaves_like_a_model(STEPS / 4, MOST / 2, |step| step as u32);
    behaves_like_a_model(STEPS / 4, MOST / 2, |step| step as u8);
    behaves_like_a_model(STEPS / 4, MOST / 2, |_| ());
}

/// A leaf is copied with room for several keys, and keeps the room of several.
#[test]
fn most_edits_of_a_small_tree_copy_nothing() {
    let (mut tree, mut random) = (Tree::new(), Random(7));
    let n = if cfg!(miri) { 50 } else { 400 };
    let count = |event| taken().get(&event).copied().unwrap_or(0);
    let (inserts, removals) = (count(Event::InsertedInPlace), count(Event::RemovedInPlace));
    let mut keys: Vec<u32> = (0..n as u32).map(|i| i.wrapping_mul(2_654_435_761)).collect();
    for key in &keys {
        tree.insert(&key.to_be_bytes(), 0).unwrap();
    }
    tree.check().unwrap();
    while !keys.is_empty() {
        let key = keys.swap_remove(random.below(keys.len()));
        tree.remove(&key.to_be_bytes()).unwrap();
    }
    assert!(count(Event::InsertedInPlace) - inserts > n / 2);
    assert!(count(Event::RemovedInPlace) - removals > n / 2);
}

#[test]
fn a_shared_tree_edits_leaves_with_room_and_gives_them_back() {
    let (mut random, mut model) = (Random(3), BTreeMap::new());
    let mut tree = Tree::new();
    let (rounds, edits) = if cfg!(miri) { (2, 12) } else { (30, 60) };
    for round in 0..rounds {
        for step in 0..edits {
            let key = key(&mut random);
            if random.below(3) > 0 {
                assert_eq!(tree.insert(&key, step).unwrap(), model.insert(key, step));
            } else {
                assert_eq!(tree.remove(&key).unwrap(), model.remove(&key));
            }
            tree.check().unwrap();
        }
        let shared = SharedTree::new(tree);
        shared.check(&reclaim::pin_to_write()).unwrap();
        for step in 0..edits {
            let key = key(&mut random);
            let value = (random.below(3) > 0).then_some(step + round);
            let pin = reclaim::pin_to_write();
            let old = shared.change(&pin, &key, Expected::Any, value).unwrap().old;
            drop(pin);
            let expected = match value {
                Some(value) => model.insert(key, value),
                None => model.remove(&key),
            };
            assert_eq!(old, expected);
            shared.check(&reclaim::pin_to_write()).unwrap();
        }
        tree = shared.into_raw();
        tree.check().unwrap();
        assert!(contents(&tree).into_iter().eq(model.clone()));
    }
}

#[test]
fn failed_allocations_change_nothing_in_leaves_with_room() {
    use Event::{InsertedInPlace, LeafSplit, Merge, RemovedInPlace};
    let wanted: &[Event] = &[InsertedInPlace, RemovedInPlace, LeafSplit, Merge];
    takes(if cfg!(miri) { &wanted[..2] } else { wanted }, || {
        let n = if cfg!(miri) { 12 } else { 400 };
        let keys = move || {
            let mut random = Random(5);
            let all: std::collections::BTreeSet<_> = (0..n).map(|_| key(&mut random)).collect();
            let all: Vec<_> = all.into_iter().collect();
            let n = all.len();
            Box::new((0..n).map(move |i| all[i * 7919 % n].clone())) as Box<dyn Iterator<Item = _>>
        };
        fails_cleanly(keys, |i| i * 7907);
    });
}
