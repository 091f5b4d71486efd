//! `ShardedArt` under many threads while its shards are split.

use memkv::{BuildError, FastArt, InsertError, MAX_KEY_LEN, ShardedArt};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Returns the rounds of a loop: fewer under an interpreter.
fn rounds(n: u64) -> u64 {
    if cfg!(miri) { n / 500 + 8 } else { n }
}

/// Returns a pseudo-random number.
fn mix(i: u64) -> u64 {
    let i = (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (i ^ (i >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 16
}

fn key(i: u64) -> Vec<u8> {
    format!("https://www.host{}.example/path/{}/page-{i}.html", i % 7, i % 31).into_bytes()
}

/// Sets a flag when it is dropped, also by a panic.
struct SetOnDrop<'f>(&'f AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Splits shards at keys in an endless order while `work` runs, and at least a few times. Some are
/// joined again, and empty ones are added.
fn while_splitting<R>(map: &ShardedArt, keys: u64, work: impl FnOnce() -> R) -> R {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0.. {
                if done.load(Relaxed) && i >= 64 {
                    break;
                }
                let at = key(mix(i) % keys);
                match i % 8 {
                    1 | 5 => _ = map.join(at).unwrap(),
                    3 => _ = map.add_shard(at),
                    _ => _ = map.split(at).unwrap(),
                }
                // Splits at a bounded rate, so that shards do not fill the memory.
                if i % 64 == 63 {
                    thread::sleep(Duration::from_millis(20));
                }
            }
        });
        let _done = SetOnDrop(&done);
        work()
    })
}

#[test]
fn threads_with_keys_of_their_own_see_what_they_wrote() {
    let (threads, keys, steps) = (4, 600, rounds(30_000));
    let map = ShardedArt::new(8);
    let models: Vec<BTreeMap<Vec<u8>, u64>> = while_splitting(&map, keys, || {
        thread::scope(|scope| {
            let run = |t: u64| {
                let (map, mut model) = (map.pin(), BTreeMap::new());
                for step in 0..steps {
                    let r = mix(t << 32 | step);
                    let k = key(r % (keys / threads) * threads + t);
                    match r >> 20 & 7 {
                        0..=2 => assert_eq!(map.get(&k), model.get(&k).copied()),
                        3..=5 => assert_eq!(map.insert(&k, step), model.insert(k, step)),
                        _ => assert_eq!(map.remove(&k), model.remove(&k)),
                    }
                }
                model
            };
            let handles: Vec<_> = (0..threads).map(|t| scope.spawn(move || run(t))).collect();
            handles.into_iter().map(|handle| handle.join().unwrap()).collect()
        })
    });
    map.check().unwrap();
    let all: BTreeMap<_, _> = models.into_iter().flatten().collect();
    assert!(map.shards().len() > 8);
    assert_eq!(map.len(), all.len());
    assert!(map.iter().eq(all));
}

#[test]
fn counters_lose_nothing() {
    let (map, n) = (ShardedArt::new(4), rounds(30_000));
    (0..2000).for_each(|i| _ = map.insert(key(i), 0));
    while_splitting(&map, 2000, || {
        thread::scope(|scope| {
            for t in 0..4 {
                let map = &map;
                scope.spawn(move || {
                    (0..n).for_each(|i| {
                        _ = map.compute(key(mix(i * 4 + t) % 2000), |count| {
                            Some(count.unwrap_or(0) + 1)
                        })
                    })
                });
            }
        });
    });
    map.check().unwrap();
    assert_eq!(map.iter().map(|(_, count)| count).sum::<u64>(), 4 * n);
    assert_eq!(map.len(), 2000);
}

