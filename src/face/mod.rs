//! What all maps have in common: one cursor, one range, one handle.
//!
//! * [`Cursor`]: a position between two keys, over a [`Walk`].
//! * [`Range`]: an iterator over a range of keys, over two [`Ends`]. [`Keys`] and [`Values`] yield
//!   one of the two.
//! * `ParIter`: a parallel iterator over all keys, of maps that divide into ranges.
//! * [`Pinned`]: the handle of a shared map.
//!
//! Each map names its own by a type alias, such as
//! [`concurrent::Cursor`](crate::concurrent::Cursor), whose page has what differs.

#![forbid(unsafe_code)]

mod cursor;
mod keys;
pub(crate) mod many;
#[cfg(feature = "parallel")]
mod parallel;
mod pinned;
pub(crate) mod points;
mod range;
mod shared;

pub use cursor::{Cursor, Walk};
pub use keys::{Keys, Values};
#[cfg(feature = "parallel")]
pub(crate) use parallel::parallel_iterators;
#[cfg(feature = "storage")]
pub(crate) use parallel::span;
#[cfg(feature = "parallel")]
pub use parallel::{Divide, ParIter};
pub use pinned::{Hold, Pinnable, Pinned};
pub(crate) use pinned::{Lasting, Renewed};
pub(crate) use range::exact_iterators;
pub use range::{Ends, ExactEnds, OwnedEnds, Range};
pub(crate) use shared::ScanEnds;
pub use shared::{SharedEnds, SharedWalk};

/// Keeps other crates from implementing the traits of this module.
pub(crate) mod sealed {
    pub trait Sealed {}
}
