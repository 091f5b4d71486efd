//! What maps and sets with one owner share with `BTreeMap` and `BTreeSet`: operations on two sets,
//! orders and hashes, entries of the ends, removal while iterating, stored prefixes.

use crate::common;

use common::{bound, cases, key};
use memkv::{ArenaArt, ConcurrentArt, FastArt, FastSet, FrozenLayer, HybridStore, ShardedArt};
use proptest::prelude::*;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};
use std::ops::RangeBounds;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

fn keys() -> impl Strategy<Value = BTreeSet<Vec<u8>>> {
    prop_oneof![
        3 => proptest::collection::btree_set(key(), 0..60),
        1 => (0u32..3000, 1usize..40).prop_map(|(n, step)| {
            (0..n).step_by(step).map(|i| format!("key/{i:05}").into_bytes()).collect()
        }),
    ]
}

fn hash_of(value: &impl Hash) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(value)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(48), ..ProptestConfig::default() })]

    #[test]
    fn two_sets_combine_like_btreesets(a in keys(), b in keys(), shared in keys()) {
        let a: BTreeSet<_> = a.union(&shared).cloned().collect();
        let b: BTreeSet<_> = b.union(&shared).cloned().collect();
        let (left, right) = (FastSet::from(a.clone()), b.iter().collect::<FastSet>());
        assert!(left.union(&right).eq(a.union(&b).cloned()));
        assert!(left.intersection(&right).eq(a.intersection(&b).cloned()));
        assert!(left.difference(&right).eq(a.difference(&b).cloned()));
        assert!(right.difference(&left).eq(b.difference(&a).cloned()));
        assert!(left.symmetric_difference(&right).eq(a.symmetric_difference(&b).cloned()));
        assert!((&left | &right).iter().eq(&a | &b));
        assert!((&left & &right).iter().eq(&a & &b));
        assert!((&left - &right).iter().eq(&a - &b));
        assert!((&left ^ &right).iter().eq(&a ^ &b));
        assert_eq!(left.is_subset(&right), a.is_subset(&b));
        assert_eq!(left.is_superset(&right), a.is_superset(&b));
        assert_eq!(left.is_disjoint(&right), a.is_disjoint(&b));
        let both = &left & &right;
        assert!(both.is_subset(&left) && right.is_superset(&both));
        assert!((&left - &right).is_disjoint(&right));
        assert_eq!(left.cmp(&right), a.cmp(&b));
        assert_eq!(hash_of(&left), hash_of(&a.iter().collect::<FastSet>()));
        let mut ended = left.symmetric_difference(&right);
        ended.by_ref().for_each(drop);
        assert_eq!(ended.next(), None);
    }

    #[test]
    fn parts_of_a_set_go_like_those_of_a_btreeset(
        keys in keys(),
        others in keys(),
        at in key(),
        range in (bound(), bound()),
    ) {
        let (mut set, mut model) = (FastSet::from(keys.clone()), keys);
        let asked: Vec<_> = others.iter().chain(&model).collect();
        let found: Vec<_> = asked.iter().map(|key| model.contains(*key)).collect();
        assert_eq!(set.contains_many(&asked), found);
        assert_eq!(set.count_prefix(&at), model.iter().filter(|key| key.starts_with(&at)).count());

        let (mut tail, mut model_tail) = (set.split_off(&at), model.split_off(&at));
        assert!(set.iter().eq(model.iter().cloned()) && tail.iter().eq(model_tail.iter().cloned()));
        let mut other = FastSet::from(others.clone());
        tail.append(&mut other);
        model_tail.extend(others);
        assert!(other.is_empty() && tail.iter().eq(model_tail.iter().cloned()));
        tail.append(&mut set);
        model_tail.append(&mut model);

        let before = model_tail.len();
        model_tail.retain(|key| !range.contains(key));
        assert_eq!(tail.remove_range(range), before - model_tail.len());
        let before = model_tail.len();
        model_tail.retain(|key| !key.starts_with(&at));
        assert_eq!(tail.remove_prefix(&at), before - model_tail.len());
        tail.as_map().check().unwrap();
        assert!(tail.into_iter().eq(model_tail));
    }

    #[test]
    fn maps_have_the_order_of_btreemaps(
        a in proptest::collection::btree_map(key(), 0u8..3, 0..4),
        b in proptest::collection::btree_map(key(), 0u8..3, 0..4),
    ) {
        let (left, right) = (FastArt::from(a.clone()), FastArt::from(b.clone()));
        assert!(left.iter().eq(a.clone()));
        assert_eq!(left.cmp(&right), a.cmp(&b));
        assert_eq!((left == right, hash_of(&left) == hash_of(&right)), (a == b, a == b));
        let texts = |model: &BTreeMap<Vec<u8>, u8>| -> BTreeMap<Vec<u8>, String> {
            model.iter().map(|(key, value)| (key.clone(), value.to_string())).collect()
        };
        let (a, b) = (texts(&a), texts(&b));
        let (left, right) = (ArenaArt::from(a.clone()), ArenaArt::from(b.clone()));
        assert!(left.clone().into_iter().eq(a.clone()));
        assert_eq!(left.cmp(&right), a.cmp(&b));
        assert_eq!((left == right, hash_of(&left) == hash_of(&right)), (a == b, a == b));
    }

    #[test]
    fn keys_are_extracted_like_those_of_a_btreemap(
        keys in keys(),
        at in key(),
        range in (bound(), bound()),
        modulus in 1u64..4,
        limit in 0usize..80,
    ) {
        let pairs: Vec<_> = keys.into_iter().zip(0u64..).collect();
        let visited = |key: &[u8]| range.contains(&key.to_vec());
        let mut model: BTreeMap<_, _> = pairs.iter().cloned().collect();
        // What goes, until the limit, and what the visited keys that stay become.
        let (mut gone, mut seen) = (Vec::new(), 0);
        for (key, value) in &pairs {
            if gone.len() == limit || !visited(key) {
                continue;
            }
            seen += 1;
            if value % modulus == 0 {
                model.remove(key);
                gone.push((key.clone(), value + 1));
            } else {
                model.insert(key.clone(), value + 1);
            }
        }

        let mut map: FastArt = pairs.iter().cloned().collect();
        let mut calls = 0;
        let goes = |_: &[u8], value: &mut u64| {
            calls += 1;
            *value += 1;
            (*value - 1).is_multiple_of(modulus)
        };
        assert!(map.extract_if(range.clone(), goes).take(limit).eq(gone.iter().cloned()));
        // The keys after the last result are not visited.
        assert_eq!(calls, seen);
        map.check().unwrap();
        assert!(map.iter().eq(model.clone()));

        let mut arena: ArenaArt<Box<u64>> =
            pairs.iter().map(|(key, value)| (key, Box::new(*value))).collect();
        let goes = |_: &[u8], value: &mut Box<u64>| {
            **value += 1;
            (**value - 1).is_multiple_of(modulus)
        };
        let got = arena.extract_if(range.clone(), goes).take(limit).map(|(key, v)| (key, *v));
        assert!(got.eq(gone.iter().cloned()));
        arena.check().unwrap();
        assert!(arena.into_iter().map(|(key, value)| (key, *value)).eq(model.clone()));

        let mut set: FastSet = pairs.iter().map(|(key, _)| key).collect();
        let goes = |key: &[u8]| {
            let nth = pairs.binary_search_by(|pair| (*pair.0).cmp(key)).unwrap();
            pairs[nth].1.is_multiple_of(modulus)
        };
        let got = set.extract_if(range.clone(), goes).take(limit);
        assert!(got.eq(gone.iter().map(|(key, _)| key.clone())));
        assert!(set.iter().eq(model.keys().cloned()));

        map.range_for_each_mut(range.clone(), |key, value| *value += key.len() as u64);
        model.iter_mut().filter(|(key, _)| visited(key)).for_each(|(key, value)| {
            *value += key.len() as u64;
        });
        map.for_each_mut(|key, value| *value ^= u64::from(key < &*at));
        model.iter_mut().for_each(|(key, value)| *value ^= u64::from(*key < at));
        map.check().unwrap();
        assert!(map.iter().eq(model));
    }

    #[test]
    fn parallel_iterators_are_collected_and_extend(
        first in proptest::collection::vec((key(), any::<u16>()), 0..60),
        then in proptest::collection::vec((key(), any::<u16>()), 0..60),
    ) {
        // The last of equal keys wins, in each and of both.
        let mut model: BTreeMap<_, _> = first.iter().cloned().collect();
        let mut map: FastArt<u16> = first.clone().into_par_iter().collect();
        let mut set: FastSet = first.par_iter().map(|(key, _)| key).collect();
        let text = |(key, value): (Vec<u8>, u16)| (key, value.to_string());
        let mut arena: ArenaArt<String> = first.into_par_iter().map(text).collect();
        assert!(map.iter().eq(model.clone()));
        assert!(arena.clone().into_iter().eq(model.clone().into_iter().map(text)));

        model.extend(then.iter().cloned());
        set.par_extend(then.par_iter().map(|(key, _)| key));
        map.par_extend(then.clone());
        arena.par_extend(then.into_par_iter().map(text));
        map.check().unwrap();
        arena.check().unwrap();
        assert!(set.into_iter().eq(model.keys().cloned()));
        assert!(arena.into_iter().eq(model.clone().into_iter().map(text)));
        assert!(map.into_iter().eq(model));
    }

    #[test]
    fn stored_prefixes_are_found_in_ascending_length(
        keys in keys(),
        parts in proptest::collection::vec((key(), 0usize..20), 0..6),
        end in key(),
    ) {
        // A text, and keys that are its prefixes or leave it after a prefix.
        let all = parts.iter().map(|(part, _)| part).chain([&end]);
        let text: Vec<u8> = all.flatten().copied().collect();
        let mut stored = keys;
        for (part, len) in &parts {
            let len = (len * 37) % (text.len() + 1);
            stored.insert(text[..len].to_vec());
            stored.insert([&text[..len], part].concat());
        }
        let set = FastSet::from(stored.clone());
        let map: FastArt<u32> = stored.iter().zip(0..).collect();
        let arena: ArenaArt<String> = stored.iter().map(|key| (key, format!("{key:?}"))).collect();
        for key in stored.iter().chain([&text]) {
            let prefixes = (0..=key.len()).map(|n| &key[..n]);
            let want: Vec<_> = prefixes.filter(|prefix| stored.contains(*prefix)).collect();
            assert_eq!(set.prefixes_of(key).collect::<Vec<_>>(), want);
            assert!(map.prefixes_of(key).eq(want.iter().map(|key| (*key, map.get(key).unwrap()))));
            let texts = want.iter().map(|key| (*key, &arena[*key]));
            assert!(arena.prefixes_of(key).eq(texts));
            assert_eq!(set.prefixes_of(key).last(), set.get_longest_prefix(key));
        }
    }

    #[test]
    fn entries_behave_like_those_of_a_btreemap(
        keys in keys(),
        steps in proptest::collection::vec((0u8..6, key()), 0..60),
    ) {
        let mut model: BTreeMap<Vec<u8>, u32> = keys.into_iter().zip(0..).collect();
        let (mut map, mut arena) = (FastArt::from(model.clone()), ArenaArt::from(model.clone()));
        for (step, key) in steps {
            match step {
                0 => {
                    let want = model.first_entry().map(|entry| entry.remove_entry());
                    assert_eq!(map.first_entry().map(|entry| entry.remove_entry()), want);
                    assert_eq!(arena.first_entry().map(|entry| entry.remove_entry()), want);
                }
                1 => {
                    let entry = model.last_entry();
                    let want = entry.map(|entry| (entry.key().clone(), entry.remove()));
                    let entry = map.last_entry();
                    assert_eq!(entry.map(|entry| (entry.key().clone(), entry.remove())), want);
                    let entry = arena.last_entry();
                    assert_eq!(entry.map(|entry| (entry.key().clone(), entry.remove())), want);
                }
                2 => {
                    let want = model.last_entry().map(|mut entry| entry.insert(7));
                    assert_eq!(map.last_entry().map(|mut entry| entry.insert(7)), want);
                    assert_eq!(arena.last_entry().map(|mut entry| entry.insert(7)), want);
                }
                _ => {
                    let len = |key: &Vec<u8>| key.len() as u32;
                    let want = *model.entry(key.clone()).or_insert_with_key(len);
                    assert_eq!(*map.entry(key.clone()).or_insert_with_key(len), want);
                    assert_eq!(*arena.entry(key).or_insert_with_key(len), want);
                }
            }
        }
        map.check().unwrap();
        arena.check().unwrap();
        assert!(map.iter().eq(model.clone()) && arena.into_iter().eq(model));
    }
}

