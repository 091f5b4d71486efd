//! The codecs.

#![forbid(unsafe_code)]

use super::{fst, packed};

/// How keys are encoded.
///
/// ```
/// use memkv::{Codec, FrozenOptions};
///
/// let layer = FrozenOptions::new().codec(Codec::Fst).from_sorted(&[("a", 1), ("b", 2)])?;
/// assert_eq!(layer.get("b"), Some(2));
/// # Ok::<(), memkv::FrozenError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Codec {
    /// Front-coded blocks in a static B+-tree, with symbols: the smallest and the fastest.
    #[default]
    Packed = 0,
    /// A finite-state transducer of the `fst` crate for each chunk. Larger and slower, but [`FrozenLayer::search`](crate::FrozenLayer::search)
    /// walks transducers and automaton together: where the automaton excludes most of what it sees, it finds the rest sooner.
    Fst = 1,
}

impl Codec {
    /// Keys that are decoded together.
    #[inline(always)]
    pub(crate) fn keys_per_block(self) -> usize {
        match self {
            Codec::Packed => packed::KEYS_PER_BLOCK,
            Codec::Fst => fst::KEYS_PER_BLOCK,
        }
    }
}
