//! Coded leaves in maps of few keys: drift from one kind of keys to another, every form of a map,
//! and threads that read and change a map while its tables are trained.

mod common {
    pub(crate) mod texts;
}

use common::texts::{KINDS, ending, mix, random_bytes};
use memkv::{ConcurrentArt, FastArt, KeyCoding, ShardedArt};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

type Model = BTreeMap<Vec<u8>, u64>;

const CODINGS: [KeyCoding; 3] = [KeyCoding::Plain, KeyCoding::Symbols, KeyCoding::Auto];

/// Returns a key: its kind drifts with `i`, with some keys of the other kinds among them.
fn key(i: u64) -> Vec<u8> {
    let r = mix(i);
    let kind = if r.is_multiple_of(8) { r >> 8 } else { i / 500 };
    let mut key = ending(kind as u16, i);
    // Ends that differ in one byte, among them the greatest and the least.
    if r >> 3 & 7 == 0 {
        key.push([0, 0xFF, 0xFE, b'/'][r as usize >> 6 & 3]);
    }
    key
}

fn assert_same(map: &FastArt, model: &Model) {
    map.check().unwrap();
    assert_eq!(map.len(), model.len());
    assert!(map.iter().eq(model.iter().map(|(k, v)| (k.clone(), *v))));
    assert!(map.iter().rev().eq(model.iter().rev().map(|(k, v)| (k.clone(), *v))));
    let absent: Vec<Vec<u8>> = model.keys().map(|key| [&key[..], &[0]].concat()).collect();
    let keys: Vec<&[u8]> = model.keys().chain(&absent).map(Vec::as_slice).collect();
    let found = map.get_many(&keys);
    assert!(found.into_iter().eq(keys.iter().map(|key| model.get(*key).copied())));
}

