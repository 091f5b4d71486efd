//! What the maps have in common: one type or function for all of them.
//!
//! * `pinned`: the handle of a shared map.
//! * `points`: point operations of shared maps to small values, made of two changes of one key.

#![forbid(unsafe_code)]

mod pinned;
pub(crate) mod points;

pub(crate) use pinned::{Lasting, Renewed};
pub use pinned::{Pinnable, Pinned};
