//! Tables with codes of two bytes.

use super::coder::{Coder, differ, ended, load, masks};
use super::table::Symbol;
use crate::words::u128_at;
use std::cmp::Ordering;
use std::sync::Arc;

load! {
    load16: u128;
}
masks! {
    LOW_BYTES_U128: u128;
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
