//! Sets of layers: against a `BTreeMap`, with parts that are missing or altered, beside builders
//! that replace and append, and in processes that are killed.

mod common;

use common::child::{job, run};
use common::files::files;
use common::names::names;
use common::put_files::put;
use common::test_path::TestPath;
use common::{bound, cases, comes_back, inside, key};
use fst::automaton::{Automaton, Str, Subsequence};
use memkv::{
    Codec, FrozenError, FrozenOptions, LayerSet, LayerSetBuilder, OnDuplicate, SetError,
    SetOptions, ShardedArt, SymbolTable,
};
use proptest::prelude::*;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

type Model = BTreeMap<Vec<u8>, u64>;

fn options(keys_per_part: u64) -> SetOptions {
    let layers = FrozenOptions::new().chunk_keys(4).symbols(SymbolTable::None).memory(1 << 20);
    SetOptions::new().keys_per_part(keys_per_part).layers(layers)
}

fn build(folder: &Path, model: &Model, options: SetOptions) {
    let mut builder = LayerSetBuilder::create(folder, options).unwrap();
    model.iter().for_each(|(key, value)| builder.insert(key, *value).unwrap());
    builder.finish().unwrap();
}

/// Returns the keys `00` to `99`, each with its number.
fn numbers(range: std::ops::Range<u64>) -> Model {
    range.map(|i| (format!("{i:02}").into_bytes(), i)).collect()
}

/// Returns the paths of the parts that the folder has.
fn part_names(folder: &Path) -> Vec<String> {
    names(folder).into_iter().filter(|name| name.starts_with("part-")).collect()
}

/// Opens a set, mapped or read. No test changes a file of a mapped set.
fn open(folder: &Path, is_mapped: bool) -> LayerSet {
    if is_mapped {
        // SAFETY: the caller changes no file while the set lives.
        unsafe { LayerSet::open_mapped(folder) }.unwrap()
    } else {
        LayerSet::open(folder).unwrap()
    }
}

fn pairs<E: std::fmt::Debug>(
    found: impl Iterator<Item = Result<(Vec<u8>, u64), E>>,
) -> Vec<(Vec<u8>, u64)> {
    found.map(Result::unwrap).collect()
}

/// Asserts that a set answers as its model does, also for keys that it has not.
fn check(set: &LayerSet, model: &Model, others: &[Vec<u8>]) {
    assert_eq!((set.len(), set.is_empty()), (model.len() as u64, model.is_empty()));
    assert_eq!(set.parts().iter().map(|part| part.keys).sum::<u64>(), set.len());
    let keys: Vec<&Vec<u8>> = model.keys().chain(others).collect();
    let values: Vec<Option<u64>> = keys.iter().map(|&key| model.get(key).copied()).collect();
    assert_eq!(set.get_many(&keys).unwrap(), values);
    let contained: Vec<bool> = values.iter().map(Option::is_some).collect();
    assert_eq!(set.contains_many(&keys).unwrap(), contained);
    for (&key, value) in keys.iter().zip(&values) {
        assert_eq!(set.get(key).unwrap(), *value);
        assert_eq!(set.contains_key(key).unwrap(), value.is_some());
        let rank = model.range::<Vec<u8>, _>(..key).count() as u64;
        assert_eq!(set.rank(key).unwrap(), rank);
        let is_there = value.is_some();
        assert!(!is_there || set.route(key).is_some());
        let selected = model.range::<Vec<u8>, _>(key..).next().map(|(k, v)| (k.clone(), *v));
        assert_eq!(set.select(rank).unwrap(), selected);
        let longest = (0..=key.len())
            .rev()
            .find_map(|n| model.get(&key[..n]).map(|value| (&key[..n], *value)));
        assert_eq!(set.get_longest_prefix(key).unwrap(), longest);
        let prefixed: Vec<_> = model
            .iter()
            .filter(|(k, _)| k.starts_with(key))
            .map(|(k, v)| (k.clone(), *v))
            .collect();
        assert_eq!(pairs(set.prefix(key)), prefixed);
    }
    assert!(pairs(set.iter()).into_iter().eq(model.clone()));
    assert!(pairs(set.iter().rev()).into_iter().eq(model.clone().into_iter().rev()));
    let ends = (set.first_key_value().unwrap(), set.last_key_value().unwrap());
    let of_model = |pair: Option<(&Vec<u8>, &u64)>| pair.map(|(key, value)| (key.clone(), *value));
    assert_eq!(ends, (of_model(model.first_key_value()), of_model(model.last_key_value())));
    let bounds: Vec<&[u8]> = set.boundaries().collect();
    assert!(bounds.iter().all(|bound| model.contains_key(*bound)));
    assert_eq!(bounds.len(), set.parts().len().saturating_sub(1));
}

