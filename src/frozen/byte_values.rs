//! The values of a chunk that are byte strings, each written in symbols on its own.
//!
//! ```text
//!   heads: of each string its bytes here × 2, + 1 if it is raw │ offset of every 16th │ strings
//! ```
//!
//! Heads are packed like numbers (values.rs). A string whose codes would not be shorter is raw.

use super::values::{self, ValueLayout};
use crate::symbols::{Coder, Decoder, Encoder, with_coder};
use crate::words::u32_at;

/// Strings from one offset to the next, over whose heads a read adds up.
const STRINGS_PER_OFFSET: usize = 16;
const OFFSET_BYTES: usize = 4;

/// Most bytes of a value.
///
/// ```
/// assert_eq!(memkv::MAX_VALUE_LEN, 1 << 30);
/// ```
pub const MAX_VALUE_LEN: usize = 1 << 30;

/// Bytes of values after which a chunk ends, so that offsets in it fit 32 bits, and so that the
/// chunks in work take little memory.
pub(super) const MAX_VALUE_BYTES: usize = 16 << 20;

/// Appends strings, whose lengths are `lens`. Returns the layout of the heads.
pub(super) fn write(
    lens: &[u64],
    bytes: &[u8],
    encoder: &Encoder,
    out: &mut Vec<u8>,
) -> ValueLayout {
    let (mut heads, mut offsets, mut codes) = (Vec::with_capacity(lens.len()), vec![], vec![]);
    let mut rest = bytes;
    for (i, &len) in lens.iter().enumerate() {
        let string;
        (string, rest) = rest.split_at(len as usize);
        let start = codes.len();
        if i % STRINGS_PER_OFFSET == 0 {
            offsets.extend_from_slice(&(start as u32).to_le_bytes());
        }
        encoder.encode(string, &mut codes);
        let is_raw = codes.len() - start >= string.len();
        if is_raw {
            codes.truncate(start);
            codes.extend_from_slice(string);
        }
        heads.push(((codes.len() - start) as u64) << 1 | u64::from(is_raw));
    }
    let layout = ValueLayout::of(&heads);
    values::write(&heads, layout, out);
    out.extend_from_slice(&offsets);
    out.extend_from_slice(&codes);
    layout
}

/// Returns the least number of bytes of `count` strings.
pub(super) fn least_bytes(layout: ValueLayout, count: usize) -> usize {
    layout.bytes(count) + OFFSET_BYTES * count.div_ceil(STRINGS_PER_OFFSET)
}

/// The strings of a chunk.
#[derive(Clone, Copy)]
pub(super) struct ByteValues<'a> {
    pub(super) section: &'a [u8],
    /// The layout of the heads.
    pub(super) layout: ValueLayout,
    pub(super) count: usize,
}

impl<'a> ByteValues<'a> {
    /// Returns the bytes of a string here, and whether it is raw.
    #[inline]
    fn head(&self, i: usize) -> Option<(usize, bool)> {
        let head = values::read(self.section, self.layout, i)?;
        let len = usize::try_from(head >> 1).ok().filter(|&len| len <= MAX_VALUE_LEN)?;
        Some((len, head & 1 == 1))
    }

    /// Returns where a string begins that an offset is stored for.
    #[inline]
    fn offset(&self, group: usize) -> Option<usize> {
        let at = self.layout.bytes(self.count).checked_add(group.checked_mul(OFFSET_BYTES)?)?;
        let offset = u32_at(self.section, at)? as usize;
        least_bytes(self.layout, self.count).checked_add(offset)
    }

    /// Returns the bytes of string `i` here, and whether it is raw. `None` if they are damaged.
    fn find(&self, i: usize) -> Option<(&'a [u8], bool)> {
        let group = i / STRINGS_PER_OFFSET;
        let mut start = self.offset(group)?;
        for before in group * STRINGS_PER_OFFSET..i {
            start = start.checked_add(self.head(before)?.0)?;
        }
        let (len, is_raw) = self.head(i)?;
        Some((self.section.get(start..start.checked_add(len)?)?, is_raw))
    }

    /// Reads string `i`: returns it if it is raw, or appends it to `out`. `None` if it is damaged.
    pub(super) fn read(
        self,
        i: usize,
        decoder: &Decoder,
        out: &mut Vec<u8>,
    ) -> Option<Option<&'a [u8]>> {
        let (codes, is_raw) = self.find(i)?;
        if is_raw {
            return Some(Some(codes));
        }
        with_coder!(decoder, coder => append(coder, codes, out))?;
        Some(None)
    }

    /// Checks that the strings follow each other up to the end, and can be decoded. Returns `None`
    /// if not.
    pub(super) fn check(self, decoder: &Decoder) -> Option<()> {
        let mut end = least_bytes(self.layout, self.count);
        for i in 0..self.count {
            if i.is_multiple_of(STRINGS_PER_OFFSET) && self.offset(i / STRINGS_PER_OFFSET)? != end {
                return None;
            }
            let (len, is_raw) = self.head(i)?;
            let codes = self.section.get(end..end.checked_add(len)?)?;
            if !is_raw {
                with_coder!(decoder, coder => string_len(coder, codes))?;
            }
            end += len;
        }
        (end == self.section.len()).then_some(())
    }
}

/// Returns the length of a string whose codes are whole. `None` means that they are damaged.
fn string_len<C: Coder>(coder: C, codes: &[u8]) -> Option<usize> {
    let is_whole = codes.len().is_multiple_of(C::CODE_BYTES);
    coder.decoded_len(codes).filter(|&len| is_whole && len <= MAX_VALUE_LEN)
}

/// Appends the string of some codes, of which all can be decoded.
fn append<C: Coder>(coder: C, codes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (start, len) = (out.len(), string_len(coder, codes)?);
    // Nothing is appended if the decoder refuses what it has measured, which it does not.
    out.resize(start + len + C::MAX_BYTES_PER_CODE, 0);
    let decoded = coder.decode(codes, &mut out[start..]);
    out.truncate(start + decoded.unwrap_or(0));
    decoded.map(|_| ())
}
