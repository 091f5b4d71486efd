//! `HybridStore` against `BTreeMap`: every operation, with compactions, saves and reopenings at
//! random points, in memory and in a folder.

use crate::common;

use common::test_path::TestPath;
use common::{bound, cases, inside, key};
use memkv::{
    FrozenLayer, FrozenOptions, HybridError, HybridOptions, HybridStore, SymbolTable, Wal,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::Bound;

type Model = BTreeMap<Vec<u8>, u64>;

#[derive(Clone, Debug)]
enum Op {
    Insert(Vec<u8>, u64),
    Remove(Vec<u8>),
    RemoveNth(usize),
    Update(usize, u64),
    Exchange(Vec<u8>, Option<u64>, Option<u64>),
    Add(Vec<u8>),
    Get(Vec<u8>),
    Range(Bound<Vec<u8>>, Bound<Vec<u8>>, Vec<bool>),
    Prefix(Vec<u8>),
    Compact,
    Reclaim,
    Read,
    Sync,
    /// Saves to another folder, and continues with the store of that folder.
    Save,
    /// Drops the store, and opens its folder.
    Reopen(bool),
}

/// Values, among them those that a delta uses as marks.
fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => 0u64..5,
        2 => Just(u64::MAX),
        2 => Just(u64::MAX - 1),
        1 => Just(u64::MAX - 2),
        1 => any::<u64>(),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (key(), value()).prop_map(|(k, v)| Op::Insert(k, v)),
        3 => key().prop_map(Op::Remove),
        5 => any::<usize>().prop_map(Op::RemoveNth),
        5 => (any::<usize>(), value()).prop_map(|(n, v)| Op::Update(n, v)),
        3 => (key(), proptest::option::of(value()), proptest::option::of(value()))
            .prop_map(|(k, a, b)| Op::Exchange(k, a, b)),
        3 => key().prop_map(Op::Add),
        3 => key().prop_map(Op::Get),
        4 => (bound(), bound(), proptest::collection::vec(any::<bool>(), 0..40))
            .prop_map(|(a, b, s)| Op::Range(a, b, s)),
        2 => key().prop_map(Op::Prefix),
        2 => Just(Op::Compact),
        1 => Just(Op::Reclaim),
        2 => Just(Op::Read),
        1 => Just(Op::Sync),
        1 => Just(Op::Save),
        2 => any::<bool>().prop_map(Op::Reopen),
    ]
}

fn options(chunk: usize, wal: Wal) -> HybridOptions {
    let frozen = FrozenOptions::new().chunk_keys(chunk).symbols(SymbolTable::Fsst);
    HybridOptions::new().frozen(frozen).wal(wal).background(false).threads(1)
}

fn check_all(store: &HybridStore, model: &Model) {
    assert_eq!(store.len(), model.len());
    assert_eq!(store.is_empty(), model.is_empty());
    let pairs: Vec<(Vec<u8>, u64)> =
        model.iter().map(|(key, value)| (key.clone(), *value)).collect();
    assert!(store.iter().eq(pairs.iter().cloned()));
    assert!(store.iter().rev().eq(pairs.iter().rev().cloned()));
    assert_eq!(store.iter().count(), pairs.len());
    assert_eq!(store.first_key_value(), pairs.first().cloned());
    assert_eq!(store.last_key_value(), pairs.last().cloned());
    let mut keys: Vec<Vec<u8>> = model.keys().cloned().collect();
    keys.extend(pairs.iter().map(|(key, _)| [&key[..], b"!"].concat()));
    assert_eq!(
        store.get_many(&keys),
        keys.iter().map(|key| model.get(key).copied()).collect::<Vec<_>>()
    );
    for key in keys {
        assert_eq!(store.get(&key), model.get(&key).copied());
        assert_eq!(store.contains_key(&key), model.contains_key(&key));
    }
}

