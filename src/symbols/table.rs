//! Symbols in the order of their bytes, and a matcher for the longest symbol at the beginning of a
//! string.

use std::collections::TryReserveError;
use std::hint::select_unpredictable;
use std::ops::Range;

/// Length of the longest symbol.
pub(crate) const MAX_SYMBOL_BYTES: usize = 15;

/// Up to `MAX_SYMBOL_BYTES` bytes as one word: the bytes, most significant first, then zeros, then
/// the length. The order of the words is the order of the strings.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Symbol(u128);

impl Symbol {
    /// Creates a symbol from the first bytes of `bytes`, as many as fit.
    #[inline(always)]
    pub(super) fn of(bytes: &[u8]) -> Self {
        if let Some(first) = bytes.first_chunk::<16>() {
            return Symbol(u128::from_be_bytes(*first) & !0xFF | MAX_SYMBOL_BYTES as u128);
        }
        let mut word = [0; 16];
        let len = bytes.len().min(MAX_SYMBOL_BYTES);
        word[..len].copy_from_slice(&bytes[..len]);
        word[15] = len as u8;
        Symbol(u128::from_be_bytes(word))
    }

    #[inline(always)]
    pub(super) fn len(self) -> usize {
        self.0 as usize & 0xF
    }

    /// Returns the bytes, zeros, and in the last byte the length.
    #[inline(always)]
    pub(super) fn bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// Creates a symbol from the last `len` bytes of a string, which must fit.
    #[inline(always)]
    fn of_end(string: &[u8], len: usize) -> Self {
        match string.last_chunk::<16>() {
            Some(last) if len > 0 => {
                Symbol(u128::from_be_bytes(*last) << (8 * (16 - len)) | len as u128)
            }
            _ => Symbol::of(&string[string.len() - len..]),
        }
    }

    /// Returns the rest after the first `len` bytes.
    #[inline(always)]
    fn without(self, len: usize) -> Self {
        Symbol((self.0 & !0xFF) << (8 * len) | (self.len() - len) as u128)
    }

    #[inline(always)]
    fn first(self) -> u8 {
        (self.0 >> 120) as u8
    }

    /// Returns the first `most` bytes of both symbols together.
    pub(super) fn join(self, other: Self, most: usize) -> Self {
        let (a, b) = (self.len(), other.len());
        let mut joined = [0; 2 * MAX_SYMBOL_BYTES];
        joined[..a].copy_from_slice(&self.bytes()[..a]);
        joined[a..a + b].copy_from_slice(&other.bytes()[..b]);
        Symbol::of(&joined[..(a + b).min(most)])
    }

    /// Returns the first byte as a symbol.
    pub(super) fn head(self) -> Self {
        Symbol::of(&self.bytes()[..1])
    }

    /// Returns the number of bytes that both share, up to the length of this one.
    #[inline(always)]
    fn shared(self, other: Self) -> usize {
        (((self.0 ^ other.0) & !0xFF).leading_zeros() as usize / 8).min(self.len())
    }
}

/// Symbols with which strings are parsed.
pub(super) trait Match: Sized + Sync {
    /// Most symbols.
    const MAX_SYMBOLS: usize;

    /// Creates it of at most [`MAX_SYMBOLS`](Self::MAX_SYMBOLS) symbols, in any order, if there is
    /// memory for it.
    fn try_new(symbols: Vec<Symbol>) -> Result<Self, TryReserveError>;

    /// Returns the symbols in order, each once.
    fn symbols(&self) -> &[Symbol];

    /// Cuts a string into symbols, always the longest one. Passes to `found` the number of each,
    /// `None` for a byte with which no symbol begins, and its first byte.
    fn parse(&self, string: &[u8], found: impl FnMut(Option<usize>, u8));
}

/// Symbols in order, and tables to find the longest one with which a string begins.
///
/// Every symbol between the longest match and the string, in order, begins with the match. So the
/// match is the greatest symbol that is not greater than the string, or a prefix of it.
pub(crate) struct Matcher {
    /// The empty string, with which every string begins, and the symbols.
    entries: Vec<Symbol>,
    /// For each entry, the longest other entry with which it begins, and its own length.
    parents: Vec<(u16, u16)>,
    /// For each two bytes, the number of smaller symbols, and the index in `thirds` of the same
    /// numbers for each third byte, or `NO_THIRD_BYTES`.
    starts: Vec<(u16, u16)>,
    thirds: Vec<[u16; 257]>,
    /// For each byte, the entry that consists of it alone, or the empty string.
    singles: [u16; 256],
}

const NO_THIRD_BYTES: u16 = u16::MAX;
/// Symbols with the same first two bytes from which the third byte is looked up, too.
const MIN_SYMBOLS_FOR_THIRD_BYTE: usize = 8;

impl Match for Matcher {
    // With the empty string their numbers fit 16 bits.
    const MAX_SYMBOLS: usize = u16::MAX as usize;

