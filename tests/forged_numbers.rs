//! More layers that were made to deceive, with right checksums: numbers one by one, and blocks that
//! overlap. Mapped without checks, they may give wrong answers, but each call returns soon.

use crate::common::forge::{ENTRY_BYTES, FOOTER_BYTES, directory, mend, mend_length, word};
use crate::common::frozen_kinds::kinds;
use crate::common::mapped::mapped;
use memkv::{FrozenError, FrozenLayer, FrozenOptions, HybridOptions, HybridStore, SymbolTable};

/// What a forged layer has in its one chunk without values.
struct Forged {
    codec: u8,
    keys: Vec<u8>,
    len: u32,
    root: u32,
    height: u8,
}

impl Forged {
    fn file(&self) -> Vec<u8> {
        let mut out = b"memkvFRZ\x01\0\0\0\0\0\0\0".to_vec();
        out.extend_from_slice(&self.keys);
        let symbols = out.len() as u64;
        for word in [16, self.keys.len() as u64, 0, 0] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&self.len.to_le_bytes());
        out.extend_from_slice(&[0, self.height, 0, 0]);
        out.extend_from_slice(&self.root.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&[0; 8]);
        for word in [symbols, 0, 1, 8, self.len.into()] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&[0, self.codec, 0, 0]);
        out.extend_from_slice(&[0; 12]);
        out.extend_from_slice(&[0; 12]);
        out.extend_from_slice(&1u32.to_le_bytes());
        out.extend_from_slice(b"memkvEND");
        mend_length(&mut out);
        mend(&mut out).unwrap();
        out
    }
}

fn plain() -> FrozenOptions {
    FrozenOptions::new().symbols(SymbolTable::None)
}

/// Merges two changes into a layer, and returns the number of keys.
fn compact(layer: &FrozenLayer, options: &FrozenOptions) -> Result<usize, String> {
    let options = HybridOptions::new().frozen(options.clone()).threads(1);
    let store = HybridStore::with_base(layer.clone(), options).map_err(|e| e.to_string())?;
    store.insert("https://example.org/05/new", 1).map_err(|e| e.to_string())?;
    store.insert("zzz", 1).map_err(|e| e.to_string())?;
    store.compact().map_err(|e| e.to_string())?;
    let keys: Vec<Vec<u8>> = store.iter().map(|(key, _)| key).collect();
    assert!(keys.is_sorted_by(|a, b| a < b));
    Ok(keys.len())
}

/// Reads in every way. Returns the number of bytes of keys that were returned.
fn read_all(layer: &FrozenLayer) -> usize {
    let mut bytes = 0;
    let mut most = layer.len() + 1;
    let mut range = layer.iter();
    while let Some((key, _)) = range.next_ref() {
        bytes += key.len();
        most -= 1;
    }
    assert!(most > 0);
    let mut range = layer.iter();
    while let Some((key, _)) = range.next_back_ref() {
        bytes += key.len();
    }
    bytes +=
        layer.search(fst::automaton::Subsequence::new("e/7")).map(|(k, _)| k.len()).sum::<usize>();
    let keys: Vec<Vec<u8>> = layer.iter().map(|(key, _)| key).step_by(5).take(20).collect();
    for key in &keys {
        let _ = (layer.get(key), layer.rank(key), layer.get_longest_prefix(key));
        let _ = layer.prefix(&key[..key.len() / 2]).rev().count();
        let mut cursor = layer.upper_bound(key);
        let _ = (cursor.prev().is_some(), cursor.next().is_some(), cursor.next().is_some());
    }
    let _ = layer.get_many(&keys);
    for rank in [0, 15, 16, 17, 1000, usize::MAX] {
        let _ = layer.select(rank);
    }
    let _ = (layer.memory_usage(), layer.header_bytes());
    bytes
}

