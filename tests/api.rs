//! The rest of the interface: value types, sets, traits of the standard collections, limits of
//! keys.

use memkv::{ArenaArt, BuildError, FastArt, FastSet, InsertError, MAX_KEY_LEN, Value};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

/// The number of cases: `PROPTEST_CASES`, or a default.
fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    asked.unwrap_or(if cfg!(miri) { 2 } else { 16 })
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => (0u32..2000).prop_map(|i| format!("key/{i:05}").into_bytes()),
        1 => proptest::collection::vec(prop_oneof![Just(0u8), Just(b'a'), Just(0xFF)], 0..8),
    ]
}

/// Inserts and removals with values of one type, read back by every method that returns values.
fn values_come_back<V: Value + PartialEq + Debug>(steps: Vec<(Vec<u8>, Option<V>)>) {
    let (mut map, mut model) = (FastArt::<V>::new(), BTreeMap::new());
    for (key, value) in steps {
        match value {
            Some(value) => assert_eq!(map.insert(&key, value), model.insert(key, value)),
            None => assert_eq!(map.remove(&key), model.remove(&key)),
        }
    }
    map.check().unwrap();
    assert!(map.iter().eq(model.iter().map(|(key, value)| (key.clone(), *value))));
    assert!(map.values().rev().eq(model.values().rev().copied()));
    assert!(map.keys().eq(model.keys().cloned()));
    for (key, value) in &model {
        assert_eq!(map.get(key), Some(*value));
        assert_eq!(map.get_mut(key).map(|guard| *guard), Some(*value));
    }
    let built = FastArt::from_sorted(model.iter().map(|(key, value)| (key, *value))).unwrap();
    built.check().unwrap();
    assert!(built == map && built.into_iter().eq(model));
}

fn steps<V: Clone + Debug>(
    value: impl Strategy<Value = V>,
) -> impl Strategy<Value = Vec<(Vec<u8>, Option<V>)>> {
    proptest::collection::vec((key(), proptest::option::weighted(0.7, value)), 0..1200)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn of_u8(steps in steps(any::<u8>())) { values_come_back(steps) }
    #[test]
    fn of_u16(steps in steps(any::<u16>())) { values_come_back(steps) }
    #[test]
    fn of_i32(steps in steps(any::<i32>())) { values_come_back(steps) }
    #[test]
    fn of_u32(steps in steps(any::<u32>())) { values_come_back(steps) }
    #[test]
    fn of_f64(steps in steps(-1e300..1e300f64)) { values_come_back(steps) }
    #[test]
    fn of_bool(steps in steps(any::<bool>())) { values_come_back(steps) }
    #[test]
    fn of_char(steps in steps(any::<char>())) { values_come_back(steps) }
    #[test]
    fn of_nothing(steps in steps(Just(()))) { values_come_back(steps) }

    #[test]
    fn a_set_behaves_like_a_btreeset(steps in steps(Just(())), other in key()) {
        let (mut set, mut model) = (FastSet::new(), BTreeSet::new());
        for (key, add) in steps {
            if add.is_some() {
                assert_eq!(set.insert(&key), model.insert(key));
            } else {
                assert_eq!(set.remove(&key), model.remove(&key));
            }
        }
        set.as_map().check().unwrap();
        assert_eq!((set.len(), set.is_empty()), (model.len(), model.is_empty()));
        assert!(set.iter().eq(model.iter().cloned()));
        assert_eq!((set.first(), set.last()), (model.first().cloned(), model.last().cloned()));
        assert_eq!(set.contains(&other), model.contains(&other));
        assert!(set.range::<Vec<u8>>(other.clone()..).eq(model.range(other.clone()..).cloned()));
        assert!(set.prefix(&other).eq(model.iter().filter(|key| key.starts_with(&other)).cloned()));
        let longest = model.iter().filter(|key| other.starts_with(key)).max_by_key(|key| key.len());
        assert_eq!(set.get_longest_prefix(&other), longest.map(|key| &other[..key.len()]));
        assert!(model.iter().collect::<FastSet>() == set);
        assert!(FastSet::from_sorted(&model).unwrap() == set.clone());
        assert_eq!((set.pop_first(), set.pop_last()), (model.pop_first(), model.pop_last()));
        set.retain(|key| key.len() % 2 == 0);
        model.retain(|key| key.len() % 2 == 0);
        set.extend([&other]);
        model.insert(other);
        assert_eq!(set.try_insert("new"), Ok(model.insert(b"new".to_vec())));
        assert!(set.into_iter().eq(model));
    }

    #[test]
    fn an_owned_iterator_meets_itself(
        steps in steps(any::<u64>()),
        from_back in proptest::collection::vec(any::<bool>(), 1..40),
    ) {
        let pairs = steps.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let model: BTreeMap<_, _> = pairs.collect();
        let map: FastArt = model.iter().map(|(key, value)| (key, *value)).collect();
        let (mut got, mut want) = (map.into_iter(), model.into_iter());
        for back in from_back.iter().cycle() {
            assert_eq!((got.len(), got.size_hint()), (want.len(), want.size_hint()));
            let (a, b) = match *back {
                true => (got.next_back(), want.next_back()),
                false => (got.next(), want.next()),
            };
            assert_eq!(&a, &b);
            if a.is_none() {
                break;
            }
        }
        assert_eq!((got.next(), got.next_back()), (None, None));
    }
}

