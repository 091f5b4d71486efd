//! What the classes have in common: `_Sorted` for all, `_SortedMapping` for those with values,
//! `_Frozen` for layers and sets of layers.

use crate::arrow::{Batches, ScanStream};
use crate::batch::{Ask, ask_many};
use crate::errors::Error;
use crate::index::{Index, Pattern, Ranked};
use crate::records::{Origin, RecordIterator, Scan, Yield};
use crate::text::{KeyForm, KeyRange, bytes_of};
use crate::value::name_of;
use memkv::{LevenshteinAutomaton, RegexAutomaton};
use pyo3::PyTraverseError;
use pyo3::exceptions::{PyIndexError, PyKeyError, PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::sync::{Arc, PoisonError, RwLock};

/// An ordered collection of keys.
///
/// Keys are byte strings, in the order of their bytes. Arguments may be ``bytes`` or ``str``, which
/// means its UTF-8. What comes out is ``bytes``, or ``str`` if the collection was opened or made
/// with ``keys="str"``.
#[pyclass(subclass, frozen, weakref, module = "memkv._memkv", name = "_Sorted")]
pub(crate) struct Sorted {
    /// `None` once it is closed.
    index: RwLock<Option<Arc<dyn Index>>>,
    pub(crate) form: KeyForm,
    yields: Yield,
    /// What it is, in messages.
    what: &'static str,
}

impl Sorted {
    pub(crate) fn new(
        index: Arc<dyn Index>,
        form: KeyForm,
        yields: Yield,
        what: &'static str,
    ) -> Self {
        Sorted { index: RwLock::new(Some(index)), form, yields, what }
    }

    /// Returns the index.
    ///
    /// # Errors
    /// It is closed.
    pub(crate) fn index(&self) -> PyResult<Arc<dyn Index>> {
        self.with(|index| Ok(Arc::clone(index)))
    }

    /// Passes the index to `work`, which is short.
    #[inline]
    pub(crate) fn with<R>(
        &self,
        work: impl FnOnce(&Arc<dyn Index>) -> Result<R, Error>,
    ) -> PyResult<R> {
        match &*self.index.read().unwrap_or_else(PoisonError::into_inner) {
            Some(index) => Ok(work(index)?),
            None => Err(PyValueError::new_err(format!("the {} is closed", self.what))),
        }
    }

    /// Replaces the index, or closes this with `None`. Returns the one before.
    pub(crate) fn replace(&self, index: Option<Arc<dyn Index>>) -> Option<Arc<dyn Index>> {
        std::mem::replace(&mut *self.index.write().unwrap_or_else(PoisonError::into_inner), index)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.index.read().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    fn iterator(
        &self,
        range: KeyRange,
        is_reverse: bool,
        yields: Yield,
    ) -> PyResult<RecordIterator> {
        let scan = Scan::new(range, is_reverse);
        Ok(RecordIterator::new(self.index()?, Origin::Range, scan, self.form, yields))
    }

    /// Returns the error of a key that is absent.
    pub(crate) fn missing(&self, key: &Bound<'_, PyAny>) -> PyErr {
        PyKeyError::new_err(key.clone().unbind())
    }

    /// Returns a record as this yields it.
    pub(crate) fn record<'py>(
        &self,
        py: Python<'py>,
        read: impl FnOnce(&dyn Index, crate::index::Take<'_>) -> Result<(), Error>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut found = None;
        // Not under the lock: what makes an object may start the collector of garbage, which may
        // run code that closes this.
        read(&*self.index()?, &mut |key, value| {
            found = Some(self.yielded(py, key, || value.object(py)));
            false
        })?;
        found.transpose()
    }

    /// Returns a key, or a pair of a key and its value, as this yields it.
    pub(crate) fn yielded<'py>(
        &self,
        py: Python<'py>,
        key: &[u8],
        value: impl FnOnce() -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let key = self.form.object(py, key)?;
        match self.yields {
            Yield::Keys => Ok(key),
            Yield::Items => Ok((key, value()?).into_pyobject(py)?.into_any()),
        }
    }
}

#[pymethods]
impl Sorted {
    fn __len__(&self) -> PyResult<usize> {
        let len = self.with(|index| Ok(index.len()))?;
        usize::try_from(len).map_err(|_| PyOverflowError::new_err("more keys than sys.maxsize"))
    }

    fn __contains__(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        let key = bytes_of(key)?;
        self.with(|index| index.contains(&key))
    }

    fn __iter__(&self) -> PyResult<RecordIterator> {
        self.iterator(KeyRange::ALL, false, Yield::Keys)
    }

    fn __reversed__(&self) -> PyResult<RecordIterator> {
        self.iterator(KeyRange::ALL, true, Yield::Keys)
    }

    /// Whether it is closed.
    #[getter]
    fn closed(&self) -> bool {
        self.is_closed()
    }

    /// The form of keys that come out, ``"bytes"`` or ``"str"``.
    #[getter]
    fn key_type(&self) -> &'static str {
        self.form.name()
    }

    /// Returns an iterator over what is in the range from ``lo`` to ``hi``, which is not included.
    ///
    /// Either end may be ``None``. Of a mapping the items are pairs of a key and its value, else
    /// keys; descending with ``reverse=True``. What other threads change in between is seen or not.
    #[pyo3(signature = (lo=None, hi=None, reverse=false))]
    fn range(
        &self,
        lo: Option<&Bound<'_, PyAny>>,
        hi: Option<&Bound<'_, PyAny>>,
        reverse: bool,
    ) -> PyResult<RecordIterator> {
        self.iterator(KeyRange::between(lo, hi)?, reverse, self.yields)
    }

    /// Returns an iterator over the keys between two keys, as ``sortedcontainers`` has it.
    ///
    /// ``inclusive`` says which of the two belong to the range.
    #[pyo3(signature = (minimum=None, maximum=None, inclusive=(true, true), reverse=false),
        text_signature = "($self, minimum=None, maximum=None, inclusive=(True, True), \
            reverse=False)")]
    fn irange(
        &self,
        minimum: Option<&Bound<'_, PyAny>>,
        maximum: Option<&Bound<'_, PyAny>>,
        inclusive: (bool, bool),
        reverse: bool,
    ) -> PyResult<RecordIterator> {
        let range = KeyRange::within(minimum, maximum, inclusive)?;
        self.iterator(range, reverse, Yield::Keys)
    }

    /// Returns an iterator over what begins with a prefix, as :meth:`range` does.
    #[pyo3(signature = (prefix, reverse=false))]
    fn prefix(&self, prefix: &Bound<'_, PyAny>, reverse: bool) -> PyResult<RecordIterator> {
        let range = KeyRange::ALL.with_prefix(&bytes_of(prefix)?);
        self.iterator(range, reverse, self.yields)
    }

    /// Returns whether each of many keys is there.
    ///
    /// The answers are an array of Arrow for one of Arrow, with null for null; an array of NumPy
    /// for one of NumPy; a list for any other iterable. The interpreter's lock is released.
    #[pyo3(signature = (keys, *, threads=1))]
    fn contains_many<'py>(
        &self,
        keys: &Bound<'py, PyAny>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        ask_many(&*self.index()?, keys, threads, Ask::IsContained)
    }

    /// Returns the first item, or ``None`` if there is none.
    fn first<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.record(py, |index, take| index.scan(&KeyRange::ALL, false, take))
    }

    /// Returns the last item, or ``None`` if there is none.
    fn last<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.record(py, |index, take| index.scan(&KeyRange::ALL, true, take))
    }

    /// Nothing here refers to other objects of Python.
    fn __traverse__(&self, _visit: pyo3::PyVisit<'_>) -> Result<(), PyTraverseError> {
        Ok(())
    }
}

