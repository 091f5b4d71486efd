//! The rules for a key that occurs several times.
//!
//! While records are sorted, a value is bytes: itself, or its number in as few little-endian bytes
//! as it needs. For sums of integers it is the exact sum so far, of 128 bits, so that only the sum
//! of all values is checked, whatever was added first.

use crate::frozen::error::FrozenError;
use crate::frozen::front_coded::Stored;
use crate::value::ValueKind;

/// The treatment of a key that occurs several times.
///
/// It governs [`FrozenOptions::from_unsorted`](crate::FrozenOptions::from_unsorted), external
/// builds and merges of layers, where later layers have the later values. A
/// [`FrozenLayerBuilder`](crate::FrozenLayerBuilder) refuses a key that it has, whatever the rule.
///
/// ```
/// use memkv::{FrozenError, FrozenOptions, OnDuplicate};
///
/// let build = |rule| {
///     let pairs = vec![("a", 1), ("b", 5), ("a", 2)];
///     FrozenOptions::new().on_duplicate(rule).from_unsorted(pairs)
/// };
/// assert_eq!(build(OnDuplicate::First)?.get("a"), Some(1));
/// assert_eq!(build(OnDuplicate::Last)?.get("a"), Some(2));
/// assert_eq!(build(OnDuplicate::Sum)?.get("a"), Some(3));
/// let error = build(OnDuplicate::Error).unwrap_err();
/// assert!(matches!(error, FrozenError::Repeated { key } if key == b"a"));
/// # Ok::<(), FrozenError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnDuplicate {
    /// An error, [`FrozenError::Repeated`], which names one such key.
    Error,
    /// The first value is kept.
    First,
    /// The last value is kept.
    #[default]
    Last,
    /// The values are added in the order of the input, in their own type.
    ///
    /// An integer that does not fit its type, or a sum of finite floats that is not finite, is an
    /// error, [`FrozenError::SumOverflow`]. For integers only the sum of all values must fit. The
    /// types `()`, `bool` and `char` and byte strings have no sums: [`FrozenError::Option`] when
    /// the build begins.
    Sum,
}

/// Most bytes of a number, or of a sum.
pub(super) const MAX_NUMBER_BYTES: usize = 16;

/// A rule, for values of a kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Duplicates {
    rule: OnDuplicate,
    kind: ValueKind,
}

impl Duplicates {
    /// Creates a rule.
    ///
    /// # Errors
    /// Values of this kind cannot be added.
    pub(crate) fn new(rule: OnDuplicate, kind: ValueKind) -> Result<Self, FrozenError> {
        let has_sums =
            !matches!(kind, ValueKind::Unit | ValueKind::Bool | ValueKind::Char | ValueKind::Bytes);
        if rule == OnDuplicate::Sum && !has_sums {
            return Err(FrozenError::Option("values of this type cannot be added"));
        }
        Ok(Duplicates { rule, kind })
    }

    /// Returns the rule that keeps the first value.
    pub(super) fn first() -> Self {
        Duplicates { rule: OnDuplicate::First, kind: ValueKind::U64 }
    }

    /// Returns the rule by which runs are merged: none where the result depends on the values that
    /// are combined first, as sums of floats do.
    pub(super) fn of_runs(self) -> Option<Self> {
        (self.rule != OnDuplicate::Sum || self.has_exact_sums()).then_some(self)
    }

    fn has_exact_sums(self) -> bool {
        !matches!(self.kind, ValueKind::F32 | ValueKind::F64)
    }

    /// Returns whether values are sums of 128 bits while they are sorted.
    fn is_exact_sum(self) -> bool {
        self.rule == OnDuplicate::Sum && self.has_exact_sums()
    }

    /// Passes the bytes of a value to `then`, given what a layer stores of it.
    #[inline]
    pub(crate) fn encode<R>(self, value: Stored<'_>, then: impl FnOnce(&[u8]) -> R) -> R {
        let number = value.number;
        if self.kind == ValueKind::Bytes {
            return then(value.bytes);
        }
        if self.is_exact_sum() {
            let bytes = zigzag(self.integer(number)).to_le_bytes();
            return then(short(&bytes));
        }
        then(short(&number.to_le_bytes()))
    }

