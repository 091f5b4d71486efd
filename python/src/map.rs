//! `Map` and `Set`, and what mappings that change have in common.

use crate::build::{BuildInfo, Options, Target, build_from_index};
use crate::fork;
use crate::index::{Changing, Found, Index, Result, Take};
use crate::records::Yield;
use crate::sorted::{Sorted, SortedMapping};
use crate::source::Source;
use crate::text::{KeyForm, KeyRange, bytes_of};
use crate::value::{Field, Kept, Kind, kind_named, misfit, name_of, with_field};
use memkv::{ConcurrentArenaArt, ConcurrentArt, InsertError, MAX_KEY_LEN, Value, ValueKind};
use pyo3::exceptions::{PyIndexError, PyKeyError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::path::PathBuf;
use std::sync::Arc;

impl<V: Kind<Owned = V> + Value + Send + Sync> Index for ConcurrentArt<V>
where
    for<'v> V: Kind<Lent<'v> = V>,
{
    fn len(&self) -> u64 {
        self.len() as u64
    }

    fn kind(&self) -> ValueKind {
        <V as Kind>::KIND
    }

    fn get(&self, key: &[u8], found: Found<'_>) -> Result<()> {
        found(self.get(key).map(V::field));
        Ok(())
    }

    fn contains(&self, key: &[u8]) -> Result<bool> {
        Ok(self.contains_key(key))
    }

    fn get_many(&self, keys: &[&[u8]], found: Found<'_>) -> Result<()> {
        self.get_many(keys).into_iter().for_each(|value| found(value.map(V::field)));
        Ok(())
    }

    fn scan(&self, range: &KeyRange, is_reverse: bool, take: Take<'_>) -> Result<()> {
        let mut keys = self.range::<[u8], _>(range.bounds());
        while let Some((key, value)) =
            if is_reverse { keys.next_back_ref() } else { keys.next_ref() }
            && take(key, V::field(value))
        {}
        Ok(())
    }

    fn longest_prefix(&self, key: &[u8], found: &mut dyn FnMut(usize, Field<'_>)) -> Result<()> {
        if let Some((prefix, value)) = self.get_longest_prefix(key) {
            found(prefix.len(), V::field(value));
        }
        Ok(())
    }

    fn as_changing(&self) -> Option<&dyn Changing> {
        Some(self)
    }
}

/// Returns a value of a map's type. It was checked when it was read.
fn of_field<'v, V: Kind + ?Sized>(value: Field<'v>) -> Result<V::Lent<'v>> {
    V::of_field(value).ok_or_else(|| misfit(None, V::KIND, value).into())
}

/// Refuses a key that no map holds.
fn check_key(key: &[u8]) -> Result<()> {
    if key.len() > MAX_KEY_LEN {
        return Err(InsertError::KeyTooLong { len: key.len() }.into());
    }
    Ok(())
}

impl<V: Kind<Owned = V> + Value + Send + Sync> Changing for ConcurrentArt<V>
where
    for<'v> V: Kind<Lent<'v> = V>,
{
    fn insert(&self, key: &[u8], value: Field<'_>, old: Found<'_>) -> Result<()> {
        old(self.try_insert(key, of_field::<V>(value)?)?.map(V::field));
        Ok(())
    }

    fn remove(&self, key: &[u8], old: Found<'_>) -> Result<()> {
        old(self.try_remove(key)?.map(V::field));
        Ok(())
    }

    fn insert_absent(&self, key: &[u8], value: Field<'_>, now: Found<'_>) -> Result<()> {
        check_key(key)?;
        let value = of_field::<V>(value)?;
        now(Some(V::field(self.get_or_insert_with(key, || value))));
        Ok(())
    }

    fn pop(&self, is_last: bool, take: Take<'_>) -> Result<()> {
        if let Some((key, value)) = if is_last { self.pop_last() } else { self.pop_first() } {
            take(&key, V::field(value));
        }
        Ok(())
    }

    fn clear(&self) -> Result<()> {
        self.clear();
        Ok(())
    }

    fn remove_range(&self, range: &KeyRange) -> Result<u64> {
        Ok(self.try_remove_range::<[u8], _>(range.bounds())? as u64)
    }

    fn copied(&self) -> Option<Arc<dyn Index>> {
        Some(Arc::new(self.clone()))
    }

    fn memory_bytes(&self) -> usize {
        self.memory_usage().total()
    }
}

