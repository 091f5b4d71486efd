//! Operations of shared maps on many keys, made of scans and of changes of one key.
//!
//! Each map documents its operations where it has them, and passes its scans and changes here. A
//! scan sees the changes of its own thread, so it may go on after each.

use super::range::{Ends, OwnedEnds, Range};
use crate::tree::common_prefix;
use std::ops::Bound;

/// Passes the keys of a range to `remove`, and returns how many of them it removed.
///
/// # Errors
/// Returns the first error of `remove`.
pub(crate) fn remove_all<E: Ends, X>(
    mut range: Range<E>,
    mut remove: impl FnMut(&[u8]) -> Result<bool, X>,
) -> Result<usize, X> {
    let mut removed = 0;
    while let Some(key) = range.ends.step_key(false) {
        removed += usize::from(remove(key)?);
    }
    Ok(removed)
}

/// Removes the keys of a range for whose value `keep` returns `false`.
///
/// `remove` removes a key if it has the given value, and returns the value that it has otherwise.
/// `keep` is then called again.
///
/// # Errors
/// Returns the first error of `remove`.
pub(crate) fn retain<E: OwnedEnds<Owned: Copy>, X>(
    mut range: Range<E>,
    mut keep: impl FnMut(&[u8], E::Owned) -> bool,
    mut remove: impl FnMut(&[u8], E::Owned) -> Result<Option<E::Owned>, X>,
) -> Result<(), X> {
    while let Some((key, value)) = range.next_ref() {
        let mut seen = Some(E::own(value));
        while let Some(value) = seen
            && !keep(key, value)
        {
            seen = remove(key, value)?;
        }
    }
    Ok(())
}

/// Returns the stored keys that are prefixes of `key`, with their values, the longest first.
///
/// `last` returns the greatest stored key up to a bound, and its value.
///
/// Each prefix of `key` up to the bound is at most the key found, so it is a prefix of that key
/// too. Unless the key found is itself a prefix of `key`, the search repeats with what the two have
/// in common.
pub(crate) fn prefixes<V>(
    key: &[u8],
    mut last: impl FnMut(Bound<&[u8]>) -> Option<(Vec<u8>, V)>,
) -> impl Iterator<Item = (&[u8], V)> {
    let (mut limit, mut is_included) = (key, true);
    std::iter::from_fn(move || {
        loop {
            let bound = if is_included { Bound::Included(limit) } else { Bound::Excluded(limit) };
            let (found, value) = last(bound)?;
            limit = &limit[..common_prefix(&found, limit)];
            is_included = limit.len() < found.len();
            if !is_included {
                return Some((limit, value));
            }
        }
    })
}

/// Returns what [`prefixes`] does, the shortest first.
pub(crate) fn ascending_prefixes<V>(
    key: &[u8],
    last: impl FnMut(Bound<&[u8]>) -> Option<(Vec<u8>, V)>,
) -> Vec<(&[u8], V)> {
    let mut found: Vec<_> = prefixes(key, last).collect();
    found.reverse();
    found
}
