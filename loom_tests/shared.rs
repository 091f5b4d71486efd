//! Models of a tree that two threads change. Each lists the mutants, used one at a time, that it
//! must find.

use loom::sync::Arc;
use loom::thread;
use memkv::ConcurrentArt;
use memkv::concurrent::Cursor;
use memkv::mutant::{Mutant, Mutant::*, choose};
use memkv::plain;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

pub(super) type Map = ConcurrentArt<u64>;

/// The most preemptions in an execution, unless `LOOM_MAX_PREEMPTIONS` is set.
const MAX_PREEMPTIONS: usize = 3;

/// Explores the executions of a model, and returns how many there were.
fn explore(f: fn(), preemptions: usize) -> usize {
    let count = std::sync::Arc::new(AtomicUsize::new(0));
    let counter = std::sync::Arc::clone(&count);
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 1_000_000;
    builder.preemption_bound.get_or_insert(preemptions);
    builder.check(move || {
        counter.fetch_add(1, Relaxed);
        f();
    });
    count.load(Relaxed)
}

/// Prints what failed. A process that has a mutant may abort, and then prints nothing that the test
/// harness has captured.
fn report(panic: &std::panic::PanicHookInfo<'_>) {
    if std::env::var_os(CHILD).is_some() {
        let _ = writeln!(std::io::stderr(), "{panic}");
    } else {
        eprintln!("{panic}");
    }
}

static HOOK: std::sync::Once = std::sync::Once::new();

/// The environment variable with the mutant of a process of its own.
const CHILD: &str = "MEMKV_MUTANT";

/// Runs a model, which must hold, and must find each of these mutants. With the collector there are
/// many more executions, so fewer preemptions are allowed.
pub(super) fn model(path: &str, f: fn(), collector: bool, mutants: &[Mutant]) {
    let name = path.rsplit("::").next().unwrap_or(path);
    let preemptions = if collector { 1 } else { MAX_PREEMPTIONS };
    // Mutants panic on small stacks, which a backtrace may overflow.
    HOOK.call_once(|| std::panic::set_hook(Box::new(report)));
    plain::choose(!collector);
    if let Ok(error) = std::env::var(CHILD) {
        choose(mutants.iter().copied().find(|mutant| format!("{mutant:?}") == error));
        explore(f, preemptions);
        return;
    }
    let start = Instant::now();
    let executions = explore(f, preemptions);
    println!("| {name} | {executions} | {:.1} s |", start.elapsed().as_secs_f64());
    for &mutant in mutants {
        let found = if collector {
            // A model that fails inside the collector does not unwind.
            let program = std::env::current_exe().unwrap();
            let mut child = Command::new(program);
            let test = path.split_once("::").map_or(path, |(_, test)| test);
            let output =
                child.args([test, "--exact"]).env(CHILD, format!("{mutant:?}")).output().unwrap();
            !output.status.success()
                && String::from_utf8_lossy(&[output.stdout, output.stderr].concat())
                    .contains("Causality violation")
        } else {
            choose(Some(mutant));
            let found = catch_unwind(AssertUnwindSafe(|| explore(f, preemptions))).is_err();
            choose(None);
            plain::choose(true);
            found
        };
        assert!(found, "{name} does not find {mutant:?}");
    }
}

/// Defines the models, and the mutants that each must find.
macro_rules! models {
    ($($name:ident $(with $collector:ident)?: [$($mutant:ident),*];)*) => {
        mod found {
            $(#[test]
            fn $name() {
                let path = concat!(module_path!(), "::", stringify!($name));
                let collector = stringify!($($collector)?) == "collector";
                super::model(path, super::$name, collector, &[$(super::$mutant),*]);
            })*
        }
    };
}
pub(super) use models;

