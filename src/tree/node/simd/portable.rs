//! The searches in plain Rust, for architectures without a file of their own, and for comparison.

use super::lanes::{COMPARED_BYTES, Candidates, LANES};

pub(super) fn candidates(payload: &[u8], lcp: usize, first: usize, m: u8, b: u8) -> Candidates {
    let (lcp, first) = (&payload[lcp..lcp + LANES], &payload[first..first + LANES]);
    let lanes =
        |hit: &dyn Fn(usize) -> bool| (0..LANES).fold(0, |found, j| found | u64::from(hit(j)) << j);
    Candidates {
        any: lanes(&|j| lcp[j] < m || (lcp[j] == m && first[j] >= b)),
        exact: lanes(&|j| lcp[j] == m && first[j] == b),
    }
}

pub(super) fn sum(payload: &[u8], at: usize, n: usize) -> usize {
    payload[at..at + n].iter().map(|&len| usize::from(len)).sum()
}

pub(super) fn equal(a: &[u8], at: usize, b: &[u8], bt: usize) -> u16 {
    (0..COMPARED_BYTES).fold(0, |equal, i| equal | u16::from(a[at + i] == b[bt + i]) << i)
}