/// Parts that cannot have a prefix of the key stay closed.
#[test]
fn the_longest_prefix_is_found_in_one_part() {
    let folder = TestPath::new("longest");
    let mut model: Model = numbers(0..100);
    model.insert(b"".to_vec(), 7);
    build(&folder, &model, options(10));
    let set = open(&folder, false);
    assert_eq!(set.get_longest_prefix("x").unwrap(), Some((&b""[..], 7)));
    assert_eq!((set.parts().len(), set.open_parts()), (11, 1));
    assert_eq!(set.get_longest_prefix("55x").unwrap(), Some((&b"55"[..], 55)));
    assert_eq!(set.open_parts(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(64)))]

    #[test]
    fn is_a_btreemap(
        model in proptest::collection::btree_map(key(), any::<u64>(), 0..60),
        others in proptest::collection::vec(key(), 0..20),
        ranges in proptest::collection::vec((bound(), bound(), any::<u64>()), 6),
        keys_per_part in 1u64..12,
        max_open in 1usize..4,
        is_mapped: bool,
        is_fst: bool,
    ) {
        let folder = TestPath::new("model");
        let layers = FrozenOptions::new().chunk_keys(3).symbols(SymbolTable::None);
        let layers = layers.codec(if is_fst { Codec::Fst } else { Codec::Packed });
        build(&folder, &model, SetOptions::new().keys_per_part(keys_per_part).layers(layers));
        let set = open(&folder, is_mapped);
        prop_assert_eq!(set.parts().len(), model.len().div_ceil(keys_per_part as usize));
        set.limit_open_parts(max_open);
        check(&set, &model, &others);
        prop_assert!(set.open_parts() <= max_open);
        set.verify().unwrap();

        for (start, end, steps) in &ranges {
            let slices = (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice));
            let mut range = set.range::<[u8], _>(slices);
            let mut left: std::collections::VecDeque<_> = inside(&model, start, end).into();
            // From both ends, in an order that the bits of a number say.
            for step in 0.. {
                let from_back = steps >> (step % 64) & 1 == 1;
                let want = if from_back { left.pop_back() } else { left.pop_front() };
                let found = if from_back { range.next_back() } else { range.next() };
                let found = found.map(Result::unwrap);
                prop_assert_eq!(&found, &want);
                if found.is_none() {
                    break;
                }
            }
            prop_assert!(range.next().is_none() && range.next_back().is_none());
        }
        for pattern in ["a", "ab", "10", "https://www.example.org/1", ""] {
            let matches = |key: &[u8]| {
                let mut rest = key.iter();
                pattern.bytes().all(|byte| rest.any(|&other| other == byte))
            };
            let want: Vec<_> =
                model.iter().filter(|(k, _)| matches(k)).map(|(k, v)| (k.clone(), *v)).collect();
            prop_assert_eq!(pairs(set.search(Subsequence::new(pattern))), want);
            for (start, end, _) in &ranges {
                let slices = (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice));
                let mut want = inside(&model, start, end);
                want.retain(|(key, _)| matches(key));
                let automaton = Subsequence::new(pattern);
                prop_assert_eq!(pairs(set.search_range::<_, [u8], _>(automaton, slices)), want);
            }
            let found = pairs(set.search(Str::new(pattern).starts_with()));
            prop_assert_eq!(found, pairs(set.prefix(pattern)));
        }
    }

    #[test]
    fn keys_in_any_order_make_the_same_parts(
        records in proptest::collection::vec((key(), 0u64..1000), 0..60),
        keys_per_part in 1u64..12,
    ) {
        let (sorted, external) = (TestPath::new("sorted"), TestPath::new("external"));
        let model: Model = records.iter().cloned().collect();
        build(&sorted, &model, options(keys_per_part));
        let info = options(keys_per_part).build_external(&external, records.clone()).unwrap();
        prop_assert_eq!(info.keys, model.len() as u64);
        prop_assert_eq!(info.duplicates, (records.len() - model.len()) as u64);
        let contents = |folder: &Path| -> Vec<Vec<u8>> {
            let (files, set) = (files(folder), LayerSet::open(folder).unwrap());
            set.parts().iter().map(|part| files[&part.path].clone()).collect()
        };
        prop_assert_eq!(contents(&sorted), contents(&external));
        prop_assert_eq!(LayerSet::open(&external).unwrap().duplicates(), info.duplicates);
    }
}

#[test]
fn large_searches_and_lookups_are_done_in_groups() {
    let folder = TestPath::new("groups");
    let model: Model = (0..30_000u64).map(|i| (format!("{:05}", i * 3).into_bytes(), i)).collect();
    for codec in [Codec::Packed, Codec::Fst] {
        let layers = FrozenOptions::new().codec(codec).chunk_keys(1000);
        build(&folder, &model, SetOptions::new().keys_per_part(7001).layers(layers));
        let set = LayerSet::open(&folder).unwrap();
        let all = set.search(Str::new("").starts_with());
        assert!(pairs(all).into_iter().eq(model.clone()));
        // With and without copies by turns.
        let mut all = set.search(Str::new("").starts_with());
        for (i, (key, &value)) in model.iter().enumerate() {
            match i % 3 {
                0 => assert_eq!(all.next().unwrap().unwrap(), (key.clone(), value)),
                _ => assert_eq!(all.next_ref().unwrap().unwrap(), (&key[..], value)),
            }
        }
        assert!(all.next_ref().is_none() && all.next().is_none());
        // A part outside the range is not opened, nor are others after the last group.
        let set = LayerSet::open(&folder).unwrap();
        let found = pairs(set.search_range(Subsequence::new("9"), "30000".."50000"));
        let mut want: Vec<_> = set.range("30000".."50000").map(Result::unwrap).collect();
        want.retain(|(key, _)| key.contains(&b'9'));
        assert_eq!((found, set.open_parts()), (want, 2));
        let keys: Vec<String> = (0..90_000u64).map(|i| format!("{:05}", i * 7 % 90_000)).collect();
        let want: Vec<_> = keys.iter().map(|key| model.get(key.as_bytes()).copied()).collect();
        assert_eq!(set.get_many(&keys).unwrap(), want);
        // In a pool, each of whose threads may need a part that another one opens.
        let set = LayerSet::open(&folder).unwrap();
        set.limit_open_parts(1);
        comes_back(move || {
            (0..16).into_par_iter().for_each(|_| assert_eq!(set.get_many(&keys).unwrap(), want));
        });
    }
}

