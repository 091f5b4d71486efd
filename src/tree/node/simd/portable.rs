//! The searches in plain Rust, for architectures without a file of their own, and for comparison.

use super::lanes::{CHUNK, Hits, LANES};

pub(super) fn candidates(payload: &[u8], lcp: usize, first: usize, m: u8, b: u8) -> Hits {
    let (lcp, first) = (&payload[lcp..lcp + LANES], &payload[first..first + LANES]);
    let lanes =
        |hit: &dyn Fn(usize) -> bool| (0..LANES).fold(0, |hits, j| hits | u64::from(hit(j)) << j);
    Hits {
        any: lanes(&|j| lcp[j] < m || (lcp[j] == m && first[j] >= b)),
        exact: lanes(&|j| lcp[j] == m && first[j] == b),
    }
}

pub(super) fn sum(payload: &[u8], at: usize, n: usize) -> usize {
    payload[at..at + n].iter().map(|&len| usize::from(len)).sum()
}

pub(super) fn equal(a: &[u8], at: usize, b: &[u8], bt: usize) -> u16 {
    (0..CHUNK).fold(0, |equal, i| equal | u16::from(a[at + i] == b[bt + i]) << i)
}
