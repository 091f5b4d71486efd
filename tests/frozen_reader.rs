//! A reader of files of byte strings that is written from `src/frozen/FORMAT.md` alone, and shares
//! no code with the library: what the text says is enough.

use memkv::{Codec, FrozenOptions, SymbolTable, ValueWidth};
use std::path::PathBuf;

/// Returns the little-endian number in `size` bytes at an offset.
fn number(bytes: &[u8], at: usize, size: usize) -> usize {
    bytes[at..at + size].iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

/// Returns the number in some bits, counted from the least significant bit of the first byte.
fn bits(bytes: &[u8], from: usize, width: usize) -> u64 {
    (0..width)
        .map(|i| u64::from(bytes[(from + i) / 8] >> ((from + i) % 8) & 1) << i)
        .fold(0, |number, bit| number | bit)
}

/// A table of symbols.
struct Symbols {
    kind: u8,
    symbols: Vec<Vec<u8>>,
}

impl Symbols {
    fn read(kind: u8, count: usize, table: &[u8]) -> Self {
        let (lens, mut rest) = table.split_at(count);
        let symbols = lens.iter().map(|len| {
            let symbol;
            (symbol, rest) = rest.split_at((*len).into());
            symbol.to_vec()
        });
        let table = Symbols { kind, symbols: symbols.collect() };
        assert!(rest.is_empty());
        table
    }

    fn code_bytes(&self) -> usize {
        if self.kind == 2 { 2 } else { 1 }
    }

    fn decode(&self, codes: &[u8]) -> Vec<u8> {
        let mut string = Vec::new();
        let mut at = 0;
        while at < codes.len() {
            let code = number(codes, at, self.code_bytes());
            at += self.code_bytes();
            match self.kind {
                0 => string.push(code as u8),
                1 if code == 255 => {
                    string.push(codes[at]);
                    at += 1;
                }
                _ => string.extend_from_slice(&self.symbols[code]),
            }
        }
        assert_eq!(at, codes.len());
        string
    }
}

/// Returns the offsets of the children in the lowest level of a tree, in order.
fn children(bytes: &[u8], root: usize, height: u8) -> Vec<usize> {
    if height == 0 {
        return vec![root];
    }
    let size = if bytes[root] == 1 { 4 } else { 2 };
    let (separators, first) = (usize::from(bytes[root + 1]), number(bytes, root + 4, 4));
    let differences = root + 12 + size * (separators + 1);
    (0..=separators)
        .map(|i| first + number(bytes, differences + size * i, size))
        .flat_map(|child| children(bytes, child, height - 1))
        .collect()
}

/// Appends the `count` keys of a block. The first one may share bytes with the last one before.
fn read_block(mut block: &[u8], count: usize, symbols: &Symbols, keys: &mut Vec<Vec<u8>>) {
    let mut take = |len: usize| {
        let taken;
        (taken, block) = block.split_at(len);
        taken
    };
    let [least_lcp, flags] = *take(2) else { unreachable!() };
    let (lcps, codes): (Vec<usize>, Vec<usize>);
    if least_lcp == 255 {
        // The second byte belongs to the first lcp.
        let rest = take(8 * count - 1);
        let words = [&[flags], rest].concat();
        let word = |i: usize| number(&words, 4 * i, 4);
        (lcps, codes) = ((0..count).map(word).collect(), (count..2 * count).map(word).collect());
    } else {
        let width = |is_short: bool| if is_short { 2 } else { 4 };
        let widths = [width(flags & 64 != 0), width(flags & 128 != 0)];
        let fields = widths.map(|width| take(2 * width).to_vec());
        let mut read = |part: usize, least: usize| -> Vec<usize> {
            let (width, most) = (widths[part], (1 << widths[part]) - 1);
            (0..count)
                .map(|i| match bits(&fields[part], width * i, width) as usize {
                    field if field == most => usize::from(take(1)[0]),
                    field => least + field,
                })
                .collect()
        };
        lcps = read(0, least_lcp.into());
        codes = read(1, (flags & 63).into());
    }
    for (lcp, codes) in lcps.into_iter().zip(codes) {
        let mut key = keys.last().map_or(&[][..], |before| &before[..lcp]).to_vec();
        key.extend(symbols.decode(take(codes * symbols.code_bytes())));
        keys.push(key);
    }
}

/// Returns the byte strings of a chunk.
fn read_strings(
    values: &[u8],
    count: usize,
    least: usize,
    width: usize,
    symbols: &Symbols,
) -> Vec<Vec<u8>> {
    let offsets = if width == 0 { 0 } else { (count * width).div_ceil(8) + 16 };
    let strings = &values[offsets + 4 * count.div_ceil(16)..];
    let mut start = 0;
    let read = (0..count).map(|i| {
        if i % 16 == 0 {
            assert_eq!(number(values, offsets + i / 16 * 4, 4), start);
        }
        let head = least + bits(values, i * width, width) as usize;
        let string = &strings[start..start + head / 2];
        start += head / 2;
        if head % 2 == 1 { string.to_vec() } else { symbols.decode(string) }
    });
    let read = read.collect();
    assert_eq!(start, strings.len());
    read
}

/// Returns the keys and values of a file of byte strings, whose codec is `packed`.
fn read(bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let footer = &bytes[bytes.len() - 88..];
    assert_eq!((&bytes[..8], number(bytes, 8, 8)), (&b"memkvFRZ"[..], 2));
    assert_eq!((number(footer, 76, 4), &footer[80..]), (2, &b"memkvEND"[..]));
    assert_eq!((footer[49], footer[51], number(footer, 64, 8)), (0, 13, bytes.len()));
    let symbols = number(footer, 0, 8);
    let checked = [&bytes[..16], &bytes[symbols..bytes.len() - 16]].concat();
    assert_eq!(number(footer, 72, 4), crc32fast::hash(&checked) as usize);
    let directory = symbols + number(footer, 8, 8);
    let (keys_table, values_table) =
        bytes[symbols..directory].split_at(directory - symbols - number(footer, 52, 4));
    let key_symbols = Symbols::read(footer[50], number(footer, 44, 4), keys_table);
    let value_symbols = Symbols::read(footer[60], number(footer, 56, 4), values_table);
    let (mut keys, mut values, mut end) = (Vec::new(), Vec::new(), 16);
    for entry in bytes[directory..].chunks(48).take(number(footer, 16, 8)) {
        let [at, key_bytes, value_bytes, least] = [0, 8, 16, 24].map(|at| number(entry, at, 8));
        assert_eq!(at, end);
        end += key_bytes + value_bytes;
        assert_eq!(number(entry, 44, 4), crc32fast::hash(&bytes[at..end]) as usize);
        let (key_part, value_part) = bytes[at..end].split_at(key_bytes);
        let count = number(entry, 32, 4);
        let blocks = children(key_part, number(entry, 40, 4), entry[37]);
        assert_eq!(blocks.len(), count.div_ceil(16));
        for (i, block) in blocks.into_iter().enumerate() {
            let in_block = 16.min(count - 16 * i);
            read_block(&key_part[block..], in_block, &key_symbols, &mut keys);
        }
        let width = entry[36].into();
        values.extend(read_strings(value_part, count, least, width, &value_symbols));
    }
    assert_eq!((end, keys.len()), (symbols, number(footer, 32, 8)));
    keys.into_iter().zip(values).collect()
}

#[test]
fn the_text_is_enough_to_read_the_golden_file() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v2-bytes.frozen");
    let pairs = read(&std::fs::read(path).unwrap());
    assert!(pairs.into_iter().eq(crate::frozen_bytes::records(120)));
}

#[test]
fn the_text_is_enough_to_read_layers_with_any_symbols() {
    let mut model = crate::frozen_bytes::records(3000);
    // Wide blocks, and a chunk whose strings all have the same head.
    model.extend((0..20u8).map(|i| ([&[b'i'; 300][..], &[i]].concat(), vec![i; 3])));
    let pairs: Vec<(&Vec<u8>, &Vec<u8>)> = model.iter().collect();
    for symbols in [SymbolTable::None, SymbolTable::Fsst, SymbolTable::OnPair] {
        let options = FrozenOptions::new().symbols(symbols).chunk_keys(1500);
        let layer = options.from_sorted_bytes(&pairs).unwrap();
        assert_eq!((layer.codec(), layer.symbols()), (Codec::Packed, symbols));
        assert!(read(&layer.to_bytes()).into_iter().eq(model.clone()));
        let without = options.values(ValueWidth::None).from_sorted_bytes(&pairs).unwrap();
        let read_pairs = read(&without.to_bytes());
        assert!(read_pairs.into_iter().eq(model.keys().map(|key| (key.clone(), Vec::new()))));
    }
}
