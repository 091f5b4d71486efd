//! The treatment of keys that occur several times.

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

/// The treatment of a key that occurs several times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnDuplicate {
    /// Keep the first value.
    First,
    /// Keep the last value.
    Last,
    /// Add the values.
    Sum,
    /// Return an error.
    Error,
}

impl OnDuplicate {
    /// Returns the value of a key that has two.
    pub(super) fn combine(self, key: &[u8], earlier: u64, later: u64) -> Result<u64> {
        match self {
            Self::First => Ok(earlier),
            Self::Last => Ok(later),
            Self::Sum => {
                let sum = earlier.checked_add(later);
                sum.with_context(|| {
                    format!(
                        "the sum of the values of \"{}\" exceeds {}",
                        key.escape_ascii(),
                        u64::MAX
                    )
                })
            }
            Self::Error => bail!("the key \"{}\" is there more than once", key.escape_ascii()),
        }
    }
}
