//! What the shared maps and `HybridStore` have in common beside point operations: keys and values,
//! prefixes, and removal of many keys. Against `BTreeMap`, and beside other threads.

use crate::common;
use common::{bound, cases, inside, is_both_ways, key, prefixed};
use memkv::{ConcurrentArenaArt, ConcurrentArt, HybridStore, ShardedArt};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

type Model = BTreeMap<Vec<u8>, u64>;
type Range<'r> = (Bound<&'r [u8]>, Bound<&'r [u8]>);

/// The operations under test, in one form for all maps.
trait Shared: Sync {
    fn make() -> Self;
    /// Splits a shard at a key, compacts, or reclaims.
    fn reshape(&self, key: &[u8]);
    fn put(&self, key: &[u8], value: u64);
    fn take(&self, key: &[u8]);
    fn pairs(&self) -> Vec<(Vec<u8>, u64)>;
    fn all_keys(&self) -> impl DoubleEndedIterator<Item = Vec<u8>>;
    fn all_values(&self) -> impl DoubleEndedIterator<Item = u64>;
    fn count(&self, prefix: &[u8]) -> usize;
    fn longest<'k>(&self, key: &'k [u8]) -> Option<(&'k [u8], u64)>;
    fn prefixes<'k>(&self, key: &'k [u8]) -> Vec<(&'k [u8], u64)>;
    fn keep(&self, keep: impl FnMut(&[u8], u64) -> bool);
    fn cut(&self, range: Range<'_>) -> usize;
    fn cut_prefix(&self, prefix: &[u8]) -> usize;
    fn wipe(&self);
    fn add(&self, key: &[u8], n: u64) -> Option<u64>;
    fn get_or(&self, key: &[u8], value: u64) -> u64;
    fn pop(&self, last: bool) -> Option<(Vec<u8>, u64)>;
}

macro_rules! shared {
    ($map:ty, $make:expr, |$own:ident, $key:ident| $reshape:expr, $($unwrap:tt)*) => {
        impl Shared for $map {
            fn make() -> Self {
                $make
            }

            fn reshape(&self, $key: &[u8]) {
                let $own = self;
                $reshape;
            }

            fn put(&self, key: &[u8], value: u64) {
                let _ = self.insert(key, value) $($unwrap)*;
            }

            fn take(&self, key: &[u8]) {
                let _ = self.remove(key) $($unwrap)*;
            }

            fn pairs(&self) -> Vec<(Vec<u8>, u64)> {
                self.iter().collect()
            }

            fn all_keys(&self) -> impl DoubleEndedIterator<Item = Vec<u8>> {
                self.keys()
            }

            fn all_values(&self) -> impl DoubleEndedIterator<Item = u64> {
                self.values()
            }

            fn count(&self, prefix: &[u8]) -> usize {
                self.count_prefix(prefix)
            }

            fn longest<'k>(&self, key: &'k [u8]) -> Option<(&'k [u8], u64)> {
                self.get_longest_prefix(key).map(|(key, value)| (key, value.plain()))
            }

            fn prefixes<'k>(&self, key: &'k [u8]) -> Vec<(&'k [u8], u64)> {
                self.prefixes_of(key).into_iter().map(|(key, value)| (key, value.plain())).collect()
            }

            fn keep(&self, mut keep: impl FnMut(&[u8], u64) -> bool) {
                self.retain(|key, value| keep(key, value.plain())) $($unwrap)*;
            }

            fn cut(&self, range: Range<'_>) -> usize {
                self.remove_range::<[u8], _>(range) $($unwrap)*
            }

            fn cut_prefix(&self, prefix: &[u8]) -> usize {
                self.remove_prefix(prefix) $($unwrap)*
            }

            fn wipe(&self) {
                self.clear() $($unwrap)*;
            }

            fn add(&self, key: &[u8], n: u64) -> Option<u64> {
                let old = self.update(key, |value| value.plain().wrapping_add(n)) $($unwrap)*;
                old.map(|value| value.plain())
            }

            fn get_or(&self, key: &[u8], value: u64) -> u64 {
                let found = self.get_or_insert_with(key, || value) $($unwrap)*;
                found.plain()
            }

            fn pop(&self, last: bool) -> Option<(Vec<u8>, u64)> {
                let popped = if last { self.pop_last() } else { self.pop_first() } $($unwrap)*;
                popped.map(|(key, value)| (key, value.plain()))
            }
        }
    };
}

