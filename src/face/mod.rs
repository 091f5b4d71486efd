//! What all maps show of themselves: one cursor and one range.
//!
//! * [`Cursor`]: a position between two keys, over a [`Walk`].
//! * [`Range`]: an iterator over a range of keys, over two [`Ends`].
//! * `shared`: both for maps that other threads may change.
//!
//! Each map names its own by a type alias, such as [`concurrent::Cursor`](crate::concurrent::Cursor),
//! whose page has what differs.

#![forbid(unsafe_code)]

mod cursor;
mod range;
mod shared;

pub use cursor::{Cursor, Walk};
pub use range::{Ends, OwnedEnds, Range};
pub(crate) use shared::ScanEnds;
pub use shared::{SharedEnds, SharedWalk};

/// Keeps other crates from implementing the traits of this module.
pub(crate) mod sealed {
    pub trait Sealed {}
}
