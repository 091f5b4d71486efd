//! Columns of other libraries as keys and values.

use super::ffi::{ArrowArray, ArrowArrayStream, ArrowSchema};
use crate::column::field_of;
use crate::value::Field;
use memkv::ValueKind;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use std::ops::Range;
use std::sync::Arc;

/// Returns whether an object is an array of Arrow, or several.
pub(crate) fn is_arrow(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(object.hasattr("__arrow_c_array__")? || object.hasattr("__arrow_c_stream__")?)
}

/// Returns whether an object is several arrays, and not one.
pub(crate) fn is_stream(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(!object.hasattr("__arrow_c_array__")?)
}

/// Moves a structure out of a capsule.
macro_rules! take {
    ($capsule:expr, $name:expr, $t:ident) => {{
        let capsule = $capsule.cast::<PyCapsule>()?;
        let pointer = capsule.pointer_checked(Some($name))?.cast::<$t>();
        // SAFETY: (A1) a capsule of this name has this structure. The owner of this interpreter's
        // lock moves it out, and leaves a released one.
        unsafe { std::ptr::replace(pointer.as_ptr(), $t::empty()) }
    }};
}

/// The arrays of an object, one after the other.
pub(crate) struct ArrayStream {
    schema: Arc<ArrowSchema>,
    source: Source,
}

enum Source {
    Array(Option<ArrowArray>),
    Stream(ArrowArrayStream),
}

/// The columns of an array: itself, or those of a table.
pub(crate) struct Columns {
    schema: Arc<ArrowSchema>,
    array: Arc<ArrowArray>,
}

impl ArrayStream {
    /// Reads an object that [`is_arrow`].
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        if is_stream(object)? {
            let capsule = object.call_method0("__arrow_c_stream__")?;
            let mut stream = take!(capsule, c"arrow_array_stream", ArrowArrayStream);
            let schema = object.py().detach(|| stream.schema()).map_err(failed)?;
            return Ok(ArrayStream { schema: Arc::new(schema), source: Source::Stream(stream) });
        }
        let pair = object.call_method0("__arrow_c_array__")?;
        let (schema, array): (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair.extract()?;
        let schema = take!(schema, c"arrow_schema", ArrowSchema);
        let array = take!(array, c"arrow_array", ArrowArray);
        if array.release.is_none() || schema.release.is_none() {
            return Err(PyValueError::new_err("the array, or its type, is released"));
        }
        Ok(ArrayStream { schema: Arc::new(schema), source: Source::Array(Some(array)) })
    }

    /// Returns the number of columns of a table, or `None` if the arrays are one column.
    pub(crate) fn table_columns(&self) -> Option<usize> {
        (self.schema.format() == b"+s").then(|| self.schema.children().len())
    }

    /// Returns the kind of the values in a column, if it is one of values.
    pub(crate) fn kind(&self, column: usize) -> PyResult<ValueKind> {
        let schema = column_of(&self.schema, column)?;
        kind_of(schema.format()).ok_or_else(|| unknown("values", schema))
    }

    /// Refuses a column that is not one of strings.
    pub(crate) fn check_strings(&self, column: usize) -> PyResult<()> {
        layout_of(column_of(&self.schema, column)?).map(drop)
    }

    /// Returns the next array that is not empty.
    pub(crate) fn next(&mut self, py: Python<'_>) -> PyResult<Option<Columns>> {
        loop {
            let array = match &mut self.source {
                Source::Array(array) => match array.take() {
                    Some(array) => array,
                    None => return Ok(None),
                },
                // A stream may compute, and may need the interpreter's lock for that.
                Source::Stream(stream) => py.detach(|| stream.next()).map_err(failed)?,
            };
            if array.release.is_none() {
                return Ok(None);
            }
            if array.length < 0 || array.offset < 0 {
                return Err(PyValueError::new_err("an Arrow array has a negative length"));
            }
            if array.length > 0 {
                let schema = Arc::clone(&self.schema);
                return Ok(Some(Columns { schema, array: Arc::new(array) }));
            }
        }
    }
}

