//! Many keys at once, of an array of Arrow or NumPy, or of an iterable, and answers in that form.

use crate::arrow::{Array, ArrayStream, StringArray, is_arrow, is_stream, objects};
use crate::column::{Column, Data, Strings};
use crate::errors::Error;
use crate::index::{Index, KEYS_PER_LOOKUP};
use crate::text::bytes_of;
use crate::value::Field;
use memkv::ValueKind;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyList};
use std::ops::Range;

/// Keys, some of which may be null.
pub(crate) enum Keys {
    Strings(Strings),
    Array(StringArray),
}

impl Keys {
    pub(crate) fn len(&self) -> usize {
        match self {
            Keys::Strings(strings) => strings.len(),
            Keys::Array(array) => array.len(),
        }
    }

    #[inline]
    pub(crate) fn get(&self, i: usize) -> Option<&[u8]> {
        match self {
            Keys::Strings(strings) => Some(strings.get(i)),
            Keys::Array(array) => array.get(i),
        }
    }
}

/// Keys that a thread asks about between two looks at Python's signals: half a second.
const KEYS_PER_LOOK: usize = 1 << 20;
const MAX_THREADS: usize = 256;

/// What is asked of each key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    Value,
    IsContained,
}

/// Asks about many keys, and returns the answers in the form of the keys.
pub(crate) fn ask_many<'py>(
    index: &dyn Index,
    keys: &Bound<'py, PyAny>,
    threads: usize,
    ask: Ask,
) -> PyResult<Bound<'py, PyAny>> {
    let py = keys.py();
    if !(1..=MAX_THREADS).contains(&threads) {
        return Err(PyValueError::new_err(format!("threads={threads} is not 1 to {MAX_THREADS}")));
    }
    let kind = if ask == Ask::Value { index.kind() } else { ValueKind::Bool };
    if is_arrow(keys)? {
        let mut arrays = ArrayStream::of(keys)?;
        arrays.check_strings(0)?;
        if let Some(columns) = arrays.table_columns().filter(|columns| *columns != 1) {
            return Err(PyTypeError::new_err(format!(
                "a table of {columns} columns is given, where keys are expected"
            )));
        }
        let mut answers = Column::new(kind, 0);
        while let Some(columns) = arrays.next(py)? {
            let keys = Keys::Array(columns.strings(0)?);
            let found = answer_all(py, index, &keys, threads, ask, kind)?;
            if answers.len() == 0 {
                answers = found;
            } else {
                answers.append(&found);
            }
        }
        return as_arrow(keys, answers);
    }
    if is_numpy(keys)? {
        if keys.hasattr("mask")? {
            return Err(PyTypeError::new_err("a masked array is given: use its compressed()"));
        }
        let shape = keys.getattr("shape")?;
        let keys = match fixed_strings(keys)? {
            Some(strings) => strings,
            None => strings(&keys.call_method0("ravel")?.call_method0("tolist")?)?,
        };
        let answers = answer_all(py, index, &Keys::Strings(keys), threads, ask, kind)?;
        return as_numpy(&shape, answers, ask);
    }
    let keys = Keys::Strings(strings(keys)?);
    let answers = answer_all(py, index, &keys, threads, ask, kind)?;
    Ok(objects(py, &answers)?.into_any())
}

/// Returns the strings of an iterable.
pub(crate) fn strings(keys: &Bound<'_, PyAny>) -> PyResult<Strings> {
    let mut strings = Strings::default();
    if let Ok(list) = keys.cast::<PyList>() {
        for key in list {
            strings.push(&bytes_of(&key)?);
        }
    } else {
        for key in keys.try_iter()? {
            strings.push(&bytes_of(&key?)?);
        }
    }
    Ok(strings)
}

fn is_numpy(keys: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(keys.hasattr("__array_interface__")? && keys.hasattr("dtype")?)
}

/// Returns the strings of an array of NumPy whose type is `S`: bytes of one length, without the
/// zeros at their ends. Returns `None` for other types.
fn fixed_strings(keys: &Bound<'_, PyAny>) -> PyResult<Option<Strings>> {
    let dtype = keys.getattr("dtype")?;
    if dtype.getattr("kind")?.extract::<String>()? != "S" {
        return Ok(None);
    }
    let width: usize = dtype.getattr("itemsize")?.extract()?;
    let count: usize = keys.getattr("size")?.extract()?;
    let mut strings = Strings::default();
    if width == 0 || count == 0 {
        (0..count).for_each(|_| strings.push(b""));
        return Ok(Some(strings));
    }
    // As bytes, in the order of the array.
    let bytes = keys.call_method0("ravel")?.call_method1("view", ("u1",))?;
    let bytes = PyBuffer::<u8>::get(&bytes)?.to_vec(keys.py())?;
    for string in bytes.chunks_exact(width) {
        let len = string.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        strings.push(&string[..len]);
    }
    Ok(Some(strings))
}

/// Asks about keys, and looks at Python's signals now and then.
fn answer_all(
    py: Python<'_>,
    index: &dyn Index,
    keys: &Keys,
    threads: usize,
    ask: Ask,
    kind: ValueKind,
) -> PyResult<Column> {
    let mut answers = Column::new(kind, 0);
    let keys_per_look = threads * KEYS_PER_LOOK;
    for start in (0..keys.len()).step_by(keys_per_look) {
        let range = start..keys.len().min(start + keys_per_look);
        let found = py.detach(|| answer(index, keys, range, threads, ask, kind))?;
        if start == 0 {
            answers = found;
        } else {
            answers.append(&found);
        }
        py.check_signals()?;
    }
    Ok(answers)
}

