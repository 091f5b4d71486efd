//! Each value of an `ArenaArt` is dropped exactly once, whatever panics, and the map stays intact.

use memkv::ArenaArt;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// How often each value was dropped, and which value panics in its drop.
#[derive(Default)]
struct Log {
    drops: Vec<u32>,
    bomb: Option<usize>,
}

#[derive(Clone, Default)]
struct Witness(Rc<RefCell<Log>>);

/// A value that records its drop, and may panic when it is dropped or cloned.
struct Logged {
    id: usize,
    log: Witness,
}

impl Witness {
    fn value(&self) -> Logged {
        let mut log = self.0.borrow_mut();
        log.drops.push(0);
        Logged { id: log.drops.len() - 1, log: self.clone() }
    }

    fn map(&self, n: usize) -> ArenaArt<Logged> {
        // In random order, so that the values removed are in all segments.
        (0..n).map(|i| (key(i * 7919 % n), self.value())).collect()
    }

    fn arm(&self, bomb: usize) {
        self.0.borrow_mut().bomb = Some(bomb);
    }

    fn dropped(&self) -> usize {
        self.0.borrow().drops.iter().filter(|drops| **drops == 1).count()
    }
}

impl Clone for Logged {
    fn clone(&self) -> Self {
        assert!(self.log.0.borrow().bomb != Some(self.id), "no copy");
        self.log.value()
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        let mut log = self.log.0.borrow_mut();
        log.drops[self.id] += 1;
        assert_eq!(log.drops[self.id], 1, "dropped twice");
        if log.bomb.take_if(|bomb| *bomb == self.id).is_some() {
            drop(log);
            panic!("a value goes off");
        }
    }
}

fn key(i: usize) -> [u8; 4] {
    (i as u32).to_be_bytes()
}

const N: usize = 1000;

/// Makes a map, calls something that panics, and checks that the map is intact and each value was
/// dropped at most once. Returns the number of keys left.
fn panics<R>(
    arm: Option<usize>,
    action: impl FnOnce(&mut ArenaArt<Logged>, &Witness) -> R,
) -> usize {
    let witness = Witness::default();
    let mut map = witness.map(N);
    if let Some(bomb) = arm {
        witness.arm(bomb);
    }
    let result = catch_unwind(AssertUnwindSafe(|| drop(action(&mut map, &witness))));
    assert!(result.is_err(), "nothing panicked");
    witness.0.borrow_mut().bomb = None;
    map.check().unwrap();
    let made = witness.0.borrow().drops.len();
    assert_eq!(made - witness.dropped(), map.len(), "values kept without a key");
    let left = map.len();
    // The map is still usable.
    assert!(map.insert("new", witness.value()).is_none());
    assert!(map.remove("new").is_some());
    assert_eq!(map.iter().count(), left);
    drop(map);
    assert!(witness.0.borrow().drops.iter().all(|drops| *drops == 1));
    left
}

#[test]
fn drops_that_panic() {
    for bomb in [0, 1, 63, 64, 500, 998] {
        let armed = Some(bomb);
        assert_eq!(panics(armed, |map, _| map.clear()), 0);
        assert_eq!(panics(armed, |map, _| drop(std::mem::take(map))), 0);
        assert_eq!(panics(armed, |map, _| std::mem::take(map).into_keys()), 0);
        assert_eq!(panics(armed, |map, _| map.remove_range::<[u8], _>(..)), 0);
        assert_eq!(panics(armed, |map, _| map.remove_prefix([0, 0])), 0);
        let left = panics(armed, |map, _| map.retain(|key, _| key[3] % 4 == 0 && key[3] > 250));
        assert!((1..N).contains(&left), "{left}");
        assert_eq!(
            panics(armed, |map, _| std::mem::take(map).into_iter().rev().take(10).count()),
            0
        );
        assert_eq!(panics(armed, |map, _| std::mem::take(map).into_values().for_each(drop)), 0);
        let last = (0..N).find(|i| i * 7919 % N == N - 1).unwrap();
        assert_eq!(panics(Some(last), |map, _| map.pop_last()), N - 1);
        let replaced = bomb * 7919 % N;
        assert_eq!(panics(armed, |map, witness| map.insert(key(replaced), witness.value())), N);
        assert_eq!(panics(armed, |map, _| map.remove(key(replaced))), N - 1);
        // The values that replaced others stay; the pairs after the panic are dropped.
        let left = panics(armed, |map, witness| {
            let mut other: ArenaArt<_> = (0..N + 100).map(|i| (key(i), witness.value())).collect();
            map.append(&mut other);
        });
        assert_eq!(left, N);
        let left =
            panics(armed, |map, witness| map.extend((0..2 * N).map(|i| (key(i), witness.value()))));
        assert_eq!(left, N);
    }
}

