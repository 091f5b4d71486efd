//! Reads of the tree.
//!
//! * `get`: lookups of one key and of many.
//! * `cursor`: scans in both directions. `path`, `key_buf`: its parts. `cursors`: those of trees
//!   with one owner.
//! * `prefixes`: the stored keys that are prefixes of another.
//! * `split_points`: keys that divide a tree for parallel work.
//! * `check`: the check of the tree's invariants.

mod check;
pub(crate) mod cursor;
#[cfg(test)]
mod cursor_tests;
pub(crate) mod cursors;
pub(crate) mod get;
mod key_buf;
mod path;
pub(crate) mod prefixes;
#[cfg(feature = "parallel")]
mod split_points;