impl Columns {
    /// Returns a column as strings.
    pub(crate) fn strings(&self, column: usize) -> PyResult<StringArray> {
        let schema = column_of(&self.schema, column)?;
        let layout = layout_of(schema)?;
        let part = self.part(schema, column)?;
        let needs = if layout == Strings::Views { 2 } else { 3 };
        part.require(needs)?;
        let strings = StringArray { part, layout };
        strings.check()?;
        Ok(strings)
    }

    /// Returns a column as values.
    pub(crate) fn values(&self, column: usize) -> PyResult<ValueArray> {
        let schema = column_of(&self.schema, column)?;
        let kind = kind_of(schema.format()).ok_or_else(|| unknown("values", schema))?;
        if kind == ValueKind::Bytes {
            return Ok(ValueArray::Strings(self.strings(column)?));
        }
        let part = self.part(schema, column)?;
        if kind != ValueKind::Unit {
            part.require(2)?;
        }
        Ok(ValueArray::Words(part, kind))
    }

    fn part(&self, schema: &ArrowSchema, column: usize) -> PyResult<Part> {
        if !schema.dictionary.is_null() {
            return Err(PyTypeError::new_err("a column is dictionary encoded: cast it first"));
        }
        let array = &*self.array;
        let (length, start) = (array.length as usize, array.offset as usize);
        let is_table = self.schema.format() == b"+s";
        let (column, start) = if is_table {
            let columns = if array.children.is_null() { 0 } else { array.n_children };
            let child = (column < usize::try_from(columns).unwrap_or(0))
                // SAFETY: (A1) there are as many children, which live as long as the array.
                .then(|| unsafe { (*array.children.add(column)).as_ref() });
            let Some(child): Option<&ArrowArray> = child.flatten() else {
                return Err(PyValueError::new_err("a table has fewer columns than its type"));
            };
            if child.offset < 0 || child.length < array.offset.saturating_add(array.length) {
                return Err(PyValueError::new_err("a column is shorter than its table"));
            }
            (child as *const ArrowArray, start + child.offset as usize)
        } else {
            (array as *const ArrowArray, start)
        };
        let owner = Arc::clone(&self.array);
        if is_table {
            let range = array.offset as usize..array.offset as usize + length;
            let rows = Part { column: &*self.array, owner: Arc::clone(&owner), range };
            if (0..length).any(|i| rows.is_null(i)) {
                return Err(PyValueError::new_err("a row of a table is null"));
            }
        }
        Ok(Part { column, owner, range: start..start + length })
    }
}

/// Returns the layout of strings.
///
/// # Errors
/// The type is another one.
fn layout_of(schema: &ArrowSchema) -> PyResult<Strings> {
    if !schema.dictionary.is_null() {
        return Err(PyTypeError::new_err("a column is dictionary encoded: cast it first"));
    }
    match schema.format() {
        b"u" | b"z" => Ok(Strings::Offsets32),
        b"U" | b"Z" => Ok(Strings::Offsets64),
        b"vu" | b"vz" => Ok(Strings::Views),
        _ => Err(unknown("keys", schema)),
    }
}

/// Returns the type of a column.
fn column_of(schema: &ArrowSchema, column: usize) -> PyResult<&ArrowSchema> {
    if schema.format() == b"+s" {
        let columns = schema.children();
        return columns.get(column).copied().ok_or_else(|| {
            PyTypeError::new_err(format!(
                "a table of {} columns is given, where keys, or keys and values, are expected",
                columns.len()
            ))
        });
    }
    Ok(schema)
}

fn failed(error: String) -> PyErr {
    PyValueError::new_err(format!("an Arrow stream failed: {error}"))
}

fn unknown(what: &str, schema: &ArrowSchema) -> PyErr {
    let format = String::from_utf8_lossy(schema.format()).into_owned();
    let expected = match what {
        "keys" => "string, binary, their large and view types",
        _ => "integers, floats, bool, binary, string, null",
    };
    PyTypeError::new_err(format!(
        "{what} in Arrow are of one of the types {expected}, not of format {format:?}"
    ))
}

