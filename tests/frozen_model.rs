//! `FrozenLayer` against `BTreeMap`: every operation, both codecs, every kind of symbols, one chunk
//! and several.

use crate::common;

use common::frozen_kinds::kinds;
use common::mapped::mapped;
use common::{bound, key};
use memkv::{
    BuildError, ConcurrentArt, FastArt, FrozenError, FrozenLayer, FrozenLayerBuilder,
    FrozenOptions, OnDuplicate, ShardedArt, SymbolTable, ValueWidth,
};
use proptest::prelude::*;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};

type Model = BTreeMap<Vec<u8>, u64>;

fn options() -> Vec<FrozenOptions> {
    let auto = FrozenOptions::new().symbols(SymbolTable::Auto);
    std::iter::once(auto).chain(kinds()).collect()
}

fn build(model: &Model, options: &FrozenOptions) -> FrozenLayer {
    let mut builder = options.builder().unwrap();
    for (key, value) in model {
        builder.insert(key, *value).unwrap();
    }
    assert_eq!(builder.len(), model.len() as u64);
    let layer = builder.finish().unwrap();
    let pairs: Vec<(&Vec<u8>, u64)> = model.iter().map(|(key, value)| (key, *value)).collect();
    assert_eq!(options.from_sorted(&pairs).unwrap().to_bytes(), layer.to_bytes());
    layer
}

fn in_order(start: &Bound<Vec<u8>>, end: &Bound<Vec<u8>>) -> bool {
    match (start, end) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => true,
        (Bound::Excluded(a), Bound::Excluded(b)) => a < b,
        (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) => {
            a <= b
        }
    }
}

/// Checks every point operation for some keys, present or not.
fn check_keys(layer: &FrozenLayer, model: &Model, keys: &[Vec<u8>]) {
    let sorted: Vec<&Vec<u8>> = model.keys().collect();
    let values: Vec<u64> = model.values().copied().collect();
    for key in keys {
        let rank = sorted.partition_point(|k| *k < key);
        assert_eq!(layer.get(key), model.get(key).copied(), "get {key:?}");
        assert_eq!(layer.contains_key(key), model.contains_key(key));
        assert_eq!(layer.rank(key), rank, "rank {key:?}");
        let prefix =
            (0..=key.len()).rev().find_map(|len| Some((&key[..len], *model.get(&key[..len])?)));
        assert_eq!(layer.get_longest_prefix(key), prefix, "longest prefix of {key:?}");
        let mut lower = layer.lower_bound(key);
        assert_eq!(lower.rank(), rank);
        assert_eq!(lower.next(), sorted.get(rank).map(|k| (&k[..], values[rank])));
        let mut upper = layer.upper_bound(key);
        let behind = rank + usize::from(model.contains_key(key));
        assert_eq!(upper.peek(), sorted.get(behind).map(|k| (&k[..], values[behind])));
        assert_eq!(upper.prev(), behind.checked_sub(1).map(|i| (&sorted[i][..], values[i])));
        let begin: Vec<_> = model
            .iter()
            .filter(|(k, _)| k.starts_with(key))
            .map(|(k, v)| (k.clone(), *v))
            .collect();
        assert_eq!(layer.prefix(key).len(), begin.len());
        assert!(layer.prefix(key).eq(begin.iter().cloned()));
        assert!(layer.prefix(key).rev().eq(begin.iter().rev().cloned()));
    }
    assert_eq!(
        layer.get_many(keys),
        keys.iter().map(|key| model.get(key).copied()).collect::<Vec<_>>()
    );
}

