//! Decoders of strings, and comparison of a coded string with a plain one that decodes no more than
//! it must.

use super::table::Symbol;
use crate::io::bytes::{u64_at, u128_at};
use crate::tree::common_prefix;
use std::cmp::Ordering;
use std::sync::Arc;

/// Codes below this one are FSST's symbols. This one precedes a byte that stands for itself.
pub(super) const ESCAPE: u8 = 255;

/// A decoder. Codes without a symbol, which only a damaged file has, end the string.
pub(crate) trait Coder: Copy {
    /// Bytes of a code.
    const CODE_BYTES: usize;

    /// Returns the number of bytes that the coded string and `key` share, and how the coded string
    /// compares.
    fn compare(self, code: &[u8], key: &[u8]) -> (usize, Ordering);

    /// Most bytes that a code stands for, all of which decoding may write.
    const MAX_BYTES_PER_CODE: usize;

    /// Returns the length of the string.
    fn decoded_len(self, code: &[u8]) -> Option<usize>;

    /// Writes the string to `out`, and returns its length. `out` has `MAX_BYTES_PER_CODE` bytes for
    /// each code, or as many more than the string.
    fn decode(self, code: &[u8], out: &mut [u8]) -> Option<usize>;
}

/// Bytes that stand for themselves.
#[derive(Clone, Copy)]
pub(crate) struct Plain;

impl Coder for Plain {
    const CODE_BYTES: usize = 1;

    #[inline(always)]
    fn compare(self, code: &[u8], key: &[u8]) -> (usize, Ordering) {
        let shared = common_prefix(code, key);
        (shared, code.get(shared).cmp(&key.get(shared)))
    }

    const MAX_BYTES_PER_CODE: usize = 1;

    #[inline(always)]
    fn decoded_len(self, code: &[u8]) -> Option<usize> {
        Some(code.len())
    }

    #[inline(always)]
    fn decode(self, code: &[u8], out: &mut [u8]) -> Option<usize> {
        out.get_mut(..code.len())?.copy_from_slice(code);
        Some(code.len())
    }
}

macro_rules! load {
    ($($name:ident: $t:ty;)*) => {$(
        /// Returns the word at `at`, least significant byte first, with zeros after the end.
        #[inline(always)]
        fn $name(key: &[u8], at: usize) -> $t {
            const SIZE: usize = size_of::<$t>();
            let rest = key.get(at..).unwrap_or_default();
            if let Some(word) = rest.first_chunk() {
                return <$t>::from_le_bytes(*word);
            }
            if rest.is_empty() {
                return 0;
            }
            // The last word of the key, without the bytes before `at`.
            match key.last_chunk() {
                Some(word) => <$t>::from_le_bytes(*word) >> (8 * (SIZE - rest.len())),
                None => rest.iter().rev().fold(0, |word, &byte| word << 8 | <$t>::from(byte)),
            }
        }
    )*};
}
load! {
    load8: u64;
    load16: u128;
}

/// Returns how a symbol compares with the key at `at`, of which `same` bytes are equal and the next
/// one, `byte`, is not.
#[inline(always)]
fn differ(at: usize, same: usize, byte: u8, key: &[u8]) -> (usize, Ordering) {
    match key.get(at + same) {
        None => (key.len(), Ordering::Greater),
        Some(other) => (at + same, byte.cmp(other)),
    }
}

/// Returns how a coded string compares that ended when the key reached `at`.
#[inline(always)]
fn ended(at: usize, key: &[u8]) -> (usize, Ordering) {
    (at, if at == key.len() { Ordering::Equal } else { Ordering::Less })
}

macro_rules! masks {
    ($($name:ident: $t:ty;)*) => {$(
        /// Masks of the lowest bytes of a word, by their number.
        static $name: [$t; 16] = {
            let mut masks = [<$t>::MAX; 16];
            let mut len = 0;
            while len < size_of::<$t>() {
                masks[len] = (1 << (8 * len)) - 1;
                len += 1;
            }
            masks
        };
    )*};
}
masks! {
    LOW_BYTES_U64: u64;
    LOW_BYTES_U128: u128;
}

