//! Little-endian words in bytes.

#![forbid(unsafe_code)]
#![cfg_attr(not(feature = "storage"), allow(dead_code))]

macro_rules! words {
    ($($name:ident: $t:ty;)*) => {$(
        /// Returns the little-endian word at `at`, or `None` if it is out of bounds.
        #[inline(always)]
        pub(crate) fn $name(bytes: &[u8], at: usize) -> Option<$t> {
            Some(<$t>::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
        }
    )*};
}
words! {
    u32_at: u32;
    u64_at: u64;
    u128_at: u128;
}
