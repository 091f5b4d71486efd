//! `FrozenLayer` as a collection: its iterators, equality, collecting, and set operations, against
//! `BTreeMap`.

use crate::common;

use common::frozen_kinds::kinds;
use common::key;
use memkv::{
    FrozenError, FrozenLayer, FrozenLayerWriter, FrozenOptions, FrozenStream, SymbolTable,
};
use proptest::prelude::*;
use rayon::prelude::*;
use std::collections::BTreeMap;

type Model = BTreeMap<Vec<u8>, u64>;
type Found = Vec<(Vec<u8>, Vec<(usize, u64)>)>;

fn all(mut stream: FrozenStream<'_>) -> Found {
    let mut found = Vec::new();
    while let Some((key, values)) = stream.next() {
        found.push((key.to_vec(), values.to_vec()));
    }
    assert!(stream.next().is_none());
    found
}

/// Returns the keys of all models with their values, if `wanted` returns true for the numbers of
/// the models that have them.
fn expected(models: &[Model], wanted: impl Fn(&[usize]) -> bool) -> Found {
    let mut found: BTreeMap<Vec<u8>, Vec<(usize, u64)>> = BTreeMap::new();
    for (number, model) in models.iter().enumerate() {
        for (key, value) in model {
            found.entry(key.clone()).or_default().push((number, *value));
        }
    }
    let numbers = |values: &[(usize, u64)]| values.iter().map(|(n, _)| *n).collect::<Vec<_>>();
    found.into_iter().filter(|(_, values)| wanted(&numbers(values))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 32 }))]

    #[test]
    fn set_operations_are_those_of_maps(
        models in proptest::collection::vec(
            proptest::collection::btree_map(key(), any::<u64>(), 0..60), 0..4),
    ) {
        for options in kinds() {
            let options = options.chunk_keys(9);
            let layers: Vec<FrozenLayer> = models.iter().map(|model| {
                let mut builder = options.builder().unwrap();
                model.iter().for_each(|(key, value)| builder.insert(key, *value).unwrap());
                builder.finish().unwrap()
            }).collect();
            let n = layers.len();
            prop_assert_eq!(all(FrozenLayer::union(&layers)), expected(&models, |_| true));
            prop_assert_eq!(
                all(FrozenLayer::intersection(&layers)),
                expected(&models, |found| found.len() == n)
            );
            prop_assert_eq!(
                all(FrozenLayer::difference(&layers)),
                expected(&models, |found| found == [0])
            );
            prop_assert_eq!(
                all(FrozenLayer::symmetric_difference(&layers)),
                expected(&models, |found| found.len() % 2 == 1)
            );
        }
    }

    #[test]
    fn layers_are_collections(
        model in proptest::collection::btree_map(key(), any::<u64>(), 0..200),
        others in proptest::collection::vec(key(), 0..60),
    ) {
        for options in kinds() {
            let pairs: Vec<(Vec<u8>, u64)> = model.clone().into_iter().collect();
            let layer = options.chunk_keys(9).from_sorted(&pairs).unwrap();
            prop_assert!(layer.keys().eq(model.keys().cloned()));
            prop_assert!(layer.keys().rev().eq(model.keys().rev().cloned()));
            prop_assert!(layer.values().eq(model.values().copied()));
            prop_assert!(layer.values().rev().eq(model.values().rev().copied()));
            prop_assert_eq!((layer.keys().len(), layer.values().len()), (model.len(), model.len()));
            prop_assert!(layer.clone().into_iter().eq(pairs.iter().cloned()));
            prop_assert!(layer.clone().into_iter().rev().eq(pairs.iter().rev().cloned()));
            let parallel: Vec<_> = (&layer).into_par_iter().collect();
            prop_assert_eq!(&parallel, &pairs);
            let asked: Vec<&Vec<u8>> = model.keys().chain(&others).collect();
            let mut values = Vec::new();
            layer.get_many_with(&asked, |value| values.push(value));
            let wanted = asked.iter().map(|&key| model.get(key).copied());
            prop_assert!(values.iter().copied().eq(wanted));
            prop_assert_eq!(layer.get_many(&asked), values);
            let contained = asked.iter().map(|&key| model.contains_key(key));
            prop_assert!(layer.contains_many(&asked).into_iter().eq(contained));
            // In order, in reverse, and each twice with another value first.
            let collected: FrozenLayer = pairs.iter().cloned().collect();
            prop_assert!(collected == layer);
            let collected: FrozenLayer = pairs.iter().rev().cloned().collect();
            prop_assert!(collected == layer);
            let twice = pairs.iter().map(|(key, value)| (key.clone(), !value));
            let collected: FrozenLayer = twice.chain(pairs.iter().cloned()).collect();
            prop_assert!(collected == layer);
            let mut other = model.clone();
            if let Some(mut last) = other.last_entry() {
                *last.get_mut() ^= 1;
                prop_assert!(other.into_iter().collect::<FrozenLayer>() != layer);
            }
            let mut cursor = layer.cursor();
            cursor.seek_to_last();
            prop_assert_eq!(cursor.prev(), pairs.last().map(|(key, value)| (&key[..], *value)));
            cursor.seek_to_first();
            prop_assert_eq!(cursor.next(), pairs.first().map(|(key, value)| (&key[..], *value)));
        }
    }
}