/// An ordered mapping.
#[pyclass(subclass, frozen, extends = Sorted, module = "memkv._memkv", name = "_SortedMapping")]
pub(crate) struct SortedMapping;

/// Returns a function or class of `memkv._views`.
fn view<'py>(
    py: Python<'py>,
    cell: &PyOnceLock<Py<PyAny>>,
    name: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let view = cell.get_or_try_init(py, || {
        Ok::<_, PyErr>(py.import("memkv._views")?.getattr(name)?.unbind())
    })?;
    Ok(view.bind(py).clone())
}

#[pymethods]
impl SortedMapping {
    fn __getitem__<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let sorted = slf.as_super().get();
        value(sorted, key)?.ok_or_else(|| sorted.missing(key))
    }

    /// Returns the value of a key, or ``default`` if the key is absent.
    #[pyo3(signature = (key, default=None))]
    fn get<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let found = value(slf.as_super().get(), key)?;
        Ok(found.or(default).unwrap_or_else(|| slf.py().None().into_bound(slf.py())))
    }

    /// Returns a view of the keys.
    fn keys<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        static CELL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        view(slf.py(), &CELL, "KeysView")?.call1((slf,))
    }

    /// Returns a view of the values, in the order of their keys.
    fn values<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        static CELL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        view(slf.py(), &CELL, "ValuesView")?.call1((slf,))
    }

    /// Returns a view of the pairs of keys and values.
    fn items<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        static CELL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        view(slf.py(), &CELL, "ItemsView")?.call1((slf,))
    }

    fn __eq__<'py>(
        slf: &Bound<'py, Self>,
        other: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        static CELL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        view(slf.py(), &CELL, "equal")?.call1((slf, other))
    }

    /// The kind of the values, such as ``"u64"``, ``"f64"``, ``"bytes"`` or ``"none"``.
    #[getter]
    fn kind(slf: &Bound<'_, Self>) -> PyResult<&'static str> {
        slf.as_super().get().with(|index| Ok(name_of(index.kind())))
    }

    /// Returns the values of many keys.
    ///
    /// For an array of Arrow it is one of Arrow, with null where a key is absent or null. For an
    /// array of NumPy it is two of NumPy: the values, and which of them are there. For any other
    /// iterable it is a list, with ``None`` where a key is absent. This is faster than a call for
    /// each key. The interpreter's lock is released.
    #[pyo3(signature = (keys, *, threads=1))]
    fn get_many<'py>(
        slf: &Bound<'py, Self>,
        keys: &Bound<'py, PyAny>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        ask_many(&*slf.as_super().get().index()?, keys, threads, Ask::Value)
    }

    /// Returns the longest key that ``key`` begins with, and its value, or ``None``.
    fn longest_prefix<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let key = bytes_of(key)?;
        slf.as_super().get().record(slf.py(), |index, take| {
            index.longest_prefix(&key, &mut |len, value| {
                take(&key[..len], value);
            })
        })
    }

    /// Returns the keys of a range and their values as batches of Arrow, to be read once.
    ///
    /// ``pyarrow.table(mapping.to_arrow())`` makes a table of them. Keys are ``binary``, or
    /// ``string`` with ``keys="str"``, of which those that are not UTF-8 are an error.
    #[pyo3(signature = (prefix=None, lo=None, hi=None, batch_size=65_536))]
    fn to_arrow(
        slf: &Bound<'_, Self>,
        prefix: Option<&Bound<'_, PyAny>>,
        lo: Option<&Bound<'_, PyAny>>,
        hi: Option<&Bound<'_, PyAny>>,
        batch_size: usize,
    ) -> PyResult<Batches> {
        if batch_size == 0 || batch_size > i32::MAX as usize {
            return Err(PyValueError::new_err("batch_size is 0, or more than 2147483647"));
        }
        let range = KeyRange::of(prefix, lo, hi)?;
        let sorted = slf.as_super().get();
        let index = sorted.index()?;
        // Memory is reserved for as many.
        let keys = usize::try_from(index.len()).unwrap_or(usize::MAX);
        Ok(Batches::new(ScanStream {
            index,
            scan: Scan::new(range, false),
            form: sorted.form,
            batch_keys: batch_size.min(keys.max(1)),
            key_bytes: 0,
        }))
    }
}

