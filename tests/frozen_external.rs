//! Layers built from keys in any order, against `BTreeMap`: every rule for duplicates, budgets,
//! threads and orders, and errors.

use crate::common;

use common::rng::Rng;
use common::test_path::TestPath;
use memkv::{
    Codec, ExternalBuilder, FrozenError, FrozenLayer, FrozenOptions, OnDuplicate, SymbolTable,
    Value, ValueWidth,
};
use std::collections::BTreeMap;
use std::fmt::Debug;

const RULES: [OnDuplicate; 3] = [OnDuplicate::First, OnDuplicate::Last, OnDuplicate::Sum];

/// The least budget, with which some tens of thousands of keys are spilled.
const LEAST: usize = 1 << 20;

fn key(i: u64) -> Vec<u8> {
    format!("https://{}.example.org/articles/{:x}/{i:08}.html", i % 97, i / 1000).into_bytes()
}

/// Returns records of which about a third have a key that another has, in random order.
fn records<V>(count: u64, value: impl Fn(u64) -> V) -> Vec<(Vec<u8>, V)> {
    let mut rng = Rng(7);
    (0..count).map(|i| (key(rng.below(count)), value(i))).collect()
}

fn model<V: Copy>(
    records: &[(Vec<u8>, V)],
    rule: OnDuplicate,
    add: impl Fn(V, V) -> V,
) -> BTreeMap<Vec<u8>, V> {
    let mut model = BTreeMap::new();
    for (key, value) in records {
        model
            .entry(key.clone())
            .and_modify(|old| match rule {
                OnDuplicate::First => {}
                OnDuplicate::Sum => *old = add(*old, *value),
                _ => *old = *value,
            })
            .or_insert(*value);
    }
    model
}

/// Checks what each way to build from unsorted records makes, with each rule.
fn check<V: Value + Send + Sync + Debug + PartialEq>(
    rules: &[OnDuplicate],
    value: impl Fn(u64) -> V,
    add: impl Fn(V, V) -> V,
) {
    let records = records(25_000, value);
    let path = TestPath::new("layer");
    for &rule in rules {
        let model = model(&records, rule, &add);
        let options = FrozenOptions::new().symbols(SymbolTable::Fsst).on_duplicate(rule);
        let in_memory = options.from_unsorted_as(records.clone()).unwrap();
        assert!(in_memory.iter().eq(model.clone()), "{rule:?}");
        let mut files = Vec::new();
        for memory in [LEAST, 3 * LEAST, 64 << 20] {
            let pairs = records.iter().map(|(key, value)| (key, *value));
            let keys = options.clone().memory(memory).build_external_as(&path, pairs).unwrap();
            assert_eq!(keys as usize, model.len());
            let layer = FrozenLayer::<V>::open_as(&path).unwrap();
            assert!(layer.iter().eq(model.clone()), "{rule:?}, {memory} bytes");
            files.push(std::fs::read(&path).unwrap());
        }
        assert!(files.iter().all(|file| *file == files[0]), "{rule:?}");
    }
}

#[test]
fn every_rule_with_every_type_is_as_a_map_does_it() {
    check(&RULES, |i| i * i, |a, b| a + b);
    check(&RULES, |i| (i as i32).wrapping_mul(7919) % 1_000_000, |a, b| a + b);
    check(&RULES, |i| 1.0 / (i as f64 - 12_000.5), |a, b| a + b);
    check(&RULES[..2], |_| (), |(), ()| ());
    check(&RULES[..2], |i| i % 3 == 0, |a, _| a);
}

/// Returns the bytes of a layer that is built from keys in some order.
fn built(options: &FrozenOptions, count: u64, order: impl Fn(u64) -> u64) -> Vec<u8> {
    let mut builder = ExternalBuilder::new(options.clone()).unwrap();
    for i in (0..count).map(order) {
        builder.insert(key(i), i).unwrap();
    }
    assert_eq!((builder.len(), builder.is_empty()), (count, false));
    builder.finish().unwrap().to_bytes()
}

