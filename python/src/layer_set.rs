//! `LayerSet`.

use crate::arrow::{ArrayStream, is_arrow};
use crate::batch::as_arrow;
use crate::build::{BuildInfo, Built, Options, Target, build};
use crate::column::Column;
use crate::errors::Error;
use crate::index::{Index, Set};
use crate::records::Yield;
use crate::sorted::{Frozen, Sorted, SortedMapping};
use crate::text::{KeyForm, bytes_of};
use crate::value::{Field, Kind, name_of, with_kind};
use memkv::{SetError, ValueKind};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyType};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A file of a set.
#[pyclass(frozen, get_all, module = "memkv")]
pub(crate) struct SetPart {
    /// The path, absolute.
    path: PathBuf,
    /// The first key.
    first: Py<PyAny>,
    /// The last key.
    last: Py<PyAny>,
    /// The number of keys.
    keys: u64,
    /// The bytes of the file.
    bytes: u64,
}

#[pymethods]
impl SetPart {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let SetPart { path, first, last, keys, bytes } = self;
        let (first, last) = (first.bind(py).repr()?, last.bind(py).repr()?);
        let path = path.display();
        Ok(format!("SetPart({path}, first={first}, last={last}, keys={keys}, bytes={bytes})"))
    }
}

/// An immutable ordered mapping in a folder of layers, whose key ranges follow each other.
///
/// .. warning::
///    Files are mapped into memory, unless the set is opened with ``mmap=False``. **If another
///    program cuts or overwrites one while it is mapped, this process may be killed (``SIGBUS``),
///    or read other values.** Builds never change a file in place.
///
/// For more keys than one file should have. A file is opened when it is first needed: a set of a
/// thousand opens in milliseconds. A set that is open goes on with the files that it has while
/// another one replaces it, until ``refresh``. Threads and forked processes share it. It pickles as
/// its path.
///
/// >>> info = memkv.LayerSet.build("pages", {"a/1": 10, "a/2": 20, "b": 30}, keys_per_part=2)
/// >>> info.parts
/// 2
/// >>> with memkv.LayerSet.open("pages", keys="str") as pages:
/// ...     pages["a/2"], pages.boundaries(), pages.route("b"), list(pages.prefix("b"))
/// (20, ['a/1', 'b'], 1, [('b', 30)])
#[pyclass(frozen, extends = Frozen, module = "memkv")]
pub(crate) struct LayerSet {
    path: PathBuf,
    is_mapped: bool,
}

/// Opens a set of any kind of values.
fn open(folder: &Path, is_mapped: bool) -> Result<Arc<dyn Index>, SetError> {
    fn of<V: Kind<Owned: Send> + ?Sized>(
        folder: &Path,
        is_mapped: bool,
    ) -> Result<Arc<dyn Index>, SetError> {
        Ok(Arc::new(if is_mapped {
            // SAFETY: (A5) builds write new parts and never change one in place; the page of the
            // class begins with what happens if another program does.
            unsafe { memkv::LayerSet::<V>::open_mapped_as(folder)? }
        } else {
            memkv::LayerSet::<V>::open_as(folder)?
        }))
    }
    match of::<u64>(folder, is_mapped) {
        Err(SetError::Values { found, expected }) => {
            with_kind!(found, V => of::<V>(folder, is_mapped), _ => {
                Err(SetError::Values { found, expected })
            })
        }
        opened => opened,
    }
}

/// Passes the set to `work`, without the interpreter's lock.
fn with_set<R: Send>(
    slf: &Bound<'_, LayerSet>,
    work: impl FnOnce(&dyn Set) -> Result<R, Error> + Send,
) -> PyResult<R> {
    let index = Frozen::sorted(slf.as_super()).index()?;
    slf.py().detach(|| match index.as_set() {
        Some(set) => Ok(work(set)?),
        None => Err(PyTypeError::new_err("it is not a set")),
    })
}

