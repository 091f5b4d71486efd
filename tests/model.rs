//! `FastArt` against `BTreeMap`: random operations over keys that are hard on a radix tree, with
//! checks of the structure.

use crate::common;

use common::{bound, cases, coding, inside, key};
use memkv::FastArt;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::Bound;

type Model = BTreeMap<Vec<u8>, u64>;

#[derive(Clone, Debug)]
enum Op {
    Insert(Vec<u8>, u64),
    InsertMany(Vec<u8>, u16),
    Append(u8),
    Remove(Vec<u8>),
    RemoveNth(u16),
    RemoveEvery(u8),
    Get(Vec<u8>),
    GetMut(Vec<u8>, u64),
    Entry(Vec<u8>, u64),
    Range(Bound<Vec<u8>>, Bound<Vec<u8>>),
    Prefix(Vec<u8>),
    LongestPrefix(Vec<u8>),
    RemoveRange(Bound<Vec<u8>>, Bound<Vec<u8>>),
    RemovePrefix(Vec<u8>),
    PopFirst,
    PopLast,
    SplitOff(Vec<u8>, bool),
    Retain(u8),
    Rebuild,
    Clone,
    Move,
    Walk(Vec<u8>, Vec<bool>),
    Clear,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => (key(), any::<u64>()).prop_map(|(k, v)| Op::Insert(k, v)),
        6 => (key(), any::<u16>()).prop_map(|(k, n)| Op::InsertMany(k, n)),
        3 => any::<u8>().prop_map(Op::Append),
        4 => key().prop_map(Op::Remove),
        6 => any::<u16>().prop_map(Op::RemoveNth),
        2 => (2u8..5).prop_map(Op::RemoveEvery),
        2 => key().prop_map(Op::Get),
        1 => (key(), any::<u64>()).prop_map(|(k, v)| Op::GetMut(k, v)),
        1 => (key(), any::<u64>()).prop_map(|(k, v)| Op::Entry(k, v)),
        2 => (bound(), bound()).prop_map(|(a, b)| Op::Range(a, b)),
        1 => key().prop_map(Op::Prefix),
        1 => key().prop_map(Op::LongestPrefix),
        1 => (bound(), bound()).prop_map(|(a, b)| Op::RemoveRange(a, b)),
        1 => key().prop_map(Op::RemovePrefix),
        1 => Just(Op::PopFirst),
        1 => Just(Op::PopLast),
        1 => (key(), any::<bool>()).prop_map(|(k, b)| Op::SplitOff(k, b)),
        1 => any::<u8>().prop_map(Op::Retain),
        1 => Just(Op::Rebuild),
        1 => Just(Op::Clone),
        1 => Just(Op::Move),
        2 => (key(), proptest::collection::vec(any::<bool>(), 0..40))
            .prop_map(|(k, w)| Op::Walk(k, w)),
        1 => Just(Op::Clear),
    ]
}

