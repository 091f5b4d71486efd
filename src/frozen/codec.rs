//! The codecs.

use super::{fst, packed};

/// The encoding of the keys.
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
    /// A finite-state transducer of the `fst` crate for each chunk. Larger and slower for lookups.
    ///
    /// [`FrozenLayer::search`](crate::FrozenLayer::search) walks transducer and automaton together,
    /// which is faster where the automaton excludes most of the keys.
    Fst = 1,
}

impl Codec {
    /// Returns the number of keys that are decoded together.
    #[inline(always)]
    pub(crate) fn keys_per_block(self) -> usize {
        match self {
            Codec::Packed => packed::KEYS_PER_BLOCK,
            Codec::Fst => fst::KEYS_PER_BLOCK,
        }
    }
}
