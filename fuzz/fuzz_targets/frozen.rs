//! Arbitrary bytes opened as a `FrozenLayer` of numbers or of byte strings: an error, or a layer
//! that can be read in every way.
//!
//! An input is used as it is, or describes how to build a layer and how to damage its bytes.
//! Checksums are corrected, so that damage passes them. What is still accepted must be consistent.
//! What is only mapped may be wrong, but each call must return.

#![no_main]

#[path = "../../tests/common/forge.rs"]
mod forge;

use arbitrary::Arbitrary;
use forge::{FOOTER_BYTES, mend, mend_length};
use libfuzzer_sys::fuzz_target;
use memkv::{
    BytesLayer, Codec, FrozenLayer, FrozenOptions, HybridOptions, HybridStore, LayerValue,
    SymbolTable,
};
use std::collections::BTreeMap;
use std::fmt::Debug;

#[derive(Arbitrary, Debug)]
enum Input {
    Raw(Vec<u8>),
    Damaged {
        keys: Vec<(Vec<u8>, u64)>,
        numbered: u16,
        symbols: u8,
        chunk: u8,
        damage: Vec<Damage>,
        end: Option<u16>,
        /// The values of a layer of byte strings.
        strings: Option<Vec<Vec<u8>>>,
    },
}

#[derive(Arbitrary, Debug)]
enum Damage {
    /// A byte, counted from the beginning or from the end.
    Byte { at: u16, from_end: bool, value: u8 },
    /// A little-endian word.
    Word { at: u16, from_end: bool, value: u64 },
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at.saturating_add(value.len())) {
        place.copy_from_slice(value);
    }
}

/// Corrects the length and the checksums, if the footer says where they are.
fn repair(bytes: &mut [u8]) -> Option<()> {
    if bytes.len() < FOOTER_BYTES {
        return None;
    }
    mend_length(bytes);
    mend(bytes)
}

/// Keys read of a layer: transducers may have millions.
const MAX_KEYS_READ: usize = 2000;

/// Asserts that an accepted layer has its keys in order, where lookups find them.
fn is_consistent<V>(layer: &FrozenLayer<V>)
where
    V: LayerValue<Owned: Clone + Debug + PartialEq> + ?Sized,
{
    layer.verify().unwrap();
    let pairs: Vec<(Vec<u8>, V::Owned)> = layer.iter().take(MAX_KEYS_READ).collect();
    assert_eq!(pairs.len(), layer.len().min(MAX_KEYS_READ));
    assert!(pairs.is_sorted_by(|a, b| a.0 < b.0));
    for (rank, (key, value)) in pairs.iter().enumerate() {
        assert_eq!((layer.get(key).as_ref(), layer.rank(key)), (Some(value), rank));
    }
    let values = pairs.iter().map(|(_, value)| value);
    assert!(layer.values().take(MAX_KEYS_READ).eq(values.cloned()));
    if layer.len() <= MAX_KEYS_READ && layer.codec() != Codec::Fst {
        assert!(layer.iter().rev().eq(pairs.iter().rev().cloned()));
        let merged = FrozenLayer::merge([layer, layer], plain()).unwrap();
        assert!(merged == *layer && merged.iter().eq(pairs));
    }
}

fn plain() -> FrozenOptions {
    FrozenOptions::new().symbols(SymbolTable::None)
}

/// Asserts that an accepted layer can be compacted with a change.
fn compacts(layer: &FrozenLayer) {
    if layer.len() > MAX_KEYS_READ || layer.codec() == Codec::Fst {
        return;
    }
    let options = HybridOptions::new().frozen(plain());
    let store = HybridStore::with_base(layer.clone(), options.threads(1)).unwrap();
    let is_new = store.insert("https://example.org/7/x", 1).unwrap().is_none();
    store.compact().unwrap();
    assert_eq!(store.iter().count(), layer.len() + usize::from(is_new));
}

/// Reads a layer in every way. Each call must return.
fn read_all<V>(layer: &FrozenLayer<V>, keys: &[Vec<u8>])
where
    V: LayerValue<Owned: PartialEq> + ?Sized,
{
    let mut probes: Vec<Vec<u8>> = keys.iter().take(20).cloned().collect();
    probes.extend(layer.iter().take(20).map(|(key, _)| key));
    let _ = layer.iter().rev().take(MAX_KEYS_READ).count();
    let _ = layer.values().take(MAX_KEYS_READ).count();
    for key in &probes {
        let _ = (
            layer.get(key),
            layer.contains_key(key),
            layer.rank(key),
            layer.get_longest_prefix(key),
        );
        let _ = layer.prefix(&key[..key.len() / 2]).rev().take(100).count();
        let mut cursor = layer.upper_bound(key);
        let _ = cursor.prev().is_some();
        let _ = cursor.next().is_some();
        let _ = cursor.next().is_some();
    }
    let found = layer.get_many(&probes);
    let mut lent = 0;
    layer.get_many_with(&probes, |value| lent += usize::from(value.is_some()));
    assert_eq!(found.iter().flatten().count(), lent);
    for rank in [0, 1, 15, 16, 63, 64, layer.len() / 2, layer.len().saturating_sub(1), usize::MAX] {
        let _ = layer.select(rank);
    }
    let _ = layer.search(fst::automaton::Subsequence::new("e7")).take(MAX_KEYS_READ).count();
    let mut union = FrozenLayer::union([layer, layer]);
    let _ = (0..MAX_KEYS_READ).take_while(|_| union.next().is_some()).count();
    let _ = layer.memory_usage().total();
}

