//! Operations of shared maps on many keys, made of scans and of changes of one key.
//!
//! Each map documents its operations where it has them, and passes its scans and changes here. A
//! scan sees the changes of its own thread, so it may go on after each.

use super::range::{Ends, OwnedEnds, Range};

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
