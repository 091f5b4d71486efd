//! Byte searches over a node's arrays, with one small file for each architecture and a portable
//! one.
//!
//! `--cfg memkv_portable` forces the portable file, which the tests do on every machine.

mod lanes;
#[cfg(all(target_arch = "aarch64", target_endian = "little", not(memkv_portable), not(miri)))]
mod neon;
mod place;
#[cfg(any(
    test,
    not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little"))),
    memkv_portable,
    miri
))]
mod portable;
#[cfg(all(target_arch = "x86_64", not(memkv_portable), not(miri)))]
mod sse2;

pub(crate) use crate::pool::prefetch;
pub(crate) use lanes::{COMPARED_BYTES, Candidates, LANES};
#[cfg(all(target_arch = "aarch64", target_endian = "little", not(memkv_portable), not(miri)))]
use neon as imp;
#[cfg(all(target_arch = "x86_64", not(memkv_portable), not(miri)))]
pub(crate) use place::{ByAvx2, has_avx2};
pub(crate) use place::{ByWords, Compare};
#[cfg(any(
    not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little"))),
    memkv_portable,
    miri
))]
use portable as imp;
#[cfg(all(target_arch = "x86_64", not(memkv_portable), not(miri)))]
use sse2 as imp;

/// Compares the `LANES` entries whose lcps begin at `lcp` and whose first bytes begin at `first`.
#[inline(always)]
pub(crate) fn candidates(payload: &[u8], lcp: usize, first: usize, m: u8, b: u8) -> Candidates {
    imp::candidates(payload, lcp, first, m, b)
}

/// Returns `true` if the `n` bytes before `a[end]` equal the last `n` of `b`.
#[inline(always)]
pub(crate) fn same_end(a: &[u8], end: usize, b: &[u8], n: usize) -> bool {
    if n <= COMPARED_BYTES && end >= COMPARED_BYTES && b.len() >= COMPARED_BYTES {
        return imp::equal(a, end - COMPARED_BYTES, b, b.len() - COMPARED_BYTES).leading_ones()
            as usize
            >= n;
    }
    a[end - n..end] == b[b.len() - n..]
}

/// Returns the sum of `n` bytes at `at`; `n` is at most `LANES`.
#[inline(always)]
pub(crate) fn sum(payload: &[u8], at: usize, n: usize) -> usize {
    imp::sum(payload, at, n)
}

/// Returns the [`candidates`] at unchecked positions, or `None` if they are outside the payload.
#[cfg(feature = "storage")]
#[inline(always)]
pub(crate) fn checked_candidates(
    payload: &[u8],
    lcp: usize,
    first: usize,
    m: u8,
    b: u8,
) -> Option<u64> {
    let inside = payload.len().checked_sub(LANES).is_some_and(|most| lcp <= most && first <= most);
    inside.then(|| candidates(payload, lcp, first, m, b).any)
}

/// Returns the [`sum`] at an unchecked position, or `None` if it is outside the payload or `n` is
/// too large.
#[cfg(feature = "storage")]
#[inline(always)]
pub(crate) fn checked_sum(payload: &[u8], at: usize, n: usize) -> Option<usize> {
    let inside = payload.len().checked_sub(LANES).is_some_and(|most| at <= most) && n <= LANES;
    inside.then(|| sum(payload, at, n))
}

/// Returns the sum of any number of bytes at `at`.
#[inline(always)]
pub(crate) fn long_sum(payload: &[u8], mut at: usize, mut n: usize) -> usize {
    let mut total = 0;
    while n > LANES {
        total += sum(payload, at, LANES);
        at += LANES;
        n -= LANES;
    }
    total + sum(payload, at, n)
}

