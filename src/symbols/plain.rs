//! Bytes that stand for themselves.

use super::coder::Coder;
use crate::words::u64_at;
use std::cmp::Ordering;

/// Bytes that stand for themselves.
#[derive(Clone, Copy)]
pub(crate) struct Plain;

impl Coder for Plain {
    const CODE_BYTES: usize = 1;

    #[inline(always)]
    fn compare(self, code: &[u8], key: &[u8]) -> (usize, Ordering) {
        let mut shared = 0;
        while let Some((a, b)) = u64_at(code, shared).zip(u64_at(key, shared))
            && a == b
        {
            shared += size_of::<u64>();
        }
        let left = code[shared..].iter().zip(&key[shared..]);
        shared += left.take_while(|(a, b)| a == b).count();
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
