//! Symbols: short strings that a layer's keys are made of, each written as one code.
//!
//! | kind | code | symbols |
//! |---|---|---|
//! | none | the byte itself | |
//! | FSST | 1 byte; 255 stands before a byte that no symbol covers | up to 255, of 1 to 8 bytes |
//! | OnPair | 2 bytes, little-endian | up to 65,536, of 1 to 15 bytes, every single byte among them |
//!
//! A string is coded from its beginning, by the longest symbol each time. Nothing rests on that: every sequence of codes stands for
//! one string. A table is written as the lengths of its symbols, a byte each, and then their bytes.
//!
//! Boncz, Neumann, Leis: "FSST: fast random access string compression", VLDB 2020; Gargiulo, Venturini: "OnPair: short strings
//! compression for fast random access", 2025.

#![forbid(unsafe_code)]

mod decode;
mod table;
mod train;

pub(crate) use decode::{Coder, Fsst, OnPair, Plain};
pub(crate) use train::Sample;

use std::fmt;
use table::{MAX_SYMBOL_BYTES, Matcher, Symbol};
use train::Limits;

/// Codes below this one are FSST's symbols; this one stands before a byte.
const ESCAPE: u8 = 255;

/// The kinds of tables, with the numbers that stand in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SymbolKind {
    Plain = 0,
    Fsst = 1,
    OnPair = 2,
}

/// A table to decode with.
pub(crate) enum Decoder {
    Plain,
    Fsst(Box<Fsst>),
    OnPair(OnPair),
}

/// Runs code for whichever kind of table there is, as the generic `Coder` it names.
macro_rules! with_coder {
    ($decoder:expr, $coder:ident => $body:expr) => {
        match $decoder {
            $crate::frozen::symbols::Decoder::Plain => {
                let $coder = $crate::frozen::symbols::Plain;
                $body
            }
            $crate::frozen::symbols::Decoder::Fsst(table) => {
                let $coder = &**table;
                $body
            }
            $crate::frozen::symbols::Decoder::OnPair(table) => {
                let $coder = table;
                $body
            }
        }
    };
}
pub(crate) use with_coder;

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind().fmt(f)
    }
}

impl Decoder {
    pub(crate) fn kind(&self) -> SymbolKind {
        match self {
            Decoder::Plain => SymbolKind::Plain,
            Decoder::Fsst(_) => SymbolKind::Fsst,
            Decoder::OnPair(_) => SymbolKind::OnPair,
        }
    }

    /// Reads a table of so many symbols.
    pub(crate) fn read(kind: SymbolKind, table: &[u8], symbols: usize) -> Option<Self> {
        if kind == SymbolKind::Plain {
            return (symbols == 0 && table.is_empty()).then_some(Decoder::Plain);
        }
        let (lens, mut bytes) = table.split_at_checked(symbols)?;
        let longest = if kind == SymbolKind::Fsst { 8 } else { MAX_SYMBOL_BYTES };
        let mut read = Vec::with_capacity(symbols);
        for &len in lens {
            let (symbol, rest) = bytes.split_at_checked(usize::from(len))?;
            if symbol.is_empty() || symbol.len() > longest {
                return None;
            }
            read.push(Symbol::of(symbol));
            bytes = rest;
        }
        if !bytes.is_empty() {
            return None;
        }
        match kind {
            SymbolKind::Fsst if symbols <= usize::from(ESCAPE) => {
                Some(Decoder::Fsst(Box::new(Fsst::new(&read))))
            }
            SymbolKind::OnPair if symbols <= 1 << 16 => Some(Decoder::OnPair(OnPair::new(&read))),
            _ => None,
        }
    }

    fn symbols(&self) -> Vec<Symbol> {
        match self {
            Decoder::Plain => Vec::new(),
            Decoder::Fsst(table) => table.symbols(),
            Decoder::OnPair(table) => table.symbols(),
        }
    }

    /// How many symbols there are, and the table as [`read`](Self::read) reads it.
    pub(crate) fn table(&self) -> (usize, Vec<u8>) {
        let symbols = self.symbols();
        (symbols.len(), write_table(&symbols))
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Decoder::Plain => 0,
            Decoder::Fsst(_) => size_of::<Fsst>(),
            Decoder::OnPair(table) => table.heap_bytes(),
        }
    }
}