#[test]
fn byte_strings_and_other_types_are_values() {
    let folder = TestPath::new("bytes");
    let mut builder = LayerSetBuilder::<[u8]>::create_as(&folder, options(3)).unwrap();
    for i in 0..10 {
        builder.insert(format!("{i}"), format!("value {i}").as_bytes()).unwrap();
    }
    builder.finish().unwrap();
    let set = LayerSet::<[u8]>::open_as(&folder).unwrap();
    assert_eq!(set.get("7").unwrap().unwrap(), b"value 7");
    assert_eq!(set.get_many(&["1", "x"]).unwrap(), [Some(b"value 1".to_vec()), None]);
    let mut range = set.range("8"..);
    assert_eq!(range.next_ref().unwrap().unwrap(), (&b"8"[..], &b"value 8"[..]));
    assert_eq!(range.next_back_ref().unwrap().unwrap(), (&b"9"[..], &b"value 9"[..]));
    assert!(range.next_ref().is_none());
    let mut found = set.search(Subsequence::new("7"));
    assert_eq!(found.next_ref().unwrap().unwrap(), (&b"7"[..], &b"value 7"[..]));
    assert!(found.next_ref().is_none());
    set.verify().unwrap();
    assert!(matches!(LayerSet::open(&folder), Err(SetError::Values { .. })));
    assert!(matches!(LayerSetBuilder::append(&folder, options(3)), Err(SetError::Values { .. })));

    SetOptions::new().build_external_as(&folder, [("b", -1.5f32), ("a", 2.0)]).unwrap();
    assert_eq!(LayerSet::<f32>::open_as(&folder).unwrap().get("b").unwrap(), Some(-1.5));
    SetOptions::new().build_external_as(&folder, [("b", ()), ("a", ())]).unwrap();
    assert!(LayerSet::<()>::open_as(&folder).unwrap().contains_key("b").unwrap());
}

#[test]
fn the_bytes_of_open_parts_are_counted() {
    let folder = TestPath::new("bytes-of-parts");
    let keys = (0..6000u64).map(|i| (format!("https://www.example.org/{i:05}"), i));
    let layers = FrozenOptions::new().symbols(SymbolTable::OnPair).memory(1 << 20);
    SetOptions::new().keys_per_part(1500).layers(layers).build_external(&folder, keys).unwrap();
    for is_mapped in [false, true] {
        let set = open(&folder, is_mapped);
        let none = set.memory_usage();
        let files = fs::metadata(folder.join("manifest.json")).unwrap().len() as usize;
        assert!(none.index > files && none.index < 4 * files && none.total() == none.index);
        set.get("https://www.example.org/00000").unwrap();
        let one = set.memory_usage();
        set.iter().for_each(|pair| _ = pair.unwrap());
        let all = set.memory_usage();
        assert_eq!(all.symbols, one.symbols, "all parts have the same symbols");
        assert!(one.symbols > 0 && all.keys > 3 * one.keys && all.values > 3 * one.values);
        assert!(all.index - none.index >= 3 * (one.index - none.index));
        let stored = if is_mapped { all.keys + all.values } else { 0 };
        assert_eq!(all.mapped, stored);
        set.limit_open_parts(1);
        let bytes: u64 = set.parts().iter().map(|part| part.bytes).sum();
        assert!(set.memory_usage().keys < all.keys && (all.keys as u64) < bytes);
    }
}

#[test]
fn a_sharded_map_becomes_a_part_a_shard() {
    let folder = TestPath::new("shards");
    let map = ShardedArt::<u64>::with_boundaries(["1", "2", "25", "7", "8"]);
    let model: Model = numbers(0..70).into_iter().chain([(b"9".to_vec(), 9)]).collect();
    model.iter().for_each(|(key, value)| _ = map.insert(key, *value));
    for threads in [None, Some(1)] {
        let layers = threads.map_or(FrozenOptions::new(), |n| FrozenOptions::new().threads(n));
        let info = SetOptions::new().layers(layers).build_from_shards(&folder, &map).unwrap();
        // Nothing lies between 7 and 8.
        assert_eq!((info.keys, info.parts), (71, 5));
        let set = LayerSet::open(&folder).unwrap();
        assert!(set.boundaries().eq([&b"10"[..], b"20", b"25", b"9"]));
        check(&set, &model, &[]);
    }
    assert_eq!(part_names(&folder).len(), 10);
}

