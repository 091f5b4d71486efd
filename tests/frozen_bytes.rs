//! Layers of byte strings against `BTreeMap`: what is read back, files, and damaged files.

use crate::common;

use common::forge::{ENTRY_BYTES, FOOTER_BYTES, directory, mend, mend_length, word};
use common::frozen_kinds::kinds;
use common::mapped::mapped_as;
use common::test_path::TestPath;
use fst::automaton::AlwaysMatch;
use memkv::{
    ArenaArt, BytesLayer, BytesLayerBuilder, FrozenError, FrozenLayer, FrozenOptions,
    MAX_VALUE_LEN, OnDuplicate, SymbolTable, ValueKind, ValueWidth,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::PathBuf;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn text() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just(b"text/html ".to_vec()),
        Just(b"https://www.".to_vec()),
        Just(vec![0xFF; 3]),
        Just(vec![0]),
        any::<u8>().prop_map(|byte| vec![byte]),
    ];
    proptest::collection::vec(word, 0..8).prop_map(|words| words.concat())
}

/// Checks all that a layer returns against a map.
fn check(layer: &BytesLayer, model: &Model) {
    let pairs = || model.iter().map(|(key, value)| (key.clone(), value.clone()));
    assert_eq!(layer.len(), model.len());
    assert!(layer.iter().eq(pairs()));
    assert!(layer.iter().rev().eq(pairs().rev()));
    assert!(layer.clone().into_iter().eq(pairs()));
    assert!(layer.keys().eq(model.keys().cloned()));
    assert!(layer.values().eq(model.values().cloned()));
    assert!(layer.values().rev().eq(model.values().rev().cloned()));
    assert_eq!(layer.first_key_value(), pairs().next());
    assert_eq!(layer.last_key_value(), pairs().next_back());
    let keys: Vec<&[u8]> = model.keys().map(Vec::as_slice).chain([&b"no such key"[..]]).collect();
    let expected: Vec<Option<Vec<u8>>> = keys.iter().map(|key| model.get(*key).cloned()).collect();
    assert_eq!(layer.get_many(&keys), expected);
    let mut found = Vec::new();
    layer.get_many_with(&keys, |value| found.push(value.map(<[u8]>::to_vec)));
    assert_eq!(found, expected);
    assert_eq!(
        layer.contains_many(&keys),
        expected.iter().map(Option::is_some).collect::<Vec<_>>()
    );
    let (mut cursor, mut out) = (layer.cursor(), b"before".to_vec());
    for (rank, (key, value)) in model.iter().enumerate() {
        assert_eq!(layer.get(key).as_ref(), Some(value));
        out.truncate(6);
        assert!(layer.get_into(key, &mut out));
        assert_eq!(out, [b"before", &value[..]].concat());
        assert_eq!(layer.select(rank), Some((key.clone(), value.clone())));
        assert_eq!(cursor.peek(), Some((&key[..], &value[..])));
        assert_eq!(cursor.next(), Some((&key[..], &value[..])));
        assert_eq!(layer.get_longest_prefix(key), Some((&key[..], value.clone())));
        let range = (Bound::Excluded(&key[..]), Bound::Unbounded);
        assert!(layer.range::<[u8], _>(range).eq(pairs().skip(rank + 1)));
    }
    for (key, value) in model.iter().rev() {
        assert_eq!(cursor.prev(), Some((&key[..], &value[..])));
    }
    assert!(layer.search(AlwaysMatch).eq(pairs()));
    let mut search = layer.search(AlwaysMatch);
    for (key, value) in model {
        assert_eq!(search.next_ref(), Some((&key[..], &value[..])));
    }
    use rayon::prelude::*;
    assert_eq!(layer.par_iter().collect::<Model>(), *model);
    assert_eq!(layer.into_par_iter().collect::<Model>(), *model);
    layer.verify().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 24 }))]

    #[test]
    fn reads_as_a_btreemap(
        model in proptest::collection::btree_map(text(), text(), 0..60),
        other in proptest::collection::btree_map(text(), text(), 0..60),
    ) {
        let pairs: Vec<(&Vec<u8>, &Vec<u8>)> = model.iter().collect();
        for options in kinds() {
            let options = options.chunk_keys(17);
            let layer = options.from_sorted_bytes(&pairs).unwrap();
            check(&layer, &model);
            let bytes = layer.to_bytes();
            let mut builder = options.builder_as::<[u8]>().unwrap();
            pairs.iter().for_each(|(key, value)| builder.insert(key, value).unwrap());
            prop_assert_eq!(builder.finish().unwrap().to_bytes(), &bytes[..]);
            check(&BytesLayer::from_bytes_as(bytes.clone()).unwrap(), &model);
            check(&mapped_as::<[u8]>(&bytes).unwrap(), &model);
            // Of equal keys the value of the last layer wins.
            let other_layer =
                options.from_unsorted_bytes(other.clone().into_iter().collect()).unwrap();
            let merged = FrozenLayer::merge([&layer, &other_layer], options).unwrap();
            let mut both = model.clone();
            both.extend(other.clone());
            check(&merged, &both);
            prop_assert_eq!(merged == layer, both == model);
        }
        let map: ArenaArt<Vec<u8>> = model.clone().into_iter().collect();
        let layer = BytesLayer::from(&map);
        check(&layer, &model);
        prop_assert_eq!(layer.thaw().unwrap(), map);
        let mut doubled: Vec<_> = other.clone().into_iter().rev().collect();
        doubled.extend(model.clone());
        let mut both = other;
        both.extend(model.clone());
        check(&doubled.iter().cloned().collect(), &both);
        check(&FrozenLayer::from_unsorted_bytes(doubled).unwrap(), &both);
    }
}