models! {
    two_first_inserts: [ChildNotCompared, SlotNotLocked];
    leaf_replace_and_get: [SlotRelaxed, FreedAtOnce];
    leaf_replace_and_overwrite: [LeafNotLocked, LeafNotObsolete, OverwriteUnlocked];
    two_inserts_of_one_key: [ChildNotCompared, SlotNotLocked];
    two_inserts_into_one_leaf: [ChildNotCompared, SlotNotLocked];
    two_updates_of_one_key: [OverwriteUnlocked, UnlockRelaxed];
    leaf_split_and_get: [SlotRelaxed, ObsoleteSlotsCleared, FreedAtOnce];
    leaf_split_and_insert_beside: [
        SlotNotLocked, ParentNotChecked, SlotsNotAwaited, NotInOrder, InnerNotLocked,
        InnerNotObsolete
    ];
    leaf_split_and_overwrite: [LeafNotLocked, LeafNotObsolete];
    root_split_and_insert: [
        SlotNotLocked, ParentNotChecked, SlotsNotAwaited, NotInOrder, InnerNotLocked,
        InnerNotObsolete
    ];
    root_split_and_get: [SlotRelaxed, ObsoleteSlotsCleared, FreedAtOnce];
    inner_split_and_get: [SlotRelaxed, ObsoleteSlotsCleared, FreedAtOnce];
    merge_and_insert: [LeafNotObsolete];
    merge_and_insert_beside: [
        SlotNotLocked, ParentNotChecked, SlotsNotAwaited, NotInOrder, InnerNotLocked,
        InnerNotObsolete
    ];
    merge_and_overwrite: [LeafNotLocked];
    drop_of_a_leaf_and_insert: [LeafNotObsolete];
    drop_of_a_leaf_and_insert_beside: [
        SlotNotLocked, ParentNotChecked, SlotsNotAwaited, NotInOrder, InnerNotLocked,
        InnerNotObsolete
    ];
    remove_of_the_last_and_insert: [ChildNotCompared, SlotNotLocked];
    collapse_and_insert: [SlotRelaxed];
    collapse_and_get: [ObsoleteSlotsCleared, FreedAtOnce];
    merge_and_scan: [ObsoleteSlotsCleared, FreedAtOnce];
    split_and_scan_back: [ObsoleteSlotsCleared];
    split_and_longest_prefix: [ObsoleteSlotsCleared, FreedAtOnce];
    leaves_move_and_get: [FreedAtOnce];
    leaves_move_and_overwrite: [LeafNotLocked, LeafNotObsolete];
    leaves_move_and_split: [SlotsNotAwaited, NotInOrder, LeafNotObsolete];
    inner_nodes_move_and_get: [SlotRelaxed, ObsoleteSlotsCleared, FreedAtOnce];
    inner_nodes_move_and_insert: [
        SlotNotLocked, ParentNotChecked, SlotsNotAwaited, NotInOrder, InnerNotLocked,
        InnerNotObsolete
    ];
    inner_nodes_move_and_split: [ChildNotCompared, SlotNotLocked];
    scan_and_change_ahead: [OwnChangesUnseen];
    scan_back_and_change_ahead: [OwnChangesUnseen];
    scan_and_change_by_another: [PathNotChecked];
    scan_after_a_get: [PathNotChecked];
    scan_back_and_first_insert: [RootReadAgain];
    pop_and_insert: [PopFromAnyLeaf];
    clear_and_insert: [ChildNotCompared, SlotNotLocked];
    remove_and_compare_exchange: [LeafNotObsolete];
    both_write_then_read: [NoFence];
    values_are_seen_in_order: [ValueReadRelaxed];
    reclamation_and_get with collector: [ReaderNotPinned];
    reclamation_and_scan with collector: [ReaderNotPinned, EraNotCompared];
}

pub(super) fn key(i: usize) -> Vec<u8> {
    vec![b'a' + i as u8]
}

/// A map of these keys, key `i` with value `i`.
fn filled(keys: &[usize]) -> Map {
    let map = Map::new();
    keys.iter().for_each(|&i| _ = map.insert(key(i), i as u64));
    map
}

/// Runs two threads on a map, and returns it.
pub(super) fn pair<M: Send + Sync + 'static>(
    map: M,
    a: impl FnOnce(&M) + Send + 'static,
    b: impl FnOnce(&M) + Send + 'static,
) -> M {
    let map = Arc::new(map);
    let (of_a, of_b) = (Arc::clone(&map), Arc::clone(&map));
    // Each thread is done with the map before it signals its end.
    let run_a = thread::spawn(move || {
        a(&of_a);
        drop(of_a);
    });
    let run_b = thread::spawn(move || {
        b(&of_b);
        drop(of_b);
    });
    run_a.join().unwrap();
    run_b.join().unwrap();
    let Ok(map) = Arc::try_unwrap(map) else { panic!("the threads are gone") };
    map
}

/// Runs two threads, then checks the tree, and calls `then` with it.
pub(super) fn two(
    map: Map,
    a: impl FnOnce(&Map) + Send + 'static,
    b: impl FnOnce(&Map) + Send + 'static,
    then: impl FnOnce(&Map),
) {
    let mut map = pair(map, a, b);
    map.check().unwrap();
    then(&map);
    drop(map);
    plain::free();
}