/// Reads bytes in every way that nothing but their trailer was checked of.
fn read_unverified<V>(bytes: &[u8], keys: &[Vec<u8>])
where
    V: LayerValue<Owned: PartialEq> + ?Sized,
{
    let path = std::env::temp_dir().join(format!("memkv-fuzz-{}", std::process::id()));
    std::fs::write(&path, bytes).unwrap();
    // SAFETY: the file is never written again: it loses its only name here.
    let layer = unsafe { FrozenLayer::<V>::open_mapped_as(&path) };
    std::fs::remove_file(&path).unwrap();
    if let Ok(layer) = layer {
        read_all(&layer, keys);
        if layer.len() <= MAX_KEYS_READ && layer.codec() != Codec::Fst {
            let _ = FrozenLayer::merge([&layer], plain());
        }
        let _ = layer.verify();
    }
}

fn open_raw<V>(bytes: &[u8]) -> Option<FrozenLayer<V>>
where
    V: LayerValue<Owned: Clone + Debug + PartialEq> + ?Sized,
{
    let layer = FrozenLayer::<V>::from_bytes_as(bytes.to_vec()).ok()?;
    is_consistent(&layer);
    read_all(&layer, &[]);
    Some(layer)
}

fn damage(bytes: &mut Vec<u8>, damages: &[Damage], end: Option<u16>) {
    let len = bytes.len();
    let place = |at: u16, from_end: bool| {
        if from_end { len.saturating_sub(usize::from(at)) } else { usize::from(at) }
    };
    for damage in damages {
        match *damage {
            Damage::Byte { at, from_end, value } => put(bytes, place(at, from_end), &[value]),
            Damage::Word { at, from_end, value } => {
                put(bytes, place(at, from_end), &value.to_le_bytes())
            }
        }
    }
    if let Some(end) = end {
        bytes.truncate(end.into());
    }
}

/// Damages the bytes of a layer of these pairs, and reads what is left.
fn damage_and_read<V>(
    layer: &FrozenLayer<V>,
    pairs: &BTreeMap<Vec<u8>, V::Owned>,
    damages: &[Damage],
    end: Option<u16>,
    read: impl Fn(&FrozenLayer<V>),
) where
    V: LayerValue<Owned: Clone + Debug + PartialEq> + ?Sized,
{
    let keys: Vec<Vec<u8>> = pairs.keys().cloned().collect();
    let mut bytes = layer.to_bytes();
    let whole = bytes.clone();
    damage(&mut bytes, damages, end);
    if bytes == whole {
        let layer = FrozenLayer::<V>::from_bytes_as(bytes).unwrap();
        read_all(&layer, &keys);
        assert!(layer.iter().eq(pairs.clone()));
        assert!(pairs.iter().all(|(key, value)| layer.get(key).as_ref() == Some(value)));
        return;
    }
    // Altered bytes are refused, at least by a checksum.
    assert!(FrozenLayer::<V>::from_bytes_as(bytes.clone()).is_err());
    if repair(&mut bytes).is_some() {
        read_unverified::<V>(&bytes, &keys);
        if let Ok(layer) = FrozenLayer::<V>::from_bytes_as(bytes) {
            is_consistent(&layer);
            read(&layer);
            read_all(&layer, &keys);
            // What is verified is consistent.
            assert!(layer.iter().is_sorted_by(|(a, _), (b, _)| a < b));
            assert_eq!(layer.iter().count(), layer.len());
        }
    }
}

fuzz_target!(|input: Input| {
    match input {
        Input::Raw(bytes) => {
            if let Some(layer) = open_raw::<u64>(&bytes) {
                compacts(&layer);
            }
            open_raw::<[u8]>(&bytes);
        }
        Input::Damaged { keys, numbered, symbols, chunk, damage: damages, end, strings } => {
            let mut keys: BTreeMap<Vec<u8>, u64> = keys.into_iter().collect();
            keys.extend(
                (0..u64::from(numbered % 256)).map(|i| {
                    (format!("https://example.org/{}/{i}", i * 7919 % 31).into_bytes(), i)
                }),
            );
            let fst = symbols % 16 == 0;
            // The builder of each transducer first clears megabytes.
            let chunk = if fst { 128 } else { usize::from(chunk) + 1 };
            let options = match symbols % 4 {
                _ if fst => FrozenOptions::new().codec(Codec::Fst),
                0 | 1 => FrozenOptions::new().symbols(SymbolTable::None),
                2 => FrozenOptions::new().symbols(SymbolTable::Fsst),
                _ => FrozenOptions::new().symbols(SymbolTable::OnPair),
            };
            let options = options.chunk_keys(chunk);
            let Some(strings) = strings else {
                let pairs: Vec<(&Vec<u8>, u64)> =
                    keys.iter().map(|(key, value)| (key, *value)).collect();
                let layer = options.from_sorted(&pairs).unwrap();
                return damage_and_read(&layer, &keys, &damages, end, compacts);
            };
            let string = |number: u64| match strings.get(number as usize % (strings.len() + 1)) {
                Some(string) => string.clone(),
                None => format!("status=200 user={number} ").repeat(number as usize % 5).into(),
            };
            let keys: BTreeMap<Vec<u8>, Vec<u8>> =
                keys.into_iter().map(|(key, number)| (key, string(number))).collect();
            let pairs: Vec<(&Vec<u8>, &Vec<u8>)> = keys.iter().collect();
            let layer = options.from_sorted_bytes(&pairs).unwrap();
            damage_and_read(&layer, &keys, &damages, end, |layer| {
                assert!(BytesLayer::from(&layer.thaw().unwrap()) == *layer);
            });
        }
    }
});