/// Returns how many of the first bytes of `a[at..]` and `b[bt..]` are equal, and how many were
/// compared: `COMPARED_BYTES`, or if `b` has fewer, these. `None` if that needs bytes outside of
/// `a` or `b`.
#[inline(always)]
pub(crate) fn common_window(a: &[u8], at: usize, b: &[u8], bt: usize) -> Option<(usize, usize)> {
    // Near its end the vector begins earlier.
    let start = bt.min(b.len().checked_sub(COMPARED_BYTES)?);
    let early = bt - start;
    let from = at.checked_sub(early)?;
    if from + COMPARED_BYTES > a.len() {
        return None;
    }
    let differ = u32::from(!imp::equal(a, from, b, start)) >> early | 1 << (COMPARED_BYTES - early);
    Some((differ.trailing_zeros() as usize, COMPARED_BYTES - early))
}

/// Returns the length of the longest common prefix.
#[inline(always)]
pub(crate) fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let n = a.len().min(b.len());
    let word = |s: &[u8], i: usize| u64::from_le_bytes(s[i..i + 8].try_into().unwrap());
    if n >= 8 {
        let mut i = 0;
        while i + 8 <= n {
            let x = word(a, i) ^ word(b, i);
            if x != 0 {
                return i + (x.trailing_zeros() / 8) as usize;
            }
            i += 8;
        }
        if i == n {
            return n;
        }
        // The last word overlaps the one before, which was equal.
        let x = word(a, n - 8) ^ word(b, n - 8);
        return if x == 0 { n } else { n - 8 + (x.trailing_zeros() / 8) as usize };
    }
    if n >= 4 {
        let half =
            |s: &[u8], i: usize| u64::from(u32::from_le_bytes(s[i..i + 4].try_into().unwrap()));
        let x = half(a, 0) ^ half(b, 0);
        if x != 0 {
            return (x.trailing_zeros() / 8) as usize;
        }
        let x = half(a, n - 4) ^ half(b, n - 4);
        return if x == 0 { n } else { n - 4 + (x.trailing_zeros() / 8) as usize };
    }
    let mut i = 0;
    while i < n && a[i] == b[i] {
        i += 1;
    }
    i
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn vector_and_portable_agree(
            lcp in proptest::collection::vec(0u8..6, LANES),
            first in proptest::collection::vec(any::<u8>(), LANES),
            n in 0..=LANES,
            m in 0u8..7,
            b in any::<u8>(),
        ) {
            let payload = [&lcp[..], &first].concat();
            let plain = portable::candidates(&payload, 0, LANES, m, b);
            prop_assert_eq!(candidates(&payload, 0, LANES, m, b), plain);
            prop_assert_eq!(sum(&payload, LANES, n), portable::sum(&payload, LANES, n));
            let plain = portable::equal(&payload, n, &lcp, 0);
            prop_assert_eq!(imp::equal(&payload, n, &lcp, 0), plain);
        }

        #[test]
        fn windows_are_compared_as_far_as_they_reach(
            a in proptest::collection::vec(0u8..2, 0..60),
            b in proptest::collection::vec(0u8..2, 0..60),
            at in 0usize..60,
            bt in 0usize..60,
        ) {
            let (at, bt) = (at.min(a.len()), bt.min(b.len()));
            if let Some((shared, compared)) = common_window(&a, at, &b, bt) {
                prop_assert_eq!(compared, COMPARED_BYTES.min(b.len() - bt));
                prop_assert_eq!(shared, common_prefix(&a[at..], &b[bt..]).min(compared));
            } else {
                prop_assert!(b.len() < 16 || a.len() < at + 16 || at < 16);
            }
        }

        #[test]
        fn common_prefix_is_the_longest(
            a in proptest::collection::vec(0u8..2, 0..40),
            b in proptest::collection::vec(0u8..2, 0..40),
            same in 0usize..40,
        ) {
            let mut b = b;
            let same = same.min(a.len());
            b.splice(0..0, a[..same].iter().copied());
            let want = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
            prop_assert_eq!(common_prefix(&a, &b), want);
        }
    }
}
