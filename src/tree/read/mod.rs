//! Reads of the tree: lookups, scans, keys that divide it, and the check of its invariants.

mod check;
pub(crate) mod cursor;
pub(crate) mod get;
#[cfg(feature = "storage")]
mod split_points;