/// Asks about keys, in parallel.
fn answer(
    index: &dyn Index,
    keys: &Keys,
    range: Range<usize>,
    threads: usize,
    ask: Ask,
    kind: ValueKind,
) -> Result<Column, Error> {
    // A multiple of eight, so that bits of different threads are in different bytes.
    let keys_per_thread = range.len().div_ceil(threads).next_multiple_of(8).max(KEYS_PER_LOOKUP);
    let one = |range| answer_range(index, keys, range, ask, kind);
    if range.len() <= keys_per_thread {
        return one(range);
    }
    let first_end = range.start + keys_per_thread;
    let (first, rest) = std::thread::scope(|scope| {
        let ranges = (first_end..range.end).step_by(keys_per_thread);
        let rest: Vec<_> = ranges
            .map(|start| start..range.end.min(start + keys_per_thread))
            .map(|range| scope.spawn(|| one(range)))
            .collect();
        let first = one(range.start..first_end);
        let rest = rest.into_iter().map(|thread| thread.join());
        (first, rest.collect::<Vec<_>>())
    });
    let mut answers = first?;
    for column in rest {
        // A panic of a thread goes on in this one.
        answers.append(&column.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
    }
    Ok(answers)
}

fn answer_range(
    index: &dyn Index,
    keys: &Keys,
    range: Range<usize>,
    ask: Ask,
    kind: ValueKind,
) -> Result<Column, Error> {
    let mut answers = Column::new(kind, range.len());
    let mut group: Vec<&[u8]> = Vec::with_capacity(KEYS_PER_LOOKUP);
    let mut start = range.start;
    while start < range.end {
        let end = range.end.min(start + KEYS_PER_LOOKUP);
        group.clear();
        group.extend((start..end).filter_map(|i| keys.get(i)));
        let has_nulls = group.len() < end - start;
        let mut next = start;
        index.get_many(&group, &mut |found| {
            while has_nulls && keys.get(next).is_none() {
                answers.push_null();
                next += 1;
            }
            match ask {
                Ask::Value => answers.push_option(found),
                Ask::IsContained => answers.push(Field::Bool(found.is_some())),
            }
            next += 1;
        })?;
        (next..end).for_each(|_| answers.push_null());
        start = end;
    }
    Ok(answers)
}

/// Returns a column as an array of the library that the keys are from.
pub(crate) fn as_arrow<'py>(
    keys: &Bound<'py, PyAny>,
    answers: Column,
) -> PyResult<Bound<'py, PyAny>> {
    let py = keys.py();
    let array = Bound::new(py, Array::new(answers))?.into_any();
    let module: String = keys.get_type().getattr("__module__")?.extract().unwrap_or_default();
    match module.split('.').next() {
        Some("pyarrow") => {
            let pyarrow = py.import("pyarrow")?;
            let array = pyarrow.call_method1("array", (array,))?;
            if is_stream(keys)? {
                return pyarrow.call_method1("chunked_array", ([array],));
            }
            Ok(array)
        }
        Some("polars") => py.import("polars")?.call_method1("Series", (array,)),
        _ => Ok(array),
    }
}

/// Returns a column as an array of NumPy. With values comes an array that says which are there.
fn as_numpy<'py>(
    shape: &Bound<'py, PyAny>,
    answers: Column,
    ask: Ask,
) -> PyResult<Bound<'py, PyAny>> {
    let py = shape.py();
    let numpy = py.import("numpy")?;
    let of_bytes = |bytes: &[u8], dtype: &str| {
        numpy.call_method1("frombuffer", (PyByteArray::new(py, bytes), dtype))
    };
    let of_words =
        |words: Vec<u8>, kind: char, width: usize| of_bytes(&words, &format!("{kind}{width}"));
    let kind = match answers.kind {
        ValueKind::I8 | ValueKind::I16 | ValueKind::I32 | ValueKind::I64 => 'i',
        ValueKind::F32 | ValueKind::F64 => 'f',
        _ => 'u',
    };
    let bools = |bits: Vec<u8>| of_bytes(&bits, "?");
    let values = match &answers.data {
        Data::Bits(bits) => bools((0..answers.len()).map(|i| bits.get(i).into()).collect())?,
        Data::One(values) => of_words(values.clone(), kind, 1)?,
        Data::Two(values) => {
            of_words(values.iter().flat_map(|v| v.to_ne_bytes()).collect(), kind, 2)?
        }
        Data::Four(values) if answers.kind != ValueKind::Char => {
            of_words(values.iter().flat_map(|v| v.to_ne_bytes()).collect(), kind, 4)?
        }
        Data::Eight(values) => {
            of_words(values.iter().flat_map(|v| v.to_ne_bytes()).collect(), kind, 8)?
        }
        _ => numpy.call_method1("array", (objects(py, &answers)?, "O"))?,
    };
    let values = values.call_method1("reshape", (shape,))?;
    if ask == Ask::IsContained {
        return Ok(values);
    }
    let found = bools((0..answers.len()).map(|i| u8::from(!answers.is_null(i))).collect())?;
    let found = found.call_method1("reshape", (shape,))?;
    Ok((values, found).into_pyobject(py)?.into_any())
}