fn write_table(symbols: &[Symbol]) -> Vec<u8> {
    let mut table: Vec<u8> = symbols.iter().map(|symbol| symbol.len() as u8).collect();
    symbols.iter().for_each(|symbol| table.extend_from_slice(&symbol.bytes()[..symbol.len()]));
    table
}

/// A trained table, to encode with.
pub(crate) struct Encoder {
    kind: SymbolKind,
    matcher: Matcher,
}

impl Encoder {
    /// Finds the symbols of a sample, for `bytes` to encode: a table must not outweigh what it saves.
    pub(crate) fn train(kind: SymbolKind, sample: &Sample, bytes: usize) -> Self {
        let matcher = match kind {
            SymbolKind::Plain => Matcher::new(Vec::new()),
            SymbolKind::Fsst => train::train(
                sample,
                Limits { symbols: 255, len: 8, all_bytes: false, generations: 6, least: 2 },
            ),
            SymbolKind::OnPair => train::train(
                sample,
                Limits {
                    symbols: (bytes / 128).clamp(256, Matcher::MAX_SYMBOLS),
                    len: MAX_SYMBOL_BYTES,
                    all_bytes: true,
                    generations: 6,
                    least: 3,
                },
            ),
        };
        Encoder { kind, matcher }
    }

    /// The table that a decoder has, if it is as [`train`](Self::train) makes them: not too large, in order, and with a code for every string.
    pub(crate) fn of(decoder: &Decoder) -> Option<Self> {
        let (kind, symbols) = (decoder.kind(), decoder.symbols());
        let whole = kind != SymbolKind::OnPair
            || (0..=u8::MAX).all(|byte| symbols.binary_search(&Symbol::of(&[byte])).is_ok());
        if !whole || symbols.len() > Matcher::MAX_SYMBOLS {
            return None;
        }
        let matcher = Matcher::new(symbols.clone());
        (matcher.symbols() == symbols).then_some(Encoder { kind, matcher })
    }

    /// Bytes of a code.
    pub(crate) fn code_bytes(&self) -> usize {
        if self.kind == SymbolKind::OnPair { 2 } else { 1 }
    }

