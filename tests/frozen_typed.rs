//! Layers of each value type against `BTreeMap`: what is read back, files, and files of another
//! type.

use crate::common;

use common::frozen_kinds::kinds;
use common::mapped::mapped_as;
use common::test_path::TestPath;
use memkv::{
    Bits, ConcurrentArt, FastArt, FrozenError, FrozenLayer, FrozenLayerBuilder, FrozenOptions,
    ShardedArt, Value, ValueKind, ValueWidth,
};
use proptest::prelude::*;
use std::fmt::Debug;
use std::path::PathBuf;

/// A value type of a user's.
#[derive(Clone, Copy, Debug, PartialEq)]
struct PageId(u32);

impl Value for PageId {
    type Bits = u32;
    fn into_bits(self) -> u32 {
        self.0
    }
    fn from_bits(bits: u32) -> Self {
        PageId(bits)
    }
}

type Pairs<V> = Vec<(Vec<u8>, V)>;

fn pairs<V: Copy>(values: &[V]) -> Pairs<V> {
    values.iter().enumerate().map(|(i, &value)| (format!("{i:04}").into(), value)).collect()
}

/// Checks what a layer of some type returns, in memory and as a file, and as which types the file
/// opens.
fn check<V: Value + Debug + PartialEq>(values: &[V]) {
    let pairs = pairs(values);
    for options in kinds() {
        let options = options.chunk_keys(7);
        let build = |options: &FrozenOptions| {
            let mut builder = options.builder_as().unwrap();
            pairs.iter().for_each(|(key, value)| builder.insert(key, *value).unwrap());
            builder.finish().unwrap()
        };
        let layer: FrozenLayer<V> = build(&options);
        for layer in [&layer, &FrozenLayer::from_bytes_as(layer.to_bytes()).unwrap()] {
            assert!(layer.iter().eq(pairs.iter().cloned()));
            for (key, value) in &pairs {
                assert_eq!(layer.get(key), Some(*value));
            }
            assert_eq!(layer.get("missing"), None);
        }
        // Values that are not stored are those whose bits are 0.
        let set: FrozenLayer<V> = build(&options.values(ValueWidth::None));
        let zero = V::from_bits(V::Bits::of_word(0));
        assert!(set.iter().all(|(_, value)| value == zero));
        // `u32` is the kind of a user's type of these bits.
        let other = FrozenLayer::<u32>::from_bytes_as(layer.to_bytes());
        if V::KIND == ValueKind::U32 {
            assert!(other.is_ok());
        } else {
            let Err(FrozenError::Values { found, expected: ValueKind::U32 }) = other else {
                panic!("{other:?}")
            };
            assert_eq!(found, V::KIND);
        }
    }
}