/// A map of byte strings as values.
type BytesMap = ConcurrentArenaArt<Box<[u8]>>;

impl Index for BytesMap {
    fn len(&self) -> u64 {
        self.len() as u64
    }

    fn kind(&self) -> ValueKind {
        ValueKind::Bytes
    }

    fn get(&self, key: &[u8], found: Found<'_>) -> Result<()> {
        found(self.get(key).as_ref().map(|value| Field::Bytes(value)));
        Ok(())
    }

    fn contains(&self, key: &[u8]) -> Result<bool> {
        Ok(self.contains_key(key))
    }

    fn get_many(&self, keys: &[&[u8]], found: Found<'_>) -> Result<()> {
        let pin = self.pin();
        pin.get_many(keys).into_iter().for_each(|value| found(value.map(|v| Field::Bytes(v))));
        Ok(())
    }

    fn scan(&self, range: &KeyRange, is_reverse: bool, take: Take<'_>) -> Result<()> {
        let mut keys = self.range::<[u8], _>(range.bounds());
        while let Some((key, value)) =
            if is_reverse { keys.next_back_ref() } else { keys.next_ref() }
            && take(key, Field::Bytes(&value))
        {}
        Ok(())
    }

    fn longest_prefix(&self, key: &[u8], found: &mut dyn FnMut(usize, Field<'_>)) -> Result<()> {
        if let Some((prefix, value)) = self.get_longest_prefix(key) {
            found(prefix.len(), Field::Bytes(&value));
        }
        Ok(())
    }

    fn as_changing(&self) -> Option<&dyn Changing> {
        Some(self)
    }
}

impl Changing for BytesMap {
    fn insert(&self, key: &[u8], value: Field<'_>, old: Found<'_>) -> Result<()> {
        let value = of_field::<[u8]>(value)?.into();
        old(self.try_insert(key, value)?.as_ref().map(|value| Field::Bytes(value)));
        Ok(())
    }

    fn remove(&self, key: &[u8], old: Found<'_>) -> Result<()> {
        old(self.try_remove(key)?.as_ref().map(|value| Field::Bytes(value)));
        Ok(())
    }

    fn insert_absent(&self, key: &[u8], value: Field<'_>, now: Found<'_>) -> Result<()> {
        check_key(key)?;
        let value = of_field::<[u8]>(value)?;
        now(Some(Field::Bytes(&self.get_or_insert_with(key, || value.into()))));
        Ok(())
    }

    fn pop(&self, is_last: bool, take: Take<'_>) -> Result<()> {
        if let Some((key, value)) = if is_last { self.pop_last() } else { self.pop_first() } {
            take(&key, Field::Bytes(&value));
        }
        Ok(())
    }

    fn clear(&self) -> Result<()> {
        self.clear();
        Ok(())
    }

    fn remove_range(&self, range: &KeyRange) -> Result<u64> {
        Ok(self.try_remove_range::<[u8], _>(range.bounds())? as u64)
    }

    fn copied(&self) -> Option<Arc<dyn Index>> {
        Some(Arc::new(self.clone()))
    }