/// Returns the kind of values that a type has.
fn kind_of(format: &[u8]) -> Option<ValueKind> {
    Some(match format {
        b"n" => ValueKind::Unit,
        b"b" => ValueKind::Bool,
        b"c" => ValueKind::I8,
        b"C" => ValueKind::U8,
        b"s" => ValueKind::I16,
        b"S" => ValueKind::U16,
        b"i" => ValueKind::I32,
        b"I" => ValueKind::U32,
        b"l" => ValueKind::I64,
        b"L" => ValueKind::U64,
        b"f" => ValueKind::F32,
        b"g" => ValueKind::F64,
        b"u" | b"z" | b"U" | b"Z" | b"vu" | b"vz" => ValueKind::Bytes,
        _ => return None,
    })
}

/// Some elements of an array.
pub(crate) struct Part {
    /// The array, or one of its children.
    column: *const ArrowArray,
    owner: Arc<ArrowArray>,
    /// The elements' places in the buffers.
    range: Range<usize>,
}

// SAFETY: (A2) `column` is `owner` or a part of it, and is only read.
unsafe impl Send for Part {}
// SAFETY: (A2) as above.
unsafe impl Sync for Part {}

impl Part {
    fn column(&self) -> &ArrowArray {
        debug_assert!(self.owner.release.is_some());
        // SAFETY: (A1) it lives as long as `owner`.
        unsafe { &*self.column }
    }

    /// Returns a buffer.
    fn buffer<T>(&self, i: usize) -> *const T {
        // SAFETY: (A1) `require` has found that there are as many buffers.
        unsafe { (*self.column().buffers.add(i)).cast() }
    }

    /// Refuses an array that has fewer buffers than its type needs.
    fn require(&self, buffers: i64) -> PyResult<()> {
        let column = self.column();
        if column.n_buffers < buffers || column.buffers.is_null() {
            return Err(PyValueError::new_err("an Arrow array has too few buffers"));
        }
        let has = |i| !self.buffer::<u8>(i).is_null();
        // Strings that are all empty may have no bytes.
        if !self.range.is_empty() && !has(1) {
            return Err(PyValueError::new_err("an Arrow array has no values"));
        }
        Ok(())
    }

    #[inline]
    fn is_null(&self, i: usize) -> bool {
        if self.column().n_buffers < 1 || self.column().buffers.is_null() {
            return false;
        }
        let bits = self.buffer::<u8>(0);
        let at = self.range.start + i;
        // SAFETY: (A1) a buffer of validity has a bit for each element.
        !bits.is_null() && unsafe { *bits.add(at / 8) } >> (at % 8) & 1 == 0
    }

