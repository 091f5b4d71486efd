//! Tests of the tree's internals: which paths an operation takes, and that a failed allocation
//! changes nothing.

mod coded;
mod in_place;

use crate::InsertError;
use crate::coding::KeyCoding;
use crate::pool;
use crate::testing::coverage::{Event, taken};
use crate::tree::{Builder, LeafCoder, RawCursor, RawTree, common_prefix};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included};

type Tree = RawTree<u64>;

/// Runs `work`, and asserts that it takes each of these paths.
fn takes(events: &[Event], work: impl FnOnce()) {
    let before = taken();
    work();
    let after = taken();
    let missed: Vec<_> =
        events.iter().filter(|event| after.get(event) == before.get(event)).collect();
    assert!(missed.is_empty(), "not taken: {missed:?}");
}

/// Random numbers, the same in each run (Marsaglia, "Xorshift RNGs", 2003).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

/// Returns the numbers below `n` in a scattered order. `step` is a prime that does not divide `n`.
pub(crate) fn scattered(n: usize, step: usize) -> impl Iterator<Item = usize> {
    (0..n).map(move |i| i * step % n)
}

/// Returns a key that shares few bytes with the keys next to it, so that separators are short.
pub(crate) fn short(i: usize) -> Vec<u8> {
    let head = (i as u32).wrapping_mul(2_654_435_761).to_be_bytes();
    [&head[..], &[b'-'; 240]].concat()
}

/// Returns a key of a group of twelve, which are more than fit into a leaf. Most separators are
/// long, and all nodes are narrow.
pub(crate) fn middling(i: usize) -> Vec<u8> {
    [&[(i / 12) as u8; 100][..], &[(i % 12) as u8], &[b'-'; 140]].concat()
}

/// Returns a key of a group of three, which share a long prefix. Separators are alternately short
/// and long, and each leaf has one key.
pub(crate) fn long(i: usize) -> Vec<u8> {
    [&[(i / 3) as u8; 2000][..], &[(i % 3) as u8]].concat()
}

fn insert(tree: &mut Tree, key: &[u8], value: usize) {
    tree.insert(key, value as u64).unwrap();
    tree.check().unwrap();
}

fn remove(tree: &mut Tree, key: &[u8]) {
    assert!(tree.remove(key).unwrap().is_some());
    tree.check().unwrap();
}

fn contents(tree: &Tree) -> Vec<(Vec<u8>, u64)> {
    let mut cursor = RawCursor::new(tree);
    let mut all = Vec::new();
    while let Some((key, value)) = cursor.next() {
        all.push((key.to_vec(), value));
    }
    all
}

#[test]
fn nodes_split_and_merge() {
    use Event::{InnerMerge, InnerSplit, LeafSplit, Merge, RootCollapse, RootSplit};
    takes(&[LeafSplit, RootSplit, InnerSplit, Merge, InnerMerge, RootCollapse], || {
        let mut tree = Tree::new();
        let n = 2000;
        for i in scattered(n, 7) {
            tree.insert(&short(i), i as u64).unwrap();
            if i % 16 == 0 {
                tree.check().unwrap();
            }
        }
        for i in scattered(n, 11) {
            assert_eq!(tree.remove(&short(i)).unwrap(), Some(i as u64));
            if i % 16 == 0 {
                tree.check().unwrap();
            }
        }
        assert_eq!((tree.len(), tree.usage()), (0, crate::tree::Usage::default()));
    });
}

#[test]
fn inner_nodes_borrow_where_separators_are_long() {
    use Event::{
        InnerBorrow, InnerMerge, InnerSplit, LeafDropped, LeafSplit, RootCollapse, RootSplit, Wide,
        WideInner,
    };
    takes(
        &[
            LeafSplit,
            InnerSplit,
            RootSplit,
            Wide,
            WideInner,
            LeafDropped,
            InnerMerge,
            InnerBorrow,
            RootCollapse,
        ],
        || {
            let n = 90;
            for step in [1, 7, 11, 13, 17] {
                let mut tree = Tree::new();
                scattered(n, 7).for_each(|i| insert(&mut tree, &long(i), i));
                scattered(n, step).for_each(|i| remove(&mut tree, &long(i)));
            }
        },
    );
}

#[test]
fn ascending_keys_are_appended_to_the_open_leaf() {
    use Event::{Appended, LeafClosed, LeafOpened, LeafSplit, LopsidedSplit};
    takes(&[LeafOpened, Appended, LeafClosed, LeafSplit, LopsidedSplit], || {
        let mut tree = Tree::new();
        (0..600usize).for_each(|i| insert(&mut tree, &i.to_be_bytes(), i));
        remove(&mut tree, &599usize.to_be_bytes());
    });
}

