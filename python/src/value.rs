//! Values: the kinds that layers have, and their form in Python.
//!
//! | kind | in Python | in Arrow |
//! |---|---|---|
//! | `u8` to `u64`, `i8` to `i64` | `int` | integers of that width |
//! | `f32`, `f64` | `float` | float, double |
//! | `bool` | `bool` | bool |
//! | `char` | `str` of one character | uint32 |
//! | `bytes` | `bytes` | binary |
//! | `none` | `None` | null |

use memkv::{LayerValue, ValueKind};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyFloat, PyInt, PyString};
use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};

/// A value of any kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Field<'v> {
    Unit,
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Char(char),
    Bytes(&'v [u8]),
}

impl Display for Field<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Field::Unit => write!(f, "None"),
            Field::Unsigned(value) => value.fmt(f),
            Field::Signed(value) => value.fmt(f),
            Field::Float(value) => value.fmt(f),
            Field::Bool(value) => value.fmt(f),
            Field::Char(value) => write!(f, "{value:?}"),
            Field::Bytes(value) => write!(f, "b\"{}\"", value.escape_ascii()),
        }
    }
}

impl Field<'_> {
    /// Returns the value as an object.
    pub(crate) fn object<'py>(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(match self {
            Field::Unit => py.None().into_bound(py),
            Field::Unsigned(value) => value.into_pyobject(py)?.into_any(),
            Field::Signed(value) => value.into_pyobject(py)?.into_any(),
            Field::Float(value) => value.into_pyobject(py)?.into_any(),
            Field::Bool(value) => value.into_pyobject(py)?.to_owned().into_any(),
            Field::Char(value) => value.into_pyobject(py)?.into_any(),
            Field::Bytes(value) => PyBytes::new(py, value).into_any(),
        })
    }
}

/// A value that is kept.
pub(crate) struct Kept {
    /// The value, unless it is bytes.
    field: Field<'static>,
    bytes: Option<Box<[u8]>>,
}

impl Kept {
    pub(crate) fn of(field: Field<'_>) -> Self {
        let (field, bytes) = match field {
            Field::Unit => (Field::Unit, None),
            Field::Unsigned(value) => (Field::Unsigned(value), None),
            Field::Signed(value) => (Field::Signed(value), None),
            Field::Float(value) => (Field::Float(value), None),
            Field::Bool(value) => (Field::Bool(value), None),
            Field::Char(value) => (Field::Char(value), None),
            Field::Bytes(value) => (Field::Unit, Some(value.into())),
        };
        Kept { field, bytes }
    }

    /// Returns the value as an object.
    pub(crate) fn object<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match &self.bytes {
            Some(bytes) => Field::Bytes(bytes).object(py),
            None => self.field.object(py),
        }
    }
}

/// The type of a layer's or map's values.
pub(crate) trait Kind: LayerValue + 'static {
    /// The kind.
    const KIND: ValueKind;

    /// Returns a value in the common form.
    fn field<'v>(value: Self::Lent<'v>) -> Field<'v>;

    /// Returns a value as it is lent.
    fn lent<'v>(value: &'v Self::Owned) -> Self::Lent<'v>;

    /// Returns a value of this type, or `None` if it does not fit.
    fn of_field<'v>(field: Field<'v>) -> Option<Self::Lent<'v>>;
}

macro_rules! kinds {
    ($($t:ty, $field:ident: $into:expr, $of_field:expr;)*) => {$(
        impl Kind for $t {
            const KIND: ValueKind = <$t as memkv::Value>::KIND;
            fn field<'v>(value: $t) -> Field<'v> {
                Field::$field($into(value))
            }
            fn lent(value: &$t) -> $t {
                *value
            }
            fn of_field<'v>(field: Field<'v>) -> Option<$t> {
                $of_field(field)
            }
        }
    )*};
}

/// Returns an integer, if it fits.
fn integer<T: TryFrom<u64> + TryFrom<i64>>(field: Field<'_>) -> Option<T> {
    match field {
        Field::Unsigned(value) => value.try_into().ok(),
        Field::Signed(value) => value.try_into().ok(),
        _ => None,
    }
}

/// Returns a float. Integers become the nearest one.
fn float(field: Field<'_>) -> Option<f64> {
    match field {
        Field::Float(value) => Some(value),
        Field::Unsigned(value) => Some(value as f64),
        Field::Signed(value) => Some(value as f64),
        _ => None,
    }
}

