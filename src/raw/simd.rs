//! Byte searches over a node's arrays: one small file per architecture behind these functions, a portable one always.
//!
//! `--cfg memkv_portable` forces the portable file, which the tests do on every machine.

#[cfg(all(target_arch = "x86_64", not(memkv_portable), not(miri)))]
#[path = "simd/sse2.rs"]
mod imp;

#[cfg(all(target_arch = "aarch64", target_endian = "little", not(memkv_portable), not(miri)))]
#[path = "simd/neon.rs"]
mod imp;

#[cfg(not(any(
    all(target_arch = "x86_64", not(memkv_portable), not(miri)),
    all(target_arch = "aarch64", target_endian = "little", not(memkv_portable), not(miri)),
)))]
#[path = "simd/portable.rs"]
mod imp;

#[cfg(test)]
#[path = "simd/portable.rs"]
#[allow(dead_code)]
mod portable;

/// Bytes that a vector load may read from its first: loads begin inside an array and must end inside the payload.
pub(crate) const LANES: usize = 16;

/// The first `j` in `from..n` at which `lcp[j] < m`, or `lcp[j] == m` and `first[j] >= b`; `n` where there is none.
///
/// The arrays are given as the payload they stand in and their offsets.
#[inline(always)]
pub(crate) fn candidate(payload: &[u8], lcp: usize, first: usize, from: usize, n: usize, m: u8, b: u8) -> usize {
    imp::candidate(payload, lcp, first, from, n, m, b)
}

/// The sum of the bytes `from..to` of the array at `at`.
#[inline(always)]
pub(crate) fn sum(payload: &[u8], at: usize, from: usize, to: usize) -> usize {
    imp::sum(payload, at, from, to)
}

/// How many of the first `n` bytes of `words` (little-endian, ascending) are `<= b`.
#[inline(always)]
pub(crate) fn count_le(words: &[u64], n: usize, b: u8) -> usize {
    imp::count_le(words, n, b)
}

/// Asks for the cache line at `ptr`; any address will do.
#[inline(always)]
pub(crate) fn prefetch(ptr: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: (T1) a prefetch reads nothing and accepts every address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(ptr.cast())
    };
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = ptr;
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
        let half = |s: &[u8], i: usize| u64::from(u32::from_le_bytes(s[i..i + 4].try_into().unwrap()));
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
            lcp in proptest::collection::vec(0u8..6, 0..90),
            first in proptest::collection::vec(any::<u8>(), 90),
            from in 0usize..90,
            m in 0u8..7,
            b in any::<u8>(),
        ) {
            let n = lcp.len();
            let from = from.min(n);
            let mut payload = lcp.clone();
            payload.extend_from_slice(&first[..n]);
            payload.extend_from_slice(&[0xEE; LANES]);
            prop_assert_eq!(
                candidate(&payload, 0, n, from, n, m, b),
                portable::candidate(&payload, 0, n, from, n, m, b)
            );
            let to = from + (n - from) / 2;
            prop_assert_eq!(sum(&payload, n, from, to), portable::sum(&payload, n, from, to));
            let mut seps = first.clone();
            seps.sort_unstable();
            seps.dedup();
            seps.truncate(48);
            let count = seps.len();
            seps.resize(48, 0);
            let words: Vec<u64> = seps.chunks(8).map(|c| u64::from_le_bytes(c.try_into().unwrap())).collect();
            let words = &words[..count.div_ceil(8).next_multiple_of(2).max(2)];
            prop_assert_eq!(count_le(words, count, b), portable::count_le(words, count, b));
            prop_assert_eq!(count_le(words, count, b), seps[..count].iter().filter(|&&s| s <= b).count());
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
