//! The searches in plain Rust: for every architecture without a file of its own, and the yardstick for those.

use super::LANES;

pub(super) fn candidates(payload: &[u8], lcp: usize, first: usize, m: u8, b: u8) -> u64 {
    let (lcp, first) = (&payload[lcp..lcp + LANES], &payload[first..first + LANES]);
    let hit = |j: usize| lcp[j] < m || (lcp[j] == m && first[j] >= b);
    (0..LANES).fold(0, |hits, j| hits | u64::from(hit(j)) << j)
}

pub(super) fn sum(payload: &[u8], at: usize, n: usize) -> usize {
    payload[at..at + n].iter().map(|&len| usize::from(len)).sum()
}

pub(super) fn shared(a: &[u8], at: usize, b: &[u8], bt: usize) -> usize {
    (0..super::CHUNK).take_while(|&i| a[at + i] == b[bt + i]).count()
}
