//! Retired memory stays bounded, whatever handle is written through and whatever scans run beside.

mod common;

use common::comes_back;
use memkv::concurrent::Pinned;
use memkv::{ConcurrentArenaArt, ConcurrentArt, ShardedArt};
use std::cell::RefCell;
use std::sync::{LazyLock, Mutex, MutexGuard, mpsc};
use std::thread;

/// The most bytes that may be retired.
const MOST: usize = 16 << 20;
/// The most bytes that may be retired while one thread writes through a handle. It is below 2 MiB
/// on a quiet machine; a loaded one takes up to half a MiB more.
const MOST_BY_A_HANDLE: usize = 3 << 20;
const KEYS: u64 = 200_000;

/// All maps of a process share the retired memory, and a pin of any test holds it back, so one test
/// runs at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Returns a key; consecutive numbers have keys in random order.
fn key(i: u64) -> [u8; 8] {
    i.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()
}

/// Writes all keys, and returns the most bytes that were retired.
fn most(mut insert: impl FnMut([u8; 8], u64), retired: impl Fn() -> usize) -> usize {
    (0..KEYS).fold(0, |most, i| {
        insert(key(i), i);
        if i % 64 == 0 { most.max(retired()) } else { most }
    })
}

#[test]
fn by_a_handle() {
    macro_rules! check {
        ($map:expr) => {{
            let _alone = alone();
            let map = $map;
            let pinned = map.pin();
            let most = most(|key, i| _ = pinned.insert(key, i), || map.memory_usage().retired);
            assert!(most < MOST_BY_A_HANDLE, "{most}");
            drop(pinned);
            let (mut most, mut pinned) = (0, map.pin());
            pinned.extend((0..KEYS).map(|i| {
                most = most.max(map.memory_usage().retired);
                (key(KEYS + i), i)
            }));
            assert!(most < MOST_BY_A_HANDLE, "by extend: {most}");
        }};
    }
    check!(ConcurrentArt::new());
    check!(ShardedArt::new(4));
}

#[test]
fn by_handles_of_many_threads() {
    let _alone = alone();
    let map = ConcurrentArt::new();
    let most = thread::scope(|scope| {
        let handles: Vec<_> = (0..8)
            .map(|t| {
                let map = &map;
                scope.spawn(move || {
                    let pinned = map.pin();
                    let mut most = 0;
                    for i in (t..KEYS).step_by(8) {
                        pinned.insert(key(i), i);
                        most = most.max(map.memory_usage().retired);
                    }
                    most
                })
            })
            .collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).max()
    });
    // A thread that was preempted may have held some back.
    assert!(most < Some(4 * MOST), "{most:?}");
}

/// The drop of a value may use the handle by which it is collected.
#[test]
fn drops_use_the_handle_that_collects() {
    thread_local! {
        static HANDLE: RefCell<Option<Pinned<'static, u64>>> = const { RefCell::new(None) };
    }
    struct Uses;
    impl Drop for Uses {
        fn drop(&mut self) {
            HANDLE.with_borrow(|handle| {
                // More often than a handle renews its pin.
                handle.iter().for_each(|handle| {
                    (0..100).for_each(|_| {
                        _ = handle.compute("drops", |count| Some(count.unwrap_or(0) + 1))
                    })
                });
            });
        }
    }
    let _alone = alone();
    let values = ConcurrentArenaArt::new();
    let map = Box::leak(Box::new(ConcurrentArt::new()));
    HANDLE.set(Some(map.pin()));
    HANDLE.with_borrow(|handle| {
        let handle = handle.as_ref().unwrap();
        for i in 0..KEYS / 4 {
            values.insert("value", Uses);
            handle.insert(key(i), i);
            handle.remove(key(i));
        }
        assert!(handle.get("drops") > Some(10_000), "{:?}", handle.get("drops"));
    });
    HANDLE.take();
    let retired = map.memory_usage().retired;
    assert!(retired < MOST, "{retired}");
}

