//! The values of the map that grows.

use crate::bench::row::value_of;
use memkv::Value;

/// A value of the map, which the number of its key determines.
pub(super) trait GrowValue: Value + PartialEq + Send + Sync {
    /// Returns the value of key `i`.
    fn of(i: u64) -> Self;
}

impl GrowValue for u64 {
    fn of(i: u64) -> Self {
        value_of(i as usize)
    }
}

impl GrowValue for u32 {
    fn of(i: u64) -> Self {
        value_of(i as usize) as u32
    }
}

impl GrowValue for () {
    fn of(_: u64) -> Self {}
}