    fn memory_bytes(&self) -> usize {
        let mut values = 0;
        let mut keys = self.iter();
        while let Some((_, value)) = keys.next_ref() {
            values += value.len();
        }
        self.memory_usage().total() + values
    }
}

/// Returns an empty map.
fn map_of(kind: ValueKind) -> PyResult<Arc<dyn Index>> {
    Ok(match kind {
        ValueKind::U32 => Arc::new(ConcurrentArt::<u32>::new()),
        ValueKind::U64 => Arc::new(ConcurrentArt::<u64>::new()),
        ValueKind::I64 => Arc::new(ConcurrentArt::<i64>::new()),
        ValueKind::F64 => Arc::new(ConcurrentArt::<f64>::new()),
        ValueKind::Unit => Arc::new(ConcurrentArt::<()>::new()),
        ValueKind::Bytes => Arc::new(BytesMap::new()),
        kind => {
            let kind = name_of(kind);
            return Err(PyValueError::new_err(format!(
                "kind={kind:?} is none of u32, u64, i64, f64, bytes, none"
            )));
        }
    })
}

/// Returns the kind of a map that holds values of another kind.
fn wide(kind: ValueKind) -> ValueKind {
    match kind {
        ValueKind::U8 | ValueKind::U16 => ValueKind::U32,
        ValueKind::I8 | ValueKind::I16 | ValueKind::I32 => ValueKind::I64,
        ValueKind::F32 => ValueKind::F64,
        kind => kind,
    }
}

/// Changes one key. A change that waits for a disk is made without the interpreter's lock.
fn change<R: Send>(
    py: Python<'_>,
    sorted: &Sorted,
    work: impl FnOnce(&dyn Changing) -> Result<R> + Send,
) -> PyResult<R> {
    let index = sorted.index()?;
    match index.as_changing() {
        Some(index) if index.waits() => Ok(py.detach(|| {
            let _changes = fork::begin_changes();
            work(index)
        })?),
        Some(index) => Ok(work(index)?),
        None => Err(PyTypeError::new_err("it cannot be changed")),
    }
}

/// Passes what changes to `work`, which may take long, without the interpreter's lock.
fn detached<R: Send>(
    py: Python<'_>,
    sorted: &Sorted,
    work: impl FnOnce(&dyn Changing) -> Result<R> + Send,
) -> PyResult<R> {
    let index = sorted.index()?;
    py.detach(|| match index.as_changing() {
        Some(index) => {
            let _changes = fork::begin_changes();
            Ok(work(index)?)
        }
        None => Err(PyTypeError::new_err("it cannot be changed")),
    })
}

/// Sets the value of a key.
fn insert(sorted: &Sorted, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let (py, key) = (key.py(), bytes_of(key)?);
    let kind = sorted.with(|index| Ok(index.kind()))?;
    with_field(kind, value, |value| {
        change(py, sorted, |index| index.insert(&key, value, &mut |_| ()))
    })?
}

/// Inserts everything that a source has.
pub(crate) fn extend<'py>(
    py: Python<'py>,
    sorted: &Sorted,
    source: &mut Source<'py>,
) -> PyResult<()> {
    while let Some(pairs) = source.next(py)? {
        detached(py, sorted, |index| {
            pairs.each(|key, value| index.insert(key, value, &mut |_| ()))
        })?;
        py.check_signals()?;
    }
    Ok(())
}

/// Removes a key, and returns its value.
fn take<'py>(sorted: &Sorted, key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let (py, key) = (key.py(), bytes_of(key)?);
    let old = change(py, sorted, |index| {
        let mut old = None;
        index.remove(&key, &mut |value| old = value.map(Kept::of))?;
        Ok(old)
    })?;
    old.map(|old| old.object(py)).transpose()
}

/// Removes the first record, or the last, and returns it as `sorted` yields it.
fn pop<'py>(py: Python<'py>, sorted: &Sorted, index: i64) -> PyResult<Bound<'py, PyAny>> {
    let is_last = match index {
        -1 => true,
        0 => false,
        _ => return Err(PyIndexError::new_err("only the items 0 and -1 can be removed by place")),
    };
    let record = change(py, sorted, |index| {
        let mut record = None;
        index.pop(is_last, &mut |key, value| {
            record = Some((key.to_vec(), Kept::of(value)));
            false
        })?;
        Ok(record)
    })?;
    let (key, value) = record.ok_or_else(|| PyKeyError::new_err("it is empty"))?;
    sorted.yielded(py, &key, || value.object(py))
}

/// An ordered mapping that changes.
#[pyclass(subclass, frozen, extends = SortedMapping, module = "memkv._memkv", name = "_Changing")]
pub(crate) struct ChangingMapping;

