//! What all maps have in common: one cursor, one range, one handle.
//!
//! * [`Cursor`]: a position between two keys, over a [`Walk`].
//! * [`Range`]: an iterator over a range of keys, over two [`Ends`]. [`Keys`] and [`Values`] yield
//!   one of the two.
//! * [`Pinned`]: the handle of a shared map.
//!
//! Each map names its own by a type alias, such as
//! [`concurrent::Cursor`](crate::concurrent::Cursor), whose page has what differs.

#![forbid(unsafe_code)]

mod cursor;
mod keys;
pub(crate) mod many;
mod pinned;
pub(crate) mod points;
mod range;
mod shared;

pub use cursor::{Cursor, Walk};
pub use keys::{Keys, Values};
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