fn has(map: &Map, keys: &[usize]) {
    let want: Vec<_> = keys.iter().map(|&i| (key(i), i as u64)).collect();
    assert_eq!(map.iter().collect::<Vec<_>>(), want);
    assert_eq!(map.len(), keys.len());
}

fn leaf_replace_and_get() {
    two(
        filled(&[0]),
        |map| assert_eq!(map.insert(key(1), 1), None),
        |map| {
            assert_eq!(map.get(key(0)), Some(0));
            assert!(matches!(map.get(key(1)), None | Some(1)));
        },
        |map| has(map, &[0, 1]),
    );
}

fn reclamation_and_get() {
    two(
        filled(&[0]),
        |map| {
            assert_eq!(map.insert(key(1), 1), None);
            map.reclaim();
        },
        |map| assert_eq!(map.get(key(0)), Some(0)),
        |_| (),
    );
}

fn reclamation_and_scan() {
    // Two leaves, of which the first is divided, so that the node above is replaced. The cursor
    // reads each run under a pin of its own.
    two(
        filled(&[0, 2, 4, 6, 8]),
        |map| {
            assert_eq!(map.insert(key(5), 5), None);
            map.reclaim();
        },
        |map| {
            let mut cursor = map.cursor();
            assert_eq!(cursor.next().map(|(_, value)| value), Some(0));
            assert_eq!(cursor.next().map(|(_, value)| value), Some(2));
        },
        |_| (),
    );
}

fn leaf_replace_and_overwrite() {
    two(
        filled(&[0]),
        |map| assert_eq!(map.insert(key(1), 1), None),
        |map| assert_eq!(map.insert(key(0), 7), Some(0)),
        |map| assert_eq!((map.get(key(0)), map.get(key(1))), (Some(7), Some(1))),
    );
}

fn two_inserts_of_one_key() {
    static WON: AtomicUsize = AtomicUsize::new(0);
    WON.store(0, Relaxed);
    let insert = |map: &Map| {
        if map.compare_exchange(key(1), None, Some(1)).is_ok() {
            WON.fetch_add(1, Relaxed);
        }
    };
    two(filled(&[0]), insert, insert, |map| {
        has(map, &[0, 1]);
        assert_eq!(WON.load(Relaxed), 1);
    });
}

fn two_first_inserts() {
    two(
        filled(&[]),
        |map| assert_eq!(map.insert(key(1), 1), None),
        |map| assert_eq!(map.insert(key(2), 2), None),
        |map| has(map, &[1, 2]),
    );
}

fn two_inserts_into_one_leaf() {
    two(
        filled(&[0]),
        |map| assert_eq!(map.insert(key(1), 1), None),
        |map| assert_eq!(map.insert(key(2), 2), None),
        |map| has(map, &[0, 1, 2]),
    );
}

fn two_updates_of_one_key() {
    let add = |map: &Map| _ = map.update(key(0), |value| value + 1);
    two(filled(&[0]), add, add, |map| assert_eq!(map.get(key(0)), Some(2)));
}

/// Ascending keys fill one leaf after the other: three keys in the first, one in the second.
const TWO_LEAVES: &[usize] = &[0, 2, 4, 6];

/// Three leaves: 4, then 6 to 10, then 12 and 14.
fn three_leaves() -> Map {
    let map = filled(&[0, 2, 4, 6, 8, 10, 12, 14]);
    map.remove(key(0));
    map.remove(key(2));
    map
}

fn leaf_split_and_get() {
    two(
        filled(&[0, 2, 4, 6, 8]),
        |map| {
            assert_eq!(map.insert(key(5), 5), None);
        },
        |map| {
            assert_eq!(map.get(key(0)), Some(0));
            assert_eq!(map.get(key(8)), Some(8));
        },
        |map| has(map, &[0, 2, 4, 5, 6, 8]),
    );
}

fn leaf_split_and_insert_beside() {
    two(
        filled(&[0, 2, 4, 6, 8]),
        |map| assert_eq!(map.insert(key(1), 1), None),
        |map| assert_eq!(map.insert(key(9), 9), None),
        |map| has(map, &[0, 1, 2, 4, 6, 8, 9]),
    );
}

