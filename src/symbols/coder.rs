//! Decoders of strings, and comparison of a coded string with a plain one that decodes no more than
//! it must.

use std::cmp::Ordering;

/// A decoder. Codes without a symbol, which only a damaged file has, stand for any string.
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

/// Returns how a symbol compares with the key at `at`, of which `same` bytes are equal and the next
/// one, `byte`, is not.
#[inline(always)]
pub(super) fn differ(at: usize, same: usize, byte: u8, key: &[u8]) -> (usize, Ordering) {
    match key.get(at + same) {
        None => (key.len(), Ordering::Greater),
        Some(other) => (at + same, byte.cmp(other)),
    }
}

/// Returns how a coded string compares that ended when the key reached `at`.
#[inline(always)]
pub(super) fn ended(at: usize, key: &[u8]) -> (usize, Ordering) {
    (at, if at == key.len() { Ordering::Equal } else { Ordering::Less })
}

macro_rules! load {
    ($($name:ident: $t:ty;)*) => {$(
        /// Returns the word at `at`, least significant byte first, with zeros after the end.
        #[inline(always)]
        pub(super) fn $name(key: &[u8], at: usize) -> $t {
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
pub(super) use load;

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
pub(super) use masks;
