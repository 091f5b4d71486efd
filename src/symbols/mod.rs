//! Symbols: short strings that keys consist of, each written as one code. Coded leaves and frozen
//! layers use the same tables.
//!
//! | kind | code | symbols |
//! |---|---|---|
//! | none | the byte itself | |
//! | FSST | 1 byte; 255 precedes a byte without a symbol | up to 255, of 1 to 8 bytes |
//! | OnPair | 2 bytes, little-endian | up to 65,536, of 1 to 15 bytes, with every single byte |
//!
//! A string is encoded from its beginning, always with the longest symbol. Decoding does not depend
//! on that: every sequence of codes stands for one string. A table is written as the lengths of its
//! symbols, a byte each, followed by their bytes.
//!
//! Boncz, Neumann, Leis: "FSST: fast random access string compression", VLDB 2020; Gargiulo,
//! Venturini: "OnPair: short strings compression for fast random access", 2025.

#![forbid(unsafe_code)]
#![cfg_attr(not(feature = "storage"), allow(dead_code))]

mod coder;
#[cfg(feature = "storage")]
mod decoder;
#[cfg(feature = "storage")]
mod encoder;
mod fsst;
#[cfg(feature = "storage")]
mod onpair;
#[cfg(feature = "storage")]
mod plain;
mod table;
mod train;

pub(crate) use coder::Coder;
#[cfg(feature = "sets")]
pub(crate) use decoder::SharedTables;
#[cfg(feature = "storage")]
pub(crate) use decoder::{Decoder, SymbolKind, with_coder};
#[cfg(feature = "storage")]
pub(crate) use encoder::{Encoder, Encoders};
pub(crate) use fsst::{Fsst, FsstTable, MAX_SYMBOL_BYTES as MAX_FSST_BYTES};
#[cfg(feature = "storage")]
pub(crate) use plain::Plain;
pub(crate) use train::Sample;

#[cfg(all(test, feature = "storage"))]
mod tests {
    use super::decoder::write_table;
    use super::table::Symbol;
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

    /// A file may have a symbol for every code, which is one more than an encoder can match.
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
            strings in proptest::collection::vec(
                proptest::collection::vec(prop_oneof![0u8..3, any::<u8>()], 0..30),
                2..30,
            ),
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
                    let (string, half) = (&pair[0][..], &pair[0][..pair[0].len() / 2]);
                    with_coder!(&decoder, coder => {
                        check(coder, &encoder, string, &pair[1]);
                        check(coder, &encoder, &string.repeat(repeat), string);
                        check(coder, &encoder, string, half);
                        check(coder, &encoder, half, string);
                    });
                }
            }
        }
    }

    #[test]
    fn zero_bytes_after_the_end_are_not_part_of_the_key() {
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