/// Records that resemble each other, and in between one that does not and one that is long.
pub(crate) fn records(count: usize) -> Model {
    let mut state = 7u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state >> 33
    };
    (0..count)
        .map(|i| {
            let value = match i % 100 {
                50 => (0..40).map(|_| random() as u8).collect(),
                51 => format!("{i} ").repeat(2000).into_bytes(),
                52 => Vec::new(),
                _ => format!("status=200 type=text/html bytes={} user={}", random() % 9999, i % 7)
                    .into_bytes(),
            };
            (format!("https://example.org/{i:05}").into_bytes(), value)
        })
        .collect()
}

#[test]
fn records_become_small_and_come_back() {
    let model = records(3000);
    let raw: usize = model.values().map(Vec::len).sum();
    for options in kinds() {
        let pairs: Vec<(&Vec<u8>, &Vec<u8>)> = model.iter().collect();
        let layer = options.clone().chunk_keys(1000).from_sorted_bytes(&pairs).unwrap();
        check(&layer, &model);
        let usage = layer.memory_usage();
        if options.from_sorted(&[("a", 1)]).unwrap().codec() == memkv::Codec::Fst {
            assert!(usage.values + usage.symbols < raw / 2, "{usage:?} of {raw}");
        }
        assert_eq!(layer.chunks(), 3);
        for threads in [1, 5] {
            let options = options.clone().chunk_keys(1000).threads(threads);
            assert!(options.from_sorted_bytes(&pairs).unwrap().to_bytes() == layer.to_bytes());
        }
    }
    let layer: BytesLayer = model.iter().collect();
    assert!(layer.memory_usage().values < raw / 2, "{:?} of {raw}", layer.memory_usage());
}

#[test]
fn chunks_end_when_their_values_are_long() {
    let value = |i: usize| vec![i as u8; 5 << 20];
    let mut builder = BytesLayerBuilder::typed().unwrap();
    for i in 0..9 {
        builder.insert(i.to_string(), &value(i)).unwrap();
    }
    let layer = builder.finish().unwrap();
    assert_eq!(layer.chunks(), 3);
    assert!((0..9).all(|i| layer.get(i.to_string()) == Some(value(i))));
}

