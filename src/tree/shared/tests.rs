//! Tests of the shared tree that look inside: which paths threads take beside each other, which
//! shared memory an operation writes, and what is left when memory runs out.

use crate::InsertError;
use crate::pool;
use crate::reclaim;
use crate::testing::coverage::{Event, taken};
use crate::tree::shared::{Expected, SharedTree};
use crate::tree::tests::{long, middling, scattered, short};
use crate::tree::{RawTree, Scan};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

type Tree = SharedTree<u64>;
type Counts = BTreeMap<Event, u64>;
/// A function from numbers to keys, and the number of keys.
type Kind = (fn(usize) -> Vec<u8>, usize);

fn insert(tree: &Tree, key: &[u8], value: u64) -> Option<u64> {
    tree.change(&reclaim::pin_to_write(), key, Expected::Any, Some(value)).unwrap().old
}

fn remove(tree: &Tree, key: &[u8]) -> Option<u64> {
    tree.change(&reclaim::pin_to_write(), key, Expected::Any, None).unwrap().old
}

fn contents(tree: &Tree) -> Vec<(Vec<u8>, u64)> {
    let (mut scan, mut source) = (Scan::new(), tree);
    let next = || {
        scan.step(&mut source, false, Bound::Unbounded).map(|(key, value)| (key.to_vec(), value))
    };
    std::iter::from_fn(next).collect()
}

/// Runs `work` on some threads. Returns the sum of the paths that they took.
fn on_threads(threads: usize, work: impl Fn(usize) + Sync) -> Counts {
    let mut all = Counts::new();
    std::thread::scope(|scope| {
        let work = &work;
        let run = move |t| {
            work(t);
            taken()
        };
        let handles: Vec<_> = (0..threads).map(|t| scope.spawn(move || run(t))).collect();
        for handle in handles {
            for (event, count) in handle.join().unwrap() {
                *all.entry(event).or_default() += count;
            }
        }
    });
    all
}

#[test]
fn every_path_is_taken_beside_other_threads() {
    use Event::*;
    let wanted = [
        LeafSplit,
        LopsidedSplit,
        InnerSplit,
        RootSplit,
        Merge,
        LeafDropped,
        InnerMerge,
        InnerBorrow,
        RootCollapse,
        Wide,
        WideInner,
        LockObsolete,
        Restart,
        ScanContinued,
        ScanReadAgain,
        Popped,
    ];
    let mut all = Counts::new();
    for round in 0..if cfg!(miri) { 2 } else { 400 } {
        let tree = Tree::new(RawTree::new());
        let kinds: [Kind; 3] = [(short, 1200), (middling, 400), (long, 90)];
        let (key, n) = kinds[round % 3];
        let failures = AtomicUsize::new(0);
        let counts = on_threads(4, |t| {
            let pin = reclaim::pin();
            for step in [7, 11] {
                for i in scattered(n, step).filter(|i| i % 4 == t || i % 7 == 0) {
                    // Some steps have no memory, and must change nothing then.
                    pool::fail_after((i % 13 == 0).then_some(1 + i as u64 % 5));
                    if tree.change(&pin, &key(i), Expected::Any, Some(i as u64)).is_err() {
                        failures.fetch_add(1, Relaxed);
                    }
                    pool::fail_after(None);
                }
                if t == 0 {
                    let all = contents(&tree);
                    assert!(all.windows(2).all(|w| w[0].0 < w[1].0));
                    // A scan that sees what its own thread does.
                    let (mut scan, mut source) = (Scan::new(), &tree);
                    let mut step = || {
                        let (key, _) = scan.step(&mut source, false, Bound::Unbounded)?;
                        Some(key.to_vec())
                    };
                    while let Some(key) = step() {
                        let next = [&key[..], &[0]].concat();
                        insert(&tree, &next, 0);
                        // Unless another thread has popped it.
                        assert!(step().is_none_or(|found| found >= next));
                        remove(&tree, &next);
                    }
                }
                // In the other direction, so that keys are also appended and removed at the end.
                for i in (0..n).filter(|i| i % 4 == t) {
                    remove(&tree, &key(i));
                    insert(&tree, &[&[0xFF][..], &(i as u32).to_be_bytes()].concat(), 0);
                }
                while tree.pop(&pin, true, &mut Vec::new()).unwrap().is_some() {}
            }
        });
        tree.check(&reclaim::pin()).unwrap();
        assert_eq!((tree.len(), tree.usage()), (0, crate::tree::Usage::default()));
        assert!(cfg!(miri) || failures.into_inner() > 0);
        for (event, count) in counts {
            *all.entry(event).or_default() += count;
        }
        if wanted.iter().all(|event| all.contains_key(event)) {
            return;
        }
    }
    let missed: Vec<_> = wanted.iter().filter(|event| !all.contains_key(event)).collect();
    assert!(cfg!(miri) || missed.is_empty(), "not taken: {missed:?}");
}

