//! Numbers of seven bits a byte, the least significant first. The high bit is set if more follow.

/// Bytes of the longest number.
pub(super) const MAX_VARINT_BYTES: usize = 10;

/// Appends a number.
#[inline]
pub(super) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Returns the number at the beginning of some bytes and steps over it, or `None` if there is none.
#[inline]
pub(super) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let (&first, mut rest) = bytes.split_first()?;
    let mut number = u64::from(first & 0x7F);
    let (mut last, mut shift) = (first, 7);
    while last >= 0x80 {
        let (&byte, after) = rest.split_first()?;
        number |= u64::from(byte & 0x7F).checked_shl(shift)?;
        (last, rest, shift) = (byte, after, shift + 7);
    }
    *bytes = rest;
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::{MAX_VARINT_BYTES, put, take};

    #[test]
    fn numbers_come_back() {
        for number in (0..64).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, u64::MAX >> bit]) {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            assert!(bytes.len() <= MAX_VARINT_BYTES);
            bytes.push(7);
            let mut input = &bytes[..];
            assert_eq!(take(&mut input), Some(number));
            assert_eq!(input, [7]);
        }
        for broken in [&[][..], &[0x80; 3], &[0xFF; 11]] {
            assert_eq!(take(&mut &*broken), None);
        }
    }
}