/// Returns the value of a key.
fn value<'py>(sorted: &Sorted, key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let (py, mut found) = (key.py(), None);
    let key = bytes_of(key)?;
    sorted
        .with(|index| index.get(&key, &mut |value| found = value.map(|value| value.object(py))))?;
    found.transpose()
}

/// An ordered mapping in files.
#[pyclass(subclass, frozen, extends = SortedMapping, module = "memkv._memkv", name = "_Frozen")]
pub(crate) struct Frozen;

impl Frozen {
    pub(crate) fn sorted<'a>(slf: &'a Bound<'_, Self>) -> &'a Sorted {
        slf.as_super().as_super().get()
    }
}

/// Passes what has ranks to `work`, without the interpreter's lock.
fn with_ranked<R: Send>(
    slf: &Bound<'_, Frozen>,
    work: impl FnOnce(&dyn Ranked) -> Result<R, Error> + Send,
) -> PyResult<R> {
    let index = Frozen::sorted(slf).index()?;
    slf.py().detach(|| match index.as_ranked() {
        Some(index) => Ok(work(index)?),
        None => Err(PyTypeError::new_err("it has no ranks")),
    })
}

#[pymethods]
impl Frozen {
    /// Returns the number of keys that are less than ``key``, which need not be there.
    fn rank(slf: &Bound<'_, Self>, key: &Bound<'_, PyAny>) -> PyResult<u64> {
        let key = bytes_of(key)?;
        Frozen::sorted(slf).with(|index| index.as_ranked().map_or(Ok(0), |index| index.rank(&key)))
    }