fn check_all(layer: &FrozenLayer, model: &Model) {
    assert_eq!(layer.len(), model.len());
    assert_eq!(layer.is_empty(), model.is_empty());
    let pairs: Vec<(Vec<u8>, u64)> =
        model.iter().map(|(key, value)| (key.clone(), *value)).collect();
    assert!(layer.iter().eq(pairs.iter().cloned()));
    assert!(layer.iter().rev().eq(pairs.iter().rev().cloned()));
    assert_eq!(layer.par_iter().collect::<Vec<_>>(), pairs);
    assert_eq!(layer.first_key_value(), pairs.first().cloned());
    assert_eq!(layer.last_key_value(), pairs.last().cloned());
    for rank in (0..pairs.len()).step_by(pairs.len() / 40 + 1) {
        assert_eq!(layer.select(rank).as_ref(), pairs.get(rank));
        assert_eq!(layer.iter().nth(rank).as_ref(), pairs.get(rank));
    }
    assert_eq!(layer.select(pairs.len()), None);
    let map = layer.thaw().unwrap();
    assert!(map.iter().eq(pairs.iter().cloned()));
    assert!(FrozenLayer::from(&map).iter().eq(pairs.iter().cloned()));
    layer.verify().unwrap();
    let copy = FrozenLayer::from_bytes(layer.to_bytes()).unwrap();
    assert_eq!(copy.to_bytes(), layer.to_bytes());
    assert!(copy.iter().eq(pairs));
}

proptest! {
    #[test]
    fn answers_like_a_btreemap(
        pairs in proptest::collection::vec((key(), any::<u64>()), 0..120),
        others in proptest::collection::vec(key(), 0..20),
        ranges in proptest::collection::vec((bound(), bound()), 0..6),
        steps in proptest::collection::vec(any::<bool>(), 0..60),
        chunk in prop_oneof![Just(1usize), Just(16), Just(17), Just(40), Just(1 << 16)],
    ) {
        let model: Model = pairs.into_iter().collect();
        for options in options() {
            let layer = build(&model, &options.chunk_keys(chunk));
            prop_assert_eq!(layer.chunks(), model.len().div_ceil(chunk));
            check_all(&layer, &model);
            check_keys(&layer, &model, &others);
            check_keys(&layer, &model, &model.keys().cloned().collect::<Vec<_>>());
            for range in &ranges {
                let want: Vec<_> = match in_order(&range.0, &range.1) {
                    true => model.range(range.clone()).map(|(k, v)| (k.clone(), *v)).collect(),
                    false => Vec::new(),
                };
                prop_assert!(layer.range(range.clone()).eq(want.iter().cloned()));
                let mut both = layer.range(range.clone());
                let mut want = want.into_iter();
                for front in &steps {
                    prop_assert_eq!(both.len(), want.len());
                    match front {
                        true => prop_assert_eq!(both.next(), want.next()),
                        false => prop_assert_eq!(both.next_back(), want.next_back()),
                    }
                }
            }
            // A walk back and forth.
            let pairs: Vec<(&Vec<u8>, &u64)> = model.iter().collect();
            let mut cursor = layer.cursor();
            let mut at = 0;
            for forward in steps.iter().chain(steps.iter()) {
                if *forward {
                    prop_assert_eq!(cursor.next(), pairs.get(at).map(|(k, v)| (&k[..], **v)));
                    at += usize::from(at < pairs.len());
                } else {
                    let want = at.checked_sub(1).map(|i| (&pairs[i].0[..], *pairs[i].1));
                    prop_assert_eq!(cursor.prev(), want);
                    at = at.saturating_sub(1);
                }
                prop_assert_eq!(cursor.rank(), at);
            }
        }
    }

    #[test]
    fn merges_like_btreemaps(
        maps in proptest::collection::vec(
            proptest::collection::btree_map(key(), any::<u32>().prop_map(u64::from), 0..40),
            0..8,
        ),
    ) {
        let options = FrozenOptions::new().chunk_keys(16);
        let (mut first, mut last, mut sum) = (Model::new(), Model::new(), Model::new());
        let mut layers = Vec::new();
        for map in maps {
            layers.push(build(&map, &options));
            for (key, &value) in &map {
                first.entry(key.clone()).or_insert(value);
                *sum.entry(key.clone()).or_insert(0) += value;
            }
            last.extend(map);
        }
        for (rule, model) in [
            (OnDuplicate::First, first),
            (OnDuplicate::Last, last),
            (OnDuplicate::Sum, sum),
        ] {
            let options = options.clone().on_duplicate(rule);
            check_all(&FrozenLayer::merge(&layers, options).unwrap(), &model);
        }
    }

    #[test]
    fn from_unsorted_keeps_the_last(
        pairs in proptest::collection::vec((key(), any::<u64>()), 0..60),
    ) {
        let model: Model = pairs.iter().cloned().collect();
        check_all(&FrozenLayer::from_unsorted(pairs).unwrap(), &model);
    }
}