#[test]
fn closures_that_panic() {
    for at in [0, 1, 300, 999] {
        let left = panics(None, |map, _| {
            let mut asked = 0;
            map.retain(|_, _| {
                asked += 1;
                assert!(asked <= at, "enough");
                asked % 2 == 0
            });
        });
        assert!((N - at..=N).contains(&left));
    }
    assert_eq!(panics(None, |map, _| map.entry("x").or_insert_with(|| panic!("no value")).id), N);
    assert_eq!(
        panics(None, |map, _| map
            .entry(key(7))
            .and_modify(|_| panic!("no change"))
            .or_insert_with(|| unreachable!())
            .id),
        N
    );
    assert_eq!(
        panics(None, |map, _| map.iter_mut().for_each(|(_, value)| assert!(value.id != 77))),
        N
    );
    let left = panics(None, |map, witness| {
        map.extend((0..100).map(|i| {
            assert!(i < 50, "no more pairs");
            (key(N + i), witness.value())
        }))
    });
    assert_eq!(left, N + 50);
}

/// Every tenth possible panic of a longer walk, since keys are removed in batches.
#[test]
fn portions_of_retain() {
    for at in (0..5000).step_by(500) {
        let witness = Witness::default();
        let mut map = witness.map(5000);
        let result = catch_unwind(AssertUnwindSafe(|| {
            map.retain(|key, _| {
                assert!(key != self::key(at), "here");
                false
            })
        }));
        assert!(result.is_err());
        map.check().unwrap();
        assert_eq!(witness.dropped(), 5000 - map.len());
        assert!(map.len() >= 5000 - at && map.len() <= 5000 - at + 1024);
    }
}

#[test]
fn copies_and_loads_that_panic() {
    for bomb in [0, 64, 700] {
        assert_eq!(panics(Some(bomb), |map, _| map.clone()), N);
    }
    for stop in [0, 1, 64, 900] {
        // Ascending, so built bottom-up; and with an earlier pair out of order.
        for first in [0, 500] {
            let left = panics(None, |_, witness| {
                let pairs = (0..1000).map(|i| {
                    assert!(i < stop, "no more pairs");
                    (key((i + first) % 1000), witness.value())
                });
                pairs.collect::<ArenaArt<_>>()
            });
            assert_eq!(left, N);
        }
    }
    let witness = Witness::default();
    let pairs = [3, 4, 4].into_iter().map(|i| (key(i), witness.value()));
    assert!(ArenaArt::from_sorted(pairs).is_err());
    assert_eq!(witness.dropped(), 3);
}

#[test]
fn values_that_are_replaced_or_refused() {
    let witness = Witness::default();
    let mut map = witness.map(200);
    for round in 1..=5 {
        for i in 0..200 {
            assert!(map.insert(key(i), witness.value()).is_some());
        }
        assert_eq!(witness.dropped(), round * 200);
        map.check().unwrap();
    }
    // Never written to, so the system need not provide the memory.
    let long = vec![0; memkv::MAX_KEY_LEN + 1];
    assert!(map.try_insert(&long, witness.value()).is_err());
    assert_eq!((witness.dropped(), map.len()), (1001, 200));
    let mut all = map.clone().into_iter();
    assert_eq!(all.by_ref().take(50).count(), 50);
    assert_eq!(witness.dropped(), 1051);
    drop(all);
    assert_eq!(witness.dropped(), 1201);
    let behind = map.split_off(key(150));
    drop(behind);
    assert_eq!((witness.dropped(), map.len()), (1251, 150));
}
