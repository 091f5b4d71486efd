//! A table of symbols in the order of their bytes, and the longest of them that a string begins with.

#![forbid(unsafe_code)]

/// The longest symbol, in bytes.
pub(crate) const MAX_SYMBOL: usize = 15;

/// Up to `MAX_SYMBOL` bytes as one word: the bytes from the most significant on, then zeros, then the length. The order of the words is
/// the order of the strings.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Symbol(u128);

impl Symbol {
    /// The first bytes of `bytes`, as many as fit.
    #[inline(always)]
    pub(super) fn of(bytes: &[u8]) -> Self {
        if let Some(first) = bytes.first_chunk::<16>() {
            return Symbol(u128::from_be_bytes(*first) & !0xFF | MAX_SYMBOL as u128);
        }
        let mut word = [0; 16];
        let len = bytes.len().min(MAX_SYMBOL);
        word[..len].copy_from_slice(&bytes[..len]);
        word[15] = len as u8;
        Symbol(u128::from_be_bytes(word))
    }

    #[inline(always)]
    pub(super) fn len(self) -> usize {
        self.0 as usize & 0xF
    }

    /// The symbol of which `word` is [`bytes`](Self::bytes), the first byte the most significant.
    pub(super) fn of_word(word: u128) -> Self {
        Symbol(word)
    }

    /// The bytes, zeros, and in the last byte the length.
    #[inline(always)]
    pub(super) fn bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// Both, one after the other, or the first `most` bytes of that.
    pub(super) fn join(self, other: Self, most: usize) -> Self {
        let (a, b) = (self.len(), other.len());
        let mut joined = [0; 2 * MAX_SYMBOL];
        joined[..a].copy_from_slice(&self.bytes()[..a]);
        joined[a..a + b].copy_from_slice(&other.bytes()[..b]);
        Symbol::of(&joined[..(a + b).min(most)])
    }

    /// The first byte alone.
    pub(super) fn head(self) -> Self {
        Symbol::of(&self.bytes()[..1])
    }

    /// Bytes that both begin with, up to the length of this one.
    #[inline(always)]
    fn shared(self, other: Self) -> usize {
        (((self.0 ^ other.0) & !0xFF).leading_zeros() as usize / 8).min(self.len())
    }
}

/// No symbol.
const NONE: u16 = u16::MAX;

/// Symbols in order, made for finding the longest that a string begins with.
///
/// Every symbol between the longest match and the string itself, in order, begins with the match. So the match is the greatest
/// symbol that is not greater than the string, or a prefix of that one.
pub(super) struct Matcher {
    symbols: Vec<Symbol>,
    /// Of each symbol, the longest other one that it begins with.
    parents: Vec<u16>,
    /// For each two bytes, how many symbols are less.
    starts: Vec<u32>,
}

impl Matcher {
    /// Of at most 65,535 symbols.
    pub(super) fn new(mut symbols: Vec<Symbol>) -> Self {
        symbols.sort_unstable();
        symbols.dedup();
        let mut parents = Vec::with_capacity(symbols.len());
        let mut open: Vec<u16> = Vec::new();
        for (i, &symbol) in symbols.iter().enumerate() {
            while let Some(&top) = open.last() {
                let top = symbols[usize::from(top)];
                if top.shared(symbol) == top.len() {
                    break;
                }
                open.pop();
            }
            parents.push(open.last().copied().unwrap_or(NONE));
            open.push(i as u16);
        }
        let mut starts = vec![0u32; (1 << 16) + 1];
        for symbol in &symbols {
            starts[(symbol.0 >> 112) as usize + 1] += 1;
        }
        for i in 1..starts.len() {
            starts[i] += starts[i - 1];
        }
        Matcher { symbols, parents, starts }
    }

    pub(super) fn symbols(&self) -> &[Symbol] {
        &self.symbols
    }

    /// The longest symbol that `bytes` begins with, and its length.
    #[inline(always)]
    pub(super) fn longest(&self, bytes: &[u8]) -> Option<(usize, usize)> {
        let query = Symbol::of(bytes);
        let bucket = (query.0 >> 112) as usize;
        let (mut low, mut high) = (self.starts[bucket] as usize, self.starts[bucket + 1] as usize);
        while low < high {
            let middle = (low + high) / 2;
            if self.symbols[middle] <= query {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let mut at = low.checked_sub(1)?;
        let shared = self.symbols[at].shared(query);
        loop {
            let len = self.symbols[at].len();
            if len <= shared {
                return Some((at, len));
            }
            if self.parents[at] == NONE {
                return None;
            }
            at = usize::from(self.parents[at]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_longest_match_is_found(
            symbols in proptest::collection::vec(proptest::collection::vec(0u8..3, 1..=MAX_SYMBOL), 0..60),
            text in proptest::collection::vec(0u8..3, 0..40),
        ) {
            let matcher = Matcher::new(symbols.iter().map(|s| Symbol::of(s)).collect());
            let want = symbols.iter().filter(|s| text.starts_with(s)).map(Vec::len).max();
            let found = matcher.longest(&text);
            prop_assert_eq!(found.map(|(_, len)| len), want);
            if let Some((at, len)) = found {
                prop_assert_eq!(&matcher.symbols()[at].bytes()[..len], &text[..len]);
            }
        }
    }
}