/// A value, or what lends it.
trait Plain {
    fn plain(&self) -> u64;
}

impl Plain for u64 {
    fn plain(&self) -> u64 {
        *self
    }
}

shared!(ConcurrentArt, ConcurrentArt::new(), |map, _key| map.reclaim(),);
shared!(ShardedArt, ShardedArt::with_boundaries(["a", "ab", "m"]), |map, key| map
    .split(key)
    .unwrap(),);
shared!(ConcurrentArenaArt<u64>, ConcurrentArenaArt::new(), |map, _key| map.reclaim(),);
shared!(HybridStore, HybridStore::new(), |store, _key| store.compact().unwrap(), .unwrap());

#[derive(Clone, Debug)]
enum Op {
    Insert(Vec<u8>, u64),
    /// Inserts every prefix of a key whose length a number divides.
    InsertPrefixes(Vec<u8>, usize),
    Prefixes(Vec<u8>),
    Count(Vec<u8>),
    RemoveRange(Bound<Vec<u8>>, Bound<Vec<u8>>),
    RemovePrefix(Vec<u8>),
    Retain(u64),
    Add(Vec<u8>, u64),
    GetOr(Vec<u8>, u64),
    Pop(bool),
    Clear,
    Reshape(Vec<u8>),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        20 => (key(), any::<u64>()).prop_map(|(k, v)| Op::Insert(k, v)),
        4 => (key(), 1usize..9).prop_map(|(k, n)| Op::InsertPrefixes(k, n)),
        4 => key().prop_map(Op::Prefixes),
        3 => key().prop_map(Op::Count),
        2 => (bound(), bound()).prop_map(|(a, b)| Op::RemoveRange(a, b)),
        2 => key().prop_map(Op::RemovePrefix),
        1 => (1u64..9).prop_map(Op::Retain),
        3 => (key(), any::<u64>()).prop_map(|(k, n)| Op::Add(k, n)),
        3 => (key(), any::<u64>()).prop_map(|(k, v)| Op::GetOr(k, v)),
        2 => any::<bool>().prop_map(Op::Pop),
        1 => Just(Op::Clear),
        3 => key().prop_map(Op::Reshape),
    ]
}

/// Asserts that a map finds the prefixes of a key as the model does.
fn finds_prefixes(map: &impl Shared, model: &Model, key: &[u8]) {
    let prefixes = (0..=key.len()).map(|n| &key[..n]);
    let want: Vec<(&[u8], u64)> =
        prefixes.filter_map(|prefix| Some((prefix, *model.get(prefix)?))).collect();
    assert_eq!(map.longest(key), want.last().copied());
    assert_eq!(map.prefixes(key), want);
}

fn step(map: &impl Shared, model: &mut Model, op: Op) {
    match op {
        Op::Insert(key, value) => {
            map.put(&key, value);
            model.insert(key, value);
        }
        Op::InsertPrefixes(key, n) => {
            for len in (0..=key.len()).filter(|len| len.is_multiple_of(n)) {
                map.put(&key[..len], len as u64);
                model.insert(key[..len].to_vec(), len as u64);
            }
            finds_prefixes(map, model, &key);
        }
        Op::Prefixes(key) => {
            finds_prefixes(map, model, &key);
            // Beyond a stored key.
            if let Some(stored) = model.range(key.clone()..).next().map(|(key, _)| key.clone()) {
                finds_prefixes(map, model, &[&stored[..], &key].concat());
            }
        }
        Op::Count(prefix) => assert_eq!(map.count(&prefix), prefixed(model, &prefix).len()),
        Op::RemoveRange(start, end) => {
            let gone = inside(model, &start, &end);
            gone.iter().for_each(|(key, _)| _ = model.remove(key));
            let range = (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice));
            assert_eq!(map.cut(range), gone.len());
        }
        Op::RemovePrefix(prefix) => {
            let gone = prefixed(model, &prefix);
            gone.iter().for_each(|(key, _)| _ = model.remove(key));
            assert_eq!(map.cut_prefix(&prefix), gone.len());
        }
        Op::Retain(n) => {
            let keep = |key: &[u8], value: u64| !(value ^ key.len() as u64).is_multiple_of(n + 1);
            let mut seen = Vec::new();
            map.keep(|key, value| {
                seen.push((key.to_vec(), value));
                keep(key, value)
            });
            assert!(seen.into_iter().eq(model.iter().map(|(k, v)| (k.clone(), *v))));
            model.retain(|key, value| keep(key, *value));
        }
        Op::Add(key, n) => {
            let value = model.get_mut(&key);
            let old = value.map(|value| std::mem::replace(value, value.wrapping_add(n)));
            assert_eq!(map.add(&key, n), old);
        }
        Op::GetOr(key, value) => {
            assert_eq!(map.get_or(&key, value), *model.entry(key).or_insert(value));
        }
        Op::Pop(last) => {
            let want = if last { model.pop_last() } else { model.pop_first() };
            assert_eq!(map.pop(last), want);
        }
        Op::Clear => {
            map.wipe();
            model.clear();
        }
        Op::Reshape(key) => map.reshape(&key),
    }
}

