//! The searches in plain Rust: for every architecture without a file of its own, and the yardstick for those.

pub(super) fn candidate(payload: &[u8], lcp: usize, first: usize, from: usize, n: usize, m: u8, b: u8) -> usize {
    let (lcp, first) = (&payload[lcp..lcp + n], &payload[first..first + n]);
    (from..n).find(|&j| lcp[j] < m || (lcp[j] == m && first[j] >= b)).unwrap_or(n)
}

pub(super) fn sum(payload: &[u8], at: usize, from: usize, to: usize) -> usize {
    payload[at + from..at + to].iter().map(|&len| usize::from(len)).sum()
}

pub(super) fn count_le(words: &[u64], n: usize, b: u8) -> usize {
    words.iter().flat_map(|w| w.to_le_bytes()).take(n).filter(|&s| s <= b).count()
}