    fn try_new(symbols: Vec<Symbol>) -> Result<Self, TryReserveError> {
        let mut entries = symbols;
        entries.try_reserve(1)?;
        entries.push(Symbol::of(&[]));
        entries.sort_unstable();
        entries.dedup();
        let mut parents: Vec<(u16, u16)> = Vec::new();
        parents.try_reserve_exact(entries.len())?;
        let mut before = 0u16;
        for (i, &entry) in entries.iter().enumerate() {
            while entries[usize::from(before)].shared(entry) < entries[usize::from(before)].len() {
                before = parents[usize::from(before)].0;
            }
            parents.push((before, entry.len() as u16));
            before = i as u16;
        }
        let less = |range: Range<usize>, word: u128| {
            (range.start + entries[range].partition_point(|entry| entry.0 < word) - 1) as u16
        };
        let (mut starts, mut thirds) = (Vec::new(), Vec::new());
        starts.try_reserve_exact((1 << 16) + 1)?;
        let mut at = 1;
        for bucket in 0..1u128 << 16 {
            let start = at;
            while entries.get(at).is_some_and(|entry| entry.0 >> 112 == bucket) {
                at += 1;
            }
            let mut third = NO_THIRD_BYTES;
            if at - start > MIN_SYMBOLS_FOR_THIRD_BYTE {
                third = thirds.len() as u16;
                thirds.try_reserve(1)?;
                thirds.push(std::array::from_fn(|byte| {
                    if byte == 256 {
                        (at - 1) as u16
                    } else {
                        less(start..at, bucket << 112 | (byte as u128) << 104)
                    }
                }));
            }
            starts.push(((start - 1) as u16, third));
        }
        starts.push(((entries.len() - 1) as u16, NO_THIRD_BYTES));
        let mut singles = [0; 256];
        for (i, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.len() == 1) {
            singles[usize::from(entry.first())] = i as u16;
        }
        Ok(Matcher { entries, parents, starts, thirds, singles })
    }

    fn symbols(&self) -> &[Symbol] {
        &self.entries[1..]
    }

    #[inline(always)]
    fn parse(&self, string: &[u8], mut found: impl FnMut(Option<usize>, u8)) {
        let mut rest = string;
        while let (Some(&byte), true) = (rest.first(), rest.len() > MAX_SYMBOL_BYTES) {
            let (code, len) = self.longest(Symbol::of(rest));
            found((len > 0).then_some(code), byte);
            rest = &rest[len.max(1)..];
        }
        let mut left = Symbol::of_end(string, rest.len());
        while left.len() > 0 {
            let (code, len) = self.longest(left);
            found((len > 0).then_some(code), left.first());
            left = left.without(len.max(1));
        }
    }
}

impl Matcher {
    /// Returns the number and the length of the longest symbol with which a string begins, length 0
    /// if there is none. `query` is the beginning of the string.
    #[inline(always)]
    fn longest(&self, query: Symbol) -> (usize, usize) {
        let bucket = (query.0 >> 112) as usize;
        let (start, third) = self.starts[bucket];
        if third == NO_THIRD_BYTES {
            // The last match is the longest. Zeros after a short string do not belong to it.
            let end = self.starts[bucket + 1].0;
            for at in (start..end).rev().map(|at| usize::from(at) + 1) {
                let entry = self.entries[at];
                if entry.shared(query) == entry.len() && entry.len() <= query.len() {
                    return (at - 1, entry.len());
                }
            }
            let single = usize::from(self.singles[usize::from(query.first())]);
            return (single.wrapping_sub(1), usize::from(single > 0));
        }
        let byte = (query.0 >> 104) as u8 as usize;
        let third = &self.thirds[usize::from(third)];
        let (start, end) = (third[byte], third[byte + 1]);
        // The entry before them is less than all that begin with these three bytes.
        let (mut at, mut count) = (usize::from(start), usize::from(end - start) + 1);
        while count > 1 {
            let half = count / 2;
            at = select_unpredictable(self.entries[at + half] <= query, at + half, at);
            count -= half;
        }
        let shared = self.entries[at].shared(query);
        loop {
            let (parent, len) = self.parents[at];
            if usize::from(len) <= shared {
                return (at.wrapping_sub(1), len.into());
            }
            at = parent.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Few values, so that strings share beginnings; the least and the greatest are among them.
    fn byte() -> impl Strategy<Value = u8> {
        prop_oneof![0u8..3, Just(u8::MAX)]
    }

    proptest! {
        #[test]
        fn the_longest_match_is_found(
            symbols in proptest::collection::vec(
                proptest::collection::vec(byte(), 1..=MAX_SYMBOL_BYTES),
                0..60,
            ),
            text in proptest::collection::vec(byte(), 0..40),
        ) {
            let all = symbols.iter().map(|s| Symbol::of(s)).collect();
            let matcher = Matcher::try_new(all).unwrap();
            let mut rest = &text[..];
            matcher.parse(&text, |code, byte| {
                let want = symbols.iter().filter(|s| rest.starts_with(s)).max_by_key(|s| s.len());
                assert_eq!(byte, rest[0]);
                let found = code.map(|code| matcher.symbols()[code]);
                assert!(found == want.map(|s| Symbol::of(s)));
                rest = &rest[want.map_or(1, Vec::len)..];
            });
            prop_assert!(rest.is_empty());
        }
    }
}