/// Nodes are relocated while other threads edit the tree, and neither loses anything to the other.
#[test]
fn relocation_runs_beside_other_threads() {
    let n = if cfg!(miri) { 500 } else { 30_000 };
    for round in 0..if cfg!(miri) { 1 } else { 20 } {
        let tree = Tree::new(RawTree::new());
        scattered(n, 7).for_each(|i| _ = insert(&tree, &short(i), i as u64));
        // Leave holes all over the pages.
        (0..n).filter(|i| i / 64 % 8 != 0).for_each(|i| _ = remove(&tree, &short(i)));
        let counts = on_threads(3, |t| {
            if t == 0 {
                (0..4).for_each(|_| tree.reclaim());
                return;
            }
            let mut rounds = 0;
            // Keys that stay get another value; others come and go around them.
            for i in (0..n).filter(|i| i / 64 % 8 == 0 && i % 2 == t - 1) {
                assert_eq!(insert(&tree, &short(i), 1), Some(i as u64));
                rounds += 1;
                if rounds % 4 == 0 {
                    assert_eq!(insert(&tree, &short(i + 64), 2), None);
                    assert_eq!(remove(&tree, &short(i + 64)), Some(2));
                }
            }
        });
        tree.check(&reclaim::pin()).unwrap();
        let want: BTreeMap<_, _> =
            (0..n).filter(|i| i / 64 % 8 == 0).map(|i| (short(i), 1)).collect();
        assert!(contents(&tree).into_iter().eq(want));
        if counts.get(&Event::Relocated).is_some_and(|&moved| moved > 0) {
            return;
        }
        assert!(round < 19 || cfg!(any(miri, memkv_plain_alloc)), "no node was relocated");
    }
}

/// An operation writes few words that threads share: locks, slots and values. One that changes a
/// count also writes its stripe of the counts.
#[test]
fn operations_write_few_shared_words() {
    use Event::{LockTaken, Overwritten, Published};
    let tree = Tree::new(RawTree::new());
    (0..5000).for_each(|i| _ = insert(&tree, &short(2 * i), 0));
    let pin = reclaim::pin();
    let written = |work: &dyn Fn()| {
        let before = taken();
        work();
        [LockTaken, Published, Overwritten]
            .map(|event| taken().get(&event).unwrap_or(&0) - before.get(&event).unwrap_or(&0))
    };
    for i in 0..200 {
        let (there, absent) = (short(2 * i), short(2 * i + 1));
        // A lookup and a scan write nothing, nor does an operation that finds nothing to do.
        assert_eq!(
            written(&|| assert!(tree.get(&pin, &there).is_some() && !tree.contains(&pin, &absent))),
            [0, 0, 0]
        );
        assert_eq!(
            written(&|| _ = tree.change(&pin, &there, Expected::Absent, Some(1)).unwrap()),
            [0, 0, 0]
        );
        assert_eq!(written(&|| assert!(remove(&tree, &absent).is_none())), [0, 0, 0]);
        // An update writes its leaf.
        assert_eq!(written(&|| assert!(insert(&tree, &there, 1).is_some())), [1, 0, 1]);
        // An insert or a removal writes the lock of its leaf, and one slot of the parent twice. It
        // writes more only if nodes split or merge.
        let structure = |work: &dyn Fn()| {
            let before = taken();
            let locks = written(work);
            let after = taken();
            let cold = [Event::LeafSplit, Event::Merge]
                .iter()
                .any(|event| after.get(event) != before.get(event));
            assert!(cold || locks == [2, 1, 0], "{locks:?}");
            cold
        };
        structure(&|| assert!(insert(&tree, &absent, 1).is_none()));
        structure(&|| assert!(remove(&tree, &absent).is_some()));
    }
    assert_eq!(written(&|| assert_eq!(contents(&tree).len(), 5000)), [0, 0, 0]);
}