kinds! {
    u8, Unsigned: u64::from, integer;
    u16, Unsigned: u64::from, integer;
    u32, Unsigned: u64::from, integer;
    u64, Unsigned: u64::from, integer;
    i8, Signed: i64::from, integer;
    i16, Signed: i64::from, integer;
    i32, Signed: i64::from, integer;
    i64, Signed: i64::from, integer;
    f32, Float: f64::from, |field| float(field)
        // A finite number that only infinity stands for does not fit.
        .filter(|value| (*value as f32).is_finite() || !value.is_finite())
        .map(|value| value as f32);
    f64, Float: f64::from, float;
    bool, Bool: bool::from, |field| match field {
        Field::Bool(value) => Some(value),
        _ => None,
    };
    char, Char: char::from, |field| match field {
        Field::Char(value) => Some(value),
        field => integer::<u32>(field).and_then(char::from_u32),
    };
}

impl Kind for () {
    const KIND: ValueKind = ValueKind::Unit;
    fn field<'v>((): ()) -> Field<'v> {
        Field::Unit
    }
    fn lent((): &()) {}
    fn of_field<'v>(field: Field<'v>) -> Option<()> {
        (field == Field::Unit).then_some(())
    }
}

impl Kind for [u8] {
    const KIND: ValueKind = ValueKind::Bytes;
    fn field<'v>(value: Self::Lent<'v>) -> Field<'v> {
        Field::Bytes(value)
    }
    fn lent(value: &Vec<u8>) -> &[u8] {
        value
    }
    fn of_field<'v>(field: Field<'v>) -> Option<&'v [u8]> {
        match field {
            Field::Bytes(value) => Some(value),
            _ => None,
        }
    }
}

/// Evaluates an expression with the type of a kind. Evaluates the other one for a kind of a later
/// release.
macro_rules! with_kind {
    ($kind:expr, $V:ident => $of_type:expr, _ => $unknown:expr) => {{
        use memkv::ValueKind;
        match $kind {
            ValueKind::U64 => {
                type $V = u64;
                $of_type
            }
            ValueKind::Unit => {
                type $V = ();
                $of_type
            }
            ValueKind::U8 => {
                type $V = u8;
                $of_type
            }
            ValueKind::U16 => {
                type $V = u16;
                $of_type
            }
            ValueKind::U32 => {
                type $V = u32;
                $of_type
            }
            ValueKind::I8 => {
                type $V = i8;
                $of_type
            }
            ValueKind::I16 => {
                type $V = i16;
                $of_type
            }
            ValueKind::I32 => {
                type $V = i32;
                $of_type
            }
            ValueKind::I64 => {
                type $V = i64;
                $of_type
            }
            ValueKind::F32 => {
                type $V = f32;
                $of_type
            }
            ValueKind::F64 => {
                type $V = f64;
                $of_type
            }
            ValueKind::Bool => {
                type $V = bool;
                $of_type
            }
            ValueKind::Char => {
                type $V = char;
                $of_type
            }
            ValueKind::Bytes => {
                type $V = [u8];
                $of_type
            }
            _ => $unknown,
        }
    }};
}
pub(crate) use with_kind;

/// The kinds and their names in Python.
const NAMES: [(ValueKind, &str); 14] = [
    (ValueKind::U64, "u64"),
    (ValueKind::Unit, "none"),
    (ValueKind::U8, "u8"),
    (ValueKind::U16, "u16"),
    (ValueKind::U32, "u32"),
    (ValueKind::I8, "i8"),
    (ValueKind::I16, "i16"),
    (ValueKind::I32, "i32"),
    (ValueKind::I64, "i64"),
    (ValueKind::F32, "f32"),
    (ValueKind::F64, "f64"),
    (ValueKind::Bool, "bool"),
    (ValueKind::Char, "char"),
    (ValueKind::Bytes, "bytes"),
];

/// Returns the name of a kind.
pub(crate) fn name_of(kind: ValueKind) -> &'static str {
    NAMES.iter().find(|(other, _)| *other == kind).map_or("unknown", |(_, name)| name)
}

/// Returns the kind that has a name.
pub(crate) fn kind_named(name: &str) -> PyResult<ValueKind> {
    NAMES.iter().find(|(_, other)| *other == name).map(|(kind, _)| *kind).ok_or_else(|| {
        let names: Vec<_> = NAMES.iter().map(|(_, name)| *name).collect();
        PyValueError::new_err(format!("kind={name:?} is none of {}", names.join(", ")))
    })
}