#[test]
fn scans_yield_what_stays_once_and_in_order() {
    let map = ShardedArt::new(4);
    let n = 3000;
    (0..n).for_each(|i| _ = map.insert(key(i), i));
    let mut stays: Vec<Vec<u8>> = (0..n).filter(|i| i % 3 != 0).map(key).collect();
    stays.sort_unstable();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0.. {
                if stop.load(Relaxed) {
                    break;
                }
                let k = mix(i) % (n / 3) * 3;
                if i % 2 == 0 {
                    map.remove(key(k))
                } else {
                    map.insert(key(k), k)
                };
            }
        });
        let _stop = SetOnDrop(&stop);
        while_splitting(&map, n, || {
            let end = Instant::now() + Duration::from_millis(if cfg!(miri) { 1 } else { 1500 });
            let mut round = 0;
            while Instant::now() < end {
                round += 1;
                let (a, b) =
                    (mix(round) as usize % stays.len(), mix(round + 7) as usize % stays.len());
                let want = &stays[a.min(b)..=a.max(b)];
                let range = || map.range(&want[0][..]..=&want[want.len() - 1][..]);
                let check = |got: Vec<(Vec<u8>, u64)>| {
                    assert!(got.windows(2).all(|w| w[0].0 < w[1].0), "not in order");
                    assert!(got.iter().all(|(k, v)| *k == key(*v)), "a value of another key");
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
                let (mut both, mut front, mut back) = (range(), Vec::new(), Vec::new());
                for i in 0.. {
                    let next = if mix(i) & 1 == 0 {
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
                let some: Vec<&[u8]> = want.iter().map(Vec::as_slice).step_by(5).collect();
                assert!(
                    map.get_many(&some)
                        .iter()
                        .zip(&some)
                        .all(|(value, k)| value.is_some_and(|v| key(v) == **k))
                );
            }
        });
    });
    map.check().unwrap();
}

#[test]
fn each_key_is_popped_once_and_in_order() {
    let map = ShardedArt::new(4);
    let n = rounds(20_000);
    (0..n).for_each(|i| _ = map.insert(i.to_be_bytes(), i));
    let popped: Vec<Vec<u64>> = thread::scope(|scope| {
        let pop = |last: bool| {
            std::iter::from_fn(|| if last { map.pop_last() } else { map.pop_first() })
                .map(|(_, v)| v)
                .collect::<Vec<_>>()
        };
        let handles: Vec<_> = (0..4).map(|t| scope.spawn(move || pop(t % 2 == 0))).collect();
        (0..n).step_by(97).for_each(|i| _ = map.split(i.to_be_bytes()).unwrap());
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    });
    assert!(popped.iter().enumerate().all(|(t, keys)| keys.is_sorted_by(|a, b| if t % 2 == 0 {
        a > b
    } else {
        a < b
    })));
    let mut all: Vec<u64> = popped.concat();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..n));
    assert!(map.is_empty());
    map.check().unwrap();
}

#[test]
fn a_growing_map_is_split() {
    for ascending in [true, false] {
        let map = ShardedArt::new(8);
        let n = rounds(150_000);
        thread::scope(|scope| {
            for t in 0..2 {
                let map = &map;
                let i = move |i: u64| if ascending { i } else { mix(i) };
                scope.spawn(move || {
                    (t..n).step_by(2).for_each(|n| _ = map.insert(i(n).to_be_bytes(), n))
                });
            }
        });
        map.check().unwrap();
        map.rebalance().unwrap();
        map.check().unwrap();
        assert_eq!(map.len() as u64, n);
        let shards = map.shards();
        assert!(cfg!(miri) || (8..=16).contains(&shards.len()), "{shards:?}");
        let most = shards.iter().map(|shard| shard.len).max().unwrap();
        assert!(cfg!(miri) || most * 8 <= map.len() * 2 + 8, "{shards:?}");
    }
}

