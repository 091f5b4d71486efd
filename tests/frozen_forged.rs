//! Layers with valid checksums that somebody made to deceive: opening or verifying refuses them, or
//! they are consistent. Where nothing was verified, reads may be wrong but end, and nothing panics.

mod common {
    pub(crate) mod forge;
    pub(crate) mod frozen_kinds;
    pub(crate) mod mapped;
    pub(crate) mod test_path;
}

use common::forge::{ENTRY_BYTES, FOOTER_BYTES, directory, mend, mend_length, word};
use common::frozen_kinds::kinds;
use common::mapped::mapped;
use memkv::{
    Codec, FrozenError, FrozenLayer, FrozenOptions, HybridOptions, HybridStore, SymbolTable,
};
use std::time::{Duration, Instant};

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// Returns a layer's bytes with an edit, and valid checksums.
fn forged(layer: &FrozenLayer, edit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = layer.to_bytes();
    edit(&mut bytes);
    mend(&mut bytes);
    bytes
}

/// Reads in every way. Whatever the bytes are, all of it ends and finds no more keys than claimed.
fn read_all(layer: &FrozenLayer, probes: &[Vec<u8>]) {
    assert!(layer.len() < 10_000, "{}", layer.len());
    let forwards: Vec<(Vec<u8>, u64)> = layer.iter().collect();
    assert!(
        forwards.len() <= layer.len()
            && layer.iter().rev().map(|_| 1).sum::<usize>() <= layer.len()
    );
    for key in probes.iter().map(Vec::as_slice).chain([&b""[..], &[255; 400]]) {
        let _ = (layer.get(key), layer.contains_key(key), layer.get_longest_prefix(key));
        assert!(layer.rank(key) <= layer.len());
        let _ = layer.range(key..).rev().take(20).collect::<Vec<_>>();
        let _ = layer.prefix(&key[..key.len() / 2]).collect::<Vec<_>>();
        let mut cursor = layer.upper_bound(key);
        let _ = (cursor.prev().is_some(), cursor.next().is_some(), cursor.next().is_some());
    }
    let _ = layer.get_many(probes);
    for rank in [0, 15, 16, 17, layer.len() / 2, layer.len() - 1, usize::MAX] {
        let _ = layer.select(rank);
    }
    assert!(layer.search(fst::automaton::Subsequence::new("z1")).count() <= layer.len());
    assert!(layer.search(fst::automaton::AlwaysMatch).count() <= layer.len());
    let _ = (layer.header_bytes(), layer.memory_usage(), layer.thaw().is_ok());
    let _ = FrozenLayer::merge([layer, layer], FrozenOptions::new()).is_ok();
}

/// Compacts a store over the layer, by patching some chunks and by building it anew.
fn compact(layer: &FrozenLayer, options: &FrozenOptions) -> Result<(), String> {
    for options in [options.clone(), FrozenOptions::new().symbols(SymbolTable::None)] {
        let options = HybridOptions::new().frozen(options);
        let store = HybridStore::with_base(layer.clone(), options).map_err(|e| e.to_string())?;
        store.insert("key/0300!", 7).unwrap();
        store.compact().map_err(|error| error.to_string())?;
        assert_eq!(store.get("key/0300!"), Some(7));
    }
    Ok(())
}

/// A layer that was verified is consistent.
fn check_consistent(layer: &FrozenLayer, options: &FrozenOptions) {
    let pairs: Vec<(Vec<u8>, u64)> = layer.iter().collect();
    assert_eq!(pairs.len(), layer.len());
    assert!(pairs.is_sorted_by(|a, b| a.0 < b.0));
    assert!(layer.iter().rev().eq(pairs.iter().rev().cloned()));
    for (i, (key, value)) in pairs.iter().enumerate() {
        assert_eq!((layer.get(key), layer.rank(key)), (Some(*value), i));
        assert_eq!(layer.select(i).as_ref(), Some(&pairs[i]));
    }
    let found = layer.get_many(&pairs.iter().map(|(key, _)| key).collect::<Vec<_>>());
    assert!(found.iter().zip(&pairs).all(|(found, (_, value))| *found == Some(*value)));
    assert!(layer.search(fst::automaton::AlwaysMatch).eq(pairs.iter().cloned()));
    assert!(layer.thaw().unwrap().iter().eq(pairs.iter().cloned()));
    compact(layer, options).unwrap();
}

/// Opens forged bytes in both ways and does everything with what opens. Returns whether the bytes
/// verify.
fn check(bytes: &[u8], options: &FrozenOptions, probes: &[Vec<u8>]) -> bool {
    let begin = Instant::now();
    let opened = FrozenLayer::from_bytes(bytes.to_vec());
    if let Ok(layer) = &opened {
        check_consistent(layer, options);
    }
    if let Ok(layer) = mapped(bytes) {
        assert_eq!(layer.verify().is_ok(), opened.is_ok());
        read_all(&layer, probes);
        if opened.is_err() {
            let _ = compact(&layer, options);
        }
    }
    assert!(begin.elapsed() < Duration::from_secs(5));
    opened.is_ok()
}

