//! `ArenaArt` against `BTreeMap`: random operations, with values that are counted.

use crate::common;

use common::{bound, cases, inside, key};
use memkv::ArenaArt;
use memkv::arena::Entry;
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Bound;

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
}

/// A value that owns memory, and is counted while it lives.
#[derive(Debug, PartialEq, Eq)]
struct Counted(Box<u64>);

impl Counted {
    fn new(n: u64) -> Self {
        LIVE.set(LIVE.get() + 1);
        Counted(Box::new(n))
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        Counted::new(*self.0)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        LIVE.set(LIVE.get() - 1);
    }
}

type Model = BTreeMap<Vec<u8>, u64>;
type Map = ArenaArt<Counted>;

#[derive(Clone, Debug)]
enum Op {
    Insert(Vec<u8>, u64),
    InsertMany(Vec<u8>, u16),
    Extend(Vec<(Vec<u8>, u64)>),
    Remove(Vec<u8>),
    RemoveNth(u16),
    RemoveEvery(u8),
    Get(Vec<u8>),
    GetMut(Vec<u8>, u64),
    Entry(Vec<u8>, u64, u8),
    Range(Bound<Vec<u8>>, Bound<Vec<u8>>),
    RangeMut(Bound<Vec<u8>>, Bound<Vec<u8>>),
    Prefix(Vec<u8>),
    LongestPrefix(Vec<u8>),
    RemoveRange(Bound<Vec<u8>>, Bound<Vec<u8>>),
    RemovePrefix(Vec<u8>),
    Pop(bool),
    SplitOff(Vec<u8>, bool),
    Append(Vec<(Vec<u8>, u64)>),
    Retain(u8),
    Rebuild,
    Shrink,
    Clone,
    IntoIter(Vec<bool>),
    Walk(Vec<u8>, Vec<bool>),
    ValuesMut,
    Clear,
}

fn pairs() -> impl Strategy<Value = Vec<(Vec<u8>, u64)>> {
    proptest::collection::vec((key(), any::<u64>()), 0..20)
}

fn op() -> impl Strategy<Value = Op> {
    let steps = || proptest::collection::vec(any::<bool>(), 0..40);
    prop_oneof![
        10 => (key(), any::<u64>()).prop_map(|(k, v)| Op::Insert(k, v)),
        6 => (key(), any::<u16>()).prop_map(|(k, n)| Op::InsertMany(k, n)),
        1 => pairs().prop_map(Op::Extend),
        4 => key().prop_map(Op::Remove),
        6 => any::<u16>().prop_map(Op::RemoveNth),
        3 => (2u8..5).prop_map(Op::RemoveEvery),
        2 => key().prop_map(Op::Get),
        1 => (key(), any::<u64>()).prop_map(|(k, v)| Op::GetMut(k, v)),
        3 => (key(), any::<u64>(), any::<u8>()).prop_map(|(k, v, n)| Op::Entry(k, v, n)),
        1 => (bound(), bound()).prop_map(|(a, b)| Op::Range(a, b)),
        2 => (bound(), bound()).prop_map(|(a, b)| Op::RangeMut(a, b)),
        1 => key().prop_map(Op::Prefix),
        1 => key().prop_map(Op::LongestPrefix),
        1 => (bound(), bound()).prop_map(|(a, b)| Op::RemoveRange(a, b)),
        1 => key().prop_map(Op::RemovePrefix),
        2 => any::<bool>().prop_map(Op::Pop),
        1 => (key(), any::<bool>()).prop_map(|(k, b)| Op::SplitOff(k, b)),
        1 => pairs().prop_map(Op::Append),
        1 => any::<u8>().prop_map(Op::Retain),
        1 => Just(Op::Rebuild),
        1 => Just(Op::Shrink),
        1 => Just(Op::Clone),
        1 => steps().prop_map(Op::IntoIter),
        2 => (key(), steps()).prop_map(|(k, w)| Op::Walk(k, w)),
        1 => Just(Op::ValuesMut),
        1 => Just(Op::Clear),
    ]
}

fn counted<'a>(
    pairs: impl IntoIterator<Item = (&'a Vec<u8>, &'a u64)>,
) -> impl Iterator<Item = (Vec<u8>, Counted)> {
    pairs.into_iter().map(|(k, v)| (k.clone(), Counted::new(*v)))
}

fn plain(value: Counted) -> u64 {
    *value.0
}

