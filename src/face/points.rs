//! Point operations of shared maps to small values, made of two changes of one key.
//!
//! Each map documents its operations where it has them, and passes itself here.

use crate::InsertError;
use crate::error::or_fail;
use crate::tree::{Expected, Outcome};
use crate::value::{Bits, Value};

/// The changes of one key that a map's other operations are made of.
pub(crate) trait Changes<B: Bits> {
    /// Sets the value of `key`, or removes `key` if `new` is `None`, if its value is as expected.
    fn change(
        &self,
        key: &[u8],
        expected: Expected<B>,
        new: Option<B>,
    ) -> Result<Outcome<B>, InsertError>;

    /// Replaces the value of `key` by what `f` makes of it. Returns the values before and after.
    fn try_compute(
        &self,
        key: &[u8],
        f: impl FnMut(Option<B>) -> Option<B>,
    ) -> Result<(Option<B>, Option<B>), InsertError>;
}

/// Sets the value of `key`, or removes `key` if `new` is `None`, and returns the value before.
#[inline]
pub(crate) fn set<V: Value>(
    map: &impl Changes<V::Bits>,
    key: &[u8],
    new: Option<V>,
) -> Result<Option<V>, InsertError> {
    let outcome = map.change(key, Expected::Any, new.map(V::into_bits))?;
    Ok(outcome.old.map(V::from_bits))
}

/// Sets or removes the value of `key` if it is `current`, and returns the value before.
///
/// # Errors
/// Returns the current value if it is not `current`.
#[track_caller]
pub(crate) fn compare_exchange<V: Value>(
    map: &impl Changes<V::Bits>,
    key: &[u8],
    current: Option<V>,
    new: Option<V>,
) -> Result<Option<V>, Option<V>> {
    let expected = current.map_or(Expected::Absent, |value| Expected::Value(value.into_bits()));
    let Outcome { old, done } = or_fail(map.change(key, expected, new.map(V::into_bits)));
    let old = old.map(V::from_bits);
    if done { Ok(old) } else { Err(old) }
}

/// Inserts `value` if `key` is absent, and returns the value that is there then.
#[track_caller]
pub(crate) fn insert_absent<V: Value>(map: &impl Changes<V::Bits>, key: &[u8], value: V) -> V {
    match compare_exchange(map, key, None, Some(value)) {
        Err(Some(current)) => current,
        _ => value,
    }
}

/// Replaces the value of `key` by what `f` makes of it, and returns the values before and after.
#[track_caller]
pub(crate) fn compute<V: Value>(
    map: &impl Changes<V::Bits>,
    key: &[u8],
    mut f: impl FnMut(Option<V>) -> Option<V>,
) -> (Option<V>, Option<V>) {
    let f = |bits: Option<V::Bits>| f(bits.map(V::from_bits)).map(V::into_bits);
    let (old, new) = or_fail(map.try_compute(key, f));
    (old.map(V::from_bits), new.map(V::from_bits))
}

/// Replaces the value of `key` if there is one and `f` returns another, and returns the value
/// before.
///
/// # Errors
/// Returns the current value if `f` returns `None`, and `None` if the key is absent.
#[track_caller]
pub(crate) fn fetch_update<V: Value>(
    map: &impl Changes<V::Bits>,
    key: &[u8],
    mut f: impl FnMut(V) -> Option<V>,
) -> Result<V, Option<V>> {
    let mut refused = false;
    let (old, _) = compute(map, key, |value| {
        let new = value.and_then(&mut f);
        refused = new.is_none();
        new.or(value)
    });
    old.filter(|_| !refused).ok_or(old)
}

/// Removes `key` if `f` returns `true` for its value, and returns the value removed.
#[track_caller]
pub(crate) fn remove_if<V: Value>(
    map: &impl Changes<V::Bits>,
    key: &[u8],
    mut f: impl FnMut(V) -> bool,
) -> Option<V> {
    let (old, new) = compute(map, key, |value| value.filter(|&value| !f(value)));
    old.filter(|_| new.is_none())
}