#[test]
fn sets_grow_at_their_end() {
    let folder = TestPath::new("append");
    assert!(matches!(LayerSetBuilder::append(&folder, options(3)), Err(SetError::File(_))));
    build(&folder, &numbers(0..20), options(7));
    let old = LayerSet::open(&folder).unwrap();
    let mut set = old.clone();
    assert_eq!(set.get("19").unwrap(), Some(19));

    let mut builder = LayerSetBuilder::append(&folder, options(7)).unwrap();
    for refused in ["05", "19"] {
        let error = builder.insert(refused, 0).unwrap_err();
        assert!(error.to_string().starts_with("key 0, "), "{error}");
    }
    for (key, value) in numbers(20..30) {
        builder.insert(key, value).unwrap();
    }
    // Across a boundary of parts, too.
    let error = builder.insert("26", 0).unwrap_err();
    assert!(
        matches!(&error, SetError::Build(FrozenError::NotAscending { position: 10, .. })),
        "{error:?}"
    );
    let info = builder.finish().unwrap();
    assert_eq!((info.keys, info.parts), (30, 5));

    check(&old, &numbers(0..20), &[]);
    let open = set.open_parts();
    assert!(set.refresh().unwrap() && !set.refresh().unwrap());
    assert_eq!(set.open_parts(), open, "parts that stay are open");
    check(&set, &numbers(0..30), &[]);

    // Of two that append at a time, one succeeds.
    let mut builders = [(); 2].map(|()| LayerSetBuilder::append(&folder, options(7)).unwrap());
    builders.iter_mut().for_each(|builder| builder.insert("30", 30).unwrap());
    let [first, second] = builders;
    first.finish().unwrap();
    assert!(matches!(second.finish(), Err(SetError::Changed { .. })));
    assert!(set.refresh().unwrap());
    check(&set, &numbers(0..31), &[]);
    assert_eq!(part_names(&folder).len(), 6, "the parts of the other one are removed");
}

#[test]
fn sets_grow_at_their_end_by_keys_in_any_order() {
    let folder = TestPath::new("append-any");
    assert!(LayerSetBuilder::append_external(&folder, options(3)).is_err());
    build(&folder, &numbers(0..20), options(7));
    assert!(matches!(
        LayerSetBuilder::<[u8]>::append_external_as(&folder, options(3)),
        Err(SetError::Values { .. })
    ));
    let before = files(&folder);
    let mut builder = LayerSetBuilder::append_external(&folder, options(7)).unwrap();
    let is_refused = |builder: &mut LayerSetBuilder, key: &str| {
        let error = builder.insert(key, 0).unwrap_err();
        let SetError::NotBeyond { key: named, last } = &error else { panic!("{error:?}") };
        assert_eq!((&named[..], &last[..]), (key.as_bytes(), &b"19"[..]));
        assert!(error.to_string().contains(&format!("\"{key}\"")), "{error}");
    };
    // The keys that are not refused stay.
    for i in (20..40).rev() {
        is_refused(&mut builder, "19");
        builder.insert(format!("{i}"), i).unwrap();
        is_refused(&mut builder, "");
    }
    builder.insert("25", 77).unwrap();
    assert_eq!(builder.len(), 21);
    let info = builder.finish().unwrap();
    assert_eq!((info.keys, info.duplicates, info.parts), (40, 1, 6));
    let mut model = numbers(0..40);
    model.insert(b"25".to_vec(), 77);
    let set = LayerSet::open(&folder).unwrap();
    check(&set, &model, &[]);
    let old = before.iter().filter(|(name, _)| name.starts_with("part-"));
    let after = files(&folder);
    assert!(old.clone().count() == 3 && { old }.all(|(name, bytes)| after[name] == *bytes));

    // Nothing to append, and an empty set.
    let builder = LayerSetBuilder::append_external(&folder, options(7)).unwrap();
    assert_eq!(builder.finish().unwrap().parts, 6);
    LayerSetBuilder::create(&folder, options(7)).unwrap().finish().unwrap();
    let mut builder = LayerSetBuilder::append_external(&folder, options(7)).unwrap();
    builder.insert("", 5).unwrap();
    builder.finish().unwrap();
    check(&LayerSet::open(&folder).unwrap(), &[(Vec::new(), 5)].into(), &[]);

    // Of two that append at a time, one succeeds.
    let mut builders =
        [(); 2].map(|()| LayerSetBuilder::append_external(&folder, options(7)).unwrap());
    builders.iter_mut().for_each(|builder| builder.insert("30", 30).unwrap());
    let [first, second] = builders;
    first.finish().unwrap();
    assert!(matches!(second.finish(), Err(SetError::Changed { .. })));
    assert_eq!(LayerSet::<u64>::open(&folder).unwrap().len(), 2);
}

#[test]
fn first_keys_that_are_refused_leave_no_part() {
    let folder = TestPath::new("refused");
    let mut builder = LayerSetBuilder::create(&folder, options(2)).unwrap();
    builder.insert("a", 1).unwrap();
    builder.insert("b", 2).unwrap();
    assert!(builder.insert("b", 3).is_err() && builder.insert("a", 3).is_err());
    assert!(builder.insert(vec![b'x'; memkv::MAX_KEY_LEN + 1], 3).is_err());
    assert_eq!(builder.finish().unwrap().parts, 1);
    assert_eq!(names(&folder).len(), 3);
    assert!(LayerSetBuilder::<u64>::create(&folder, options(0)).is_err());

    let layers = FrozenOptions::new().on_duplicate(OnDuplicate::Error);
    let repeated = SetOptions::new().layers(layers).build_external(&folder, [("a", 1u64); 2]);
    assert!(matches!(repeated, Err(SetError::Build(FrozenError::Repeated { .. }))));
    assert_eq!(names(&folder).len(), 3, "the old set stays, and nothing else");
}