/// Returns a URL-like key.
fn url(i: usize) -> String {
    format!(
        "https://www.host{}.example/path/{}/page-{}.html",
        i / 5000,
        i / 50 % 100,
        i.wrapping_mul(0x9E37_79B9) % 1_000_000
    )
}

fn urls(n: usize) -> Model {
    (0..n)
        .map(|i| (url(i).into_bytes(), (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (i % 3)))
        .collect()
}

#[test]
fn large_layers_answer_as_a_btreemap() {
    let model = urls(40_000);
    let others: Vec<Vec<u8>> = (0..2000)
        .map(|i| {
            let mut key = url(i * 37).into_bytes();
            key.truncate(20 + i % 30);
            key.extend_from_slice(&[b'!', b'z', 0, 0xFF][i % 4..=i % 4]);
            key
        })
        .collect();
    let some: Vec<Vec<u8>> = model.keys().step_by(7).cloned().collect();
    for options in options() {
        for chunk in [1000, 16 * 64 * 8, 1 << 16] {
            let layer = build(&model, &options.clone().chunk_keys(chunk));
            check_all(&layer, &model);
            assert_eq!(
                layer.get_many(&some),
                some.iter().map(|key| model.get(key).copied()).collect::<Vec<_>>()
            );
            for key in some.iter().chain(&others) {
                assert_eq!(layer.get(key), model.get(key).copied());
                let next = model.range(key.clone()..).next().map(|(k, v)| (&k[..], *v));
                assert_eq!(layer.lower_bound(key).next(), next);
            }
        }
    }
}

#[test]
fn long_keys_and_deep_prefixes() {
    let mut model = Model::new();
    for len in
        [0, 1, 15, 16, 17, 253, 254, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 200_000]
    {
        for end in [&b""[..], b"a", b"b", b"\0", b"\xFF"] {
            let mut key = vec![b'k'; len];
            key.extend_from_slice(end);
            model.insert(key, len as u64);
        }
    }
    // Each is a prefix of the next.
    for len in 0..400 {
        model.insert(vec![b'p'; len], 7);
    }
    let keys: Vec<Vec<u8>> = model.keys().cloned().collect();
    for options in options() {
        for chunk in [3, 20, 1 << 16] {
            let layer = build(&model, &options.clone().chunk_keys(chunk));
            check_all(&layer, &model);
            for key in &keys {
                for key in [&key[..], &key[..key.len() / 2], &[key, &b"!"[..]].concat()] {
                    assert_eq!(layer.get(key), model.get(key).copied());
                    assert_eq!(layer.rank(key), keys.partition_point(|k| &k[..] < key));
                }
            }
        }
    }
}

/// After each byte of a text, keys leave it. A few of its prefixes are keys.
#[test]
fn prefixes_of_a_text_that_keys_leave_after_each_byte() {
    let text: Vec<u8> = (0..700).map(|i| b"bcb"[i % 3]).collect();
    let mut model = Model::new();
    for len in 0..text.len() {
        for end in 0..(len % 19) as u8 {
            model.insert([&text[..len], b"a", &[end]].concat(), len as u64);
        }
        model.insert([&text[..len], b"d"].concat(), len as u64);
    }
    for stored in [&[][..], &[0, 40, 41, 300]] {
        model.extend(stored.iter().map(|&len| (text[..len].to_vec(), 1)));
        let lens = [0, 39, 40, 41, 42, 299, 300, 301, text.len()];
        let keys: Vec<_> = (lens.iter())
            .flat_map(|&len| [&b""[..], b"!", b"a", b"d\0"].map(|end| [&text[..len], end].concat()))
            .collect();
        for options in options() {
            for chunk in [3, 20, 1 << 16] {
                check_keys(&build(&model, &options.clone().chunk_keys(chunk)), &model, &keys);
            }
        }
    }
}

#[test]
fn the_same_bytes_for_any_number_of_threads() {
    let model = urls(30_000);
    let pairs: Vec<(&Vec<u8>, u64)> = model.iter().map(|(key, value)| (key, *value)).collect();
    for options in options() {
        let options = options.chunk_keys(1000);
        let mut all = Vec::new();
        for threads in [1, 2, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            all.push(pool.install(|| options.from_sorted(&pairs).unwrap().to_bytes()));
            all.push(pool.install(|| build(&model, &options).to_bytes()));
        }
        all.push(build(&model, &options).to_bytes());
        assert!(all.iter().all(|bytes| *bytes == all[0]));
    }
}

/// A model with long keys, of which a part of a range fills the read-ahead of a thread.
fn with_long_keys() -> Model {
    let long = |i: usize| {
        (
            [b"https://www.host1.example/path/", &vec![b'a' + i as u8; 1_500_000][..]].concat(),
            i as u64,
        )
    };
    urls(70_000).into_iter().chain((0..20).map(long)).collect()
}

#[test]
fn maps_freeze_to_the_same_bytes_however_they_are_read() {
    for model in [Model::new(), urls(1), urls(90_000), with_long_keys()] {
        let mut builder = FrozenLayerBuilder::new().unwrap();
        model.iter().for_each(|(key, value)| builder.insert(key, *value).unwrap());
        let layer = builder.finish().unwrap();
        let bytes = layer.to_bytes();
        let fast = FastArt::from_sorted(model_pairs(&model)).unwrap();
        let concurrent: ConcurrentArt = model.iter().map(|(key, value)| (key, *value)).collect();
        let sharded = ShardedArt::with_boundaries(model.keys().step_by(model.len() / 5 + 1));
        sharded.load(&model_pairs(&model)).unwrap();
        for threads in [1, 2, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                assert!(FrozenLayer::from(&fast).to_bytes() == bytes);
                assert!(FrozenLayer::from(&concurrent).to_bytes() == bytes);
                assert!(FrozenLayer::from(&sharded).to_bytes() == bytes);
                let thawed = layer.thaw().unwrap();
                thawed.check().unwrap();
                assert!(thawed == fast);
            });
        }
    }
}