/// The drop of a value may change the map whose shards are being split as it is collected.
#[test]
fn drops_change_a_map_whose_shards_split() {
    static MAP: LazyLock<ShardedArt<u64>> = LazyLock::new(|| ShardedArt::new(8));
    struct Clears;
    impl Drop for Clears {
        fn drop(&mut self) {
            MAP.clear();
        }
    }
    let _alone = alone();
    comes_back(|| {
        let values = ConcurrentArenaArt::new();
        for i in 0..2 * KEYS {
            MAP.insert(i.to_be_bytes(), i);
            if i % 20_000 == 0 {
                values.insert("value", Clears);
            }
        }
    });
}

/// A scan in small steps, beside a thread that writes after each step.
fn beside_a_writer<S>(
    map: &ConcurrentArt,
    scan: impl Fn() -> S,
    mut step: impl FnMut(&mut S) -> Option<u64>,
) {
    let most = thread::scope(|scope| {
        let (turn, turns) = mpsc::sync_channel(0);
        let writer = scope.spawn(move || {
            turns.into_iter().fold(0, |most, i: u64| {
                for i in i..i + 8 {
                    map.insert(key(KEYS + i), KEYS);
                    map.remove(key(KEYS + i));
                }
                most.max(map.memory_usage().retired)
            })
        });
        let (mut scan, mut seen) = (scan(), 0);
        while let Some(value) = step(&mut scan) {
            seen += u64::from(value < KEYS);
            if seen % 16 == 0 {
                turn.send(seen).unwrap();
            }
        }
        drop(turn);
        assert_eq!(seen, 50_000);
        writer.join().unwrap()
    });
    assert!(most < MOST, "{most}");
}

#[test]
fn beside_a_long_scan() {
    let _alone = alone();
    let map: ConcurrentArt = (0..50_000).map(|i| (key(i), i)).collect();
    beside_a_writer(&map, || map.iter(), |range| range.next().map(|(_, value)| value));
    beside_a_writer(&map, || map.iter(), |range| range.next_back().map(|(_, value)| value));
    beside_a_writer(&map, || map.cursor(), |cursor| cursor.next().map(|(_, value)| value));
    // First a step from the other end.
    beside_a_writer(
        &map,
        || {
            let mut range = map.iter();
            range.next_back();
            (range, true)
        },
        |(range, first)| {
            if std::mem::take(first) { Some(0) } else { range.next().map(|(_, value)| value) }
        },
    );
}

/// A scan whose own thread writes.
#[test]
fn inside_a_scan() {
    let _alone = alone();
    let map: ConcurrentArt = (0..KEYS / 2).map(|i| (key(i), i)).collect();
    let mut most = 0;
    for (i, (found, _)) in map.iter().enumerate() {
        map.remove(found);
        if i % 64 == 0 {
            most = most.max(map.memory_usage().retired);
        }
    }
    assert!(map.is_empty());
    assert!(most < MOST, "{most}");
    let map: ConcurrentArenaArt<u64> = (0..KEYS / 2).map(|i| (key(i), i)).collect();
    let (mut range, mut most) = (map.iter(), 0);
    while let Some((found, value)) = range.next_ref() {
        let (found, value) = (found.to_vec(), *value);
        map.insert(found, value);
        if value % 64 == 0 {
            most = most.max(map.memory_usage().index.retired);
        }
    }
    assert!(most < MOST, "{most}");
}

/// An iterator that is kept holds nothing back, however much is written.
#[test]
fn beside_a_kept_iterator() {
    // It reports what all maps have retired.
    let any = ConcurrentArt::<u64>::new();
    macro_rules! check {
        ($map:expr, $value:expr) => {{
            let _alone = alone();
            let map = $map;
            (0..1000).for_each(|i| _ = map.insert(key(i), $value));
            let mut iter = map.iter();
            assert!(iter.next().is_some() && iter.next_back().is_some());
            let most = most(|key, _| _ = map.insert(key, $value), || any.memory_usage().retired);
            assert!(most < MOST, "{most}");
            assert!(iter.next().is_some());
        }};
    }
    check!(ConcurrentArt::new(), 1u64);
    check!(ShardedArt::new(4), 1u64);
    check!(ConcurrentArenaArt::new(), 1u64);
    let _alone = alone();
    let map: ConcurrentArt = (0..1000).map(|i| (key(i), i)).collect();
    let mut cursor = map.cursor();
    assert!(cursor.next().is_some());
    let most = most(|key, i| _ = map.insert(key, i), || map.memory_usage().retired);
    assert!(most < MOST, "{most}");
}
