//! The values of a chunk: each as its difference to the least value, in as few bits as the greatest
//! difference needs.
//!
//! Value `i` begins at bit `i * width`, counted from the least significant bit of the first byte.
//! Zeros follow the last value.

use crate::words::{u64_at, u128_at};

/// Zero bytes after the last value, so that each can be read as a part of a wide word.
const VALUE_PADDING_BYTES: usize = 16;

/// The least value, and the number of bits of each difference to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ValueLayout {
    pub(crate) base: u64,
    pub(crate) width: u8,
}

impl ValueLayout {
    /// Returns the layout of values that all are `base`.
    pub(crate) fn constant(base: u64) -> Self {
        ValueLayout { base, width: 0 }
    }

    pub(crate) fn of(values: &[u64]) -> Self {
        let (base, most) =
            (values.iter().min().copied().unwrap_or(0), values.iter().max().copied().unwrap_or(0));
        ValueLayout { base, width: (64 - (most - base).leading_zeros()) as u8 }
    }

    /// Returns the bytes that `count` values take.
    pub(crate) fn bytes(self, count: usize) -> usize {
        if self.width == 0 {
            0
        } else {
            (count * usize::from(self.width)).div_ceil(8) + VALUE_PADDING_BYTES
        }
    }
}

/// Appends the values.
pub(crate) fn write(values: &[u64], layout: ValueLayout, out: &mut Vec<u8>) {
    if layout.width == 0 {
        return;
    }
    let end = out.len() + layout.bytes(values.len());
    // The bits that do not fill a byte yet.
    let (mut word, mut bits) = (0u128, 0);
    for value in values {
        word |= u128::from(value - layout.base) << bits;
        bits += u32::from(layout.width);
        let whole = bits as usize / 8;
        out.extend_from_slice(&word.to_le_bytes()[..whole]);
        word >>= 8 * whole;
        bits %= 8;
    }
    if bits > 0 {
        out.push(word as u8);
    }
    out.resize(end, 0);
}

/// Returns value `i`.
#[inline(always)]
pub(crate) fn read(values: &[u8], layout: ValueLayout, i: usize) -> Option<u64> {
    let width = usize::from(layout.width);
    if width == 0 {
        return Some(layout.base);
    }
    // A damaged chunk may have any position.
    let bit = i.wrapping_mul(width);
    let (at, shift) = (bit / 8, bit % 8);
    let word = if width <= 57 {
        u64_at(values, at)? >> shift
    } else {
        (u128_at(values, at)? >> shift) as u64
    };
    Some(layout.base.wrapping_add(word & u64::MAX >> (64 - width)))
}

/// Returns the first byte of value `i`, for a prefetch.
#[inline(always)]
pub(crate) fn first_byte(values: &[u8], layout: ValueLayout, i: usize) -> Option<&u8> {
    // A damaged chunk may have any position.
    values.get(i.wrapping_mul(layout.width.into()) / 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_come_back(
            values in proptest::collection::vec(any::<u64>(), 0..40),
            shift in 0u32..64,
            base in any::<u64>(),
        ) {
            let values: Vec<u64> =
                values.iter().map(|v| (v >> shift).saturating_add(base >> 1)).collect();
            let layout = ValueLayout::of(&values);
            let mut out = vec![7];
            write(&values, layout, &mut out);
            prop_assert_eq!(out.len() - 1, layout.bytes(values.len()));
            for (i, &value) in values.iter().enumerate() {
                prop_assert_eq!(read(&out[1..], layout, i), Some(value));
            }
        }
    }
}
