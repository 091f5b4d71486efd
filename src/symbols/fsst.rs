//! Tables with codes of one byte.

use super::coder::{Coder, differ, ended, load, masks};
use super::table::{Match, Symbol};
use super::train::{Limits, Sample, train};
use crate::words::u64_at;
use std::cmp::Ordering;
use std::collections::TryReserveError;

/// Codes below this one are symbols. This one precedes a byte that stands for itself.
const ESCAPE: u8 = 255;
/// Most symbols.
pub(super) const MAX_SYMBOLS: usize = ESCAPE as usize;
/// Length of the longest symbol.
pub(crate) const MAX_SYMBOL_BYTES: usize = size_of::<u64>();

load! {
    load8: u64;
}
masks! {
    LOW_BYTES_U64: u64;
}

/// Bytes of a small sample that each generation of training parses at least.
const MIN_BYTES_OF_SMALL: usize = 1 << 14;

/// Trains a table on a sample, of which each generation parses `min_bytes` bytes at least.
pub(super) fn train_matcher(
    sample: &Sample,
    min_bytes: usize,
    is_parallel: bool,
) -> Result<FsstMatcher, TryReserveError> {
    let limits = Limits {
        symbols: MAX_SYMBOLS,
        len: MAX_SYMBOL_BYTES,
        all_bytes: false,
        generations: 6,
        min_bytes,
        least: 2,
        is_parallel,
    };
    train(sample, limits)
}

/// A table with codes of one byte.
///
/// A code without a symbol is an escape. In a string of this library's that is `ESCAPE`; a damaged
/// file may have others.
#[derive(PartialEq)]
pub(crate) struct Fsst {
    /// The bytes of each symbol, least significant first, then zeros.
    words: [u64; 256],
    lens: [u8; 256],
    count: usize,
}

impl Fsst {
    pub(super) fn new(symbols: &[Symbol]) -> Self {
        let mut table = Fsst { words: [0; 256], lens: [0; 256], count: 0 };
        for (symbol, (word, len)) in symbols.iter().zip(table.words.iter_mut().zip(&mut table.lens))
        {
            *word = u64::from_le_bytes(*symbol.bytes().first_chunk().expect("16 bytes"));
            *len = symbol.len() as u8;
        }
        table.count = symbols.len();
        table
    }

    /// Returns the bytes of the symbol of a code, least significant first, and their number. The
    /// number is 0 for an escape, the only code of a coded string without a symbol.
    #[inline(always)]
    pub(crate) fn symbol(&self, code: u8) -> (u64, usize) {
        (self.words[usize::from(code)], self.lens[usize::from(code)].into())
    }

    /// Returns what the code at `at` stands for, as [`symbol`](Self::symbol) does, and the bytes of
    /// the code.
    #[inline(always)]
    pub(crate) fn symbol_at(&self, codes: &[u8], at: usize) -> (u64, usize, usize) {
        let (word, len) = self.symbol(codes[at]);
        if len == 0 {
            return (codes.get(at + 1).copied().unwrap_or(0).into(), 1, 2);
        }
        (word, len, 1)
    }

    /// Returns the length of a string that was encoded with this table.
    #[inline(always)]
    pub(crate) fn len_of(&self, code: &[u8]) -> usize {
        self.decoded_len(code).unwrap_or(0)
    }

    /// Writes the first bytes of a string to `out`, which it fills.
    pub(crate) fn decode_prefix(&self, code: &[u8], mut out: &mut [u8]) {
        let mut at = 0;
        while !out.is_empty() && at < code.len() {
            let (word, len, code_len) = self.symbol_at(code, at);
            at += code_len;
            let (to, rest) = out.split_at_mut(len.min(out.len()));
            to.copy_from_slice(&word.to_le_bytes()[..to.len()]);
            out = rest;
        }
    }