#[test]
fn values_beyond_the_limit_are_refused() {
    // Zeros that nothing writes to take no memory.
    let long = vec![0; MAX_VALUE_LEN + 1];
    let mut builder = BytesLayerBuilder::typed().unwrap();
    builder.insert("a", b"x").unwrap();
    let error = builder.insert("b", &long).unwrap_err();
    assert!(
        matches!(error, FrozenError::ValueTooLong { position: 1, len } if len == long.len()),
        "{error}"
    );
    builder.insert("b", b"y").unwrap();
    assert_eq!(builder.finish().unwrap().len(), 2);
    let pairs = [("a", &b"x"[..]), ("b", &long)];
    let error = FrozenLayer::from_sorted_bytes(&pairs).unwrap_err();
    assert_eq!(
        error.to_string(),
        "value 1, of 1073741825 bytes, is over the limit of 1073741824 bytes"
    );
}

#[test]
fn files_of_byte_strings_and_of_numbers_are_told_apart() {
    let path = TestPath::new("bytes");
    let mut builder = BytesLayerBuilder::create_as(&*path, FrozenOptions::new()).unwrap();
    let model = records(200);
    model.iter().for_each(|(key, value)| builder.insert(key, value).unwrap());
    assert_eq!(builder.finish_file().unwrap(), 200);
    check(&BytesLayer::open_as(&*path).unwrap(), &model);
    let Err(FrozenError::Values { found, expected }) = FrozenLayer::open(&*path) else { panic!() };
    assert_eq!((found, expected), (ValueKind::Bytes, ValueKind::U64));
    FrozenLayer::from_sorted(&[("a", 1)]).unwrap().save(&*path).unwrap();
    let Err(FrozenError::Values { found, expected }) = BytesLayer::open_as(&*path) else {
        panic!()
    };
    assert_eq!((found, expected), (ValueKind::U64, ValueKind::Bytes));
}

/// A file of version 2 always opens, and the same values give the same bytes.
#[test]
fn a_golden_file_of_byte_strings_opens() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v2-bytes.frozen");
    let model = records(120);
    let pairs: Vec<(&Vec<u8>, &Vec<u8>)> = model.iter().collect();
    let options = FrozenOptions::new().chunk_keys(40).symbols(memkv::SymbolTable::Fsst);
    let built = options.from_sorted_bytes(&pairs).unwrap();
    if std::env::var_os("MEMKV_WRITE_GOLDEN").is_some() {
        built.save(&path).unwrap();
    }
    assert_eq!(built.to_bytes(), std::fs::read(&path).unwrap());
    check(&BytesLayer::open_as(&path).unwrap(), &model);
}

/// A small file of two chunks.
fn file(options: &FrozenOptions) -> Vec<u8> {
    let model = records(60);
    let pairs: Vec<(Vec<u8>, Vec<u8>)> = model
        .into_iter()
        .map(|(key, value)| (key, value[..value.len().min(30)].to_vec()))
        .collect();
    options.clone().chunk_keys(40).from_sorted_bytes(&pairs).unwrap().to_bytes()
}

/// Whatever byte of the file is another one, it is an error.
#[test]
fn every_byte_counts() {
    for options in kinds() {
        let bytes = file(&options);
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << (at % 8);
            assert!(BytesLayer::from_bytes_as(bytes).is_err(), "byte {at}");
        }
        for len in 0..bytes.len() {
            assert!(BytesLayer::from_bytes_as(bytes[..len].to_vec()).is_err(), "{len} bytes");
        }
    }
}

/// Reads everything in every way. Each call must return.
fn read_all(layer: &BytesLayer) {
    let mut bytes = 0;
    layer.iter().for_each(|(_, value)| bytes += value.len());
    layer.iter().rev().for_each(|(_, value)| bytes += value.len());
    layer.values().for_each(|value| bytes += value.len());
    let keys: Vec<Vec<u8>> = layer.keys().collect();
    keys.iter().for_each(|key| bytes += layer.get(key).map_or(0, |value| value.len()));
    layer.get_many_with(&keys, |value| bytes += value.map_or(0, <[u8]>::len));
    layer.search(AlwaysMatch).for_each(|(_, value)| bytes += value.len());
    // A code of two bytes stands for at most 15.
    assert!(bytes < 100 << 20, "{bytes}");
}

