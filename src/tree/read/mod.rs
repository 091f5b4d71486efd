//! Reads of the tree: lookups, scans, keys that divide it, and the check of its invariants.

mod check;
pub(crate) mod cursor;
pub(crate) mod get;
#[cfg(all(feature = "rayon", not(loom)))]
mod split_points;