impl ChangingMapping {
    pub(crate) fn sorted<'a>(slf: &'a Bound<'_, Self>) -> &'a Sorted {
        slf.as_super().as_super().get()
    }
}

#[pymethods]
impl ChangingMapping {
    fn __setitem__(
        slf: &Bound<'_, Self>,
        key: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        insert(Self::sorted(slf), key, value)
    }

    fn __delitem__(slf: &Bound<'_, Self>, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let sorted = Self::sorted(slf);
        take(sorted, key)?.map(drop).ok_or_else(|| sorted.missing(key))
    }

    /// Removes a key and returns its value. If it is absent, returns ``default``, or raises
    /// ``KeyError`` if there is none.
    #[pyo3(signature = (key, *default))]
    fn pop<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
        default: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if default.len() > 1 {
            return Err(PyTypeError::new_err("pop takes a key and at most one default"));
        }
        let sorted = Self::sorted(slf);
        match take(sorted, key)? {
            Some(value) => Ok(value),
            None => default.get_item(0).map_err(|_| sorted.missing(key)),
        }
    }

    /// Removes the last pair of a key and its value, or with ``index=0`` the first, and returns it.
    #[pyo3(signature = (index=-1), text_signature = "($self, index=-1)")]
    fn popitem<'py>(slf: &Bound<'py, Self>, index: i64) -> PyResult<Bound<'py, PyAny>> {
        pop(slf.py(), Self::sorted(slf), index)
    }

    /// Returns the value of a key, which is set to ``default`` if the key is absent. One atomic
    /// step.
    #[pyo3(signature = (key, default=None))]
    fn setdefault<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let default = &default.unwrap_or_else(|| slf.py().None().into_bound(slf.py()));
        let (py, sorted) = (slf.py(), Self::sorted(slf));
        let (key, kind) = (bytes_of(key)?, sorted.with(|index| Ok(index.kind()))?);
        let now = with_field(kind, default, |default| {
            change(py, sorted, |index| {
                let mut now = None;
                index.insert_absent(&key, default, &mut |value| now = value.map(Kept::of))?;
                Ok(now)
            })
        })??;
        now.map_or_else(|| Ok(py.None().into_bound(py)), |now| now.object(py))
    }

    /// Sets the values of many keys.
    ///
    /// ``items`` is a mapping, an iterable of pairs, or a table of Arrow with two columns. With
    /// ``values`` it is the keys alone: iterables, or arrays of Arrow, of the same length. Each key
    /// is set in a step of its own; those before an error may stay. The interpreter's lock is
    /// released. Keys that are identifiers can be given by name as well.
    #[pyo3(signature = (items=None, values=None, /, **named))]
    fn update<'py>(
        slf: &Bound<'py, Self>,
        items: Option<&Bound<'py, PyAny>>,
        values: Option<&Bound<'py, PyAny>>,
        named: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<()> {
        let (py, sorted) = (slf.py(), Self::sorted(slf));
        let kind = Some(sorted.with(|index| Ok(index.kind()))?);
        if let Some(items) = items {
            extend(py, sorted, &mut Source::of_items(items, values, kind)?)?;
        }
        if let Some(named) = named {
            extend(py, sorted, &mut Source::of_items(named, None, kind)?)?;
        }
        Ok(())
    }

    /// Removes all keys.
    fn clear(slf: &Bound<'_, Self>) -> PyResult<()> {
        detached(slf.py(), Self::sorted(slf), |index| index.clear())
    }

    /// Removes the keys that begin with ``prefix``, or those from ``lo`` to ``hi``, which is not
    /// included. Returns how many they were.
    #[pyo3(signature = (prefix=None, *, lo=None, hi=None))]
    fn remove_many(
        slf: &Bound<'_, Self>,
        prefix: Option<&Bound<'_, PyAny>>,
        lo: Option<&Bound<'_, PyAny>>,
        hi: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        let range = KeyRange::of(prefix, lo, hi)?;
        detached(slf.py(), Self::sorted(slf), |index| index.remove_range(&range))
    }

    /// Builds a layer file of what is in it, which ``FrozenLayer.open`` opens.
    ///
    /// What other threads change while it is built is in it or not.
    fn freeze(slf: &Bound<'_, Self>, path: PathBuf) -> PyResult<BuildInfo> {
        freeze(slf.py(), Self::sorted(slf), path)
    }
}