/// Bytes that are altered and have valid checksums are refused, or read as other values.
#[test]
fn forged_bytes_do_no_harm() {
    for options in kinds() {
        let bytes = file(&options);
        let directory = directory(&bytes).unwrap();
        let mut refused = 0;
        for at in 0..bytes.len() - 16 {
            for new in [0, 1, 0x7F, 0xFF, bytes[at] ^ 1] {
                let mut bytes = bytes.clone();
                bytes[at] = new;
                if mend(&mut bytes).is_none() {
                    continue;
                }
                match BytesLayer::from_bytes_as(bytes.clone()) {
                    Ok(layer) => read_all(&layer),
                    Err(_) => refused += 1,
                }
                if let Ok(layer) = mapped_as::<[u8]>(&bytes) {
                    read_all(&layer);
                }
            }
        }
        assert!(refused > ENTRY_BYTES, "{refused}");
        // Offsets that the heads contradict, after the heads and 16 zeros, or after neither.
        let entry = |at| word(&bytes, directory + at).unwrap();
        let heads = match usize::from(bytes[directory + 36]) {
            0 => 0,
            bits => (40 * bits).div_ceil(8) + 16,
        };
        let offsets = entry(0) + entry(8) + heads;
        for at in offsets..offsets + 4 * 40usize.div_ceil(16) {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            mend(&mut bytes).unwrap();
            let error = BytesLayer::from_bytes_as(bytes).unwrap_err();
            assert!(matches!(error, FrozenError::Damaged { chunk: Some(0), .. }), "{error}");
        }
    }
}

/// The file of an external build is the same for any memory, threads and order, and has what a map
/// has.
#[test]
fn external_builds_do_not_depend_on_memory_or_order() {
    let records: Vec<(String, Vec<u8>)> = (0..30_000u64)
        .map(|i| {
            let user = i * 7919 % 10_007;
            let value = match i % 1000 {
                0 => vec![i as u8; 3000],
                1 => Vec::new(),
                _ => format!("status={} type=text/html user={user}", 200 + i % 7).into_bytes(),
            };
            (format!("https://example.org/{user:05}/{}", i % 3), value)
        })
        .collect();
    let model: BTreeMap<&String, &Vec<u8>> =
        records.iter().map(|(key, value)| (key, value)).collect();
    let path = TestPath::new("external-bytes");
    let build = |options: FrozenOptions, records: &mut dyn Iterator<Item = &(String, Vec<u8>)>| {
        let pairs = records.map(|(key, value)| (key, value));
        let keys = options.chunk_keys(5000).build_external_bytes(&*path, pairs).unwrap();
        assert_eq!(keys, model.len() as u64);
        std::fs::read(&*path).unwrap()
    };
    let bytes = build(FrozenOptions::new(), &mut records.iter());
    let layer = BytesLayer::from_bytes_as(bytes.clone()).unwrap();
    assert!(layer.iter().eq(model.iter().map(|(k, v)| (k.as_bytes().to_vec(), v.to_vec()))));
    let small = FrozenOptions::new().memory(1 << 20);
    assert!(build(small.clone(), &mut records.iter()) == bytes);
    assert!(build(small.clone().threads(1), &mut records.iter()) == bytes);
    // Of equal keys the first one of the reverse order is the last one.
    let first = small.on_duplicate(OnDuplicate::First);
    assert!(build(first, &mut records.iter().rev()) == bytes);
    let repeated = FrozenOptions::new().on_duplicate(OnDuplicate::Error);
    let pairs = || [("a", "x"), ("b", "y"), ("a", "z")];
    let error = repeated.build_external_bytes(&*path, pairs()).unwrap_err();
    assert!(matches!(error, FrozenError::Repeated { key } if key == b"a"));
    let error = repeated.from_unsorted_bytes(pairs().to_vec()).unwrap_err();
    assert!(matches!(error, FrozenError::Repeated { key } if key == b"a"));
    let first = FrozenOptions::new().on_duplicate(OnDuplicate::First);
    let layer = first.from_unsorted_bytes(pairs().to_vec()).unwrap();
    assert_eq!(layer.get("a").unwrap(), b"x");
    let merged = FrozenLayer::merge(
        [&layer, &FrozenLayer::from_sorted_bytes(&[("a", "other")]).unwrap()],
        first,
    );
    assert_eq!(merged.unwrap().get("a").unwrap(), b"x");
    let sum = FrozenOptions::new().on_duplicate(OnDuplicate::Sum);
    assert!(matches!(sum.from_unsorted_bytes(pairs().to_vec()), Err(FrozenError::Option(_))));
    assert!(matches!(sum.build_external_bytes(&*path, pairs()), Err(FrozenError::Option(_))));
}