/// One map through a long history, which drifts through all kinds twice.
#[test]
fn a_map_goes_like_a_btreemap_as_its_keys_drift() {
    memkv::code_small_maps();
    for coding in CODINGS {
        let (mut map, mut model) = (FastArt::with_coding(coding), Model::new());
        for i in 0..8000u64 {
            let (k, r) = (key(i), mix(!i));
            assert_eq!(map.insert(&k, i), model.insert(k.clone(), i));
            // A key from before, of the same kind or another.
            let old = key(i - mix(r) % (i + 1).min(1500));
            match r % 32 {
                0..8 => assert_eq!(map.remove(&old), model.remove(&old)),
                8..10 => {
                    *map.entry(&old).or_insert(7) += 1;
                    *model.entry(old).or_insert(7) += 1;
                }
                10 => {
                    let want = model.range(old.clone()..).next().map(|(k, v)| (k.clone(), *v));
                    let mut cursor = map.cursor();
                    cursor.seek(&old);
                    assert_eq!(cursor.next().map(|(k, v)| (k.to_vec(), v)), want);
                    assert_eq!(cursor.prev().map(|(k, v)| (k.to_vec(), v)), want);
                    let want = model.range(..old.clone()).next_back().map(|(k, v)| (k.clone(), *v));
                    assert_eq!(cursor.prev().map(|(k, v)| (k.to_vec(), v)), want);
                }
                11 => {
                    let prefix = &old[..old.len().min(1 + (r as usize >> 8 & 7))];
                    let want: Vec<_> = model
                        .range(prefix.to_vec()..)
                        .take_while(|(k, _)| k.starts_with(prefix))
                        .map(|(k, v)| (k.clone(), *v))
                        .collect();
                    assert_eq!(map.prefix(prefix).collect::<Vec<_>>(), want);
                }
                12 => {
                    let query = [&old[..], &k].concat();
                    let want = (0..=query.len()).rev().map(|n| &query[..n]);
                    let want = want.filter_map(|k| model.get(k).map(|v| (k, *v))).next();
                    assert_eq!(map.get_longest_prefix(&query), want);
                }
                13 => assert_eq!(map.pop_first(), model.pop_first()),
                14 => assert_eq!(map.pop_last(), model.pop_last()),
                _ => {}
            }
            match r >> 16 & 0x3FF {
                0 => {
                    let (a, b) = (k.clone().min(key(i / 2)), k.max(key(i / 2)));
                    let gone: Vec<_> = model
                        .range(a.clone()..b.clone())
                        .map(|(k, _)| k.clone())
                        .take(200)
                        .collect();
                    if let Some(end) = gone.last() {
                        assert_eq!(map.remove_range(&a[..]..=&end[..]), gone.len());
                        gone.iter().for_each(|k| _ = model.remove(k));
                    }
                }
                1..3 => {
                    let (mut high, mut wanted) = (map.split_off(&k), model.split_off(&k));
                    assert_same(&high, &wanted);
                    map.append(&mut high);
                    model.append(&mut wanted);
                }
                3 => {
                    let keep = |k: &[u8]| k.iter().map(|&b| u32::from(b)).sum::<u32>() % 9 != 0;
                    map.retain(|k, _| keep(k));
                    model.retain(|k, _| keep(k));
                }
                4..6 => map.shrink_to_fit(),
                6..8 => map = map.clone(),
                8..10 => {
                    let shared = ConcurrentArt::from(map);
                    for j in 0..40 {
                        let k = key(i + j);
                        assert_eq!(shared.insert(&k, j), model.insert(k, j));
                    }
                    map = shared.into_fast();
                }
                10..12 => {
                    let shared = ShardedArt::from(map);
                    shared.split(&k).unwrap();
                    for j in 0..40 {
                        let k = key(i + j);
                        assert_eq!(shared.insert(&k, j), model.insert(k, j));
                    }
                    shared.check().unwrap();
                    map = shared.into_fast();
                }
                12..14 => {
                    // Ascending, so that the last leaf is open.
                    let last = model.last_key_value().map(|(k, _)| k.clone()).unwrap_or_default();
                    let last = &last[..last.len().min(200)];
                    for j in 0..100u64 {
                        let k = [&[0xFF; 3][..], last, &j.to_be_bytes(), &ending(3, j)].concat();
                        assert_eq!(map.insert(&k, j), model.insert(k, j));
                    }
                }
                _ => {}
            }
            if i % 64 == 0 {
                map.check().unwrap();
            }
            if i % 1000 == 999 {
                assert_same(&map, &model);
            }
        }
        assert_same(&map, &model);
        // Until nothing is left.
        for (n, k) in model.keys().cloned().collect::<Vec<_>>().into_iter().enumerate() {
            if n % 3 != 0 {
                assert_eq!(map.remove(&k), model.remove(&k));
            }
            if n % 500 == 0 {
                map.check().unwrap();
            }
        }
        assert_same(&map, &model);
        while let Some(last) = model.pop_last() {
            assert_eq!(map.pop_last(), Some(last));
        }
        map.check().unwrap();
        assert!(map.is_empty());
    }
}

/// Keys of each kind alone, where each leaf is full of what is hard on codes.
#[test]
fn leaves_of_one_kind_come_and_go() {
    memkv::code_small_maps();
    for kind in 0..KINDS {
        let (mut map, mut model) = (FastArt::with_coding(KeyCoding::Symbols), Model::new());
        for i in 0..3000u64 {
            let k = ending(kind, i);
            assert_eq!(map.insert(&k, i), model.insert(k, i));
            if i % 100 == 0 {
                map.check().unwrap();
            }
        }
        assert_same(&map, &model);
        let built = FastArt::from_sorted_with(KeyCoding::Symbols, model.clone()).unwrap();
        assert_same(&built, &model);
        for i in (0..3000u64).map(|i| i * 7 % 3000).filter(|i| i % 4 != 0) {
            let k = ending(kind, i);
            assert_eq!(map.remove(&k), model.remove(&k));
            if i % 100 == 0 {
                map.check().unwrap();
            }
        }
        assert_same(&map, &model);
    }
}