    /// Bytes of memory that decoding takes, about.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self.kind {
            SymbolKind::Plain => 0,
            SymbolKind::Fsst => size_of::<Fsst>(),
            SymbolKind::OnPair => 16 * self.matcher.symbols().len(),
        }
    }

    /// The table, to decode with.
    pub(crate) fn decoder(&self) -> Decoder {
        let symbols = self.matcher.symbols();
        match self.kind {
            SymbolKind::Plain => Decoder::Plain,
            SymbolKind::Fsst => Decoder::Fsst(Box::new(Fsst::new(symbols))),
            SymbolKind::OnPair => Decoder::OnPair(OnPair::new(symbols)),
        }
    }

    /// Appends the codes of a string.
    pub(crate) fn encode(&self, string: &[u8], out: &mut Vec<u8>) {
        match self.kind {
            SymbolKind::Plain => out.extend_from_slice(string),
            SymbolKind::Fsst => self.matcher.parse(string, |code, len, byte| match len {
                0 => out.extend_from_slice(&[ESCAPE, byte]),
                _ => out.push(code as u8),
            }),
            SymbolKind::OnPair => self
                .matcher
                .parse(string, |code, _, _| out.extend_from_slice(&(code as u16).to_le_bytes())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cmp::Ordering;

    fn check<C: Coder>(coder: C, encoder: &Encoder, string: &[u8], other: &[u8]) {
        let mut code = Vec::new();
        encoder.encode(string, &mut code);
        let mut back = vec![1; code.len() / C::CODE_BYTES * C::MAX_BYTES_PER_CODE];
        assert_eq!(coder.decode(&code, &mut back), Some(string.len()));
        assert_eq!(&back[..string.len()], string);
        let shared = string.iter().zip(other).take_while(|(a, b)| a == b).count();
        assert_eq!(coder.compare(&code, other), (shared, string.cmp(other)));
        assert_eq!(coder.compare(&code, string), (string.len(), Ordering::Equal));
    }

    /// A file may have a symbol for every code, which is one more than can be matched.
    #[test]
    fn the_largest_tables_decode_but_do_not_encode() {
        let bytes = || 0..=u8::MAX;
        let pairs =
            bytes().flat_map(|a| bytes().map(move |b| Symbol::of(&[a, b]))).take((1 << 16) - 256);
        let mut symbols: Vec<Symbol> =
            bytes().map(|byte| Symbol::of(&[byte])).chain(pairs).collect();
        symbols.sort_unstable();
        let read = |symbols: &[Symbol]| {
            Decoder::read(SymbolKind::OnPair, &write_table(symbols), symbols.len()).unwrap()
        };
        assert!(Encoder::of(&read(&symbols)).is_none());
        // Without the first pair.
        symbols.remove(1);
        let decoder = read(&symbols);
        let (Decoder::OnPair(table), Some(encoder)) = (&decoder, Encoder::of(&decoder)) else {
            panic!("{decoder:?}")
        };
        for string in [&[0, 0, 0, u8::MAX, u8::MAX][..], &[u8::MAX; 40], &[254, 255, 1, 2, 3]] {
            check(table, &encoder, string, &[0, 0, 1]);
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back_and_compares(
            strings in proptest::collection::vec(proptest::collection::vec(prop_oneof![0u8..3, any::<u8>()], 0..30), 2..30),
            repeat in 1usize..4,
        ) {
            let mut sample = Sample::default();
            for string in strings.iter().skip(1) {
                sample.push(&string.repeat(repeat));
            }
            for kind in [SymbolKind::Plain, SymbolKind::Fsst, SymbolKind::OnPair] {
                let encoder = Encoder::train(kind, &sample, usize::MAX);
                let (symbols, table) = encoder.decoder().table();
                let decoder = Decoder::read(kind, &table, symbols).unwrap();
                assert_eq!(decoder.kind(), kind);
                for pair in strings.windows(2) {
                    with_coder!(&decoder, coder => check(coder, &encoder, &pair[0], &pair[1]));
                    with_coder!(&decoder, coder => check(coder, &encoder, &pair[0].repeat(repeat), &pair[0]));
                    let cut = pair[0].len() / 2;
                    with_coder!(&decoder, coder => check(coder, &encoder, &pair[0], &pair[0][..cut]));
                    with_coder!(&decoder, coder => check(coder, &encoder, &pair[0][..cut], &pair[0]));
                }
            }
        }
    }

    #[test]
    fn zero_bytes_behind_the_end_are_not_the_key() {
        let mut sample = Sample::default();
        for _ in 0..10 {
            sample.push(b"a\0\0\0b");
        }
        for kind in [SymbolKind::Plain, SymbolKind::Fsst, SymbolKind::OnPair] {
            let encoder = Encoder::train(kind, &sample, usize::MAX);
            let decoder = encoder.decoder();
            for other in [&b""[..], b"a", b"a\0", b"a\0\0", b"a\0\0\0b", b"a\0\0\0b\0"] {
                with_coder!(&decoder, coder => check(coder, &encoder, b"a\0\0\0b", other));
                with_coder!(&decoder, coder => check(coder, &encoder, other, b"a\0\0"));
            }
        }
    }

    #[test]
    fn broken_tables_are_refused() {
        assert!(Decoder::read(SymbolKind::Plain, b"a", 0).is_none());
        assert!(Decoder::read(SymbolKind::Fsst, &[1], 1).is_none());
        assert!(Decoder::read(SymbolKind::Fsst, &[0], 1).is_none());
        assert!(Decoder::read(SymbolKind::Fsst, &[9, 1, 2, 3, 4, 5, 6, 7, 8, 9], 1).is_none());
        assert!(Decoder::read(SymbolKind::Fsst, &[1, 1, 1], 1).is_none());
        assert!(Decoder::read(SymbolKind::OnPair, &[16; 17], 1).is_none());
        assert!(Decoder::read(SymbolKind::OnPair, &[], 1).is_none());
    }
}