/// A layer that stores no values is a set of keys, each with an empty string.
#[test]
fn a_set_without_values_reads_empty_strings() {
    let model = records(200);
    let pairs: Vec<(&Vec<u8>, &Vec<u8>)> = model.iter().collect();
    let empty: Model = model.keys().map(|key| (key.clone(), Vec::new())).collect();
    let with_values = FrozenLayer::from_sorted_bytes(&pairs).unwrap();
    for options in kinds().into_iter().chain([FrozenOptions::new()]) {
        let options = options.chunk_keys(70).values(ValueWidth::None);
        let layer = options.from_sorted_bytes(&pairs).unwrap();
        check(&layer, &empty);
        // An offset for every 16th string, and no symbols.
        assert_eq!(layer.memory_usage().values, 4 * (5 + 5 + 4));
        let keys: Vec<(&Vec<u8>, u64)> = model.keys().map(|key| (key, 0)).collect();
        let numbers = options.from_sorted(&keys).unwrap();
        assert_eq!(layer.memory_usage().symbols, numbers.memory_usage().symbols);
        let bytes = layer.to_bytes();
        check(&BytesLayer::from_bytes_as(bytes.clone()).unwrap(), &empty);
        check(&mapped_as::<[u8]>(&bytes).unwrap(), &empty);
        let mut builder = options.builder_as::<[u8]>().unwrap();
        pairs.iter().for_each(|(key, value)| builder.insert(key, value).unwrap());
        assert!(builder.finish().unwrap().to_bytes() == bytes);
        let merged = FrozenLayer::merge([&with_values], options).unwrap();
        assert!(merged.to_bytes() == bytes);
    }
}

/// Few long values are compared with all kinds of symbols, as many short ones are.
#[test]
fn few_long_values_become_small() {
    for count in [1, 9, 30] {
        let value = |i: usize| format!("{i} status=200 type=text/html ").repeat(4000).into_bytes();
        let model: Model = (0..count).map(|i| (vec![i as u8], value(i))).collect();
        let raw: usize = model.values().map(Vec::len).sum();
        let layer: BytesLayer = model.iter().collect();
        check(&layer, &model);
        assert!(layer.memory_usage().values < raw / 3, "{:?} of {raw}", layer.memory_usage());
        // So are keys.
        let keys = (0..count).map(|i| ([&[i as u8], &value(i)[..]].concat(), b"x"));
        let layer: BytesLayer = keys.collect();
        assert_ne!(layer.symbols(), SymbolTable::None);
    }
}