/// Keys that ascend, descend, or ascend in the middle of others, with two threads or one. The last
/// or first shard stays small, and joins make room for others.
#[test]
fn keys_in_order_fill_one_shard_after_another() {
    for (threads, target) in [(1, 2), (1, 16), (2, 8), (2, 64)] {
        for order in 0..3 {
            let map = ShardedArt::new(target);
            let n = rounds(200_000);
            let key = |i: u64| match order {
                0 => [&b"m"[..], &i.to_be_bytes()].concat(),
                1 => [&b"m"[..], &(n - i).to_be_bytes()].concat(),
                _ => [[&b"c"[..], b"m", b"p"][i as usize % 3], &i.to_be_bytes()].concat(),
            };
            thread::scope(|scope| {
                for t in 0..threads {
                    let map = &map;
                    scope.spawn(move || {
                        for i in (t..n).step_by(threads as usize) {
                            assert_eq!(map.insert(key(i), i), None);
                            assert_eq!(map.get(key(i)), Some(i));
                        }
                    });
                }
            });
            map.check().unwrap();
            let mut all: Vec<(Vec<u8>, u64)> = (0..n).map(|i| (key(i), i)).collect();
            all.sort_unstable();
            assert!(map.iter().eq(all));
            let shards = map.shards();
            assert!(shards.len() <= 2 * target, "{} shards", shards.len());
            let most = || map.shards().iter().map(|shard| shard.len).max().unwrap();
            let share = n as usize / target;
            if threads == 1 && order < 2 {
                assert!(most() <= 2 * share + 8192, "{} keys of {n} in a shard", most());
            }
            map.rebalance().unwrap();
            map.check().unwrap();
            let limit = if share < 16 << 10 { (4 * share).max(8192) } else { 2 * share };
            assert!(most() <= limit, "{} keys of {n} in a shard", most());
            assert!(map.iter().eq((0..n).map(|i| (key(i), i)).collect::<BTreeMap<_, _>>()));
        }
    }
}

/// Neighbours are joined and divided again, and one map is compared after each step.
#[test]
fn joins_undo_splits() {
    let map = ShardedArt::<u64>::new(4);
    let n = rounds(3000).max(300);
    (0..n).for_each(|i| _ = map.insert(key(i), i));
    let mut all: Vec<(Vec<u8>, u64)> = (0..n).map(|i| (key(i), i)).collect();
    all.sort_unstable();
    for i in 0..8 {
        assert_eq!(map.split(key(mix(i) % n)), Ok(true));
    }
    assert!(!map.join("").unwrap(), "no shard is before the first");
    assert!(map.add_shard("~") && !map.add_shard(&all[n as usize - 1].0), "there is one already");
    while map.shards().len() > 1 {
        let starts: Vec<Vec<u8>> = map.shards().into_iter().map(|shard| shard.start).collect();
        let at = 1 + mix(starts.len() as u64) as usize % (starts.len() - 1);
        assert_eq!(map.join(&starts[at]), Ok(true));
        assert_eq!(map.shards().len(), starts.len() - 1);
        map.check().unwrap();
        assert!(map.iter().eq(all.iter().cloned()));
        assert!(map.iter().rev().eq(all.iter().rev().cloned()));
        assert_eq!(map.len() as u64, n);
    }
}

#[test]
fn boundaries_may_be_any_keys() {
    let long = vec![b'x'; 70_000];
    let keys: Vec<Vec<u8>> = [
        &b""[..],
        b"\0",
        b"\0\0",
        b"a",
        b"a\0",
        b"aa",
        b"https://www.",
        b"\xFF",
        b"\xFF\xFF",
        &long,
        &[&long[..], b"y"].concat(),
    ]
    .iter()
    .flat_map(|key| [key.to_vec(), [key, &b"\0"[..]].concat(), [key, &b"\xFF"[..]].concat()])
    .collect();
    let model: BTreeMap<Vec<u8>, u64> = keys.iter().cloned().zip(0..).collect();
    let given = ShardedArt::with_boundaries(&keys);
    let split = ShardedArt::new(1);
    for (k, v) in &model {
        assert_eq!((given.insert(k, *v), split.insert(k, *v)), (None, None));
    }
    for k in keys.iter().rev() {
        split.split(k).unwrap();
        split.check().unwrap();
    }
    // No boundary is the empty key, which begins the first shard.
    assert_eq!((given.shards().len(), split.shards().len()), (model.len(), model.len()));
    for map in [given, split] {
        map.check().unwrap();
        assert!(map.iter().eq(model.clone()));
        assert!(map.iter().rev().eq(model.clone().into_iter().rev()));
        for (k, v) in &model {
            assert_eq!(map.get(k), Some(*v));
            assert!(map.range(&k[..]..).eq(model.range(k.clone()..).map(|(k, v)| (k.clone(), *v))));
        }
        assert!(model.keys().all(|k| map.pop_first().is_some_and(|(popped, _)| popped == *k)));
        assert_eq!((map.len(), map.shards().len(), map.pop_last()), (0, 1, None));
    }
}

