//! Training: finds the symbols with which a sample takes the fewest codes.
//!
//! In each of a few generations the sample is parsed with the symbols found so far, and each symbol, and each pair that stands side by
//! side, is weighed by the bytes it stands for. The heaviest make the next generation. So lengths double from one to the next.
//!
//! Boncz, Neumann, Leis: "FSST: fast random access string compression", VLDB 2020, for this bottom-up scheme; Gargiulo, Venturini:
//! "OnPair: short strings compression for fast random access", 2025, for dictionaries of 65,536 entries of up to 16 bytes.

#![forbid(unsafe_code)]

use super::table::{Matcher, Symbol};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Strings to train with, one after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Sample {
    pub(crate) fn push(&mut self, string: &[u8]) {
        self.bytes.extend_from_slice(string);
        self.ends.push(self.bytes.len());
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }
}

/// What a table may be.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Symbols at most.
    pub(super) symbols: usize,
    /// Bytes of a symbol at most.
    pub(super) len: usize,
    /// Whether every single byte is a symbol. If not, a byte that no symbol covers is escaped.
    pub(super) all_bytes: bool,
    pub(super) generations: usize,
    /// How often a symbol must occur in the sample.
    pub(super) least: u32,
}

/// Mixes one word. Not for input that someone chose: a bad case costs time only.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }
    fn write_u128(&mut self, word: u128) {
        self.write_u64(word as u64);
        self.write_u64((word >> 64) as u64);
    }
    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ 0x9E37_79B9_7F4A_7C15) * 0xA076_1D64_78BD_642F;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

type Counts = HashMap<u64, u32, BuildHasherDefault<Mix>>;

pub(super) fn train(sample: &Sample, limits: Limits) -> Matcher {
    let singles = || (0..=u8::MAX).map(|byte| Symbol::of(&[byte]));
    let mut matcher = Matcher::new(if limits.all_bytes { singles().collect() } else { Vec::new() });
    for generation in 1..=limits.generations {
        let last = generation == limits.generations;
        let known = matcher.symbols().len();
        // Codes from `known` on are bytes without a symbol.
        let symbol = |code: usize| if code < known { matcher.symbols()[code] } else { Symbol::of(&[(code - known) as u8]) };
        let mut counts = vec![0u32; known + 256];
        let mut pairs = Counts::default();
        for string in sample.iter() {
            let mut before = None;
            let mut rest = string;
            while let Some(&byte) = rest.first() {
                let (code, len) = matcher.longest(rest).unwrap_or((known + usize::from(byte), 1));
                counts[code] += 1;
                if let (Some(before), false) = (before, last) {
                    *pairs.entry((before as u64) << 32 | code as u64).or_insert(0) += 1;
                }
                before = Some(code);
                rest = &rest[len..];
            }
        }
        let mut gains: HashMap<u128, u64, BuildHasherDefault<Mix>> = HashMap::default();
        let mut add = |symbol: Symbol, count: u32| {
            if count >= limits.least || symbol.len() == 1 {
                *gains.entry(u128::from_be_bytes(symbol.bytes())).or_insert(0) += u64::from(count) * symbol.len() as u64;
            }
        };
        for (code, &count) in counts.iter().enumerate() {
            if count > 0 {
                // A byte that is escaped takes two codes.
                let weight = if symbol(code).len() == 1 && !limits.all_bytes { 8 } else { 1 };
                add(symbol(code), count.saturating_mul(weight));
            }
        }
        for (&pair, &count) in &pairs {
            let (a, b) = (symbol((pair >> 32) as usize), symbol(pair as u32 as usize));
            add(a.join(b, limits.len), count);
            if !limits.all_bytes && b.len() > 1 {
                add(a.join(b.head(), limits.len), count);
            }
        }
        let mut best: Vec<(u64, Symbol)> = gains.into_iter().map(|(word, gain)| (gain, Symbol::of_word(word))).collect();
        let mut symbols: Vec<Symbol> = Vec::new();
        if limits.all_bytes {
            symbols.extend(singles());
            best.retain(|(_, symbol)| symbol.len() > 1);
        }
        // Equal gains in the symbols' order, so that the result does not hang on that of a hash table.
        best.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        best.truncate(limits.symbols - symbols.len());
        symbols.extend(best.into_iter().map(|(_, symbol)| symbol));
        matcher = Matcher::new(symbols);
    }
    matcher
}
