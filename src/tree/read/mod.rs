//! Reads of the tree.
//!
//! * `get`: lookups of one key and of many.
//! * `cursor`: scans in both directions.
//! * `prefixes`: the stored keys that are prefixes of another.
//! * `split_points`: keys that divide a tree for parallel work.
//! * `check`: the check of the tree's invariants.

mod check;
pub(crate) mod cursor;
pub(crate) mod get;
pub(crate) mod prefixes;
#[cfg(feature = "parallel")]
mod split_points;
