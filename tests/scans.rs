//! What cursors and iterators promise, whatever map they are of: they can be sent to a thread, and
//! see what their own thread did before.

use memkv::{ConcurrentArenaArt, ConcurrentArt, FastArt, ShardedArt};
use std::fmt::Debug;
use std::thread;

fn key(i: u64) -> Vec<u8> {
    format!("http://example.org/{i:06}").into_bytes()
}

fn pairs(n: u64) -> impl Iterator<Item = (Vec<u8>, u64)> {
    (0..n).map(|i| (key(i), i))
}

#[test]
fn what_borrows_a_map_can_be_sent_and_shared() {
    fn check<T: Send + Sync>() {}
    fn check_send<T: Send>() {}
    check::<memkv::Cursor<'_, u64>>();
    check::<memkv::Range<'_, u64>>();
    check::<memkv::Iter<'_, u64>>();
    check::<memkv::Keys<'_, u64>>();
    check::<memkv::Values<'_, u64>>();
    check::<memkv::IntoIter<u64>>();
    check::<memkv::IntoKeys<u64>>();
    check::<memkv::IntoValues<u64>>();
    check::<memkv::ValueMut<'_, u64>>();
    check::<memkv::Entry<'_, String, u64>>();
    check::<memkv::OccupiedEntry<'_, String, u64>>();
    check::<memkv::VacantEntry<'_, String, u64>>();
    check::<memkv::arena::Cursor<'_, String>>();
    check::<memkv::arena::CursorMut<'_, String>>();
    check::<memkv::arena::Range<'_, String>>();
    check::<memkv::arena::Iter<'_, String>>();
    check::<memkv::arena::IterMut<'_, String>>();
    check::<memkv::arena::IntoIter<String>>();
    check::<memkv::arena::Values<'_, String>>();
    check::<memkv::arena::Entry<'_, String, String>>();
    check::<memkv::arena::OccupiedEntry<'_, String, String>>();
    check::<memkv::arena::VacantEntry<'_, String, String>>();
    check::<memkv::concurrent::Cursor<'_, u64>>();
    check::<memkv::concurrent::Range<'_, u64>>();
    check::<memkv::sharded::Cursor<'_, u64>>();
    check::<memkv::sharded::Range<'_, u64>>();
    check::<memkv::sharded::IntoIter<u64>>();
    check::<memkv::arena::shared::Range<'_, String>>();
    check::<memkv::arena::shared::IntoIter<String>>();
    // A `Cell` may be sent, but not shared.
    check_send::<memkv::arena::IntoIter<std::cell::Cell<u8>>>();
    check_send::<memkv::arena::IterMut<'_, std::cell::Cell<u8>>>();
    #[cfg(feature = "storage")]
    {
        check::<memkv::FrozenCursor<'_>>();
        check::<memkv::FrozenRange<'_>>();
        check::<memkv::HybridRange<'_>>();
    }
}

#[test]
fn iterators_go_on_in_another_thread() {
    fn rest<I: Iterator<Item: Send + Debug + PartialEq> + Send>(mut iter: I, all: Vec<I::Item>) {
        let first = iter.next();
        assert_eq!(first.as_ref(), all.first());
        let (seen, all) = thread::scope(|scope| {
            scope.spawn(move || (iter.collect::<Vec<_>>(), all)).join().unwrap()
        });
        assert_eq!(seen, all[1..]);
    }
    let all = || pairs(5000).collect::<Vec<_>>();
    let map: FastArt = pairs(5000).collect();
    rest(map.iter(), all());
    rest(map.range(key(0)..), all());
    rest(map.into_iter(), all());
    let map: ConcurrentArt = pairs(5000).collect();
    rest(map.iter(), all());
    let map: ShardedArt = pairs(5000).collect();
    rest(map.iter(), all());
    rest(map.into_iter(), all());
    let map: ConcurrentArenaArt<u64> = pairs(5000).collect();
    rest(map.iter(), all());
}

/// A store with the methods of a map.
#[cfg(feature = "storage")]
struct Store(memkv::HybridStore);

#[cfg(feature = "storage")]
impl Store {
    fn insert(&self, key: Vec<u8>, value: u64) {
        self.0.insert(key, value).unwrap();
    }

    fn remove(&self, key: Vec<u8>) {
        self.0.remove(key).unwrap();
    }

    fn iter(&self) -> memkv::HybridRange<'_> {
        self.0.iter()
    }
}