/// Returns the map and the model after all operations.
fn behaves_like_a_btreemap<M: Shared>(ops: Vec<Op>) -> (M, Model) {
    let (map, mut model) = (M::make(), Model::new());
    for op in ops {
        step(&map, &mut model, op);
    }
    assert!(map.pairs().into_iter().eq(model.clone()));
    is_both_ways(|| map.all_keys(), model.keys().cloned().collect());
    is_both_ways(|| map.all_values(), model.values().copied().collect());
    (map, model)
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    proptest::collection::vec(op(), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(100), ..ProptestConfig::default() })]

    #[test]
    fn concurrent_behaves_like_a_btreemap(ops in ops()) {
        let (map, model) = behaves_like_a_btreemap::<ConcurrentArt>(ops);
        let mut copy = map.clone();
        map.clear();
        copy.check().unwrap();
        assert_eq!(copy.len(), model.len());
        assert!(copy.into_iter().eq(model));
    }

    #[test]
    fn sharded_behaves_like_a_btreemap(ops in ops()) {
        let (map, model) = behaves_like_a_btreemap::<ShardedArt>(ops);
        let copy = map.clone();
        assert_eq!(copy.shards().len(), map.shards().len());
        map.clear();
        copy.check().unwrap();
        assert_eq!(copy.len(), model.len());
        assert!(copy.into_iter().eq(model));
    }

    #[test]
    fn arena_behaves_like_a_btreemap(ops in ops()) {
        behaves_like_a_btreemap::<ConcurrentArenaArt<u64>>(ops);
    }

    #[test]
    fn hybrid_behaves_like_a_btreemap(ops in ops()) {
        behaves_like_a_btreemap::<HybridStore>(ops);
    }
}