/// Makes other maps of it in every way.
fn rebuild(layer: &FrozenLayer, options: &FrozenOptions) {
    if let Ok(map) = layer.thaw() {
        map.check().unwrap();
    }
    let _ = FrozenLayer::merge([layer, layer], options.clone());
    let _ = compact(layer, options);
}

/// Asserts that a layer is refused when it is opened with checks, and that without them, if it
/// opens, it is refused later and can be read and compacted.
fn is_refused(bytes: &[u8], options: &FrozenOptions) {
    let error = FrozenLayer::from_bytes(bytes.to_vec()).expect_err("forged");
    // Where the directory is said to be elsewhere, its checksums may be mended in the footer.
    assert!(matches!(error, FrozenError::Damaged { .. } | FrozenError::Truncated), "{error}");
    if let Ok(layer) = mapped(bytes) {
        assert!(matches!(layer.verify(), Err(FrozenError::Damaged { .. })));
        read_all(&layer);
        rebuild(&layer, options);
    }
}

fn of(keys: &[&str], options: &FrozenOptions) -> Vec<u8> {
    let pairs: Vec<_> = keys.iter().map(|key| (key, 7)).collect();
    options.from_sorted(&pairs).unwrap().to_bytes()
}

/// Replaces the only occurrence of some bytes before the footer.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let found: Vec<_> =
        (16..bytes.len() - from.len()).filter(|&at| bytes[at..].starts_with(from)).collect();
    bytes[found[0]..][..to.len()].copy_from_slice(to);
    mend(&mut bytes).unwrap();
    bytes
}

#[test]
fn keys_that_do_not_ascend_from_chunk_to_chunk_are_refused() {
    for options in kinds() {
        let options = options.chunk_keys(2);
        // Two chunks of the same length that change places.
        let bytes = of(&["aa", "ab", "ba", "bb", "ca", "cb"], &options);
        let directory = directory(&bytes).unwrap();
        let chunk = |i: usize| {
            let at = word(&bytes, directory + i * ENTRY_BYTES).unwrap();
            at..at + word(&bytes, directory + i * ENTRY_BYTES + 8).unwrap()
        };
        let mut swapped = bytes.clone();
        assert_eq!(chunk(0).len(), chunk(2).len());
        swapped.copy_within(chunk(2), chunk(0).start);
        swapped[chunk(2)].copy_from_slice(&bytes[chunk(0)]);
        mend(&mut swapped).unwrap();
        is_refused(&swapped, &options);
        // A chunk that is there twice.
        let mut twice = bytes.clone();
        twice.copy_within(chunk(0), chunk(2).start);
        mend(&mut twice).unwrap();
        is_refused(&twice, &options);
    }
}

