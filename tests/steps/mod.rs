//! Operations on a shared map and on a `BTreeMap`, for each map that has them.

use crate::common::{bound, key};
use proptest::prelude::*;
use std::ops::Bound;

pub(crate) type Model = std::collections::BTreeMap<Vec<u8>, u64>;

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Insert(Vec<u8>, u64),
    InsertMany(Vec<u8>, u16),
    Append(u8),
    Remove(Vec<u8>),
    RemoveNth(u16),
    RemoveEvery(u8),
    Get(Vec<u8>),
    Exchange(Vec<u8>, Option<u64>, Option<u64>),
    Compute(Vec<u8>, u8),
    GetOrInsert(Vec<u8>, u64),
    RemoveIf(Vec<u8>, bool),
    Range(Bound<Vec<u8>>, Bound<Vec<u8>>),
    Prefix(Vec<u8>),
    PopFirst,
    PopLast,
    Walk(Vec<u8>, Vec<bool>),
    /// An operation of one of the maps only; the test defines it.
    Own(Vec<u8>, u8),
    Clear,
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let small = || proptest::option::of(0u64..3);
    prop_oneof![
        10 => (key(), any::<u64>()).prop_map(|(k, v)| Op::Insert(k, v)),
        6 => (key(), any::<u16>()).prop_map(|(k, n)| Op::InsertMany(k, n)),
        3 => any::<u8>().prop_map(Op::Append),
        4 => key().prop_map(Op::Remove),
        6 => any::<u16>().prop_map(Op::RemoveNth),
        2 => (2u8..5).prop_map(Op::RemoveEvery),
        2 => key().prop_map(Op::Get),
        4 => (key(), small(), small()).prop_map(|(k, a, b)| Op::Exchange(k, a, b)),
        4 => (key(), any::<u8>()).prop_map(|(k, n)| Op::Compute(k, n)),
        2 => (key(), 0u64..3).prop_map(|(k, v)| Op::GetOrInsert(k, v)),
        2 => (key(), any::<bool>()).prop_map(|(k, b)| Op::RemoveIf(k, b)),
        2 => (bound(), bound()).prop_map(|(a, b)| Op::Range(a, b)),
        1 => key().prop_map(Op::Prefix),
        1 => Just(Op::PopFirst),
        1 => Just(Op::PopLast),
        2 => (key(), proptest::collection::vec(any::<bool>(), 0..40))
            .prop_map(|(k, w)| Op::Walk(k, w)),
        3 => (key(), any::<u8>()).prop_map(|(k, n)| Op::Own(k, n)),
        1 => Just(Op::Clear),
    ]
}

/// Returns what a compute of kind `n` makes of a value.
pub(crate) fn computed(n: u8, value: Option<u64>) -> Option<u64> {
    match n % 4 {
        0 => Some(value.map_or(0, |value| value.wrapping_add(1))),
        1 => None,
        2 => value,
        _ => value.map(|value| value / 2),
    }
}

pub(crate) fn set(model: &mut Model, k: Vec<u8>, value: Option<u64>) {
    match value {
        Some(value) => _ = model.insert(k, value),
        None => _ = model.remove(&k),
    }
}

/// Defines the step of a model test. `own` runs the map's own operations.
macro_rules! steps {
    ($map:ty) => {
        fn step(map: &mut $map, model: &mut Model, op: Op) {
            match op {
                Op::Insert(k, v) => assert_eq!(map.insert(&k, v), model.insert(k, v)),
                Op::InsertMany(k, n) => {
                    let pinned = map.pin();
                    // Three hundred neighbours in an order that neither ascends nor descends.
                    for (k, i) in crate::common::neighbours(&k, 300, n) {
                        assert_eq!(pinned.insert(&k, i), model.insert(k, i));
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
                    if let Some(k) = model.keys().nth(usize::from(n) % model.len().max(1)).cloned()
                    {
                        assert_eq!(map.remove(&k), model.remove(&k));
                    }
                }
                Op::RemoveEvery(n) => {
                    for k in crate::common::without_every(n, model) {
                        assert_eq!(map.remove(&k), model.remove(&k));
                    }
                }
                Op::Get(k) => {
                    assert_eq!(map.get(&k), model.get(&k).copied());
                    assert_eq!(map.contains_key(&k), model.contains_key(&k));
                }
                Op::Exchange(k, current, new) => {
                    let have = model.get(&k).copied();
                    let want = if have == current { Ok(have) } else { Err(have) };
                    assert_eq!(map.compare_exchange(&k, current, new), want);
                    if want.is_ok() {
                        set(model, k, new);
                    }
                }
                Op::Compute(k, n) => {
                    let (old, new) = map.compute(&k, |value| computed(n, value));
                    assert_eq!((old, new), (model.get(&k).copied(), computed(n, old)));
                    set(model, k, new);
                }
                Op::GetOrInsert(k, v) => {
                    assert_eq!(map.get_or_insert_with(&k, || v), *model.entry(k).or_insert(v))
                }
                Op::RemoveIf(k, yes) => {
                    let want = if yes { model.remove(&k) } else { None };
                    assert_eq!(map.remove_if(&k, |_| yes), want);
                }
                Op::Range(start, end) => {
                    let want = inside(model, &start, &end);
                    let range = || map.range::<Vec<u8>, _>((start.clone(), end.clone()));
                    crate::common::is_both_ways(range, want);
                }
                Op::Prefix(p) => {
                    let want = crate::common::prefixed(model, &p);
                    assert_eq!(map.prefix(&p).collect::<Vec<_>>(), want);
                }
                Op::PopFirst => {
                    assert_eq!(
                        map.first_key_value(),
                        model.first_key_value().map(|(k, v)| (k.clone(), *v))
                    );
                    assert_eq!(map.pop_first(), model.pop_first());
                }
                Op::PopLast => {
                    assert_eq!(
                        map.last_key_value(),
                        model.last_key_value().map(|(k, v)| (k.clone(), *v))
                    );
                    assert_eq!(map.pop_last(), model.pop_last());
                }
                Op::Walk(k, steps) => {
                    let mut cursor = map.cursor();
                    cursor.seek(&k);
                    crate::common::walks(model, &k, &steps, |forward| {
                        let entry = if forward { cursor.next() } else { cursor.prev() };
                        entry.map(|(k, v)| (k.to_vec(), v))
                    });
                }
                Op::Own(k, n) => own(map, model, &k, n),
                Op::Clear => {
                    map.clear();
                    model.clear();
                }
            }
        }
    };
}
pub(crate) use steps;
