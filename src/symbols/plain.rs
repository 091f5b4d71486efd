//! Bytes that stand for themselves.

use super::coder::Coder;
use crate::tree::common_prefix;
use std::cmp::Ordering;

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