/// A table with codes of one byte.
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
        // While a whole word of the key is left and no code is an escape, there is no need to find
        // where they differ.
        while let Some(key) = u64_at(key, at) {
            let Some(&code) = codes.as_slice().first() else { break };
            let (word, len) = (self.words[usize::from(code)], self.lens[usize::from(code)]);
            if (word ^ key) & LOW_BYTES_U64[usize::from(len & 15)] != 0 || len == 0 {
                break;
            }
            codes.next();
            at += usize::from(len);
        }
        while let Some(&code) = codes.next() {
            let (mut word, mut len) =
                (self.words[usize::from(code)], usize::from(self.lens[usize::from(code)]));
            if code == ESCAPE {
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

    const MAX_BYTES_PER_CODE: usize = 8;

    #[inline(always)]
    fn decoded_len(self, code: &[u8]) -> Option<usize> {
        let (mut len, mut codes) = (0, code.iter());
        while let Some(&code) = codes.next() {
            if code == ESCAPE {
                codes.next()?;
                len += 1;
            } else {
                len += usize::from(self.lens[usize::from(code)]);
            }
        }
        Some(len)
    }

    #[inline(always)]
    fn decode(self, code: &[u8], out: &mut [u8]) -> Option<usize> {
        let (mut at, mut codes) = (0, code.iter());
        while let Some(&code) = codes.next() {
            if code == ESCAPE {
                *out.get_mut(at)? = *codes.next()?;
                at += 1;
            } else {
                let word = out.get_mut(at..)?.first_chunk_mut()?;
                *word = self.words[usize::from(code)].to_le_bytes();
                at += usize::from(self.lens[usize::from(code)]);
            }
        }
        Some(at)
    }
}

/// A table with codes of two bytes. Clones share it.
#[derive(Clone, PartialEq)]
pub(crate) struct OnPair {
    /// The bytes of a symbol, then zeros, and in the last byte the length: all in one cache line.
    slots: Arc<[[u8; 16]]>,
}

impl OnPair {
    pub(super) fn new(symbols: &[Symbol]) -> Self {
        OnPair { slots: symbols.iter().map(|symbol| symbol.bytes()).collect() }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.slots.len() * 16
    }

    #[cfg(feature = "sets")]
    pub(super) fn address(&self) -> *const u8 {
        self.slots.as_ptr().cast()
    }

    pub(super) fn symbols(&self) -> Vec<Symbol> {
        self.slots.iter().map(|slot| Symbol::of(&slot[..usize::from(slot[15])])).collect()
    }
}

impl Coder for &OnPair {
    const CODE_BYTES: usize = 2;

    #[inline(always)]
    fn compare(self, code: &[u8], key: &[u8]) -> (usize, Ordering) {
        let (mut at, mut codes) = (0, code.as_chunks::<2>().0.iter());
        // While a whole word of the key is left, there is no need to find where they differ.
        while let Some(key) = u128_at(key, at) {
            let Some(slot) = codes
                .as_slice()
                .first()
                .and_then(|code| self.slots.get(usize::from(u16::from_le_bytes(*code))))
            else {
                break;
            };
            if (u128::from_le_bytes(*slot) ^ key) & LOW_BYTES_U128[usize::from(slot[15] & 15)] != 0
            {
                break;
            }
            codes.next();
            at += usize::from(slot[15]);
        }
        for code in codes {
            let Some(slot) = self.slots.get(usize::from(u16::from_le_bytes(*code))) else { break };
            let (word, len) = (u128::from_le_bytes(*slot), usize::from(slot[15]));
            // The length is stored after the symbol, so a difference there does not count.
            let same = ((word ^ load16(key, at)).trailing_zeros() / 8) as usize;
            if same < len || at + len > key.len() {
                return differ(at, same, slot[same & 15], key);
            }
            at += len;
        }
        ended(at, key)
    }

    const MAX_BYTES_PER_CODE: usize = 16;

    #[inline(always)]
    fn decoded_len(self, code: &[u8]) -> Option<usize> {
        let mut len = 0;
        for code in code.as_chunks::<2>().0 {
            len += usize::from(self.slots.get(usize::from(u16::from_le_bytes(*code)))?[15]);
        }
        Some(len)
    }

    #[inline(always)]
    fn decode(self, code: &[u8], out: &mut [u8]) -> Option<usize> {
        let mut at = 0;
        for code in code.as_chunks::<2>().0 {
            let slot = self.slots.get(usize::from(u16::from_le_bytes(*code)))?;
            *out.get_mut(at..)?.first_chunk_mut()? = *slot;
            at += usize::from(slot[15]);
        }
        Some(at)
    }
}