#[test]
fn debug_prints_no_keys() {
    let layer: FrozenLayer = (0..1000u64).map(|i| (i.to_be_bytes(), i)).collect();
    let all = [
        format!("{layer:?}"),
        format!("{:?}", layer.keys()),
        format!("{:?}", layer.values()),
        format!("{:?}", FrozenLayer::union([&layer])),
    ];
    assert!(all.iter().all(|text| text.len() < 200), "{all:?}");
}

#[test]
fn builders_and_layers_are_send_and_sync() {
    fn check<T: Send + Sync>() {}
    check::<memkv::FrozenLayerBuilder>();
    check::<FrozenLayer>();
    check::<memkv::FrozenOptions>();
    check::<FrozenStream<'_>>();
}

/// The number of threads does not matter, whether there are chunks enough for all or not.
#[test]
fn any_number_of_threads_builds_the_same_layer() {
    let pairs: Vec<(String, u64)> = (0..5000).map(|i| (format!("{i:05}"), i)).collect();
    for options in kinds() {
        let options = options.chunk_keys(300);
        let bytes = options.from_sorted(&pairs).unwrap().to_bytes();
        for threads in 1..4 {
            let options = options.clone().threads(threads);
            assert!(options.from_sorted(&pairs).unwrap().to_bytes() == bytes);
            let unsorted: Vec<_> = pairs.iter().rev().cloned().collect();
            assert!(options.from_unsorted(unsorted).unwrap().to_bytes() == bytes);
            let mut builder = options.builder().unwrap();
            pairs.iter().for_each(|(key, value)| builder.insert(key, *value).unwrap());
            assert!(builder.finish().unwrap().to_bytes() == bytes);
        }
    }
    let none = memkv::FrozenOptions::new().threads(0);
    assert!(none.builder().is_err() && none.from_sorted(&pairs).is_err());
}

/// An owner whose bytes become others, or fewer, has a damaged layer, which does not panic.
#[test]
fn owners_may_change_their_bytes() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    struct Changing(Vec<u8>, Vec<u8>, Arc<AtomicUsize>);
    impl AsRef<[u8]> for Changing {
        fn as_ref(&self) -> &[u8] {
            match self.2.load(Relaxed) {
                0 => &self.0,
                1 => &self.1,
                _ => &[],
            }
        }
    }
    let pairs: Vec<(String, u64)> = (0..2000).map(|i| (format!("{i:04}"), i)).collect();
    let bytes = FrozenLayer::from_sorted(&pairs).unwrap().to_bytes();
    let mut written = Vec::new();
    let layer = FrozenLayer::from_owner(bytes.clone()).unwrap();
    assert_eq!(layer.write_to(&mut written).unwrap(), bytes.len() as u64);
    assert!(written == bytes);
    assert!(layer.write_to(&mut &mut [0; 9][..]).is_err(), "what is full takes no more");
    let other = bytes.iter().map(|byte| byte ^ 0x55).collect();
    let state = Arc::new(AtomicUsize::new(0));
    let layer = FrozenLayer::from_owner(Changing(bytes, other, Arc::clone(&state))).unwrap();
    assert_eq!(layer.get("0777"), Some(777));
    for changed in 1..3 {
        state.store(changed, Relaxed);
        assert!(layer.verify().is_err());
        let _ = (layer.get("0778"), layer.iter().count(), layer.prefix("07").last());
    }
    assert!(FrozenLayer::from_owner(&b"no layer"[..]).is_err());
}

