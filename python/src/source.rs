//! Where a build or an update reads keys and values: arrays of Arrow, iterables of keys and of
//! values, of pairs, or what this package has.

use crate::arrow::{ArrayStream, ValueArray, is_arrow};
use crate::batch::Keys;
use crate::column::{Column, Strings};
use crate::index::Index;
use crate::records::{Records, Scan};
use crate::sorted::SortedMapping;
use crate::text::{KeyRange, bytes_of};
use crate::value::{Field, kind_of, with_field};
use memkv::ValueKind;
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyTuple};
use std::sync::Arc;

/// Keys that are read from an iterable before the interpreter's lock is released.
const KEYS_PER_BATCH: usize = 4096;
/// Bytes of the records of an index that are read at a time.
const MAX_BATCH_BYTES: usize = 1 << 24;

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

/// What keys are read from, part by part.
enum KeyOrigin<'py> {
    /// An array of Arrow, or several. The second column of a table has the values.
    Arrow(ArrayStream),
    Iterable(Bound<'py, PyIterator>),
    /// Pairs of a key and its value. The first one may have been read for the kind.
    Pairs(Option<Bound<'py, PyAny>>, Bound<'py, PyIterator>),
    Index(Arc<dyn Index>, Scan),
}

/// What values are read from, part by part.
enum ValueOrigin<'py> {
    /// There are none.
    Nothing,
    /// What the keys are read from.
    OfKeys,
    Arrow(ArrayStream),
    /// The first value may have been read for the kind.
    Iterable(Option<Bound<'py, PyAny>>, Bound<'py, PyIterator>),
}

/// Keys and their values.
pub(crate) struct Source<'py> {
    keys: KeyOrigin<'py>,
    values: ValueOrigin<'py>,
    kind: ValueKind,
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

