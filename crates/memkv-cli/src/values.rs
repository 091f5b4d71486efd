//! The values of layers that the tool reads and writes: numbers, byte strings, or none.

use memkv::{FrozenError, LayerValue, LayerValues, ValueKind};

/// A value as it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field<'v> {
    /// A key of a layer without values.
    None,
    Number(u64),
    Bytes(&'v [u8]),
}

/// A kind of values that the tool knows.
pub(crate) trait ToolValue: LayerValue<Owned: Send> + 'static {
    /// The values' name in `memkv stats`.
    const NAME: &str;

    /// Returns the value of a key that comes from a layer without values.
    fn absent() -> Self::Lent<'static>;

    /// Returns a value as it is printed.
    fn field<'v>(value: Self::Lent<'v>) -> Field<'v>;

    /// Returns an owned value as a builder takes it.
    fn lent(value: &Self::Owned) -> Self::Lent<'_>;

    /// Returns the sum of the values of a key.
    ///
    /// # Errors
    /// The sum does not fit.
    fn sum(key: &[u8], values: LayerValues<'_, Self::Owned>) -> Result<Self::Owned, FrozenError>;
}

/// The error of values that are not numbers, as the library's merge has it.
pub(crate) const NO_SUMS: FrozenError = FrozenError::Option("values of this type cannot be added");

impl ToolValue for u64 {
    const NAME: &str = "numbers";

    fn absent() -> u64 {
        0
    }

    fn field<'v>(value: u64) -> Field<'v> {
        Field::Number(value)
    }

    fn lent(value: &u64) -> u64 {
        *value
    }

    fn sum(key: &[u8], values: LayerValues<'_, u64>) -> Result<u64, FrozenError> {
        let sum = values.iter().try_fold(0u64, |sum, (_, value)| sum.checked_add(*value));
        sum.ok_or_else(|| FrozenError::SumOverflow { key: key.to_vec(), kind: ValueKind::U64 })
    }
}

impl ToolValue for () {
    const NAME: &str = "none";

    fn absent() {}

    fn field<'v>((): ()) -> Field<'v> {
        Field::None
    }

    fn lent((): &()) {}

    fn sum(_: &[u8], _: LayerValues<'_, ()>) -> Result<(), FrozenError> {
        Err(NO_SUMS)
    }
}

impl ToolValue for [u8] {
    const NAME: &str = "texts";

    fn absent() -> &'static [u8] {
        b""
    }

    fn field<'v>(value: Self::Lent<'v>) -> Field<'v> {
        Field::Bytes(value)
    }

    fn lent(value: &Vec<u8>) -> &[u8] {
        value
    }

    fn sum(_: &[u8], _: LayerValues<'_, Vec<u8>>) -> Result<Vec<u8>, FrozenError> {
        Err(NO_SUMS)
    }
}