#[test]
fn neither_memory_nor_threads_nor_the_order_change_the_bytes() {
    const COUNT: u64 = 30_000;
    for (codec, symbols) in [
        (Codec::Packed, SymbolTable::Auto),
        (Codec::Packed, SymbolTable::OnPair),
        (Codec::Packed, SymbolTable::None),
        (Codec::Fst, SymbolTable::Auto),
    ] {
        let options = FrozenOptions::new().codec(codec).symbols(symbols).chunk_keys(7000);
        let bytes = built(&options, COUNT, |i| i);
        assert_eq!(FrozenLayer::from_bytes(bytes.clone()).unwrap().len() as u64, COUNT);
        for (memory, threads) in [(LEAST, 1), (5 * LEAST, 3), (2 * LEAST, 2)] {
            let options = options.clone().memory(memory).threads(threads);
            let other = built(&options, COUNT, |i| i * 7919 % COUNT);
            assert!(other == bytes, "{codec:?} {symbols:?}, {memory} bytes, {threads} threads");
            assert!(built(&options, COUNT, |i| COUNT - 1 - i) == bytes);
        }
    }
}

#[test]
fn long_keys_are_spilled() {
    let options = FrozenOptions::new().memory(LEAST);
    let mut rng = Rng(3);
    let records: Vec<(Vec<u8>, u64)> =
        (0..60).map(|i| (vec![rng.below(9) as u8; 1 + rng.below(300_000) as usize], i)).collect();
    let model = model(&records, OnDuplicate::Last, |a, _| a);
    let mut builder = ExternalBuilder::new(options.clone()).unwrap();
    records.iter().for_each(|(key, value)| builder.insert(key, *value).unwrap());
    let layer = builder.finish().unwrap();
    assert!(layer.iter().eq(model));
    let mut large = ExternalBuilder::new(FrozenOptions::new()).unwrap();
    records.iter().rev().for_each(|(key, value)| large.insert(key, *value).unwrap());
    assert!(large.finish().unwrap().keys().eq(layer.keys()));
}

#[test]
fn nothing_is_built_of_nothing() {
    let path = TestPath::new("empty");
    let none: [(&str, u64); 0] = [];
    assert_eq!(FrozenOptions::new().build_external(&path, none).unwrap(), 0);
    assert!(FrozenLayer::open(&path).unwrap().is_empty());
    assert_eq!(FrozenOptions::new().build_external(&path, [("", 7)]).unwrap(), 1);
    assert_eq!(FrozenLayer::open(&path).unwrap().get(""), Some(7));
    let set = FrozenOptions::new().values(ValueWidth::None);
    assert_eq!(set.build_external(&path, [("b", 7), ("a", 8)]).unwrap(), 2);
    assert_eq!(FrozenLayer::open(&path).unwrap().get("b"), Some(0));
}

#[test]
fn a_key_that_does_not_fit_is_refused_and_others_follow() {
    let mut builder = ExternalBuilder::new(FrozenOptions::new().memory(LEAST)).unwrap();
    let longest = builder.max_record_len();
    assert!((400 << 10..512 << 10).contains(&longest), "{longest}");
    builder.insert("b", 1).unwrap();
    match builder.insert(vec![b'x'; longest + 1], 2) {
        Err(FrozenError::RecordOverMemory { position: 1, len, limit }) => {
            assert_eq!((len, limit), (longest + 1, longest));
        }
        other => panic!("{other:?}"),
    }
    builder.insert(vec![b'x'; longest], 3).unwrap();
    builder.insert("a", 4).unwrap();
    let layer = builder.finish().unwrap();
    assert_eq!((layer.len(), layer.get("a"), layer.get("b")), (3, Some(4), Some(1)));
}

