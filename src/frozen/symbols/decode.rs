//! From codes back to strings, and comparing a coded string with a plain one without decoding more of it than it takes.

use super::{ESCAPE, Symbol};
use crate::raw::common_prefix;
use std::cmp::Ordering;

/// What can read codes. Codes that stand for nothing, which only a damaged file has, end the string.
pub(crate) trait Coder: Copy {
    /// Bytes of a code.
    const UNIT: usize;

    /// Bytes that the coded string and `key` begin with alike, and how the coded string compares.
    fn compare(self, code: &[u8], key: &[u8]) -> (usize, Ordering);

    /// Appends the string.
    fn append(self, code: &[u8], out: &mut Vec<u8>);
}

/// Bytes that stand for themselves.
#[derive(Clone, Copy)]
pub(crate) struct Plain;

impl Coder for Plain {
    const UNIT: usize = 1;

    #[inline(always)]
    fn compare(self, code: &[u8], key: &[u8]) -> (usize, Ordering) {
        let shared = common_prefix(code, key);
        (shared, code.get(shared).cmp(&key.get(shared)))
    }

    #[inline(always)]
    fn append(self, code: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(code);
    }
}

/// The `N` bytes at `at`, those behind the end zeros.
#[inline(always)]
fn load<const N: usize>(key: &[u8], at: usize) -> [u8; N] {
    let rest = key.get(at..).unwrap_or_default();
    if let Some(word) = rest.first_chunk::<N>() {
        return *word;
    }
    let mut word = [0; N];
    word[..rest.len()].copy_from_slice(rest);
    word
}

/// Where a symbol of `len` bytes and the key differ, of which `same` bytes are alike; the key goes on at `at`.
#[inline(always)]
fn differ(at: usize, same: usize, byte: u8, key: &[u8]) -> (usize, Ordering) {
    match key.get(at + same) {
        None => (key.len(), Ordering::Greater),
        Some(other) => (at + same, byte.cmp(other)),
    }
}

/// How the string that ends as the key reaches `at` compares.
#[inline(always)]
fn ended(at: usize, key: &[u8]) -> (usize, Ordering) {
    (at, if at == key.len() { Ordering::Equal } else { Ordering::Less })
}

/// Codes of one byte.
pub(crate) struct Fsst {
    /// A symbol's bytes, the first the least significant, then zeros.
    words: [u64; 256],
    lens: [u8; 256],
}

impl Fsst {
    pub(super) fn new(symbols: &[Symbol]) -> Self {
        let mut table = Fsst { words: [0; 256], lens: [0; 256] };
        for (symbol, (word, len)) in symbols.iter().zip(table.words.iter_mut().zip(&mut table.lens)) {
            *word = u64::from_le_bytes(*symbol.bytes().first_chunk().expect("16 bytes"));
            *len = symbol.len() as u8;
        }
        table
    }
}

impl Coder for &Fsst {
    const UNIT: usize = 1;

    #[inline(always)]
    fn compare(self, code: &[u8], key: &[u8]) -> (usize, Ordering) {
        let (mut at, mut codes) = (0, code.iter());
        while let Some(&code) = codes.next() {
            let (mut word, mut len) = (self.words[usize::from(code)], usize::from(self.lens[usize::from(code)]));
            if code == ESCAPE {
                let Some(&byte) = codes.next() else { break };
                (word, len) = (byte.into(), 1);
            }
            let same = ((word ^ u64::from_le_bytes(load(key, at))).trailing_zeros() / 8) as usize;
            if same < len || at + len > key.len() {
                return differ(at, same, (word >> (8 * (same & 7))) as u8, key);
            }
            at += len;
        }
        ended(at, key)
    }

    #[inline(always)]
    fn append(self, code: &[u8], out: &mut Vec<u8>) {
        let mut codes = code.iter();
        while let Some(&code) = codes.next() {
            if code == ESCAPE {
                let Some(&byte) = codes.next() else { break };
                out.push(byte);
            } else {
                let end = out.len() + usize::from(self.lens[usize::from(code)]);
                out.extend_from_slice(&self.words[usize::from(code)].to_le_bytes());
                out.truncate(end);
            }
        }
    }
}

/// Codes of two bytes.
pub(crate) struct OnPair {
    /// A symbol's bytes, then zeros, and in the last byte the length: one cache line for all of it.
    slots: Vec<[u8; 16]>,
}

impl OnPair {
    pub(super) fn new(symbols: &[Symbol]) -> Self {
        OnPair { slots: symbols.iter().map(|symbol| symbol.bytes()).collect() }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.slots.capacity() * 16
    }
}

impl Coder for &OnPair {
    const UNIT: usize = 2;

    #[inline(always)]
    fn compare(self, code: &[u8], key: &[u8]) -> (usize, Ordering) {
        let mut at = 0;
        for code in code.as_chunks::<2>().0 {
            let Some(slot) = self.slots.get(usize::from(u16::from_le_bytes(*code))) else { break };
            let (word, len) = (u128::from_le_bytes(*slot), usize::from(slot[15]));
            // The length's byte differs from the key's or not: it is behind the symbol either way.
            let same = ((word ^ u128::from_le_bytes(load(key, at))).trailing_zeros() / 8) as usize;
            if same < len || at + len > key.len() {
                return differ(at, same, slot[same & 15], key);
            }
            at += len;
        }
        ended(at, key)
    }

    #[inline(always)]
    fn append(self, code: &[u8], out: &mut Vec<u8>) {
        for code in code.as_chunks::<2>().0 {
            let Some(slot) = self.slots.get(usize::from(u16::from_le_bytes(*code))) else { break };
            let end = out.len() + usize::from(slot[15]);
            out.extend_from_slice(slot);
            out.truncate(end);
        }
    }
}