/// Bytes that tables have not seen are escaped, two bytes each, and stay few.
#[test]
fn what_cannot_be_coded_is_not_larger() {
    memkv::code_small_maps();
    let keys: Vec<Vec<u8>> = (0..2000)
        .map(|i| ending(1, i))
        .chain((0..20_000).map(|i| random_bytes(i, 4 + i as usize % 20)))
        .collect();
    let of = |coding| {
        let mut map = FastArt::<u64>::with_coding(coding);
        keys.iter().for_each(|key| _ = map.insert(key, 0));
        map.check().unwrap();
        map.memory_usage().leaves
    };
    let (plain, coded) = (of(KeyCoding::Plain), of(KeyCoding::Symbols));
    assert!(coded <= plain + keys.len() / 8, "{coded} bytes coded, {plain} plain");
}

/// Ascending keys in a shared map, of kinds that follow each other.
#[test]
fn shared_maps_are_appended_to() {
    memkv::code_small_maps();
    for coding in CODINGS {
        let (mut map, mut model) = (ConcurrentArt::with_coding(coding), Model::new());
        for step in 0..2 * u64::from(KINDS) {
            let mut keys: Vec<_> =
                (0..300).map(|i| [&[step as u8][..], &ending(step as u16, i)].concat()).collect();
            keys.sort_unstable();
            for (i, k) in keys.into_iter().enumerate() {
                assert_eq!(map.insert(&k, i as u64), model.insert(k, i as u64));
            }
            map.check().unwrap();
        }
        assert!(map.iter().eq(model));
    }
}

/// Runs threads that insert, remove and look up keys of their own, which drift, and others that
/// scan. Returns the models.
fn beside_scans<M: Sync>(
    map: &M,
    change: impl Fn(&M, u64, &[u8], Option<u64>) -> Option<u64> + Sync,
    get: impl Fn(&M, &[u8]) -> Option<u64> + Sync,
    scan: impl Fn(&M, bool) -> Vec<Vec<u8>> + Sync,
) -> Model {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let (stop, change, get, scan) = (&stop, &change, &get, &scan);
        let scans: Vec<_> = [false, true]
            .map(|back| {
                scope.spawn(move || {
                    let mut n = 0;
                    while !stop.load(Relaxed) || n == 0 {
                        let keys = scan(map, back);
                        assert!(keys.windows(2).all(|w| (w[0] < w[1]) != back), "not in order");
                        let stays = keys.iter().filter(|key| key.starts_with(b"stays/")).count();
                        assert_eq!(stays, 300);
                        n += 1;
                    }
                })
            })
            .into_iter()
            .collect();
        let writers: Vec<_> = (0..3u64)
            .map(|t| {
                scope.spawn(move || {
                    let mut model = Model::new();
                    for i in 0..4000u64 {
                        let own = |i: u64| [&key(i)[..], &[t as u8]].concat();
                        let k = own(i);
                        assert_eq!(change(map, t, &k, Some(i)), model.insert(k, i));
                        let old = own(i - mix(i) % (i + 1).min(900));
                        assert_eq!(get(map, &old), model.get(&old).copied());
                        if i % 3 != 0 {
                            assert_eq!(change(map, t, &old, None), model.remove(&old));
                        }
                    }
                    model
                })
            })
            .collect();
        let models: Vec<_> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        stop.store(true, Relaxed);
        scans.into_iter().for_each(|scan| scan.join().unwrap());
        models.into_iter().flatten().collect()
    })
}

/// Keys that stay during a test of threads.
fn stays() -> impl Iterator<Item = (Vec<u8>, u64)> {
    (0..300).map(|i| ([&b"stays/"[..], &ending(1, i)].concat(), i))
}

/// Returns the keys of a scan, from either end.
fn scanned(pairs: impl DoubleEndedIterator<Item = (Vec<u8>, u64)>, back: bool) -> Vec<Vec<u8>> {
    let keys = pairs.map(|(key, _)| key);
    if back { keys.rev().collect() } else { keys.collect() }
}

