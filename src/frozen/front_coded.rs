//! Front-coded keys and their values, before they are encoded: each key as its lcp and its suffix.

use super::byte_values::MAX_VALUE_LEN;
use super::error::FrozenError;
use crate::MAX_KEY_LEN;
use crate::tree::common_prefix;

/// What a chunk stores of a value.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Stored<'v> {
    /// The number that stands for the value, or the length of the byte string.
    pub(super) number: u64,
    /// The byte string. Empty if the value is a number.
    pub(super) bytes: &'v [u8],
}

impl<'v> Stored<'v> {
    /// Returns what is stored of a value for which a number stands.
    #[inline(always)]
    pub(super) fn number(number: u64) -> Self {
        Stored { number, bytes: &[] }
    }

    /// Returns what is stored of a byte string.
    #[inline(always)]
    pub(super) fn bytes(bytes: &'v [u8]) -> Self {
        Stored { number: bytes.len() as u64, bytes }
    }
}

/// Checks the lengths of a key and of a byte string as its value.
#[inline]
pub(super) fn check_lens(position: u64, key: &[u8], value: Stored<'_>) -> Result<(), FrozenError> {
    if key.len() > MAX_KEY_LEN {
        return Err(FrozenError::KeyTooLong { position, len: key.len() });
    }
    if value.bytes.len() > MAX_VALUE_LEN {
        return Err(FrozenError::ValueTooLong { position, len: value.bytes.len() });
    }
    Ok(())
}

/// Keys in ascending order, with their values.
#[derive(Debug, Default)]
pub(crate) struct FrontCoded {
    suffixes: Vec<u8>,
    /// Lcp and end of the suffix of each key.
    keys: Vec<(u32, u32)>,
    /// The number that stands for each value, or the length of the byte string.
    values: Vec<u64>,
    /// The byte strings, one after the other.
    value_bytes: Vec<u8>,
    /// The last key.
    last: Vec<u8>,
    /// Bytes of all keys, not front-coded.
    raw_bytes: usize,
}

impl FrontCoded {
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(crate) fn suffix_bytes(&self) -> usize {
        self.suffixes.len()
    }

    pub(crate) fn raw_bytes(&self) -> usize {
        self.raw_bytes
    }

    /// Returns the bytes of memory that it takes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.suffixes.capacity()
            + self.keys.capacity() * size_of::<(u32, u32)>()
            + self.values.capacity() * size_of::<u64>()
            + self.value_bytes.capacity()
    }

    pub(crate) fn values(&self) -> &[u64] {
        &self.values
    }

    /// Returns the values that are byte strings, one after the other.
    pub(crate) fn value_bytes(&self) -> &[u8] {
        &self.value_bytes
    }

    /// Returns what is stored of each value, in order.
    pub(crate) fn stored(&self) -> impl Iterator<Item = Stored<'_>> {
        let mut rest = &self.value_bytes[..];
        self.values.iter().map(move |&number| {
            let bytes;
            (bytes, rest) = rest.split_at((number as usize).min(rest.len()));
            Stored { number, bytes }
        })
    }

    pub(crate) fn last(&self) -> &[u8] {
        &self.last
    }

    /// Returns the first key, or the empty string.
    pub(crate) fn first(&self) -> &[u8] {
        if self.is_empty() { &[] } else { self.entry(0).1 }
    }

    /// Returns the lcp and the suffix of a key. The lcp of the first key is 0.
    #[inline(always)]
    pub(crate) fn entry(&self, i: usize) -> (usize, &[u8]) {
        let start = match i.checked_sub(1) {
            None => 0,
            Some(before) => self.keys[before].1 as usize,
        };
        let (lcp, end) = self.keys[i];
        (lcp as usize, &self.suffixes[start..end as usize])
    }

    /// Appends a key if it is greater than the last one. Returns whether it is.
    #[inline]
    pub(crate) fn push(&mut self, key: &[u8], value: Stored<'_>) -> bool {
        let lcp = common_prefix(&self.last, key);
        if !self.is_empty()
            && (lcp == key.len() || self.last.get(lcp).is_some_and(|&byte| byte > key[lcp]))
        {
            return false;
        }
        self.follow(lcp, &key[lcp..], value);
        true
    }

    /// Appends a key that shares `lcp` bytes with the last one and is greater. `suffix` is the rest
    /// of it.
    #[inline]
    pub(crate) fn follow(&mut self, lcp: usize, suffix: &[u8], value: Stored<'_>) {
        self.suffixes.extend_from_slice(suffix);
        self.keys.push((lcp as u32, self.suffixes.len() as u32));
        self.values.push(value.number);
        if !value.bytes.is_empty() {
            self.value_bytes.extend_from_slice(value.bytes);
        }
        self.last.truncate(lcp);
        self.last.extend_from_slice(suffix);
        self.raw_bytes += lcp + suffix.len();
    }

    /// Splits at least two keys into halves. One key stays whole.
    pub(crate) fn halves(self) -> impl Iterator<Item = Self> {
        let (mut halves, middle, mut at) =
            ([FrontCoded::default(), FrontCoded::default()], self.len().div_ceil(2), 0);
        let _: Result<(), std::convert::Infallible> = self.for_each(|key, value| {
            halves[at / middle].push(key, value);
            at += 1;
            Ok(())
        });
        halves.into_iter().filter(|half| !half.is_empty())
    }

    /// Passes all keys to `f` in order, with their values.
    pub(crate) fn for_each<E>(
        &self,
        mut f: impl FnMut(&[u8], Stored<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut key = Vec::new();
        for (i, value) in self.stored().enumerate() {
            let (lcp, suffix) = self.entry(i);
            key.truncate(lcp);
            key.extend_from_slice(suffix);
            f(&key, value)?;
        }
        Ok(())
    }
}