#[test]
fn what_a_build_has_begun_can_be_removed_beside_it() {
    let folder = TestPath::new("unfinished");
    build(&folder, &numbers(0..30), options(10));
    let before = names(&folder);
    let mut builder = LayerSetBuilder::external(&*folder, options(1000)).unwrap();
    for i in 0..20_000u64 {
        builder.insert(i.to_be_bytes(), i).unwrap();
    }
    let unfinished = builder.unfinished();
    let (begun, is_writing) = std::sync::mpsc::channel();
    // It never ends.
    std::thread::spawn(move || builder.finish_with(|_, _| _ = begun.send(())));
    is_writing.recv().unwrap();
    unfinished.remove();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(names(&folder), before);
    check(&LayerSet::open(&folder).unwrap(), &numbers(0..30), &[]);

    // The parts of a set that is complete stay.
    let mut builder = LayerSetBuilder::create(&folder, options(10)).unwrap();
    numbers(0..40).into_iter().for_each(|(key, value)| builder.insert(key, value).unwrap());
    let unfinished = builder.unfinished();
    builder.finish().unwrap();
    unfinished.remove();
    LayerSet::<u64>::open(&folder).unwrap().verify().unwrap();
}

#[test]
fn readers_go_on_with_a_set_that_is_replaced() {
    let folder = TestPath::new("replace");
    build(&folder, &numbers(0..30), options(10));
    let old = LayerSet::open(&folder).unwrap();
    assert_eq!(old.get("05").unwrap(), Some(5));
    build(&folder, &numbers(10..99), options(30));
    assert_eq!(part_names(&folder).len(), 6);
    check(&old, &numbers(0..30), &[]);

    // A builder at work keeps its parts, one that is dropped removes them.
    let mut working = LayerSetBuilder::create(&folder, options(1)).unwrap();
    for (key, value) in numbers(0..3) {
        working.insert(key, value).unwrap();
    }
    assert_eq!(part_names(&folder).len(), 8);
    let new = LayerSet::open(&folder).unwrap();
    assert_eq!(new.vacuum(Duration::from_secs(1000)).unwrap().len(), 0);
    // What cannot be removed is not among what was.
    let stays = folder.join("part-0123456789ab-00000.frozen");
    fs::create_dir(&stays).unwrap();
    assert_eq!(new.vacuum(Duration::ZERO).unwrap().len(), 3);
    fs::remove_dir(&stays).unwrap();
    assert_eq!(part_names(&folder).len(), 5);
    check(&new, &numbers(10..99), &[]);
    drop(working);
    assert_eq!(part_names(&folder).len(), 3);
    assert_eq!(names(&folder).len(), 5);

    // What an old reader has open stays; what it has not is an error that names it.
    old.limit_open_parts(1);
    assert_eq!(old.open_parts(), 1);
    let found: Vec<_> = ["05", "15", "25"].iter().map(|key| old.get(key)).collect();
    assert_eq!(found.iter().filter(|found| found.is_ok()).count(), 1);
    assert!(found.iter().flat_map(|found| found.as_ref().err()).all(|error| {
        matches!(error, SetError::Missing { part } if part.to_string_lossy().contains("part-"))
    }));
}

#[test]
fn old_parts_stay_while_the_manifest_is_new() {
    let folder = TestPath::new("vacuum");
    let make_old = |name: &str| {
        let file = fs::File::options().write(true).open(folder.join(name)).unwrap();
        let hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
        file.set_modified(hour_ago).unwrap();
    };
    build(&folder, &numbers(0..30), options(10));
    names(&folder).iter().for_each(|name| make_old(name));
    let reader = LayerSet::open(&folder).unwrap();
    build(&folder, &numbers(0..30), options(15));
    let minute = Duration::from_secs(60);
    assert!(reader.vacuum(minute).unwrap().is_empty());
    check(&reader, &numbers(0..30), &[]);
    make_old("manifest.json");
    assert_eq!(reader.vacuum(2 * 60 * minute).unwrap().len(), 0);
    assert_eq!(reader.vacuum(minute).unwrap().len(), 3);
    check(&LayerSet::open(&folder).unwrap(), &numbers(0..30), &[]);
}