#[test]
fn a_closure_that_panics_leaves_what_it_has_not_passed() {
    let pairs = (0..1000u32).map(|i| (i.to_be_bytes(), i));
    let (mut map, mut arena): (FastArt<u32>, ArenaArt<_>) =
        (pairs.clone().collect(), pairs.map(|(key, i)| (key, i.to_string())).collect());
    let mut extract = map.extract_if::<[u8], _>(.., |_, i| {
        assert_ne!(*i, 500, "as the test wants");
        *i % 2 == 1
    });
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| extract.by_ref().count()));
    assert!(ended.is_err() && extract.next().is_none());
    drop(extract);
    map.check().unwrap();
    assert!(map.values().eq((0..1000).filter(|i| i % 2 == 0 || *i > 500)));

    let mut extract = arena.extract_if::<[u8], _>(.., |_, text| {
        assert_ne!(text, "500", "as the test wants");
        text.ends_with('1')
    });
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| extract.by_ref().count()));
    assert!(ended.is_err() && extract.next().is_none());
    drop(extract);
    arena.check().unwrap();
    assert_eq!(arena.len(), 950);

    let changed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        map.for_each_mut(|_, i| {
            *i += 1;
            assert_ne!(*i, 101, "as the test wants");
        });
    }));
    assert!(changed.is_err());
    assert!(map.values().take(52).eq((0..50).map(|i| 2 * i + 1).chain([100, 102])));
}

