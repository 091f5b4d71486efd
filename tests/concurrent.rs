//! `ConcurrentArt` under many threads: what they read, what is left, and what is freed.

use crate::common::rng::Rng;
use memkv::{ConcurrentArenaArt, ConcurrentArt, FastArt, ShardedArt};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

/// Returns the rounds of a loop: fewer under an interpreter.
fn rounds(n: u64) -> u64 {
    if cfg!(miri) { (n / 500).max(8) } else { n }
}

/// Returns numbers that differ from those of any other seed, also of one that is close.
fn random(seed: u64) -> Rng {
    Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
}

/// Dense keys, keys with long common prefixes, and keys so long that nodes are wide.
fn key(kind: u64, i: u64) -> Vec<u8> {
    match kind {
        0 => i.to_be_bytes()[4..].to_vec(),
        1 => {
            format!("https://www.host{}.example/path/{}/page-{i}.html", i % 7, i % 31).into_bytes()
        }
        _ => [&vec![(i / 5) as u8; 400][..], &i.to_be_bytes()].concat(),
    }
}

/// Runs `work` on several threads, which begin together.
fn together<R: Send>(threads: u64, work: impl Fn(u64) -> R + Sync) -> Vec<R> {
    let barrier = Barrier::new(threads as usize);
    thread::scope(|scope| {
        let (work, barrier) = (&work, &barrier);
        let run = move |t| {
            barrier.wait();
            work(t)
        };
        let handles: Vec<_> = (0..threads).map(|t| scope.spawn(move || run(t))).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    })
}

/// Each thread has keys of its own, interleaved with those of the others, and knows their values.
fn own_keys(kind: u64, threads: u64, keys: u64, steps: u64) {
    let mut map = ConcurrentArt::new();
    let models = together(threads, |t| {
        let (mut rng, mut model) = (random(t + 1), BTreeMap::new());
        for step in 0..steps {
            let i = rng.below(keys) * threads + t;
            let k = key(kind, i);
            // Grows for a while, then shrinks.
            let grows = (step / (steps / 4).max(1)).is_multiple_of(2);
            match rng.below(10) {
                0..=3 => assert_eq!(map.get(&k), model.get(&k).copied()),
                4..=7 if grows => assert_eq!(map.insert(&k, step), model.insert(k, step)),
                8 => assert_eq!(
                    map.update(&k, |v| v + 1),
                    model.get_mut(&k).map(|v| std::mem::replace(v, *v + 1))
                ),
                _ => assert_eq!(map.remove(&k), model.remove(&k)),
            }
        }
        model
    });
    map.check().unwrap();
    let all: BTreeMap<_, _> = models.into_iter().flatten().collect();
    assert_eq!(map.len(), all.len());
    assert!(map.iter().eq(all.clone()));
    assert!(map.iter().rev().eq(all.clone().into_iter().rev()));
    let fast = map.into_fast();
    fast.check().unwrap();
    assert!(fast.iter().eq(all));
}

#[test]
fn threads_with_keys_of_their_own_see_what_they_wrote() {
    for kind in 0..3 {
        for threads in [2, 4, 16] {
            own_keys(kind, threads, 400, rounds(160_000) / threads);
        }
    }
}

#[test]
fn large_trees_split_and_merge_under_many_threads() {
    own_keys(0, 4, 50_000, rounds(300_000));
    own_keys(1, 4, 20_000, rounds(200_000));
}

#[test]
fn counters_lose_nothing() {
    let map = ConcurrentArt::<u64>::new();
    let (threads, n) = (4, rounds(50_000));
    together(threads, |t| {
        let pinned = map.pin();
        for i in 0..n {
            let key = format!("counter/{}", i % 13);
            pinned.compute(key, |count| Some(count.unwrap_or(0) + 1));
            // Neighbours are inserted and removed, so that the counters' leaf is often replaced.
            let other = format!("counter/{}/{t}", i % 17);
            if i % 2 == 0 {
                pinned.insert(other, 0)
            } else {
                pinned.remove(other)
            };
        }
    });
    let sum: u64 = (0..13).map(|i| map.get(format!("counter/{i}")).unwrap()).sum();
    assert_eq!(sum, threads * n);
}

#[test]
fn one_of_many_inserts_removes_and_pops() {
    let map = ConcurrentArt::<u64>::new();
    let n = rounds(20_000);
    let inserted = together(4, |t| {
        (0..n).filter(|i| map.compare_exchange(key(1, *i), None, Some(t)).is_ok()).count()
    });
    assert_eq!((inserted.into_iter().sum::<usize>(), map.len()), (n as usize, n as usize));
    let removed =
        together(4, |_| (0..n).step_by(2).filter(|i| map.remove(key(1, *i)).is_some()).count());
    assert_eq!(removed.into_iter().sum::<usize>(), n.div_ceil(2) as usize);
    let popped = together(4, |t| {
        let pop = || if t % 2 == 0 { map.pop_first() } else { map.pop_last() };
        std::iter::from_fn(pop).map(|(key, _)| key).collect::<Vec<_>>()
    });
    // Each thread pops in ascending order.
    popped[0].windows(2).for_each(|w| assert!(w[0] < w[1]));
    popped[1].windows(2).for_each(|w| assert!(w[0] > w[1]));
    let mut all: Vec<_> = popped.concat();
    all.sort();
    let mut want: Vec<_> = (1..n).step_by(2).map(|i| key(1, i)).collect();
    want.sort();
    assert!(all == want && map.is_empty());
}