/// Asserts that no reader takes what is wrong with the second of three parts for absent keys.
fn is_found(folder: &Path, is_expected: impl Fn(&SetError) -> bool) {
    let set = LayerSet::open(folder).unwrap();
    let is_error = |error: Option<SetError>| {
        let error = error.expect("an error, not an answer");
        assert!(is_expected(&error), "{error:?}");
    };
    assert_eq!((set.get("05").unwrap(), set.get("25").unwrap()), (Some(5), Some(25)));
    is_error(set.get("15").err());
    is_error(set.contains_key("15").err());
    is_error(set.get_many(&["25", "15", "05"]).err());
    is_error(set.contains_many(&["15"]).err());
    is_error(set.rank("15").err());
    is_error(set.select(15).err());
    is_error(set.get_longest_prefix("15x").err());
    for mut found in [set.iter(), set.range("1".."2"), set.prefix("1")] {
        is_error(found.find_map(Result::err));
        assert!(found.next().is_none() && found.next_back().is_none());
    }
    is_error(set.iter().rev().find_map(Result::err));
    let range = || set.search_range(Subsequence::new("5"), "14"..);
    for mut search in [set.search(Subsequence::new("5")), range()] {
        is_error(search.find_map(Result::err));
        assert!(search.next().is_none() && search.next_ref().is_none());
    }
    let beside = set.search_range(Subsequence::new("5"), "2"..);
    assert_eq!(pairs(beside), [(b"25".to_vec(), 25)]);
    is_error(set.verify().err());
}

#[test]
fn wrong_parts_are_errors_that_name_them() {
    let folder = TestPath::new("wrong");
    build(&folder, &numbers(0..30), options(10));
    let whole = files(&folder);
    let parts: Vec<String> =
        LayerSet::open(&folder).unwrap().parts().iter().map(|part| part.path.clone()).collect();
    let part = folder.join(&parts[1]);
    let names_it = |found: &Path| found == std::path::absolute(&part).unwrap();

    fs::remove_file(&part).unwrap();
    is_found(&folder, |error| matches!(error, SetError::Missing { part } if names_it(part)));
    let bytes = &whole[&parts[1]];
    let is_other =
        |error: &SetError| matches!(error, SetError::Part { part, .. } if names_it(part));
    fs::write(&part, &bytes[..bytes.len() - 1]).unwrap();
    is_found(&folder, is_other);
    fs::write(&part, [bytes, &b"x"[..]].concat()).unwrap();
    is_found(&folder, is_other);
    fs::write(&part, &whole[&parts[2]]).unwrap();
    is_found(&folder, is_other);
    // Each byte altered.
    for at in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[at] ^= 0x55;
        fs::write(&part, altered).unwrap();
        let is_it = |error: &SetError| {
            matches!(error, SetError::Layer { part, .. } if names_it(part)) || is_other(error)
        };
        if LayerSet::open(&folder).unwrap().get("15").is_err() {
            is_found(&folder, is_it);
        } else {
            // It is in what no lookup reads.
            let set = LayerSet::open(&folder).unwrap();
            assert!(set.verify().is_err_and(|error| is_it(&error)), "byte {at}");
        }
    }
    put(&folder, &whole);
    LayerSet::open(&folder).unwrap().verify().unwrap();
}

#[test]
fn a_manifest_is_checked() {
    let folder = TestPath::new("manifest");
    build(&folder, &numbers(0..30), options(10));
    let path = folder.join("manifest.json");
    let whole = fs::read_to_string(&path).unwrap();
    let set = LayerSet::open(&folder).unwrap();
    let refused = |text: String, what: &str| {
        fs::write(&path, &text).unwrap();
        let error = LayerSet::open(&folder).err().unwrap_or_else(|| panic!("{text}"));
        assert!(error.to_string().contains(what), "{error}");
    };
    let swap = |from: &str, to: &str| {
        assert!(whole.contains(from), "{from}");
        whole.replacen(from, to, 1)
    };
    refused(swap("memkv-set", "other-set"), "memkv-set");
    refused(swap("\"version\": 1", "\"version\": 2"), "version 2");
    refused(swap("\"order\": \"bytes\"", "\"order\": \"words\""), "order");
    refused(swap("\"value\": \"u64\"", "\"value\": \"u65\""), "value");
    refused(swap("\"value\": \"u64\"", "\"value\": \"bytes\""), "kind");
    refused(swap("\"on_duplicate\": \"last\"", "\"on_duplicate\": 5"), "on_duplicate");
    refused(swap("\"keys\": 30", "\"keys\": 31"), "keys");
    refused(swap("\"keys\": 10", "\"keys\": 0"), "range");
    refused(swap("\"keys\": 10", "\"keys\": 18446744073709551615"), "keys");
    refused(swap("\"crc32\": ", "\"crc32\": 9"), "crc32");
    refused(swap("\"first\": \"", "\"first\": \"="), "base64");
    let part = &set.parts()[0].path;
    for bad in ["", "/x", "../x", "a/../x", ".", "c:x", "a\\\\x"] {
        refused(swap(part, bad), "does not lead into the folder");
    }
    // Parts in another order, or that overlap.
    let [first, second] = [0, 1].map(|i| &set.parts()[i].path);
    refused(swap(first, "x").replacen(second, first, 1).replacen("MDA=", "MTE=", 1), "");
    refused("{}".into(), "format");
    refused("[".into(), "not JSON");
    // Each byte removed or altered gives an error or a set of the same keys, and no panic.
    for at in 0..whole.len() {
        for text in [
            [&whole.as_bytes()[..at], &whole.as_bytes()[at + 1..]].concat(),
            [&whole.as_bytes()[..at], b"9", &whole.as_bytes()[at + 1..]].concat(),
        ] {
            fs::write(&path, text).unwrap();
            if let Ok(set) = LayerSet::open(&folder)
                && let Ok(found) = set.iter().collect::<Result<Vec<_>, _>>()
            {
                assert!(found.into_iter().eq(numbers(0..30)), "byte {at}");
            }
        }
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(LayerSet::open(&folder), Err(SetError::NotASet { .. })));
    // An open set goes on, and refreshes to an error.
    let mut set = set;
    assert!(set.refresh().is_err());
    check(&set, &numbers(0..30), &[]);
}