fn model_pairs(model: &Model) -> Vec<(&Vec<u8>, u64)> {
    model.iter().map(|(key, value)| (key, *value)).collect()
}

#[test]
fn parallel_iterators_make_the_same_layers() {
    let n = 50_000u64;
    let key = |i: u64| format!("https://www.example.org/{i:07}");
    let model: Model = (0..n).map(|i| (key(i).into_bytes(), i)).collect();
    for options in options() {
        for options in [options.clone(), options.clone().chunk_keys(700), options.memory(1 << 20)] {
            let layer = build(&model, &options);
            let made = options
                .from_par_sorted((0..n as u32).into_par_iter().map(u64::from).map(|i| (key(i), i)))
                .unwrap();
            assert!(made.to_bytes() == layer.to_bytes());
            let unsorted = (0..n).map(|i| (key(i * 7919 % n), i * 7919 % n)).collect();
            assert!(options.from_unsorted(unsorted).unwrap().to_bytes() == layer.to_bytes());
        }
    }
    // The first wrong key is returned, whether it is inside a thread's part or between two.
    for (chunk, wrong) in [(700, 700), (700, 701), (700, 1399), (1, 5), (1 << 16, 40_000)] {
        let options = FrozenOptions::new().chunk_keys(chunk);
        let pairs = (0..n as u32)
            .into_par_iter()
            .map(u64::from)
            .map(|i| (key(if i == wrong || i == 45_000 { i - 1 } else { i }), i));
        match options.from_par_sorted(pairs) {
            Err(FrozenError::Duplicate { position, key: named }) => {
                assert_eq!((position, named), (wrong, key(wrong - 1).into_bytes()))
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A damaged layer of a mapped file thaws if its keys ascend, or returns the first key that does
/// not. The map is never out of order.
#[test]
fn damaged_layers_thaw_in_order_or_not_at_all() {
    let bytes = FrozenOptions::new()
        .chunk_keys(5000)
        .from_sorted(&model_pairs(&urls(40_000)))
        .unwrap()
        .to_bytes();
    let mut refused = 0;
    for i in 0..60 {
        let mut bytes = bytes.clone();
        // Inside the chunks.
        let at = 64 + (i * 7919 * 31) % (bytes.len() / 2);
        bytes[at..at + 8].fill(i as u8);
        let layer = mapped(&bytes).unwrap();
        match layer.thaw() {
            Ok(map) => map.check().unwrap(),
            Err(BuildError::NotAscending { .. } | BuildError::Duplicate { .. }) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refused > 0);
}

#[test]
fn little_memory_makes_the_same_layer() {
    let model = urls(30_000);
    for options in options() {
        let layer = build(&model, &options);
        assert!(build(&model, &options.memory(1 << 20)).to_bytes() == layer.to_bytes());
    }
    assert!(matches!(
        FrozenOptions::new().memory((1 << 20) - 1).builder(),
        Err(FrozenError::Option(_))
    ));
}

#[test]
fn keys_that_share_little_end_a_chunk_early() {
    let key = |i: u64| [&i.to_be_bytes()[..], &[b'x'; 1000]].concat();
    let model: Model = (0..6000).map(|i| (key(i), i)).collect();
    let pairs: Vec<(&Vec<u8>, u64)> = model.iter().map(|(key, value)| (key, *value)).collect();
    let options = FrozenOptions::new().symbols(SymbolTable::None);
    // What is left of the keys takes 1 MiB a chunk at least, or 128 bytes for each key.
    for (keys, chunks) in [(100, 60), (4000, 6), (16_384, 3), (65_536, 1)] {
        let options = options.clone().chunk_keys(keys);
        let layer = build(&model, &options);
        assert_eq!(layer.chunks(), chunks, "{keys}");
        assert!(options.from_sorted(&pairs).unwrap().to_bytes() == layer.to_bytes());
    }
}

#[test]
fn the_largest_chunks() {
    const MOST: usize = 1 << 24;
    let options = FrozenOptions::new().symbols(SymbolTable::None);
    for keys in [0, MOST + 1, usize::MAX] {
        let options = options.clone().chunk_keys(keys);
        assert!(matches!(options.builder(), Err(FrozenError::Option(_))));
        assert!(matches!(options.from_sorted(&[("a", 1)]), Err(FrozenError::Option(_))));
    }
    // All keys of three bytes, and before them the empty one.
    let key = |rank: usize| {
        rank.checked_sub(1).map_or(Vec::new(), |i| (i as u32).to_be_bytes()[1..].to_vec())
    };
    let pairs = |len: usize| (0..len).into_par_iter().map(move |rank| (key(rank), rank as u64 * 3));
    for (len, chunks) in [(MOST, 1), (MOST + 1, 2)] {
        let layer = options.clone().chunk_keys(MOST).from_par_sorted(pairs(len)).unwrap();
        assert_eq!((layer.len(), layer.chunks()), (len, chunks));
        for rank in (0..len).step_by(99_991).chain([1, MOST - 2, MOST - 1, len - 1]) {
            assert_eq!(
                (layer.get(key(rank)), layer.rank(key(rank))),
                (Some(rank as u64 * 3), rank)
            );
            assert_eq!(layer.select(rank), Some((key(rank), rank as u64 * 3)));
        }
        assert_eq!((layer.get([0, 0]), layer.rank([0xFF; 4])), (None, len));
    }
}

#[test]
fn sets_store_no_values() {
    let model = urls(1000);
    let set: Model = model.keys().map(|key| (key.clone(), 0)).collect();
    let layer = build(&model, &FrozenOptions::new().values(ValueWidth::None));
    check_all(&layer, &set);
    assert_eq!(layer.memory_usage().values, 0);
}

#[test]
fn wrong_input_is_refused_by_name() {
    let at = |error: FrozenError| match error {
        FrozenError::NotAscending { position, key } | FrozenError::Duplicate { position, key } => {
            (position, key)
        }
        other => panic!("{other}"),
    };
    for chunk in [1, 2, 3, 100] {
        let options = FrozenOptions::new().chunk_keys(chunk);
        for wrong in ["b", "a", "", "bb"] {
            let mut builder = options.builder().unwrap();
            for key in ["a", "b", "bb"] {
                builder.insert(key, 1).unwrap();
            }
            assert_eq!(at(builder.insert(wrong, 2).unwrap_err()), (3, wrong.as_bytes().to_vec()));
            // Nothing is lost.
            builder.insert("c", 3).unwrap();
            let layer = builder.finish().unwrap();
            assert!(layer.iter().map(|(key, _)| key).eq([&b"a"[..], b"b", b"bb", b"c"]));
            let pairs = [("a", 1), ("b", 1), ("bb", 1), (wrong, 2), ("c", 3)];
            assert_eq!(
                at(options.from_sorted(&pairs).unwrap_err()),
                (3, wrong.as_bytes().to_vec())
            );
        }
    }
    assert!(matches!(FrozenOptions::new().chunk_keys(0).builder(), Err(FrozenError::Option(_))));
    assert!(FrozenLayerBuilder::new().unwrap().finish_file().is_err());
}

#[test]
fn maps_of_any_value_freeze() {
    let map = FastArt::from([("a", -1i32), ("b", 2)]);
    let layer = FrozenLayer::from(&map);
    assert_eq!(layer.get("a"), Some(-1));
    assert_eq!(layer.thaw().unwrap(), map);
    assert_eq!(layer.get("b"), Some(2));
    let empty = FrozenLayer::from(&FastArt::<u64>::new());
    assert_eq!((empty.len(), empty.get(""), empty.chunks()), (0, None, 0));
    assert_eq!(
        (empty.first_key_value(), empty.last_key_value(), empty.iter().next()),
        (None, None, None)
    );
    let clone = layer.clone();
    drop(layer);
    assert_eq!(std::thread::spawn(move || clone.get("b")).join().unwrap(), Some(2));
}

/// While other threads change a map, the layer has the keys that are present all the time.
#[test]
fn from_a_shared_map() {
    let stays = |i: u32| format!("stays/{i:05}");
    let map: ConcurrentArt<i16> = (0..20_000).map(|i| (stays(i), -(i as i16))).collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in (0u32..).take_while(|_| !done.load(Ordering::Relaxed)) {
                let key = format!("stays/{:05}/comes and goes", i * 7919 % 20_000);
                map.insert(&key, 1);
                map.remove(&key);
            }
        });
        for _ in 0..5 {
            let layer = FrozenLayer::from(&map);
            let stayed = layer.iter().filter(|(key, _)| key.len() == 11);
            let want = |i: u32| (stays(i).into_bytes(), -(i as i16));
            assert!(stayed.eq((0..20_000).map(want)));
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(FrozenLayer::from(&map).len(), 20_000);
    assert!(FrozenLayer::from(&ConcurrentArt::<u64>::new()).is_empty());
}