/// Runs the operations, and checks each. With `folder` the store is in a folder; without a log,
/// only saved changes are present when it is reopened.
fn run(ops: Vec<Op>, chunk: usize, folder: bool, wal: Wal) {
    let mut folder = folder.then(|| TestPath::new("store"));
    let open = |folder: &Option<TestPath>| match folder {
        Some(folder) => HybridStore::open_with(folder, options(chunk, wal)).unwrap(),
        None => HybridStore::with_options(options(chunk, wal)).unwrap(),
    };
    let mut store = open(&folder);
    let mut reader: Option<HybridStore> = None;
    let mut model = Model::new();
    let nth = |model: &Model, n: usize| model.keys().nth(n % model.len().max(1)).cloned();
    for op in ops {
        match op {
            Op::Insert(key, value) => {
                assert_eq!(store.insert(&key, value).unwrap(), model.insert(key, value))
            }
            Op::Remove(key) => assert_eq!(store.remove(&key).unwrap(), model.remove(&key)),
            Op::RemoveNth(n) => {
                if let Some(key) = nth(&model, n) {
                    assert_eq!(store.remove(&key).unwrap(), model.remove(&key));
                }
            }
            Op::Update(n, value) => {
                if let Some(key) = nth(&model, n) {
                    assert_eq!(store.insert(&key, value).unwrap(), model.insert(key, value));
                }
            }
            Op::Exchange(key, current, new) => {
                let old = model.get(&key).copied();
                let want = if old == current { Ok(old) } else { Err(old) };
                let got = store.compare_exchange(&key, current, new);
                assert_eq!(got.map_err(|error| error.into_current().unwrap()), want);
                match new.filter(|_| want.is_ok()) {
                    Some(new) => _ = model.insert(key, new),
                    None if want.is_ok() => _ = model.remove(&key),
                    None => {}
                }
            }
            Op::Add(key) => {
                let old = model.get(&key).copied();
                let add = |old: Option<u64>| old.map_or(u64::MAX - 1, |old| old.wrapping_add(1));
                assert_eq!(
                    store.compute(&key, |old| Some(add(old))).unwrap(),
                    (old, Some(add(old)))
                );
                model.insert(key, add(old));
            }
            Op::Get(key) => assert_eq!(store.get(&key), model.get(&key).copied()),
            Op::Range(start, end, steps) => {
                let mut want = inside(&model, &start, &end).into_iter();
                let mut range = store.range((start, end));
                for front in steps {
                    let found = if front { range.next() } else { range.next_back() };
                    assert_eq!(found, if front { want.next() } else { want.next_back() });
                }
                assert!(range.eq(want));
            }
            Op::Prefix(prefix) => {
                let want = model
                    .iter()
                    .filter(|(key, _)| key.starts_with(&prefix))
                    .map(|(key, value)| (key.clone(), *value));
                assert!(store.prefix(&prefix).eq(want));
            }
            Op::Compact => {
                store.compact().unwrap();
                assert_eq!((store.stats().delta_keys, store.stats().base_keys), (0, model.len()));
                check_all(&store, &model);
            }
            Op::Reclaim => store.reclaim(),
            // A reader of the folder, which is kept, sees what was written, also after compactions.
            Op::Read => {
                if let Some(folder) = folder.as_ref().filter(|_| wal == Wal::Written) {
                    let reader =
                        reader.get_or_insert_with(|| HybridStore::open_read_only(folder).unwrap());
                    reader.refresh().unwrap();
                    check_all(reader, &model);
                    assert!(matches!(reader.insert("a", 1), Err(HybridError::ReadOnly)));
                }
            }
            // A store in memory cannot promise this.
            Op::Sync => match store.sync() {
                Err(HybridError::NotInFolder) => assert!(folder.is_none()),
                synced => synced.unwrap(),
            },
            Op::Save => {
                let next = TestPath::new("store");
                store.save(&next).unwrap();
                check_all(&store, &model);
                let copy = HybridStore::open_with(&next, options(chunk, wal)).unwrap();
                check_all(&copy, &model);
                if folder.is_some() {
                    store = copy;
                    folder = Some(next);
                    reader = None;
                }
            }
            Op::Reopen(compact) => {
                if folder.is_some() {
                    if compact || wal == Wal::Off {
                        store.compact().unwrap();
                    }
                    drop(store);
                    store = open(&folder);
                    check_all(&store, &model);
                }
            }
        }
        assert_eq!(store.len(), model.len());
    }
    check_all(&store, &model);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(64), ..ProptestConfig::default() })]

    #[test]
    fn in_memory_as_a_btreemap(
        ops in proptest::collection::vec(op(), 0..150),
        chunk in prop_oneof![Just(1usize), Just(5), Just(1 << 16)],
    ) {
        memkv::code_small_maps();
        run(ops, chunk, false, Wal::Off);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(24), ..ProptestConfig::default() })]

    #[test]
    fn in_a_folder_as_a_btreemap(
        ops in proptest::collection::vec(op(), 0..80),
        chunk in prop_oneof![Just(2usize), Just(1 << 16)],
    ) {
        run(ops, chunk, true, Wal::Off);
    }

    #[test]
    fn by_default_with_a_reader_as_a_btreemap(
        ops in proptest::collection::vec(op(), 0..80),
        chunk in prop_oneof![Just(2usize), Just(1 << 16)],
    ) {
        run(ops, chunk, true, Wal::Written);
    }

    #[test]
    fn with_a_log_as_a_btreemap(
        ops in proptest::collection::vec(op(), 0..60),
        chunk in prop_oneof![Just(2usize), Just(1 << 16)],
    ) {
        run(ops, chunk, true, Wal::Buffered);
    }
}