/// A scan ends at a damaged value. It does not return later ones as if they followed.
#[test]
fn values_end_where_one_is_damaged() {
    let pairs: Vec<([u8; 1], [u8; 9])> = (0..40).map(|i| ([i], [i; 9])).collect();
    let mut bytes = FrozenOptions::new()
        .symbols(SymbolTable::None)
        .from_sorted_bytes(&pairs)
        .unwrap()
        .to_bytes();
    // All strings have the same head, so the offsets come first: the second one leads far away.
    let values = 16 + word(&bytes, directory(&bytes).unwrap() + 8).unwrap();
    bytes[values + 7] = 0xFF;
    mend(&mut bytes).unwrap();
    assert!(BytesLayer::from_bytes_as(bytes.clone()).is_err());
    let layer = mapped_as::<[u8]>(&bytes).unwrap();
    let mut values = layer.values();
    assert_eq!(values.by_ref().count(), 16);
    assert_eq!((values.next(), values.next_back(), values.len()), (None, None, 0));
    let mut values = layer.values();
    assert_eq!(values.by_ref().rev().count(), 8);
    assert_eq!((values.next(), values.next_back(), values.len()), (None, None, 0));
    assert_eq!(layer.iter().map(|_| 1).sum::<usize>(), 16);
    assert_eq!(layer.iter().rev().map(|_| 1).sum::<usize>(), 8);
    // So does a union, which goes on with other layers. A merge is an error.
    let other = FrozenLayer::from_sorted_bytes(&[([5], "x"), ([30], "y")]).unwrap();
    let (mut union, mut keys) = (FrozenLayer::union([&layer, &other]), Vec::new());
    while let Some((key, values)) = union.next() {
        keys.push(key[0]);
        assert_eq!(values.len(), if key == [5] { 2 } else { 1 });
    }
    assert_eq!(keys, (0..16).chain([30]).collect::<Vec<u8>>());
    let merged = FrozenLayer::merge([&layer, &other], FrozenOptions::new());
    assert!(matches!(merged, Err(FrozenError::Damaged { .. })), "{merged:?}");
    assert_eq!(layer.get([17]), None);
    let mut out = b"x".to_vec();
    assert!(!layer.get_into([17], &mut out));
    assert_eq!(out, b"x");
    let mut found = Vec::new();
    layer.get_many_with([[3], [17], [39]], |value| found.push(value.map(<[u8]>::to_vec)));
    assert_eq!(found, [Some(vec![3; 9]), None, Some(vec![39; 9])]);
}

/// Adds a byte to the strings of a layer of one key, whose head grows by as much.
fn with_another_byte(bytes: &[u8], byte: u8) -> Vec<u8> {
    let (mut bytes, entry) = (bytes.to_vec(), directory(bytes).unwrap());
    let footer = bytes.len() - FOOTER_BYTES;
    let symbols = word(&bytes, footer).unwrap();
    for (at, more) in [(entry + 16, 1), (entry + 24, 2), (footer, 1)] {
        let sum = word(&bytes, at).unwrap() as u64 + more;
        bytes[at..at + 8].copy_from_slice(&sum.to_le_bytes());
    }
    bytes.insert(symbols, byte);
    mend_length(&mut bytes);
    mend(&mut bytes).unwrap();
    bytes
}

/// A string that ends inside a code is damaged.
#[test]
fn half_a_code_is_refused() {
    // Long enough for more symbols than the single bytes.
    let value = "type=text/html ".repeat(4000);
    let layer = |symbols| {
        let options = FrozenOptions::new().symbols(symbols);
        options.from_sorted_bytes(&[("a", &value)]).unwrap().to_bytes()
    };
    let refused = |bytes: Vec<u8>| {
        assert!(BytesLayer::from_bytes_as(bytes.clone()).is_err());
        assert_eq!(mapped_as::<[u8]>(&bytes).unwrap().get("a"), None);
    };
    refused(with_another_byte(&layer(SymbolTable::OnPair), 0));
    // What precedes a byte that stands for itself.
    refused(with_another_byte(&layer(SymbolTable::Fsst), 255));
    // A raw string can have any number of bytes.
    let raw =
        BytesLayer::from_bytes_as(with_another_byte(&layer(SymbolTable::None), b'x')).unwrap();
    assert_eq!(raw.get("a").unwrap(), [value.as_bytes(), b"x"].concat());
}