/// A key that stays is yielded exactly once and in order, whatever is inserted and removed around
/// it.
#[test]
fn scans_yield_what_stays() {
    for kind in 0..3 {
        let n = if kind == 2 { 300 } else { 6000 } / if cfg!(miri) { 60 } else { 1 };
        let map: ConcurrentArt = (0..n).step_by(3).map(|i| (key(kind, i), i)).collect();
        let mut stays: Vec<_> = (0..n).step_by(3).map(|i| key(kind, i)).collect();
        stays.sort();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for t in 1..3 {
                let (map, stop) = (&map, &stop);
                scope.spawn(move || {
                    let mut rng = random(t);
                    while !stop.load(Relaxed) {
                        // Waves of keys, so that nodes split and merge.
                        let grows = rng.below(2) == 0;
                        let from = rng.below(n);
                        for i in from..(from + n / 4).min(n) {
                            if i % 3 == t {
                                if grows {
                                    map.insert(key(kind, i), i)
                                } else {
                                    map.remove(key(kind, i))
                                };
                            }
                        }
                    }
                });
            }
            let end = Instant::now() + Duration::from_millis(if cfg!(miri) { 1 } else { 1500 });
            let mut rng = random(77);
            while Instant::now() < end {
                let (a, b) = (rng.below(n / 3) as usize, rng.below(n / 3) as usize);
                let want = &stays[a.min(b)..=a.max(b)];
                let range = || map.range(&want[0][..]..=&want[want.len() - 1][..]);
                let check = |got: Vec<(Vec<u8>, u64)>| {
                    assert!(got.windows(2).all(|w| w[0].0 < w[1].0), "not in order");
                    assert!(got.iter().all(|(k, v)| *k == key(kind, *v)), "a value of another key");
                    assert!(
                        got.iter()
                            .map(|(k, _)| k)
                            .filter(|k| stays.binary_search(k).is_ok())
                            .eq(want),
                        "a key is missing"
                    );
                };
                check(range().collect());
                let mut back: Vec<_> = range().rev().collect();
                back.reverse();
                check(back);
                // From both ends.
                let (mut both, mut front, mut back) = (range(), Vec::new(), Vec::new());
                loop {
                    let next = if rng.below(2) == 0 {
                        both.next().map(|e| front.push(e))
                    } else {
                        both.next_back().map(|e| back.push(e))
                    };
                    if next.is_none() {
                        break;
                    }
                }
                back.reverse();
                front.extend(back);
                check(front);
            }
            stop.store(true, Relaxed);
        });
    }
}

/// A yielded pair is in the map at the moment of the step, even in a leaf that was reached before.
#[test]
fn scans_yield_what_is_there_at_the_step() {
    let keys = ["a", "b", "c", "d", "e"];
    let map = ConcurrentArt::from(keys.map(|key| (key, 1u64)));
    let change = |key: &str| {
        map.remove(key);
        // The leaf was replaced, and the new leaf changed in place.
        map.update("c", |value| value + 1);
    };
    let mut cursor = map.cursor();
    cursor.seek("b");
    assert_eq!(cursor.next(), Some((&b"b"[..], 1)));
    change("a");
    assert_eq!(cursor.next(), Some((&b"c"[..], 2)));
    change("d");
    assert_eq!(cursor.next(), Some((&b"e"[..], 1)));
    change("c");
    map.insert("d", 7);
    assert_eq!(cursor.prev(), Some((&b"e"[..], 1)));
    assert_eq!(cursor.prev(), Some((&b"d"[..], 7)));
    assert_eq!(cursor.prev(), Some((&b"b"[..], 1)));
    assert_eq!(cursor.prev(), None);
}

#[test]
fn clear_takes_all_at_once() {
    let mut map = ConcurrentArt::<u64>::new();
    let n = rounds(3000);
    let (done, clears) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for t in 0..3 {
            let (map, done) = (&map, &done);
            scope.spawn(move || {
                while !done.load(Relaxed) {
                    (0..n).for_each(|i| _ = map.insert(key(1, i * 3 + t), t));
                    (0..n).for_each(|i| _ = map.remove(key(1, i * 3 + t)));
                }
            });
        }
        for _ in 0..rounds(200) {
            map.clear();
            clears.fetch_add(1, Relaxed);
            thread::sleep(Duration::from_millis(1));
        }
        done.store(true, Relaxed);
    });
    map.check().unwrap();
    assert_eq!(map.iter().count(), map.len());
    map.clear();
    map.check().unwrap();
    assert_eq!((map.len(), map.memory_usage().leaves, map.memory_usage().inner), (0, 0, 0));
}