/// A writer that has room for some bytes.
struct Room(usize);

impl std::io::Write for Room {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0 == 0 {
            return Err(std::io::Error::new(std::io::ErrorKind::StorageFull, "no room"));
        }
        let written = bytes.len().min(self.0);
        self.0 -= written;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_gets_the_bytes_of_a_file() {
    let pairs: Vec<(String, u64)> = (0..500).map(|i| (format!("{i:05}"), i)).collect();
    for options in kinds() {
        let options = options.chunk_keys(50);
        let bytes = options.from_sorted(&pairs).unwrap().to_bytes();
        let iter = pairs.iter().map(|(key, value)| (key, *value));
        assert_eq!(options.from_sorted_iter(iter).unwrap().to_bytes(), bytes);
        let mut writer = FrozenLayerWriter::new(Vec::new(), options.clone()).unwrap();
        for (key, value) in &pairs {
            writer.insert(key, *value).unwrap();
            assert!(matches!(writer.insert(key, 0), Err(FrozenError::Duplicate { .. })));
        }
        assert_eq!(writer.len(), 500);
        assert_eq!(writer.finish().unwrap(), bytes);
        // Whatever fits, an error comes, and comes again.
        for room in (0..bytes.len()).step_by(7) {
            let Ok(mut writer) = FrozenLayerWriter::new(Room(room), options.clone()) else {
                assert!(room < 16);
                continue;
            };
            let mut failed = false;
            for (key, value) in &pairs {
                match writer.insert(key, *value) {
                    Ok(()) => assert!(!failed),
                    Err(error) => {
                        assert_eq!(error.to_string(), "the writer failed: no room");
                        failed = true;
                    }
                }
            }
            assert!(matches!(writer.finish(), Err(FrozenError::Writer(_))), "{room} bytes");
        }
    }
}

#[test]
fn the_symbols_of_a_layer_serve_others() {
    let key = |i: u64| format!("https://www.example.org/{:03}/page-{i:06}", i / 300);
    let value = |i: u64| format!("status=200 type=text/html user={}", i * 7919 % 1009);
    let texts: Vec<(String, String)> = (0..5000).map(|i| (key(i), value(i))).collect();
    let numbers: Vec<(String, u64)> = (0..5000).map(|i| (key(i), i)).collect();
    for options in kinds().into_iter().chain([FrozenOptions::new()]) {
        let options = options.chunk_keys(500);
        let layer = options.from_sorted_bytes(&texts).unwrap();
        let taken = options.clone().symbols_of(&layer);
        // The same keys have the same bytes, wherever its symbols are from.
        let again = taken.from_sorted_bytes(&texts).unwrap();
        assert!(again.to_bytes() == layer.to_bytes());
        // A table for many keys serves few, and layers of other values.
        let few = taken.from_sorted(&numbers[..10]).unwrap();
        assert_eq!(few.symbols(), layer.symbols());
        assert!(few.iter().map(|(_, value)| value).eq(0..10));
        let all = options.from_sorted(&numbers).unwrap();
        let mut builder = options.clone().symbols_of(&all).builder_as::<[u8]>().unwrap();
        texts.iter().for_each(|(key, value)| builder.insert(key, value.as_bytes()).unwrap());
        assert!(builder.finish().unwrap() == layer);
        // The last choice counts.
        let plain = taken.symbols(SymbolTable::None).from_sorted(&numbers).unwrap();
        assert_eq!(plain.symbols(), SymbolTable::None);
    }
}