#[test]
fn loads_are_sorted_and_the_last_of_equal_keys_stays() {
    let n = rounds(200_000);
    for (shards, prefix) in
        [(1, &b""[..]), (64, b"https://www.example.org/all/the/same/"), (300, b"\xFF\xFF")]
    {
        let key = |i: u64| [prefix, format!("{:05}", mix(i) % 90_000).as_bytes()].concat();
        let pairs: Vec<(Vec<u8>, u64)> = (0..n).map(|i| (key(i), i)).collect();
        let model: BTreeMap<Vec<u8>, u64> = pairs.iter().cloned().collect();
        let text: Vec<u8> = pairs.iter().flat_map(|(key, _)| [key, &b"\n"[..]].concat()).collect();
        let width = prefix.len() as u64 + 6;
        let maps: [ShardedArt; 4] = std::array::from_fn(|_| ShardedArt::new(shards));
        maps[0].load(&pairs).unwrap();
        maps[1].par_extend(pairs.par_iter().map(|(key, value)| (key, *value)));
        maps[2].load_text(&text, |line, at| (line, at / width)).unwrap();
        // Into a map that has keys.
        maps[3].load(&pairs[..pairs.len() / 3]).unwrap();
        maps[3].load(&pairs[pairs.len() / 3..]).unwrap();
        for map in &maps {
            map.check().unwrap();
            assert_eq!(map.len(), model.len());
            assert!(map.iter().eq(model.clone()));
            let lens: Vec<usize> = map.shards().iter().map(|shard| shard.len).collect();
            assert!(cfg!(miri) || lens.len() > shards * 9 / 10, "{} shards", lens.len());
            let most = lens.iter().max().unwrap();
            assert!(cfg!(miri) || most * shards <= model.len() * 3 / 2, "{lens:?}");
        }
        let fast = FastArt::from_unsorted(&pairs).unwrap();
        fast.check().unwrap();
        assert!(fast.iter().eq(model.clone()));
        assert!(pairs.into_par_iter().collect::<FastArt>() == fast);
    }
}

