//! The searches with NEON, which every little-endian AArch64 has.

use super::LANES;
use std::arch::aarch64::*;

/// Bytes of a vector.
const WIDTH: usize = 16;

#[inline(always)]
fn load(bytes: &[u8], at: usize) -> uint8x16_t {
    debug_assert!(at + WIDTH <= bytes.len());
    // SAFETY: (L1) a node's payload reaches `LANES` bytes past the start of every array element.
    unsafe { vld1q_u8(bytes.as_ptr().add(at)) }
}

/// A bit a lane, the first lane lowest; lanes are all ones or all zeros.
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
pub(super) fn candidates(payload: &[u8], lcp: usize, first: usize, m: u8, b: u8) -> u64 {
    let mut hits = 0;
    for i in 0..LANES / WIDTH {
        let (l, f) = (load(payload, lcp + WIDTH * i), load(payload, first + WIDTH * i));
        // SAFETY: (T2) NEON is part of the target.
        let lanes = unsafe {
            let (vm, vb) = (vdupq_n_u8(m), vdupq_n_u8(b));
            vorrq_u8(vcltq_u8(l, vm), vandq_u8(vceqq_u8(l, vm), vcgeq_u8(f, vb)))
        };
        hits |= mask(lanes) << (WIDTH * i);
    }
    hits
}

#[inline(always)]
pub(super) fn sum(payload: &[u8], at: usize, n: usize) -> usize {
    let mut total = 0;
    let mut i = 0;
    while i + WIDTH <= n {
        // SAFETY: (T2) NEON is part of the target.
        total += usize::from(unsafe { vaddlvq_u8(load(payload, at + i)) });
        i += WIDTH;
    }
    total + payload[at + i..at + n].iter().map(|&len| usize::from(len)).sum::<usize>()
}

#[inline(always)]
pub(super) fn shared(a: &[u8], at: usize, b: &[u8], bt: usize) -> usize {
    // SAFETY: (T2) NEON is part of the target.
    let equal = mask(unsafe { vceqq_u8(load(a, at), load(b, bt)) });
    (!equal).trailing_zeros() as usize
}