fn step(map: &mut Map, model: &mut Model, op: Op) {
    match op {
        Op::Insert(k, v) => {
            assert_eq!(map.insert(&k, Counted::new(v)).map(plain), model.insert(k, v))
        }
        Op::InsertMany(k, n) => {
            // Neighbours in an order that neither ascends nor descends.
            for (k, i) in common::neighbours(&k, 200, n) {
                assert_eq!(map.insert(&k, Counted::new(i)).map(plain), model.insert(k, i));
            }
        }
        Op::Extend(pairs) => {
            map.extend(pairs.iter().map(|(k, v)| (k, Counted::new(*v))));
            model.extend(pairs);
        }
        Op::Remove(k) => assert_eq!(map.remove(&k).map(plain), model.remove(&k)),
        Op::RemoveNth(n) => {
            if let Some(k) = model.keys().nth(usize::from(n) % model.len().max(1)).cloned() {
                assert_eq!(map.try_remove(&k).unwrap().map(plain), model.remove(&k));
            }
        }
        Op::RemoveEvery(n) => {
            for k in common::without_every(n, model) {
                assert_eq!(map.remove(&k).map(plain), model.remove(&k));
            }
        }
        Op::Get(k) => {
            assert_eq!(map.get(&k).map(|v| *v.0), model.get(&k).copied());
            assert_eq!(map.contains_key(&k), model.contains_key(&k));
        }
        Op::GetMut(k, v) => {
            assert_eq!(
                map.get_mut(&k).map(|at| std::mem::replace(&mut *at.0, v)),
                model.get(&k).copied()
            );
            model.entry(k).and_modify(|at| *at = v);
        }
        Op::Entry(k, v, n) => match (map.entry(&k), n % 5) {
            (entry, 0) => {
                *entry.or_insert(Counted::new(v)).0 ^= 1;
                *model.entry(k).or_insert(v) ^= 1;
            }
            (entry, 1) => {
                let got = entry.and_modify(|at| *at.0 ^= 3).or_insert_with(|| Counted::new(v));
                assert_eq!(*got.0, *model.entry(k).and_modify(|at| *at ^= 3).or_insert(v));
            }
            (Entry::Occupied(mut entry), 2) => {
                assert_eq!(plain(entry.insert(Counted::new(v))), model.insert(k, v).unwrap());
            }
            (Entry::Occupied(entry), _) => {
                assert_eq!(plain(entry.remove()), model.remove(&k).unwrap())
            }
            (Entry::Vacant(entry), _) => {
                assert_eq!(*entry.insert(Counted::new(v)).0, v);
                assert_eq!(model.insert(k, v), None);
            }
        },
        Op::Range(start, end) => {
            let want = inside(model, &start, &end);
            let range =
                || map.range::<Vec<u8>, _>((start.clone(), end.clone())).map(|(k, v)| (k, *v.0));
            assert!(range().eq(want.iter().cloned()));
            assert!(range().rev().eq(want.iter().rev().cloned()));
            assert_eq!(range().count(), want.len());
        }
        Op::RangeMut(start, end) => {
            let want = inside(model, &start, &end);
            let mut range = map.range_mut::<Vec<u8>, _>((start, end));
            assert_eq!(
                (range.len(), range.size_hint()),
                (want.len(), (want.len(), Some(want.len())))
            );
            let mut held = Vec::new();
            let mut want = want.into_iter();
            for i in 0.. {
                let (got, want) = if i % 3 == 0 {
                    (range.next_back(), want.next_back())
                } else {
                    (range.next(), want.next())
                };
                assert_eq!(got.as_ref().map(|(k, v)| (k.clone(), *v.0)), want);
                let Some((k, value)) = got else { break };
                held.push(value);
                *model.get_mut(&k).unwrap() ^= 5;
            }
            assert!(range.next().is_none() && range.next_back().is_none());
            // All values at once.
            held.into_iter().for_each(|value| *value.0 ^= 5);
        }
        Op::Prefix(p) => {
            let want = common::prefixed(model, &p);
            assert_eq!(map.count_prefix(&p), want.len());
            assert!(map.prefix(&p).map(|(k, v)| (k, *v.0)).eq(want.iter().cloned()));
            assert!(map.prefix_mut(&p).map(|(k, v)| (k, *v.0)).rev().eq(want.into_iter().rev()));
        }
        Op::LongestPrefix(q) => {
            let want = model.iter().filter(|(k, _)| q.starts_with(k)).max_by_key(|(k, _)| k.len());
            assert_eq!(
                map.get_longest_prefix(&q).map(|(k, v)| (k, *v.0)),
                want.map(|(k, v)| (&q[..k.len()], *v))
            );
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
        Op::Pop(first) => {
            let (want, got) = if first {
                (model.first_key_value(), map.first_key_value())
            } else {
                (model.last_key_value(), map.last_key_value())
            };
            assert_eq!(got.map(|(k, v)| (k, *v.0)), want.map(|(k, v)| (k.clone(), *v)));
            let (got, want) = if first {
                (map.pop_first(), model.pop_first())
            } else {
                (map.pop_last(), model.pop_last())
            };
            assert_eq!(got.map(|(k, v)| (k, plain(v))), want);
        }
        Op::SplitOff(k, back) => {
            let mut behind = map.split_off(&k);
            let mut model_behind = model.split_off(&k);
            behind.check().unwrap();
            assert_eq!(behind.len(), model_behind.len());
            if back {
                map.append(&mut behind);
                model.append(&mut model_behind);
                assert!(behind.is_empty());
            } else {
                assert!(behind.into_iter().map(|(k, v)| (k, plain(v))).eq(model_behind));
            }
        }
        Op::Append(pairs) => {
            let mut other: Map = pairs.iter().map(|(k, v)| (k, Counted::new(*v))).collect();
            other.check().unwrap();
            map.append(&mut other);
            model.extend(pairs);
        }
        Op::Retain(n) => {
            let keep = |k: &[u8], v: &mut u64| {
                *v = v.wrapping_add(1);
                (k.len() + *v as usize) % 7 != usize::from(n) % 7
            };
            map.retain(|k, v| keep(k, &mut v.0));
            model.retain(|k, v| keep(k, v));
        }
        Op::Rebuild => {
            let built = Map::from_sorted(counted(&*model)).unwrap();
            built.check().unwrap();
            assert!(built == *map);
            *map = built;
        }
        Op::Shrink => map.shrink_to_fit(),
        Op::Clone => {
            let copy = map.clone();
            copy.check().unwrap();
            assert!(copy == *map);
            *map = copy;
        }
        Op::IntoIter(backs) => {
            let (mut got, mut want) =
                (std::mem::take(map).into_iter(), std::mem::take(model).into_iter());
            for back in backs {
                assert_eq!((got.len(), got.size_hint()), (want.len(), want.size_hint()));
                let (got, want) = if back {
                    (got.next_back(), want.next_back())
                } else {
                    (got.next(), want.next())
                };
                assert_eq!(got.map(|(k, v)| (k, plain(v))), want);
            }
            // Every second time the rest is dropped without being visited.
            if want.len() % 2 == 0 {
                map.extend(got);
                model.extend(want);
            }
        }
        Op::Walk(k, steps) => {
            let keys: Vec<_> = model.iter().map(|(k, v)| (k.clone(), *v)).collect();
            let mut at = keys.partition_point(|(key, _)| *key < k);
            let mut cursor = map.cursor();
            cursor.seek(&k);
            common::walks(model, &k, &steps, |forward| {
                let entry = if forward { cursor.next() } else { cursor.prev() };
                entry.map(|(k, v)| (k.to_vec(), *v.0))
            });
            let mut cursor = map.cursor_mut();
            cursor.seek(&k);
            for forward in steps {
                let got = if forward { cursor.next() } else { cursor.prev() };
                let Some((got, value)) = got else { continue };
                at = if forward { at + 1 } else { at - 1 };
                assert_eq!(got, keys[at - usize::from(forward)].0);
                *value.0 = value.0.wrapping_mul(3);
                let value = model.get_mut(got).unwrap();
                *value = value.wrapping_mul(3);
            }
        }
        Op::ValuesMut => {
            map.values_mut().zip(0..).for_each(|(value, i)| *value.0 ^= i);
            model.values_mut().zip(0..).for_each(|(value, i)| *value ^= i);
            assert!(
                map.iter_mut()
                    .map(|(k, v)| (k, *v.0))
                    .eq(model.iter().map(|(k, v)| (k.clone(), *v)))
            );
        }
        Op::Clear => {
            map.clear();
            model.clear();
        }
    }
}

fn same(map: &Map, model: &Model) {
    map.check().unwrap();
    assert_eq!(map.len(), model.len());
    assert!(map.iter().map(|(k, v)| (k, *v.0)).eq(model.iter().map(|(k, v)| (k.clone(), *v))));
    assert!(
        map.iter()
            .rev()
            .map(|(k, v)| (k, *v.0))
            .eq(model.iter().rev().map(|(k, v)| (k.clone(), *v)))
    );
    assert!(
        map.keys().eq(model.keys().cloned())
            && map.values().map(|v| *v.0).eq(model.values().copied())
    );
    let keys: Vec<_> = model.keys().collect();
    assert!(
        map.get_many(&keys).into_iter().eq(model
            .values()
            .map(|v| Some(Counted::new(*v)))
            .collect::<Vec<_>>()
            .iter()
            .map(Option::as_ref))
    );
    assert!(map.clone().into_values().rev().map(plain).eq(model.values().rev().copied()));
    assert!(map.clone().into_keys().eq(model.keys().cloned()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(96), ..ProptestConfig::default() })]

    #[test]
    fn behaves_like_a_btreemap(ops in proptest::collection::vec(op(), 1..60)) {
        LIVE.set(0);
        memkv::code_small_maps();
        let (mut map, mut model) = (Map::new(), Model::new());
        for (i, op) in ops.into_iter().enumerate() {
            step(&mut map, &mut model, op);
            assert_eq!(LIVE.get(), model.len());
            // A check visits every key, so large maps are not checked after every step.
            if map.len() < 500 || i % 8 == 0 {
                map.check().unwrap();
            }
        }
        same(&map, &model);
        drop(map);
        assert_eq!(LIVE.get(), 0);
    }
}