/// Two chunks; one of them has a wide block and a wide key.
fn pairs() -> Vec<(Vec<u8>, u64)> {
    let mut pairs: Vec<(Vec<u8>, u64)> =
        (0..38).map(|i| (format!("key/{:04}", i * 17).into_bytes(), i * i)).collect();
    pairs.push((vec![b'z'; 270], 3));
    pairs.push(([&[b'z'; 270][..], b"1"].concat(), 4));
    pairs
}

/// Every byte is altered in some ways, and every field of 4 and of 8 bytes is set to extremes.
#[test]
fn every_forged_byte_is_refused_or_harmless() {
    let probes: Vec<Vec<u8>> = pairs().into_iter().map(|(key, _)| key).step_by(9).collect();
    std::thread::scope(|scope| {
        for options in kinds() {
            let probes = &probes;
            scope.spawn(move || {
                let options = options.chunk_keys(20);
                let layer = options.from_sorted(&pairs()).unwrap();
                assert_eq!(layer.chunks(), 2);
                let bytes = layer.to_bytes();
                assert!(check(&forged(&layer, |_| {}), &options, probes));
                // Symbols are many bytes alike: some of them stand for all.
                let symbols = word(&bytes, bytes.len() - FOOTER_BYTES).unwrap() + 40;
                let (mut refused, mut tried) = (0, 0);
                for at in 16..bytes.len() - 16 {
                    if (symbols..directory(&bytes).unwrap()).contains(&at) && at % 61 != 0 {
                        continue;
                    }
                    let old = bytes[at];
                    // Each byte in one way; all fields are among every third position in three.
                    let edits = match at % 3 {
                        0 => vec![vec![old ^ 1], u64::MAX.to_le_bytes().to_vec()],
                        1 => vec![vec![old ^ 0x80], u32::MAX.to_le_bytes().to_vec()],
                        _ => vec![vec![old ^ 0x10], vec![0; 4], vec![0; 8]],
                    };
                    for edit in edits {
                        let edited = forged(&layer, |bytes| put(bytes, at, &edit));
                        tried += 1;
                        refused += usize::from(!check(&edited, &options, probes));
                    }
                }
                assert!(refused > tried / 4, "{refused} of {tried}");
            });
        }
    });
}

/// The part that is damaged, and its chunk.
fn damage(bytes: Vec<u8>) -> (&'static str, Option<usize>) {
    match FrozenLayer::from_bytes(bytes) {
        Err(FrozenError::Damaged { part, chunk }) => (part, chunk),
        other => panic!("{other:?}"),
    }
}

/// Two layers of the same shape, whose chunks are exchanged: keys ascend in each chunk only.
#[test]
fn chunks_out_of_order_are_refused() {
    for options in kinds() {
        let options = options.chunk_keys(20);
        let pairs: Vec<_> = (0..60).map(|i| (format!("key/{i:02}"), 0)).collect();
        let layer = options.from_sorted(&pairs).unwrap();
        let entry = |bytes: &[u8], i: usize| {
            let at = directory(bytes).unwrap() + ENTRY_BYTES * i;
            (at, word(bytes, at).unwrap(), word(bytes, at + 8).unwrap())
        };
        let bytes = forged(&layer, |bytes| {
            let ((a, a_at, a_len), (b, b_at, b_len)) = (entry(bytes, 1), entry(bytes, 2));
            let (first, second) =
                (bytes[a_at..a_at + a_len].to_vec(), bytes[b_at..b_at + b_len].to_vec());
            put(bytes, a_at, &[second, first].concat());
            // The rest of the entries, without the offset.
            let (first, second) =
                (bytes[a + 8..a + ENTRY_BYTES].to_vec(), bytes[b + 8..b + ENTRY_BYTES].to_vec());
            put(bytes, a + 8, &second);
            put(bytes, b + 8, &first);
            put(bytes, b, &(a_at as u64 + b_len as u64).to_le_bytes());
        });
        assert_eq!(damage(bytes.clone()), ("order", Some(2)));
        let layer = mapped(&bytes).unwrap();
        let error = compact(&layer, &options).unwrap_err();
        assert!(error.contains("order") || error.contains("content"), "{error}");
    }
}