/// Checks everything else that a layer has, for a type that stands for all.
fn check_all(values: &[i32]) {
    let pairs = pairs(values);
    let map: FastArt<i32> = pairs.iter().cloned().collect();
    for options in kinds() {
        let options = options.chunk_keys(7);
        let layer = options.from_sorted_as(&pairs).unwrap();
        assert!(layer.iter().rev().eq(pairs.iter().rev().cloned()));
        let keys: Vec<&Vec<u8>> = pairs.iter().map(|(key, _)| key).collect();
        assert!(layer.get_many(&keys).into_iter().flatten().eq(values.iter().copied()));
        assert_eq!(layer.first_key_value(), pairs.first().cloned());
        assert_eq!(layer.last_key_value(), pairs.last().cloned());
        let mut cursor = layer.cursor();
        assert_eq!(cursor.peek().map(|(_, value)| value), values.first().copied());
        assert_eq!(cursor.next().map(|(_, value)| value), values.first().copied());
        assert_eq!(layer.thaw().unwrap(), map);
        let everything = fst::automaton::AlwaysMatch;
        assert!(layer.search(everything).map(|(_, value)| value).eq(values.iter().copied()));
        let mapped = mapped_as::<i32>(&layer.to_bytes()).unwrap();
        assert!(mapped.iter().eq(pairs.iter().cloned()));
        let merged = FrozenLayer::merge([&layer, &mapped], options.clone()).unwrap();
        assert_eq!(merged.to_bytes(), layer.to_bytes());
    }
    let unsorted: Vec<_> = pairs.iter().rev().cloned().collect();
    let layer = FrozenLayer::from_unsorted_as(unsorted).unwrap();
    assert!(layer.iter().eq(pairs.iter().cloned()));
    assert_eq!(FrozenLayer::from(&map).to_bytes(), layer.to_bytes());
    let shared: ConcurrentArt<i32> = pairs.iter().cloned().collect();
    assert_eq!(FrozenLayer::from(&shared).to_bytes(), layer.to_bytes());
    let shared: ShardedArt<i32> = pairs.iter().cloned().collect();
    assert_eq!(FrozenLayer::from(&shared).to_bytes(), layer.to_bytes());
    let path = TestPath::new("typed");
    let mut builder = FrozenLayerBuilder::<i32>::create_as(&*path, FrozenOptions::new()).unwrap();
    pairs.iter().for_each(|(key, value)| builder.insert(key, *value).unwrap());
    assert_eq!(builder.finish_file().unwrap(), pairs.len() as u64);
    assert!(FrozenLayer::<i32>::open_as(&*path).unwrap().iter().eq(pairs.iter().cloned()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 8 }))]

    #[test]
    fn layers_of_each_type(
        words in proptest::collection::vec(any::<u64>(), 0..40),
        bits in 0..64u32,
    ) {
        // Few bits make values that are near to each other.
        let words: Vec<u64> = words.into_iter().map(|word| word >> bits).collect();
        macro_rules! each {
            ($($t:ty),*) => {$(check(&words.iter().map(|&w| w as $t).collect::<Vec<_>>());)*};
        }
        each!(u8, u16, u32, u64, i8, i16, i32, isize, f32);
        let floats = words.iter().map(|&word| f64::from_bits(word)).filter(|x| !x.is_nan());
        check(&floats.collect::<Vec<_>>());
        check(&words.iter().map(|word| word % 2 == 0).collect::<Vec<_>>());
        let chars = words.iter().filter_map(|&word| char::from_u32(word as u32));
        check(&chars.collect::<Vec<_>>());
        check(&words.iter().map(|_| ()).collect::<Vec<_>>());
        check(&words.iter().map(|&word| PageId(word as u32)).collect::<Vec<_>>());
        check_all(&words.iter().map(|&word| word as i32).collect::<Vec<_>>());
    }
}

#[test]
fn small_numbers_of_either_sign_take_few_bits() {
    let keys: Vec<String> = (0..10_000).map(|i| format!("{i:05}")).collect();
    let unsigned: Vec<(&String, u64)> = keys.iter().zip((0..100).cycle()).collect();
    let unsigned = FrozenLayer::from_sorted(&unsigned).unwrap().memory_usage();
    let signed: Vec<(&String, i32)> = keys.iter().zip((-50..50).cycle()).collect();
    let signed = FrozenLayer::from_sorted_as(&signed).unwrap().memory_usage();
    assert_eq!(signed.values, unsigned.values);
    assert_eq!(signed.total(), unsigned.total());
}

/// A file of version 2 always opens, and the same values give the same bytes.
#[test]
fn a_golden_file_of_signed_values_opens() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v2-i32.frozen");
    let pairs: Vec<(String, i32)> =
        (0..60).map(|i| (format!("https://example.org/{i:03}"), (i - 30) * 7)).collect();
    let built = FrozenOptions::new().chunk_keys(40).from_sorted_as(&pairs).unwrap();
    if std::env::var_os("MEMKV_WRITE_GOLDEN").is_some() {
        built.save(&path).unwrap();
    }
    assert_eq!(built.to_bytes(), std::fs::read(&path).unwrap());
    let layer = FrozenLayer::<i32>::open_as(&path).unwrap();
    assert!(pairs.iter().all(|(key, value)| layer.get(key) == Some(*value)));
    assert!(matches!(FrozenLayer::open(&path), Err(FrozenError::Values { .. })));
}

/// Whatever byte of the file is another one, it is an error, or what is read is the same.
#[test]
fn every_byte_of_a_typed_file_counts() {
    let pairs: Vec<(String, i16)> = (0..50).map(|i| (format!("{i:02}"), i - 25)).collect();
    let bytes = FrozenLayer::from_sorted_as(&pairs).unwrap().to_bytes();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            assert!(FrozenLayer::<i16>::from_bytes_as(bytes).is_err(), "byte {at}, bit {bit}");
        }
    }
}