    /// Replaces a value by what the rule makes of it and a later one.
    pub(crate) fn combine(
        self,
        key: &[u8],
        value: &mut Vec<u8>,
        later: &[u8],
    ) -> Result<(), FrozenError> {
        match self.rule {
            OnDuplicate::Error => return Err(FrozenError::Repeated { key: key.to_vec() }),
            OnDuplicate::First => {}
            OnDuplicate::Last => {
                value.clear();
                value.extend_from_slice(later);
            }
            OnDuplicate::Sum if self.has_exact_sums() => {
                // Sums of fewer than 2^63 numbers of 64 bits.
                let sum = unzigzag(wide(value)) + unzigzag(wide(later));
                value.clear();
                value.extend_from_slice(short(&zigzag(sum).to_le_bytes()));
            }
            OnDuplicate::Sum => {
                let sum = self.sum(key, wide(value) as u64, wide(later) as u64)?;
                value.clear();
                value.extend_from_slice(short(&sum.to_le_bytes()));
            }
        }
        Ok(())
    }

    /// Returns what a layer stores of a key's value, after the last [`combine`](Self::combine).
    #[inline]
    pub(crate) fn stored<'v>(self, key: &[u8], value: &'v [u8]) -> Result<Stored<'v>, FrozenError> {
        if self.kind == ValueKind::Bytes {
            return Ok(Stored::bytes(value));
        }
        if self.is_exact_sum() {
            return self.number_of(key, unzigzag(wide(value))).map(Stored::number);
        }
        Ok(Stored::number(match value.first_chunk::<8>() {
            Some(word) => u64::from_le_bytes(*word),
            None => wide(value) as u64,
        }))
    }

    /// Returns whether the first value of a key is the one that counts.
    pub(crate) fn keeps_first(self) -> bool {
        self.rule == OnDuplicate::First
    }

    /// Returns whether the last value of a key is the one that counts.
    pub(crate) fn keeps_last(self) -> bool {
        self.rule == OnDuplicate::Last
    }

    /// Returns whether values are byte strings.
    pub(super) fn are_bytes(self) -> bool {
        self.kind == ValueKind::Bytes
    }

    /// Returns the integer for which a number stands.
    fn integer(self, number: u64) -> i128 {
        let bits = self.kind.unpack(number);
        match self.kind {
            ValueKind::I8 => (bits as i8).into(),
            ValueKind::I16 => (bits as i16).into(),
            ValueKind::I32 => (bits as i32).into(),
            ValueKind::I64 => (bits as i64).into(),
            _ => bits.into(),
        }
    }

    /// Returns the number that stands for a sum of integers.
    fn number_of(self, key: &[u8], sum: i128) -> Result<u64, FrozenError> {
        let (least, most) = self.kind.integers();
        if sum < least || sum > most {
            return Err(self.overflow(key));
        }
        let all = u64::MAX.checked_shr(64 - 8 * self.kind.size() as u32).unwrap_or(0);
        Ok(self.kind.pack(sum as u64 & all))
    }

    /// Returns the number of the sum of two floats, given their numbers.
    fn sum(self, key: &[u8], a: u64, b: u64) -> Result<u64, FrozenError> {
        let (a, b) = (self.kind.unpack(a), self.kind.unpack(b));
        let (bits, overflows) = if self.kind == ValueKind::F32 {
            let [a, b] = [a, b].map(|bits| f32::from_bits(bits as u32));
            (u64::from((a + b).to_bits()), a.is_finite() && b.is_finite() && !(a + b).is_finite())
        } else {
            let [a, b] = [a, b].map(f64::from_bits);
            ((a + b).to_bits(), a.is_finite() && b.is_finite() && !(a + b).is_finite())
        };
        if overflows { Err(self.overflow(key)) } else { Ok(self.kind.pack(bits)) }
    }

    #[cold]
    fn overflow(self, key: &[u8]) -> FrozenError {
        FrozenError::SumOverflow { key: key.to_vec(), kind: self.kind }
    }

    /// Combines the pairs of equal keys, which are neighbours. `stored` returns what a layer stores
    /// of a value, and `set` changes it to the one for which a number stands.
    pub(crate) fn unite<K: AsRef<[u8]>, T>(
        self,
        pairs: &mut Vec<(K, T)>,
        stored: impl for<'v> Fn(&'v &T) -> Stored<'v>,
        set: impl Fn(&mut T, u64),
    ) -> Result<(), FrozenError> {
        let (mut kept, mut at, mut sum) = (0, 0, Vec::new());
        while at < pairs.len() {
            let first = at;
            at += 1;
            while at < pairs.len() && pairs[at].0.as_ref() == pairs[first].0.as_ref() {
                at += 1;
            }
            let mut taken = first;
            if at > first + 1 {
                let key = pairs[first].0.as_ref();
                match self.rule {
                    OnDuplicate::Error => {
                        return Err(FrozenError::Repeated { key: key.to_vec() });
                    }
                    OnDuplicate::First => {}
                    OnDuplicate::Last => taken = at - 1,
                    OnDuplicate::Sum => {
                        sum.clear();
                        self.encode(stored(&&pairs[first].1), |value| sum.extend_from_slice(value));
                        for (_, later) in &pairs[first + 1..at] {
                            self.encode(stored(&later), |later| {
                                self.combine(key, &mut sum, later)
                            })?;
                        }
                        let number = self.stored(key, &sum)?.number;
                        set(&mut pairs[first].1, number);
                    }
                }
            }
            pairs.swap(kept, taken);
            kept += 1;
        }
        pairs.truncate(kept);
        Ok(())
    }
}

