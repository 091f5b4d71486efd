//! Arbitrary bytes opened as a `FrozenLayer`: an error, or a layer that can be read in every way.
//!
//! An input is used as it is, or describes how to build a layer and how to damage its bytes.
//! Checksums are corrected, so that damage passes them. What is still accepted must be consistent.

#![no_main]

#[path = "../../tests/common/forge.rs"]
mod forge;

use arbitrary::Arbitrary;
use forge::{FOOTER_BYTES, mend, mend_length};
use libfuzzer_sys::fuzz_target;
use memkv::{Codec, FrozenLayer, FrozenOptions, HybridOptions, HybridStore, SymbolTable};
use std::collections::BTreeMap;

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

/// Asserts that an accepted layer has its keys in order, where lookups find them, and compacts it.
fn is_consistent(layer: &FrozenLayer) {
    layer.verify().unwrap();
    // Transducers may have millions.
    let most = 2000;
    let pairs: Vec<(Vec<u8>, u64)> = layer.iter().take(most).collect();
    assert_eq!(pairs.len(), layer.len().min(most));
    assert!(pairs.is_sorted_by(|a, b| a.0 < b.0));
    for (rank, (key, value)) in pairs.iter().enumerate() {
        assert_eq!((layer.get(key), layer.rank(key)), (Some(*value), rank));
    }
    if layer.len() > most || layer.codec() == Codec::Fst {
        return;
    }
    assert!(layer.iter().rev().eq(pairs.iter().rev().cloned()));
    let options = HybridOptions::new().frozen(FrozenOptions::new().symbols(SymbolTable::None));
    let store = HybridStore::with_base(layer.clone(), options.threads(1)).unwrap();
    let is_new = store.insert("https://example.org/7/x", 1).unwrap().is_none();
    store.compact().unwrap();
    assert_eq!(store.iter().count(), layer.len() + usize::from(is_new));
}

fn read_all(layer: &FrozenLayer, keys: &BTreeMap<Vec<u8>, u64>) {
    // A transducer may have millions of keys.
    let most = 2000;
    let mut probes: Vec<Vec<u8>> = keys.keys().take(20).cloned().collect();
    probes.extend(layer.iter().take(20).map(|(key, _)| key));
    let _ = layer.iter().rev().take(most).count();
    for key in &probes {
        let _ = (
            layer.get(key),
            layer.contains_key(key),
            layer.rank(key),
            layer.get_longest_prefix(key),
        );
        let _ = layer.prefix(&key[..key.len() / 2]).rev().take(100).count();
        let mut cursor = layer.upper_bound(key);
        let _ = (cursor.prev().is_some(), cursor.next().is_some(), cursor.next().is_some());
    }
    let _ = layer.get_many(&probes);
    for rank in [0, 1, 15, 16, 63, 64, layer.len() / 2, layer.len().saturating_sub(1), usize::MAX] {
        let _ = layer.select(rank);
    }
    let _ = layer.search(fst::automaton::Subsequence::new("e7")).take(most).count();
    let _ = layer.memory_usage().total();
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

fuzz_target!(|input: Input| {
    match input {
        Input::Raw(bytes) => {
            if let Ok(layer) = FrozenLayer::from_bytes(bytes) {
                is_consistent(&layer);
                read_all(&layer, &BTreeMap::new());
            }
        }
        Input::Damaged { keys, numbered, symbols, chunk, damage: damages, end } => {
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
            let pairs: Vec<(&Vec<u8>, u64)> =
                keys.iter().map(|(key, value)| (key, *value)).collect();
            let mut bytes = options.chunk_keys(chunk).from_sorted(&pairs).unwrap().to_bytes();
            let whole = bytes.clone();
            damage(&mut bytes, &damages, end);
            if bytes == whole {
                let layer = FrozenLayer::from_bytes(bytes).unwrap();
                read_all(&layer, &keys);
                assert!(layer.iter().eq(keys));
                return;
            }
            // Altered bytes are refused, at least by a checksum.
            assert!(FrozenLayer::from_bytes(bytes.clone()).is_err());
            if repair(&mut bytes).is_some()
                && let Ok(layer) = FrozenLayer::from_bytes(bytes)
            {
                is_consistent(&layer);
                read_all(&layer, &keys);
                // What is verified is consistent.
                assert!(layer.iter().is_sorted_by(|(a, _), (b, _)| a < b));
                assert_eq!(layer.iter().count(), layer.len());
            }
        }
    }
});
