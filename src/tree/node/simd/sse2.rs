//! The searches with SSE2, which every x86-64 has.

use super::lanes::{Candidates, LANES};
use std::arch::x86_64::*;

/// The vector that begins at `LANES - k` has ones in the lanes before `k`.
static BEFORE: [u8; 2 * LANES] = {
    let mut table = [0; 2 * LANES];
    let mut i = 0;
    while i < LANES {
        table[i] = 0xFF;
        i += 1;
    }
    table
};

/// The bytes of a vector.
const VECTOR_BYTES: usize = 16;

#[inline(always)]
fn load(bytes: &[u8], at: usize) -> __m128i {
    debug_assert!(at + VECTOR_BYTES <= bytes.len());
    // SAFETY: (L1) a node's payload reaches `LANES` bytes past the start of every array element.
    unsafe { _mm_loadu_si128(bytes.as_ptr().add(at).cast()) }
}

#[inline(always)]
pub(super) fn candidates(payload: &[u8], lcp: usize, first: usize, m: u8, b: u8) -> Candidates {
    let (l, f) = (load(payload, lcp), load(payload, first));
    // SAFETY: (T2) SSE2 is part of the target.
    unsafe {
        let (vm, vb) = (_mm_set1_epi8(m.cast_signed()), _mm_set1_epi8(b.cast_signed()));
        let not_less = _mm_cmpeq_epi8(_mm_max_epu8(l, vm), l);
        let equal = _mm_cmpeq_epi8(l, vm);
        let at_least = _mm_cmpeq_epi8(_mm_max_epu8(f, vb), f);
        // A lane misses if it is not less, and not both equal and at least. Equal lanes are not
        // less.
        let misses = _mm_movemask_epi8(_mm_andnot_si128(_mm_and_si128(equal, at_least), not_less));
        let exact = _mm_movemask_epi8(_mm_and_si128(equal, _mm_cmpeq_epi8(f, vb)));
        Candidates { any: u64::from(!misses as u16), exact: exact as u64 }
    }
}

#[inline(always)]
pub(super) fn sum(payload: &[u8], at: usize, n: usize) -> usize {
    // SAFETY: (T2) SSE2 is part of the target.
    unsafe {
        let zero = _mm_setzero_si128();
        let mut total = zero;
        for i in 0..LANES / VECTOR_BYTES {
            let lanes = _mm_and_si128(
                load(payload, at + VECTOR_BYTES * i),
                load(&BEFORE, LANES - n + VECTOR_BYTES * i),
            );
            total = _mm_add_epi64(total, _mm_sad_epu8(lanes, zero));
        }
        let high = _mm_unpackhi_epi64(total, total);
        _mm_cvtsi128_si32(_mm_add_epi64(total, high)) as usize
    }
}

#[inline(always)]
pub(super) fn equal(a: &[u8], at: usize, b: &[u8], bt: usize) -> u16 {
    // SAFETY: (T2) SSE2 is part of the target.
    unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(load(a, at), load(b, bt))) as u16 }
}