fn freeze(py: Python<'_>, sorted: &Sorted, path: PathBuf) -> PyResult<BuildInfo> {
    let options = Options::of(true, "error", None, None, None)?;
    build_from_index(py, &Target::Layer(path), &*sorted.index()?, &options)
}

/// An ordered mapping in memory that threads share, in less memory than its keys.
///
/// ``kind`` is the type of the values: ``"u64"``, ``"u32"``, ``"i64"``, ``"f64"``, ``"bytes"`` or
/// ``"none"``. By default it is that of the first value in ``items``, or ``"u64"``. Each method is
/// one atomic step, but those for many keys, which are one step a key. Iterators see what other
/// threads change or not, and never fail for it. A forked process has a copy. Nothing is kept on
/// disk: see :class:`Store`, or :meth:`freeze`.
///
/// >>> counts = memkv.Map({"b": 2, "a": 1}, keys="str")
/// >>> counts["c"] = 3
/// >>> list(counts.items()), counts.popitem(0), "a" in counts
/// ([('a', 1), ('b', 2), ('c', 3)], ('a', 1), False)
/// >>> list(counts.irange("b", "c", inclusive=(False, True)))
/// ['c']
#[pyclass(frozen, extends = ChangingMapping, module = "memkv")]
pub(crate) struct Map;

impl Map {
    fn of(sorted: Sorted) -> PyClassInitializer<Self> {
        PyClassInitializer::from(sorted)
            .add_subclass(SortedMapping)
            .add_subclass(ChangingMapping)
            .add_subclass(Map)
    }

    fn sorted<'a>(slf: &'a Bound<'_, Self>) -> &'a Sorted {
        ChangingMapping::sorted(slf.as_super())
    }
}

#[pymethods]
impl Map {
    #[new]
    #[pyo3(signature = (items=None, values=None, *, kind=None, keys="bytes"))]
    fn new<'py>(
        py: Python<'py>,
        items: Option<&Bound<'py, PyAny>>,
        values: Option<&Bound<'py, PyAny>>,
        kind: Option<&str>,
        keys: &str,
    ) -> PyResult<PyClassInitializer<Self>> {
        let form = KeyForm::named(keys)?;
        let kind = kind.map(kind_named).transpose()?;
        let mut source = match items.filter(|items| !items.is_none()) {
            Some(items) => Some(Source::of_items(items, values, kind)?),
            None if values.is_some() => {
                return Err(PyTypeError::new_err("values are given, and no keys"));
            }
            None => None,
        };
        let found = source.as_ref().map(|source| wide(source.kind()));
        let kind = kind.or(found).unwrap_or(ValueKind::U64);
        let sorted = Sorted::new(map_of(kind)?, form, Yield::Items, "map");
        if let Some(source) = &mut source {
            source.set_kind(kind);
            extend(py, &sorted, source)?;
        }
        Ok(Self::of(sorted))
    }

    /// Returns a copy. What other threads change while it is made is in it or not.
    fn copy<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let sorted = Self::sorted(slf);
        let copied = detached(slf.py(), sorted, |index| Ok(index.copied()))?;
        let copied = copied.ok_or_else(|| PyTypeError::new_err("it cannot be copied"))?;
        let copied = Sorted::new(copied, sorted.form, Yield::Items, "map");
        Bound::new(slf.py(), Self::of(copied))
    }

    fn __copy__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        Self::copy(slf)
    }

    fn __deepcopy__<'py>(
        slf: &Bound<'py, Self>,
        _memo: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, Self>> {
        Self::copy(slf)
    }

    /// Returns the bytes of memory that it takes.
    fn memory_usage(slf: &Bound<'_, Self>) -> PyResult<usize> {
        detached(slf.py(), Self::sorted(slf), |index| Ok(index.memory_bytes()))
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        Self::sorted(slf).with(|index| {
            let (keys, kind) = (index.len(), name_of(index.kind()));
            Ok(format!("<memkv.Map, {keys} keys, kind {kind:?}>"))
        })
    }
}

