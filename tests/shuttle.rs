//! `ConcurrentArt` under shuttle's schedules of three to eight threads, random ones and those of
//! PCT:
//!
//! `RUSTFLAGS="--cfg memkv_shuttle" cargo test -p memkv --release --features _shuttle --test
//! shuttle`
//!
//! Without that flag nothing is compiled. `MEMKV_SHUTTLE_SCHEDULES` is the number of schedules of
//! each kind. PCT: Burckhardt, Kothari, Musuvathi, Nagarakatte: "A randomized scheduler with
//! probabilistic guarantees of finding bugs", 2010.
//!
//! A node has three keys at most, as in loom's models, so that few keys make a tree of several
//! levels. Threads are switched where the tree reads or writes a lock word, a slot or a value, all
//! in one order: weak memory is modelled by loom. All threads are tasks of one thread, which for
//! the collector pins again and again: while any task is pinned, nothing is freed. So reclamation
//! is not modelled here.

#![cfg(memkv_shuttle)]

mod common;

use common::history::{Call, KEYS, call, calls, check, state};
use memkv::ConcurrentArt;
use memkv::mutant::{Mutant, choose};
use shuttle::rand::Rng;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner, thread};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

type Map = ConcurrentArt<u64>;

/// The environment variable with the mutant of a process of its own.
const CHILD: &str = "MEMKV_MUTANT";

/// A mutant gets ten times as many schedules: it is nearly always found at once, but schedules are
/// random.
fn schedules() -> usize {
    let schedules =
        std::env::var("MEMKV_SHUTTLE_SCHEDULES").ok().and_then(|n| n.parse().ok()).unwrap_or(5000);
    if std::env::var(CHILD).is_ok() { 10 * schedules } else { schedules }
}

/// Runs a model under both kinds of schedules. It must find each of these mutants.
fn model(name: &str, mutants: &[Mutant], f: impl Fn() + Clone + Send + Sync + 'static) {
    if let Ok(error) = std::env::var(CHILD) {
        choose(mutants.iter().copied().find(|mutant| format!("{mutant:?}") == error));
        // Nothing is freed, since a mutant's leftovers might be freed twice.
        std::mem::forget(Box::leak(Box::new(Map::new())).pin());
    }
    let config = || {
        let mut config = Config::new();
        config.stack_size = 1 << 20;
        config
    };
    Runner::new(RandomScheduler::new(schedules()), config()).run(f.clone());
    for depth in [2, 3, 5] {
        Runner::new(PctScheduler::new(depth, schedules().div_ceil(3)), config()).run(f.clone());
    }
    if std::env::var(CHILD).is_ok() {
        return;
    }
    for mutant in mutants {
        let program = std::env::current_exe().unwrap();
        let output = Command::new(program)
            .args([name, "--exact"])
            .env(CHILD, format!("{mutant:?}"))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(101), "{name} does not find {mutant:?}: {output:?}");
    }
}

/// A map that a mutant does not drop, since its leftovers may be in it twice.
fn map() -> Arc<Map> {
    let map = Arc::new(Map::new());
    if std::env::var(CHILD).is_ok() {
        std::mem::forget(Arc::clone(&map));
    }
    map
}

/// Keys after those of the histories.
fn around(i: u64) -> String {
    format!("key/{:02}/{i}", 51 + i % 40)
}

/// Checks the tree once all threads are done.
fn whole(map: Arc<Map>) -> Option<Map> {
    let mut map = Arc::into_inner(map)?;
    map.check().unwrap();
    assert_eq!(map.iter().count(), map.len());
    Some(map)
}

/// Threads make random calls, while one thread inserts and removes other keys, so that nodes split
/// and merge around those.
fn histories(threads: u64, n: u64, alone: bool) {
    let (map, clock) = (map(), Arc::new(AtomicU64::new(0)));
    if !alone {
        (0..10).for_each(|i| _ = map.insert(around(i), i));
    }
    let round = shuttle::rand::thread_rng().gen_range(0..1 << 32);
    let before = state(&map.pin());
    let mut runs: Vec<_> = (0..threads)
        .map(|t| {
            let (map, clock) = (Arc::clone(&map), Arc::clone(&clock));
            thread::spawn(move || calls(&map.pin(), &clock, (round, t), n, alone))
        })
        .collect();
    if !alone {
        let map = Arc::clone(&map);
        runs.push(thread::spawn(move || {
            for i in 0..6 {
                if (round + i) % 2 == 0 {
                    map.remove(around(i))
                } else {
                    map.insert(around(10 + i), i)
                };
            }
            Vec::new()
        }));
    }
    let mut history: Vec<_> = runs.into_iter().flat_map(|run| run.join().unwrap()).collect();
    history.extend((0..KEYS).map(|k| call(&map.pin(), &clock, Call::Get(k))));
    check(history, before);
    whole(map);
}

