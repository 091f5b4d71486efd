//! The size of a search step, and its result.

/// The entries that are searched together. A search reads as many bytes from the first of them on,
/// all of which must be payload.
pub(crate) const LANES: usize = 16;
/// The bytes that [`common_bytes`](super::common_bytes) compares.
pub(crate) const COMPARED_BYTES: usize = 16;

/// The lanes of a block at which a search may end, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidates {
    /// Lanes with `lcp < m`, or `lcp == m` and `first >= b`.
    pub(crate) any: u64,
    /// Lanes with `lcp == m` and `first == b`.
    pub(crate) exact: u64,
}