    /// Returns the pair of a key and its value that has a rank, from the end if it is negative.
    fn select<'py>(slf: &Bound<'py, Self>, rank: i128) -> PyResult<Bound<'py, PyAny>> {
        let (py, sorted) = (slf.py(), Frozen::sorted(slf));
        let found = sorted.record(py, |index, take| {
            let from_start = match u64::try_from(rank) {
                Ok(rank) => Some(rank),
                Err(_) => u64::try_from(-rank).ok().and_then(|rank| index.len().checked_sub(rank)),
            };
            match (index.as_ranked(), from_start) {
                (Some(index), Some(rank)) => index.select(rank, take),
                _ => Ok(()),
            }
        })?;
        found.ok_or_else(|| PyIndexError::new_err(format!("there is no key of rank {rank}")))
    }

    /// Returns the pair of a key and its value that has a rank, as :meth:`select` does.
    ///
    /// The name that ``sortedcontainers`` has.
    #[pyo3(signature = (index=-1), text_signature = "($self, index=-1)")]
    fn peekitem<'py>(slf: &Bound<'py, Self>, index: i128) -> PyResult<Bound<'py, PyAny>> {
        Self::select(slf, index)
    }

    /// Returns an iterator over the pairs whose keys match, in order.
    ///
    /// Either ``regex``, a regular expression that matches somewhere in a key (the syntax of Rust's
    /// ``regex``; ``^`` and ``$`` are the ends of a key), or ``fuzzy``, a string that the whole key
    /// is within an edit distance of: ``distance`` insertions, removals and replacements of
    /// characters, 1 unless said, at most 7. What cannot match is not read: a regular expression
    /// that begins with ``^`` reads the keys that may match, one without all keys. ``prefix``,
    /// ``lo`` and ``hi`` limit the range.
    #[pyo3(signature = (*, regex=None, fuzzy=None, distance=None, prefix=None, lo=None, hi=None))]
    fn search(
        slf: &Bound<'_, Self>,
        regex: Option<&Bound<'_, PyAny>>,
        fuzzy: Option<&Bound<'_, PyAny>>,
        distance: Option<i64>,
        prefix: Option<&Bound<'_, PyAny>>,
        lo: Option<&Bound<'_, PyAny>>,
        hi: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<RecordIterator> {
        let pattern = match (regex, fuzzy) {
            (Some(_), None) if distance.is_some() => {
                return Err(PyTypeError::new_err("distance belongs to fuzzy"));
            }
            (Some(regex), None) => {
                let regex = bytes_of(regex)?;
                let regex = std::str::from_utf8(&regex)
                    .map_err(|_| PyValueError::new_err("the regular expression is not UTF-8"))?;
                let automaton = RegexAutomaton::new(regex)
                    .map_err(|error| PyValueError::new_err(error.to_string()))?;
                Pattern::Regex(Box::new(automaton))
            }
            (None, Some(fuzzy)) => {
                let distance = distance.unwrap_or(1);
                let edits = usize::try_from(distance).unwrap_or(usize::MAX);
                let automaton = LevenshteinAutomaton::new(bytes_of(fuzzy)?, edits);
                Pattern::Fuzzy(Box::new(automaton.ok_or_else(|| {
                    PyValueError::new_err(format!("distance={distance} is not 0 to 7"))
                })?))
            }
            _ => return Err(PyTypeError::new_err("search takes either regex or fuzzy")),
        };
        let range = KeyRange::of(prefix, lo, hi)?;
        let sorted = Frozen::sorted(slf);
        let (index, scan) = (sorted.index()?, Scan::new(range, false));
        Ok(RecordIterator::new(index, Origin::Matches(pattern), scan, sorted.form, Yield::Items))
    }

    /// Reads everything and checks it.
    ///
    /// Raises ``DamagedError`` that names what is damaged.
    fn verify(slf: &Bound<'_, Self>) -> PyResult<()> {
        with_ranked(slf, |index| index.verify())
    }

    /// Closes it. Iterators that are in use go on, and keep their files open.
    fn close(slf: &Bound<'_, Self>) {
        let index = Frozen::sorted(slf).replace(None);
        slf.py().detach(|| drop(index));
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        Frozen::sorted(&slf).index()?;
        Ok(slf)
    }

    fn __exit__(
        slf: &Bound<'_, Self>,
        _type: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) {
        Self::close(slf);
    }
}