#[test]
fn loads_go_on_beside_writers() {
    let n = rounds(60_000);
    let map = ShardedArt::new(16);
    thread::scope(|scope| {
        scope.spawn(|| (0..n / 4).for_each(|i| assert_eq!(map.insert(key(i * 4 + 1), 1), None)));
        scope.spawn(|| map.par_extend((0..n / 4).into_par_iter().map(|i| (key(i * 4 + 2), 2))));
        let pairs: Vec<_> = (0..n / 4).map(|i| (key(i * 4 + 3), 3)).collect();
        map.load(&pairs).unwrap();
    });
    map.check().unwrap();
    assert_eq!(map.len() as u64, n / 4 * 3);
    assert!(map.par_iter().all(|(k, v)| {
        key(k.rsplit(|b| *b == b'-').next().unwrap()[..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .fold(0, |n, b| n * 10 + u64::from(b - b'0')))
            == k
            && v > 0
    }));
}

#[test]
fn there_are_65_536_shards_at_most() {
    const MOST: usize = 1 << 16;
    if cfg!(miri) {
        return;
    }
    let key = |i: usize| format!("https://www.example.org/{i:06}");
    assert_eq!(ShardedArt::<u64>::with_boundaries((0..MOST - 1).map(key)).shards().len(), MOST);
    let map = ShardedArt::with_boundaries((0..3 * MOST + 7).map(key));
    assert_eq!(map.shards().len(), MOST);
    map.load(&(0..2 * MOST).map(|i| (key(i * 7919 % (2 * MOST)), i as u64)).collect::<Vec<_>>())
        .unwrap();
    map.check().unwrap();
    assert_eq!(map.len(), 2 * MOST);
    assert!((0..2 * MOST).all(|i| map.get(key(i * 7919 % (2 * MOST))) == Some(i as u64)));
    // The map has the requested number of shards, within the limit.
    assert_eq!(
        ShardedArt::<u64>::with_sample(usize::MAX, (0..2 * MOST).map(key)).shards().len(),
        MOST
    );
    assert_eq!(ShardedArt::<u64>::new(usize::MAX).shards().len(), 1);
}

/// A load that read a line again for each step along it would take hours.
#[test]
fn long_lines_are_loaded_in_time() {
    let len = if cfg!(miri) { 5000 } else { 6 << 20 };
    let line = |c: u8| [&vec![b'x'; len][..], &[c], b"\n"].concat();
    let text = [line(b'b'), line(b'a'), b"a\n\nz\n".to_vec(), line(b'a'), line(b'c')].concat();
    let map = ShardedArt::default();
    map.load_text(&text, |line, at| (line, at)).unwrap();
    map.check().unwrap();
    let at = len as u64 + 2;
    let [a, b, c] =
        [line(b'a'), line(b'b'), line(b'c')].map(|mut key| key.drain(..=len).collect::<Vec<u8>>());
    let want = [
        (vec![], 2 * at + 2),
        (b"a".to_vec(), 2 * at),
        (a, 2 * at + 5),
        (b, 0),
        (c, 3 * at + 5),
        (b"z".to_vec(), 2 * at + 3),
    ];
    assert!(map.iter().eq(want));
    // The text has no line end.
    map.load_text(&vec![b'y'; if cfg!(miri) { 5000 } else { 150 << 20 }], |line, _| {
        (&line[..3], 1)
    })
    .unwrap();
    assert_eq!((map.get("yyy"), map.len()), (Some(1), 7));
}

#[test]
fn loads_go_on_beside_splits() {
    // The parser splits shards after the load has been planned and before it has stored anything.
    let n = rounds(20_000);
    let text: Vec<u8> = (0..n).flat_map(|i| [key(mix(i) % n), b"\n".to_vec()].concat()).collect();
    let model: BTreeMap<&[u8], u64> = text
        .split(|b| *b == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| (line, line.len() as u64))
        .collect();
    let map = ShardedArt::with_boundaries([key(n / 2)]);
    let calls = AtomicU64::new(0);
    map.load_text(&text, |line, _| {
        let call = calls.fetch_add(1, Relaxed);
        if call.is_multiple_of(rounds(2000)) {
            map.split(key(mix(call) % n)).unwrap();
        }
        (line, line.len() as u64)
    })
    .unwrap();
    map.check().unwrap();
    assert!(map.shards().len() > 4);
    assert_eq!(map.len(), model.len());
    assert!(model.iter().all(|(k, v)| map.get(k) == Some(*v)));
}

#[test]
fn a_key_over_the_limit_is_refused() {
    let map = ShardedArt::from([("a", 1u64)]);
    let long = vec![0; MAX_KEY_LEN + 1];
    let error = InsertError::KeyTooLong { len: MAX_KEY_LEN + 1 };
    assert_eq!(map.try_insert(&long, 1), Err(error));
    assert_eq!(map.split(&long), Err(error));
    assert_eq!(map.load(&[(&b"b"[..], 2), (&long, 3)]), Err(BuildError::Insert(error)));
    assert_eq!(
        FastArt::from_unsorted(&[(&b"b"[..], 2u64), (&long, 3)]),
        Err(BuildError::Insert(error))
    );
    assert!(map.iter().eq([(b"a".to_vec(), 1)]));
    assert!(map.load::<&str>(&[]).is_ok() && map.load_text(b"", |line, at| (line, at)).is_ok());
    assert_eq!(map.len(), 1);
}

#[test]
fn shared_maps_and_their_scans_are_send() {
    fn is<T: Send + Sync>() {}
    is::<ShardedArt<u64>>();
    is::<ShardedArt<()>>();
    is::<memkv::sharded::Cursor<'static, u64>>();
}