#[test]
fn histories_of_three_threads() {
    use Mutant::*;
    let mutants = [
        LeafNotLocked,
        LeafNotObsolete,
        OverwriteUnlocked,
        InnerNotObsolete,
        PopFromAnyLeaf,
        ChildNotCompared,
    ];
    model("histories_of_three_threads", &mutants, || {
        histories(2, 6, false);
        histories(3, 5, true);
    });
}

#[test]
fn histories_of_eight_threads() {
    model("histories_of_eight_threads", &[Mutant::LeafNotObsolete], || histories(7, 3, false));
}

/// Keys are inserted and removed between those that stay, which each scan must yield once and in
/// order.
#[test]
fn scans_beside_splits_and_merges() {
    use Mutant::*;
    model(
        "scans_beside_splits_and_merges",
        &[ObsoleteSlotsCleared, InnerNotLocked, InnerNotObsolete],
        || {
            let map = map();
            let key = |i: u64| format!("{i:02}");
            (0..24).step_by(2).for_each(|i| _ = map.insert(key(i), i));
            let mut threads: Vec<_> = (0..3)
                .map(|t| {
                    let map = Arc::clone(&map);
                    thread::spawn(move || {
                        let pinned = map.pin();
                        let keys = || (t..12).step_by(3).map(|i| 2 * i + 1);
                        keys().for_each(|i| assert_eq!(pinned.insert(key(i), i), None));
                        // Each thread finds what it wrote, whatever the others do.
                        keys().for_each(|i| assert_eq!(pinned.get(key(i)), Some(i)));
                        keys().for_each(|i| assert_eq!(pinned.remove(key(i)), Some(i)));
                    })
                })
                .collect();
            for back in [false, true] {
                let map = Arc::clone(&map);
                threads.push(thread::spawn(move || {
                    let mut seen: Vec<_> =
                        if back { map.iter().rev().collect() } else { map.iter().collect() };
                    if back {
                        seen.reverse();
                    }
                    assert!(
                        seen.is_sorted()
                            && seen.iter().all(|(found, value)| *found == key(*value).into_bytes())
                    );
                    assert!(
                        seen.iter()
                            .map(|(_, value)| *value)
                            .filter(|value| value % 2 == 0)
                            .eq((0..24).step_by(2)),
                        "{seen:?}"
                    );
                }));
            }
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            if let Some(map) = whole(map) {
                assert!(map.iter().map(|(_, value)| value).eq((0..24).step_by(2)));
            }
        },
    );
}

/// A counter of each thread and one of all threads, beside a thread that sometimes clears the map.
#[test]
fn counters_and_clear() {
    model("counters_and_clear", &[Mutant::OverwriteUnlocked, Mutant::SlotNotLocked], || {
        let map = map();
        let added = Arc::new(AtomicU64::new(0));
        let mut threads: Vec<_> = (0..4)
            .map(|t: u64| {
                let (map, added) = (Arc::clone(&map), Arc::clone(&added));
                thread::spawn(move || {
                    for i in 0..4 {
                        map.compute("all", |count| Some(count.unwrap_or(0) + 1));
                        added.fetch_add(1, Relaxed);
                        map.insert(format!("{t}/{i}"), i);
                    }
                })
            })
            .collect();
        let other = Arc::clone(&map);
        threads.push(thread::spawn(move || {
            other
                .remove("all")
                .map(|count| _ = other.compute("all", |now| Some(now.unwrap_or(0) + count)));
        }));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(map.get("all"), Some(added.load(Relaxed)));
        let clears: Vec<_> = [0, 1]
            .into_iter()
            .map(|t| {
                let map = Arc::clone(&map);
                thread::spawn(move || if t == 0 { map.clear() } else { _ = map.insert("after", 1) })
            })
            .collect();
        clears.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(map.len() <= 1 && map.iter().count() == map.len());
        whole(map);
    });
}
