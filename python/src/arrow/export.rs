//! Columns and scans as arrays of Arrow.

use super::ffi::{ArrowArray, ArrowArrayStream, ArrowSchema, NULLABLE};
use crate::column::{Column, Data, Strings};
use crate::index::Index;
use crate::records::{Records, Scan};
use crate::text::KeyForm;
use memkv::ValueKind;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyList, PyTuple};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::Arc;

/// Most bytes of keys, or of values, in a batch: offsets of 32 bits can address them.
const MAX_BATCH_BYTES: usize = 1 << 30;

/// Returns the format of a type of values. Strings have offsets of 64 bits, or of 32.
fn format_of(kind: ValueKind, is_large: bool) -> &'static CStr {
    match kind {
        ValueKind::Unit => c"n",
        ValueKind::Bool => c"b",
        ValueKind::I8 => c"c",
        ValueKind::U8 => c"C",
        ValueKind::I16 => c"s",
        ValueKind::U16 => c"S",
        ValueKind::I32 => c"i",
        ValueKind::U32 | ValueKind::Char => c"I",
        ValueKind::I64 => c"l",
        ValueKind::F32 => c"f",
        ValueKind::F64 => c"g",
        ValueKind::Bytes if is_large => c"Z",
        ValueKind::Bytes => c"z",
        _ => c"L",
    }
}

/// Returns the format of keys.
fn key_format(form: KeyForm) -> &'static CStr {
    match form {
        KeyForm::Bytes => c"z",
        KeyForm::Str => c"u",
    }
}

/// What a schema refers to.
struct SchemaOwner {
    name: CString,
    /// Those that the consumer has not moved out are released with this one.
    _children: Vec<ArrowSchema>,
    pointers: Vec<*mut ArrowSchema>,
}

fn schema(format: &'static CStr, name: &str, mut children: Vec<ArrowSchema>) -> ArrowSchema {
    let pointers = children.iter_mut().map(|child| &raw mut *child).collect();
    let name = CString::new(name).unwrap_or_default();
    let owner = Box::new(SchemaOwner { name, _children: children, pointers });
    let owner = Box::leak(owner);
    ArrowSchema {
        format: format.as_ptr(),
        name: owner.name.as_ptr(),
        metadata: ptr::null(),
        flags: if format == c"+s" { 0 } else { NULLABLE },
        n_children: owner.pointers.len() as i64,
        children: owner.pointers.as_mut_ptr(),
        dictionary: ptr::null_mut(),
        release: Some(release_schema),
        private_data: (&raw mut *owner).cast(),
    }
}

unsafe extern "C" fn release_schema(schema: *mut ArrowSchema) {
    // SAFETY: (A4) the structure is `schema`'s, so its private data is a box of this type.
    unsafe {
        drop(Box::from_raw((*schema).private_data.cast::<SchemaOwner>()));
        (*schema).release = None;
    }
}

/// What an array refers to.
struct ArrayOwner {
    _data: Buffers,
    buffers: Vec<*const c_void>,
    _children: Vec<ArrowArray>,
    pointers: Vec<*mut ArrowArray>,
}

/// The memory of buffers, which moves with its owner and stays where it is.
enum Buffers {
    None,
    Column(Column),
    /// Strings with offsets of 32 bits.
    Strings(Vec<i32>, Vec<u8>, Option<Vec<u8>>),
}

fn array(length: usize, nulls: usize, data: Buffers, mut children: Vec<ArrowArray>) -> ArrowArray {
    let pointers = children.iter_mut().map(|child| &raw mut *child).collect();
    let owner = Box::leak(Box::new(ArrayOwner {
        _data: data,
        buffers: Vec::new(),
        _children: children,
        pointers,
    }));
    let bits = |bits: Option<&Vec<u8>>| bits.map_or(ptr::null(), |bits| bits.as_ptr().cast());
    owner.buffers = match &owner._data {
        Buffers::None => vec![ptr::null()],
        Buffers::Strings(ends, bytes, valid) => {
            vec![bits(valid.as_ref()), ends.as_ptr().cast(), bytes.as_ptr().cast()]
        }
        Buffers::Column(column) => {
            let valid = bits(column.valid.as_ref().map(|valid| &valid.bytes));
            match &column.data {
                Data::Unit => vec![],
                Data::One(values) => vec![valid, values.as_ptr().cast()],
                Data::Two(values) => vec![valid, values.as_ptr().cast()],
                Data::Four(values) => vec![valid, values.as_ptr().cast()],
                Data::Eight(values) => vec![valid, values.as_ptr().cast()],
                Data::Bits(values) => vec![valid, values.bytes.as_ptr().cast()],
                Data::Strings(strings) => {
                    vec![valid, strings.ends.as_ptr().cast(), strings.bytes.as_ptr().cast()]
                }
            }
        }
    };
    ArrowArray {
        length: length as i64,
        null_count: nulls as i64,
        offset: 0,
        n_buffers: owner.buffers.len() as i64,
        n_children: owner.pointers.len() as i64,
        buffers: owner.buffers.as_mut_ptr(),
        children: owner.pointers.as_mut_ptr(),
        dictionary: ptr::null_mut(),
        release: Some(release_array),
        private_data: (&raw mut *owner).cast(),
    }
}