fn leaf_split_and_overwrite() {
    two(
        filled(&[0, 2, 4]),
        |map| assert_eq!(map.insert(key(3), 3), None),
        |map| assert_eq!(map.insert(key(4), 44), Some(4)),
        |map| assert_eq!((map.get(key(4)), map.len()), (Some(44), 4)),
    );
}

fn root_split_and_insert() {
    // Four leaves under the root, all but the last of them full: the root splits.
    let keys: Vec<_> = (0..11).map(|i| 2 * i).collect();
    two(
        filled(&keys),
        |map| assert_eq!(map.insert(key(1), 1), None),
        |map| assert_eq!(map.insert(key(21), 21), None),
        |map| assert_eq!((map.len(), map.get(key(1)), map.get(key(21))), (13, Some(1), Some(21))),
    );
}

/// A key is inserted below a full inner node, which is split.
fn splits(map: Map, new: usize) {
    let len = map.len();
    two(
        map,
        move |map| assert_eq!(map.insert(key(new), 7), None),
        |map| {
            assert_eq!(map.get(key(0)), Some(0));
            assert_eq!(map.get(key(20)), Some(20));
        },
        |map| assert_eq!((map.len(), map.get(key(new))), (len + 1, Some(7))),
    );
}

fn root_split_and_get() {
    splits(filled(&(0..11).map(|i| 2 * i).collect::<Vec<_>>()), 1);
}

fn inner_split_and_get() {
    // Two inner nodes under the root, of which the first is full.
    let keys: Vec<_> = (0..13).map(|i| 2 * i).chain([1, 3]).collect();
    splits(filled(&keys), 5);
}

fn merge_and_insert() {
    two(
        filled(TWO_LEAVES),
        |map| assert_eq!(map.remove(key(0)), Some(0)),
        |map| assert_eq!(map.insert(key(5), 5), None),
        |map| has(map, &[2, 4, 5, 6]),
    );
}

fn merge_and_insert_beside() {
    two(
        three_leaves(),
        |map| assert_eq!(map.remove(key(6)), Some(6)),
        |map| assert_eq!(map.insert(key(15), 15), None),
        |map| has(map, &[4, 8, 10, 12, 14, 15]),
    );
}

fn merge_and_overwrite() {
    two(
        filled(TWO_LEAVES),
        |map| assert_eq!(map.remove(key(0)), Some(0)),
        |map| assert_eq!(map.insert(key(4), 44), Some(4)),
        |map| assert_eq!((map.get(key(4)), map.len()), (Some(44), 3)),
    );
}

fn drop_of_a_leaf_and_insert() {
    two(
        three_leaves(),
        |map| assert_eq!(map.remove(key(4)), Some(4)),
        |map| assert_eq!(map.insert(key(3), 3), None),
        |map| has(map, &[3, 6, 8, 10, 12, 14]),
    );
}

fn drop_of_a_leaf_and_insert_beside() {
    two(
        three_leaves(),
        |map| assert_eq!(map.remove(key(4)), Some(4)),
        |map| assert_eq!(map.insert(key(15), 15), None),
        |map| has(map, &[6, 8, 10, 12, 14, 15]),
    );
}

fn remove_of_the_last_and_insert() {
    two(
        filled(&[0]),
        |map| assert_eq!(map.remove(key(0)), Some(0)),
        |map| assert_eq!(map.insert(key(1), 1), None),
        |map| has(map, &[1]),
    );
}

/// One thread moves nodes to other cells, and the other one uses them.
fn moved(
    leaves: bool,
    keys: &[usize],
    work: impl FnOnce(&Map) + Send + 'static,
    then: impl FnOnce(&Map),
) {
    two(filled(keys), move |map| _ = map.relocate(leaves), work, then);
}

fn leaves_move_and_get() {
    moved(true, TWO_LEAVES, |map| assert_eq!(map.get(key(0)), Some(0)), |map| has(map, TWO_LEAVES));
}

fn leaves_move_and_overwrite() {
    let overwrite = |map: &Map| assert_eq!(map.insert(key(6), 7), Some(6));
    moved(true, TWO_LEAVES, overwrite, |map| {
        assert_eq!((map.get(key(6)), map.len()), (Some(7), 4))
    });
}

fn leaves_move_and_split() {
    moved(
        true,
        TWO_LEAVES,
        |map| assert_eq!(map.insert(key(1), 1), None),
        |map| has(map, &[0, 1, 2, 4, 6]),
    );
}

fn inner_nodes_move_and_get() {
    moved(
        false,
        TWO_LEAVES,
        |map| assert_eq!(map.get(key(6)), Some(6)),
        |map| has(map, TWO_LEAVES),
    );
}