/// Returns the key and the value of a pair, which may be any iterable of two.
fn pair<'py>(item: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    if let Ok(pair) = item.cast::<PyTuple>()
        && pair.len() == 2
    {
        return Ok((pair.get_item(0)?, pair.get_item(1)?));
    }
    let not_a_pair = || PyTypeError::new_err("an item is no pair of a key and a value");
    let mut parts = item.try_iter().map_err(|_| not_a_pair())?;
    let mut next = || parts.next().transpose();
    match (next()?, next()?, next()?) {
        (Some(key), Some(value), None) => Ok((key, value)),
        _ => Err(not_a_pair()),
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
        if values.is_none() && !is_arrow(keys)? {
            if let Ok(mapping) = keys.cast::<SortedMapping>() {
                return Self::of_index(mapping.as_super().get().index()?, kind);
            }
            if keys.hasattr("items")? {
                return Self::of_pairs(&keys.call_method0("items")?, kind);
            }
        }
        let mut found = None;
        let keys = if is_arrow(keys)? {
            let arrays = ArrayStream::of(keys)?;
            arrays.check_strings(0)?;
            KeyOrigin::Arrow(arrays)
        } else {
            KeyOrigin::Iterable(keys.try_iter()?)
        };
        let columns = match &keys {
            KeyOrigin::Arrow(arrays) => arrays.table_columns().unwrap_or(1),
            _ => 1,
        };
        let values = match values {
            Some(_) if columns > 1 => {
                return Err(PyTypeError::new_err("the table of keys has values already"));
            }
            Some(values) if is_arrow(values)? => {
                let arrays = ArrayStream::of(values)?;
                found = Some(arrays.kind(0)?);
                ValueOrigin::Arrow(arrays)
            }
            Some(values) => {
                let mut values = values.try_iter()?;
                let first = if kind.is_none() { values.next().transpose()? } else { None };
                found = first.as_ref().map(kind_of).transpose()?;
                ValueOrigin::Iterable(first, values)
            }
            None if columns == 1 => ValueOrigin::Nothing,
            None => {
                if let (2, KeyOrigin::Arrow(arrays)) = (columns, &keys) {
                    found = Some(arrays.kind(1)?);
                } else {
                    return Err(PyTypeError::new_err(format!(
                        "a table of {columns} columns is given, where keys, or keys and values, \
                         are expected"
                    )));
                }
                ValueOrigin::OfKeys
            }
        };
        Self::of(keys, values, kind, found)
    }

    /// Reads keys and values as [`new`](Self::new) does, and an iterable as one of pairs.
    pub(crate) fn of_items(
        items: &Bound<'py, PyAny>,
        values: Option<&Bound<'py, PyAny>>,
        kind: Option<ValueKind>,
    ) -> PyResult<Self> {
        let has_values = values.is_some_and(|values| !values.is_none());
        if has_values || is_arrow(items)? || items.hasattr("items")? {
            return Self::new(items, values, kind);
        }
        Self::of_pairs(items, kind)
    }

    fn of_pairs(items: &Bound<'py, PyAny>, kind: Option<ValueKind>) -> PyResult<Self> {
        let mut items = items.try_iter()?;
        let (mut first, mut found) = (None, None);
        if kind.is_none()
            && let Some(item) = items.next().transpose()?
        {
            found = Some(kind_of(&pair(&item)?.1)?);
            first = Some(item);
        }
        Self::of(KeyOrigin::Pairs(first, items), ValueOrigin::OfKeys, kind, found)
    }

    fn of_index(index: Arc<dyn Index>, kind: Option<ValueKind>) -> PyResult<Self> {
        let found = index.kind();
        let keys = KeyOrigin::Index(index, Scan::new(KeyRange::ALL, false));
        Self::of(keys, ValueOrigin::OfKeys, kind, Some(found))
    }

    /// Reads keys alone. Of a mapping these are its keys.
    pub(crate) fn of_keys(keys: &Bound<'py, PyAny>) -> PyResult<Self> {
        if is_arrow(keys)? {
            let source = Self::new(keys, None, None)?;
            if let ValueOrigin::OfKeys = source.values {
                return Err(PyTypeError::new_err(
                    "a table of 2 columns is given, where keys are expected",
                ));
            }
            return Ok(source);
        }
        Self::of(KeyOrigin::Iterable(keys.try_iter()?), ValueOrigin::Nothing, None, None)
    }

    fn of(
        keys: KeyOrigin<'py>,
        values: ValueOrigin<'py>,
        kind: Option<ValueKind>,
        found: Option<ValueKind>,
    ) -> PyResult<Self> {
        let has_values = !matches!(values, ValueOrigin::Nothing);
        let kind = match kind.or(found) {
            Some(kind) => kind,
            // No value tells the kind of an empty layer.
            None if has_values => ValueKind::U64,
            None => ValueKind::Unit,
        };
        if !has_values && kind != ValueKind::Unit {
            return Err(PyTypeError::new_err("a kind is given, and no values"));
        }
        let no_values =
            if has_values { Values::Column(Column::new(kind, 0)) } else { Values::Unit };
        let batch = Batch { keys: Keys::Strings(Strings::default()), values: no_values };
        Ok(Source { keys, values, kind, batch, next_key: 0, next_value: 0 })
    }

    /// Returns the kind of the values.
    pub(crate) fn kind(&self) -> ValueKind {
        self.kind
    }

    /// Sets the kind of the values, before any is read.
    pub(crate) fn set_kind(&mut self, kind: ValueKind) {
        self.kind = kind;
    }

    /// Returns the next pairs, or `None` at the end.
    pub(crate) fn next(&mut self, py: Python<'py>) -> PyResult<Option<Pairs<'_>>> {
        let has_values = !matches!(self.values, ValueOrigin::Nothing);
        if self.next_key == self.batch.keys.len() {
            self.next_key = 0;
            if !self.read_keys(py)? {
                if has_values && self.values_left(py)? {
                    return Err(PyValueError::new_err("there are more values than keys"));
                }
                return Ok(None);
            }
        }
        if has_values && !self.values_left(py)? {
            return Err(PyValueError::new_err("there are more keys than values"));
        }
        let (keys, values) = (self.next_key, self.next_value);
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
        let batch = &mut self.batch;
        let mut strings = Strings::default();
        match &mut self.keys {
            KeyOrigin::Arrow(arrays) => match arrays.next(py)? {
                Some(columns) => {
                    batch.keys = Keys::Array(columns.strings(0)?);
                    if let ValueOrigin::OfKeys = self.values {
                        (batch.values, self.next_value) = (Values::Array(columns.values(1)?), 0);
                    }
                }
                None => batch.keys = Keys::Strings(strings),
            },
            KeyOrigin::Iterable(keys) => {
                for key in keys.take(KEYS_PER_BATCH) {
                    strings.push(&bytes_of(&key?)?);
                }
                batch.keys = Keys::Strings(strings);
            }
            KeyOrigin::Pairs(first, items) => {
                let mut column = Column::new(self.kind, KEYS_PER_BATCH);
                for item in first.take().map(Ok).into_iter().chain(items).take(KEYS_PER_BATCH) {
                    let (key, value) = pair(&item?)?;
                    let key = bytes_of(&key)?;
                    let pushed = with_field(self.kind, &value, |field| column.push(field));
                    pushed.map_err(|error| naming(py, Some(&key), error))?;
                    strings.push(&key);
                }
                batch.keys = Keys::Strings(strings);
                (batch.values, self.next_value) = (Values::Column(column), 0);
            }
            KeyOrigin::Index(index, scan) => {
                let mut records = Records::new(index.kind());
                py.detach(|| records.fill(&**index, scan, KEYS_PER_BATCH, MAX_BATCH_BYTES))?;
                batch.keys = Keys::Strings(records.keys);
                (batch.values, self.next_value) = (Values::Column(records.values), 0);
            }
        }
        Ok(self.batch.keys.len() > 0)
    }

    /// Returns whether there are values left, and reads them.
    fn values_left(&mut self, py: Python<'py>) -> PyResult<bool> {
        let batch = &mut self.batch;
        if self.next_value < batch.values.len() {
            return Ok(true);
        }
        match &mut self.values {
            ValueOrigin::Arrow(arrays) => {
                let Some(columns) = arrays.next(py)? else { return Ok(false) };
                batch.values = Values::Array(columns.values(0)?);
            }
            ValueOrigin::Iterable(first, values) => {
                let mut column = Column::new(self.kind, KEYS_PER_BATCH);
                // No more than there are keys, so that an error names the key of its value.
                let most = (batch.keys.len() - self.next_key).clamp(1, KEYS_PER_BATCH);
                for value in first.take().map(Ok).into_iter().chain(values).take(most) {
                    let (value, key) = (value?, self.next_key + column.len());
                    let pushed = with_field(self.kind, &value, |field| column.push(field));
                    let is_key = key < batch.keys.len();
                    let key = if is_key { batch.keys.get(key) } else { None };
                    pushed.map_err(|error| naming(py, key, error))?;
                }
                batch.values = Values::Column(column);
            }
            ValueOrigin::Nothing | ValueOrigin::OfKeys => return Ok(false),
        }
        self.next_value = 0;
        Ok(self.batch.values.len() > 0)
    }
}

/// Returns an error of a value that names its key, if that is known.
fn naming(py: Python<'_>, key: Option<&[u8]>, error: PyErr) -> PyErr {
    let is_of_value =
        error.is_instance_of::<PyOverflowError>(py) || error.is_instance_of::<PyTypeError>(py);
    match key.filter(|_| is_of_value) {
        Some(key) => {
            let message = format!("the value of b\"{}\": {}", key.escape_ascii(), error.value(py));
            PyErr::from_type(error.get_type(py), message)
        }
        None => error,
    }
}