#[test]
fn an_insert_elsewhere_closes_the_open_leaf() {
    let open = || {
        let mut tree = Tree::new();
        (0..40usize).for_each(|i| insert(&mut tree, &[b'k', i as u8, 7], i));
        assert!(tree.append_mode.is_open());
        tree
    };
    // A key before the last one, the last key itself, a prefix of it, and one before all keys.
    for key in [&[b'k', 38, 9][..], &[b'k', 39, 7], &[b'k', 39], b"a"] {
        let mut tree = open();
        insert(&mut tree, key, 1000);
        assert_eq!(tree.get(key), Some(1000));
        assert!(!tree.append_mode.is_open());
    }
    // A key after the last one, but with a rest or a common prefix too long for a narrow leaf.
    for suffix in [vec![0; 300], vec![0; 5000]] {
        let mut tree = open();
        let key = [&[b'k', 40][..], &suffix].concat();
        insert(&mut tree, &key, 1);
        insert(&mut tree, &[&key[..], b"more"].concat(), 2);
        assert_eq!(tree.len(), 42);
    }
    // Removals of a range and of one key.
    let mut tree = open();
    assert_eq!(tree.remove_between(Included(&[b'k', 10]), Excluded(&[b'k', 20])).unwrap(), 10);
    tree.check().unwrap();
    let mut tree = open();
    assert_eq!(tree.remove(b"absent").unwrap(), None);
    tree.check().unwrap();
}

#[test]
fn a_copy_of_a_tree_with_an_open_leaf_is_complete() {
    let mut tree = Tree::new();
    (0..40u8).for_each(|i| insert(&mut tree, &[i], i.into()));
    let mut copy = tree.try_clone().unwrap();
    copy.check().unwrap();
    assert_eq!(contents(&copy), contents(&tree));
    // Each grows on its own.
    (40..90u8).for_each(|i| insert(&mut copy, &[i], i.into()));
    (40..60u8).for_each(|i| insert(&mut tree, &[i, 1], i.into()));
    (0..40u8).for_each(|i| remove(&mut copy, &[i]));
    assert_eq!((copy.len(), tree.len()), (50, 60));
}

#[test]
fn a_tree_with_an_open_leaf_may_move() {
    let mut tree = Tree::new();
    for i in 0..20u8 {
        tree.insert(&[i, 1], i.into()).unwrap();
    }
    assert!(tree.append_mode.is_open());
    let mut moved = Box::new(tree);
    insert(&mut moved, &[0], 100);
    assert_eq!(moved.get(&[0]), Some(100));
    assert_eq!(moved.get(&[19, 1]), Some(19));
}

/// The opened leaf is larger than the limit: the leaf was long, and eight times only its first key
/// was split off.
#[test]
fn a_leaf_opens_with_room_for_the_keys_of_a_long_leaf() {
    let long = vec![b'p'; 250];
    let mut keys: BTreeSet<Vec<u8>> = (0..8).map(|i| [&long[..4 * i], b"a"].concat()).collect();
    keys.extend((0..133u8).map(|i| [&long[..], &[i]].concat()));
    let mut tree = built(&keys).unwrap();
    (200..=255u8).for_each(|i| insert(&mut tree, &[&long[..], &[i]].concat(), 8));
    assert_eq!(tree.len(), keys.len() + 56);
}

fn built<'a>(
    keys: impl IntoIterator<Item = &'a Vec<u8>>,
) -> Result<Tree, crate::tree::edit::pending::Failed> {
    let mut builder = Builder::new(None);
    for (i, key) in keys.into_iter().enumerate() {
        let shared = common_prefix(builder.last(), key);
        builder.push(key, shared, i as u64)?;
    }
    builder.finish()
}

#[test]
fn pages_and_slabs_are_freed() {
    if cfg!(any(miri, memkv_plain_alloc)) {
        return;
    }
    takes(&[Event::PageDrained, Event::SlabFreed], || {
        // Nodes of other tests may be in the same slabs, so it may take some rounds.
        for _ in 0..100 {
            let mut tree = Tree::new();
            // Far more bytes than the pool takes from the global allocator directly.
            (0..30_000).for_each(|i| _ = tree.insert(&short(i), 0).unwrap());
            (0..30_000).for_each(|i| assert!(tree.remove(&short(i)).unwrap().is_some()));
            assert_eq!(tree.usage(), crate::tree::Usage::default());
            crate::reclaim::reclaim();
            if taken().contains_key(&Event::SlabFreed) {
                break;
            }
        }
    });
}

