//! Scans, some hundreds of records at a time.
//!
//! An iterator in Python may live as long as it likes. So it holds no place in the index: each
//! refill begins after the last key of the one before. That costs a lookup, and what other threads
//! insert or remove in between is seen or not, as it would be by a scan that stays.

use crate::column::{Column, Strings};
use crate::index::{Index, Pattern, Result};
use crate::text::{KeyForm, KeyRange};
use crate::value::Field;
use memkv::ValueKind;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::PyTuple;
use std::ops::Bound as End;
use std::sync::{Arc, Mutex};

/// Records of the first refill. Each refill has twice as many as the one before it.
const FIRST_RECORDS: usize = 16;
const MAX_RECORDS: usize = 4096;
const MAX_RECORD_BYTES: usize = 1 << 22;
/// Records for which there is memory before they are there.
const MAX_RESERVED_RECORDS: usize = 1 << 16;

/// What is left of a range.
pub(crate) struct Scan {
    pub(crate) range: KeyRange,
    pub(crate) is_reverse: bool,
    is_done: bool,
}

impl Scan {
    pub(crate) fn new(range: KeyRange, is_reverse: bool) -> Self {
        Scan { range, is_reverse, is_done: false }
    }

    /// Leaves what follows a key, or nothing if all keys have been read.
    fn go_on(&mut self, last: Option<&[u8]>) {
        match last {
            Some(key) if self.is_reverse => self.range.hi = End::Excluded(key.to_vec()),
            Some(key) => self.range.lo = End::Excluded(key.to_vec()),
            None => self.is_done = true,
        }
    }
}

/// Keys and their values.
pub(crate) struct Records {
    pub(crate) keys: Strings,
    pub(crate) values: Column,
}

impl Records {
    pub(crate) fn new(kind: ValueKind) -> Self {
        Records { keys: Strings::default(), values: Column::new(kind, 0) }
    }

    /// Reads up to a number of records, or of bytes.
    pub(crate) fn fill(
        &mut self,
        index: &dyn Index,
        scan: &mut Scan,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<()> {
        self.fill_by(scan, max_records, max_bytes, |scan, take| {
            index.scan(&scan.range, scan.is_reverse, take)
        })
    }

    /// Removes all, and makes room for some.
    fn clear(&mut self, records: usize) {
        self.keys.clear();
        self.values = Column::new(self.values.kind, records.min(MAX_RESERVED_RECORDS));
    }

    fn fill_by(
        &mut self,
        scan: &mut Scan,
        max_records: usize,
        max_bytes: usize,
        read: impl FnOnce(&Scan, &mut dyn FnMut(&[u8], Field<'_>) -> bool) -> Result<()>,
    ) -> Result<()> {
        self.clear(max_records);
        if scan.is_done {
            return Ok(());
        }
        let (mut is_full, mut bytes) = (false, 0);
        let read = read(scan, &mut |key, value| {
            bytes += key.len() + if let Field::Bytes(value) = value { value.len() } else { 0 };
            // One record at least, whatever its size.
            is_full = bytes > max_bytes && self.keys.len() > 0;
            if !is_full {
                self.keys.push(key);
                self.values.push(value);
                is_full = self.keys.len() >= max_records;
            }
            !is_full
        });
        read.inspect_err(|_| self.clear(0))?;
        let last = self.keys.len().checked_sub(1).filter(|_| is_full);
        scan.go_on(last.map(|last| self.keys.get(last)));
        Ok(())
    }
}

/// What an iterator yields.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Yield {
    Keys,
    Items,
}

/// What an iterator reads of a range.
pub(crate) enum Origin {
    Range,
    Matches(Pattern),
}

/// An iterator over keys, or over pairs of a key and its value.
///
/// Threads may share one: each item goes to one of them.
#[pyclass(frozen, module = "memkv", name = "_Iterator")]
pub(crate) struct RecordIterator {
    reader: Mutex<Reader>,
    form: KeyForm,
    yields: Yield,
}

/// The place of an iterator.
struct Reader {
    index: Arc<dyn Index>,
    origin: Origin,
    scan: Scan,
    records: Records,
    next: usize,
    max_records: usize,
}

impl RecordIterator {
    pub(crate) fn new(
        index: Arc<dyn Index>,
        origin: Origin,
        scan: Scan,
        form: KeyForm,
        yields: Yield,
    ) -> Self {
        let records = Records::new(index.kind());
        let (next, max_records) = (0, FIRST_RECORDS);
        let reader = Reader { index, origin, scan, records, next, max_records };
        RecordIterator { reader: Mutex::new(reader), form, yields }
    }
}

impl Reader {
    /// Reads the next records. After an error the next call tries it again.
    fn refill(&mut self, py: Python<'_>) -> PyResult<()> {
        let (scan, records, max_records) = (&mut self.scan, &mut self.records, self.max_records);
        let index = &*self.index;
        self.next = 0;
        match &self.origin {
            Origin::Matches(pattern) => py.detach(|| {
                records.fill_by(scan, max_records, MAX_RECORD_BYTES, |scan, take| {
                    match index.as_ranked() {
                        Some(index) => index.search(pattern, &scan.range, take),
                        None => Ok(()),
                    }
                })
            }),
            // A short scan takes less time than it takes to get the interpreter's lock back.
            Origin::Range if max_records == FIRST_RECORDS => {
                records.fill(index, scan, max_records, MAX_RECORD_BYTES)
            }
            Origin::Range => py.detach(|| records.fill(index, scan, max_records, MAX_RECORD_BYTES)),
        }?;
        self.max_records = (2 * max_records).min(MAX_RECORDS);
        Ok(())
    }
}

#[pymethods]
impl RecordIterator {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut reader = match self.reader.lock_py_attached(py) {
            Ok(reader) => reader,
            Err(poisoned) => poisoned.into_inner(),
        };
        if reader.next == reader.records.keys.len() {
            reader.refill(py)?;
            if reader.records.keys.len() == 0 {
                return Ok(None);
            }
        }
        let i = reader.next;
        reader.next += 1;
        let key = self.form.object(py, reader.records.keys.get(i))?;
        if self.yields == Yield::Keys {
            return Ok(Some(key));
        }
        let value = reader.records.values.object(py, i)?;
        // A tuple may start the collector of garbage, which runs any code.
        drop(reader);
        Ok(Some(PyTuple::new(py, [key, value])?.into_any()))
    }
}