fn inner_nodes_move_and_insert() {
    moved(
        false,
        TWO_LEAVES,
        |map| assert_eq!(map.insert(key(7), 7), None),
        |map| has(map, &[0, 2, 4, 6, 7]),
    );
}

fn inner_nodes_move_and_split() {
    moved(
        false,
        TWO_LEAVES,
        |map| assert_eq!(map.insert(key(1), 1), None),
        |map| has(map, &[0, 1, 2, 4, 6]),
    );
}

/// Two leaves of two keys: without one of the keys they fit into one leaf.
fn two_and_two() -> Map {
    let map = filled(&[0, 2, 4, 6, 8]);
    map.remove(key(0));
    map
}

fn collapse_and_insert() {
    two(
        two_and_two(),
        |map| assert_eq!(map.remove(key(2)), Some(2)),
        |map| assert_eq!(map.insert(key(9), 9), None),
        |map| has(map, &[4, 6, 8, 9]),
    );
}

fn collapse_and_get() {
    two(
        two_and_two(),
        |map| assert_eq!(map.remove(key(2)), Some(2)),
        |map| assert_eq!(map.get(key(8)), Some(8)),
        |map| has(map, &[4, 6, 8]),
    );
}

fn merge_and_scan() {
    two(
        three_leaves(),
        |map| assert_eq!(map.remove(key(6)), Some(6)),
        |map| {
            let got: Vec<_> =
                map.iter().map(|(_, value)| value).filter(|&value| value != 6).collect();
            assert_eq!(got, [4, 8, 10, 12, 14]);
        },
        |map| has(map, &[4, 8, 10, 12, 14]),
    );
}

fn split_and_scan_back() {
    two(
        filled(&[0, 2, 4, 6, 8]),
        |map| assert_eq!(map.insert(key(5), 5), None),
        |map| {
            let got: Vec<_> =
                map.iter().rev().map(|(_, value)| value).filter(|&value| value != 5).collect();
            assert_eq!(got, [8, 6, 4, 2, 0]);
        },
        |map| has(map, &[0, 2, 4, 5, 6, 8]),
    );
}

/// The walk back to the prefix visits several leaves, one of which is split.
fn split_and_longest_prefix() {
    let map = Map::new();
    for (i, key) in ["b", "ba", "bba", "bbba", "bbbba"].into_iter().enumerate() {
        map.insert(key, i as u64);
    }
    two(
        map,
        |map| assert_eq!(map.insert("bbab", 5), None),
        |map| assert_eq!(map.get_longest_prefix("bbbbb"), Some((&b"b"[..], 0))),
        |map| assert_eq!(map.len(), 6),
    );
}