unsafe extern "C" fn release_array(array: *mut ArrowArray) {
    // SAFETY: (A4) the structure is `array`'s, so its private data is a box of this type.
    unsafe {
        drop(Box::from_raw((*array).private_data.cast::<ArrayOwner>()));
        (*array).release = None;
    }
}

/// Returns a column as an array. Its strings have offsets of 32 bits unless `is_large`.
fn array_of(column: Column, is_large: bool) -> Result<ArrowArray, String> {
    let (len, nulls) = (column.len(), column.nulls);
    // An array of the type null has nothing but nulls.
    let nulls = if column.kind == ValueKind::Unit { len } else { nulls };
    match column.data {
        Data::Strings(strings) if !is_large => {
            let strings = small(strings, column.valid.map(|valid| valid.bytes))?;
            Ok(array(len, nulls, strings, Vec::new()))
        }
        _ => Ok(array(len, nulls, Buffers::Column(column), Vec::new())),
    }
}

/// Returns whether each of the strings is UTF-8: all together are, and none begins in the middle of
/// a character.
fn is_utf8(strings: &Strings) -> bool {
    std::str::from_utf8(&strings.bytes)
        .is_ok_and(|text| strings.ends.iter().all(|&end| text.is_char_boundary(end as usize)))
}

/// Returns strings with offsets of 32 bits.
fn small(strings: Strings, valid: Option<Vec<u8>>) -> Result<Buffers, String> {
    let ends: Result<_, _> = strings.ends.iter().map(|&end| i32::try_from(end)).collect();
    let too_long = |_| "a key or value has more than 2147483647 bytes".to_owned();
    Ok(Buffers::Strings(ends.map_err(too_long)?, strings.bytes, valid))
}

/// Many values, as `get_many` returns them for an array of Arrow.
///
/// Any library of Arrow reads it: `pyarrow.array(values)`, `polars.Series(values)`.
#[pyclass(frozen, module = "memkv")]
pub(crate) struct Array {
    column: Column,
}

impl Array {
    pub(crate) fn new(column: Column) -> Self {
        Array { column }
    }

    fn format(&self) -> &'static CStr {
        format_of(self.column.kind, true)
    }
}

#[pymethods]
impl Array {
    fn __len__(&self) -> usize {
        self.column.len()
    }

    fn __repr__(&self) -> String {
        format!("<memkv.Array of {} values>", self.column.len())
    }

    /// Returns the values as a list, with `None` for nulls.
    fn to_pylist<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        objects(py, &self.column)
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        PyCapsule::new_with_value(py, schema(self.format(), "", Vec::new()), c"arrow_schema")
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        drop(requested_schema);
        let mut copy = Column::new(self.column.kind, self.column.len());
        copy.append(&self.column);
        let array = array_of(copy, true).map_err(PyValueError::new_err)?;
        let array = PyCapsule::new_with_value(py, array, c"arrow_array")?;
        PyTuple::new(py, [self.__arrow_c_schema__(py)?, array])
    }
}

/// Returns a list of a column's values.
pub(crate) fn objects<'py>(py: Python<'py>, column: &Column) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for i in 0..column.len() {
        list.append(column.object(py, i)?)?;
    }
    Ok(list)
}

/// The keys of a range and their values, as batches of Arrow.
///
/// Any library of Arrow reads it, once: `pyarrow.table(batches)`, `polars.DataFrame(batches)`,
/// `pyarrow.RecordBatchReader.from_stream(batches)`. The columns are `key` and `value`.
#[pyclass(module = "memkv")]
pub(crate) struct Batches {
    stream: Option<ScanStream>,
    kind: ValueKind,
    form: KeyForm,
}

impl Batches {
    pub(crate) fn new(stream: ScanStream) -> Self {
        Batches { kind: stream.index.kind(), form: stream.form, stream: Some(stream) }
    }
}