/// What `memkv.Set` extends by the operators of sets.
#[pyclass(subclass, frozen, extends = Sorted, module = "memkv._memkv", name = "_Set")]
pub(crate) struct Set;

impl Set {
    fn sorted<'a>(slf: &'a Bound<'_, Self>) -> &'a Sorted {
        slf.as_super().get()
    }
}

#[pymethods]
impl Set {
    #[new]
    #[pyo3(signature = (items=None, *, keys="bytes"))]
    fn new<'py>(
        py: Python<'py>,
        items: Option<&Bound<'py, PyAny>>,
        keys: &str,
    ) -> PyResult<PyClassInitializer<Self>> {
        let form = KeyForm::named(keys)?;
        let sorted = Sorted::new(map_of(ValueKind::Unit)?, form, Yield::Keys, "set");
        if let Some(items) = items {
            extend(py, &sorted, &mut Source::of_keys(items)?)?;
        }
        Ok(PyClassInitializer::from(sorted).add_subclass(Set))
    }

    /// Adds a key. Returns whether it was absent.
    fn add(slf: &Bound<'_, Self>, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        let key = bytes_of(key)?;
        change(slf.py(), Self::sorted(slf), |index| {
            let mut is_new = false;
            index.insert(&key, Field::Unit, &mut |old| is_new = old.is_none())?;
            Ok(is_new)
        })
    }

    /// Removes a key if it is there. Returns whether it was.
    fn discard(slf: &Bound<'_, Self>, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(take(Self::sorted(slf), key)?.is_some())
    }

    /// Removes a key. Raises ``KeyError`` if it is absent.
    fn remove(slf: &Bound<'_, Self>, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let sorted = Self::sorted(slf);
        take(sorted, key)?.map(drop).ok_or_else(|| sorted.missing(key))
    }

    /// Removes the last key, or with ``index=0`` the first, and returns it.
    #[pyo3(signature = (index=-1), text_signature = "($self, index=-1)")]
    fn pop<'py>(slf: &Bound<'py, Self>, index: i64) -> PyResult<Bound<'py, PyAny>> {
        pop(slf.py(), Self::sorted(slf), index)
    }

    /// Adds the keys of an iterable, or of an array of Arrow.
    fn update<'py>(slf: &Bound<'py, Self>, items: &Bound<'py, PyAny>) -> PyResult<()> {
        extend(slf.py(), Self::sorted(slf), &mut Source::of_keys(items)?)
    }

    /// Removes all keys.
    fn clear(slf: &Bound<'_, Self>) -> PyResult<()> {
        detached(slf.py(), Self::sorted(slf), |index| index.clear())
    }

    /// Removes the keys that begin with ``prefix``, or those from ``lo`` to ``hi``, which is not
    /// included. Returns how many they were.
    #[pyo3(signature = (prefix=None, *, lo=None, hi=None))]
    fn remove_many(
        slf: &Bound<'_, Self>,
        prefix: Option<&Bound<'_, PyAny>>,
        lo: Option<&Bound<'_, PyAny>>,
        hi: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        let range = KeyRange::of(prefix, lo, hi)?;
        detached(slf.py(), Self::sorted(slf), |index| index.remove_range(&range))
    }

    /// Builds a layer file of its keys, which ``FrozenLayer.open`` opens.
    fn freeze(slf: &Bound<'_, Self>, path: PathBuf) -> PyResult<BuildInfo> {
        freeze(slf.py(), Self::sorted(slf), path)
    }

    /// Returns the bytes of memory that it takes.
    fn memory_usage(slf: &Bound<'_, Self>) -> PyResult<usize> {
        detached(slf.py(), Self::sorted(slf), |index| Ok(index.memory_bytes()))
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let keys = Self::sorted(slf).with(|index| Ok(index.len()))?;
        Ok(format!("<memkv.Set, {keys} keys>"))
    }
}