#[test]
fn parts_in_folders_and_of_other_formats_are_parts() {
    let folder = TestPath::new("mixed");
    build(&folder, &numbers(0..30), options(10));
    let (path, set) = (folder.join("manifest.json"), LayerSet::open(&folder).unwrap());
    let part = &set.parts()[1];
    fs::create_dir(folder.join("others")).unwrap();
    let layer: memkv::FrozenLayer = {
        let pairs: Vec<_> = numbers(10..20).into_iter().collect();
        FrozenOptions::new().codec(Codec::Fst).from_sorted(&pairs).unwrap()
    };
    layer.save(folder.join("others/b.frozen")).unwrap();
    let bytes = fs::read(folder.join("others/b.frozen")).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replacen(&part.path, "others/b.frozen", 1);
    let text = text.replacen(&format!("\"bytes\": {}", part.bytes), "\"bytes\": 1", 1);
    // The first part has as many bytes: put the right numbers into the second one.
    let (before, after) = text.split_at(text.find("others/b.frozen").unwrap());
    let before = before.replacen("\"bytes\": 1,", &format!("\"bytes\": {},", part.bytes), 1);
    let after = after
        .replacen(&format!("\"bytes\": {}", part.bytes), &format!("\"bytes\": {}", bytes.len()), 1)
        .replacen("\"bytes\": 1,", &format!("\"bytes\": {},", bytes.len()), 1)
        .replacen(
            &format!("\"crc32\": {}", part.crc32),
            &format!("\"crc32\": {}", crc32fast::hash(&bytes)),
            1,
        );
    fs::write(&path, before + &after).unwrap();
    let set = LayerSet::open(&folder).unwrap();
    check(&set, &numbers(0..30), &[b"x".to_vec()]);
    set.verify().unwrap();
}

#[test]
fn sets_are_joined() {
    let folder = TestPath::new("set-joined");
    let model = numbers(0..100);
    let member = |name: &str, range: std::ops::Range<u64>| {
        let keys = model.iter().filter(|(_, value)| range.contains(value));
        build(&folder.join(name), &keys.map(|(k, v)| (k.clone(), *v)).collect(), options(7));
    };
    member("member-b", 0..30);
    member("member-a", 30..60);
    member("member-empty", 0..0);
    let info = LayerSet::join(&folder, ["member-a", "member-empty", "member-b"]).unwrap();
    assert_eq!((info.keys, info.parts), (60, 10));
    let first: Model =
        model.iter().filter(|(_, v)| **v < 60).map(|(k, v)| (k.clone(), *v)).collect();
    for is_mapped in [false, true] {
        check(&open(&folder, is_mapped), &first, &[]);
    }

    // Ranges that overlap, other types, and what is no member, leave the set.
    member("member-c", 50..70);
    let overlap = LayerSet::join(&folder, ["member-a", "member-c"]).unwrap_err();
    assert!(matches!(overlap, SetError::Overlap { .. }), "{overlap}");
    let overlap = LayerSet::join_after(&folder, ["member-c"]).unwrap_err();
    assert!(matches!(overlap, SetError::Overlap { .. }), "{overlap}");
    let mut other = LayerSetBuilder::<i8>::create_as(folder.join("member-i8"), options(7)).unwrap();
    other.insert("z", 1).unwrap();
    other.finish().unwrap();
    let values = LayerSet::join_after(&folder, ["member-i8"]).unwrap_err();
    assert!(matches!(values, SetError::Values { .. }), "{values}");
    for path in ["", "..", "../x", "/tmp", "a\\b"] {
        let error = LayerSet::join(&folder, [path]).unwrap_err();
        assert!(matches!(error, SetError::Build(FrozenError::Option(_))), "{path}: {error}");
    }
    assert!(LayerSet::join(&folder, [""; 0]).is_err());
    assert!(matches!(LayerSet::join(&folder, ["no"]), Err(SetError::File(_))));
    check(&open(&folder, false), &first, &[]);

    member("member-d", 60..100);
    LayerSet::join_after(&folder, ["member-d"]).unwrap();
    let set = open(&folder, false);
    check(&set, &model, &[]);

    // What is young stays; then only what the set has.
    assert_eq!(set.vacuum(Duration::from_secs(3600)).unwrap(), Vec::<std::path::PathBuf>::new());
    // A build that was killed before its manifest.
    fs::create_dir(folder.join("member-killed")).unwrap();
    fs::write(folder.join("member-killed/.memkv-0123456789ab.tmp"), "part").unwrap();
    assert_eq!(set.vacuum(Duration::ZERO).unwrap().len(), 4);
    let mut left: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["manifest.json", "manifest.lock", "member-a", "member-b", "member-d"]);
    check(&open(&folder, true), &model, &[]);
    set.verify().unwrap();
}