#[pymethods]
impl Batches {
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        PyCapsule::new_with_value(py, table_schema(self.kind, self.form), c"arrow_schema")
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &mut self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        drop(requested_schema);
        let stream = self
            .stream
            .take()
            .ok_or_else(|| PyValueError::new_err("these batches have been read"))?;
        PyCapsule::new_with_value(py, stream.into_arrow(), c"arrow_array_stream")
    }
}

fn table_schema(kind: ValueKind, form: KeyForm) -> ArrowSchema {
    let columns = vec![
        schema(key_format(form), "key", Vec::new()),
        schema(format_of(kind, false), "value", Vec::new()),
    ];
    schema(c"+s", "", columns)
}

/// A scan that is read as batches.
pub(crate) struct ScanStream {
    pub(crate) index: Arc<dyn Index>,
    pub(crate) scan: Scan,
    pub(crate) form: KeyForm,
    pub(crate) batch_keys: usize,
    /// Bytes of the keys of the last batch: the next one will have about as many.
    pub(crate) key_bytes: usize,
}

/// What a stream refers to.
struct StreamOwner {
    stream: ScanStream,
    error: CString,
}

impl ScanStream {
    fn into_arrow(self) -> ArrowArrayStream {
        let owner = Box::new(StreamOwner { stream: self, error: CString::default() });
        ArrowArrayStream {
            get_schema: Some(stream_schema),
            get_next: Some(stream_next),
            get_last_error: Some(stream_error),
            release: Some(release_stream),
            private_data: Box::into_raw(owner).cast(),
        }
    }

    /// Returns the next batch, released at the end.
    fn next(&mut self) -> Result<ArrowArray, String> {
        let mut records = Records::new(self.index.kind());
        records.keys.reserve(self.batch_keys, self.key_bytes + self.key_bytes / 8);
        let filled = records.fill(&*self.index, &mut self.scan, self.batch_keys, MAX_BATCH_BYTES);
        filled.map_err(|error| error.to_string())?;
        let Records { keys, values } = records;
        self.key_bytes = keys.bytes.len();
        if keys.len() == 0 {
            return Ok(ArrowArray::empty());
        }
        if self.form == KeyForm::Str
            && !is_utf8(&keys)
            && let Some(key) =
                (0..keys.len()).map(|i| keys.get(i)).find(|key| std::str::from_utf8(key).is_err())
        {
            let key = key.escape_ascii();
            return Err(format!("the key b\"{key}\" is not UTF-8: open with keys=\"bytes\""));
        }
        let len = keys.len();
        let keys = array(len, 0, small(keys, None)?, Vec::new());
        Ok(array(len, 0, Buffers::None, vec![keys, array_of(values, false)?]))
    }
}

unsafe extern "C" fn stream_schema(stream: *mut ArrowArrayStream, out: *mut ArrowSchema) -> c_int {
    // SAFETY: (A4) the structure is `stream`'s, which is not released; `out` is to be filled.
    unsafe {
        let owner = &*(*stream).private_data.cast::<StreamOwner>();
        out.write(table_schema(owner.stream.index.kind(), owner.stream.form));
    }
    0
}

unsafe extern "C" fn stream_next(stream: *mut ArrowArrayStream, out: *mut ArrowArray) -> c_int {
    /// The number of an input/output error, on all systems.
    const EIO: c_int = 5;
    // SAFETY: (A4) the structure is `stream`'s, which is not released, and is used by one thread.
    let owner = unsafe { &mut *(*stream).private_data.cast::<StreamOwner>() };
    match owner.stream.next() {
        Ok(array) => {
            // SAFETY: (A4) `out` is to be filled.
            unsafe { out.write(array) };
            0
        }
        Err(error) => {
            owner.error = CString::new(error.replace('\0', "\\0")).unwrap_or_default();
            EIO
        }
    }
}

unsafe extern "C" fn stream_error(stream: *mut ArrowArrayStream) -> *const c_char {
    // SAFETY: (A4) the structure is `stream`'s, which is not released.
    unsafe { (*(*stream).private_data.cast::<StreamOwner>()).error.as_ptr() }
}

unsafe extern "C" fn release_stream(stream: *mut ArrowArrayStream) {
    // SAFETY: (A4) the structure is `stream`'s, so its private data is a box of this type.
    unsafe {
        drop(Box::from_raw((*stream).private_data.cast::<StreamOwner>()));
        (*stream).release = None;
    }
}