#[test]
fn maps_go_while_garbage_is_pending_and_threads_come_and_go() {
    for round in 0..rounds(60) {
        let map = Arc::new(ConcurrentArt::<u64>::new());
        // A thread that stays pinned all the time.
        let other: ConcurrentArt = ConcurrentArt::new();
        let _laggard = other.pin();
        let threads: Vec<_> = (0..8)
            .map(|t| {
                let map = Arc::clone(&map);
                thread::spawn(move || {
                    (0..300).for_each(|i| _ = map.insert(key(1, i * 8 + t), i));
                    (0..300).step_by(2).for_each(|i| _ = map.remove(key(1, i * 8 + t)));
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let mut map = Arc::into_inner(map).unwrap();
        assert_eq!(map.len(), 1200);
        map.check().unwrap();
        match round % 3 {
            0 => drop(map),
            1 => {
                let mut fast: FastArt = map.into_fast();
                fast.check().unwrap();
                fast.insert("more", 1);
                let map = ConcurrentArt::from(fast);
                assert_eq!(map.remove("more"), Some(1));
            }
            _ => assert_eq!(map.into_iter().count(), 1200),
        }
    }
}

#[test]
fn a_panic_in_a_closure_changes_nothing() {
    let mut map = ConcurrentArt::from([("a", 1u64), ("b", 2)]);
    for round in 0..4 {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match round {
            0 => _ = map.compute("a", |_| panic!("on purpose")),
            1 => _ = map.update("b", |_| panic!("on purpose")),
            2 => _ = map.get_or_insert_with("c", || panic!("on purpose")),
            _ => _ = map.remove_if("a", |_| panic!("on purpose")),
        }));
        assert!(result.is_err());
    }
    map.check().unwrap();
    assert!(map.iter().eq([(b"a".to_vec(), 1), (b"b".to_vec(), 2)]));
    // Nothing is left locked.
    assert_eq!(map.insert("a", 3), Some(1));
}

#[test]
fn functions_may_use_the_map_they_are_called_by() {
    let map = ConcurrentArt::from([("a", 1u64), ("b", 2)]);
    let pinned = map.pin();
    let mut rounds = 0;
    let (old, new) = pinned.compute("a", |value| {
        rounds += 1;
        // More than the number of calls after which a handle renews its pin.
        (0..200).for_each(|i| _ = pinned.insert("b", i));
        if rounds == 1 {
            pinned.insert("a", 10);
        }
        value.map(|value| value + pinned.get("b").unwrap())
    });
    assert_eq!((old, new, rounds), (Some(10), Some(209), 2));
}

/// A handle has all methods of its map. Those that are not its own pin for themselves, even when
/// they are called inside one of its operations.
#[test]
fn handles_have_what_their_maps_have() {
    macro_rules! check {
        ($map:expr) => {{
            let map = $map;
            let mut pinned = map.pin();
            pinned.extend((0..500u64).map(|i| (key(0, i), i)));
            assert_eq!((pinned.len(), pinned.is_empty(), pinned.iter().count()), (500, false, 500));
            assert_eq!(pinned.range(&key(0, 10)[..]..&key(0, 20)[..]).count(), 10);
            assert_eq!(
                pinned.prefix([0, 0, 1]).rev().map(|(_, value)| value).collect::<Vec<_>>(),
                (256..500).rev().collect::<Vec<_>>()
            );
            assert!(pinned.cursor().next().is_some());
            let mut rounds = 0;
            pinned.compute(key(0, 0), |_| {
                rounds += 1;
                // More than the number of calls after which a handle renews its pin.
                (0..100).for_each(|i| assert!(pinned.get(key(0, 1 + i)).is_some()));
                assert_eq!(pinned.iter().count(), 500);
                pinned.reclaim();
                Some(7)
            });
            assert_eq!(rounds, 1);
            assert_eq!(pinned.iter().next(), Some((key(0, 0), 7)));
            // An iterator of the map outlives the handle.
            let range = pinned.map().iter();
            pinned.clear();
            drop(pinned);
            assert_eq!((range.count(), map.len()), (0, 0));
        }};
    }
    check!(ConcurrentArt::<u64>::new());
    check!(ShardedArt::<u64>::new(4));
    check!(ConcurrentArenaArt::<u64>::new());
}

#[test]
fn shared_maps_are_send_and_sync() {
    fn is<T: Send + Sync>() {}
    is::<ConcurrentArt<u64>>();
    is::<Arc<ConcurrentArt<()>>>();
}