#[test]
fn maps_of_floats_may_have_no_order() {
    let of = |value: f64| FastArt::from([("a", value), ("b", 0.0)]);
    assert_eq!(of(1.0).partial_cmp(&of(f64::NAN)), None);
    assert!(of(1.0) < of(2.0));
    let of = |value: f64| ArenaArt::from([("a", value)]);
    assert_eq!(of(1.0).partial_cmp(&of(f64::NAN)), None);
    assert!(of(1.0) > of(0.5));
}

#[test]
fn a_sorted_map_whose_order_is_not_that_of_bytes_is_converted() {
    /// Compares in descending order.
    #[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
    struct Down(std::cmp::Reverse<String>);
    impl AsRef<[u8]> for Down {
        fn as_ref(&self) -> &[u8] {
            self.0.0.as_bytes()
        }
    }
    let down = |key: &str| Down(std::cmp::Reverse(key.to_string()));
    let pairs = BTreeMap::from([(down("a"), 1u8), (down("b"), 2), (down("c"), 3)]);
    assert!(FastArt::from(pairs.clone()).values().eq([1, 2, 3]));
    assert!(ArenaArt::from(pairs.clone()).values().eq(&[1, 2, 3]));
    assert!(
        FastSet::from(pairs.into_keys().collect::<BTreeSet<_>>()).iter().eq([b"a", b"b", b"c"])
    );
}