    /// Returns an element of buffer 1.
    #[inline]
    fn word<T: Copy>(&self, i: usize) -> T {
        debug_assert!(i < self.range.len());
        // SAFETY: (A1) the buffer has an element for each; it need not be aligned.
        unsafe { self.buffer::<T>(1).add(self.range.start + i).read_unaligned() }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Strings {
    Offsets32,
    Offsets64,
    /// Up to 12 bytes in the element, or the first four of them and where they are.
    Views,
}

/// A column of byte strings. Strings of text are read as bytes: whether they are UTF-8 is of no
/// concern here.
pub(crate) struct StringArray {
    part: Part,
    layout: Strings,
}

/// Bytes of a string that a view has itself.
const MAX_INLINE_LEN: usize = 12;

impl StringArray {
    pub(crate) fn len(&self) -> usize {
        self.part.range.len()
    }

    /// Refuses offsets that descend, and views beyond their buffers.
    fn check(&self) -> PyResult<()> {
        let is_ascending = match self.layout {
            Strings::Views => (0..self.len()).all(|i| self.view(i).is_some()),
            _ => (0..self.len()).all(|i| {
                let (start, end) = self.offsets(i);
                0 <= start && start <= end
            }),
        };
        let has_bytes = match self.layout {
            Strings::Views => true,
            _ => {
                !self.part.buffer::<u8>(2).is_null() || {
                    self.len() == 0 || self.offsets(0).0 == self.offsets(self.len() - 1).1
                }
            }
        };
        if is_ascending && has_bytes {
            Ok(())
        } else {
            Err(PyValueError::new_err("an Arrow array of strings is damaged"))
        }
    }

    #[inline]
    fn offsets(&self, i: usize) -> (i64, i64) {
        // SAFETY: (A1) there is one offset more than there are elements.
        unsafe {
            let at = self.part.range.start + i;
            if self.layout == Strings::Offsets32 {
                let offsets = self.part.buffer::<i32>(1).add(at);
                (offsets.read_unaligned().into(), offsets.add(1).read_unaligned().into())
            } else {
                let offsets = self.part.buffer::<i64>(1).add(at);
                (offsets.read_unaligned(), offsets.add(1).read_unaligned())
            }
        }
    }

    /// Returns the string of a view, or `None` if it is not within its buffer.
    #[inline]
    fn view(&self, i: usize) -> Option<&[u8]> {
        if self.part.is_null(i) {
            return Some(b"");
        }
        let [len, _, buffer, start]: [i32; 4] = self.part.word(i);
        let len = usize::try_from(len).ok()?;
        if len <= MAX_INLINE_LEN {
            // SAFETY: (A1) the element has 16 bytes, of which these are the last 12.
            let bytes =
                unsafe { self.part.buffer::<u8>(1).add(16 * (self.part.range.start + i) + 4) };
            // SAFETY: (A1) as above.
            return Some(unsafe { std::slice::from_raw_parts(bytes, len) });
        }
        let column = self.part.column();
        // After the elements come the buffers of bytes, and last the lengths of these.
        let buffers = usize::try_from(column.n_buffers).ok()?.checked_sub(3)?;
        let (buffer, start) = (usize::try_from(buffer).ok()?, usize::try_from(start).ok()?);
        if buffer >= buffers {
            return None;
        }
        let (lens, bytes) =
            (self.part.buffer::<i64>(2 + buffers), self.part.buffer::<u8>(2 + buffer));
        if lens.is_null() || bytes.is_null() {
            return None;
        }
        // SAFETY: (A1) there is a length for each buffer.
        let whole = unsafe { lens.add(buffer).read_unaligned() };
        let end = start.checked_add(len)?;
        if end > usize::try_from(whole).ok()? {
            return None;
        }
        // SAFETY: (A1) the string is within its buffer.
        Some(unsafe { std::slice::from_raw_parts(bytes.add(start), len) })
    }

    /// Returns a string, or `None` if it is null.
    #[inline]
    pub(crate) fn get(&self, i: usize) -> Option<&[u8]> {
        assert!(i < self.len(), "a string of an Arrow array");
        if self.part.is_null(i) {
            return None;
        }
        if self.layout == Strings::Views {
            return self.view(i);
        }
        let (start, end) = self.offsets(i);
        if start == end {
            return Some(b"");
        }
        let bytes = self.part.buffer::<u8>(2);
        // SAFETY: (A1, A3) `check` has found that the offsets ascend, and that there are bytes.
        Some(unsafe {
            std::slice::from_raw_parts(bytes.add(start as usize), (end - start) as usize)
        })
    }
}

/// A column of values.
pub(crate) enum ValueArray {
    Words(Part, ValueKind),
    Strings(StringArray),
}

impl ValueArray {
    pub(crate) fn len(&self) -> usize {
        match self {
            ValueArray::Words(part, _) => part.range.len(),
            ValueArray::Strings(strings) => strings.len(),
        }
    }

    /// Returns a value, or `None` if it is null.
    pub(crate) fn get(&self, i: usize) -> Option<Field<'_>> {
        let (part, kind) = match self {
            ValueArray::Words(part, kind) => (part, *kind),
            ValueArray::Strings(strings) => return strings.get(i).map(Field::Bytes),
        };
        assert!(i < part.range.len(), "a value of an Arrow array");
        if kind == ValueKind::Unit {
            return Some(Field::Unit);
        }
        if part.is_null(i) {
            return None;
        }
        let word = match kind {
            ValueKind::U8 | ValueKind::I8 => part.word::<u8>(i).into(),
            ValueKind::U16 | ValueKind::I16 => part.word::<u16>(i).into(),
            ValueKind::U32 | ValueKind::I32 | ValueKind::F32 => part.word::<u32>(i).into(),
            ValueKind::Bool => {
                let at = part.range.start + i;
                // SAFETY: (A1) the buffer has a bit for each element.
                (unsafe { *part.buffer::<u8>(1).add(at / 8) } >> (at % 8) & 1).into()
            }
            _ => part.word::<u64>(i),
        };
        Some(field_of(kind, word))
    }
}