/// Repeats `step` until it succeeds, and asserts that a failed attempt changes nothing. The first
/// attempt fails at allocation `from`, each further one at the allocation after. Returns the result
/// and the number of failed attempts.
fn with_failures<R>(
    tree: &mut Tree,
    from: u64,
    step: impl Fn(&mut Tree) -> Result<R, InsertError>,
) -> (R, u64) {
    let mut failures = 0;
    for n in from.. {
        let (before, usage, open) = (contents(tree), tree.usage(), tree.append_mode.is_open());
        pool::fail_after(Some(n));
        let result = step(tree);
        pool::fail_after(None);
        tree.check().unwrap();
        match result {
            Ok(done) => return (done, failures),
            Err(InsertError::OutOfMemory { .. }) => failures += 1,
            Err(error) => panic!("{error}"),
        }
        assert!(contents(tree) == before, "a failed step changed the tree");
        // A failed step may have closed the open leaf.
        assert!(open || tree.usage() == usage, "{:?}, not {usage:?}", tree.usage());
    }
    unreachable!()
}

/// Inserts and removes keys, each after some failed attempts.
fn fails_cleanly(
    keys: impl Fn() -> Box<dyn Iterator<Item = Vec<u8>>>,
    order: impl Fn(usize) -> usize,
) {
    for coding in [KeyCoding::Plain, KeyCoding::Symbols] {
        let tree = Tree::with_coder(LeafCoder::asked(coding));
        fails_cleanly_from(tree, &keys, &order);
    }
}

fn fails_cleanly_from(
    mut tree: Tree,
    keys: impl Fn() -> Box<dyn Iterator<Item = Vec<u8>>>,
    order: impl Fn(usize) -> usize,
) {
    let (mut model, mut failures) = (BTreeMap::new(), 0);
    for (i, key) in keys().enumerate() {
        // Some failures are ignored, such as those of closing a leaf. The first allocation to fail
        // varies, so that later ones fail too.
        let (old, n) =
            with_failures(&mut tree, 1 + i as u64 % 3, |tree| tree.insert(&key, i as u64));
        assert_eq!(old, model.insert(key, i as u64));
        failures += n;
    }
    assert!(contents(&tree).into_iter().eq(model.clone()));
    assert!(failures > 0);
    failures = 0;
    let all: Vec<_> = model.keys().cloned().collect();
    for i in 0..all.len() {
        let key = &all[order(i) % all.len()];
        let (old, n) = with_failures(&mut tree, 1 + i as u64 % 4, |tree| tree.remove(key));
        assert_eq!(old, model.remove(key));
        failures += n;
    }
    assert!(failures > 0);
    assert!(contents(&tree).into_iter().eq(model));
}

#[test]
fn failed_allocations_change_nothing() {
    use Event::{InnerMerge, InnerSplit, LeafSplit, Merge, RootSplit};
    takes(&[LeafSplit, RootSplit, InnerSplit, Merge, InnerMerge], || {
        fails_cleanly(|| Box::new(scattered(400, 7).map(middling)), |i| i * 13);
    });
}

#[test]
fn failed_allocations_change_nothing_in_wide_nodes() {
    use Event::{InnerBorrow, InnerMerge, LeafDropped, RootCollapse, WideInner};
    takes(&[LeafDropped, WideInner, InnerMerge, InnerBorrow, RootCollapse], || {
        for step in [1, 7, 13] {
            fails_cleanly(|| Box::new(scattered(60, 7).map(long)), |i| i * step);
        }
    });
}

#[test]
fn failed_allocations_change_nothing_in_append_mode() {
    use Event::{Appended, LeafClosed, LeafOpened, LopsidedSplit};
    takes(&[LeafOpened, Appended, LeafClosed, LopsidedSplit], || {
        // Ascending keys, and now and then one that is not.
        let keys = || (0..600u32).map(|i| if i % 89 == 88 { (i / 2) << 8 | 1 } else { i << 8 });
        fails_cleanly(|| Box::new(keys().map(|i| i.to_be_bytes().to_vec())), |i| i);
    });
}

#[test]
fn failed_allocations_undo_a_bulk_load_and_a_copy() {
    let sets: [BTreeSet<Vec<u8>>; 2] =
        [(0..3000).map(short).collect(), (0..60).map(long).collect()];
    for keys in sets {
        let mut failures = 0;
        let tree = loop {
            pool::fail_after(Some(failures + 1));
            let result = built(&keys);
            pool::fail_after(None);
            match result {
                Ok(tree) => break tree,
                Err(failed) => assert!(failed.0 > 0),
            }
            failures += 1;
        };
        tree.check().unwrap();
        assert!(contents(&tree).into_iter().map(|(key, _)| key).eq(keys));
        // One failure for each node, and as many for the copy.
        let nodes = failures;
        for n in 1..=nodes {
            pool::fail_after(Some(n));
            assert!(tree.try_clone().is_err());
            pool::fail_after(None);
        }
        let copy = tree.try_clone().unwrap();
        copy.check().unwrap();
        assert!(nodes > 20 && contents(&copy) == contents(&tree));
    }
}