#[test]
fn long_keys_and_too_long_ones() {
    let folder = TestPath::new("store");
    let store = HybridStore::open_with(&folder, options(3, Wal::Buffered)).unwrap();
    let mut model = Model::new();
    for len in [0, 1, 254, 255, 256, 65_535, 65_536, 65_537, 200_000] {
        for end in [&b""[..], b"\0", b"\xFF"] {
            let key = [&vec![b'k'; len][..], end].concat();
            store.insert(&key, u64::MAX - len as u64 % 3).unwrap();
            model.insert(key, u64::MAX - len as u64 % 3);
        }
        if len % 2 == 0 {
            store.compact().unwrap();
        }
    }
    check_all(&store, &model);
    let error = store.insert(vec![0; memkv::MAX_KEY_LEN + 1], 1).unwrap_err();
    assert!(matches!(error, memkv::HybridError::Insert(memkv::InsertError::KeyTooLong { .. })));
    assert_eq!(store.get(vec![0; memkv::MAX_KEY_LEN + 1]), None);
    drop(store);
    check_all(&HybridStore::open(&folder).unwrap(), &model);
}

fn url(i: usize) -> String {
    format!("https://www.host{}.example/path/{:03}/page-{i:07}.html", i / 5000, i / 50 % 100)
}

#[test]
fn writes_in_one_place_leave_the_other_chunks_alone() {
    let pairs: Vec<(String, u64)> = (0..100_000).map(|i| (url(i), i as u64)).collect();
    let frozen = FrozenOptions::new().chunk_keys(1000);
    let mut sorted = pairs.clone();
    sorted.sort();
    let base = frozen.from_sorted(&sorted).unwrap();
    let store = HybridStore::with_base(base, HybridOptions::new().frozen(frozen).background(false))
        .unwrap();
    for (key, _) in &sorted[40_000..45_000] {
        store.insert(key, 1).unwrap();
    }
    store.compact().unwrap();
    let stats = store.stats();
    assert_eq!((stats.last_reused, stats.last_encoded, stats.base_keys), (95, 5, 100_000));
    // This range is kept throughout.
    let mut range = store.iter();
    for (i, (key, value)) in sorted.iter().enumerate() {
        if i % 30_000 == 10 {
            store.insert(&sorted[99_999].0, 7).unwrap();
            store.compact().unwrap();
        }
        let want = match i {
            40_000..45_000 => 1,
            99_999 => 7,
            _ => *value,
        };
        assert_eq!(range.next_ref(), Some((key.as_bytes(), want)));
    }
    assert_eq!(range.next_ref(), None);
}

#[test]
fn the_background_compacts() {
    let options = HybridOptions::new()
        .compact_bytes(64 << 10)
        .compact_percent(1)
        .frozen(FrozenOptions::new().chunk_keys(5000));
    let store = HybridStore::with_options(options).unwrap();
    for i in 0..60_000 {
        store.insert(url(i), i as u64).unwrap();
    }
    let begin = std::time::Instant::now();
    while store.stats().compactions == 0 {
        assert!(begin.elapsed().as_secs() < 60, "{:?}", store.stats());
        std::thread::yield_now();
    }
    assert_eq!(store.len(), 60_000);
    assert_eq!(store.stats().failures, 0);
    assert!(store.stats().base_keys > 0);
    assert!((0..60_000).all(|i| store.get(url(i)) == Some(i as u64)));
}

#[test]
fn memory_is_that_of_base_and_changes() {
    let mut pairs: Vec<(String, u64)> = (0..50_000).map(|i| (url(i), i as u64)).collect();
    pairs.sort();
    let base = FrozenLayer::from_sorted(&pairs).unwrap();
    let store = HybridStore::from(base.clone());
    let usage = store.memory_usage();
    assert_eq!(usage.base, base.memory_usage().total());
    assert!(usage.total() - usage.retired < usage.base + 8192);
}