#[test]
fn collections_are_built_from_any_order() {
    let sorted: Vec<_> = (0..3000u64).map(|i| (format!("{i:05}"), i)).collect();
    let model: BTreeMap<_, _> = sorted.iter().cloned().collect();
    let like_the_model = |map: &FastArt| {
        map.check().unwrap();
        map.iter().eq(model.iter().map(|(key, value)| (key.clone().into_bytes(), *value)))
    };
    let mut map: FastArt = sorted.iter().cloned().collect();
    assert!(like_the_model(&map));
    assert!(like_the_model(&sorted.iter().rev().cloned().collect()));
    // Sorted up to a point, and with duplicates, of which the last is kept.
    assert!(like_the_model(&sorted.iter().skip(100).chain(&sorted[..100]).cloned().collect()));
    let first_wrong = sorted.iter().map(|(key, _)| (key.clone(), 77)).chain(sorted.clone());
    assert!(like_the_model(&first_wrong.collect()));
    assert!(like_the_model(
        &sorted.iter().flat_map(|(key, value)| [(key, 77), (key, *value)]).collect()
    ));
    map.extend(sorted.iter().map(|(key, value)| (key, *value)));
    assert!(like_the_model(&map));
    let mut extended = FastArt::new();
    extended.extend(sorted.iter().rev().map(|(key, value)| (key, *value)));
    assert!(like_the_model(&extended) && extended == map);
}