#[pymethods]
impl LayerSet {
    /// Opens the set in a folder. The arguments are those of ``FrozenLayer.open``.
    ///
    /// Raises ``OSError``, such as ``FileNotFoundError``; ``DamagedError``; ``ValueError`` if the
    /// folder has no set. A file that is missing or altered is an error when it is needed, never a
    /// key that seems absent.
    #[classmethod]
    #[pyo3(signature = (path, *, mmap=true, verify=false, keys="bytes"))]
    fn open<'py>(
        _class: &Bound<'py, PyType>,
        py: Python<'py>,
        path: PathBuf,
        mmap: bool,
        verify: bool,
        keys: &str,
    ) -> PyResult<Bound<'py, Self>> {
        let form = KeyForm::named(keys)?;
        let path = std::path::absolute(&path)?;
        let index = py.detach(|| {
            let index = open(&path, mmap)?;
            match index.as_ranked() {
                Some(index) if verify => index.verify()?,
                _ => {}
            }
            Ok::<_, Error>(index)
        })?;
        let sorted = Sorted::new(index, form, Yield::Items, "set");
        let set = PyClassInitializer::from(sorted)
            .add_subclass(SortedMapping)
            .add_subclass(Frozen)
            .add_subclass(LayerSet { path, is_mapped: mmap });
        Bound::new(py, set)
    }

    /// Builds a set in a folder, which is created if it is missing.
    ///
    /// The arguments are those of ``FrozenLayer.build``; a file has ``keys_per_part`` keys. With
    /// ``append=True`` the keys, which must all be greater than those of the set, are added to it.
    /// Otherwise the set that may be in the folder is replaced when this one is complete; what is
    /// open goes on with the old files until ``vacuum`` removes them.
    #[staticmethod]
    #[pyo3(signature = (path, keys, values=None, *, keys_per_part=20_000_000, append=false,
        sorted=false, on_duplicate="error", kind=None, memory=None, threads=None, temp=None))]
    #[expect(clippy::too_many_arguments, reason = "named arguments of Python")]
    fn build(
        py: Python<'_>,
        path: PathBuf,
        keys: &Bound<'_, PyAny>,
        values: Option<&Bound<'_, PyAny>>,
        keys_per_part: u64,
        append: bool,
        sorted: bool,
        on_duplicate: &str,
        kind: Option<&str>,
        memory: Option<&Bound<'_, PyAny>>,
        threads: Option<usize>,
        temp: Option<PathBuf>,
    ) -> PyResult<BuildInfo> {
        let options = Options::of(sorted, on_duplicate, memory, threads, temp)?;
        let target = Target::Set { folder: path, keys_per_part, is_append: append };
        build(py, &target, keys, values, kind, &options)
    }

    /// Makes one set of sets that are in folders within the folder of this one, its members.
    ///
    /// So processes, or machines with a common file system, build a set at the same time: each one
    /// builds a member of the keys in a range. ``members`` are the names of their folders, in any
    /// order. With ``append=True`` they are added to the set that is there, otherwise they replace
    /// it. ``vacuum`` removes members that no set needs, if their names begin with ``member-``. No
    /// file is opened, copied or moved.
    ///
    /// Raises ``ValueError`` if ranges overlap or values have different types; ``OSError``.
    ///
    /// >>> for name, keys in ("member-0", ["a", "b"]), ("member-1", ["c"]):
    /// ...     info = memkv.LayerSet.build(f"whole/{name}", keys)
    /// >>> memkv.LayerSet.join("whole", ["member-0", "member-1"]).keys
    /// 3
    #[staticmethod]
    #[pyo3(signature = (path, members, *, append=false))]
    fn join(
        py: Python<'_>,
        path: PathBuf,
        members: Vec<String>,
        append: bool,
    ) -> PyResult<BuildInfo> {
        let joined = py.detach(|| {
            // Before the manifest is replaced: after that nothing fails.
            let kind = match members.first() {
                Some(member) => open(&path.join(member), false)?.kind(),
                None => ValueKind::Unit,
            };
            let joined = if append {
                memkv::LayerSet::join_after(&path, &members)?
            } else {
                memkv::LayerSet::join(&path, &members)?
            };
            Ok::<_, Error>((joined, kind))
        });
        let (joined, kind) = joined?;
        let Built { keys, duplicates, bytes, parts } = Built::of(&joined);
        Ok(BuildInfo { keys, duplicates, bytes, parts, kind: name_of(kind) })
    }

    /// The path of the folder, absolute.
    #[getter]
    fn path(&self) -> &Path {
        &self.path
    }

    /// The files, in the order of their keys.
    #[getter]
    fn parts<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyList>> {
        let (py, sorted) = (slf.py(), Frozen::sorted(slf.as_super()));
        let (folder, form) = (&slf.get().path, sorted.form);
        let index = sorted.index()?;
        let parts = index.as_set().map_or(&[][..], |set| set.parts());
        let part_of = |part: &memkv::SetPart| {
            Ok::<_, PyErr>(SetPart {
                path: folder.join(&part.path),
                first: form.object(py, &part.first)?.unbind(),
                last: form.object(py, &part.last)?.unbind(),
                keys: part.keys,
                bytes: part.bytes,
            })
        };
        PyList::new(py, parts.iter().map(part_of).collect::<PyResult<Vec<_>>>()?)
    }

    /// Returns the first key of each file.
    fn boundaries<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyList>> {
        let (py, sorted) = (slf.py(), Frozen::sorted(slf.as_super()));
        let boundaries = sorted.with(|index| {
            let parts = index.as_set().map_or(&[][..], |set| set.parts());
            let first = |part: &memkv::SetPart| sorted.form.object(py, &part.first);
            Ok(parts.iter().map(first).collect::<PyResult<Vec<_>>>()?)
        })?;
        PyList::new(py, boundaries)
    }

    /// Returns the number of the file that may have a key, or ``None`` if the key is between two.
    ///
    /// Of several keys, in any iterable, a list; of an array of Arrow one of Arrow, with null for
    /// ``None``.
    fn route<'py>(slf: &Bound<'py, Self>, keys: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (py, sorted) = (slf.py(), Frozen::sorted(slf.as_super()));
        let route = |key: &Bound<'py, PyAny>| {
            let key = bytes_of(key)?;
            sorted.with(|index| Ok(index.as_set().and_then(|set| set.route(&key))))
        };
        if let Ok(part) = route(keys) {
            return Ok(part.into_pyobject(py)?.into_any());
        }
        if is_arrow(keys)? {
            let mut parts = Column::new(ValueKind::U32, 0);
            let mut arrays = ArrayStream::of(keys)?;
            while let Some(columns) = arrays.next(py)? {
                let strings = columns.strings(0)?;
                with_set(slf, |set| {
                    for i in 0..strings.len() {
                        let part = strings.get(i).and_then(|key| set.route(key));
                        parts.push_option(part.map(|part| Field::Unsigned(part as u64)));
                    }
                    Ok(())
                })?;
            }
            return as_arrow(keys, parts);
        }
        let parts = keys.try_iter()?.map(|key| route(&key?)).collect::<PyResult<Vec<_>>>()?;
        Ok(PyList::new(py, parts)?.into_any())
    }

    /// Reads the manifest again. Returns whether another set has replaced this one.
    fn refresh(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let Some(set) = with_set(slf, |set| set.refreshed())? else { return Ok(false) };
        let before = Frozen::sorted(slf.as_super()).replace(Some(set));
        slf.py().detach(|| drop(before));
        Ok(true)
    }

    /// Removes files that the manifest does not name and that are older than some seconds.
    ///
    /// Returns their paths. A build may be writing younger ones, and what is open may need files of
    /// the set before this one.
    #[pyo3(signature = (older_than=86_400.0))]
    fn vacuum(slf: &Bound<'_, Self>, older_than: f64) -> PyResult<Vec<PathBuf>> {
        let older_than = Duration::try_from_secs_f64(older_than)
            .map_err(|_| PyValueError::new_err("older_than is not a number of seconds"))?;
        with_set(slf, |set| set.vacuum(older_than))
    }

    /// The number of items of builds that had the key of another one.
    #[getter]
    fn duplicates(slf: &Bound<'_, Self>) -> PyResult<u64> {
        with_set(slf, |set| Ok(set.duplicates()))
    }

    /// The number of files that are open.
    #[getter]
    fn open_parts(slf: &Bound<'_, Self>) -> PyResult<usize> {
        with_set(slf, |set| Ok(set.open_parts()))
    }

    /// Sets how many files are open at most.
    fn limit_open_parts(slf: &Bound<'_, Self>, parts: usize) -> PyResult<()> {
        with_set(slf, |set| {
            set.limit_open_parts(parts);
            Ok(())
        })
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let (path, sorted) = (slf.get().path.display(), Frozen::sorted(slf.as_super()));
        if sorted.is_closed() {
            return Ok(format!("<memkv.LayerSet {path}, closed>"));
        }
        let (keys, parts) = with_set(slf, |set| {
            let parts = set.parts();
            Ok((parts.iter().map(|part| part.keys).sum::<u64>(), parts.len()))
        })?;
        Ok(format!("<memkv.LayerSet {path}, {keys} keys in {parts} parts>"))
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let open = slf.py().import("memkv._views")?.getattr("open_set")?;
        let form = Frozen::sorted(slf.as_super()).form.name();
        let arguments = (&slf.get().path, slf.get().is_mapped, form);
        Ok((open, arguments).into_pyobject(slf.py())?.into_any())
    }
}