/// Returns a number's little-endian bytes without the zeros at the end.
#[inline]
fn short(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)]
}

/// Returns the number of at most 16 little-endian bytes.
#[inline]
fn wide(bytes: &[u8]) -> u128 {
    let mut word = [0; 16];
    let len = bytes.len().min(16);
    word[..len].copy_from_slice(&bytes[..len]);
    u128::from_le_bytes(word)
}

/// Returns a number that is small if the integer is near 0.
fn zigzag(integer: i128) -> u128 {
    (integer << 1 ^ integer >> 127).cast_unsigned()
}

fn unzigzag(number: u128) -> i128 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::{Duplicates, OnDuplicate};
    use crate::frozen::error::FrozenError;
    use crate::frozen::layer_value::LayerValue;
    use crate::frozen::number::unpack;
    use crate::value::Value;

    fn sum<V: Value>(values: &[V]) -> Result<V, FrozenError> {
        let rule = Duplicates::new(OnDuplicate::Sum, V::KIND)?;
        let mut value = rule.encode(V::stored(values[0]), <[u8]>::to_vec);
        for &later in &values[1..] {
            rule.encode(V::stored(later), |later| rule.combine(b"k", &mut value, later))?;
        }
        rule.stored(b"k", &value).map(|stored| unpack(stored.number))
    }

    fn overflows<V: Value>(values: &[V]) -> bool {
        matches!(sum(values), Err(FrozenError::SumOverflow { key, kind })
            if key == b"k" && kind == V::KIND)
    }

    #[test]
    fn sums_are_those_of_the_type() {
        assert_eq!(sum(&[1u64, 2, u64::MAX - 3]).unwrap(), u64::MAX);
        assert_eq!(sum(&[i64::MIN, i64::MAX, 1, 5]).unwrap(), 5);
        // Only the sum of all must fit.
        assert_eq!(sum(&[100i8, 100, -100]).unwrap(), 100);
        assert_eq!(sum(&[-100i8, -28]).unwrap(), -128);
        assert_eq!(sum(&[200u8, 55]).unwrap(), 255);
        assert_eq!(sum(&[i32::MIN, -1, 1]).unwrap(), i32::MIN);
        assert_eq!(sum(&[0.5f64, -0.25, 1e300]).unwrap(), 0.5 - 0.25 + 1e300);
        assert_eq!(sum(&[1.5f32, f32::INFINITY]).unwrap(), f32::INFINITY);
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).unwrap().is_nan());
    }

    #[test]
    fn sums_beyond_the_type_are_errors() {
        assert!(overflows(&[u64::MAX, 1]) && overflows(&[200u8, 56]));
        assert!(overflows(&[i8::MIN, -1]) && overflows(&[i64::MAX, 1]));
        assert!(overflows(&[f32::MAX, f32::MAX]) && overflows(&[f64::MIN, f64::MIN]));
        for error in [sum(&[true, false]).err(), sum(&['a', 'b']).err(), sum(&[(), ()]).err()] {
            assert!(matches!(error, Some(FrozenError::Option(_))), "{error:?}");
        }
    }
}
