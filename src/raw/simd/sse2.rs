//! The searches with SSE2, which every x86-64 has.

use super::LANES;
use std::arch::x86_64::*;

/// Lanes before `k` are all ones in the vector that begins at `16 - k`.
static BEFORE: [u8; 2 * LANES] = {
    let mut table = [0; 2 * LANES];
    let mut i = 0;
    while i < LANES {
        table[i] = 0xFF;
        i += 1;
    }
    table
};

#[inline(always)]
fn load(bytes: &[u8], at: usize) -> __m128i {
    debug_assert!(at + LANES <= bytes.len());
    // SAFETY: (L1) a leaf's payload reaches `LANES` bytes past the start of every array element.
    unsafe { _mm_loadu_si128(bytes.as_ptr().add(at).cast()) }
}

#[inline(always)]
pub(super) fn candidate(payload: &[u8], lcp: usize, first: usize, from: usize, n: usize, m: u8, b: u8) -> usize {
    let mut i = from;
    while i < n {
        let (l, f) = (load(payload, lcp + i), load(payload, first + i));
        // SAFETY: (T2) SSE2 is part of the target.
        let hits = unsafe {
            let (vm, vb) = (_mm_set1_epi8(m.cast_signed()), _mm_set1_epi8(b.cast_signed()));
            let not_less = _mm_cmpeq_epi8(_mm_max_epu8(l, vm), l);
            let equal = _mm_cmpeq_epi8(l, vm);
            let at_least = _mm_cmpeq_epi8(_mm_max_epu8(f, vb), f);
            // A lane hits unless it is not less, and not both equal and at least; equal lanes are not less.
            let miss = _mm_andnot_si128(_mm_and_si128(equal, at_least), not_less);
            !_mm_movemask_epi8(miss) & 0xFFFF
        };
        if hits != 0 {
            return (i + hits.trailing_zeros() as usize).min(n);
        }
        i += LANES;
    }
    n
}

#[inline(always)]
pub(super) fn sum(payload: &[u8], at: usize, from: usize, to: usize) -> usize {
    // SAFETY: (T2) SSE2 is part of the target.
    unsafe {
        let zero = _mm_setzero_si128();
        let mut total = zero;
        let mut i = from;
        while i + LANES <= to {
            total = _mm_add_epi64(total, _mm_sad_epu8(load(payload, at + i), zero));
            i += LANES;
        }
        if i < to {
            let lanes = _mm_and_si128(load(payload, at + i), load(&BEFORE, LANES - (to - i)));
            total = _mm_add_epi64(total, _mm_sad_epu8(lanes, zero));
        }
        let high = _mm_unpackhi_epi64(total, total);
        _mm_cvtsi128_si64(_mm_add_epi64(total, high)) as usize
    }
}

#[inline(always)]
pub(super) fn count_le(words: &[u64], n: usize, b: u8) -> usize {
    let mut count = 0;
    let mut i = 0;
    while i < n {
        // SAFETY: (T2) SSE2 is part of the target.
        let le = unsafe {
            let s = _mm_set_epi64x(words[i / 8 + 1].cast_signed(), words[i / 8].cast_signed());
            _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(s, _mm_set1_epi8(b.cast_signed())), s)) as u32
        };
        let lanes = if n - i >= LANES { 0xFFFF } else { (1u32 << (n - i)) - 1 };
        count += (le & lanes).count_ones() as usize;
        i += LANES;
    }
    count
}