/// Runs `$work` with each kind of shared map, filled with even keys.
macro_rules! with_maps {
    (|$map:ident, $n:ident| $work:block) => {{
        let $n = 4000u64;
        let evens = || (0..$n).step_by(2).map(|i| (key(i), i));
        {
            let $map: ConcurrentArt = evens().collect();
            $work
        }
        {
            let $map: ShardedArt = evens().collect();
            $map.rebalance().unwrap();
            (1..5).for_each(|i| _ = $map.split(key(i * $n / 5)).unwrap());
            $work
        }
        {
            let $map: ConcurrentArenaArt<u64> = evens().collect();
            $work
        }
        #[cfg(feature = "storage")]
        {
            let base: Vec<_> = evens().collect();
            let base = memkv::FrozenLayer::from_sorted(&base).unwrap();
            let store = memkv::HybridStore::with_base(base, memkv::HybridOptions::new()).unwrap();
            let $map = Store(store);
            $work
        }
    }};
}

/// Every third step is followed by an insert just after it, an update, and a removal.
#[test]
fn a_scan_sees_what_its_thread_did() {
    with_maps!(|map, n| {
        let (mut iter, mut expected) = (map.iter(), 0);
        while let Some((found, value)) = iter.next() {
            assert_eq!((found, value), (key(expected), expected));
            if expected % 3 == 0 && expected + 6 < n {
                map.insert(key(expected + 1), expected + 1);
                assert_eq!(iter.next(), Some((key(expected + 1), expected + 1)));
                map.insert(key(expected + 2), 7);
                assert_eq!(iter.next(), Some((key(expected + 2), 7)));
                map.remove(key(expected + 4));
                assert_eq!(iter.next(), Some((key(expected + 6), expected + 6)));
                expected += 6;
            }
            expected += 2;
        }
        assert_eq!(expected, n);
    });
}

#[test]
fn a_scan_back_sees_what_its_thread_did() {
    with_maps!(|map, n| {
        let (mut iter, mut expected) = (map.iter().rev(), n);
        while let Some((found, value)) = iter.next() {
            expected -= 2;
            assert_eq!((found, value), (key(expected), expected));
            if expected % 3 == 0 && expected > 6 {
                map.insert(key(expected - 1), expected - 1);
                assert_eq!(iter.next(), Some((key(expected - 1), expected - 1)));
                map.insert(key(expected - 2), 7);
                assert_eq!(iter.next(), Some((key(expected - 2), 7)));
                map.remove(key(expected - 4));
                assert_eq!(iter.next(), Some((key(expected - 6), expected - 6)));
                expected -= 6;
            }
        }
        assert_eq!(expected, 0);
    });
}

/// What a thread did before it got the scan, it sees, too.
#[test]
fn a_scan_sees_what_the_thread_did_that_it_was_sent_to() {
    with_maps!(|map, _n| {
        let mut iter = map.iter();
        assert_eq!(iter.next(), Some((key(0), 0)));
        let (map, iter) = (&map, &mut iter);
        thread::scope(|scope| {
            scope.spawn(move || {
                map.insert(key(1), 1);
                assert_eq!(iter.next(), Some((key(1), 1)));
            });
        });
    });
}

/// What another thread removed long before a scan comes there, it does not return.
#[test]
fn a_scan_sees_what_went_further_on() {
    /// Keys after the scan's position that it may have read ahead.
    const AHEAD: u64 = 1500;
    with_maps!(|map, n| {
        for steps in [1, 5, 24, 25, 100, 200] {
            for is_back in [false, true] {
                let at = |i: u64| if is_back { n - 2 - i } else { i };
                let mut iter = map.iter();
                let mut next = || {
                    let found = if is_back { iter.next_back() } else { iter.next() };
                    found.map(|(_, value)| value)
                };
                (0..steps).for_each(|i| assert_eq!(next(), Some(at(2 * i))));
                let gone = || (2 * steps + AHEAD..n).step_by(2).map(|i| (key(at(i)), at(i)));
                let map = &map;
                thread::scope(|scope| {
                    scope.spawn(move || {
                        for (key, _) in gone() {
                            map.remove(key);
                        }
                    });
                });
                (2 * steps..2 * steps + AHEAD)
                    .step_by(2)
                    .for_each(|i| assert_eq!(next(), Some(at(i))));
                assert_eq!(next(), None, "after {steps} steps");
                for (key, value) in gone() {
                    map.insert(key, value);
                }
            }
        }
    });
}

/// Both ends of a range meet once, whatever was read ahead.
#[test]
fn ends_meet() {
    with_maps!(|map, n| {
        for step in [2, 3, 7, 100] {
            let (mut iter, mut front, mut back) = (map.iter(), 0, n);
            loop {
                let from_back = (front / 2 + back / 2) % step == 0;
                let found = if from_back { iter.next_back() } else { iter.next() };
                let Some((_, value)) = found else { break };
                if from_back {
                    back -= 2;
                    assert_eq!(value, back);
                } else {
                    assert_eq!(value, front);
                    front += 2;
                }
            }
            assert_eq!(front, back);
            assert_eq!((iter.next(), iter.next_back()), (None, None));
        }
    });
}
