//! Keys that look like URLs.

/// Returns the `i`-th key, in an order that is not that of the keys.
pub(crate) fn url(i: usize) -> String {
    let i = (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    format!("https://www.host{}.example/path/{}/page-{}.html", i % 997, i / 997 % 89, i >> 24)
}