/// Two threads remove keys by their prefix and a third by a predicate, while others write beside
/// them and look prefixes up.
fn keeps_its_guarantees_beside_writers<M: Shared>() {
    const KEYS: u64 = if cfg!(miri) { 40 } else { 4000 };
    let map = M::make();
    for i in 0..KEYS {
        map.put(format!("old/{i:05}").as_bytes(), i);
        map.put(format!("odd/{i:05}").as_bytes(), i);
    }
    map.put(b"", 0);
    map.put(b"/api/", 1);
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (map, is_done) = (&map, &is_done);
        scope.spawn(move || {
            for i in (0u64..).take_while(|_| !is_done.load(Relaxed)) {
                let neighbour = ["olc/z", "old", "old.", "old0"][i as usize % 4];
                map.put(format!("{neighbour}{}", i % 97).as_bytes(), i);
                map.take(format!("{neighbour}{}", (i + 4) % 97).as_bytes());
                // Prefixes of what is looked up, and keys between.
                for key in [&b"/api/v1/"[..], b"/api/v1/us", b"/api/v1/usa", b"/a"] {
                    if i & 1 == 0 { map.put(key, 2) } else { map.take(key) }
                }
                // A key that is visited by `keep`, with a value that it keeps, or not.
                map.put(b"odd/x", i);
                if i % 64 == 0 {
                    map.reshape(format!("old/{:05}", i % KEYS).as_bytes());
                }
            }
        });
        scope.spawn(move || {
            let key = b"/api/v1/users";
            while !is_done.load(Relaxed) {
                let (found, value) = map.longest(key).unwrap();
                assert!(found.starts_with(b"/api/"));
                assert_eq!(value, if found == b"/api/" { 1 } else { 2 });
                let all = map.prefixes(key);
                assert!(all.is_sorted_by(|a, b| a.0.len() < b.0.len()));
                assert!(all.contains(&(&b""[..], 0)) && all.contains(&(&b"/api/"[..], 1)));
            }
        });
        let removers = [(); 2].map(|()| scope.spawn(|| map.cut_prefix(b"old/")));
        map.keep(|key, value| !key.starts_with(b"odd/") || value % 2 == 0 || key == b"odd/x");
        let removed = removers.map(|remover| remover.join().unwrap());
        is_done.store(true, Relaxed);
        assert_eq!(removed[0] + removed[1], KEYS as usize);
    });
    assert_eq!(map.count(b"old/"), 0);
    map.take(b"odd/x");
    let left = map.pairs().into_iter().filter(|(key, _)| key.starts_with(b"odd/"));
    assert!(left.map(|(_, value)| value).eq((0..KEYS).step_by(2)));
}

#[test]
fn concurrent_keeps_its_guarantees_beside_writers() {
    keeps_its_guarantees_beside_writers::<ConcurrentArt>();
}

#[test]
fn sharded_keeps_its_guarantees_beside_writers() {
    keeps_its_guarantees_beside_writers::<ShardedArt>();
}

#[test]
fn arena_keeps_its_guarantees_beside_writers() {
    keeps_its_guarantees_beside_writers::<ConcurrentArenaArt<u64>>();
}

#[test]
fn hybrid_keeps_its_guarantees_beside_writers() {
    keeps_its_guarantees_beside_writers::<HybridStore>();
}

/// Copies a map while another thread inserts, removes and splits between keys that stay.
fn copies_what_stays<M: Shared + Clone>() {
    const KEYS: u64 = if cfg!(miri) { 20 } else { 2000 };
    let map = M::make();
    (0..KEYS).for_each(|i| map.put(format!("{i:05}").as_bytes(), i));
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in (0..KEYS).cycle().take_while(|_| !is_done.load(Relaxed)) {
                map.put(format!("{i:05}x").as_bytes(), i);
                map.take(format!("{:05}x", (i + KEYS / 2) % KEYS).as_bytes());
                if i % 128 == 0 {
                    map.reshape(format!("{i:05}").as_bytes());
                }
            }
        });
        let copies: Vec<M> = (0..20).map(|_| map.clone()).collect();
        is_done.store(true, Relaxed);
        for copy in copies {
            let pairs = copy.pairs();
            assert!(pairs.is_sorted_by(|a, b| a.0 < b.0));
            let stay = pairs.iter().filter(|(key, _)| !key.ends_with(b"x"));
            assert!(stay.map(|(_, value)| *value).eq(0..KEYS));
        }
    });
}

#[test]
fn concurrent_copies_what_stays() {
    copies_what_stays::<ConcurrentArt>();
}

#[test]
fn sharded_copies_what_stays() {
    copies_what_stays::<ShardedArt>();
}

#[test]
fn keep_is_called_again_with_a_value_that_replaced_another() {
    let map = ConcurrentArt::from([("a", 1u64)]);
    let mut seen = Vec::new();
    map.retain(|key, value| {
        seen.push(value);
        if value == 1 {
            map.insert(key, 2);
        }
        value == 2
    });
    assert_eq!((seen, map.get("a")), (vec![1, 2], Some(2)));
}

#[test]
fn keys_of_values_that_cannot_be_cloned() {
    struct Opaque;
    let map = ConcurrentArenaArt::from([("b", Opaque), ("a", Opaque)]);
    assert_eq!(format!("{:?}", map.keys()), r#"["a", "b"]"#);
    assert_eq!(map.remove_range("a"..="b"), 2);
}