    /// Appends the string to `out`. The caller has reserved [`MAX_SYMBOL_BYTES`] for each code, if
    /// it must not allocate.
    pub(crate) fn append(&self, code: &[u8], out: &mut Vec<u8>) {
        let at = out.len();
        out.resize(at + MAX_SYMBOL_BYTES * code.len(), 0);
        let len = self.decode(code, &mut out[at..]).unwrap_or(0);
        out.truncate(at + len);
    }

    #[cfg(feature = "storage")]
    pub(super) fn symbols(&self) -> Vec<Symbol> {
        let symbols = self.words.iter().zip(&self.lens).take(self.count);
        symbols.map(|(word, len)| Symbol::of(&word.to_le_bytes()[..usize::from(*len)])).collect()
    }
}

impl Coder for &Fsst {
    const CODE_BYTES: usize = 1;

    #[inline(always)]
    fn compare(self, code: &[u8], key: &[u8]) -> (usize, Ordering) {
        let (mut at, mut codes) = (0, code.iter());
        // While a whole word of the key is left, no symbol ends after the key.
        while let Some(key_word) = u64_at(key, at) {
            let Some(&code) = codes.next() else { return ended(at, key) };
            let (word, len) = (self.words[usize::from(code)], self.lens[usize::from(code)]);
            let different = (word ^ key_word) & LOW_BYTES_U64[usize::from(len & 15)];
            if different != 0 {
                let same = different.trailing_zeros() as usize / 8;
                let byte = |word: u64| (word >> (8 * same)) as u8;
                return (at + same, byte(word).cmp(&byte(key_word)));
            }
            at += usize::from(len);
            if len == 0 {
                let Some(&byte) = codes.next() else { return ended(at, key) };
                if byte != key_word as u8 {
                    return (at, byte.cmp(&(key_word as u8)));
                }
                at += 1;
            }
        }
        while let Some(&code) = codes.next() {
            let (mut word, mut len) =
                (self.words[usize::from(code)], usize::from(self.lens[usize::from(code)]));
            if len == 0 {
                let Some(&byte) = codes.next() else { break };
                (word, len) = (byte.into(), 1);
            }
            let same = ((word ^ load8(key, at)).trailing_zeros() / 8) as usize;
            if same < len || at + len > key.len() {
                return differ(at, same, (word >> (8 * (same & 7))) as u8, key);
            }
            at += len;
        }
        ended(at, key)
    }

    const MAX_BYTES_PER_CODE: usize = MAX_SYMBOL_BYTES;

    #[inline(always)]
    fn decoded_len(self, code: &[u8]) -> Option<usize> {
        let (mut len, mut codes) = (0, code.iter());
        while let Some(&code) = codes.next() {
            let bytes = self.lens[usize::from(code)];
            if bytes == 0 {
                codes.next()?;
                len += 1;
            } else {
                len += usize::from(bytes);
            }
        }
        Some(len)
    }

    #[inline(always)]
    fn decode(self, code: &[u8], out: &mut [u8]) -> Option<usize> {
        let (mut at, mut codes) = (0, code.iter());
        while let Some(&code) = codes.next() {
            let bytes = self.lens[usize::from(code)];
            if bytes == 0 {
                *out.get_mut(at)? = *codes.next()?;
                at += 1;
            } else {
                let word = out.get_mut(at..)?.first_chunk_mut()?;
                *word = self.words[usize::from(code)].to_le_bytes();
                at += usize::from(bytes);
            }
        }
        Some(at)
    }
}

/// Symbols to encode with, grouped by a hash of their first two bytes.
///
/// In each group longer symbols are before shorter ones, so the first one that matches is the
/// longest. It takes little memory, since a map may have dozens of tables.
pub(crate) struct FsstEncoder {
    /// For each hash the first symbol of its group. Where there is none, any that is the last of
    /// its group: it has another hash.
    groups: [u8; GROUPS],
    /// The symbols of two bytes or more, group after group: their bytes, least significant first,
    /// then zeros.
    words: [u64; 256],
    /// The bytes of `words` that are those of the symbol.
    masks: [u64; 256],
    entries: [Entry; 256],
    /// For each byte the code of the symbol that consists of it, or `ESCAPE`.
    singles: [u8; 256],
}