/// One thread replaces a leaf and overwrites a value of the new one. The other one scans, and
/// overwrites the value that its scan has read ahead.
fn change_ahead(
    read: impl Fn(&mut Cursor<'_, u64>) -> Option<u64> + Copy + Send + 'static,
    first: usize,
    last: usize,
) {
    two(
        filled(&[0, 2, 4]),
        move |map| {
            assert_eq!(map.remove(key(first)), Some(first as u64));
            assert!(map.insert(key(last), 7).is_some());
        },
        move |map| {
            let mut cursor = map.cursor();
            if first > last {
                cursor.seek_to_last();
            }
            // The first run has one key, and the second one the others.
            let mut value = read(&mut cursor);
            if value == Some(first as u64) {
                value = read(&mut cursor);
            }
            assert_eq!(value, Some(2));
            assert!(map.insert(key(last), 9).is_some());
            let value = read(&mut cursor);
            assert!(value == Some(9) || value == Some(7), "a value of before the step");
        },
        |_| (),
    );
}

fn scan_and_change_ahead() {
    change_ahead(|cursor| cursor.next().map(|(_, value)| value), 0, 4);
}

fn scan_back_and_change_ahead() {
    change_ahead(|cursor| cursor.prev().map(|(_, value)| value), 4, 0);
}

/// A scan does not return what was removed from a leaf before it got there.
fn scan_and_change_by_another() {
    let map = Arc::new(filled(&[0, 2, 4, 6, 8, 10, 12, 14]));
    let mut cursor = map.cursor();
    assert_eq!(cursor.next().map(|(_, value)| value), Some(0));
    let other = Arc::clone(&map);
    let change = move || {
        // A leaf is divided, so the node above it is replaced.
        (7..10).step_by(2).for_each(|i| assert_eq!(other.insert(key(i), i as u64), None));
        assert_eq!(other.remove(key(14)), Some(14));
    };
    thread::spawn(change).join().unwrap();
    let mut seen = Vec::new();
    while let Some((_, value)) = cursor.next() {
        seen.push(value);
    }
    assert_eq!(seen, [2, 4, 6, 7, 8, 9, 10, 12]);
    drop(map);
    plain::free();
}

/// A scan returns what a get of its thread has seen further on.
fn scan_after_a_get() {
    two(
        filled(&[0, 2, 4, 6, 8]),
        |map| assert_eq!(map.insert(key(5), 5), None),
        |map| {
            let mut cursor = map.cursor();
            assert_eq!(cursor.next().map(|(_, value)| value), Some(0));
            let is_seen = map.get(key(5)).is_some();
            let mut values = Vec::new();
            while let Some((_, value)) = cursor.next() {
                values.push(value);
            }
            assert!(!is_seen || values.contains(&5), "{values:?} after 5 was seen");
        },
        |map| has(map, &[0, 2, 4, 5, 6, 8]),
    );
}

/// A scan back over an empty map does not return what is inserted on the other side of it.
fn scan_back_and_first_insert() {
    two(
        filled(&[]),
        |map| assert_eq!(map.insert(key(5), 5), None),
        |map| assert_eq!(map.range(..=key(2)).next_back(), None),
        |map| has(map, &[5]),
    );
}

fn pop_and_insert() {
    let map = Arc::new(filled(&[1, 2]));
    let other = Arc::clone(&map);
    let popper = thread::spawn(move || other.pop_first().map(|(_, value)| value));
    let other = Arc::clone(&map);
    let inserter = thread::spawn(move || {
        other.insert(key(0), 0);
        other.get(key(1))
    });
    let (popped, seen) = (popper.join().unwrap(), inserter.join().unwrap());
    drop(map);
    plain::free();
    // A thread that sees the old first key after a smaller one was inserted knows that the pop came
    // later or took the smaller one.
    assert!(
        popped == Some(0) || (popped == Some(1) && seen.is_none()),
        "popped {popped:?}, saw {seen:?}"
    );
}

fn clear_and_insert() {
    two(
        filled(TWO_LEAVES),
        |map| map.clear(),
        |map| assert_eq!(map.insert(key(5), 5), None),
        |map| assert!(map.is_empty() || map.iter().eq([(key(5), 5)])),
    );
}

fn remove_and_compare_exchange() {
    let map = Arc::new(filled(&[0, 1]));
    let other = Arc::clone(&map);
    let remover = thread::spawn(move || other.remove(key(1)));
    let other = Arc::clone(&map);
    let exchanger = thread::spawn(move || other.compare_exchange(key(1), Some(1), Some(2)));
    let (removed, exchanged) = (remover.join().unwrap(), exchanger.join().unwrap());
    has(&map, &[0]);
    drop(map);
    plain::free();
    // Either came first.
    assert!(
        matches!((removed, exchanged), (Some(2), Ok(Some(1))) | (Some(1), Err(None))),
        "{removed:?}, {exchanged:?}"
    );
}

fn both_write_then_read() {
    let map = Arc::new(filled(TWO_LEAVES));
    let run = |mine: usize, others: usize| {
        let map = Arc::clone(&map);
        thread::spawn(move || {
            let pinned = map.pin();
            pinned.insert(key(mine), 70);
            pinned.get(key(others)) == Some(70)
        })
    };
    // In different leaves, so no lock orders them.
    let (a, b) = (run(0, 6), run(6, 0));
    let (a, b) = (a.join().unwrap(), b.join().unwrap());
    drop(map);
    plain::free();
    assert!(a || b, "each was first");
}

fn values_are_seen_in_order() {
    let map = Arc::new(filled(&[0, 1]));
    let other = Arc::clone(&map);
    let writer = thread::spawn(move || {
        let pinned = other.pin();
        pinned.insert(key(0), 7);
        pinned.insert(key(1), 7);
    });
    let other = Arc::clone(&map);
    let reader = thread::spawn(move || {
        let pinned = other.pin();
        if pinned.get(key(1)) == Some(7) {
            assert_eq!(pinned.get(key(0)), Some(7));
        }
    });
    writer.join().unwrap();
    reader.join().unwrap();
    drop(map);
    plain::free();
}