#[test]
fn errors_are_typed_and_leave_nothing() {
    let folder = TestPath::new("errors");
    std::fs::create_dir(&folder).unwrap();
    let (path, missing) = (folder.join("layer"), folder.join("missing"));
    for options in [FrozenOptions::new().memory(LEAST - 1), FrozenOptions::new().threads(0)] {
        assert!(matches!(ExternalBuilder::create(&path, options), Err(FrozenError::Option(_))));
    }
    let elsewhere = FrozenOptions::new().temp_folder(&missing);
    match ExternalBuilder::create(&path, elsewhere) {
        Err(FrozenError::File(error)) => {
            assert_eq!(error.path(), missing);
            assert!(error.to_string().starts_with("cannot create a temporary file in "), "{error}");
        }
        other => panic!("{other:?}"),
    }
    let created = ExternalBuilder::create(missing.join("layer"), FrozenOptions::new());
    assert!(matches!(created, Err(FrozenError::File(_))));
    // Types without sums.
    let sum = FrozenOptions::new().on_duplicate(OnDuplicate::Sum);
    let refused = [
        sum.build_external_as(&path, [("a", ())]).err(),
        sum.build_external_as(&path, [("a", 'b')]).err(),
        sum.from_unsorted_as(vec![("a", true)]).err(),
    ];
    assert!(refused.iter().all(|error| matches!(error, Some(FrozenError::Option(_)))));
    // In memory and through files.
    let last = u64::from(u32::MAX);
    for count in [2, 30_000u64] {
        let values = (0..count).map(|i| (key(i / 2), u32::MAX - (i % 2) as u32));
        let options = FrozenOptions::new().memory(LEAST);
        let error = options.clone().on_duplicate(OnDuplicate::Error);
        match error.build_external_as(&path, values.clone()) {
            Err(FrozenError::Repeated { key: named }) => assert!(named.ends_with(b".html")),
            other => panic!("{other:?}"),
        }
        match options.on_duplicate(OnDuplicate::Sum).build_external_as(&path, values) {
            Err(FrozenError::SumOverflow { key: named, kind: memkv::ValueKind::U32 }) => {
                assert_eq!(named, key(0));
            }
            other => panic!("{other:?}"),
        }
    }
    let pairs = vec![("a", last), ("a", u64::MAX)];
    let error = sum.from_unsorted(pairs.clone()).unwrap_err().to_string();
    assert_eq!(error, "the sum of the values of \"a\" is not within 0 to 18446744073709551615");
    let error = FrozenOptions::new().on_duplicate(OnDuplicate::Error).from_unsorted(pairs);
    assert!(matches!(error, Err(FrozenError::Repeated { key }) if key == b"a"));
    assert!(std::fs::read_dir(&folder).unwrap().next().is_none());
}

#[test]
fn layers_are_merged_by_the_rule() {
    let layers = [[("a", 1), ("b", 2)], [("b", 30), ("c", 40)], [("b", 500), ("d", 600)]]
        .map(|pairs| FrozenLayer::from_sorted(&pairs).unwrap());
    let merged = |rule| {
        let layer = FrozenLayer::merge(&layers, FrozenOptions::new().on_duplicate(rule))?;
        Ok::<_, FrozenError>(layer.values().collect::<Vec<u64>>())
    };
    assert_eq!(merged(OnDuplicate::First).unwrap(), [1, 2, 40, 600]);
    assert_eq!(merged(OnDuplicate::Last).unwrap(), [1, 500, 40, 600]);
    assert_eq!(merged(OnDuplicate::Sum).unwrap(), [1, 532, 40, 600]);
    assert!(
        matches!(merged(OnDuplicate::Error), Err(FrozenError::Repeated { key }) if key == b"b")
    );
    let sets = [FrozenLayer::from_sorted_as(&[("a", ())]).unwrap()];
    let sum = FrozenOptions::new().on_duplicate(OnDuplicate::Sum);
    assert!(matches!(FrozenLayer::merge(&sets, sum), Err(FrozenError::Option(_))));
}

#[test]
fn progress_ends_with_all() {
    let path = TestPath::new("progress");
    for memory in [LEAST, 64 << 20] {
        let options = FrozenOptions::new().memory(memory);
        let mut builder = ExternalBuilder::create(&path, options).unwrap();
        (0..30_000).for_each(|i| builder.insert(key(i * 7 % 30_000), i).unwrap());
        let mut calls = Vec::new();
        assert_eq!(builder.finish_file_with(|at, all| calls.push((at, all))).unwrap(), 30_000);
        assert!(calls.len() > 5 && calls.is_sorted());
        assert_eq!((calls[0], *calls.last().unwrap()), ((0, 30_000), (30_000, 30_000)));
    }
}