#[test]
fn maps_compare_copy_and_print() {
    let map = FastArt::from([(&b"b\xFF"[..], 2u64), (b"a\"", 1)]);
    assert_eq!(format!("{map:?}"), r#"{"a\"": 1, "b\xff": 2}"#);
    let mut copy = map.clone();
    assert_eq!(copy, map);
    copy.insert("a\"", 9);
    assert_ne!(copy, map);
    assert_eq!(map.get("a\""), Some(1));
    copy.insert("a\"", 1);
    copy.insert("c", 3);
    assert_ne!(copy, map);
    assert_ne!(FastArt::from([("a", 1u64)]), FastArt::from([("b", 1u64)]));
    assert_eq!(FastArt::<u64>::default(), FastArt::new());
    assert_eq!(format!("{:?}", FastSet::from_iter(["x", "\0"])), r#"{"\x00", "x"}"#);
    let mut guarded = map.clone();
    assert_eq!(format!("{:?}", guarded.entry("zz")), r#"Vacant(VacantEntry("zz"))"#);
    assert_eq!(format!("{:?}", guarded.entry("c\"")), r#"Vacant(VacantEntry("c\""))"#);
    assert_eq!(
        format!("{:?}", guarded.entry("a\"")),
        r#"Occupied(OccupiedEntry { key: "a\"", value: 1 })"#
    );
    let guard = guarded.get_mut("a\"").unwrap();
    assert_eq!(format!("{guard:?}"), "1");
}

#[test]
fn iterators_know_their_length() {
    let map: FastArt = (0..1000u64).map(|i| (i.to_be_bytes(), i)).collect();
    let mut iter = map.iter();
    for left in (1..=1000).rev() {
        assert_eq!((iter.len(), iter.clone().count()), (left, left));
        let got = if left % 2 == 0 { iter.next() } else { iter.next_back() };
        assert!(got.is_some());
    }
    assert_eq!((iter.len(), iter.next(), iter.next_back()), (0, None, None));
    assert_eq!(
        (map.keys().len(), map.values().len(), map.clone().into_keys().len()),
        (1000, 1000, 1000)
    );
    assert_eq!((map.iter().last(), map.values().last()), (map.last_key_value(), Some(999)));
    assert!(map.clone().into_keys().rev().eq((0..1000u64).rev().map(|i| i.to_be_bytes().to_vec())));
    let range = || map.range::<[u8; 8], _>(5u64.to_be_bytes()..9u64.to_be_bytes());
    assert_eq!(
        (range().min(), range().max(), range().last()),
        (range().next(), range().next_back(), range().next_back())
    );
    assert_eq!(
        format!("{:?}", map.prefix(6u64.to_be_bytes())),
        r#"{"\x00\x00\x00\x00\x00\x00\x00\x06": 6}"#
    );
}

#[test]
fn entries_do_what_they_say() {
    use memkv::Entry;
    let mut map = FastArt::<u64>::new();
    assert_eq!(*map.entry("a").or_default(), 0);
    *map.entry("a").or_insert_with(|| unreachable!()) += 5;
    map.entry("a").and_modify(|value| *value *= 2).or_insert(1);
    assert_eq!(map.entry("a").key(), &"a");
    assert_eq!(map.entry("b").key(), &"b");
    match map.entry("a") {
        Entry::Occupied(mut entry) => {
            assert_eq!((*entry.key(), entry.get()), ("a", 10));
            *entry.get_mut() += 1;
            assert_eq!(entry.insert(3), 11);
            assert_eq!(entry.remove(), 3);
        }
        Entry::Vacant(_) => unreachable!(),
    }
    match map.entry("a") {
        Entry::Vacant(entry) => assert_eq!((*entry.key(), entry.into_key()), ("a", "a")),
        Entry::Occupied(_) => unreachable!(),
    }
    assert!(map.is_empty());
}

#[test]
fn what_does_not_ascend_is_named() {
    let wrong =
        |keys: &[&str]| FastArt::from_sorted(keys.iter().map(|key| (*key, 1u8))).unwrap_err();
    let not_ascending =
        |position, key: &str| BuildError::NotAscending { position, key: key.as_bytes().to_vec() };
    let duplicate =
        |position, key: &str| BuildError::Duplicate { position, key: key.as_bytes().to_vec() };
    assert_eq!(wrong(&["a", "a"]), duplicate(1, "a"));
    assert_eq!(wrong(&["a", "b", "ab"]), not_ascending(2, "ab"));
    assert_eq!(wrong(&["ab", "a"]), not_ascending(1, "a"));
    assert_eq!(wrong(&["", ""]), duplicate(1, ""));
    assert_eq!(
        wrong(&["a", "b", "b"]).to_string(),
        r#"key 2, "b", is a duplicate of the key before it"#
    );
    let many: Vec<_> = (0..5000).map(|i| format!("{i:05}")).chain(["04998".into()]).collect();
    let error = FastArt::from_sorted(many.iter().map(|key| (key, 1u8))).unwrap_err();
    assert_eq!(error, not_ascending(5000, "04998"));
    assert_eq!(error.to_string(), r#"key 5000, "04998", is less than the key before it"#);
    assert_eq!(FastSet::from_sorted(["b", "a"]).unwrap_err(), not_ascending(1, "a"));
    assert_eq!(FastArt::<u8>::from_sorted([("", 1)]).unwrap().get(""), Some(1));
}

/// Lengths around those at which a node changes its layout, in all combinations.
#[test]
fn keys_of_edge_lengths() {
    let lengths: Vec<usize> = (253..=258).chain(509..=513).chain(65_533..=65_538).collect();
    let key = |len: usize, byte: u8, last: u8| [&vec![byte; len - 1][..], &[last]].concat();
    let mut keys: Vec<Vec<u8>> = Vec::new();
    for &len in &lengths {
        for (byte, last) in [(b'a', b'a'), (b'a', b'b'), (b'a', 0), (0, 0), (0xFF, 0xFF), (0xFF, 0)]
        {
            keys.push(key(len, byte, last));
        }
    }
    let (mut map, mut model) = (FastArt::<u16>::new(), BTreeMap::new());
    for i in 0..keys.len() {
        let key = &keys[i * 37 % keys.len()];
        assert_eq!(map.insert(key, i as u16), model.insert(key.clone(), i as u16));
        map.check().unwrap();
    }
    assert!(map.iter().eq(model.clone()));
    assert!(map.iter().rev().eq(model.clone().into_iter().rev()));
    assert!(FastArt::from_sorted(model.iter().map(|(key, value)| (key, *value))).unwrap() == map);
    for i in 0..keys.len() {
        let key = &keys[i * 41 % keys.len()];
        assert_eq!(map.remove(key), model.remove(key));
        map.check().unwrap();
    }
    assert!(map.is_empty());
}

#[test]
fn keys_over_the_limit_are_refused() {
    let mut map = FastArt::from([("a", 1u64)]);
    // Never written to, so the system need not provide the memory.
    let long = vec![0; MAX_KEY_LEN + 1];
    let error = InsertError::KeyTooLong { len: MAX_KEY_LEN + 1 };
    assert_eq!(map.try_insert(&long, 2), Err(error));
    assert_eq!(FastArt::from_sorted([(&long, 2u64)]).unwrap_err(), BuildError::Insert(error));
    assert_eq!(
        error.to_string(),
        "a key of 1073741825 bytes exceeds the limit of 1073741824 bytes"
    );
    assert_eq!((map.get(&long), map.remove(&long), map.len()), (None, None, 1));
    assert!(std::panic::catch_unwind(move || map.insert(&long, 2)).is_err());
}

/// Each key is a prefix of the next one, five thousand deep.
#[test]
fn nested_keys() {
    let depth = if cfg!(miri) { 100 } else { 5000 };
    let whole = vec![b'a'; depth];
    let mut map = FastArt::<u32>::new();
    let strewn = |step: usize| (0..depth).map(move |i| i * step % depth + 1);
    for (i, len) in strewn(1999).enumerate() {
        assert_eq!(map.insert(&whole[..len], len as u32), None);
        if i % (depth / 4) == 0 {
            map.check().unwrap();
        }
    }
    map.check().unwrap();
    for (i, (key, value)) in map.iter().enumerate() {
        assert_eq!((key.len(), value as usize), (i + 1, i + 1));
    }
    assert_eq!(map.count_prefix(&whole[..depth / 2]), depth / 2 + 1);
    assert_eq!(
        map.get_longest_prefix(&[&whole[..depth / 3], b"b"].concat()),
        Some((&whole[..depth / 3], depth as u32 / 3))
    );
    assert_eq!(map.get_longest_prefix("b"), None);
    let copy = map.clone();
    for len in strewn(2999).take(depth - 10) {
        assert_eq!(map.remove(&whole[..len]), Some(len as u32));
    }
    map.check().unwrap();
    assert_eq!((map.len(), copy.len()), (10, depth));
    drop(copy);
}

#[test]
fn maps_of_any_type_compare_copy_and_print() {
    let map = ArenaArt::from([(&b"b\xFF"[..], "y".to_string()), (b"a\"", "x".to_string())]);
    let printed = r#"{"a\"": "x", "b\xff": "y"}"#;
    assert_eq!(
        (format!("{map:?}"), format!("{:?}", map.iter())),
        (printed.to_string(), printed.to_string())
    );
    let mut copy = map.clone();
    assert_eq!(copy, map);
    copy.get_mut("a\"").unwrap().push('!');
    assert_ne!(copy, map);
    assert_eq!((&map["a\""], &copy["a\""]), (&"x".to_string(), &"x!".to_string()));
    assert_ne!(ArenaArt::from([("a", 1)]), ArenaArt::from([("b", 1)]));
    assert_ne!(ArenaArt::from([("a", 1)]), ArenaArt::from([("a", 1), ("b", 1)]));
    assert_eq!(ArenaArt::<u64>::default(), ArenaArt::new());
    assert_eq!(format!("{:?}", copy.entry("zz")), r#"Vacant(VacantEntry("zz"))"#);
    assert_eq!(
        format!("{:?}", copy.entry("a\"")),
        r#"Occupied(OccupiedEntry { key: "a\"", value: "x!" })"#
    );
    assert_eq!(
        (&copy).into_iter().len() + (&mut copy).into_iter().len() + copy.into_iter().len(),
        6
    );
    assert!(std::panic::catch_unwind(|| map["absent"].len()).is_err());
}

#[test]
fn maps_of_any_type_name_what_is_wrong() {
    let error = ArenaArt::from_sorted([("a", 1), ("c", 2), ("b", 3)]).unwrap_err();
    assert_eq!(error, BuildError::NotAscending { position: 2, key: b"b".to_vec() });
    let long = vec![0; MAX_KEY_LEN + 1];
    let mut map = ArenaArt::from([("a", 1)]);
    let error = InsertError::KeyTooLong { len: MAX_KEY_LEN + 1 };
    assert_eq!(map.try_insert(&long, 2), Err(error));
    assert_eq!(ArenaArt::from_sorted([(&long, 2)]).unwrap_err(), BuildError::Insert(error));
    map.check().unwrap();
    assert_eq!((map.get(&long), map.len()), (None, 1));
    assert_eq!(
        InsertError::TooManyKeys { limit: 1 << 32 }.to_string(),
        "the map is full: it holds 4294967296 keys"
    );
}

/// A map is `Send` and `Sync` if its values are.
#[test]
fn maps_of_any_type_go_to_threads() {
    let map: ArenaArt<String> = (0..1000).map(|i| (format!("{i:04}"), i.to_string())).collect();
    let map = std::thread::spawn(|| map).join().unwrap();
    std::thread::scope(|scope| {
        for t in 0..2 {
            let map = &map;
            scope.spawn(move || {
                (t..1000)
                    .step_by(2)
                    .for_each(|i| assert_eq!(map[&format!("{i:04}")], i.to_string()))
            });
        }
    });
}

/// A key that returns other bytes at each call.
struct Fickle<'k>(&'k [Vec<u8>], std::sync::atomic::AtomicUsize);

impl AsRef<[u8]> for Fickle<'_> {
    fn as_ref(&self) -> &[u8] {
        let turn = self.1.fetch_add(7919, std::sync::atomic::Ordering::Relaxed);
        &self.0[turn % 31 % 5 * turn % self.0.len()]
    }
}

/// Keys that change while they are sorted lead to an error or to some map, never to a map with
/// damaged nodes.
#[test]
fn keys_that_change_are_refused() {
    let keys: Vec<Vec<u8>> =
        (0..997u32).map(|i| format!("{}/{i}", "a".repeat(i as usize % 300)).into_bytes()).collect();
    let mut refused = 0;
    for seed in 0..60 {
        let pairs: Vec<_> =
            (0..300).map(|i| (Fickle(&keys, (seed * 1009 + i * 13).into()), i as u64)).collect();
        match FastArt::from_unsorted(&pairs) {
            Ok(map) => map.check().unwrap(),
            Err(error) => {
                assert!(
                    matches!(
                        error,
                        memkv::BuildError::NotAscending { .. }
                            | memkv::BuildError::Duplicate { .. }
                    ),
                    "{error}"
                );
                refused += 1;
            }
        }
        if let Ok(map) = memkv::ConcurrentArt::from_unsorted(&pairs) {
            map.into_fast().check().unwrap();
        }
    }
    assert!(refused > 0);
}