/// Returns the kind that an object has, if none is named.
pub(crate) fn kind_of(value: &Bound<'_, PyAny>) -> PyResult<ValueKind> {
    if value.is_none() {
        Ok(ValueKind::Unit)
    } else if value.extract::<bool>().is_ok() {
        // That of NumPy as well.
        Ok(ValueKind::Bool)
    } else if value.is_instance_of::<PyBytes>() || value.is_instance_of::<PyString>() {
        // Those of NumPy have `__float__` as well.
        Ok(ValueKind::Bytes)
    } else if value.is_instance_of::<PyInt>() || value.hasattr("__index__")? {
        Ok(ValueKind::U64)
    } else if value.is_instance_of::<PyFloat>() || value.hasattr("__float__")? {
        Ok(ValueKind::F64)
    } else {
        Err(PyTypeError::new_err(format!(
            "values are int, float, bool, bytes or str, not {}",
            value.get_type().name()?
        )))
    }
}

/// Passes an object as a value of a kind to `take`.
///
/// # Errors
/// `TypeError` if it has another type, `OverflowError` if it does not fit.
pub(crate) fn with_field<R>(
    kind: ValueKind,
    value: &Bound<'_, PyAny>,
    take: impl FnOnce(Field<'_>) -> R,
) -> PyResult<R> {
    // What code of the caller raises goes through.
    let failed = |error: PyErr| {
        if error.is_instance_of::<PyTypeError>(value.py()) {
            not_of(kind, value)
        } else if error.is_instance_of::<PyOverflowError>(value.py()) {
            overflow(kind, value)
        } else {
            error
        }
    };
    let field = match kind {
        ValueKind::Bytes => {
            let bytes = crate::text::bytes_of(value).map_err(failed)?;
            return Ok(take(Field::Bytes(&bytes)));
        }
        ValueKind::Unit if value.is_none() => Field::Unit,
        ValueKind::Unit => return Err(not_of(kind, value)),
        ValueKind::Bool => Field::Bool(value.extract().map_err(failed)?),
        ValueKind::Char => Field::Char(value.extract().map_err(|_| not_of(kind, value))?),
        ValueKind::F32 | ValueKind::F64 => Field::Float(value.extract().map_err(failed)?),
        // No integer, though it may have a method that makes one of it.
        _ if value.is_instance_of::<PyFloat>() => return Err(not_of(kind, value)),
        _ => match value.extract() {
            Ok(value) => Field::Unsigned(value),
            Err(error) if error.is_instance_of::<PyOverflowError>(value.py()) => {
                Field::Signed(value.extract().map_err(failed)?)
            }
            Err(error) => return Err(failed(error)),
        },
    };
    if fits(kind, field) { Ok(take(field)) } else { Err(overflow(kind, value)) }
}

/// Returns whether a value is one of a kind.
pub(crate) fn fits(kind: ValueKind, field: Field<'_>) -> bool {
    with_kind!(kind, V => V::of_field(field).is_some(), _ => false)
}

/// Returns the error of a value that is not one of a kind: of a number that does not fit, or of
/// another type. It names the key, if that is known.
pub(crate) fn misfit(key: Option<&[u8]>, kind: ValueKind, value: Field<'_>) -> PyErr {
    let mut message = format!("{value} does not fit {}", name_of(kind));
    if let Some(key) = key {
        message.insert_str(0, &format!("the value of b\"{}\": ", key.escape_ascii()));
    }
    match value {
        Field::Unsigned(_) | Field::Signed(_) if fits(kind, Field::Unsigned(0)) => {
            PyOverflowError::new_err(message)
        }
        Field::Float(_) if fits(kind, Field::Float(0.0)) => PyOverflowError::new_err(message),
        _ => PyTypeError::new_err(message),
    }
}

fn overflow(kind: ValueKind, value: &Bound<'_, PyAny>) -> PyErr {
    PyOverflowError::new_err(format!("{value} does not fit {}", name_of(kind)))
}

fn not_of(kind: ValueKind, value: &Bound<'_, PyAny>) -> PyErr {
    let found = value.get_type().name().map_or(Cow::Borrowed("?"), |name| name.to_string().into());
    let expected = match kind {
        ValueKind::Unit => "there are no values, so None is expected",
        ValueKind::F32 | ValueKind::F64 => "values are float",
        ValueKind::Bool => "values are bool",
        ValueKind::Char => "values are str of one character",
        ValueKind::Bytes => "values are bytes or str",
        _ => "values are int",
    };
    PyTypeError::new_err(format!("{expected} (kind {:?}), not {found}", name_of(kind)))
}