#[test]
fn keys_that_do_not_ascend_in_a_chunk_are_refused() {
    let options = plain();
    let bytes = of(&["1-first", "2-second", "3-third"], &options);
    FrozenLayer::from_bytes(bytes.clone()).unwrap();
    for wrong in [&b"0-second"[..], b"1-second", b"4-second"] {
        is_refused(&replaced(&bytes, b"2-second", wrong), &options);
    }
    // From block to block.
    let keys: Vec<String> = (10..50).map(|i| format!("{i}-key")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let bytes = of(&keys, &options);
    for (key, wrong) in [("6-key", "5-key"), ("2-key", "9-key")] {
        is_refused(&replaced(&bytes, key.as_bytes(), wrong.as_bytes()), &options);
    }
}

/// The numbers of the directory and of the footer, each with every other value that could pass.
#[test]
fn counts_and_heights_must_fit_the_bytes() {
    for options in kinds() {
        let options = options.chunk_keys(40);
        let keys: Vec<String> = (100..180).map(|i| format!("key-{i}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        for bytes in [of(&keys, &options), of(&keys[..40], &options), of(&["a"], &options)] {
            let (footer, directory) = (bytes.len() - FOOTER_BYTES, directory(&bytes).unwrap());
            let put = |places: &[(usize, &[u8])]| {
                let mut bytes = bytes.clone();
                places.iter().for_each(|(at, x)| bytes[*at..*at + x.len()].copy_from_slice(x));
                // An offset may be so wrong that there is nothing to mend.
                let _ = mend(&mut bytes);
                is_refused(&bytes, &options);
            };
            let last = FrozenLayer::from_bytes(bytes.clone()).unwrap().len() as u64;
            let rest = if last > 40 { 40 } else { 0 };
            for len in [0, 1, 39, 41, 48, 1000, 1 << 20, 1 << 24, u32::MAX] {
                let sum = u64::from(len) + rest;
                if sum != last {
                    put(&[(directory + 32, &len.to_le_bytes()), (footer + 32, &sum.to_le_bytes())]);
                }
            }
            for height in (0..=255u8).filter(|height| *height != bytes[directory + 37]) {
                put(&[(directory + 37, &[height])]);
            }
            for height in (0..=255u8).filter(|height| *height != bytes[footer + 48]) {
                put(&[(footer + 48, &[height])]);
            }
            for wrong in [1u32, 7, 100_000, 1 << 31, u32::MAX] {
                put(&[(
                    directory + 40,
                    &wrong.wrapping_add(u32_at(&bytes, directory + 40)).to_le_bytes(),
                )]);
                put(&[(
                    footer + 40,
                    &wrong.wrapping_add(u32_at(&bytes, footer + 40)).to_le_bytes(),
                )]);
                put(&[(
                    footer + 44,
                    &wrong.wrapping_add(u32_at(&bytes, footer + 44)).to_le_bytes(),
                )]);
            }
            for at in [0, 8, 16, 24, 32] {
                for wrong in [0, 1, 2, 100, 1 << 20, u64::from(u32::MAX), u64::MAX >> 1, u64::MAX] {
                    if word(&bytes, footer + at) != Some(wrong as usize) {
                        put(&[(footer + at, &wrong.to_le_bytes())]);
                    }
                }
            }
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().unwrap())
}

/// The file of 194 bytes, and its siblings.
#[test]
fn a_small_file_cannot_claim_many_keys() {
    for len in [33, 1000, 1 << 16, 1 << 24, u32::MAX] {
        for height in 0..=6 {
            for keys in [vec![0; 42], vec![0xFF; 42], vec![0; 600]] {
                let forged = Forged { codec: 0, keys, len, root: 0, height };
                is_refused(&forged.file(), &plain());
            }
        }
    }
}

/// Blocks that overlap: each of some thousand is the same one, which has sixteen long keys.
#[test]
fn overlapping_blocks_are_read_in_bounded_time() {
    let mut keys = vec![255];
    let long = 150_000u32;
    (0..16)
        .for_each(|i| keys.extend_from_slice(&if i == 0 { 0 } else { long + i - 1 }.to_le_bytes()));
    (0..16).for_each(|i| keys.extend_from_slice(&if i == 0 { long } else { 1 }.to_le_bytes()));
    keys.resize(keys.len() + long as usize + 15, b'x');
    let mut below = 0;
    for _ in 0..3 {
        let at = keys.len() as u32;
        keys.extend_from_slice(&[0, 63, 0, 0]);
        keys.extend_from_slice(&u32::to_le_bytes(below));
        keys.extend_from_slice(&[0; 4 + 4 * 64]);
        below = at;
    }
    keys.extend_from_slice(&[0; 8]);
    let forged = Forged { codec: 0, keys, len: 16 * 4097, root: below, height: 3 };
    let bytes = forged.file();
    assert!(FrozenLayer::from_bytes(bytes.clone()).is_err());
    let layer = mapped(&bytes).unwrap();
    let returned = read_all(&layer);
    // All of the keys would be 10 GB each way.
    assert!(returned < 1 << 30, "{returned}");
    assert!(compact(&layer, &plain()).is_err());
}
