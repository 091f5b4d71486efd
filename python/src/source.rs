//! Where a build or an update reads keys and values: arrays of Arrow, or iterables.

use crate::arrow::{ArrayStream, ValueArray, is_arrow};
use crate::batch::Keys;
use crate::column::{Column, Strings};
use crate::text::bytes_of;
use crate::value::{Field, kind_of, with_field};
use memkv::ValueKind;
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyIterator;

/// Keys that are read from an iterable before the interpreter's lock is released.
const KEYS_PER_BATCH: usize = 4096;

/// Values, one for each key.
enum Values {
    Unit,
    Column(Column),
    Array(ValueArray),
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Values::Unit => usize::MAX,
            Values::Column(column) => column.len(),
            Values::Array(array) => array.len(),
        }
    }

    fn get(&self, i: usize) -> Option<Field<'_>> {
        match self {
            Values::Unit => Some(Field::Unit),
            Values::Column(column) => column.get(i),
            Values::Array(array) => array.get(i),
        }
    }
}

/// What is read, part by part.
enum Origin<'py> {
    /// An array of Arrow, or several, and the column of a table.
    Arrow(ArrayStream, usize),
    Iterable(Bound<'py, PyIterator>),
    /// There are no values.
    Nothing,
    /// The keys' origin is a table that has the values too.
    OfKeys,
}

/// Keys and their values.
pub(crate) struct Source<'py> {
    keys: Origin<'py>,
    values: Origin<'py>,
    kind: ValueKind,
    /// The first value, which told the kind.
    first: Option<Bound<'py, PyAny>>,
    batch: Batch,
    next_key: usize,
    next_value: usize,
}

/// Keys and values of a part. They begin at different places if the parts of keys and of values
/// have different lengths.
struct Batch {
    keys: Keys,
    values: Values,
}

/// Some keys with their values.
pub(crate) struct Pairs<'b> {
    batch: &'b Batch,
    keys: usize,
    values: usize,
    len: usize,
}

impl Pairs<'_> {
    /// Passes each key and its value to `take`.
    ///
    /// # Errors
    /// A key or value is null, or `take` fails.
    pub(crate) fn each<E: From<PyErr>>(
        &self,
        mut take: impl FnMut(&[u8], Field<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        for i in 0..self.len {
            let null = |what| PyValueError::new_err(format!("a {what} is null"));
            let key = self.batch.keys.get(self.keys + i).ok_or_else(|| null("key"))?;
            let value = self.batch.values.get(self.values + i).ok_or_else(|| {
                PyValueError::new_err(format!("the value of b\"{}\" is null", key.escape_ascii()))
            })?;
            take(key, value)?;
        }
        Ok(())
    }
}

impl<'py> Source<'py> {
    /// Reads keys and values. `kind` is that of the values, if the caller says so.
    ///
    /// A mapping, or a table of two columns, has both.
    pub(crate) fn new(
        keys: &Bound<'py, PyAny>,
        values: Option<&Bound<'py, PyAny>>,
        kind: Option<ValueKind>,
    ) -> PyResult<Self> {
        let values = values.filter(|values| !values.is_none());
        let is_mapping = values.is_none() && !is_arrow(keys)? && keys.hasattr("items")?;
        let (keys, values) = if is_mapping {
            (keys.call_method0("keys")?, Some(keys.call_method0("values")?))
        } else {
            (keys.clone(), values.cloned())
        };
        let mut found = None;
        let key_origin = if is_arrow(&keys)? {
            let arrays = ArrayStream::of(&keys)?;
            arrays.check_strings(0)?;
            Origin::Arrow(arrays, 0)
        } else {
            Origin::Iterable(keys.try_iter()?)
        };
        let (mut value_origin, mut first) = (Origin::Nothing, None);
        if let Some(values) = values {
            if let Origin::Arrow(arrays, _) = &key_origin
                && arrays.table_columns().is_some_and(|columns| columns > 1)
            {
                return Err(PyTypeError::new_err("the table of keys has values already"));
            }
            if is_arrow(&values)? {
                let arrays = ArrayStream::of(&values)?;
                found = Some(arrays.kind(0)?);
                value_origin = Origin::Arrow(arrays, 0);
            } else {
                let mut values = values.try_iter()?;
                first = if kind.is_none() { values.next().transpose()? } else { None };
                found = first.as_ref().map(kind_of).transpose()?;
                value_origin = Origin::Iterable(values);
            }
        } else if let Origin::Arrow(arrays, _) = &key_origin {
            match arrays.table_columns() {
                None | Some(1) => {}
                Some(2) => {
                    found = Some(arrays.kind(1)?);
                    value_origin = Origin::OfKeys;
                }
                Some(columns) => {
                    return Err(PyTypeError::new_err(format!(
                        "a table of {columns} columns is given, where keys, or keys and values, \
                         are expected"
                    )));
                }
            }
        }
        let has_values = !matches!(value_origin, Origin::Nothing);
        let kind = match kind.or(found) {
            Some(kind) => kind,
            // No value tells the kind of an empty layer.
            None if has_values => ValueKind::U64,
            None => ValueKind::Unit,
        };
        if !has_values && kind != ValueKind::Unit {
            return Err(PyTypeError::new_err("a kind is given, and no values"));
        }
        let batch = Batch { keys: Keys::Strings(Strings::default()), values: Values::Unit };
        let (keys, values) = (key_origin, value_origin);
        let (next_key, next_value) = (0, if has_values { 0 } else { usize::MAX });
        let mut source = Source { keys, values, kind, first, batch, next_key, next_value };
        if has_values {
            source.batch.values = Values::Column(Column::new(kind, 0));
        }
        Ok(source)
    }