#[test]
fn threads_share_a_set_with_one_open_part() {
    let folder = TestPath::new("threads");
    let model: Model = (0..400u64).map(|i| (format!("{i:03}").into_bytes(), i)).collect();
    build(&folder, &model, options(25));
    for is_mapped in [false, true] {
        let set = open(&folder, is_mapped);
        set.limit_open_parts(1);
        std::thread::scope(|scope| {
            for thread in 0..4u64 {
                let (set, model) = (set.clone(), &model);
                scope.spawn(move || {
                    for i in 0..2000 {
                        let key = format!("{:03}", (i * 37 + thread * 101) % 400);
                        assert_eq!(set.get(&key).unwrap(), model.get(key.as_bytes()).copied());
                    }
                    assert!(pairs(set.iter()).into_iter().eq(model.clone()));
                });
            }
        });
        assert_eq!(set.open_parts(), 1);
    }
}

/// Appends two parts to a set, or replaces it.
fn change(folder: &str, replaces: bool) -> Result<(), SetError> {
    let mut builder = match replaces {
        true => LayerSetBuilder::create(folder, options(5))?,
        false => LayerSetBuilder::append(folder, options(5))?,
    };
    for (key, value) in numbers(10..20) {
        builder.insert(key, value)?;
    }
    builder.finish().map(drop)
}

/// Returns the keys of the set before a change, and after it.
fn before_and_after(replaces: bool) -> [Model; 2] {
    [numbers(0..10), numbers(if replaces { 10..20 } else { 0..20 })]
}

/// A builder that is killed before any file operation leaves the old set or the new one, and what
/// else it leaves is removed by `vacuum`.
#[test]
fn a_killed_builder_leaves_a_whole_set() {
    let name = "a_killed_builder_leaves_a_whole_set";
    if let Some(job) = job(name) {
        let [folder, replaces, operations] = job.split(';').collect::<Vec<_>>()[..] else {
            panic!("{job}");
        };
        memkv::crash_after(operations.parse().unwrap());
        return change(folder, replaces == "true").unwrap();
    }
    for replaces in [true, false] {
        let folder = TestPath::new("killed");
        let mut seen = [0; 2];
        for operations in 1.. {
            let _ = fs::remove_dir_all(&folder);
            build(&folder, &numbers(0..10), options(5));
            let (_, to_its_end) =
                run(name, format!("{};{replaces};{operations}", folder.display()));
            let set = LayerSet::open(&folder).unwrap();
            let found = pairs(set.iter());
            let models = before_and_after(replaces);
            let which = models.iter().position(|model| found.iter().cloned().eq(model.clone()));
            seen[which.expect("the old set or the new one")] += 1;
            set.vacuum(Duration::ZERO).unwrap();
            assert_eq!(part_names(&folder).len(), set.parts().len(), "operation {operations}");
            assert!(!names(&folder).iter().any(|name| name.ends_with(".tmp")));
            check(&set, &models[which.unwrap()], &[]);
            if to_its_end {
                break;
            }
        }
        assert!(seen[0] > 15 && seen[1] >= 2, "{seen:?}");
    }
}

/// Whichever write or sync fails, a builder returns the error, leaves the old set, and removes what
/// it has made.
#[test]
fn a_builder_that_cannot_write_leaves_the_old_set() {
    let name = "a_builder_that_cannot_write_leaves_the_old_set";
    if let Some(job) = job(name) {
        let [folder, what, replaces, n] = job.split(';').collect::<Vec<_>>()[..] else {
            panic!("{job}");
        };
        match what {
            "write" => memkv::fail_after(n.parse().unwrap()),
            _ => memkv::fail_sync_after(n.parse().unwrap()),
        }
        match change(folder, replaces == "true") {
            Ok(()) => println!("done"),
            Err(error) => assert!(error.to_string().contains("failpoint"), "{error}"),
        }
        return;
    }
    for (what, replaces) in [("write", true), ("write", false), ("sync", true), ("sync", false)] {
        let folder = TestPath::new("fails");
        for n in 1.. {
            let _ = fs::remove_dir_all(&folder);
            build(&folder, &numbers(0..10), options(5));
            let job = format!("{};{what};{replaces};{n}", folder.display());
            let (output, _) = run(name, job);
            let set = LayerSet::open(&folder).unwrap();
            let found = pairs(set.iter());
            let [before, after] = before_and_after(replaces);
            let is_new = found.iter().cloned().eq(after);
            assert!(is_new || found.into_iter().eq(before), "{what} {n}");
            let old_parts = if replaces && is_new { 2 } else { 0 };
            assert_eq!(part_names(&folder).len(), set.parts().len() + old_parts, "{what} {n}");
            if output.contains("done") {
                assert!(n > 3, "{what} {n}");
                break;
            }
        }
    }
}

/// The set in `tests/golden` always opens.
#[test]
fn the_golden_set_opens() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/set-v1");
    let set = LayerSet::<i32>::open_as(&folder).unwrap();
    set.verify().unwrap();
    assert_eq!((set.len(), set.parts().len(), set.duplicates()), (10, 4, 1));
    let want = (0..10).map(|i| (format!("key {i}").into_bytes(), i - 5));
    assert!(set.iter().map(Result::unwrap).eq(want));
}