/// What else an encoder knows about a symbol.
#[derive(Clone, Copy)]
struct Entry {
    len: u8,
    code: u8,
    /// Whether it is the last of its group.
    is_last: bool,
}

/// Groups of an encoder. Most have one symbol or none.
const GROUPS: usize = 1 << 10;

/// Returns the group of the symbols that begin with the first two bytes of `word`.
#[inline(always)]
fn group(word: u64) -> usize {
    // The golden ratio, as Knuth's multiplicative hash has it.
    let hash = u32::from(word as u16).wrapping_mul(0x9E37_79B1);
    (hash >> (u32::BITS - GROUPS.ilog2())) as usize
}

impl FsstEncoder {
    const EMPTY: Self = FsstEncoder {
        groups: [0; GROUPS],
        words: [0; 256],
        masks: [u64::MAX; 256],
        entries: [Entry { len: 1, code: ESCAPE, is_last: true }; 256],
        singles: [ESCAPE; 256],
    };

    /// Creates it from the symbols of a table, at most [`MAX_SYMBOLS`], each with its index as its
    /// code, if there is memory for it. It is too large for a small stack.
    fn try_new(symbols: &[Symbol]) -> Result<Box<[Self; 1]>, TryReserveError> {
        let (mut boxed, mut coded) = (Vec::new(), Vec::new());
        boxed.try_reserve_exact(1)?;
        coded.try_reserve_exact(symbols.len())?;
        boxed.push(Self::EMPTY);
        let encoder = &mut boxed[0];
        for (symbol, code) in symbols.iter().zip(0..ESCAPE) {
            let word = u64::from_le_bytes(*symbol.bytes().first_chunk().expect("16 bytes"));
            match symbol.len() {
                1 => encoder.singles[usize::from(word as u8)] = code,
                len => coded.push((word, len as u8, code)),
            }
        }
        coded.sort_unstable_by_key(|&(word, len, _)| (group(word), u8::MAX - len));
        // Without any of two bytes, what matches the first entry is a single byte, too.
        encoder.entries[0].code = encoder.singles[0];
        encoder.groups.fill(coded.len().saturating_sub(1) as u8);
        // The first of a group is written last.
        for (i, &(word, len, code)) in coded.iter().enumerate().rev() {
            let is_last = coded.get(i + 1).is_none_or(|next| group(next.0) != group(word));
            encoder.groups[group(word)] = i as u8;
            encoder.words[i] = word;
            encoder.masks[i] = LOW_BYTES_U64[usize::from(len)];
            encoder.entries[i] = Entry { len, code, is_last };
        }
        boxed.into_boxed_slice().try_into().map_or_else(|_| unreachable!("one encoder"), Ok)
    }

    /// Returns the code and the length of the longest symbol with which a string begins, of which
    /// `word` has the first bytes. The code is `ESCAPE` if there is none.
    ///
    /// It has `left` bytes if `IS_END`, and at least [`MAX_SYMBOL_BYTES`] otherwise.
    #[inline(always)]
    fn longest<const IS_END: bool>(&self, word: u64, left: usize) -> (u8, usize) {
        let mut at = self.groups[group(word)];
        loop {
            let i = usize::from(at);
            let Entry { len, code, is_last } = self.entries[i];
            let is_match = (word ^ self.words[i]) & self.masks[i] == 0;
            if is_match && (!IS_END || usize::from(len) <= left) {
                return (code, len.into());
            }
            if is_last {
                return (self.singles[usize::from(word as u8)], 1);
            }
            at = at.wrapping_add(1);
        }
    }

