//! The searches with NEON, which every little-endian AArch64 has.

use super::LANES;
use std::arch::aarch64::*;

#[inline(always)]
fn load(bytes: &[u8], at: usize) -> uint8x16_t {
    debug_assert!(at + LANES <= bytes.len());
    // SAFETY: (L1) a leaf's payload reaches `LANES` bytes past the start of every array element.
    unsafe { vld1q_u8(bytes.as_ptr().add(at)) }
}

/// Four bits a lane, the first lane lowest.
#[inline(always)]
fn mask(lanes: uint8x16_t) -> u64 {
    // SAFETY: (T2) NEON is part of the target.
    unsafe { vget_lane_u64::<0>(vreinterpret_u64_u8(vshrn_n_u16::<4>(vreinterpretq_u16_u8(lanes)))) }
}

#[inline(always)]
pub(super) fn candidate(payload: &[u8], lcp: usize, first: usize, from: usize, n: usize, m: u8, b: u8) -> usize {
    let mut i = from;
    while i < n {
        let (l, f) = (load(payload, lcp + i), load(payload, first + i));
        // SAFETY: (T2) NEON is part of the target.
        let hits = mask(unsafe {
            let (vm, vb) = (vdupq_n_u8(m), vdupq_n_u8(b));
            vorrq_u8(vcltq_u8(l, vm), vandq_u8(vceqq_u8(l, vm), vcgeq_u8(f, vb)))
        });
        if hits != 0 {
            return (i + (hits.trailing_zeros() / 4) as usize).min(n);
        }
        i += LANES;
    }
    n
}

#[inline(always)]
pub(super) fn sum(payload: &[u8], at: usize, from: usize, to: usize) -> usize {
    let mut total = 0;
    let mut i = from;
    while i + LANES <= to {
        // SAFETY: (T2) NEON is part of the target.
        total += usize::from(unsafe { vaddlvq_u8(load(payload, at + i)) });
        i += LANES;
    }
    while i < to {
        total += usize::from(payload[at + i]);
        i += 1;
    }
    total
}

#[inline(always)]
pub(super) fn count_le(words: &[u64], n: usize, b: u8) -> usize {
    let mut count = 0;
    let mut i = 0;
    while i < n {
        // SAFETY: (T2) NEON is part of the target.
        let le = mask(unsafe {
            let s = vreinterpretq_u8_u64(vcombine_u64(vcreate_u64(words[i / 8]), vcreate_u64(words[i / 8 + 1])));
            vcleq_u8(s, vdupq_n_u8(b))
        });
        let lanes = if n - i >= LANES { u64::MAX } else { (1u64 << (4 * (n - i))) - 1 };
        count += (le & lanes).count_ones() as usize / 4;
        i += LANES;
    }
    count
}