#[test]
fn threads_share_a_map_while_tables_are_trained() {
    memkv::code_small_maps();
    for coding in CODINGS {
        let mut map = ConcurrentArt::with_coding(coding);
        stays().for_each(|(k, v)| _ = map.insert(k, v));
        let model = beside_scans(
            &map,
            |map, _, k, v| match v {
                Some(v) => map.insert(k, v),
                None => map.remove(k),
            },
            |map, k| map.get(k),
            |map, back| scanned(map.iter(), back),
        );
        map.check().unwrap();
        let all: Model = model.into_iter().chain(stays()).collect();
        assert_same(&map.into_fast(), &all);
    }
}

#[test]
fn threads_share_shards_while_tables_are_trained_and_shards_split_and_join() {
    memkv::code_small_maps();
    for coding in CODINGS {
        let map = ShardedArt::with_coding(8, coding);
        stays().for_each(|(k, v)| _ = map.insert(k, v));
        let model = beside_scans(
            &map,
            |map, t, k, v| {
                if t == 0 && mix(k.len() as u64 ^ v.unwrap_or(1)).is_multiple_of(64) {
                    map.split(k).unwrap();
                    let shards = map.shards();
                    if shards.len() > 6 {
                        map.join(&shards[shards.len() / 2].start).unwrap();
                    }
                }
                match v {
                    Some(v) => map.insert(k, v),
                    None => map.remove(k),
                }
            },
            |map, k| map.get(k),
            |map, back| scanned(map.iter(), back),
        );
        map.check().unwrap();
        let all: Model = model.into_iter().chain(stays()).collect();
        assert_same(&map.into_fast(), &all);
    }
}

/// Scans are kept while tables are published and leaves are coded anew, and go on in the order of
/// the keys that stay.
#[test]
fn scans_are_kept_across_tables_and_shards() {
    memkv::code_small_maps();
    let map = Arc::new(ShardedArt::<u64>::with_coding(8, KeyCoding::Symbols));
    stays().for_each(|(k, v)| _ = map.insert(k, v));
    let mut want: Vec<_> = stays().map(|e| e.0).collect();
    want.sort_unstable();
    let (mut forth, mut back) = (map.iter(), map.iter().rev());
    let (mut seen, mut seen_back) = (Vec::new(), Vec::new());
    for i in 0..4000u64 {
        if i % 10 == 0 {
            seen.extend(forth.next().map(|e| e.0));
            seen_back.extend(back.next().map(|e| e.0));
        }
        if i % 250 == 0 {
            let shards = map.shards();
            map.split(&want[(i / 16 % 300) as usize]).unwrap();
            map.join(&shards[shards.len() / 2].start).unwrap();
        }
        // Another thread changes the map, so that the scans' runs are not read again.
        let other = Arc::clone(&map);
        let change = move || {
            let k = [&b"stays/"[..], &key(i)].concat();
            other.insert([&k[..], b"!"].concat(), i);
            other.remove([&b"stays/"[..], &key(i - mix(i) % (i + 1).min(500)), b"!"].concat());
        };
        if i % 10 == 0 {
            thread::spawn(change).join().unwrap()
        } else {
            change()
        };
    }
    seen.extend(forth.map(|e| e.0));
    seen_back.extend(back.map(|e| e.0));
    assert!(seen.is_sorted() && seen_back.iter().rev().is_sorted());
    seen_back.reverse();
    for seen in [seen, seen_back] {
        let stays: Vec<_> = seen.into_iter().filter(|k| want.binary_search(k).is_ok()).collect();
        assert!(stays == want, "{} of {} keys", stays.len(), want.len());
    }
}

/// A loop loads small maps in parallel, whose parts share tables.
#[test]
fn loads_share_tables() {
    memkv::code_small_maps();
    for coding in [KeyCoding::Symbols, KeyCoding::Auto] {
        let map = ShardedArt::with_coding(4, coding);
        let mut model = Model::new();
        for round in 0..4u64 {
            let pairs: Vec<_> = (0..3000).map(|i| (key(round * 2000 + i), i)).collect();
            map.load(&pairs).unwrap();
            model.extend(pairs);
            map.check().unwrap();
        }
        assert_same(&map.into_fast(), &model);
    }
}