    /// Reads keys alone. Of a mapping these are its keys.
    pub(crate) fn of_keys(keys: &Bound<'py, PyAny>) -> PyResult<Self> {
        if is_arrow(keys)? {
            return Self::new(keys, None, None);
        }
        let keys = keys.try_iter()?;
        Self::new(keys.as_any(), None, None)
    }

    /// Returns the kind of the values, if arrays of Arrow have them.
    pub(crate) fn kind_of(
        keys: &Bound<'py, PyAny>,
        values: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<ValueKind> {
        let (of, column) = values.map_or((keys, 1), |values| (values, 0));
        // Asking for the type alone leaves a stream that can be read once.
        let schema = of.call_method0("__arrow_c_schema__")?;
        crate::arrow::schema_kind(&schema, column)
    }

    /// Returns the kind of the values.
    pub(crate) fn kind(&self) -> ValueKind {
        self.kind
    }

    /// Returns the next pairs, or `None` at the end.
    pub(crate) fn next(&mut self, py: Python<'py>) -> PyResult<Option<Pairs<'_>>> {
        if self.next_key == self.batch.keys.len() {
            self.next_key = 0;
            if !self.read_keys(py)? {
                if self.values_left(py)? {
                    return Err(PyValueError::new_err("there are more values than keys"));
                }
                return Ok(None);
            }
        }
        let (keys, has_values) = (self.next_key, self.next_value != usize::MAX);
        if has_values && !self.values_left(py)? {
            return Err(PyValueError::new_err("there are more keys than values"));
        }
        let values = if has_values { self.next_value } else { 0 };
        let left = self.batch.keys.len() - keys;
        let len = left.min(self.batch.values.len() - values).min(KEYS_PER_BATCH);
        self.next_key += len;
        if has_values {
            self.next_value += len;
        }
        Ok(Some(Pairs { batch: &self.batch, keys, values, len }))
    }

    /// Reads the next keys. Returns false if there are none.
    fn read_keys(&mut self, py: Python<'py>) -> PyResult<bool> {
        match &mut self.keys {
            Origin::Arrow(arrays, column) => {
                let Some(columns) = arrays.next(py)? else { return Ok(false) };
                self.batch.keys = Keys::Array(columns.strings(*column)?);
                if let Origin::OfKeys = self.values {
                    self.batch.values = Values::Array(columns.values(1)?);
                    self.next_value = 0;
                }
            }
            Origin::Iterable(keys) => {
                let mut strings = Strings::default();
                for key in keys.take(KEYS_PER_BATCH) {
                    strings.push(&bytes_of(&key?)?);
                }
                self.batch.keys = Keys::Strings(strings);
            }
            Origin::Nothing | Origin::OfKeys => {}
        }
        Ok(self.batch.keys.len() > 0)
    }

    /// Returns whether there are values left, and reads them.
    fn values_left(&mut self, py: Python<'py>) -> PyResult<bool> {
        if self.next_value == usize::MAX {
            return Ok(false);
        }
        if self.next_value < self.batch.values.len() {
            return Ok(true);
        }
        match &mut self.values {
            Origin::Arrow(arrays, column) => {
                let Some(columns) = arrays.next(py)? else { return Ok(false) };
                self.batch.values = Values::Array(columns.values(*column)?);
            }
            Origin::Iterable(values) => {
                let mut column = Column::new(self.kind, KEYS_PER_BATCH);
                let first = self.first.take().map(Ok);
                // No more than there are keys, so that an error names the key of its value.
                let keys = self.batch.keys.len() - self.next_key;
                let most = keys.clamp(1, KEYS_PER_BATCH);
                for value in first.into_iter().chain(values).take(most) {
                    let (value, key) = (value?, self.next_key + column.len());
                    let pushed = with_field(self.kind, &value, |field| column.push(field));
                    pushed.map_err(|error| self.batch.naming(py, key, error))?;
                }
                self.batch.values = Values::Column(column);
            }
            Origin::Nothing | Origin::OfKeys => return Ok(false),
        }
        self.next_value = 0;
        Ok(self.batch.values.len() > 0)
    }
}

impl Batch {
    /// Returns an error of a value that names its key, if that is known.
    fn naming(&self, py: Python<'_>, i: usize, error: PyErr) -> PyErr {
        let is_of_value =
            error.is_instance_of::<PyOverflowError>(py) || error.is_instance_of::<PyTypeError>(py);
        let is_named = is_of_value && i < self.keys.len();
        match is_named.then(|| self.keys.get(i)).flatten() {
            Some(key) => {
                let message =
                    format!("the value of b\"{}\": {}", key.escape_ascii(), error.value(py));
                PyErr::from_type(error.get_type(py), message)
            }
            None => error,
        }
    }
}