#[test]
fn failed_allocations_change_nothing() {
    let kinds: [Kind; 2] = [(middling, 300), (long, 60)];
    for (key, n) in kinds {
        let (tree, mut model, mut failures) = (Tree::new(RawTree::new()), BTreeMap::new(), 0);
        for insert in [true, false] {
            for i in scattered(n, 7) {
                for fail in 1.. {
                    let (before, usage) = (contents(&tree), tree.usage());
                    pool::fail_after(Some(fail));
                    let result = tree.change(
                        &reclaim::pin(),
                        &key(i),
                        Expected::Any,
                        insert.then_some(i as u64),
                    );
                    pool::fail_after(None);
                    match result {
                        Ok(outcome) => {
                            assert_eq!(outcome.old.is_some(), !insert);
                            break;
                        }
                        Err(InsertError::OutOfMemory { .. }) => failures += 1,
                        Err(error) => panic!("{error}"),
                    }
                    assert!(
                        contents(&tree) == before && tree.usage() == usage,
                        "a failed step changed the tree"
                    );
                    tree.check(&reclaim::pin()).unwrap();
                }
                if insert {
                    model.insert(key(i), i as u64)
                } else {
                    model.remove(&key(i))
                };
            }
            assert!(contents(&tree).into_iter().eq(model.clone()));
        }
        assert!(failures > n);
    }
}

#[test]
#[cfg(target_pointer_width = "64")]
fn counts_go_beyond_32_bits_and_stripes_below_zero() {
    const KEYS: usize = 1 << 40;
    const BYTES: usize = 1 << 50;
    // As if this much were there already.
    let mut raw = RawTree::new();
    (raw.len, raw.usage.leaves) = (KEYS, BYTES);
    let tree = Tree::new(raw);
    (0..100).for_each(|i| _ = insert(&tree, &short(i), 0));
    assert_eq!(tree.len(), KEYS + 100);
    // A thread that counts in another stripe subtracts what it never added.
    std::thread::scope(|scope| {
        _ = scope.spawn(|| (0..50).for_each(|i| _ = remove(&tree, &short(i))))
    });
    assert_eq!(tree.len(), KEYS + 50);
    assert!((BYTES..BYTES + (1 << 20)).contains(&tree.usage().leaves));
    let mut raw = tree.into_raw();
    assert_eq!(raw.len, KEYS + 50);
    raw.len -= KEYS;
    raw.usage.leaves -= BYTES;
    raw.check().unwrap();
}

#[test]
fn counts_wrap_around() {
    let mut tree = Tree::new(RawTree::new());
    // As if threads of one stripe had removed what those of another inserted.
    tree.counts = (0..2).map(|_| Default::default()).collect();
    for (stripe, count) in [usize::MAX - 10, 11].into_iter().enumerate() {
        let counts = &tree.counts[stripe];
        for all in
            [&counts.len, &counts.leaves, &counts.inner, &counts.slack_leaves, &counts.slack_inner]
        {
            all.store(count, Relaxed);
        }
    }
    assert_eq!((tree.len(), tree.usage()), (0, crate::tree::Usage::default()));
    let pin = reclaim::pin_to_write();
    let change =
        |i: u32, value| _ = tree.change(&pin, &i.to_be_bytes(), Expected::Any, value).unwrap();
    (0..1000).for_each(|i| change(i, Some(u64::from(i))));
    assert_eq!(tree.len(), 1000);
    tree.check(&pin).unwrap();
    (0..990).for_each(|i| change(i, None));
    assert_eq!(tree.len(), 10);
    // Before the other stripe is read, the sum is below zero.
    tree.counts[1].len.fetch_sub(11, Relaxed);
    assert_eq!(tree.len(), 0);
    tree.counts[1].len.fetch_add(11, Relaxed);
    drop(pin);
    let raw = tree.into_raw();
    assert_eq!(raw.len(), 10);
    raw.check().unwrap();
}