fn step(map: &mut FastArt, model: &mut Model, op: Op) {
    match op {
        Op::Insert(k, v) => assert_eq!(map.insert(&k, v), model.insert(k, v)),
        Op::InsertMany(k, n) => {
            // Three hundred neighbours in an order that neither ascends nor descends.
            for (k, i) in common::neighbours(&k, 300, n) {
                assert_eq!(map.insert(&k, i), model.insert(k, i));
            }
        }
        Op::Append(n) => {
            let last = model.last_key_value().map(|(k, _)| k.clone()).unwrap_or_default();
            for i in 0..u32::from(n) {
                let mut k = last.clone();
                k.extend_from_slice(format!("{i:06}").as_bytes());
                assert_eq!(map.insert(&k, i.into()), model.insert(k, i.into()));
            }
        }
        Op::Remove(k) => assert_eq!(map.remove(&k), model.remove(&k)),
        Op::RemoveNth(n) => {
            if let Some(k) = model.keys().nth(usize::from(n) % model.len().max(1)).cloned() {
                assert_eq!(map.remove(&k), model.remove(&k));
            }
        }
        Op::RemoveEvery(n) => {
            for k in common::without_every(n, model) {
                assert_eq!(map.remove(&k), model.remove(&k));
            }
        }
        Op::Get(k) => {
            assert_eq!(map.get(&k), model.get(&k).copied());
            assert_eq!(map.contains_key(&k), model.contains_key(&k));
        }
        Op::GetMut(k, v) => {
            assert_eq!(
                map.get_mut(&k).map(|mut at| std::mem::replace(&mut *at, v)),
                model.get(&k).copied()
            );
            model.entry(k).and_modify(|at| *at = v);
        }
        Op::Entry(k, v) => {
            *map.entry(&k).or_insert(v) ^= 1;
            *model.entry(k).or_insert(v) ^= 1;
        }
        Op::Range(start, end) => {
            let want = inside(model, &start, &end);
            let range = || map.range::<Vec<u8>, _>((start.clone(), end.clone()));
            common::is_both_ways(range, want);
        }
        Op::Prefix(p) => {
            let want = common::prefixed(model, &p);
            assert_eq!(map.count_prefix(&p), want.len());
            assert_eq!(map.prefix(&p).collect::<Vec<_>>(), want);
        }
        Op::LongestPrefix(q) => {
            let want = model.iter().filter(|(k, _)| q.starts_with(k)).max_by_key(|(k, _)| k.len());
            assert_eq!(map.get_longest_prefix(&q), want.map(|(k, v)| (&q[..k.len()], *v)));
        }
        Op::RemoveRange(start, end) => {
            let gone = inside(model, &start, &end);
            assert_eq!(map.remove_range::<Vec<u8>, _>((start, end)), gone.len());
            gone.iter().for_each(|(k, _)| {
                model.remove(k);
            });
        }
        Op::RemovePrefix(p) => {
            let before = model.len();
            model.retain(|k, _| !k.starts_with(&p));
            assert_eq!(map.remove_prefix(&p), before - model.len());
        }
        Op::PopFirst => {
            assert_eq!(
                map.first_key_value(),
                model.first_key_value().map(|(k, v)| (k.clone(), *v))
            );
            assert_eq!(map.pop_first(), model.pop_first());
        }
        Op::PopLast => {
            assert_eq!(map.last_key_value(), model.last_key_value().map(|(k, v)| (k.clone(), *v)));
            assert_eq!(map.pop_last(), model.pop_last());
        }
        Op::SplitOff(k, back) => {
            let mut behind = map.split_off(&k);
            let mut model_behind = model.split_off(&k);
            behind.check().unwrap();
            assert_eq!(behind.len(), model_behind.len());
            if back {
                map.append(&mut behind);
                model.append(&mut model_behind);
            } else {
                assert!(behind.into_iter().eq(model_behind));
            }
        }
        Op::Retain(n) => {
            let keep = |k: &[u8], v: &mut u64| {
                *v = v.wrapping_add(1);
                (k.len() + *v as usize) % 7 != usize::from(n) % 7
            };
            map.retain(keep);
            model.retain(|k, v| keep(k, v));
        }
        Op::Rebuild => {
            let built = FastArt::from_sorted(model.iter().map(|(k, v)| (k, *v))).unwrap();
            built.check().unwrap();
            assert!(built == *map);
            map.shrink_to_fit();
        }
        Op::Clone => {
            let copy = map.clone();
            copy.check().unwrap();
            assert!(copy == *map);
            *map = copy;
        }
        // A map may be moved at any time.
        Op::Move => *map = *Box::new(std::mem::take(map)),
        Op::Walk(k, steps) => {
            let mut cursor = map.cursor();
            cursor.seek(&k);
            common::walks(model, &k, &steps, |forward| {
                let entry = if forward { cursor.next() } else { cursor.prev() };
                entry.map(|(k, v)| (k.to_vec(), v))
            });
        }
        Op::Clear => {
            map.clear();
            model.clear();
        }
    }
}

fn same(map: &FastArt, model: &Model) {
    map.check().unwrap();
    assert_eq!(map.len(), model.len());
    assert!(map.iter().eq(model.iter().map(|(k, v)| (k.clone(), *v))));
    assert!(map.iter().rev().eq(model.iter().rev().map(|(k, v)| (k.clone(), *v))));
    let keys: Vec<_> = model.keys().collect();
    assert!(map.get_many(&keys).into_iter().eq(model.values().map(|v| Some(*v))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(192), ..ProptestConfig::default() })]

    #[test]
    fn behaves_like_a_btreemap(
        coding in coding(),
        ops in proptest::collection::vec(op(), 1..60),
    ) {
        let (mut map, mut model) = (FastArt::with_coding(coding), Model::new());
        for (i, op) in ops.into_iter().enumerate() {
            step(&mut map, &mut model, op);
            // A check visits every key, so large maps are not checked after every step.
            if map.len() < 500 || i % 8 == 0 {
                map.check().unwrap();
            }
        }
        same(&map, &model);
    }
}
