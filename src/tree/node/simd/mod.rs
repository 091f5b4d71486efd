//! Byte searches over a node's arrays: one small file per architecture behind these functions, a portable one always.
//!
//! `--cfg memkv_portable` forces the portable file, which the tests do on every machine.

#[cfg(all(target_arch = "x86_64", not(memkv_portable), not(miri)))]
#[path = "sse2.rs"]
mod imp;

#[cfg(all(target_arch = "aarch64", target_endian = "little", not(memkv_portable), not(miri)))]
#[path = "neon.rs"]
mod imp;

#[cfg(not(any(
    all(target_arch = "x86_64", not(memkv_portable), not(miri)),
    all(target_arch = "aarch64", target_endian = "little", not(memkv_portable), not(miri)),
)))]
#[path = "portable.rs"]
mod imp;

#[cfg(test)]
#[path = "portable.rs"]
#[allow(dead_code)]
mod portable;

pub(crate) use crate::pool::prefetch;

/// Entries that are searched together, and bytes that the search may read from the first of them: all of it must be payload.
pub(crate) const LANES: usize = 16;
/// Bytes that [`shared`] compares.
pub(crate) const CHUNK: usize = 16;

/// Which of a block's lanes a search may end at, bit by bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hits {
    /// Those with `lcp < m`, or `lcp == m` and `first >= b`.
    pub(crate) any: u64,
    /// Those with `lcp == m` and `first == b`.
    pub(crate) exact: u64,
}

/// Compares the `LANES` entries whose lcps begin at `lcp` and first bytes at `first`.
#[inline(always)]
pub(crate) fn candidates(payload: &[u8], lcp: usize, first: usize, m: u8, b: u8) -> Hits {
    imp::candidates(payload, lcp, first, m, b)
}

/// Whether the `n` bytes before `a[end]` are the last `n` of `b`.
#[inline(always)]
pub(crate) fn same_end(a: &[u8], end: usize, b: &[u8], n: usize) -> bool {
    if n <= CHUNK && end >= CHUNK && b.len() >= CHUNK {
        return imp::equal(a, end - CHUNK, b, b.len() - CHUNK).leading_ones() as usize >= n;
    }
    a[end - n..end] == b[b.len() - n..]
}

/// The sum of the `n` bytes, `LANES` at most, at `at`.
#[inline(always)]
pub(crate) fn sum(payload: &[u8], at: usize, n: usize) -> usize {
    imp::sum(payload, at, n)
}

/// [`candidates`] of places that may be anything: nothing where they are not inside the payload.
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

/// [`sum`] of a place that may be anything: nothing where it is not inside the payload, or there are too many bytes.
#[cfg(feature = "storage")]
#[inline(always)]
pub(crate) fn checked_sum(payload: &[u8], at: usize, n: usize) -> Option<usize> {
    let inside = payload.len().checked_sub(LANES).is_some_and(|most| at <= most) && n <= LANES;
    inside.then(|| sum(payload, at, n))
}

/// The sum of any number of bytes at `at`.
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

/// How many of the `CHUNK` bytes at `a[at..]` and `b[bt..]` are equal before the first that differ.
#[inline(always)]
pub(crate) fn shared(a: &[u8], at: usize, b: &[u8], bt: usize) -> usize {
    (!imp::equal(a, at, b, bt)).trailing_zeros().min(CHUNK as u32) as usize
}

/// Length of the longest common prefix.
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
            prop_assert_eq!(candidates(&payload, 0, LANES, m, b), portable::candidates(&payload, 0, LANES, m, b));
            prop_assert_eq!(sum(&payload, LANES, n), portable::sum(&payload, LANES, n));
            prop_assert_eq!(imp::equal(&payload, n, &lcp, 0), portable::equal(&payload, n, &lcp, 0));
        }

        #[test]
        fn common_prefix_is_the_longest(a in proptest::collection::vec(0u8..2, 0..40), b in proptest::collection::vec(0u8..2, 0..40), same in 0usize..40) {
            let mut b = b;
            let same = same.min(a.len());
            b.splice(0..0, a[..same].iter().copied());
            let want = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
            prop_assert_eq!(common_prefix(&a, &b), want);
        }
    }
}