    /// Writes the codes of a string to `out`, which has two bytes for each of its bytes.
    ///
    /// Returns how many bytes they take.
    #[inline(always)]
    pub(crate) fn encode(&self, string: &[u8], out: &mut [u8]) -> usize {
        let mut at = 0;
        self.parse(string, |code, byte| {
            // The byte counts after an escape only.
            out[at..at + 2].copy_from_slice(&[code, byte]);
            at += 1 + usize::from(code == ESCAPE);
        });
        at
    }

    /// Passes the codes of a string to `put`, each with the first byte that it stands for.
    #[inline(always)]
    fn parse(&self, string: &[u8], mut put: impl FnMut(u8, u8)) {
        let mut rest = string;
        while let Some(word) = rest.first_chunk() {
            let (code, len) = self.longest::<false>(u64::from_le_bytes(*word), MAX_SYMBOL_BYTES);
            put(code, rest[0]);
            rest = &rest[len..];
        }
        let (mut word, mut left) = (load8(string, string.len() - rest.len()), rest.len());
        while left > 0 {
            let (code, len) = self.longest::<true>(word, left);
            put(code, word as u8);
            word = word.checked_shr(8 * len as u32).unwrap_or(0);
            left -= len;
        }
    }

    /// Appends the codes of a string. It allocates nothing if there is room for two bytes for each
    /// of the string's.
    #[inline(always)]
    pub(crate) fn append(&self, string: &[u8], out: &mut Vec<u8>) {
        let at = out.len();
        out.resize(at + 2 * string.len(), 0);
        let len = self.encode(string, &mut out[at..]);
        out.truncate(at + len);
    }
}

/// An encoder with its symbols.
pub(crate) struct FsstMatcher {
    symbols: Vec<Symbol>,
    encoder: Box<[FsstEncoder; 1]>,
}

impl FsstMatcher {
    pub(super) fn encoder(&self) -> &FsstEncoder {
        &self.encoder[0]
    }
}

impl Match for FsstMatcher {
    const MAX_SYMBOLS: usize = MAX_SYMBOLS;

    fn try_new(mut symbols: Vec<Symbol>) -> Result<Self, TryReserveError> {
        symbols.sort_unstable();
        symbols.dedup();
        let encoder = FsstEncoder::try_new(&symbols)?;
        Ok(FsstMatcher { symbols, encoder })
    }

    fn symbols(&self) -> &[Symbol] {
        &self.symbols
    }

    #[inline(always)]
    fn parse(&self, string: &[u8], mut found: impl FnMut(Option<usize>, u8)) {
        self.encoder().parse(string, |code, byte| {
            found((code != ESCAPE).then_some(code.into()), byte);
        });
    }
}

/// A table to encode and to decode with.
pub(crate) struct FsstTable {
    decoder: Fsst,
    encoder: Box<[FsstEncoder; 1]>,
}

impl FsstTable {
    /// Trains a table on a small sample, on this thread alone: it may be one of a forked process,
    /// or of the caller's thread pool, with a pin. Fails for lack of memory.
    pub(crate) fn train(sample: &Sample) -> Result<Self, TryReserveError> {
        let matcher = train_matcher(sample, MIN_BYTES_OF_SMALL, false)?;
        Ok(FsstTable { decoder: Fsst::new(&matcher.symbols), encoder: matcher.encoder })
    }

    /// Returns the table to decode with.
    #[inline(always)]
    pub(crate) fn decoder(&self) -> &Fsst {
        &self.decoder
    }

    /// Returns the table to encode with.
    #[inline(always)]
    pub(crate) fn encoder(&self) -> &FsstEncoder {
        &self.encoder[0]
    }

    /// Returns the bytes of the codes of a string.
    pub(crate) fn coded_len(&self, string: &[u8]) -> usize {
        let mut len = 0;
        self.encoder().parse(string, |code, _| len += 1 + usize::from(code == ESCAPE));
        len
    }

    /// Returns the bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.encoder)
    }
}
