//! Keys as arguments, and keys that come out.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView, PyString};
use std::borrow::Cow;
use std::ops::Bound as End;

/// The form of keys that come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyForm {
    Bytes,
    /// UTF-8. Other bytes become lone surrogates, as in file names.
    Str,
}

impl KeyForm {
    /// Returns the form that has a name.
    pub(crate) fn named(name: &str) -> PyResult<Self> {
        match name {
            "bytes" => Ok(KeyForm::Bytes),
            "str" => Ok(KeyForm::Str),
            _ => Err(PyValueError::new_err(format!("keys={name:?} is neither bytes nor str"))),
        }
    }

    /// Returns the name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            KeyForm::Bytes => "bytes",
            KeyForm::Str => "str",
        }
    }

    /// Returns a key as an object.
    pub(crate) fn object<'py>(self, py: Python<'py>, key: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        match self {
            KeyForm::Bytes => Ok(PyBytes::new(py, key).into_any()),
            KeyForm::Str => match std::str::from_utf8(key) {
                Ok(key) => Ok(PyString::new(py, key).into_any()),
                Err(_) => {
                    let key = PyBytes::new(py, key);
                    let (encoding, errors) = (Some(c"utf-8"), Some(c"surrogateescape"));
                    Ok(PyString::from_encoded_object(&key, encoding, errors)?.into_any())
                }
            },
        }
    }
}

/// Returns the bytes of an argument: of a `str` its UTF-8.
///
/// # Errors
/// `TypeError`.
pub(crate) fn bytes_of<'a>(argument: &'a Bound<'_, PyAny>) -> PyResult<Cow<'a, [u8]>> {
    if let Ok(bytes) = argument.cast::<PyBytes>() {
        return Ok(Cow::Borrowed(bytes.as_bytes()));
    }
    if let Ok(text) = argument.cast::<PyString>() {
        return match text.to_str() {
            Ok(text) => Ok(Cow::Borrowed(text.as_bytes())),
            // Lone surrogates.
            Err(_) => {
                // Not the method of a subclass.
                let encode = text.py().get_type::<PyString>().getattr("encode")?;
                let bytes = encode.call1((text, "utf-8", "surrogateescape"))?;
                Ok(Cow::Owned(bytes.cast::<PyBytes>()?.as_bytes().to_vec()))
            }
        };
    }
    if argument.is_instance_of::<PyByteArray>() || argument.is_instance_of::<PyMemoryView>() {
        let bytes = argument.py().get_type::<PyBytes>().call1((argument,))?;
        return Ok(Cow::Owned(bytes.cast::<PyBytes>()?.as_bytes().to_vec()));
    }
    let found = argument.get_type().name()?;
    Err(PyTypeError::new_err(format!("a key is bytes or str, not {found}")))
}

/// A range of byte strings.
#[derive(Clone, Debug)]
pub(crate) struct KeyRange {
    pub(crate) lo: End<Vec<u8>>,
    pub(crate) hi: End<Vec<u8>>,
}

impl KeyRange {
    pub(crate) const ALL: KeyRange = KeyRange { lo: End::Unbounded, hi: End::Unbounded };

    /// Returns the range from `lo`, or from the beginning, to `hi` without it, or to the end.
    pub(crate) fn between(
        lo: Option<&Bound<'_, PyAny>>,
        hi: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        Self::within(lo, hi, (true, false))
    }

    /// Returns the part of the range from `lo` to `hi` that begins with `prefix`, if there is one.
    pub(crate) fn of(
        prefix: Option<&Bound<'_, PyAny>>,
        lo: Option<&Bound<'_, PyAny>>,
        hi: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let range = Self::between(lo, hi)?;
        Ok(match prefix.filter(|prefix| !prefix.is_none()) {
            Some(prefix) => range.with_prefix(&bytes_of(prefix)?),
            None => range,
        })
    }

    /// Returns the range between two keys, with those of them that `inclusive` says.
    pub(crate) fn within(
        lo: Option<&Bound<'_, PyAny>>,
        hi: Option<&Bound<'_, PyAny>>,
        inclusive: (bool, bool),
    ) -> PyResult<Self> {
        let end = |key: Option<&Bound<'_, PyAny>>, is_included| {
            Ok::<_, PyErr>(match key.filter(|key| !key.is_none()) {
                None => End::Unbounded,
                Some(key) if is_included => End::Included(bytes_of(key)?.into_owned()),
                Some(key) => End::Excluded(bytes_of(key)?.into_owned()),
            })
        };
        Ok(KeyRange { lo: end(lo, inclusive.0)?, hi: end(hi, inclusive.1)? })
    }

    /// Returns the part of this range that begins with `prefix`.
    pub(crate) fn with_prefix(mut self, prefix: &[u8]) -> Self {
        let is_after = match &self.lo {
            End::Unbounded => false,
            End::Included(lo) | End::Excluded(lo) => **lo > *prefix,
        };
        if !is_after {
            self.lo = End::Included(prefix.to_vec());
        }
        // The least key after them ends where the prefix has a byte that can be larger.
        if let Some(at) = prefix.iter().rposition(|&byte| byte < u8::MAX) {
            let mut after = prefix[..=at].to_vec();
            after[at] += 1;
            let is_before = match &self.hi {
                End::Unbounded => false,
                End::Included(hi) | End::Excluded(hi) => *hi < after,
            };
            if !is_before {
                self.hi = End::Excluded(after);
            }
        }
        self
    }

    /// Returns the bounds.
    pub(crate) fn bounds(&self) -> (End<&[u8]>, End<&[u8]>) {
        (self.lo.as_ref().map(|lo| &**lo), self.hi.as_ref().map(|hi| &**hi))
    }
}