/// Asserts that a parallel iterator yields what the map holds, collected in order.
macro_rules! assert_parallel {
    ($map:expr) => {{
        let map = $map;
        assert!(map.par_iter().collect::<Vec<_>>().into_iter().eq(map));
        assert_eq!(map.par_iter().filter(|_| true).count(), map.len());
    }};
}

#[test]
fn parallel_iterators_yield_all_keys_in_order() {
    const KEYS: u64 = if cfg!(miri) { 600 } else { 30_000 };
    for keys in [0, 1, 300, KEYS] {
        let pairs = || (0..keys).map(|i| (format!("{:06}", i * 7 % KEYS), i));
        assert_parallel!(&pairs().collect::<FastArt<u64>>());
        assert_parallel!(&pairs().map(|(key, _)| key).collect::<FastSet>());
        assert_parallel!(&pairs().map(|(key, i)| (key, i.to_string())).collect::<ArenaArt<_>>());
        assert_parallel!(&pairs().collect::<ConcurrentArt<u64>>());
        assert_parallel!(&pairs().collect::<FrozenLayer>());
        let sharded = ShardedArt::<u64>::with_boundaries(["", "0", "000200", "01", "1"]);
        sharded.load(&pairs().collect::<Vec<_>>()).unwrap();
        assert_parallel!(&sharded);

        // Keys in the base, in the changes, and removed from either.
        let store = HybridStore::from(pairs().collect::<FrozenLayer>());
        store.try_extend(pairs().map(|(key, i)| (key + "+", i))).unwrap();
        for (key, _) in pairs().filter(|(_, i)| i % 3 == 0) {
            store.remove(&key).unwrap();
            store.remove(key + "+").unwrap();
        }
        assert_parallel!(&store);
    }
}

#[test]
fn parallel_iterators_yield_what_stays_beside_a_writer() {
    const KEYS: u64 = if cfg!(miri) { 600 } else { 20_000 };
    let map: ConcurrentArt<u64> = (0..KEYS).map(|i| (format!("{i:06}"), i)).collect();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in (0..KEYS).cycle().take_while(|_| !is_done.load(Relaxed)) {
                map.insert(format!("{i:06}x"), i);
                map.remove(format!("{:06}x", (i + KEYS / 2) % KEYS));
            }
        });
        for _ in 0..5 {
            let found: Vec<_> = map.par_iter().collect();
            assert!(found.is_sorted_by(|a, b| a.0 < b.0));
            let stay = found.iter().filter(|(key, _)| key.len() == 6);
            assert!(stay.map(|(_, value)| *value).eq(0..KEYS));
        }
        is_done.store(true, Relaxed);
    });
}
