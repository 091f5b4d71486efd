//! The searches with NEON, which every little-endian AArch64 has.

use super::lanes::Candidates;
use std::arch::aarch64::*;

/// The bytes of a vector.
const VECTOR_BYTES: usize = 16;

#[inline(always)]
fn load(bytes: &[u8], at: usize) -> uint8x16_t {
    debug_assert!(at + VECTOR_BYTES <= bytes.len());
    // SAFETY: (L1) a node's payload reaches `LANES` bytes past the start of every array element.
    unsafe { vld1q_u8(bytes.as_ptr().add(at)) }
}

/// Returns a bit for each lane, the first lane lowest. Lanes are all ones or all zeros.
#[inline(always)]
fn mask(lanes: uint8x16_t) -> u64 {
    const BITS: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];
    // SAFETY: (T2) NEON is part of the target.
    unsafe {
        let bits = vandq_u8(lanes, load(&BITS, 0));
        u64::from(vaddv_u8(vget_low_u8(bits))) | u64::from(vaddv_u8(vget_high_u8(bits))) << 8
    }
}

#[inline(always)]
pub(super) fn candidates(payload: &[u8], lcp: usize, first: usize, m: u8, b: u8) -> Candidates {
    let (l, f) = (load(payload, lcp), load(payload, first));
    // SAFETY: (T2) NEON is part of the target.
    unsafe {
        let (vm, vb) = (vdupq_n_u8(m), vdupq_n_u8(b));
        let equal = vceqq_u8(l, vm);
        let any = vorrq_u8(vcltq_u8(l, vm), vandq_u8(equal, vcgeq_u8(f, vb)));
        Candidates { any: mask(any), exact: mask(vandq_u8(equal, vceqq_u8(f, vb))) }
    }
}

#[inline(always)]
pub(super) fn sum(payload: &[u8], at: usize, n: usize) -> usize {
    let mut total = 0;
    let mut i = 0;
    while i + VECTOR_BYTES <= n {
        // SAFETY: (T2) NEON is part of the target.
        total += usize::from(unsafe { vaddlvq_u8(load(payload, at + i)) });
        i += VECTOR_BYTES;
    }
    total + payload[at + i..at + n].iter().map(|&len| usize::from(len)).sum::<usize>()
}

#[inline(always)]
pub(super) fn equal(a: &[u8], at: usize, b: &[u8], bt: usize) -> u16 {
    // SAFETY: (T2) NEON is part of the target.
    mask(unsafe { vceqq_u8(load(a, at), load(b, bt)) }) as u16
}