/// A chunk that claims more keys than its bytes can hold, and heights that do not fit.
#[test]
fn claims_beyond_the_bytes_are_refused() {
    for options in kinds() {
        let layer = options.from_sorted(&[("a", 0), ("b", 0)]).unwrap();
        let claim = |keys: u32| {
            forged(&layer, |bytes| {
                let (entry, footer) = (directory(bytes).unwrap(), bytes.len() - FOOTER_BYTES);
                put(bytes, entry + 32, &keys.to_le_bytes());
                put(bytes, footer + 32, &u64::from(keys).to_le_bytes());
            })
        };
        for keys in [0, 1 << 25, u32::MAX] {
            assert_eq!(damage(claim(keys)).0, "directory entry", "{keys}");
            assert!(mapped(&claim(keys)).is_err());
        }
        for keys in [1, 3, 4, 17] {
            assert!(matches!(damage(claim(keys)).0, "content" | "directory entry"));
        }
        for height in [1, 6, 7, 255] {
            let tall = forged(&layer, |bytes| {
                let entry = directory(bytes).unwrap();
                bytes[entry + 37] = height;
            });
            assert_eq!(damage(tall).0, "directory entry");
            let tall = forged(&layer, |bytes| {
                let footer = bytes.len() - FOOTER_BYTES;
                bytes[footer + 48] = height;
            });
            assert_eq!(damage(tall).0, "directory");
        }
    }
}

/// Few bytes of a transducer stand for 2^n keys. More than a builder makes are refused, so that no
/// search takes long.
#[test]
fn transducers_of_very_many_keys_are_refused() {
    // Keys of `depth` bytes, each of them `a` or `b`.
    let transducer = |depth: usize| {
        let mut nodes: Vec<u8> = Vec::new();
        for level in 0..depth {
            // All below the node are as many keys as the second transition's output.
            let output = 1u64 << level;
            let output_bytes = (64 - output.leading_zeros()).div_ceil(8) as usize;
            let start = 16 + nodes.len();
            let delta = if level == 0 { 0 } else { 1u8 };
            // Outputs and deltas in descending order of inputs.
            nodes.extend_from_slice(&output.to_le_bytes()[..output_bytes]);
            nodes.extend_from_slice(&vec![0; output_bytes]);
            nodes.extend_from_slice(&[delta, delta, b'b', b'a', 1 << 4 | output_bytes as u8, 2]);
            assert!(start >= 16);
        }
        let mut bytes = [3u64.to_le_bytes(), [0; 8]].concat();
        bytes.extend_from_slice(&nodes);
        let root = bytes.len() as u64 - 1;
        bytes.extend_from_slice(&(1u64 << depth).to_le_bytes());
        bytes.extend_from_slice(&root.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes
    };
    let options = FrozenOptions::new().codec(Codec::Fst);
    let layer = options.from_sorted(&[("a", 0)]).unwrap();
    let deep = |depth: usize| {
        let keys = transducer(depth);
        let old = layer.to_bytes();
        let tail = old[word(&old, old.len() - FOOTER_BYTES).unwrap()..].to_vec();
        let mut bytes = [&old[..16], &keys, &tail].concat();
        let footer = bytes.len() - FOOTER_BYTES;
        put(&mut bytes, footer, &(16 + keys.len() as u64).to_le_bytes());
        put(&mut bytes, footer + 32, &(1u64 << depth).to_le_bytes());
        mend_length(&mut bytes);
        let entry = directory(&bytes).unwrap();
        put(&mut bytes, entry + 8, &(keys.len() as u64).to_le_bytes());
        put(&mut bytes, entry + 32, &(1u32 << depth).to_le_bytes());
        mend(&mut bytes);
        bytes
    };
    let layer = FrozenLayer::from_bytes(deep(10)).unwrap();
    check_consistent(&layer, &options);
    assert_eq!(layer.len(), 1 << 10);
    // 2^21 keys have 42 MiB of bytes, 2^22 keys 88 MiB, 2^25 keys are too many.
    assert!(FrozenLayer::from_bytes(deep(21)).is_ok());
    assert_eq!(damage(deep(22)), ("content", Some(0)));
    assert_eq!(damage(deep(25)), ("directory entry", Some(0)));
    let begin = Instant::now();
    let layer = mapped(&deep(22)).unwrap();
    assert_eq!(layer.search(fst::automaton::Subsequence::new("c")).count(), 0);
    assert_eq!((layer.get("a"), layer.iter().next()), (None, None));
    assert!(begin.elapsed() < Duration::from_secs(5));
}

/// A separator in the index of chunks that leads past the key which it should find.
#[test]
fn an_index_that_misses_keys_is_refused() {
    for options in kinds() {
        let layer = options
            .chunk_keys(20)
            .from_sorted(&(0..60).map(|i| (format!("key/{i:02}"), i)).collect::<Vec<_>>())
            .unwrap();
        let wrong = forged(&layer, |bytes| {
            let padding = bytes.len() - FOOTER_BYTES - 8;
            // The last byte of the last separator, "key/4".
            assert_eq!(bytes[padding - 1], b'4');
            bytes[padding - 1] = b'5';
        });
        assert_eq!(damage(wrong), ("index of chunks", None));
    }
}
